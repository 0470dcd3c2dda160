//! `issuecommand release` and `reassign`: an operator's word on any claim.

use std::process::ExitCode;

use clap::Args;
use issuecommand::api::Call;
use issuecommand::domain::AgentId;
use serde_json::{Value, json};

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
        let answer = door.ask(Call::OperatorRelease, json!({ "claim_id": claim_id, "note": args.note })).await?;
        anstream::println!("{} is free: taken back from {}", issue(&answer), agent(&answer));
        Ok(ExitCode::SUCCESS)
    })
}

pub fn reassign(args: &ReassignArgs) -> anyhow::Result<ExitCode> {
    runtime()?.block_on(async {
        let door = args.door.open().await?;
        let claim_id = door.claim_named(&args.claim).await?;
        let fields = json!({ "claim_id": claim_id, "agent_id": args.to, "note": args.note });
        let answer = door.ask(Call::OperatorReassign, fields).await?;
        let already = if answer["idempotent"] == true { ", as before" } else { "" };
        anstream::println!("{} is held by {}{already}", issue(&answer), agent(&answer));
        Ok(ExitCode::SUCCESS)
    })
}

fn issue(answer: &Value) -> String {
    let claim = &answer["claim"];
    format!("{}#{}", claim["repo"].as_str().unwrap_or("?"), claim["issue_number"])
}

fn agent(answer: &Value) -> &str {
    answer["claim"]["agent_id"].as_str().unwrap_or("?")
}
