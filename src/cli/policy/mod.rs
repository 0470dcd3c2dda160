//! `issuecommand policy`: from an opinion to a policy in force, with evidence at each step. One file a command.

use std::process::ExitCode;

use clap::Subcommand;

mod replay;

#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Replay a repository's history under a policy, or under two side by side
    Replay(replay::ReplayArgs),
}

pub fn run(command: PolicyCommand) -> anyhow::Result<ExitCode> {
    match command {
        PolicyCommand::Replay(args) => replay::run(&args),
    }
}
