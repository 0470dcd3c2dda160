//! `issuecommand policy pull`: a component from an OCI registry, to where the server looks for it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use issuecommand::authoring::{PolicyKind, Registry, Specimen};
use issuecommand::config::{CONFIG_FILE_NAME, PULLED_FOLDER_NAME};
use serde_json::json;

use super::progress::Step;
use super::short;
use crate::cli::runtime;

#[derive(Debug, Args)]
pub struct PullArgs {
    /// Where from: HOST/NAME:TAG
    #[arg(value_name = "REFERENCE")]
    reference: String,
    /// The SHA-256 that the component must have
    #[arg(long, value_name = "HEX")]
    sha256: Option<String>,
    /// The configuration beside which the component is put [default: ./issuecommand.toml]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Without TLS: only from a registry on this machine
    #[arg(long)]
    insecure_http: bool,
    /// Print the result as JSON, for scripts
    #[arg(long)]
    json: bool,
}

pub fn run(args: &PullArgs) -> anyhow::Result<ExitCode> {
    let registry = Registry { insecure_http: args.insecure_http };
    let pulled = {
        let _step = Step::begin(&format!("pulling {}", args.reference));
        runtime()?.block_on(registry.pull(&args.reference, args.sha256.as_deref()))?
    };
    let config = args.config.clone().unwrap_or_else(|| CONFIG_FILE_NAME.into());
    let folder = config.parent().unwrap_or(Path::new("")).join(PULLED_FOLDER_NAME);
    let file = folder.join(&pulled.sha256).with_extension("wasm");
    put(&folder, &file, &pulled.component)?;
    let kinds = Specimen::of(&pulled.component)?.kinds();
    if args.json {
        let all = json!({
            "reference": pulled.reference, "manifest_digest": pulled.manifest_digest, "sha256": pulled.sha256,
            "file": file, "kinds": kinds.into_iter().map(PolicyKind::key).collect::<Vec<_>>(),
        });
        anstream::println!("{all}");
        return Ok(ExitCode::SUCCESS);
    }
    anstream::println!("pulled {} to {}", pulled.reference, short(&file));
    anstream::println!("manifest {}", pulled.manifest_digest);
    anstream::println!("Put it in force with, in {}:\n", config.display());
    for kind in kinds {
        anstream::println!("[policies.{}]", kind.key());
        anstream::println!("source = \"oci://{}\"\nsha256 = \"{}\"", pulled.reference, pulled.sha256);
    }
    Ok(ExitCode::SUCCESS)
}

/// Writes the component at once or not at all: a running server may be looking.
fn put(folder: &Path, file: &Path, component: &[u8]) -> anyhow::Result<()> {
    let write = || {
        std::fs::create_dir_all(folder)?;
        let part = tempfile::NamedTempFile::new_in(folder)?;
        std::fs::write(part.path(), component)?;
        part.persist(file).map_err(|error| error.error)
    };
    write().map(drop).with_context(|| format!("failed to write {}", file.display()))
}
