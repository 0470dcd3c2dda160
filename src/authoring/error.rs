//! What can go wrong on an author's way, in words for the author.

use std::io;
use std::path::Path;

use crate::policy::{PolicyError, PolicyRejected};

/// Why a step of an author's way failed: what was attempted, what went wrong, what to do.
#[derive(Debug, thiserror::Error)]
pub enum AuthoringError {
    /// A file or folder could not be read or written.
    #[error("failed to {attempt}")]
    Io {
        /// What was attempted, with the path.
        attempt: String,
        /// What the system says.
        source: io::Error,
    },
    /// The folder is no policy's, or its description is wrong.
    #[error("{0}")]
    Project(String),
    /// A tool that building needs is not there.
    #[error("{0}")]
    ToolMissing(String),
    /// A tool failed; it says why itself.
    #[error("{attempt} failed ({how}):\n{output}")]
    ToolFailed {
        /// What was run.
        attempt: String,
        /// How it ended.
        how: String,
        /// What it wrote, its last lines.
        output: String,
    },
    /// The file is no component, or not one that is a policy.
    #[error("{0}")]
    Component(String),
    /// The cases cannot be run as they are written.
    #[error("{0}")]
    Cases(String),
    /// A registry did not take or give a policy.
    #[error("{0}")]
    Registry(String),
    /// The policy is not signed by the one who should have signed it.
    #[error("{0}")]
    Signature(String),
    /// The policy is not fit for service.
    #[error(transparent)]
    Rejected(#[from] PolicyRejected),
    /// The policy failed in a call.
    #[error(transparent)]
    Policy(#[from] PolicyError),
}

impl AuthoringError {
    /// What `verb` did to `path` failed.
    pub(super) fn io(verb: &str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let attempt = format!("{verb} {}", path.display());
        move |source| Self::Io { attempt, source }
    }
}
