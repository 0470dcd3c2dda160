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
use super::following::{Following, LogPage, shown};

#[derive(Debug, Args)]
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
    #[arg(long, conflicts_with = "follow")]
    json: bool,
}

pub fn run(args: &LogsArgs) -> anyhow::Result<ExitCode> {
    runtime()?.block_on(async {
        let door = args.door.open_existing().await?;
        let RunAnswer { run } = door.ask_for(Call::DispatchRun, json!({ "run": args.run })).await?;
        if args.follow {
            let mut end_requests = EndRequests::listen()?;
            let following = Following::of(&door, run.run_id);
            let ended = tokio::select! {
                ended = following.to_the_end() => ended?,
                () = end_requests.next() => return Ok(ExitCode::SUCCESS),
            };
            return match ended.status() {
                RunStatus::Completed => Ok(ExitCode::SUCCESS),
                _ => bail!("{}", ended.reason.unwrap_or_else(|| "the run failed".into())),
            };
        }
        let wish = json!({ "run": run.run_id, "limit": args.lines });
        let page: LogPage = door.ask_for(Call::DispatchLogs, wish).await?;
        for line in &page.lines {
            match args.json {
                true => anstream::println!("{}", serde_json::to_string(line)?),
                false => anstream::println!("{}", shown(line)),
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}
