//! `issuecommand status`: what is worked on now.

use std::process::ExitCode;

use clap::Args;
use issuecommand::api::Call;
use issuecommand::domain::{Run, RunUsage};
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::door::{DoorArgs, UNKNOWN_FORM};
use super::super::runtime;
use super::super::show::{Format, print_json};
use super::super::table::{Table, long, number, place, text};

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  issuecommand status                         slots, runs under way, what they use
  issuecommand status --ended                 the last runs that ended, too
  issuecommand status --json | jq '.status.active[].id'")]
pub struct StatusArgs {
    #[command(flatten)]
    door: DoorArgs,
    /// Also the last runs that ended
    #[arg(long)]
    ended: bool,
    #[command(flatten)]
    format: Format,
}

#[derive(Debug, Deserialize)]
struct Status {
    enabled: bool,
    #[serde(default)]
    worker: bool,
    #[serde(default)]
    paused: Option<String>,
    queued: usize,
    slots_used: usize,
    slots: u32,
    waiting_human: usize,
    runtime: String,
    #[serde(default)]
    limits_enforced: Option<bool>,
    active: Vec<Active>,
    used_today: RunUsage,
}

#[derive(Debug, Deserialize)]
struct Active {
    #[serde(flatten)]
    run: Run,
    #[serde(default)]
    server: Option<String>,
    #[serde(default)]
    memory_bytes: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Runs {
    runs: Vec<Run>,
}

pub fn run(args: &StatusArgs) -> anyhow::Result<ExitCode> {
    use anyhow::Context;
    runtime()?.block_on(async {
        let door = args.door.open().await?;
        door.say_if_at_rest();
        let mut answer: Value = door.ask(Call::DispatchStatus, Value::Null).await?;
        let ended: Runs = match args.ended {
            true => door.ask_for(Call::DispatchRuns, json!({ "ended": true, "limit": 20 })).await?,
            false => Runs { runs: Vec::new() },
        };
        if args.format.json {
            answer["runs"] = json!(ended.runs);
            print_json(&answer);
            return Ok(ExitCode::SUCCESS);
        }
        let status: Status = serde_json::from_value(answer["status"].take()).context(UNKNOWN_FORM)?;
        head(&status);
        let active = status.active.iter().map(|active| (&active.run, active.memory_bytes, active.server.as_deref()));
        let past = ended.runs.iter().filter(|run| run.status().is_terminal()).map(|run| (run, None, None));
        let rows: Vec<_> = active.chain(past).collect();
        if !rows.is_empty() {
            say!();
            table(&rows).print();
        }
        Ok(ExitCode::SUCCESS)
    })
}

fn head(status: &Status) {
    let taking = match status {
        Status { worker: true, .. } => "works on what other servers queue",
        Status { enabled: true, .. } => "takes labelled issues up",
        Status { .. } => "works on what it is told to",
    };
    let (used_slots, slots, queued) = (status.slots_used, status.slots, status.queued);
    say!("dispatch {taking}; {used_slots} of {slots} slots taken, {queued} queued");
    match status.waiting_human {
        0 => {}
        1 => say!("1 waits for people, and takes no slot: `issuecommand answer RUN TEXT`"),
        count => say!("{count} wait for people, and take no slot: `issuecommand answer RUN TEXT`"),
    }
    if let Some(why) = &status.paused {
        say!("PAUSED: {why} (`issuecommand resume` goes on)");
    }
    let limits = if status.limits_enforced == Some(false) { ", WITHOUT enforced limits" } else { "" };
    say!("containers by {}{limits}", status.runtime);
    let used = &status.used_today;
    say!("used today: {} tokens, {:.2} USD", used.tokens(), used.cost_usd);
}

fn table(rows: &[(&Run, Option<u64>, Option<&str>)]) -> Table {
    let mut table = Table::of([
        text("run"),
        place("issue"),
        text("status"),
        text("priority"),
        number("attempt"),
        text("step"),
        number("memory"),
        number("since"),
        long("what"),
    ]);
    for (run, memory, server) in rows {
        let step = run.journal.last().map_or("", |entry| entry.phase.doing());
        let told = run.pr_url.as_deref().or(run.reason.as_deref()).unwrap_or(&run.title);
        let question = run.question.as_ref().map(|question| format!("asks: {}", question.text));
        let there = server.map_or_else(String::new, |server| format!("at {server}: "));
        let cells = [
            run.run_id.short(),
            run.issue_ref().to_string(),
            run.status().to_string(),
            run.priority.to_string(),
            run.attempts.to_string(),
            if run.status().is_terminal() { String::new() } else { step.to_owned() },
            memory.map_or_else(String::new, |bytes| format!("{} MB", bytes / 1_000_000)),
            run.updated_at.format("%H:%M:%S").to_string(),
            there + question.as_deref().unwrap_or(told),
        ];
        table.row(cells);
    }
    table
}
