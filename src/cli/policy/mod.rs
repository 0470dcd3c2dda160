//! `issuecommand policy`: what decides, what is tried, and which ranker is in force. One file a subcommand.

use std::process::ExitCode;

use clap::Subcommand;

mod candidate;
mod in_force;
mod promote;
mod rollback;
mod show;

#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Print the one policy that decides for a repository and an agent
    Show(show::ShowArgs),
    /// Say how the trial of the candidate goes
    Candidate(candidate::CandidateArgs),
    /// Make the candidate the ranker in force
    Promote(promote::PromoteArgs),
    /// Put the ranker that was in force before back
    Rollback(rollback::RollbackArgs),
}

pub fn run(command: PolicyCommand) -> anyhow::Result<ExitCode> {
    match command {
        PolicyCommand::Show(args) => show::run(&args),
        PolicyCommand::Candidate(args) => candidate::run(&args),
        PolicyCommand::Promote(args) => promote::run(&args),
        PolicyCommand::Rollback(args) => rollback::run(&args),
    }
}
