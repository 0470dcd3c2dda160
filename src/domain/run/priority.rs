//! How urgent a run is, by the labels of its issue.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How urgent a run is: the contract's four words.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RunPriority {
    /// `priority/critical`: may take the slot of another run.
    Critical,
    /// `priority/high`
    High,
    /// `priority/medium`, or none of these labels.
    #[default]
    Medium,
    /// `priority/low`
    Low,
}

impl RunPriority {
    /// All, the most urgent first.
    pub const ALL: [Self; 4] = [Self::Critical, Self::High, Self::Medium, Self::Low];

    /// The contract's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::High => "high",
            Self::Medium => "medium",
            Self::Low => "low",
        }
    }

    /// The most urgent that `labels` name, compared trimmed and without case.
    pub fn of_labels<'a>(labels: impl Iterator<Item = &'a str>) -> Self {
        let named = labels.filter_map(|label| {
            let label = label.trim().to_lowercase();
            let word = label.strip_prefix("priority/")?;
            Self::ALL.into_iter().find(|priority| priority.as_str() == word)
        });
        named.min().unwrap_or_default()
    }
}

impl std::fmt::Display for RunPriority {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}
