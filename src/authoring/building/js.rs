//! JavaScript: ComponentizeJS puts the module and an engine into a component.

use std::fs;
use std::process::Command;

use super::WORLD;
use super::sources::Sources;
use super::toolbox::{provide, run};
use crate::authoring::scaffold::js_build_program;
use crate::authoring::{AuthoringError, Project};

/// The package that makes components, pinned: what it builds must not change by itself.
const PACKAGE: &str = "@bytecodealliance/componentize-js@0.23.0";
/// Its folder among the tools.
const FOLDER: &str = "componentize-js-0.23.0";
const NPM_MISSING: &str = "npm is not installed: get Node.js 20 or later from https://nodejs.org, and build again";
const NODE_MISSING: &str = "node is not installed: get Node.js 20 or later from https://nodejs.org, and build again";

pub(super) fn build(project: &Project, progress: &(dyn Fn(&str) + Sync)) -> Result<Vec<u8>, AuthoringError> {
    let tools = provide(FOLDER, |folder| {
        progress("fetching ComponentizeJS (about 400 MB, once)");
        let mut npm = Command::new("npm");
        npm.current_dir(folder).args(["install", "--no-audit", "--no-fund", "--loglevel=error", "--prefix", "."]);
        run(npm.arg(PACKAGE), "`npm install`", NPM_MISSING, progress)
    })?;
    // Beside the packages, because that is where node looks for them.
    let program = tools.join("build.mjs");
    fs::write(&program, js_build_program()).map_err(AuthoringError::io("write", &program))?;
    let output = tempfile::NamedTempFile::new().map_err(AuthoringError::io("make", "a temporary file".as_ref()))?;
    progress("making a component of policy.js (about ten seconds)");
    let sources = Sources::of(project)?;
    let mut node = Command::new("node");
    node.arg(&program).arg(sources.folder().join("policy.js")).arg(project.wit()).arg(WORLD).arg(output.path());
    run(&mut node, "ComponentizeJS", NODE_MISSING, progress)?;
    fs::read(output.path()).map_err(AuthoringError::io("read", output.path()))
}
