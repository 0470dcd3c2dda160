//! The form of a file of cases.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::moment::Moment;
use crate::domain::{Approval, ClaimStatus};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cases {
    pub(super) now: Option<Moment>,
    pub(super) settings: Option<Map<String, Value>>,
    #[serde(default)]
    pub(super) case: Vec<Case>,
}

/// One case.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Case {
    pub(super) name: String,
    /// In place of the file's, and of those of the policy's folder.
    pub(super) settings: Option<Map<String, Value>>,
    #[serde(default)]
    pub(super) agent: AgentFacts,
    #[serde(default)]
    pub(super) issues: Vec<IssueCase>,
    #[serde(default)]
    pub(super) live_claims: Vec<LiveClaimCase>,
    #[serde(default)]
    pub(super) expect: Expectation,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct AgentFacts {
    pub(super) name: String,
    pub(super) skills: Vec<String>,
    pub(super) groups: Vec<String>,
    /// Repositories of its active claims, one entry a claim.
    pub(super) claims: Vec<String>,
    /// Its pull requests that wait for a review.
    pub(super) reviews: u32,
}

impl Default for AgentFacts {
    fn default() -> Self {
        let none = Vec::new;
        Self { name: "agent-1".into(), skills: none(), groups: none(), claims: none(), reviews: 0 }
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct IssueCase {
    #[serde(default = "default_repo")]
    pub(super) repo: String,
    pub(super) number: u64,
    #[serde(default)]
    pub(super) title: String,
    #[serde(default)]
    pub(super) body: String,
    #[serde(default)]
    pub(super) labels: Vec<String>,
    #[serde(default)]
    pub(super) assignees: Vec<String>,
    pub(super) milestone: Option<String>,
    #[serde(default)]
    pub(super) author: String,
    #[serde(default = "default_association")]
    pub(super) author_association: String,
    #[serde(default)]
    pub(super) comments: u32,
    #[serde(default)]
    pub(super) reactions: u32,
    #[serde(default)]
    pub(super) opened: Moment,
    /// When it was last changed; when it was opened, if left out.
    pub(super) changed: Option<Moment>,
    #[serde(default)]
    pub(super) topics: Vec<String>,
    #[serde(default)]
    pub(super) blocked_by: Vec<String>,
    #[serde(default)]
    pub(super) approval: Approval,
    #[serde(default)]
    pub(super) areas: Vec<String>,
    #[serde(default)]
    pub(super) reviewers: Vec<String>,
    /// Active claims in its repository.
    #[serde(default)]
    pub(super) repo_claims: u32,
    /// Pull requests of claims that wait for a review in its repository.
    #[serde(default)]
    pub(super) repo_reviews: u32,
    /// Pull requests that wait for the least busy of its reviewers.
    #[serde(default)]
    pub(super) reviewer_load: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct LiveClaimCase {
    pub(super) agent: String,
    /// `owner/name#number`, or a number in acme/app.
    pub(super) issue: IssueName,
    #[serde(default)]
    pub(super) areas: Vec<String>,
    #[serde(default = "default_status")]
    pub(super) status: ClaimStatus,
    #[serde(default)]
    pub(super) claimed: Moment,
}

/// What must come out. Everything that is said must hold.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Expectation {
    /// All that is offered, best first.
    pub(super) order: Option<Vec<IssueName>>,
    /// What is offered first.
    pub(super) first: Option<IssueName>,
    /// For each issue that must be left out, a part of the reason.
    pub(super) skip: BTreeMap<String, String>,
    /// For each issue, parts of the terms that its score must have, as in `label +10`.
    pub(super) reasons: BTreeMap<String, Vec<String>>,
    /// When an agent that gets nothing is told to come again.
    pub(super) retry_after_seconds: Option<u64>,
    /// A part of the message with which the settings must be refused.
    pub(super) refused: Option<String>,
}

impl Expectation {
    pub(super) fn is_empty(&self) -> bool {
        let Self { order, first, skip, reasons, retry_after_seconds, refused } = self;
        order.is_none()
            && first.is_none()
            && skip.is_empty()
            && reasons.is_empty()
            && retry_after_seconds.is_none()
            && refused.is_none()
    }
}

/// An issue of a case: its number, or `owner/name#number` where two have the same.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(super) enum IssueName {
    Number(u64),
    Full(String),
}

impl IssueName {
    /// As the keys of tables spell it.
    pub(super) fn of_key(key: &str) -> Self {
        key.parse().map_or_else(|_| Self::Full(key.to_owned()), Self::Number)
    }
}

impl std::fmt::Display for IssueName {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Full(name) => f.write_str(name),
        }
    }
}

/// The repository of issues that name none.
pub(super) const DEFAULT_REPO: &str = "acme/app";

fn default_repo() -> String {
    DEFAULT_REPO.into()
}

fn default_association() -> String {
    "NONE".into()
}

fn default_status() -> ClaimStatus {
    ClaimStatus::InProgress
}
