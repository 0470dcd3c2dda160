//! `issuecommand queue`: which run begins next.

use std::process::ExitCode;

use clap::Args;
use issuecommand::api::Call;
use issuecommand::domain::{RunPriority, Timestamp};
use serde::Deserialize;
use serde_json::json;

use super::super::door::{DoorArgs, read};
use super::super::runtime;
use super::super::show::{Format, print_json};
use super::super::table::{Table, long, number, text};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  issuecommand queue                          which run begins next
  issuecommand queue --move 1f2e3d --to 1     this one first")]
pub struct QueueArgs {
    #[command(flatten)]
    door: DoorArgs,
    /// Put this run at another place
    #[arg(long = "move", value_name = "RUN", requires = "to")]
    moved: Option<String>,
    /// The place, from 1
    #[arg(long, value_name = "PLACE", requires = "moved")]
    to: Option<u64>,
    #[command(flatten)]
    format: Format,
}

#[derive(Debug, Deserialize)]
struct Queue {
    queue: Vec<Row>,
    #[serde(default)]
    paused: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Row {
    place: usize,
    run: String,
    issue: String,
    title: String,
    priority: RunPriority,
    requested_by: String,
    #[serde(default)]
    not_before: Option<Timestamp>,
    #[serde(default)]
    reason: Option<String>,
}

pub fn run(args: &QueueArgs) -> anyhow::Result<ExitCode> {
    runtime()?.block_on(async {
        let door = args.door.open().await?;
        door.say_if_at_rest();
        let answer = door.ask(Call::DispatchQueue, json!({ "run": args.moved, "place": args.to })).await?;
        let Queue { queue, paused } = read(&answer)?;
        if args.format.json {
            print_json(&answer);
            return Ok(ExitCode::SUCCESS);
        }
        if queue.is_empty() {
            say!("nothing waits");
            return Ok(ExitCode::SUCCESS);
        }
        let texts = ["run", "issue", "priority", "asked for by", "waits for"].map(text);
        let mut table = Table::of([number("")].into_iter().chain(texts).chain([long("title")]));
        for row in queue {
            let waits = match (row.not_before, row.reason) {
                (Some(at), why) => format!("{} {}", at.format("%H:%M:%S"), why.unwrap_or_default()),
                (None, _) if paused.is_some() => "the end of the pause".into(),
                (None, _) => "a slot".into(),
            };
            let place = row.place.to_string();
            let cells = [place, row.run, row.issue, row.priority.to_string(), row.requested_by, waits, row.title];
            table.row(cells);
        }
        table.print();
        if let Some(why) = &paused {
            say!("PAUSED: {why} (`issuecommand resume` goes on)");
        }
        Ok(ExitCode::SUCCESS)
    })
}
