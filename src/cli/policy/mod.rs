//! `issuecommand policy`: from an opinion to a policy in force. One file a subcommand.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use issuecommand::authoring::{PROJECT_FILE_NAME, Project};
use issuecommand::config::{ConfigSource, Loaded, PoliciesConfig, load};
use issuecommand::policy::PolicyHost;
use issuecommand::server::policy_cache_folder;
use serde_json::{Map, Value};

mod bench;
mod build;
mod candidate;
mod check;
pub mod explain;
mod in_force;
mod inspect;
mod new;
mod promote;
mod pull;
mod push;
mod replay;
mod rollback;
mod show;
mod signer;
mod test;

#[derive(Debug, Subcommand)]
pub enum PolicyCommand {
    /// Make a folder with a policy that builds, its cases, and everything to go on from there
    New(new::NewArgs),
    /// Build the component of a policy's folder
    Build(build::BuildArgs),
    /// Look at a component as the server would: imports, settings, time, memory
    Check(check::CheckArgs),
    /// Run the cases of golden.toml
    Test(test::TestArgs),
    /// Measure what a policy costs, at the sizes that backlogs and sweeps have
    Bench(bench::BenchArgs),
    /// Say what a component is, and which settings it takes; one of the server's own too: builtin:rules
    Inspect(inspect::InspectArgs),
    /// Put a component into an OCI registry
    Push(push::PushArgs),
    /// Get a component from an OCI registry, to where the server looks for it
    Pull(pull::PullArgs),
    /// Say why an issue was given out, or was not, and what it would take
    Explain(explain::ExplainArgs),
    /// Replay a repository's history under a policy, or under two side by side
    Replay(replay::ReplayArgs),
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
        PolicyCommand::New(args) => new::run(&args),
        PolicyCommand::Build(args) => build::run(&args),
        PolicyCommand::Check(args) => check::run(&args),
        PolicyCommand::Test(args) => test::run(&args),
        PolicyCommand::Bench(args) => bench::run(&args),
        PolicyCommand::Inspect(args) => inspect::run(&args),
        PolicyCommand::Push(args) => push::run(&args),
        PolicyCommand::Pull(args) => pull::run(&args),
        PolicyCommand::Explain(args) => explain::run(&args),
        PolicyCommand::Replay(args) => replay::run(&args),
    }
}

/// Time for a call off the request path where time is not the question, in milliseconds.
const PATIENT_CALL_MS: u64 = 10_000;
/// The same for a call that an agent would wait for.
const PATIENT_CHOOSE_MS: u64 = 2_000;

/// Which component is meant.
#[derive(Debug, Args)]
struct Target {
    /// A component, or a policy's folder, in which the built one is taken
    #[arg(value_name = "FILE|FOLDER", default_value = ".")]
    path: PathBuf,
    /// Another component than that of the folder
    #[arg(long, value_name = "FILE")]
    wasm: Option<PathBuf>,
}

/// A component, and the settings it is tried with.
struct Chosen {
    file: PathBuf,
    settings: Map<String, Value>,
    project: Option<Project>,
}

impl Target {
    fn choose(&self) -> anyhow::Result<Chosen> {
        chosen(&self.path, self.wasm.as_deref())
    }
}

/// The component in `path`, a file or a policy's folder, unless `wasm` is another one.
fn chosen(path: &Path, wasm: Option<&Path>) -> anyhow::Result<Chosen> {
    let project = if path.is_dir() && (wasm.is_none() || path.join(PROJECT_FILE_NAME).is_file()) {
        Some(Project::open(path)?)
    } else {
        None
    };
    let file = match (wasm, &project) {
        (Some(file), _) => file.to_path_buf(),
        (None, Some(project)) => project.component(),
        (None, None) => path.to_path_buf(),
    };
    if !file.is_file() {
        if project.is_some() {
            bail!("{} is not built yet: run `issuecommand policy build`", file.display());
        }
        bail!("there is no file {}: name a component, or a policy's folder", file.display());
    }
    let settings = project.as_ref().map(|project| project.settings.clone()).unwrap_or_default();
    Ok(Chosen { file, settings, project })
}

/// A host like the server's, with the same compiled policies at hand.
fn host() -> anyhow::Result<PolicyHost> {
    PolicyHost::new(policy_cache_folder()).context("failed to make a place to run policies in")
}

/// The configuration in `file`.
fn configured(file: &Path) -> anyhow::Result<Loaded> {
    load(&ConfigSource::from_process(Some(file.to_path_buf()))).map_err(|report| {
        report.print();
        anyhow::anyhow!("{} cannot be used", file.display())
    })
}

/// Bounds under which a policy that is slow for once, on a busy machine, still answers: for what is not about
/// time.
fn patient(policies: PoliciesConfig) -> PoliciesConfig {
    PoliciesConfig {
        call_ms_max: policies.call_ms_max.max(PATIENT_CALL_MS),
        choose_ms_max: policies.choose_ms_max.max(PATIENT_CHOOSE_MS),
        ..policies
    }
}

/// A path as it is best typed here.
fn short(path: &Path) -> String {
    let here = std::env::current_dir().ok();
    let below = here.and_then(|here| path.strip_prefix(here).ok().map(Path::to_path_buf));
    below.unwrap_or_else(|| path.to_path_buf()).display().to_string()
}

/// A size, as people read it.
fn size(bytes: usize) -> String {
    match bytes {
        0..1024 => format!("{bytes} bytes"),
        1024..1_048_576 => format!("{:.1} KiB", bytes as f64 / 1024.0),
        _ => format!("{:.1} MiB", bytes as f64 / 1_048_576.0),
    }
}
