//! Python: componentize-py puts the module and an interpreter into a component.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::WORLD;
use super::sources::Sources;
use super::toolbox::{provide, run};
use crate::authoring::{AuthoringError, Project};

/// The package that makes components, pinned: what it builds must not change by itself.
const PACKAGE: &str = "componentize-py==0.25.1";
/// Its folder among the tools: a virtual environment.
const FOLDER: &str = "componentize-py-0.25.1";
const PYTHON_MISSING: &str =
    "python3 is not installed: get Python 3.10 or later (with its venv module), and build again";

pub(super) fn build(project: &Project, progress: &(dyn Fn(&str) + Sync)) -> Result<Vec<u8>, AuthoringError> {
    let tools = provide(FOLDER, |folder| {
        progress("fetching componentize-py (about 70 MB, once)");
        let mut python = Command::new("python3");
        python.args(["-m", "venv", "--clear"]).arg(folder);
        run(&mut python, "`python3 -m venv`", PYTHON_MISSING, progress)?;
        let mut pip = Command::new(folder.join("bin/python"));
        pip.args(["-m", "pip", "install", "--disable-pip-version-check", PACKAGE]);
        run(&mut pip, "`pip install`", PYTHON_MISSING, progress)
    })?;
    let output = tempfile::NamedTempFile::new().map_err(AuthoringError::io("make", "a temporary file".as_ref()))?;
    progress("making a component of policy.py (a few seconds)");
    let sources = Sources::of(project)?;
    run(
        &mut componentize(&tools, project, sources.folder(), output.path()),
        "componentize-py",
        PYTHON_MISSING,
        progress,
    )?;
    fs::read(output.path()).map_err(AuthoringError::io("read", output.path()))
}

/// With WASI stubbed out, nothing is imported but the policy's own package.
fn componentize(tools: &Path, project: &Project, sources: &Path, output: &Path) -> Command {
    let mut command = Command::new(tools.join("bin/componentize-py"));
    command.arg("--wit-path").arg(project.wit()).args(["--world", WORLD, "componentize", "--stub-wasi"]);
    command.arg("--python-path").arg(sources).arg("policy").arg("--output").arg(output);
    // Another environment that happens to be active has nothing to do with the policy.
    command.env_remove("VIRTUAL_ENV").current_dir(sources);
    command
}
