//! Where a run stands, and where it may go.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::RunQuestion;
use crate::domain::Timestamp;

/// Where a run stands: the contract's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunStatus {
    /// It waits for a slot.
    Queued,
    /// It has a slot, and its container is being made.
    Dispatched,
    /// The agent works.
    Running,
    /// The agent asked something.
    WaitingHuman,
    /// Its pull request is open.
    Completed,
    /// It ended without one.
    Failed,
}

impl RunStatus {
    /// All there are.
    pub const ALL: [Self; 6] =
        [Self::Queued, Self::Dispatched, Self::Running, Self::WaitingHuman, Self::Completed, Self::Failed];

    /// The contract's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Dispatched => "dispatched",
            Self::Running => "running",
            Self::WaitingHuman => "waiting_human",
            Self::Completed => "completed",
            Self::Failed => "failed",
        }
    }

    /// Whether it has ended.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Completed | Self::Failed)
    }

    /// Whether an attempt is under way.
    pub fn is_under_way(self) -> bool {
        matches!(self, Self::Dispatched | Self::Running | Self::WaitingHuman)
    }

    /// Whether a run may go from here to there.
    pub(super) fn may_become(self, to: Self) -> bool {
        match self {
            Self::Queued => matches!(to, Self::Dispatched | Self::Failed),
            Self::Dispatched => matches!(to, Self::Running | Self::Queued | Self::Failed | Self::Completed),
            Self::Running => matches!(to, Self::WaitingHuman | Self::Queued | Self::Failed | Self::Completed),
            Self::WaitingHuman => matches!(to, Self::Running | Self::Queued | Self::Failed),
            Self::Completed | Self::Failed => false,
        }
    }
}

impl std::fmt::Display for RunStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.as_str())
    }
}

/// What happens to a run.
#[derive(Debug, Clone, PartialEq)]
pub enum RunStep {
    /// It gets a slot.
    Begin,
    /// Its agent works, or works on.
    Work,
    /// Its agent asks.
    Ask(RunQuestion),
    /// Its pull request is open.
    Complete {
        /// Where.
        pr_url: String,
    },
    /// It ends without one.
    Fail {
        /// Why.
        why: String,
    },
    /// It goes back to the queue.
    Requeue {
        /// Why.
        why: String,
        /// Not before then.
        not_before: Option<Timestamp>,
        /// Whether that was its own failure, of which it has only so many.
        failed: bool,
    },
}

impl RunStep {
    /// Where it leads.
    pub fn status(&self) -> RunStatus {
        match self {
            Self::Begin => RunStatus::Dispatched,
            Self::Work => RunStatus::Running,
            Self::Ask(_) => RunStatus::WaitingHuman,
            Self::Complete { .. } => RunStatus::Completed,
            Self::Fail { .. } => RunStatus::Failed,
            Self::Requeue { .. } => RunStatus::Queued,
        }
    }
}

/// A step that a run cannot take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a run cannot go from {from} to {to}")]
pub struct RunStepError {
    /// Where it stands.
    pub from: RunStatus,
    /// Where it was to go.
    pub to: RunStatus,
}
