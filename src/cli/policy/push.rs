//! `issuecommand policy push`: a component into an OCI registry.

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use issuecommand::authoring::Registry;
use serde_json::json;

use super::super::progress::Step;
use super::Target;
use crate::cli::runtime;

#[derive(Debug, Args)]
pub struct PushArgs {
    /// Where to: HOST/NAME:TAG
    #[arg(value_name = "REFERENCE")]
    reference: String,
    #[command(flatten)]
    target: Target,
    /// Without TLS: only to a registry on this machine
    #[arg(long)]
    insecure_http: bool,
    /// Print the result as JSON, for scripts
    #[arg(long)]
    json: bool,
}

pub fn run(args: &PushArgs) -> anyhow::Result<ExitCode> {
    let chosen = args.target.choose()?;
    let component = std::fs::read(&chosen.file).with_context(|| format!("failed to read {}", chosen.file.display()))?;
    let about = chosen.project.map(|project| project.about).unwrap_or_default();
    let registry = Registry { insecure_http: args.insecure_http };
    let pushed = {
        let _step = Step::begin(&format!("pushing to {}", args.reference));
        runtime()?.block_on(registry.push(&args.reference, &component, &about))?
    };
    if args.json {
        let all = json!({
            "reference": pushed.reference, "manifest_digest": pushed.manifest_digest, "sha256": pushed.sha256,
        });
        say!("{all}");
        return Ok(ExitCode::SUCCESS);
    }
    say!("pushed {}", pushed.reference);
    say!("manifest {}", pushed.manifest_digest);
    say!("component sha256 {}", pushed.sha256);
    say!("next, where the server is: issuecommand policy pull {}", pushed.reference);
    Ok(ExitCode::SUCCESS)
}
