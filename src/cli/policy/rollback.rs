//! `issuecommand policy rollback`: a ranker that was in force before is so again.

use std::process::ExitCode;

use clap::Args;
use issuecommand::api::Call;
use issuecommand::promotion::{RolledBack, roll_back};
use issuecommand::store::PolicySetKept;
use serde::Deserialize;
use serde_json::{Value, json};

use super::super::door::{DoorArgs, read};
use super::super::runtime;
use super::super::show::Format;
use super::super::table::{Table, long, number, text, whole};
use super::in_force::{begin, word};

#[derive(Debug, Args)]
pub struct RollbackArgs {
    #[command(flatten)]
    door: DoorArgs,
    /// Put the ranker of this set back, instead of the last one that was another than the present one
    #[arg(long, value_name = "ID")]
    to: Option<u64>,
    /// Print the sets that were in force, and change nothing
    #[arg(long)]
    list: bool,
    /// Why, for the history
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    #[command(flatten)]
    format: Format,
}

#[derive(Debug, Deserialize)]
struct History {
    sets: Vec<PolicySetKept>,
}

pub fn run(args: &RollbackArgs) -> anyhow::Result<ExitCode> {
    if args.list {
        return list(args);
    }
    let done = runtime()?.block_on(async {
        let (ground, door) = begin(&args.door).await?;
        roll_back(&door, &ground, args.to, &word(args.note.as_ref())).await
    })?;
    let RolledBack { ranker, of, outcome, said } = &done;
    let answer = json!({ "ok": true, "ranker": ranker, "of": of, "outcome": outcome, "said": said });
    args.format.show(&answer, || tell_of(&done, args.to.is_none()));
    Ok(ExitCode::SUCCESS)
}

fn tell_of(done: &RolledBack, is_last: bool) {
    for line in &done.said {
        say!("{line}");
    }
    let digest = done.ranker.digest.get(..12).unwrap_or(&done.ranker.digest);
    let of = done.of.format("%Y-%m-%d %H:%M");
    say!("rolled back to {} ({digest}) of {of}: {}", done.ranker.source, done.outcome.told());
    if is_last {
        say!("(once more undoes this; --list prints what was in force before, for --to)");
    }
}

fn list(args: &RollbackArgs) -> anyhow::Result<ExitCode> {
    let answer = runtime()?.block_on(async { args.door.open().await?.ask(Call::PolicyHistory, Value::Null).await })?;
    let History { sets } = read(&answer)?;
    args.format.show(&answer, || tell(&sets));
    Ok(ExitCode::SUCCESS)
}

fn tell(sets: &[PolicySetKept]) {
    let columns = [number("set"), whole("when (UTC)"), long("ranker"), long("settings"), text("source"), text("why")];
    let mut table = Table::of(columns);
    for PolicySetKept { set_id, at, why, by, record } in sets {
        let stamp = &record.ranker_stamp;
        let short = |digest: &str| digest.get(..12).unwrap_or(digest).to_owned();
        let by = by.as_ref().map(|by| format!(", by {by}")).unwrap_or_default();
        table.row([
            set_id.to_string(),
            at.format("%Y-%m-%d %H:%M:%S").to_string(),
            short(&stamp.digest),
            short(&stamp.settings_digest),
            stamp.source.clone(),
            format!("{why}{by}"),
        ]);
    }
    table.print();
}
