//! `issuecommand policy build`: from a policy's folder to its component.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

use clap::Args;
use issuecommand::authoring::{Project, build};
use serde_json::json;

use super::super::progress::Step;
use super::{short, size};

#[derive(Debug, Args)]
pub struct BuildArgs {
    /// The policy's folder
    #[arg(value_name = "FOLDER", default_value = ".")]
    folder: PathBuf,
    /// Print the result as JSON, for scripts
    #[arg(long)]
    json: bool,
}

pub fn run(args: &BuildArgs) -> anyhow::Result<ExitCode> {
    let project = Project::open(&args.folder)?;
    let started = Instant::now();
    let built = {
        let step = Step::begin(&format!("building {}", project.name));
        build(&project, &|line| step.say(line))?
    };
    if args.json {
        let built = json!({ "file": built.file, "bytes": built.bytes, "sha256": built.sha256 });
        say!("{built}");
        return Ok(ExitCode::SUCCESS);
    }
    let seconds = started.elapsed().as_secs_f64();
    say!("built {} ({}) in {seconds:.1} s", short(&built.file), size(built.bytes));
    say!("sha256 {}", built.sha256);
    say!("next: issuecommand policy test");
    Ok(ExitCode::SUCCESS)
}
