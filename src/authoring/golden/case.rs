//! The form of a file of cases.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::claims::{ClaimCase, VerdictWord};
use super::moment::Moment;
use super::repos::RepoCase;
use crate::authoring::PolicyKind;
use crate::domain::{Approval, ClaimStatus, IssueRef};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Cases {
    pub(super) now: Option<Moment>,
    pub(super) settings: Option<Map<String, Value>>,
    #[serde(default)]
    pub(super) case: Vec<Case>,
}

/// One case: of issues, asked of a ranker; of claims, asked of a stale rule; or of repositories, asked of a filter.
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
    pub(super) claims: Vec<ClaimCase>,
    #[serde(default)]
    pub(super) repos: Vec<RepoCase>,
    #[serde(default)]
    pub(super) expect: Expectation,
}

impl Case {
    /// Which kinds of policy are asked by what it names and what it expects: one, or none where it expects only that
    /// settings are refused.
    pub(super) fn kinds(&self) -> Vec<PolicyKind> {
        let Self { issues, live_claims, claims, repos, expect, .. } = self;
        let asked = [
            (PolicyKind::Ranker, !issues.is_empty() || !live_claims.is_empty() || expect.is_of_issues()),
            (PolicyKind::StaleRule, !claims.is_empty() || !expect.verdicts.is_empty()),
            (PolicyKind::RepoFilter, !repos.is_empty() || expect.admitted.is_some() || !expect.out.is_empty()),
        ];
        asked.into_iter().filter(|(_, is_asked)| *is_asked).map(|(kind, _)| kind).collect()
    }
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
    /// For each claim, how it is doing.
    pub(super) verdicts: BTreeMap<String, VerdictWord>,
    /// All repositories that take part, in the order of the case.
    #[serde(rename = "in")]
    pub(super) admitted: Option<Vec<String>>,
    /// For each repository that takes no part, a part of the reason.
    pub(super) out: BTreeMap<String, String>,
    /// A part of the message with which the settings must be refused.
    pub(super) refused: Option<String>,
}

impl Expectation {
    pub(super) fn is_empty(&self) -> bool {
        !self.is_of_issues()
            && self.verdicts.is_empty()
            && self.admitted.is_none()
            && self.out.is_empty()
            && self.refused.is_none()
    }

    fn is_of_issues(&self) -> bool {
        self.order.is_some()
            || self.first.is_some()
            || !self.skip.is_empty()
            || !self.reasons.is_empty()
            || self.retry_after_seconds.is_some()
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

    /// The row of what it names among `issues`.
    ///
    /// # Errors
    /// When there is none, or more than one, in words that call the rows `noun`.
    pub(super) fn row_in<'a>(&self, issues: impl Iterator<Item = &'a IssueRef>, noun: &str) -> Result<usize, String> {
        let is_named = |issue: &IssueRef| match self {
            Self::Number(number) => issue.number.get() == *number,
            Self::Full(name) => issue.to_string().eq_ignore_ascii_case(name),
        };
        let rows: Vec<usize> = issues.enumerate().filter(|(_, issue)| is_named(issue)).map(|(row, _)| row).collect();
        match rows[..] {
            [row] => Ok(row),
            [] => Err(format!("it expects something of issue {self}, which is not among its {noun}")),
            _ => Err(format!("issue {self} is there more than once: write \"owner/name#number\"")),
        }
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

pub(super) fn default_repo() -> String {
    DEFAULT_REPO.into()
}

fn default_association() -> String {
    "NONE".into()
}

pub(super) fn default_status() -> ClaimStatus {
    ClaimStatus::InProgress
}
