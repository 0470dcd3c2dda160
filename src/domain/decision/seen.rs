//! What a ranker was shown for one decision: enough to ask it again, and get the same answer.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::{AgentId, ClaimStatus, FactsVersion, IssueFacts, IssueNumber, PolicyStamp, RepoName, Timestamp};

/// What an agent narrowed its question to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AskedFor {
    /// Only in this repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repo: Option<RepoName>,
    /// Only with this label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Only in the milestone of this title.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub milestone: Option<String>,
}

impl AskedFor {
    /// Whether it did not narrow it.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// One of several rankers, and what it ranked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RankerSeen {
    /// Which, with which settings.
    pub ranker: PolicyStamp,
    /// The repositories of the issues considered that it ranks.
    pub repos: Vec<RepoName>,
}

/// One page of a short list, as a ranker was asked about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PageSeen {
    /// How many rows it had.
    pub row_count: u32,
    /// What the ranker was told of the request.
    #[serde(default)]
    pub request: RequestSeen,
    /// Whether the ranker failed, so that the order by score stood.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub by_score: bool,
    /// When the ranker said that asking again makes sense, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

/// What a ranker was told of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RequestSeen {
    /// Repositories of the agent's active claims, one entry a claim.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claim_repos: Vec<RepoName>,
    /// What the agent said it can do.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skills: Vec<String>,
    /// The groups it belonged to.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// How many of its pull requests waited for a review.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub review_count: u32,
    /// How much of the day's budget of dispatch was spent, in percent.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub budget_spent: u32,
    /// What was being worked on beside it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub live_claims: Vec<WorkSeen>,
}

/// A live claim, as a ranker was told of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WorkSeen {
    /// Who held it.
    pub agent_id: AgentId,
    /// The repository of its issue.
    pub repo: RepoName,
    /// The number of its issue.
    pub number: IssueNumber,
    /// How far it was.
    pub status: ClaimStatus,
    /// Files and folders that it was likely to touch.
    #[serde(default, skip_serializing_if = "<[_]>::is_empty")]
    pub areas: Box<[Arc<str>]>,
    /// When it was granted.
    pub claimed_at: Timestamp,
}

/// What a ranker was shown of one issue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RowSeen {
    /// Its place in what was shown, from 0.
    pub place: u32,
    /// Which state of its facts.
    pub facts: FactsVersion,
    /// When the ranker gave it this score; left out where the score was not the ranker's own word on these
    /// facts (another stood in for it, or the issue had just changed).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scored_at: Option<Timestamp>,
    /// Active claims in its repository.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub repo_claim_count: u32,
    /// Pull requests of claims that waited for a review in its repository.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub repo_review_count: u32,
    /// Pull requests of claims that waited for the least busy of its reviewers.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub reviewer_load: u32,
    /// The issue as it was. The store keeps it once for all decisions, and gives it back with a single one.
    #[serde(skip)]
    pub snapshot: Option<Arc<IssueSnapshot>>,
}

/// One state of an issue, whole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssueSnapshot {
    /// Its facts.
    pub facts: Arc<IssueFacts>,
    /// The text below its title. Empty before the store has it.
    pub body: String,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde passes fields by reference")]
fn is_zero(count: &u32) -> bool {
    *count == 0
}
