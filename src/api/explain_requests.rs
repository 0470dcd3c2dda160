//! The fields of explanations.

use schemars::JsonSchema;
use serde::Deserialize;

use super::fields::{self, FieldError, WholeNumber};
use crate::domain::{AgentId, DecisionId, IssueNumber, IssueRef, RepoName};
use crate::store::DecisionFilter;

/// Decisions told when nobody says how many. Ours: what fits a screen.
pub const DECISION_COUNT_DEFAULT: usize = 20;
/// Decisions told at most. Ours: what a program pages by.
pub const DECISION_COUNT_MAX: usize = 1000;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ExplainFields {
    /// owner/name
    #[schemars(with = "RepoName")]
    repo: Option<RepoName>,
    #[serde(alias = "number")]
    #[schemars(with = "IssueNumber")]
    issue_number: Option<WholeNumber>,
    /// For this agent; else for the one who asks.
    agent_id: Option<AgentId>,
}

impl ExplainFields {
    pub(super) fn parse(self) -> Result<(IssueRef, Option<AgentId>), FieldError> {
        let repo = fields::required("repo", self.repo)?;
        Ok((IssueRef::new(repo, fields::issue_number(self.issue_number)?), self.agent_id))
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DecisionFilterFields {
    /// Only those that answered this agent.
    agent_id: Option<AgentId>,
    /// Only those that gave out an issue of this owner/name.
    repo: Option<RepoName>,
    /// With repo: only those that considered this issue, given out or not.
    #[serde(alias = "number")]
    #[schemars(with = "Option<IssueNumber>")]
    issue_number: Option<WholeNumber>,
    /// 20 unless you say.
    #[schemars(with = "Option<u64>", range(min = 1, max = 1000))]
    limit: Option<WholeNumber>,
}

impl DecisionFilterFields {
    /// The filter, and how many decisions to tell at most.
    pub(super) fn parse(self) -> Result<(DecisionFilter, usize), FieldError> {
        let limit = match self.limit {
            None => DECISION_COUNT_DEFAULT,
            Some(WholeNumber(limit)) => usize::try_from(limit)
                .ok()
                .filter(|limit| (1..=DECISION_COUNT_MAX).contains(limit))
                .ok_or_else(|| FieldError::field("limit", format!("expected 1 to {DECISION_COUNT_MAX}")))?,
        };
        let agent = self.agent_id;
        let filter = match self.issue_number {
            None => DecisionFilter { agent, repo: self.repo, ..DecisionFilter::default() },
            number => {
                let repo = fields::required("repo", self.repo)?;
                let considered = Some(IssueRef::new(repo, fields::issue_number(number)?));
                DecisionFilter { agent, considered, ..DecisionFilter::default() }
            }
        };
        Ok((filter, limit))
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct DecisionFields {
    /// From the claim.
    #[schemars(with = "DecisionId")]
    decision_id: Option<DecisionId>,
}

impl DecisionFields {
    pub(super) fn parse(self) -> Result<DecisionId, FieldError> {
        fields::required("decision_id", self.decision_id)
    }
}
