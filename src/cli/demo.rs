//! `issuecommand demo`: the server at work on a sample backlog, and what to paste to join in.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use anstyle::{AnsiColor, Style};
use anyhow::Context;
use clap::Args;
use issuecommand::claims::{ClaimManager, ClaimOutcome, ClaimRequest, EventStep, NextOutcome, NextRequest};
use issuecommand::config::{ConfigSource, LogConfig, load};
use issuecommand::domain::{AgentId, Claim, DecisionRow, Event, EventKind, IssueRef, Skills};
use issuecommand::github::FileSource;
use issuecommand::server::{Server, Start};

use super::{EndRequests, runtime};

/// The sample backlog: a shop and its payments service.
const BACKLOG: &str = include_str!("../../examples/demo/backlog.jsonl");
/// The configuration of the demo, to be edited while it runs.
const CONFIG: &str = include_str!("../../examples/demo/issuecommand.toml");
/// The agents of the tour.
const AGENTS: [&str; 3] = ["claude-1", "codex-1", "opencode-1"];

/// The pause between two looks whether the backlog is in order.
const LOOK_PAUSE: std::time::Duration = std::time::Duration::from_millis(10);

const BOLD: Style = Style::new().bold();
const DIM: Style = Style::new().dimmed();
const NAME: Style = AnsiColor::Cyan.on_default();

#[derive(Debug, Args)]
pub struct DemoArgs {
    /// The port to listen on; when it is taken, any free one
    #[arg(long, default_value_t = 3100)]
    port: u16,
    /// Show the tour and end, instead of serving until Ctrl-C
    #[arg(long)]
    once: bool,
}

pub fn run(args: &DemoArgs) -> anyhow::Result<ExitCode> {
    let folder = tempfile::Builder::new()
        .prefix("issuecommand-demo-")
        .tempdir()
        .context("failed to make a folder for the demo")?;
    runtime()?.block_on(async {
        let mut end_requests = EndRequests::listen()?;
        let server = start(args.port, folder.path()).await?;
        tour(server.manager()).await?;
        if args.once {
            server.stop().await;
            return Ok(ExitCode::SUCCESS);
        }
        invite(&server, folder.path());
        tokio::select! {
            () = end_requests.next() => {}
            ended = narrate(server.manager()) => ended?,
        }
        server.stop().await;
        Ok(ExitCode::SUCCESS)
    })
}

async fn start(port: u16, folder: &Path) -> anyhow::Result<Server> {
    let file = folder.join("issuecommand.toml");
    std::fs::write(&file, CONFIG).with_context(|| format!("failed to write {}", file.display()))?;
    let log = issuecommand::logging::init(&LogConfig { level: "warn".into(), ..LogConfig::default() })?;
    let free = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.is_ok();
    let port = if free { port } else { 0 };
    let env = [
        ("HTTP_PORT".to_owned(), port.to_string()),
        ("SQLITE_PATH".to_owned(), folder.join("claims.db").display().to_string()),
    ];
    let source = ConfigSource { file: Some(file), env: env.into(), dotenv: None };
    let loaded = load(&source)?;
    let backlog = Arc::new(FileSource::from_text(BACKLOG)?);
    let server =
        Server::start(Start { loaded: loaded.clone(), source: Some(backlog), local: None, only: None }).await?;
    server.follow_edits(source, &loaded, log)?;
    // Scores come a moment behind the issues; the tour is the same each time.
    while server.manager().ahead(None, None, 1).ready_count < BACKLOG.lines().count() {
        tokio::time::sleep(LOOK_PAUSE).await;
    }
    Ok(server)
}

/// Lets three agents ask, and a fourth meet a claim.
async fn tour(manager: &Arc<ClaimManager>) -> anyhow::Result<()> {
    say!(
        "\n{BOLD}IssueCommand{BOLD:#}: {} open issues of two repositories, three agents.\n",
        manager.health().open_issues
    );
    let mut first: Option<Claim> = None;
    for name in AGENTS {
        let agent: AgentId = name.parse()?;
        let request = NextRequest {
            agent,
            repo: None,
            label: None,
            milestone: None,
            request_id: None,
            skills: Skills::default(),
        };
        let claim = granted(manager, request).await?;
        say!(
            "  {NAME}{name:<11}{NAME:#} got {BOLD}{:<16}{BOLD:#} {}",
            claim.issue_ref().to_string(),
            claim.issue_title
        );
        say!("  {:<11} {DIM}why: {}{DIM:#}", "", why(manager, &claim).await?);
        first.get_or_insert(claim);
    }
    if let Some(held) = first {
        let request = ClaimRequest { agent: "late-1".parse()?, issue: held.issue_ref(), request_id: None };
        if let ClaimOutcome::HeldBy(owner) = manager.claim(request).await? {
            let issue: IssueRef = owner.issue_ref();
            say!("  {NAME}{:<11}{NAME:#} wanted {issue} too: held by {}", "late-1", owner.agent_id);
        }
    }
    Ok(())
}

/// Asks for work.
async fn granted(manager: &ClaimManager, request: NextRequest) -> anyhow::Result<Claim> {
    let agent = request.agent.clone();
    match manager.next_issue(request).await? {
        NextOutcome::Granted { claim, .. } => Ok(claim),
        _ => anyhow::bail!("the sample backlog had nothing for {agent}"),
    }
}

/// The recorded reasons of a pick, in one line.
async fn why(manager: &ClaimManager, claim: &Claim) -> anyhow::Result<String> {
    let Some(decision_id) = claim.decision_id else { return Ok("asked for by number".into()) };
    let decision = manager.decision(decision_id).await?.context("the decision was not recorded")?;
    let row = decision.considered.iter().find(|row| row.number == claim.issue_number && row.repo == claim.repo);
    Ok(row.map(DecisionRow::why).unwrap_or_default())
}

/// The exact lines to paste.
fn invite(server: &Server, folder: &Path) {
    let url = format!("http://{}", server.address());
    let snippet =
        serde_json::json!({ "mcpServers": { "issuecommand": { "type": "http", "url": format!("{url}/mcp") } } });
    say!("\n{BOLD}Join in{BOLD:#}, from another terminal:\n");
    say!("  curl -s {url}/api/next -H 'content-type: application/json' -d '{{\"agent_id\":\"me\"}}'");
    say!("  curl -s '{url}/api/claims?agent_id=me'");
    say!("  curl -N {url}/sse\n");
    say!("{BOLD}Watch it{BOLD:#} in a browser: {url}/\n");
    say!("{BOLD}An MCP client{BOLD:#} (Claude Code, Cursor, ...) takes this:\n\n  {snippet}\n");
    say!(
        "{BOLD}Change the policy{BOLD:#} while it runs, and ask again:\n\n  $EDITOR {}\n",
        folder.join("issuecommand.toml").display()
    );
    say!("{DIM}Ctrl-C ends the demo. What happens from here on:{DIM:#}\n");
}

/// Tells what happens, line by line.
async fn narrate(manager: &Arc<ClaimManager>) -> anyhow::Result<()> {
    let mut events = manager.events_after(None);
    loop {
        if let EventStep::Events(events) = events.next().await? {
            events.iter().for_each(|event| tell(event));
        }
    }
}

fn tell(event: &Event) {
    let draft = &event.draft;
    let time = draft.timestamp.with_timezone(&chrono::Local).format("%H:%M:%S");
    let agent = draft.agent_id.as_ref().map(AgentId::as_str).unwrap_or_default();
    let issue = match (&draft.repo, draft.issue_number) {
        (Some(repo), Some(number)) => format!("{repo}#{number}"),
        _ => String::new(),
    };
    let detail = match draft.kind {
        EventKind::PolicyRejected | EventKind::PolicyFailed => {
            draft.details["reason"].as_str().and_then(|reason| reason.lines().next()).unwrap_or_default().to_owned()
        }
        EventKind::PolicyReloaded => "the order has changed: ask for the next issue".to_owned(),
        EventKind::SyncReconciled => return,
        _ => draft.details["status"].as_str().unwrap_or_default().to_owned(),
    };
    say!("  {DIM}{time}{DIM:#}  {:<19} {NAME}{agent:<11}{NAME:#} {issue:<16} {detail}", draft.kind.to_string());
}
