//! Where a follow-up stands, and where it may go from there.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a follow-up stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FollowUpStatus {
    /// Waiting for an agent.
    Queued,
    /// An agent has it, work not begun.
    Claimed,
    /// Being answered.
    InProgress,
    /// Answered.
    Done,
    /// Needs no answer.
    Dismissed,
    /// Lapsed: nobody has moved it for too long. On offer again.
    Stale,
}

impl FollowUpStatus {
    /// Every status there is.
    pub const ALL: [Self; 6] =
        [Self::Queued, Self::Claimed, Self::InProgress, Self::Done, Self::Dismissed, Self::Stale];

    /// The contract's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Claimed => "claimed",
            Self::InProgress => "in_progress",
            Self::Done => "done",
            Self::Dismissed => "dismissed",
            Self::Stale => "stale",
        }
    }

    /// Whether a follow-up ends here.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Done | Self::Dismissed)
    }

    /// Whether `next_work` may give it out.
    pub fn is_on_offer(self) -> bool {
        matches!(self, Self::Queued | Self::Stale)
    }

    /// The contract's table of transitions.
    pub(super) fn may_become(self, to: Self) -> bool {
        use FollowUpStatus::{Claimed, Dismissed, Done, InProgress, Queued, Stale};
        matches!(
            (self, to),
            (Queued, Claimed | InProgress | Done | Dismissed | Stale)
                | (Claimed, InProgress | Done | Dismissed | Stale)
                | (InProgress, Done | Dismissed | Stale)
                | (Stale, Claimed | InProgress | Done | Dismissed)
        )
    }
}

impl fmt::Display for FollowUpStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for FollowUpStatus {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|status| status.as_str() == text).ok_or_else(|| {
            let words: Vec<_> = Self::ALL.iter().map(|status| status.as_str()).collect();
            format!("Invalid follow-up status: {text} (expected one of {})", words.join(", "))
        })
    }
}
