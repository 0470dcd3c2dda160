//! `issuecommand policy promote`: the candidate becomes the ranker.

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use issuecommand::config::with_candidate_promoted;

use super::super::door::DoorArgs;
use super::super::runtime;
use super::in_force::{Change, file_of, stamp_of};

#[derive(Debug, Args)]
pub struct PromoteArgs {
    #[command(flatten)]
    door: DoorArgs,
    /// Why, for the history
    #[arg(long, value_name = "TEXT")]
    note: Option<String>,
}

pub fn run(args: &PromoteArgs) -> anyhow::Result<ExitCode> {
    let loaded = args.door.load_to_edit()?;
    let file = file_of(&loaded)?;
    let text = std::fs::read_to_string(file).with_context(|| format!("failed to read {}", file.display()))?;
    let text = with_candidate_promoted(&text)?;
    let candidate = loaded.config.policies.candidate.as_ref().context("there is no candidate")?;
    let ranker = stamp_of(&loaded, &candidate.ranker)?;
    runtime()?.block_on(async {
        let door = args.door.open().await?;
        let told = format!("{} ({})", ranker.source, ranker.digest.get(..12).unwrap_or(&ranker.digest));
        let change = Change { loaded: &loaded, text, ranker, action: "promoted", note: args.note.clone() };
        let outcome = change.make(&door).await?;
        anstream::println!("promoted {told}: {}", outcome.told());
        Ok(ExitCode::SUCCESS)
    })
}
