//! `issuecommand policy show`: the one policy that decides.

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use issuecommand::api::Call;
use issuecommand::domain::{AgentId, RepoName};
use issuecommand::policy::PolicyHost;
use serde_json::{Value, json};

use super::super::door::{Door, DoorArgs, Way};
use super::super::runtime;
use super::super::show::Format;
use super::super::table::{Table, text as column, whole};

#[derive(Debug, Args)]
pub struct ShowArgs {
    #[command(flatten)]
    door: DoorArgs,
    /// For this repository
    #[arg(long, value_name = "OWNER/REPO")]
    repo: Option<RepoName>,
    /// For this agent
    #[arg(long, value_name = "NAME")]
    agent: Option<AgentId>,
    #[command(flatten)]
    format: Format,
}

pub fn run(args: &ShowArgs) -> anyhow::Result<ExitCode> {
    let answer = runtime()?.block_on(ask(args))?;
    args.format.show(&answer, || print(args, &answer));
    Ok(ExitCode::SUCCESS)
}

/// A running server says what is in force; without one it is what the configuration would put in force.
async fn ask(args: &ShowArgs) -> anyhow::Result<Value> {
    let fields = json!({ "repo": args.repo, "agent_id": args.agent });
    match args.door.server_or_configuration()? {
        Way::Server(client) => Door::Server(client).ask(Call::PolicyEffective, fields).await,
        Way::Store(loaded) => {
            tell!("No server runs: this is what the configuration would put in force.");
            let policies = loaded.config.effective_policies();
            let set = PolicyHost::new(None)?.load(&policies, &loaded.folder)?;
            let policy = set.effective(&policies, args.repo.as_ref(), args.agent.as_ref());
            Ok(json!({ "policy": serde_json::to_value(policy).context("a policy has a JSON form")? }))
        }
    }
}

fn print(args: &ShowArgs, answer: &Value) {
    let policy = &answer["policy"];
    let of = |what: &str, who: Option<String>| who.map(|who| format!("{what} {who}"));
    let asked = [
        of("repository", args.repo.as_ref().map(ToString::to_string)),
        of("agent", args.agent.as_ref().map(ToString::to_string)),
    ];
    let asked: Vec<String> = asked.into_iter().flatten().collect();
    if !asked.is_empty() {
        say!("for {}", asked.join(", "));
    }
    say!("view         {}", text(&policy["view"]));
    if let Value::Object(matched) = &policy["override"] {
        let list = |name: &str| {
            let items = matched.get(name).and_then(Value::as_array).into_iter().flatten();
            items.filter_map(Value::as_str).collect::<Vec<_>>().join(", ")
        };
        let (repos, groups) = (list("repos"), list("groups"));
        let parts = [("repos", repos), ("groups", groups)].into_iter().filter(|(_, list)| !list.is_empty());
        let parts: Vec<String> = parts.map(|(name, list)| format!("{name} {list}")).collect();
        say!("override     {}", parts.join("; "));
    }
    print_stages(policy["stages"].as_array().map_or(&[][..], Vec::as_slice));
    for (name, part) in [("stale rule", "stale_rule"), ("repo filter", "repo_filter")] {
        let (source, digest) = (text(&policy[part]["source"]), short(&policy[part]["digest"]));
        let line = format!("{name:12} {source}  {digest}  {}", settings(&policy[part]));
        say!("{}", line.trim_end());
    }
    let allowed: Vec<&str> = policy["allowed_repos"].as_array().into_iter().flatten().map(text).collect();
    if !allowed.is_empty() {
        say!("{:12} and ALLOWED_REPOS {}", "", allowed.join(", "));
    }
    if let Value::Object(candidate) = &policy["candidate"] {
        let share = candidate["share"].as_f64().filter(|_| candidate["mode"] == "canary");
        let share = share.map(|share| format!(" {:.0} %", share * 100.0)).unwrap_or_default();
        let ranker = &candidate["ranker"];
        say!(
            "{:12} {}  {} ({}{share})",
            "candidate",
            text(&ranker["source"]),
            short(&ranker["digest"]),
            text(&candidate["mode"])
        );
    }
    for unchecked in policy["settings_unchecked"].as_array().into_iter().flatten() {
        say!("{}", text(unchecked));
    }
    if let Some(why) = answer["rejected"].as_str() {
        say!("The newest edit is not in force: {why}");
    }
}

fn print_stages(stages: &[Value]) {
    say!("ranker");
    let mut table = Table::of([column(""), column(""), column(""), column(""), column(""), whole("")]);
    for stage in stages {
        let weight = stage["weight"].as_f64().filter(|_| stage["role"] == "score");
        let weight = weight.map(|weight| format!("x{weight}")).unwrap_or_default();
        let [role, name, source] = ["role", "name", "source"].map(|field| text(&stage[field]));
        table.row([role, &weight, name, source, short(&stage["digest"]), &settings(stage)]);
    }
    table.print();
}

/// What a component is told, if it is told anything.
fn settings(component: &Value) -> String {
    match &component["settings"] {
        Value::Object(settings) if !settings.is_empty() => component["settings"].to_string(),
        _ => String::new(),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Enough of a digest to tell versions apart.
pub(super) fn short(digest: &Value) -> &str {
    let digest = text(digest);
    digest.get(..12).unwrap_or(digest)
}
