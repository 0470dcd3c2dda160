//! Which part of a repository an issue touches.

use serde::{Deserialize, Serialize};

use crate::areas::LabelAreas;

/// `[areas]`: which part of a repository an issue touches. Hot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AreasConfig {
    /// Whether to read CODEOWNERS, to know whose review a change needs.
    pub read_owners: bool,
    /// Whether to read which files merged pull requests touched: one request for each, once.
    pub read_pull_files: bool,
    /// What labels name: label to files and folders.
    pub labels: LabelAreas,
}

impl Default for AreasConfig {
    fn default() -> Self {
        Self { read_owners: true, read_pull_files: true, labels: LabelAreas::new() }
    }
}
