//! What can be asked for on the command line: one file a command.

use std::ffi::OsString;
use std::fmt::Display;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use anyhow::Context;
use clap::{Args, Parser, Subcommand};
use issuecommand::store::StoreError;
use tokio::signal::unix::{Signal, SignalKind, signal};

use self::output::Unwritten;

#[macro_use]
mod output;

mod agents;
mod approve;
mod backlog;
mod check;
mod claims;
mod demo;
mod dispatch;
#[cfg(test)]
#[path = "../../tests/documents/mod.rs"]
#[allow(dead_code, reason = "other tests use the rest of it")]
mod documents;
mod door;
mod export;
mod first_sync;
mod health;
mod history;
mod image;
mod import;
mod install;
mod mcp;
mod next;
mod overrule;
mod policy;
mod progress;
#[cfg(test)]
mod reference;
mod refused;
mod serve;
mod shell;
mod show;
mod store;
mod table;
mod token;
mod top;

/// The server that says which coding agent works on which GitHub issue.
///
/// Agents ask it for their next issue, over MCP or HTTP, and get one that is exclusively theirs. Which
/// issue comes first is your team's policy: a table in issuecommand.toml, or a WebAssembly component.
#[derive(Debug, Parser)]
#[command(
    name = "issuecommand",
    version,
    long_version = issuecommand::build_info::VERSION_AND_BUILD,
    max_term_width = 100,
    after_help = "Start with `issuecommand demo`: no token, no network, no configuration.

Exit codes:
  0   done
  1   failed; the reason is on standard error
  2   the command line is wrong
  3   next: there is nothing to do now
  4   claim, release --agent: another agent holds it
  5   health: something works only in part
  6   health: nothing can be asked of the server
  75  another server has the database"
)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve agents: HTTP with MCP at /mcp, and MCP on standard input with --stdio
    Serve(serve::ServeArgs),
    /// Connect one MCP client on standard input and output, or set clients up to do so
    Mcp(mcp::McpArgs),
    /// Show it at work on a sample backlog: no token, no network, no configuration
    Demo(demo::DemoArgs),
    /// Get an agent its next issue, by the team's policy
    Next(next::NextArgs),
    /// Claim one named issue for an agent
    Claim(next::ClaimArgs),
    /// Give a claim back, or take any claim back from its agent
    Release(overrule::ReleaseArgs),
    /// Show who holds what, and for how long
    Claims(claims::ClaimsArgs),
    /// Show open issues that nobody holds
    Issues(backlog::IssuesArgs),
    /// Show the repositories that take part
    Repos(backlog::ReposArgs),
    /// Show who works, and who asked and got nothing
    Agents(agents::AgentsArgs),
    /// Say why an issue was given out, or was not, and what it would take
    Explain(policy::explain::ExplainArgs),
    /// Show who works on what, live
    Top(top::TopArgs),
    /// Say how the server is doing; the exit code says it too
    Health(health::HealthArgs),
    /// Make, list and revoke access tokens
    #[command(subcommand)]
    Token(token::TokenCommand),
    /// Work on one issue here: an agent in a container, and its pull request
    Run(dispatch::RunArgs),
    /// Serve, and work on issues with the label `agent`
    Watch(dispatch::WatchArgs),
    /// Work on what another server of the same PostgreSQL database queues
    Worker(dispatch::WorkerArgs),
    /// Show what is worked on here
    Status(dispatch::StatusArgs),
    /// Show which runs wait, and put one at another place
    Queue(dispatch::QueueArgs),
    /// Show what a run did, or does
    Logs(dispatch::LogsArgs),
    /// Begin no more runs; what is under way goes on
    Pause(dispatch::PauseArgs),
    /// Begin runs again
    Resume(dispatch::ResumeArgs),
    /// End a run; what it began is undone
    Cancel(dispatch::CancelArgs),
    /// Answer the question of a run
    Answer(dispatch::AnswerArgs),
    /// Give any claim to another agent
    Reassign(overrule::ReassignArgs),
    /// Approve an issue as it reads now, for policies that hand out nothing else
    Approve(approve::ApproveArgs),
    /// Write every claim as JSON
    Export(export::ExportArgs),
    /// Take in claims: an export, or the state or database of the first edition
    Import(import::ImportArgs),
    /// Write everything that is kept into one file, while servers go on
    Backup(store::BackupArgs),
    /// Take a backup into a store that holds nothing
    Restore(store::RestoreArgs),
    /// Move the store to another database, or check it
    #[command(subcommand)]
    Store(store::StoreCommand),
    /// Write, try, explain, replay, promote and put back policies
    #[command(subcommand)]
    Policy(policy::PolicyCommand),
    /// Record what happened in a repository, for replays
    #[command(subcommand)]
    History(history::HistoryCommand),
    /// Build the images that agents work in
    #[command(subcommand)]
    Image(image::ImageCommand),
    /// Look at the configuration without starting anything
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Print what lets a shell complete commands and options
    Completions(shell::CompletionsArgs),
    /// Write the manual pages
    Man(shell::ManArgs),
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Check a configuration: every key, every variable, and the policies it names
    Check(check::CheckArgs),
}

/// Where the configuration is.
#[derive(Debug, Args)]
pub struct ConfigFile {
    #[arg(long, value_name = "FILE")]
    #[arg(help = "The configuration file [default: ./issuecommand.toml, if there is one]")]
    config: Option<PathBuf>,
}

impl ConfigFile {
    /// The same file for another process, which may run elsewhere.
    fn arguments(&self) -> anyhow::Result<Vec<OsString>> {
        let Some(config) = &self.config else { return Ok(Vec::new()) };
        let path = std::path::absolute(config).with_context(|| format!("failed to find {}", config.display()))?;
        Ok(vec!["--config".into(), path.into()])
    }
}

/// Exit code where there is nothing to do now.
const NOTHING_TO_DO: u8 = 3;
/// Exit code where another agent holds what was asked for.
const HELD_BY_ANOTHER: u8 = 4;
/// Exit code for a server that serves, something of it only in part.
const DEGRADED: u8 = 5;
/// Exit code for a server of which nothing can be asked.
const NOT_READY: u8 = 6;
/// Exit code of a server that found its database taken: EX_TEMPFAIL of sysexits.h, "try again later".
const DATABASE_TAKEN: u8 = 75;

/// Runs the command. Its exit codes are in the help, for whoever writes scripts.
pub fn run(cli: Cli) -> ExitCode {
    let done = match cli.command {
        Command::Serve(args) => serve::run(args),
        Command::Mcp(args) => mcp::run(args),
        Command::Demo(args) => demo::run(&args),
        Command::Next(args) => next::next(&args),
        Command::Claim(args) => next::claim(&args),
        Command::Release(args) => overrule::release(&args),
        Command::Claims(args) => claims::run(&args),
        Command::Issues(args) => backlog::issues(&args),
        Command::Repos(args) => backlog::repos(&args),
        Command::Agents(args) => agents::run(&args),
        Command::Explain(args) => policy::explain::run(&args),
        Command::Top(args) => top::run(&args),
        Command::Health(args) => health::run(&args),
        Command::Token(command) => token::run(command),
        Command::Run(args) => dispatch::run_issue(&args),
        Command::Watch(args) => dispatch::watch_issues(args),
        Command::Worker(args) => dispatch::work_beside(args),
        Command::Status(args) => dispatch::show_status(&args),
        Command::Queue(args) => dispatch::show_queue(&args),
        Command::Logs(args) => dispatch::show_logs(&args),
        Command::Pause(args) => dispatch::pause(&args),
        Command::Resume(args) => dispatch::resume(&args),
        Command::Cancel(args) => dispatch::cancel(&args),
        Command::Answer(args) => dispatch::answer(&args),
        Command::Backup(args) => store::write_backup(&args),
        Command::Restore(args) => store::take_backup(&args),
        Command::Store(command) => store::run(&command),
        Command::Reassign(args) => overrule::reassign(&args),
        Command::Approve(args) => approve::run(&args),
        Command::Export(args) => export::run(&args),
        Command::Import(args) => import::run(&args),
        Command::Policy(command) => policy::run(command),
        Command::History(command) => history::run(command),
        Command::Image(command) => image::run(command),
        Command::Config(ConfigCommand::Check(args)) => check::run(&args),
        Command::Completions(args) => shell::completions(&args),
        Command::Man(args) => shell::man(&args),
    };
    let is_readers_wish = |error: &anyhow::Error| error.downcast_ref().is_some_and(Unwritten::is_readers_wish);
    match done.map(|code| (code, output::check())) {
        Ok((code, Ok(()))) => code,
        Ok((code, Err(unwritten))) if unwritten.is_readers_wish() => code,
        Ok((ExitCode::SUCCESS, Err(unwritten))) => failed(format_args!("{unwritten}; all else went well")),
        Ok((_, Err(unwritten))) => failed(unwritten),
        Err(error) if is_readers_wish(&error) => ExitCode::SUCCESS,
        Err(error) if is_database_taken(&error) => {
            failed(format_args!("{error:#}"));
            DATABASE_TAKEN.into()
        }
        Err(error) => failed(format_args!("{error:#}")),
    }
}

/// Says why; where standard error cannot be written either, the exit code says it alone.
fn failed(why: impl Display) -> ExitCode {
    const RED: Style = AnsiColor::Red.on_default().bold();
    _ = writeln!(anstream::stderr(), "{RED}error:{RED:#} {why}");
    ExitCode::FAILURE
}

/// Whether a server did not start because another has the database.
fn is_database_taken(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| matches!(cause.downcast_ref(), Some(StoreError::InUse { .. })))
}

/// The runtime every command runs on.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

/// Requests to end: Ctrl-C and SIGTERM. Listen before anyone may send one.
struct EndRequests {
    interrupt: Signal,
    terminate: Signal,
}

impl EndRequests {
    fn listen() -> anyhow::Result<Self> {
        let listen = |kind| signal(kind).context("failed to listen for signals");
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// Waits for the next one.
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
