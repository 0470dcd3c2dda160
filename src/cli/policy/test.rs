//! `issuecommand policy test`: does the policy answer as its cases say?

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use anyhow::{Context, bail};
use clap::Args;
use issuecommand::authoring::{CaseOutcome, GoldenFile, Project, Stage};
use issuecommand::config::PoliciesConfig;
use serde_json::json;

use super::super::progress::Step;
use super::{chosen, configured, host};

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();
const DIM: Style = Style::new().dimmed();

/// Time for one call of a case, in milliseconds: a few rows take a busy machine a hundredth of it, and a policy that
/// never ends is told before anybody wonders.
const CASE_CALL_MS: u64 = 3_000;

#[derive(Debug, Args)]
pub struct TestArgs {
    /// A file of cases, or a policy's folder with its golden.toml
    #[arg(value_name = "CASES|FOLDER", default_value = ".")]
    cases: PathBuf,
    /// Test this component instead of that of the cases' folder
    #[arg(long, value_name = "FILE", conflicts_with = "config")]
    wasm: Option<PathBuf>,
    /// Test the policy of this configuration with its settings, the built-in ones too
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print the result as JSON, for scripts
    #[arg(long)]
    json: bool,
}

pub fn run(args: &TestArgs) -> anyhow::Result<ExitCode> {
    let file = cases_file(&args.cases)?;
    let golden = GoldenFile::read(&file)?;
    let outcomes = {
        let _step = Step::begin("running cases");
        golden.run(&stage(args, &file)?)?
    };
    let failed = outcomes.iter().filter(|outcome| !outcome.passed()).count();
    if args.json {
        say!("{}", json!({ "ok": failed == 0, "file": file, "cases": outcomes }));
    } else {
        outcomes.iter().for_each(print);
        let style = if failed == 0 { GOOD } else { BAD };
        say!("{style}{} passed, {failed} failed{style:#}", outcomes.len() - failed);
    }
    Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn cases_file(path: &Path) -> anyhow::Result<PathBuf> {
    if !path.is_dir() {
        return Ok(path.to_path_buf());
    }
    let file = Project::open(path).map_or_else(|_| path.join("golden.toml"), |project| project.golden());
    if !file.is_file() {
        bail!("there are no cases in {}: write them to {}", path.display(), file.display());
    }
    Ok(file)
}

fn stage(args: &TestArgs, cases: &Path) -> anyhow::Result<Stage> {
    if let Some(config) = &args.config {
        let loaded = configured(config)?;
        return Ok(Stage::of_config(host()?, with_time(loaded.config.effective_policies()), loaded.folder));
    }
    let folder = cases.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let chosen = chosen(folder, args.wasm.as_deref()).context("no policy to test")?;
    let limits = with_time(PoliciesConfig::default());
    Ok(Stage::of_component(host()?, &chosen.file, &chosen.settings, &limits)?)
}

/// Bounds for cases, which are not about time.
fn with_time(policies: PoliciesConfig) -> PoliciesConfig {
    PoliciesConfig {
        call_ms_max: policies.call_ms_max.max(CASE_CALL_MS),
        choose_ms_max: policies.choose_ms_max.max(CASE_CALL_MS),
        ..policies
    }
}

fn print(outcome: &CaseOutcome) {
    if outcome.passed() {
        say!("  {GOOD}ok{GOOD:#}    {}", outcome.name);
        return;
    }
    say!("  {BAD}FAIL{BAD:#}  {}", outcome.name);
    for difference in &outcome.differences {
        say!("        {}", difference.what);
        say!("          {GOOD}expected{GOOD:#}  {}", difference.expected);
        say!("          {BAD}got{BAD:#}       {}", difference.got);
    }
    if !outcome.answer.is_empty() {
        say!("        {DIM}what the policy said:{DIM:#}");
        outcome.answer.iter().for_each(|row| say!("          {DIM}{row}{DIM:#}"));
    }
}
