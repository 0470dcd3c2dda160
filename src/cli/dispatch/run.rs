//! `issuecommand run`: one issue in, one pull request out.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::Args;
use issuecommand::api::Call;
use issuecommand::config::{ConfigSource, Loaded, load};
use issuecommand::domain::{IssueRef, RunStatus};
use issuecommand::http::{ClientError, OperatorClient};
use issuecommand::server::{Server, Start};
use serde_json::json;
use tracing::warn;

use super::super::door::{Door, DoorArgs};
use super::super::refused::Refused;
use super::super::show::print_json;
use super::super::{EndRequests, is_database_taken, runtime};
use super::following::{Following, NobodyWorks, Onto};
use super::{RunAnswer, whoami};

/// How often it is tried again where other commands or ending servers come between, and after which wait.
const MEETING_COUNT_MAX: u32 = 10;
const MEETING_PAUSE: Duration = Duration::from_millis(500);
/// How often an issue is asked for while the first sync goes on.
const SYNC_PAUSE: Duration = Duration::from_millis(500);

#[derive(Debug, Args)]
#[command(after_help = "The pull request's address is all that standard output gets; progress goes to standard error.
Where a server has the database, it does the work; else this command serves for as long as it takes.

Examples:
  issuecommand run acme/widgets#42
  issuecommand run acme/widgets#42 --json | jq -r .pr_url
  issuecommand run acme/widgets#42 --detach      the run's short id; `logs -f` follows it")]
pub struct RunArgs {
    #[command(flatten)]
    door: DoorArgs,
    /// Which, as in owner/repo#7
    #[arg(value_name = "ISSUE")]
    issue: IssueRef,
    /// Print the whole run as JSON: at its end, or with --detach as it is queued
    #[arg(long)]
    json: bool,
    /// Queue it and end, where a server does the work
    #[arg(long)]
    detach: bool,
}

pub fn run(args: &RunArgs) -> anyhow::Result<ExitCode> {
    runtime()?.block_on(async {
        let mut end_requests = EndRequests::listen()?;
        let mut meetings = Meetings::default();
        loop {
            match by_whom_there_is(args, &mut meetings, &mut end_requests).await {
                Err(error) if meetings.may_pass(args, &error) => tokio::select! {
                    () = tokio::time::sleep(MEETING_PAUSE) => {}
                    () = end_requests.next() => bail!("interrupted before anything was begun"),
                },
                done => return done,
            }
        }
    })
}

/// Asks the server that has the database, or serves where none has.
async fn by_whom_there_is(
    args: &RunArgs,
    meetings: &mut Meetings,
    end_requests: &mut EndRequests,
) -> anyhow::Result<ExitCode> {
    let opened = if args.detach { args.door.open().await? } else { args.door.open_or_begin().await? };
    let kept = match opened {
        Door::Store(kept) => kept,
        door @ Door::Server(_) => return dispatch(args, &door, end_requests).await,
    };
    let door = Door::Store(kept);
    if args.detach && door.is_at_rest() {
        bail!("no server runs that could work on it: start one with `issuecommand serve --background`");
    }
    if args.detach {
        return dispatch(args, &door, end_requests).await;
    }
    if let Door::Store(kept) = door {
        tokio::task::spawn_blocking(move || kept.store.close()).await?;
    }
    let (server, client) = serve(args, &mut meetings.is_logging).await?;
    let done = dispatch(args, &Door::Server(client), end_requests).await;
    server.stop().await;
    done
}

/// What came between this command and others like it, or a server that just ends.
#[derive(Debug, Default)]
struct Meetings {
    is_logging: bool,
    count: u32,
    has_told: bool,
}

impl Meetings {
    /// Whether it is worth another try: another command was faster to serve, and serves this one too or ends soon.
    fn may_pass(&mut self, args: &RunArgs, error: &anyhow::Error) -> bool {
        let waits_for_another =
            error.downcast_ref().is_some_and(|refused: &Refused| refused.reason == "works_on_another");
        if waits_for_another {
            if !std::mem::replace(&mut self.has_told, true) {
                tell!("waiting: {error}");
            }
            return true;
        }
        self.count += 1;
        let was_left = error.is::<NobodyWorks>();
        let is_gone =
            args.door.finds_by_itself() && matches!(error.downcast_ref(), Some(ClientError::Unreachable { .. }));
        self.count < MEETING_COUNT_MAX && (was_left || is_gone || is_database_taken(error))
    }
}

/// A server for as long as the run takes.
async fn serve(args: &RunArgs, is_logging: &mut bool) -> anyhow::Result<(Server, OperatorClient)> {
    let source = ConfigSource::from_process(args.door.file());
    let mut loaded = load(&source).or_else(|report| {
        report.print();
        bail!("mend the configuration first")
    })?;
    only_this_run(&mut loaded, &args.issue);
    if !std::mem::replace(is_logging, true) {
        issuecommand::logging::init(&loaded.log())?;
        loaded.notes.iter().for_each(|note| warn!("{note}"));
    }
    let server =
        Server::start(Start { loaded: loaded.clone(), source: None, local: None, only: Some(args.issue.clone()) })
            .await?;
    let client = OperatorClient::new(&format!("http://{}", server.address()), loaded.config.server.api_key)?;
    Ok((server, client))
}

/// A server for one run takes any port of this machine alone, says little, and takes up nothing else.
fn only_this_run(loaded: &mut Loaded, issue: &IssueRef) {
    let config = &mut loaded.config;
    config.server.port = 0;
    config.server.host = std::net::Ipv4Addr::LOCALHOST.into();
    config.dispatch.enabled = false;
    let named = issue.repo.to_string();
    if !config.github.repositories.iter().any(|repo| repo.eq_ignore_ascii_case(&named)) {
        config.github.repositories.push(named);
    }
    if config.log.level == "info" {
        config.log.level = "warn".into();
    }
}

/// Of the status, whether anything begins.
#[derive(Debug, serde::Deserialize)]
struct PauseAnswer {
    status: Pause,
}

#[derive(Debug, serde::Deserialize)]
struct Pause {
    #[serde(default)]
    paused: Option<String>,
}

async fn dispatch(args: &RunArgs, door: &Door, end_requests: &mut EndRequests) -> anyhow::Result<ExitCode> {
    let fields = json!({ "repo": args.issue.repo, "issue_number": args.issue.number, "by": whoami() });
    let asked = async {
        loop {
            match door.ask_for::<RunAnswer>(Call::DispatchIssue, fields.clone()).await {
                Err(error) if error.to_string().contains("first sync is not done") => {
                    tokio::time::sleep(SYNC_PAUSE).await;
                }
                answered => return answered,
            }
        }
    };
    let RunAnswer { run, idempotent, .. } = tokio::select! {
        asked = asked => asked?,
        () = end_requests.next() => bail!("interrupted before anything was begun"),
    };
    if args.detach {
        match args.json {
            true => print_json(&run),
            false => say!("{}", run.run_id.short()),
        }
        return Ok(ExitCode::SUCCESS);
    }
    let status: PauseAnswer = door.ask_for(Call::DispatchStatus, serde_json::Value::Null).await?;
    if let Some(why) = status.status.paused {
        tell!("dispatch is paused: {why} (`issuecommand resume` goes on)");
    }
    let mut following = Following::of(&args.door, door, run.run_id, Onto::Stderr);
    let ended = tokio::select! {
        ended = following.until_the_end(0) => ended?,
        () = end_requests.next() => {
            if idempotent {
                bail!("interrupted: run {} was there before, and goes on; `cancel` ends it", run.run_id.short());
            }
            tell!("interrupted: undoing what was begun (once more leaves it to the next start)");
            let cancelled = door.ask_for(Call::DispatchCancel, json!({ "run": run.run_id }));
            let cancelled: RunAnswer = tokio::select! {
                cancelled = cancelled => cancelled?,
                () = end_requests.next() => bail!("left as it is: the next server cleans up"),
            };
            let (run, status) = (cancelled.run.run_id.short(), cancelled.run.status());
            match (cancelled.run.pr_url, cancelled.run.reason) {
                (Some(pr_url), _) => bail!("interrupted too late: run {run} is {status}, its pull request is {pr_url}"),
                (None, why) => bail!("interrupted: run {run} is {status}: {}", why.unwrap_or_default()),
            }
        }
    };
    if args.json {
        print_json(&ended);
    }
    match ended.status() {
        RunStatus::Completed => {
            let pr_url = ended.pr_url.context("the run says that it is through, and names no pull request")?;
            if !args.json {
                say!("{pr_url}");
            }
            Ok(ExitCode::SUCCESS)
        }
        _ => bail!("{}", ended.reason.unwrap_or_else(|| "the run failed, and says no reason".into())),
    }
}
