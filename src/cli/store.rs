//! `issuecommand backup`, `restore` and `store`: the database as a whole.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use chrono::SecondsFormat;
use clap::{Args, Subcommand, ValueEnum};
use issuecommand::config::{ConfigSource, StoreConfig, load};
use issuecommand::domain::in_one_line;
use issuecommand::store::{self, backup, migrate, reopen, restore};
use serde_json::json;

use super::ConfigFile;
use super::progress::Bar;
use super::show::Format;

#[derive(Debug, Args)]
#[command(after_help = "Example:
  issuecommand backup /backups/issuecommand-$(date +%F).db")]
pub struct BackupArgs {
    #[command(flatten)]
    config: ConfigFile,
    /// The SQLite file to write: a new one, readable by its owner only
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    format: Format,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:
  issuecommand restore /backups/issuecommand-2026-11-20.db")]
pub struct RestoreArgs {
    #[command(flatten)]
    config: ConfigFile,
    /// The file that `issuecommand backup` wrote
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    format: Format,
}

#[derive(Debug, Subcommand)]
pub enum StoreCommand {
    /// Move everything from the SQLite file to PostgreSQL, or back; both are named in the configuration
    Migrate(MigrateArgs),
    /// Go on with a store that was moved elsewhere, or put back by other means than `issuecommand restore`
    Reopen(ReopenArgs),
    /// Look for what does not hold together
    Check(CheckArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "Example:
  DATABASE_URL=postgres://... issuecommand store migrate --to postgres")]
pub struct MigrateArgs {
    #[command(flatten)]
    config: ConfigFile,
    /// Where to: `postgres` (store.url, from the file store.path) or `sqlite` (the other way). It must hold nothing, or
    /// only what was moved from there before. End all servers first: the store that is left lets nobody in any more
    #[arg(long, value_name = "STORE")]
    to: Kind,
    #[command(flatten)]
    format: Format,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:
  issuecommand store reopen")]
pub struct ReopenArgs {
    #[command(flatten)]
    config: ConfigFile,
    #[command(flatten)]
    format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Kind {
    Postgres,
    Sqlite,
}

#[derive(Debug, Args)]
#[command(after_help = "Example:
  issuecommand store check

Exit codes: 0 everything holds together, 1 something does not.")]
pub struct CheckArgs {
    #[command(flatten)]
    config: ConfigFile,
    #[command(flatten)]
    format: Format,
}

pub fn write_backup(args: &BackupArgs) -> anyhow::Result<ExitCode> {
    let store = store_of(&args.config)?;
    let rows = with_bar("backing up", |progress| backup(&store, &args.file, progress))?;
    args.format.show(&json!({ "ok": true, "rows": rows, "file": args.file }), || {
        say!("{rows} rows are in {}", args.file.display());
    });
    Ok(ExitCode::SUCCESS)
}

pub fn take_backup(args: &RestoreArgs) -> anyhow::Result<ExitCode> {
    let store = store_of(&args.config)?;
    let rows = with_bar("restoring", |progress| restore(&store, &args.file, progress))?;
    args.format.show(&json!({ "ok": true, "rows": rows }), || {
        say!("{rows} rows were restored; `issuecommand serve` goes on with them");
    });
    Ok(ExitCode::SUCCESS)
}

pub fn run(command: &StoreCommand) -> anyhow::Result<ExitCode> {
    match command {
        StoreCommand::Migrate(args) => move_store(args),
        StoreCommand::Reopen(args) => go_on(args),
        StoreCommand::Check(args) => check(args),
    }
}

fn move_store(args: &MigrateArgs) -> anyhow::Result<ExitCode> {
    let store = store_of(&args.config)?;
    let to_postgres = matches!(args.to, Kind::Postgres);
    let rows = with_bar("migrating", |progress| migrate(&store, to_postgres, progress))?;
    let (with, left) = if to_postgres { ("with", "the file") } else { ("without", "PostgreSQL") };
    args.format.show(&json!({ "ok": true, "rows": rows }), || {
        say!("{rows} rows were moved: servers {with} store.url (DATABASE_URL) go on with them");
        say!("{left} lets nobody in from now on; `issuecommand store reopen` is the way back");
    });
    Ok(ExitCode::SUCCESS)
}

fn go_on(args: &ReopenArgs) -> anyhow::Result<ExitCode> {
    let moved = reopen(&store_of(&args.config)?)?;
    let to = moved.as_ref().map(|moved| &moved.to);
    args.format.show(&json!({ "ok": true, "was_moved_to": to }), || {
        if let Some(moved) = &moved {
            let at = moved.at.to_rfc3339_opts(SecondsFormat::Secs, true);
            say!("what was done since {at} in {} is not here: let no server use that", moved.to);
        }
        say!("epochs and events count anew from here; `issuecommand serve` goes on with this store");
    });
    Ok(ExitCode::SUCCESS)
}

fn check(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let found = store::check(&store_of(&args.config)?)?;
    args.format.show(&json!({ "ok": found.is_empty(), "faults": found }), || {
        found.iter().for_each(|fault| say!("{}", in_one_line(fault)));
        if found.is_empty() {
            say!("everything holds together");
        }
    });
    Ok(if found.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn store_of(file: &ConfigFile) -> anyhow::Result<StoreConfig> {
    match load(&ConfigSource::from_process(file.config.clone())) {
        Ok(loaded) => Ok(loaded.store()),
        Err(report) => {
            report.print();
            bail!("the configuration does not say where the store is: mend it first")
        }
    }
}

/// Runs what copies rows, with a bar on a terminal.
fn with_bar<T, E: Into<anyhow::Error>>(
    what: &str,
    work: impl FnOnce(&mut dyn FnMut(u64, u64)) -> Result<T, E>,
) -> anyhow::Result<T> {
    let bar = Bar::begin(what, "rows");
    work(&mut |done, total| bar.show(done, total)).map_err(Into::into)
}
