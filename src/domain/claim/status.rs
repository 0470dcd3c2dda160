//! Where a claim stands, and where it may go from there.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where a claim stands. `claimed → in_progress → pr_submitted → pr_merged → closed` is the way of
/// finished work; `stale` is a lapsed hold that still blocks others; `closed` and `released` are the end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ClaimStatus {
    /// Held, work not begun.
    Claimed,
    /// Being worked on.
    InProgress,
    /// A pull request is open.
    PrSubmitted,
    /// The pull request was merged.
    PrMerged,
    /// Done.
    Closed,
    /// Given back, or taken back.
    Released,
    /// Lapsed: its owner has not been heard of for too long.
    Stale,
}

impl ClaimStatus {
    /// Every status there is.
    pub const ALL: [Self; 7] =
        [Self::Claimed, Self::InProgress, Self::PrSubmitted, Self::PrMerged, Self::Closed, Self::Released, Self::Stale];

    /// The contract's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Claimed => "claimed",
            Self::InProgress => "in_progress",
            Self::PrSubmitted => "pr_submitted",
            Self::PrMerged => "pr_merged",
            Self::Closed => "closed",
            Self::Released => "released",
            Self::Stale => "stale",
        }
    }

    /// Whether a claim ends here: it leaves the active set and its issue is free.
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Closed | Self::Released)
    }

    /// The contract's table of transitions, without the special rights of [`Actor::Sync`](super::Actor::Sync).
    pub(super) fn may_become(self, to: Self) -> bool {
        use ClaimStatus::{Claimed, Closed, InProgress, PrMerged, PrSubmitted, Released, Stale};
        matches!(
            (self, to),
            (Claimed, InProgress)
                | (InProgress, PrSubmitted)
                | (PrSubmitted, PrMerged)
                | (PrMerged, Closed)
                | (Claimed | InProgress | PrSubmitted | PrMerged, Released | Stale)
                | (Stale, InProgress | Released)
        )
    }
}

impl fmt::Display for ClaimStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for ClaimStatus {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|status| status.as_str() == text).ok_or_else(|| {
            let words: Vec<_> = Self::ALL.iter().map(|status| status.as_str()).collect();
            format!("Invalid claim status: {text} (expected one of {})", words.join(", "))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_read_as_they_are_written() {
        for status in ClaimStatus::ALL {
            assert_eq!(status.as_str().parse(), Ok(status));
            assert_eq!(serde_json::to_value(status).unwrap(), status.as_str());
        }
        assert!("done".parse::<ClaimStatus>().unwrap_err().starts_with("Invalid claim status: done"));
    }
}
