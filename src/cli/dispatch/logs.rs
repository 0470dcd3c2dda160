//! `issuecommand logs`: what a run did.

use std::process::ExitCode;

use anyhow::bail;
use clap::Args;
use issuecommand::api::Call;
use issuecommand::domain::RunStatus;
use serde_json::json;

use super::super::door::DoorArgs;
use super::super::{EndRequests, runtime};
use super::RunAnswer;
use super::following::{Following, LogPage, NobodyWorks, Onto, print};

#[derive(Debug, Args)]
#[command(after_help = "RUN is the id of the run, or 4 to 12 of its last digits, as `status` and `queue` show them.

Examples:
  issuecommand logs 8f3a -n 20                the last 20 lines
  issuecommand logs -f 8f3a                   go on until it ends; exit code 1 if it fails
  issuecommand logs -f 8f3a --json | jq -r .text")]
pub struct LogsArgs {
    #[command(flatten)]
    door: DoorArgs,
    /// Which: the id of the run, or its last digits
    #[arg(value_name = "RUN")]
    run: String,
    /// Go on until the run has ended; exit code 1 if it failed
    #[arg(short, long)]
    follow: bool,
    /// How many of the last lines
    #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 200)]
    lines: usize,
    /// One JSON object a line
    #[arg(long)]
    json: bool,
}

pub fn run(args: &LogsArgs) -> anyhow::Result<ExitCode> {
    runtime()?.block_on(async {
        let door = args.door.open().await?;
        door.say_if_at_rest();
        let RunAnswer { run, .. } = door.ask_for(Call::DispatchRun, json!({ "run": args.run })).await?;
        let mut end_requests = EndRequests::listen()?;
        let wish = json!({ "run": run.run_id, "limit": args.lines });
        let page: LogPage = door.ask_for(Call::DispatchLogs, wish).await?;
        let onto = if args.json { Onto::StdoutAsJson } else { Onto::Stdout };
        page.lines.iter().try_for_each(|line| print(line, onto))?;
        if !args.follow {
            return Ok(ExitCode::SUCCESS);
        }
        if door.is_at_rest() && !run.status().is_terminal() {
            bail!(NobodyWorks::on(&run));
        }
        let mut following = Following::of(&args.door, &door, run.run_id, onto);
        let ended = tokio::select! {
            ended = following.until_the_end(page.lines.last().map_or(0, |line| line.seq)) => ended?,
            () = end_requests.next() => return Ok(ExitCode::SUCCESS),
        };
        match ended.status() {
            RunStatus::Completed => Ok(ExitCode::SUCCESS),
            _ => bail!("{}", ended.reason.unwrap_or_else(|| "the run failed".into())),
        }
    })
}
