//! `issuecommand approve`: a maintainer's word on an issue, without a label.

use std::process::ExitCode;

use clap::Args;
use issuecommand::api::Call;
use issuecommand::domain::{AgentId, IssueRef};
use serde::Deserialize;
use serde_json::json;

use super::door::{DoorArgs, read};
use super::runtime;
use super::show::Format;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  issuecommand approve acme/webshop#7 --by ann
  issuecommand approve acme/webshop#7 --withdraw")]
pub struct ApproveArgs {
    #[command(flatten)]
    door: DoorArgs,
    /// Which issue, as in owner/repo#7
    #[arg(value_name = "ISSUE")]
    issue: IssueRef,
    /// Who approves it, for the record
    #[arg(long, value_name = "NAME")]
    by: Option<AgentId>,
    /// Take the approval back, whoever gave it
    #[arg(long)]
    withdraw: bool,
    #[command(flatten)]
    format: Format,
}

/// What became of the word.
#[derive(Debug, Deserialize)]
struct Approved {
    idempotent: bool,
    #[serde(default)]
    approved_by: Option<String>,
}

pub fn run(args: &ApproveArgs) -> anyhow::Result<ExitCode> {
    let issue = &args.issue;
    let fields = json!({
        "repo": issue.repo, "issue_number": issue.number, "by": args.by, "withdraw": args.withdraw.then_some(true),
    });
    let answer = runtime()?.block_on(async { args.door.open().await?.ask(Call::OperatorApprove, fields).await })?;
    let Approved { idempotent, approved_by } = read(&answer)?;
    args.format.show(&answer, || match approved_by {
        Some(by) => say!("{issue} is approved as it reads now, by {by}; an edit asks for a new word"),
        None if idempotent => say!("{issue} was not approved"),
        None => say!("{issue} is approved no more"),
    });
    Ok(ExitCode::SUCCESS)
}
