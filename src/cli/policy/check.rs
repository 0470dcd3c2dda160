//! `issuecommand policy check`: would a server take this policy?

use std::path::PathBuf;
use std::process::ExitCode;

use anstyle::AnsiColor;
use clap::Args;
use issuecommand::authoring::{check, check_in_place};
use issuecommand::config::PoliciesConfig;
use serde_json::json;

use super::super::progress::Step;
use super::{Target, configured, host, short, size};

#[derive(Debug, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    target: Target,
    /// Hold it to this configuration: the bounds on time and memory, and wherever it names the component, the
    /// settings, sha256 and signed_by of that place [default: the server's defaults, and the settings of policy.toml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print the result as JSON, for scripts
    #[arg(long)]
    json: bool,
}

pub fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let chosen = args.target.choose()?;
    let loaded = args.config.as_deref().map(configured).transpose()?;
    let trial = {
        let _step = Step::begin("trying the policy");
        let (file, settings) = (&chosen.file, &chosen.settings);
        match &loaded {
            Some(it) => check_in_place(&host()?, file, settings, &it.config.effective_policies(), &it.folder)?,
            None => check(&host()?, file, settings, &PoliciesConfig::default())?,
        }
    };
    let passed = trial.passed();
    if args.json {
        let found = json!({
            "ok": passed, "file": chosen.file, "sha256": trial.specimen.sha256, "bytes": trial.specimen.bytes,
            "findings": trial.findings,
        });
        say!("{found}");
    } else {
        say!("{} ({}, sha256 {})", short(&chosen.file), size(trial.specimen.bytes), trial.specimen.sha256);
        for finding in &trial.findings {
            let (mark, color) = if finding.ok { ("ok  ", AnsiColor::Green) } else { ("FAIL", AnsiColor::Red) };
            let style = color.on_default();
            let entry = finding.entry.as_ref().map(|entry| format!("{entry} ")).unwrap_or_default();
            say!("  {style}{mark}{style:#}  {entry}{}: {}", finding.what, finding.detail);
        }
        if passed {
            say!("A server would take it. Pin it with: sha256 = \"{}\"", trial.specimen.sha256);
        }
    }
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
