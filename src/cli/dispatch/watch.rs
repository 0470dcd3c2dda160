//! `issuecommand watch` and `worker`: serve, and work on issues.

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

#[derive(Debug, Args)]
#[command(
    after_help = "Beside a server that queues runs (`issuecommand watch`), on any machine that reaches their PostgreSQL
database (store.url) and GitHub. It takes queued runs while it has slots free (containers.max_concurrent), in the
queue's order; two workers never get the same one. Runs of one that dies are begun anew elsewhere after a minute.
`status`, `logs`, `cancel` and `answer` work at every server for all of them.

Example:
  DATABASE_URL=postgres://... GITHUB_TOKEN=... issuecommand worker --port 0"
)]
pub struct WorkerArgs {
    #[command(flatten)]
    serve: serve::ServeArgs,
}

pub fn run_worker(args: WorkerArgs) -> anyhow::Result<ExitCode> {
    serve::run_worker(args.serve)
}
