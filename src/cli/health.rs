//! `issuecommand health`: how the server is doing.

use std::process::ExitCode;

use chrono::TimeDelta;
use clap::Args;
use issuecommand::api::Call;
use issuecommand::domain::{Clock, SystemClock, Timestamp, in_one_line};
use serde::Deserialize;
use serde_json::Value;

use super::door::{DoorArgs, read};
use super::show::{BAD, Format, GOOD, MARK, span};
use super::table::{Cell, Table};
use super::{DEGRADED, NOT_READY, runtime};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  issuecommand health
  issuecommand health --json | jq .health.degraded
  issuecommand health --url http://build-7:3100 || echo 'look at build-7'

Exit codes: 0 all is well, 5 something works only in part (which, is told), 6 nothing can be asked of
the server (its store fails), 1 no server runs or answers.")]
pub struct HealthArgs {
    #[command(flatten)]
    door: DoorArgs,
    #[command(flatten)]
    format: Format,
    /// Exit with 0 when something works only in part, too: as /readyz answers, for what restarts a server that fails
    #[arg(long)]
    ready: bool,
}

#[derive(Debug, Deserialize)]
struct Answer {
    health: Health,
}

/// How a server is doing, as far as people look.
#[derive(Debug, Clone, Deserialize)]
pub struct Health {
    state: String,
    roles: Vec<String>,
    uptime_seconds: i64,
    total_claims: u64,
    pub active_claims: usize,
    pub active_agents: usize,
    stale_claims: usize,
    pub open_issues: usize,
    #[serde(default)]
    pub last_github_sync_at: Option<Timestamp>,
    #[serde(default)]
    pub degraded: Vec<String>,
    #[serde(default)]
    needs_restart: Vec<String>,
    policies: Policies,
}

#[derive(Debug, Clone, Deserialize)]
struct Policies {
    ranker: String,
    stale_rule: String,
    repo_filter: String,
}

impl Health {
    /// What an answer says of it.
    ///
    /// # Errors
    /// When it is not what this build knows.
    pub fn of(answer: &Value) -> anyhow::Result<Self> {
        let Answer { health } = read(answer)?;
        Ok(health)
    }

    /// Its state in a word, and for how long the server has run.
    pub fn state(&self) -> (Cell, String) {
        let style = match self.state.as_str() {
            "ready" => GOOD,
            "degraded" => MARK,
            _ => BAD,
        };
        (Cell::styled(&self.state, style), span(TimeDelta::seconds(self.uptime_seconds)))
    }

    fn code(&self, is_part_enough: bool) -> ExitCode {
        match self.state.as_str() {
            "ready" => ExitCode::SUCCESS,
            "degraded" if is_part_enough => ExitCode::SUCCESS,
            "degraded" => DEGRADED.into(),
            _ => NOT_READY.into(),
        }
    }
}

pub fn run(args: &HealthArgs) -> anyhow::Result<ExitCode> {
    let answer = runtime()?.block_on(async { args.door.server()?.ask(Call::Health, Value::Null).await })?;
    let health = Health::of(&answer)?;
    args.format.show(&answer, || tell(&health));
    Ok(health.code(args.ready))
}

fn tell(health: &Health) {
    let (state, uptime) = health.state();
    let style = state.style();
    say!("{style}{}{style:#}, up {uptime}", state.text());
    for trouble in &health.degraded {
        say!("{MARK}  {}{MARK:#}", in_one_line(trouble));
    }
    if !health.needs_restart.is_empty() {
        let settings = health.needs_restart.join(", ");
        say!("  edited, and waiting for a restart: {}", in_one_line(&settings));
    }
    let Health { active_claims, stale_claims, active_agents, total_claims, .. } = health;
    let stale = if *stale_claims > 0 { format!(", {stale_claims} of them stale") } else { String::new() };
    let synced = health.last_github_sync_at.map(|at| format!("{} ago", span(SystemClock.now() - at)));
    let mut facts = Table::of_facts();
    facts.row(["open issues", &health.open_issues.to_string()]);
    facts.row(["claims", &format!("{active_claims}{stale}, by {active_agents} agents; {total_claims} granted so far")]);
    facts.row(["last sync", synced.as_deref().unwrap_or("none went through yet")]);
    facts.row(["roles", &health.roles.join(", ")]);
    facts.row(["ranker", &health.policies.ranker]);
    facts.row(["stale rule", &health.policies.stale_rule]);
    facts.row(["repo filter", &health.policies.repo_filter]);
    facts.print();
}
