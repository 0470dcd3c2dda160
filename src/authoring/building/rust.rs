//! Rust: cargo makes a core module, and this process a component of it.

use std::env;
use std::fs;
use std::process::Command;

use super::encode;
use super::toolbox::run;
use crate::authoring::{AuthoringError, Project};

/// No file system, clock or network: only what the policy package offers.
const TARGET: &str = "wasm32-unknown-unknown";
/// Where cargo builds, in the policy's folder, whatever the machine's configuration says: the module is
/// looked for there.
const TARGET_FOLDER: &str = "target";
const CARGO_MISSING: &str = "cargo is not installed: get Rust from https://rustup.rs, then run \
                             `rustup target add wasm32-unknown-unknown`";

const ENCODING_HINT: &str =
    "Is there an `export_ranker!(...)`, and no crate that asks for a clock, files or randomness?";

pub(super) fn build(project: &Project, progress: &(dyn Fn(&str) + Sync)) -> Result<Vec<u8>, AuthoringError> {
    let target = project.folder.join(TARGET_FOLDER);
    let mut cargo = Command::new("cargo");
    // What is set for builds on this machine (`-C target-cpu=native`, say) does not fit another machine.
    for (variable, _) in env::vars_os() {
        if is_for_this_machine(&variable.to_string_lossy()) {
            cargo.env_remove(variable);
        }
    }
    cargo
        .current_dir(&project.folder)
        .args(["build", "--lib", "--release", "--target", TARGET, "--target-dir"])
        .arg(&target);
    run(&mut cargo, "`cargo build`", CARGO_MISSING, progress).map_err(with_hint)?;
    let module = target.join(TARGET).join("release").join(project.name.replace('-', "_")).with_extension("wasm");
    let bytes = fs::read(&module).map_err(AuthoringError::io("read what cargo built,", &module))?;
    progress("making a component of the module");
    encode(&bytes, ENCODING_HINT)
}

fn is_for_this_machine(variable: &str) -> bool {
    ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTC_WRAPPER", "RUSTC_WORKSPACE_WRAPPER"].contains(&variable)
        || ["CARGO_BUILD_", "CARGO_PROFILE_", "CARGO_TARGET_"].iter().any(|start| variable.starts_with(start))
}

/// rustc names the missing target, but not every reader sees it among forty errors.
fn with_hint(error: AuthoringError) -> AuthoringError {
    match error {
        AuthoringError::ToolFailed { attempt, how, output }
            if output.contains("can't find crate for `core`") || output.contains("may not be installed") =>
        {
            AuthoringError::ToolMissing(format!(
                "{attempt} failed ({how}) because the target {TARGET} is not installed: run \
                 `rustup target add {TARGET}` and build again"
            ))
        }
        other => other,
    }
}
