//! `issuecommand import`: claims and follow-ups from an export, or from the first edition.

use std::collections::HashMap;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use issuecommand::api::Call;
use issuecommand::domain::{Clock, SystemClock, in_one_line};
use issuecommand::state::{ImportReport, Reading};
use serde_json::{Value, json};

use super::door::{Door, DoorArgs};
use super::progress::Bar;
use super::runtime;
use super::show::Format;

/// Bytes of records in one request: a quarter of what a server takes by default.
const PART_BYTES_MAX: usize = 64 * 1024;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  issuecommand import state.json --dry-run      what would be taken, skipped and refused, and why
  issuecommand import old/issuecommand.db       the first edition's database, which stays as it is

Exit codes: 0 everything was taken or was here already, 1 some of it was refused, or all failed.")]
pub struct ImportArgs {
    #[command(flatten)]
    door: DoorArgs,
    /// What to take in: an export, or the first edition's JSON state or SQLite file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Only say what would happen, and leave nothing behind
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    format: Format,
}

pub fn run(args: &ImportArgs) -> anyhow::Result<ExitCode> {
    let reading = Reading::of_file(&args.file, SystemClock.now())?;
    let report = runtime()?.block_on(async {
        if args.dry_run {
            let (door, _folder) = args.door.open_to_try().await?;
            return take_in(door, reading, true).await;
        }
        take_in(args.door.open_or_begin().await?, reading, false).await
    })?;
    args.format.show(&json!({ "dry_run": args.dry_run, "report": report }), || tell(&report, args.dry_run));
    Ok(if report.refused.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// One record on its way: where it stood, and the list it goes into.
struct Sent {
    place: String,
    list: &'static str,
    record: Value,
}

/// Sends the records part by part, in the order in which they must be taken.
async fn take_in(door: Door, reading: Reading, dry_run: bool) -> anyhow::Result<ImportReport> {
    let Reading { claims, followups, refused } = reading;
    let mut report = ImportReport { refused, ..ImportReport::default() };
    let claims = claims.into_iter().map(|found| {
        let list = if found.claim.claim().status().is_terminal() { "history" } else { "claims" };
        Sent { place: found.place, list, record: found.record }
    });
    let followups = followups.into_iter();
    let followups = followups.map(|(place, followup)| Sent { place, list: "followups", record: json!(followup) });
    let records: Vec<Sent> = claims.chain(followups).collect();
    let bar = Bar::begin(if dry_run { "trying" } else { "importing" }, "records");
    let (mut done, total) = (0, records.len() as u64);
    for part in parts(records) {
        done += part.len() as u64;
        report.add(send(&door, part, dry_run).await?);
        bar.show(done, total);
    }
    Ok(report)
}

async fn send(door: &Door, part: Vec<Sent>, dry_run: bool) -> anyhow::Result<ImportReport> {
    let mut fields = json!({ "dry_run": dry_run, "claims": [], "history": [], "followups": [] });
    let mut places = HashMap::new();
    for Sent { place, list, record } in part {
        if let Some(records) = fields[list].as_array_mut() {
            places.insert(format!("{list}[{}]", records.len()), place);
            records.push(record);
        }
    }
    let mut answer = door.ask(Call::Import, fields).await?;
    let mut report: ImportReport = serde_json::from_value(answer["report"].take())?;
    // The other side saw a part; the reader has the whole file.
    let told = report.skipped.iter_mut().map(|skipped| &mut skipped.place);
    for place in told.chain(report.refused.iter_mut().map(|refused| &mut refused.place)) {
        if let Some(whole) = places.remove(place) {
            *place = whole;
        }
    }
    Ok(report)
}

/// Cuts the records into requests that every server takes.
fn parts(records: Vec<Sent>) -> Vec<Vec<Sent>> {
    let (mut parts, mut part, mut bytes) = (Vec::new(), Vec::new(), 0);
    for sent in records {
        let length = sent.record.to_string().len();
        if bytes + length > PART_BYTES_MAX && !part.is_empty() {
            parts.push(std::mem::take(&mut part));
            bytes = 0;
        }
        bytes += length;
        part.push(sent);
    }
    parts.extend((!part.is_empty()).then_some(part));
    parts
}

fn tell(report: &ImportReport, dry_run: bool) {
    for skipped in &report.skipped {
        tell!("{}", in_one_line(&format!("skipped {} ({}): {}", skipped.place, skipped.record, skipped.why)));
    }
    for refused in &report.refused {
        tell!("{}", in_one_line(&format!("refused {}: {}", refused.place, refused.why)));
    }
    let verb = if dry_run { "would be taken" } else { "taken" };
    let (skipped, refused) = (report.skipped.len(), report.refused.len());
    say!("{} {verb}, {} here already, {skipped} skipped, {refused} refused", report.taken, report.already_here);
}
