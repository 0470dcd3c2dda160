//! `issuecommand policy pull`: a component from an OCI registry, to where the server looks for it.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use issuecommand::authoring::{PolicyKind, Pulled, Registry, Signatures, Specimen};
use issuecommand::config::{CONFIG_FILE_NAME, PULLED_FOLDER_NAME, Signer, manifest_path, signature_path};
use serde_json::json;

use super::super::progress::Step;
use super::short;
use super::signer::{SignerArgs, seen_from};
use crate::cli::runtime;

#[derive(Debug, Args)]
pub struct PullArgs {
    /// Where from: HOST/NAME:TAG
    #[arg(value_name = "REFERENCE")]
    reference: String,
    /// The SHA-256 that the component must have
    #[arg(long, value_name = "HEX")]
    sha256: Option<String>,
    #[command(flatten)]
    signer: SignerArgs,
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
    let signer = args.signer.signer();
    let pulled = {
        let _step = Step::begin(&format!("pulling {}", args.reference));
        let signer = signer.as_ref().map(|signer| (signer, Path::new("")));
        runtime()?.block_on(registry.pull(&args.reference, args.sha256.as_deref(), signer))?
    };
    let config = args.config.clone().unwrap_or_else(|| CONFIG_FILE_NAME.into());
    let beside = config.parent().unwrap_or(Path::new(""));
    let folder = beside.join(PULLED_FOLDER_NAME);
    let keeps_present = keeps_present(&component_in(&folder, &pulled), &pulled);
    let file = put(&folder, &pulled, !keeps_present)?;
    let kinds = Specimen::of(&pulled.component)?.kinds();
    if args.json {
        let all = json!({
            "reference": pulled.reference, "manifest_digest": pulled.manifest_digest, "sha256": pulled.sha256,
            "file": file, "signed_by": pulled.signed.map(|signed| signed.to_string()), "unread": pulled.unread,
            "kinds": kinds.into_iter().map(PolicyKind::key).collect::<Vec<_>>(),
        });
        say!("{all}");
        return Ok(ExitCode::SUCCESS);
    }
    say!("pulled {} to {}", pulled.reference, short(&file));
    say!("manifest {}", pulled.manifest_digest);
    match (&pulled.signed, &pulled.signatures) {
        (Some(signed), _) => say!("signed by {signed}"),
        (None, Some(_)) if keeps_present => {
            say!("the signatures that lay beside it stay: --key or --identity and --issuer replace them");
        }
        (None, Some(_)) => say!("signed, by whom was not asked: --key or --identity and --issuer do"),
        (None, None) => {}
    }
    match (&pulled.unread, &pulled.signatures) {
        (None, _) => {}
        (Some(why), None) => say!("its signatures could not be read: {why}"),
        (Some(why), Some(_)) => say!("not all of its signatures could be read: {why}"),
    }
    let signed_by = signer.map(|signer| toml_of(&seen_from(beside, signer))).transpose()?;
    say!("Put it in force with, in {}:\n", config.display());
    for kind in kinds {
        say!("[policies.{}]", kind.key());
        say!("source = \"oci://{}\"\nsha256 = \"{}\"", pulled.reference, pulled.sha256);
        if let Some(signed_by) = &signed_by {
            say!("signed_by = {signed_by}");
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn component_in(folder: &Path, pulled: &Pulled) -> PathBuf {
    folder.join(&pulled.sha256).with_extension("wasm")
}

/// Puts a component into `folder`, under its digest, and what says who signed it beside it, if `with_signatures`. Each
/// file is there at once or not at all, the component last: a running server may be looking.
fn put(folder: &Path, pulled: &Pulled, with_signatures: bool) -> anyhow::Result<PathBuf> {
    let component = component_in(folder, pulled);
    std::fs::create_dir_all(folder).with_context(|| format!("failed to make {}", folder.display()))?;
    let write = |file: &Path, bytes: &[u8]| {
        let attempt = || {
            let part = tempfile::NamedTempFile::new_in(folder)?;
            std::fs::write(part.path(), bytes)?;
            part.persist(file).map_err(|error| error.error)
        };
        attempt().map(drop).with_context(|| format!("failed to write {}", file.display()))
    };
    if let Some(signatures) = pulled.signatures.as_ref().filter(|_| with_signatures) {
        write(&manifest_path(&component), &signatures.manifest)?;
        write(&signature_path(&component), &signatures.bundles)?;
    }
    write(&component, &pulled.component)?;
    Ok(component)
}

/// Whether the signatures stay that lie beside a component: somebody may have verified those, and nobody these.
fn keeps_present(component: &Path, pulled: &Pulled) -> bool {
    let is_other = |signatures: &Signatures| {
        let present = std::fs::read(signature_path(component));
        present.is_ok_and(|present| !present.is_empty() && present != signatures.bundles)
    };
    pulled.signed.is_none() && pulled.signatures.as_ref().is_some_and(is_other)
}

/// A signer in one line of TOML.
fn toml_of(signer: &Signer) -> anyhow::Result<String> {
    Ok(toml::Value::try_from(signer).context("a signer has no form in TOML")?.to_string())
}
