//! `issuecommand history`: records what happened in a repository, for replays.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use clap::{Args, Subcommand};
use issuecommand::config::{ConfigSource, load};
use issuecommand::domain::RepoName;
use issuecommand::github::{Credentials, GithubSource};
use issuecommand::replay::{Recorded, may_write, record};
use serde_json::json;

use super::progress::Step;
use super::show::Format;
use super::{ConfigFile, runtime};

#[derive(Debug, Subcommand)]
pub enum HistoryCommand {
    /// Record a repository's issues and pull requests, and what happened to them, from GitHub
    Pull(PullArgs),
}

#[derive(Debug, Args)]
pub struct PullArgs {
    /// The repository: OWNER/REPO
    repo: RepoName,
    /// The file to write: JSON lines. It appears whole; a recording that was cut off goes on when run again, and an
    /// older one of the same repository is renewed
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Write over whatever the file holds
    #[arg(long)]
    force: bool,
    /// Also read the files of every merged pull request, one request each: for the true overlap of work
    #[arg(long)]
    files: bool,
    #[command(flatten)]
    config: ConfigFile,
    #[command(flatten)]
    format: Format,
}

pub fn run(command: HistoryCommand) -> anyhow::Result<ExitCode> {
    let HistoryCommand::Pull(args) = command;
    let source = ConfigSource::from_process(args.config.config.clone());
    let Ok(loaded) = load(&source).map_err(|report| report.print()) else { return Ok(ExitCode::FAILURE) };
    if !args.force {
        may_write(&args.out, &args.repo)?;
    }
    let credentials = Credentials::of(&loaded.config.github, &loaded.folder)?;
    runtime()?
        .block_on(async {
            let github = GithubSource::new(&loaded.config.github, credentials)?;
            let step = Step::begin("recording");
            let recorded = record(&github, &args.repo, &args.out, args.files, &|so_far| tell(&step, so_far)).await;
            drop(step);
            let Recorded { issues, pulls, happenings, without_events, .. } = recorded?;
            let answer = json!({
                "ok": true, "file": args.out, "issues": issues, "pulls": pulls, "happenings": happenings,
                "without_events": without_events,
            });
            args.format.show(&answer, || {
                let file = args.out.display();
                tell!("{issues} issues, {pulls} pull requests and {happenings} events are in {file}");
                if without_events {
                    tell!("GitHub told no events here: labels are those of today for all times");
                }
                tell!("Replay it: issuecommand policy replay --history {file}");
            });
            anyhow::Ok(ExitCode::SUCCESS)
        })
        .with_context(|| format!("nothing was written to {}", args.out.display()))
}

fn tell(step: &Step, so_far: Recorded) {
    let Recorded { issues, pulls, happenings, pulls_with_files, pulls_wanted, .. } = so_far;
    let files =
        if pulls_wanted > 0 { format!(", files of {pulls_with_files} of {pulls_wanted}") } else { String::new() };
    let pause = so_far.pause_seconds.map_or_else(String::new, |seconds| format!("; GitHub asks to wait {seconds} s"));
    step.say(&format!("{issues} issues, {pulls} pull requests, {happenings} events{files}{pause}"));
}
