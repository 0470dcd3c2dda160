//! `issuecommand export`: every claim and follow-up that is kept, as JSON.

use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use issuecommand::api::Call;
use serde_json::Value;

use super::door::DoorArgs;
use super::runtime;
use super::show::print_json;

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  issuecommand export --output state.json
  issuecommand export | jq '.claims | length'")]
pub struct ExportArgs {
    #[command(flatten)]
    door: DoorArgs,
    /// Write to this file, readable by its owner only, instead of standard output
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub fn run(args: &ExportArgs) -> anyhow::Result<ExitCode> {
    runtime()?.block_on(async {
        let state = args.door.open().await?.ask(Call::Export, Value::Null).await?;
        match &args.output {
            None => print_json(&state),
            Some(file) => {
                write_whole(file, &state).with_context(|| format!("failed to write {}", file.display()))?;
                let count = |list: &str| state[list].as_array().map_or(0, Vec::len);
                let (active, past) = (count("claims"), count("history"));
                let (waiting, ended) = (count("followups"), count("followup_history"));
                tell!(
                    "{active} active claims and {past} past ones, {waiting} active follow-ups and {ended} past ones are in {}",
                    file.display()
                );
            }
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// The file is there whole, or not at all.
fn write_whole(file: &Path, state: &Value) -> anyhow::Result<()> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut writer = BufWriter::new(tempfile::NamedTempFile::new_in(folder)?);
    serde_json::to_writer_pretty(&mut writer, state)?;
    writer.write_all(b"\n")?;
    let draft = writer.into_inner()?;
    draft.as_file().sync_all()?;
    draft.persist(file)?;
    Ok(())
}
