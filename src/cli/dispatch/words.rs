//! `issuecommand pause`, `resume`, `cancel` and `answer`: a word to the dispatcher.

use std::process::ExitCode;

use clap::Args;
use issuecommand::api::Call;
use serde_json::{Value, json};

use super::super::door::{DoorArgs, read};
use super::super::runtime;
use super::super::show::{Format, print_json};
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
    #[command(flatten)]
    format: Format,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:
  issuecommand resume")]
pub struct ResumeArgs {
    #[command(flatten)]
    door: DoorArgs,
    #[command(flatten)]
    format: Format,
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
    #[command(flatten)]
    format: Format,
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
    #[command(flatten)]
    format: Format,
}

pub fn pause(args: &PauseArgs) -> anyhow::Result<ExitCode> {
    tell(&args.door, Call::DispatchPause, json!({ "reason": args.reason }), args.format, |_| {
        say!("paused: what is under way goes on");
        Ok(())
    })
}

pub fn resume(args: &ResumeArgs) -> anyhow::Result<ExitCode> {
    tell(&args.door, Call::DispatchResume, Value::Null, args.format, |_| {
        say!("resumed");
        Ok(())
    })
}

pub fn cancel(args: &CancelArgs) -> anyhow::Result<ExitCode> {
    tell(&args.door, Call::DispatchCancel, json!({ "run": args.run }), args.format, |answer| {
        let RunAnswer { run, left, .. } = read(answer)?;
        let waits = if left { "; its server ends it when it hears of this" } else { "" };
        say!("run {} on {} is {}{waits}", run.run_id.short(), run.issue_ref(), run.status());
        Ok(())
    })
}

pub fn answer(args: &AnswerArgs) -> anyhow::Result<ExitCode> {
    let fields = json!({ "run": args.run, "answer": args.answer, "by": whoami() });
    tell(&args.door, Call::DispatchAnswer, fields, args.format, |answer| {
        let RunAnswer { left, .. } = read(answer)?;
        let when = if left { "its server tells its agent when it hears of this" } else { "its agent is told" };
        say!("{when}");
        Ok(())
    })
}

/// Says a word, and prints what became of it: as JSON if that is asked for.
fn tell(
    door: &DoorArgs,
    call: Call,
    fields: Value,
    format: Format,
    told: impl FnOnce(&Value) -> anyhow::Result<()>,
) -> anyhow::Result<ExitCode> {
    let answer = runtime()?.block_on(async { door.open().await?.ask(call, fields).await })?;
    if format.json {
        print_json(&answer);
    } else {
        told(&answer)?;
    }
    Ok(ExitCode::SUCCESS)
}
