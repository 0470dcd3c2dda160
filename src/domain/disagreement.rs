//! Where a ranker on trial and the one in force do not pick the same.

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
    /// Whether the agent is one of a canary's: then the candidate picked, and the ranker in force would have.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_candidate: bool,
    /// What was put first by the ranker that serves the agent; left out when it had nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picked: Option<Preference>,
    /// What the other ranker put first; left out when it had nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub would_have_picked: Option<Preference>,
}

/// How often the picks of a candidate and of the ranker in force were compared, and what came of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrialCounts {
    /// Requests on which both put the same issue first, or both had nothing.
    pub agreed: u64,
    /// Requests on which they did not.
    pub disagreed: u64,
    /// Requests on which the one asked behind the answer passed over all that it was shown, so that nobody knows.
    pub undecided: u64,
    /// Requests on which one of them failed.
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
