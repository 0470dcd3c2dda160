//! `issuecommand release` and `reassign`: a claim given back by its agent, or an operator's word on any claim.

use std::process::ExitCode;

use clap::Args;
use issuecommand::api::Call;
use issuecommand::domain::{AgentId, Claim};
use serde::Deserialize;
use serde_json::json;

use super::door::{DoorArgs, read};
use super::refused::Refused;
use super::show::Format;
use super::{HELD_BY_ANOTHER, runtime};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  issuecommand release acme/webshop#7 --note 'stuck since Friday'
  issuecommand release acme/webshop#7 --agent alice       her own: a token of scope claim is enough
  issuecommand release 8e2f41c0                           the end of the claim's id, as `claims` shows it

Exit codes: 0 it is free, 4 another agent than --agent holds it, 1 anything else.")]
pub struct ReleaseArgs {
    #[command(flatten)]
    door: DoorArgs,
    /// Which: its id or the end of it, or the issue it holds, as in owner/repo#7
    #[arg(value_name = "CLAIM")]
    claim: String,
    /// As this agent, and only if it holds the claim; without one as an operator, whoever does
    #[arg(long, value_name = "NAME")]
    agent: Option<AgentId>,
    /// Why, for its history
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    #[command(flatten)]
    format: Format,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:
  issuecommand reassign acme/webshop#7 --to codex-1 --note 'knows the payments'")]
pub struct ReassignArgs {
    #[command(flatten)]
    door: DoorArgs,
    /// Which: its id or the end of it, or the issue it holds, as in owner/repo#7
    #[arg(value_name = "CLAIM")]
    claim: String,
    /// To whom
    #[arg(long, value_name = "AGENT")]
    to: AgentId,
    /// Why, for its history
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    #[command(flatten)]
    format: Format,
}

pub fn release(args: &ReleaseArgs) -> anyhow::Result<ExitCode> {
    let released = runtime()?.block_on(async {
        let Some(agent) = &args.agent else {
            let door = args.door.open().await?;
            let claim_id = door.claim_named(&args.claim).await?;
            return door.ask(Call::OperatorRelease, json!({ "claim_id": claim_id, "note": args.note })).await;
        };
        let door = args.door.server()?;
        let claim_id = door.claim_named(&args.claim).await?;
        let fields = json!({ "claim_id": claim_id, "agent_id": agent, "reason": args.note });
        door.ask(Call::Release, fields).await
    });
    let is_of_another = |error: &anyhow::Error| matches!(error.downcast_ref(), Some(Refused { reason, .. }) if reason == "agent_mismatch");
    let answer = match released {
        Err(error) if is_of_another(&error) => {
            tell!("{error}");
            return Ok(HELD_BY_ANOTHER.into());
        }
        released => released?,
    };
    let Overruled { claim, .. } = read(&answer)?;
    let how = if args.agent.is_some() { "given back by" } else { "taken back from" };
    args.format.show(&answer, || {
        say!("{} is free: {how} {}", claim.issue_ref(), claim.agent_id);
    });
    Ok(ExitCode::SUCCESS)
}

pub fn reassign(args: &ReassignArgs) -> anyhow::Result<ExitCode> {
    let answer = runtime()?.block_on(async {
        let door = args.door.open().await?;
        let claim_id = door.claim_named(&args.claim).await?;
        let fields = json!({ "claim_id": claim_id, "agent_id": args.to, "note": args.note });
        door.ask(Call::OperatorReassign, fields).await
    })?;
    let Overruled { claim, idempotent } = read(&answer)?;
    let already = if idempotent { ", as before" } else { "" };
    args.format.show(&answer, || {
        say!("{} is held by {}{already}", claim.issue_ref(), claim.agent_id);
    });
    Ok(ExitCode::SUCCESS)
}

/// What the word has done.
#[derive(Debug, Deserialize)]
struct Overruled {
    claim: Claim,
    #[serde(default)]
    idempotent: bool,
}
