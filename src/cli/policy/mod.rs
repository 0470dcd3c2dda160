//! `issuecommand policy`: from an opinion to a policy in force, with evidence at each step. One file a command.

use std::process::ExitCode;

use clap::Subcommand;

mod explain;

#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Say why an issue was given out, or was not, and what it would take
    Explain(explain::ExplainArgs),
}

pub fn run(command: PolicyCommand) -> anyhow::Result<ExitCode> {
    match command {
        PolicyCommand::Explain(args) => explain::run(&args),
    }
}
