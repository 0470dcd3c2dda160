//! `issuecommand policy promote`: the candidate becomes the ranker.

use std::process::ExitCode;

use clap::Args;
use issuecommand::promotion::promote;
use serde_json::json;

use super::super::door::DoorArgs;
use super::super::runtime;
use super::super::show::Format;
use super::in_force::{begin, word};

#[derive(Debug, Args)]
pub struct PromoteArgs {
    #[command(flatten)]
    door: DoorArgs,
    /// Why, for the history
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
    #[command(flatten)]
    format: Format,
}

pub fn run(args: &PromoteArgs) -> anyhow::Result<ExitCode> {
    let (ranker, outcome) = runtime()?.block_on(async {
        let (ground, door) = begin(&args.door).await?;
        promote(&door, &ground, &word(args.note.as_ref())).await
    })?;
    let digest = ranker.digest.get(..12).unwrap_or(&ranker.digest);
    let answer = json!({ "ok": true, "ranker": ranker, "outcome": outcome });
    args.format.show(&answer, || say!("promoted {} ({digest}): {}", ranker.source, outcome.told()));
    Ok(ExitCode::SUCCESS)
}
