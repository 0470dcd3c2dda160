//! `issuecommand pause`, `resume`, `cancel` and `answer`: a word to the dispatcher.

use std::process::ExitCode;

use clap::Args;
use issuecommand::api::Call;
use serde_json::{Value, json};

use super::super::door::DoorArgs;
use super::super::runtime;
use super::{RunAnswer, whoami};

#[derive(Debug, Args)]
#[command(after_help = "It holds over restarts, until `issuecommand resume`.

Example:
  issuecommand pause --reason 'the model is down'")]
pub struct PauseArgs {
    #[command(flatten)]
    door: DoorArgs,
    /// Why, for people who ask
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

#[derive(Debug, Args)]
pub struct ResumeArgs {
    #[command(flatten)]
    door: DoorArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "RUN is the id of the run, or 4 to 12 of its last digits, as `status` and `queue` show them.

Example:
  issuecommand cancel 8f3a")]
pub struct CancelArgs {
    #[command(flatten)]
    door: DoorArgs,
    /// Which: the id of the run, or its last digits
    #[arg(value_name = "RUN")]
    run: String,
}

#[derive(Debug, Args)]
#[command(after_help = "`issuecommand status` shows what is asked. A comment on the issue answers it too.

Example:
  issuecommand answer 8f3a 'Take the second way, and keep the old flag'")]
pub struct AnswerArgs {
    #[command(flatten)]
    door: DoorArgs,
    /// Which: the id of the run, or its last digits
    #[arg(value_name = "RUN")]
    run: String,
    /// What its agent is told
    #[arg(value_name = "TEXT")]
    answer: String,
}

pub fn pause(args: &PauseArgs) -> anyhow::Result<ExitCode> {
    tell(&args.door, Call::DispatchPause, json!({ "reason": args.reason }), "paused: what is under way goes on")
}

pub fn resume(args: &ResumeArgs) -> anyhow::Result<ExitCode> {
    tell(&args.door, Call::DispatchResume, Value::Null, "resumed")
}

pub fn cancel(args: &CancelArgs) -> anyhow::Result<ExitCode> {
    runtime()?.block_on(async {
        let door = args.door.open_existing().await?;
        let RunAnswer { run, left, .. } = door.ask_for(Call::DispatchCancel, json!({ "run": args.run })).await?;
        let waits = if left { "; its server ends it when it hears of this" } else { "" };
        anstream::println!("run {} on {} is {}{waits}", run.run_id.short(), run.issue_ref(), run.status());
        Ok(ExitCode::SUCCESS)
    })
}

pub fn answer(args: &AnswerArgs) -> anyhow::Result<ExitCode> {
    let fields = json!({ "run": args.run, "answer": args.answer, "by": whoami() });
    runtime()?.block_on(async {
        let door = args.door.open_existing().await?;
        let RunAnswer { left, .. } = door.ask_for(Call::DispatchAnswer, fields).await?;
        anstream::println!(
            "{}",
            if left { "its server tells its agent when it hears of this" } else { "its agent is told" }
        );
        Ok(ExitCode::SUCCESS)
    })
}

fn tell(door: &DoorArgs, call: Call, fields: Value, done: &str) -> anyhow::Result<ExitCode> {
    runtime()?.block_on(async {
        door.open_existing().await?.ask(call, fields).await?;
        anstream::println!("{done}");
        Ok(ExitCode::SUCCESS)
    })
}
