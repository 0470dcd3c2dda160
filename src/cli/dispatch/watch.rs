//! `issuecommand watch`: serve, and work on labelled issues.

use std::process::ExitCode;

use clap::Args;

use super::super::serve;

#[derive(Debug, Args)]
#[command(
    after_help = "The same as `issuecommand serve` with [dispatch] enabled = true. Repositories let it in by the topic
`issuecommand`, issues ask for it by the label `agent`.

Example:
  issuecommand watch --config team/issuecommand.toml"
)]
pub struct WatchArgs {
    #[command(flatten)]
    serve: serve::ServeArgs,
}

pub fn run(args: WatchArgs) -> anyhow::Result<ExitCode> {
    serve::run_dispatching(args.serve)
}
