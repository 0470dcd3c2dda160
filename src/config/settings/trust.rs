//! Whose word lets an issue be worked on.

use serde::{Deserialize, Serialize};

/// `[trust]`: what counts as a maintainer's approval of an issue. Hot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct TrustConfig {
    /// Labels that approve an issue as it reads when they are put on it.
    pub approval_labels: Vec<String>,
    /// Patterns of the logins whose labels count; empty: everybody whom GitHub lets set labels.
    pub approvers: Vec<String>,
}

impl Default for TrustConfig {
    fn default() -> Self {
        Self { approval_labels: vec!["agent-ok".into()], approvers: Vec::new() }
    }
}
