//! `issuecommand release` and `reassign`: an operator's word on any claim.

use std::process::ExitCode;

use clap::Args;
use issuecommand::api::Call;
use issuecommand::domain::{AgentId, Claim};
use serde::Deserialize;
use serde_json::json;

use super::door::DoorArgs;
use super::runtime;

#[derive(Debug, Args)]
pub struct ReleaseArgs {
    #[command(flatten)]
    door: DoorArgs,
    /// Which: its id, or the issue it holds, as in owner/repo#7
    #[arg(value_name = "CLAIM")]
    claim: String,
    /// Why, for its history
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
}

#[derive(Debug, Args)]
pub struct ReassignArgs {
    #[command(flatten)]
    door: DoorArgs,
    /// Which: its id, or the issue it holds, as in owner/repo#7
    #[arg(value_name = "CLAIM")]
    claim: String,
    /// To whom
    #[arg(long, value_name = "AGENT")]
    to: AgentId,
    /// Why, for its history
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
}

pub fn release(args: &ReleaseArgs) -> anyhow::Result<ExitCode> {
    runtime()?.block_on(async {
        let door = args.door.open().await?;
        let claim_id = door.claim_named(&args.claim).await?;
        let fields = json!({ "claim_id": claim_id, "note": args.note });
        let Overruled { claim, .. } = door.ask_for(Call::OperatorRelease, fields).await?;
        anstream::println!("{} is free: taken back from {}", claim.issue_ref(), claim.agent_id);
        Ok(ExitCode::SUCCESS)
    })
}

pub fn reassign(args: &ReassignArgs) -> anyhow::Result<ExitCode> {
    runtime()?.block_on(async {
        let door = args.door.open().await?;
        let claim_id = door.claim_named(&args.claim).await?;
        let fields = json!({ "claim_id": claim_id, "agent_id": args.to, "note": args.note });
        let Overruled { claim, idempotent } = door.ask_for(Call::OperatorReassign, fields).await?;
        let already = if idempotent { ", as before" } else { "" };
        anstream::println!("{} is held by {}{already}", claim.issue_ref(), claim.agent_id);
        Ok(ExitCode::SUCCESS)
    })
}

/// What the operator's word has done.
#[derive(Debug, Deserialize)]
struct Overruled {
    claim: Claim,
    #[serde(default)]
    idempotent: bool,
}
