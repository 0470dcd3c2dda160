//! From a policy's folder to its component, whatever it is written in.

mod c;
mod js;
mod python;
mod rust;
mod sources;
mod toolbox;

use std::fs;
use std::path::PathBuf;

use sha2::{Digest, Sha256};
use wit_component::ComponentEncoder;

use super::{AuthoringError, Language, Project, Specimen};

pub use toolbox::tools_folder;

/// The world that rankers are built against.
const WORLD: &str = "ranker-policy";

/// A component that was built.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// Where it is.
    pub file: PathBuf,
    /// Its size, in bytes.
    pub bytes: usize,
    /// Its SHA-256, in hex.
    pub sha256: String,
}

/// Builds the component of a project. `progress` hears what the tools say meanwhile, a line at a time.
///
/// # Errors
/// [`AuthoringError::ToolMissing`] says what to install, [`AuthoringError::ToolFailed`] what the compiler says,
/// and [`AuthoringError::Component`] what is wrong with what was built.
pub fn build(project: &Project, progress: &(dyn Fn(&str) + Sync)) -> Result<Built, AuthoringError> {
    let component = match project.language {
        Language::Rust => rust::build(project, progress),
        Language::Js => js::build(project, progress),
        Language::Python => python::build(project, progress),
        Language::C => c::build(project, progress),
    }?;
    // A component that could not be a policy is told so now, not at its first use.
    Specimen::of(&component)?.is_policy().map_err(AuthoringError::Component)?;
    let file = project.component();
    fs::write(&file, &component).map_err(AuthoringError::io("write", &file))?;
    Ok(Built { file, bytes: component.len(), sha256: hex::encode(Sha256::digest(&component)) })
}

/// Makes a component of a core module that carries the description of its world. `hint` says where to look when
/// that fails.
fn encode(module: &[u8], hint: &str) -> Result<Vec<u8>, AuthoringError> {
    let encoded = ComponentEncoder::default().validate(true).module(module).and_then(|it| it.encode());
    encoded
        .map_err(|error| AuthoringError::Component(format!("what was built cannot become a policy: {error:#}. {hint}")))
}
