//! `issuecommand policy check`: would a server take this policy?

use std::process::ExitCode;

use anstyle::AnsiColor;
use clap::Args;
use issuecommand::authoring::check;
use issuecommand::config::PoliciesConfig;
use serde_json::json;

use super::progress::Step;
use super::{Target, host, short, size};

#[derive(Debug, Args)]
pub struct CheckArgs {
    #[command(flatten)]
    target: Target,
    /// Print the result as JSON, for scripts
    #[arg(long)]
    json: bool,
}

pub fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    let chosen = args.target.choose()?;
    let trial = {
        let _step = Step::begin("trying the policy");
        check(&host()?, &chosen.file, &chosen.settings, &PoliciesConfig::default())?
    };
    let passed = trial.passed();
    if args.json {
        let found = json!({
            "ok": passed, "file": chosen.file, "sha256": trial.specimen.sha256, "bytes": trial.specimen.bytes,
            "findings": trial.findings,
        });
        anstream::println!("{found}");
    } else {
        anstream::println!(
            "{} ({}, sha256 {})",
            short(&chosen.file),
            size(trial.specimen.bytes),
            trial.specimen.sha256
        );
        for finding in &trial.findings {
            let (mark, color) = if finding.ok { ("ok  ", AnsiColor::Green) } else { ("FAIL", AnsiColor::Red) };
            let style = color.on_default();
            anstream::println!("  {style}{mark}{style:#}  {}: {}", finding.what, finding.detail);
        }
        if passed {
            anstream::println!("A server would take it. Pin it with: sha256 = \"{}\"", trial.specimen.sha256);
        }
    }
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
