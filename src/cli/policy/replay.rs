//! `issuecommand policy replay`: what would this policy have done?

use std::collections::BTreeSet;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::Args;
use issuecommand::api::Call;
use issuecommand::domain::{AgentId, Decision, IssueSnapshot};
use issuecommand::policy::BodySource;
use issuecommand::replay::{
    Contender, DecisionTexts, History, Progress, ReplayOptions, Report, SimulatedAgent, Table, page, replay,
    replay_decisions, texts_of,
};
use serde::Deserialize;
use serde_json::{Value, json};

use super::explain::NOT_RECORDING;
use crate::cli::door::{DoorArgs, UNKNOWN_FORM};
use crate::cli::progress::Bar;
use crate::cli::show::print_json;
use crate::cli::{output, runtime};

/// Labels by whose tiers waiting is told when none are named: those of the built-in ranker.
const PRIORITIES: [&str; 2] = [
    "p0, priority:critical, priority/critical, priority/high, high, severity:critical, sev:1",
    "p1, priority:high, priority/medium, medium, sev:2",
];

#[derive(Debug, Args)]
#[command(
    after_help = "A POLICY is builtin:rules, builtin:conflict-aware, a component (ranker.wasm), a policy's folder (with \
    the settings of its policy.toml), or a whole configuration (issuecommand.toml).\n\nNothing is claimed and nobody is asked: a replay reads files and writes a report. The \
    same inputs give the same report, byte for byte."
)]
pub struct ReplayArgs {
    /// The history to replay: JSON lines, as `issuecommand history pull` records them
    #[arg(long, value_name = "FILE", required_unless_present = "decisions", conflicts_with = "decisions")]
    history: Option<PathBuf>,
    /// Ask again what a server was asked: its newest recorded decisions, of a running one or of its database. Another
    /// policy than the one that decided chooses among the issues that decision considered, no others
    #[arg(long, conflicts_with_all = ["html", "priorities"])]
    decisions: bool,
    /// How many recorded decisions
    #[arg(long, value_name = "COUNT", default_value_t = 1000, value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: u16,
    #[command(flatten)]
    door: DoorArgs,
    /// The policy in question [default: builtin:rules where --settings or --against-settings is given, else the
    /// configuration, or builtin:rules where there is none]
    #[arg(long, value_name = "POLICY")]
    policy: Option<String>,
    /// What that policy is told: a file of TOML, as below [policies.ranker.settings]; without --policy builtin:rules is
    /// told it, whatever issuecommand.toml says
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// The policy to hold it against
    #[arg(long, value_name = "POLICY")]
    against: Option<String>,
    /// What the other policy is told; without --against: that of --policy, or builtin:rules, with these settings
    #[arg(long, value_name = "FILE")]
    against_settings: Option<PathBuf>,
    /// How many agents work; they are called agent-1 and so on
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=1000))]
    agents: u16,
    /// Who works instead, so that they belong to the configuration's groups, with what each can do:
    /// 'night-1, css-1=frontend css'
    #[arg(long, value_name = "NAMES", conflicts_with_all = ["agents", "decisions"], value_delimiter = ',')]
    agent_names: Vec<SimulatedAgent>,
    /// What the draws of how long work takes begin with
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How much faster than people did work is done; reviews keep their pace
    #[arg(long, value_name = "TIMES", default_value_t = 1.0, value_parser = speed)]
    speed: f64,
    /// Labels of one priority, separated by commas; the highest first. May be given several times
    #[arg(long = "priority", value_name = "LABELS")]
    priorities: Vec<String>,
    /// Days after which an issue that nobody ever picked has starved, where others overtook it, or agents asked
    /// meanwhile and got nothing
    #[arg(long, value_name = "DAYS", default_value_t = 30.0, value_parser = days)]
    starved_after: f64,
    /// Print the report as JSON, for programs
    #[arg(long)]
    json: bool,
    /// Write the report as one page of HTML
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

pub fn run(args: &ReplayArgs) -> anyhow::Result<ExitCode> {
    match &args.history {
        Some(file) => of_history(args, file),
        None => of_decisions(args),
    }
}

fn of_history(args: &ReplayArgs, file: &Path) -> anyhow::Result<ExitCode> {
    let names: BTreeSet<&AgentId> = args.agent_names.iter().map(|agent| &agent.name).collect();
    if names.len() < args.agent_names.len() {
        bail!("--agent-names names an agent twice: each works alone, under a name of its own");
    }
    let history = History::read(file)?;
    let (policy, against) = contenders(args, &texts_of(&history))?;
    let bar = Bar::begin("replaying", "moments");
    let tell = |progress: Progress| bar.show(progress.done as u64, progress.total as u64);
    let report = replay(&history, &policy, against.as_ref(), &options(args), &tell)?;
    drop(bar);
    if let Some(file) = &args.html {
        write_whole(file, page(&report).as_bytes()).with_context(|| format!("failed to write {}", file.display()))?;
    }
    show(args, &report)?;
    Ok(ExitCode::SUCCESS)
}

fn of_decisions(args: &ReplayArgs) -> anyhow::Result<ExitCode> {
    let decisions = runtime()?.block_on(recorded(args))?;
    if decisions.is_empty() {
        bail!("no decision is recorded yet: agents that ask for work leave them");
    }
    let texts = Arc::new(DecisionTexts::default());
    let (policy, against) = contenders(args, &(Arc::clone(&texts) as Arc<dyn BodySource>))?;
    let contenders: Vec<_> = [Some(policy), against].into_iter().flatten().collect();
    let bar = Bar::begin("replaying", "decisions");
    let total = decisions.len() as u64;
    let report = replay_decisions(&decisions, &contenders, &texts, &|done| {
        bar.show(done as u64, total);
        true
    })?;
    drop(bar);
    if args.json {
        print_json(&report);
    } else {
        output::print(&report);
    }
    Ok(if report.replayed == 0 { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// The newest recorded decisions, whole, the oldest of them first.
async fn recorded(args: &ReplayArgs) -> anyhow::Result<Vec<Decision>> {
    let door = args.door.open().await?;
    let listed = door.ask(Call::Decisions, json!({ "limit": args.limit })).await?;
    if listed["is_recording"] == false && listed["decisions"] == json!([]) {
        bail!(NOT_RECORDING);
    }
    let mut decisions = Vec::new();
    for decision in listed["decisions"].as_array().into_iter().flatten().rev() {
        let whole = door.ask(Call::Decision, json!({ "decision_id": decision["decision_id"] })).await?;
        decisions.push(whole_decision(&whole)?);
    }
    Ok(decisions)
}

/// A decision, with the issues as the policy saw them, which the answer tells beside it.
fn whole_decision(answer: &Value) -> anyhow::Result<Decision> {
    let mut decision = Decision::deserialize(&answer["decision"]).context(UNKNOWN_FORM)?;
    for seen in decision.considered.iter_mut().filter_map(|row| row.seen.as_mut()) {
        if let Some(state) = answer["states"].get(seen.facts.as_str()) {
            seen.snapshot = Some(Arc::new(IssueSnapshot::deserialize(state).context(UNKNOWN_FORM)?));
        }
    }
    Ok(decision)
}

fn contenders(args: &ReplayArgs, texts: &Arc<dyn BodySource>) -> anyhow::Result<(Contender, Option<Contender>)> {
    let load = |policy: &str, settings: &Option<PathBuf>| {
        let host = super::host()?.reading_bodies_from(Arc::clone(texts));
        anyhow::Ok(Contender::load(policy, settings.as_deref(), host)?)
    };
    // Settings are those of a component; a configuration has its own.
    let is_told = args.settings.is_some() || args.against_settings.is_some() && args.against.is_none();
    let configured = || args.door.file().filter(|_| !is_told).map(|file| file.display().to_string());
    let policy = args.policy.clone().or_else(configured);
    let policy = policy.as_deref().unwrap_or("builtin:rules");
    let other = args.against.as_deref().or(args.against_settings.as_ref().map(|_| policy));
    let against = other.map(|other| load(other, &args.against_settings)).transpose()?;
    Ok((load(policy, &args.settings)?, against))
}

fn show(args: &ReplayArgs, report: &Report) -> anyhow::Result<()> {
    if args.json {
        print_json(report);
    } else {
        output::print(Table(report));
    }
    if let Some(file) = &args.html {
        tell!("The page is in {}", file.display());
    }
    Ok(())
}

fn options(args: &ReplayArgs) -> ReplayOptions {
    let named = args.priorities.iter().map(String::as_str);
    let tiers: Vec<&str> = if args.priorities.is_empty() { PRIORITIES.into() } else { named.collect() };
    let labels = |tier: &&str| tier.split(',').map(|label| label.trim().to_owned()).filter(|l| !l.is_empty()).collect();
    ReplayOptions {
        agents: args.agents.into(),
        named: args.agent_names.clone(),
        seed: args.seed,
        speed: args.speed,
        starved_after_days: args.starved_after,
        priorities: tiers.iter().map(labels).collect(),
    }
}

fn speed(text: &str) -> Result<f64, String> {
    let speed = text.parse::<f64>().ok().filter(|speed| (0.001..=1_000_000.0).contains(speed));
    speed.ok_or_else(|| "expected a number from 0.001 to 1000000".to_owned())
}

fn days(text: &str) -> Result<f64, String> {
    let days = text.parse::<f64>().ok().filter(|days| (0.0..=36_500.0).contains(days));
    days.ok_or_else(|| "expected a number of days, 0 to 36500".to_owned())
}

/// The file is there whole, or not at all.
fn write_whole(file: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // As open to others as any file that is written here: a report is for showing.
    let open = std::fs::Permissions::from_mode(0o666);
    let mut draft = tempfile::Builder::new().permissions(open).tempfile_in(folder)?;
    draft.write_all(bytes)?;
    draft.as_file().sync_all()?;
    draft.persist(file)?;
    Ok(())
}
