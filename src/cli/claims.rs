//! `issuecommand claims`: who holds what, for how long.

use std::process::ExitCode;

use clap::Args;
use clap::builder::PossibleValuesParser;
use issuecommand::api::Call;
use issuecommand::domain::{AgentId, Claim, ClaimStatus, Clock, RepoName, SystemClock, Timestamp};
use serde::Deserialize;
use serde_json::json;

use super::door::{DoorArgs, read};
use super::runtime;
use super::show::{Format, lease_left, span, status};
use super::table::{Cell, Column, Table, long, number, place, text, whole};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  issuecommand claims                       everything that is held, oldest first
  issuecommand claims --status stale        what lapsed and was not yet taken back
  issuecommand claims --json | jq -r '.claims[].agent_id' | sort | uniq -c

`issuecommand top` shows the same live; `issuecommand release` takes a claim back.")]
pub struct ClaimsArgs {
    #[command(flatten)]
    door: DoorArgs,
    /// Only of this agent
    #[arg(long, value_name = "NAME")]
    agent: Option<AgentId>,
    /// Only in this repository
    #[arg(long, value_name = "OWNER/REPO")]
    repo: Option<RepoName>,
    /// Only in this status
    #[arg(long, value_name = "STATUS", value_parser = active_statuses())]
    status: Option<String>,
    #[command(flatten)]
    format: Format,
}

fn active_statuses() -> PossibleValuesParser {
    let active = ClaimStatus::ALL.into_iter().filter(|status| !status.is_terminal());
    PossibleValuesParser::new(active.map(ClaimStatus::as_str))
}

/// Active claims, oldest first.
#[derive(Debug, Default, Deserialize)]
pub struct Claims {
    pub claims: Vec<Claim>,
}

pub fn run(args: &ClaimsArgs) -> anyhow::Result<ExitCode> {
    let answer = runtime()?.block_on(async {
        let door = args.door.open().await?;
        door.say_if_at_rest();
        door.ask(Call::Claims, json!({ "agent_id": args.agent, "repo": args.repo, "status": args.status })).await
    })?;
    let Claims { claims } = read(&answer)?;
    args.format.show(&answer, || {
        if claims.is_empty() {
            return tell!("nobody holds anything");
        }
        let now = SystemClock.now();
        let mut table = Table::of([whole("claim")].into_iter().chain(columns()));
        for claim in &claims {
            table.row([Cell::from(claim.claim_id.short())].into_iter().chain(cells(claim, now)));
        }
        table.print();
    });
    Ok(ExitCode::SUCCESS)
}

/// What is told of a claim, besides its id.
pub fn columns() -> [Column; 6] {
    [text("agent"), place("issue"), text("status"), number("held"), number("lease"), long("title")]
}

/// The same of one claim.
pub fn cells(claim: &Claim, now: Timestamp) -> [Cell; 6] {
    [
        claim.agent_id.as_str().into(),
        claim.issue_ref().to_string().into(),
        status(claim.status()),
        span(now - claim.claimed_at).into(),
        lease_left(claim, now),
        claim.issue_title.as_str().into(),
    ]
}
