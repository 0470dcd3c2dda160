//! Where a ranker on trial would have picked otherwise than the one in force.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AgentId, IssueNumber, Reason, RepoName, Timestamp};

/// An issue that a ranker puts first, and why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Preference {
    /// The issue's repository.
    pub repo: RepoName,
    /// Its number.
    pub number: IssueNumber,
    /// Its score by that ranker.
    pub score: f64,
    /// The first terms of that score.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Reason>,
}

/// One request on which two rankers did not agree.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Disagreement {
    /// When.
    pub at: Timestamp,
    /// Who asked.
    pub agent_id: AgentId,
    /// What the ranker in force put first; left out when it had nothing for the agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picked: Option<Preference>,
    /// What the candidate put first; left out when it had nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub would_have_picked: Option<Preference>,
}

/// How often a candidate was asked what it would have picked, and what came of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrialCounts {
    /// Requests on which both put the same issue first, or both had nothing.
    pub agreed: u64,
    /// Requests on which they did not.
    pub disagreed: u64,
    /// Requests on which the candidate passed over all that it was shown, so that nobody knows.
    pub undecided: u64,
    /// Requests on which the candidate failed.
    pub failed: u64,
    /// Requests that were not looked at, because too many came at once.
    pub dropped: u64,
}

impl TrialCounts {
    /// The share of requests on which they agreed, of those on which both had a word; `None` before the first.
    pub fn agreement(&self) -> Option<f64> {
        let compared = self.agreed + self.disagreed;
        #[allow(clippy::cast_precision_loss, reason = "nobody counts to 2^53")]
        (compared > 0).then(|| self.agreed as f64 / compared as f64)
    }

    /// Adds other counts.
    pub fn add(&mut self, other: &Self) {
        self.agreed += other.agreed;
        self.disagreed += other.disagreed;
        self.undecided += other.undecided;
        self.failed += other.failed;
        self.dropped += other.dropped;
    }

    /// Whether nothing was counted.
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}
