//! The fields of each call. Their comments are what agents read in the published schemas: few words.

use schemars::JsonSchema;
use serde::Deserialize;

use super::fields::{self, FieldError, Flag, WholeNumber};
use crate::claims::{ClaimRequest, FollowUpUpdate, NextRequest, UpdateRequest};
use crate::domain::{AgentId, ClaimId, ClaimStatus, IssueNumber, IssueRef, RepoName, RequestId, Skills, WorkItemId};
use crate::store::{ClaimFilter, FollowUpFilter, IssueFilter};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NextFields {
    /// Your name; keep it for all calls.
    #[schemars(with = "AgentId")]
    agent_id: Option<AgentId>,
    /// Only in this owner/name.
    repo: Option<RepoName>,
    /// Only with this label.
    label: Option<String>,
    /// Only in this milestone (title).
    milestone: Option<String>,
    /// Any id you choose; a retry with it gets the same claim.
    request_id: Option<RequestId>,
    /// What you can do, in short words.
    skills: Option<Skills>,
}

impl NextFields {
    /// `caller` and `skills` are what the connection says, and stand in for what the fields do not.
    pub(super) fn parse(self, caller: Option<&AgentId>, skills: &Skills) -> Result<NextRequest, FieldError> {
        Ok(NextRequest {
            agent: fields::agent(self.agent_id, caller)?,
            repo: self.repo,
            label: fields::text("label", self.label)?,
            milestone: fields::text("milestone", self.milestone)?,
            request_id: self.request_id,
            skills: self.skills.unwrap_or_else(|| skills.clone()),
        })
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ClaimFields {
    /// Your name; keep it for all calls.
    #[schemars(with = "AgentId")]
    agent_id: Option<AgentId>,
    /// owner/name
    #[schemars(with = "RepoName")]
    repo: Option<RepoName>,
    #[schemars(with = "IssueNumber")]
    issue_number: Option<WholeNumber>,
    /// Any id you choose; a retry with it gets the same claim.
    request_id: Option<RequestId>,
}

impl ClaimFields {
    pub(super) fn parse(self, caller: Option<&AgentId>) -> Result<ClaimRequest, FieldError> {
        let agent = fields::agent(self.agent_id, caller)?;
        let repo = fields::required("repo", self.repo)?;
        let issue = IssueRef::new(repo, fields::issue_number(self.issue_number)?);
        Ok(ClaimRequest { agent, issue, request_id: self.request_id })
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UpdateFields {
    /// From the claim.
    #[schemars(with = "ClaimId")]
    claim_id: Option<ClaimId>,
    /// Your name, as when you claimed.
    #[schemars(with = "AgentId")]
    agent_id: Option<AgentId>,
    /// Only if the claim's lease has this epoch: for who may be an earlier process of the same agent.
    #[schemars(range(min = 1))]
    epoch: Option<u64>,
    /// The present status again renews the lease.
    #[schemars(with = "String", extend("enum" = ["in_progress", "pr_submitted", "pr_merged", "closed", "released"]))]
    status: Option<String>,
    /// A word for the history.
    note: Option<String>,
    /// Required for pr_submitted.
    #[schemars(regex(pattern = "^https?://[!-~]{1,2000}$"))]
    pr_url: Option<String>,
}

impl UpdateFields {
    pub(super) fn parse(self, caller: Option<&AgentId>) -> Result<UpdateRequest, FieldError> {
        Ok(UpdateRequest {
            claim_id: fields::required("claim_id", self.claim_id)?,
            agent: fields::agent(self.agent_id, caller)?,
            epoch: self.epoch,
            status: fields::status(&fields::required("status", self.status)?)?,
            note: fields::text("note", self.note)?,
            pr_url: fields::web_address("pr_url", self.pr_url)?,
        })
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ReleaseFields {
    /// From the claim.
    #[schemars(with = "ClaimId")]
    claim_id: Option<ClaimId>,
    /// Your name, as when you claimed.
    #[schemars(with = "AgentId")]
    agent_id: Option<AgentId>,
    /// Only if the claim's lease has this epoch.
    #[schemars(range(min = 1))]
    epoch: Option<u64>,
    /// Why, for the history.
    reason: Option<String>,
}

impl ReleaseFields {
    pub(super) fn parse(self, caller: Option<&AgentId>) -> Result<UpdateRequest, FieldError> {
        Ok(UpdateRequest {
            claim_id: fields::required("claim_id", self.claim_id)?,
            agent: fields::agent(self.agent_id, caller)?,
            epoch: self.epoch,
            status: ClaimStatus::Released,
            note: fields::text("reason", self.reason)?,
            pr_url: None,
        })
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MyClaimsFields {
    /// Your name, as when you claimed.
    #[schemars(with = "AgentId")]
    agent_id: Option<AgentId>,
}

impl MyClaimsFields {
    pub(super) fn parse(self, caller: Option<&AgentId>) -> Result<AgentId, FieldError> {
        fields::agent(self.agent_id, caller)
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ClaimFilterFields {
    /// Only of this agent.
    agent_id: Option<AgentId>,
    /// Only in this owner/name.
    repo: Option<RepoName>,
    /// Only in this status.
    #[schemars(extend("enum" = ["claimed", "in_progress", "pr_submitted", "pr_merged", "stale"]))]
    status: Option<String>,
}

impl ClaimFilterFields {
    pub(super) fn parse(self) -> Result<ClaimFilter, FieldError> {
        let status = self.status.as_deref().map(fields::status).transpose()?;
        Ok(ClaimFilter { agent: self.agent_id, repo: self.repo, status })
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ClaimDetailsFields {
    /// From the claim.
    #[schemars(with = "ClaimId")]
    claim_id: Option<ClaimId>,
}

impl ClaimDetailsFields {
    pub(super) fn parse(self) -> Result<ClaimId, FieldError> {
        fields::required("claim_id", self.claim_id)
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct MyWorkFields {
    /// Your name, as when you claimed.
    #[schemars(with = "AgentId")]
    agent_id: Option<AgentId>,
}

impl MyWorkFields {
    pub(super) fn parse(self, caller: Option<&AgentId>) -> Result<AgentId, FieldError> {
        fields::agent(self.agent_id, caller)
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct FollowUpFilterFields {
    /// Only in this owner/name.
    repo: Option<RepoName>,
    /// Only in this status.
    #[schemars(extend("enum" = ["queued", "claimed", "in_progress", "stale"]))]
    status: Option<String>,
    /// Only of this agent.
    claimed_by_agent_id: Option<AgentId>,
    /// Only on this pull request.
    #[schemars(with = "Option<IssueNumber>")]
    pr_number: Option<WholeNumber>,
}

impl FollowUpFilterFields {
    pub(super) fn parse(self) -> Result<FollowUpFilter, FieldError> {
        let number = |WholeNumber(number)| {
            IssueNumber::new(number).map_err(|error| FieldError::field("pr_number", error.to_string()))
        };
        Ok(FollowUpFilter {
            repo: self.repo,
            status: self.status.as_deref().map(fields::follow_up_status).transpose()?,
            agent: self.claimed_by_agent_id,
            pr_number: self.pr_number.map(number).transpose()?,
        })
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct UpdateFollowUpFields {
    /// From the follow-up.
    #[schemars(with = "WorkItemId")]
    work_item_id: Option<WorkItemId>,
    /// Your name; keep it for all calls.
    #[schemars(with = "AgentId")]
    agent_id: Option<AgentId>,
    #[schemars(with = "String", extend("enum" = ["claimed", "in_progress", "done", "dismissed", "stale"]))]
    status: Option<String>,
    /// A word for the history; the reason, when dismissed.
    note: Option<String>,
}

impl UpdateFollowUpFields {
    pub(super) fn parse(self, caller: Option<&AgentId>) -> Result<FollowUpUpdate, FieldError> {
        Ok(FollowUpUpdate {
            work_item_id: fields::required("work_item_id", self.work_item_id)?,
            agent: fields::agent(self.agent_id, caller)?,
            status: fields::follow_up_status(&fields::required("status", self.status)?)?,
            note: fields::text("note", self.note)?,
        })
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct IssueFilterFields {
    /// owner/name
    #[schemars(with = "RepoName")]
    repo: Option<RepoName>,
    /// Only with this label.
    label: Option<String>,
    /// Only in this milestone (title).
    milestone: Option<String>,
    /// Most issues to list.
    #[schemars(with = "Option<u64>", range(min = 1, max = 1_000_000_000))]
    limit: Option<WholeNumber>,
}

impl IssueFilterFields {
    /// The filter, and how many issues to list at most.
    pub(super) fn parse(self) -> Result<(IssueFilter, Option<usize>), FieldError> {
        let limit = match self.limit {
            Some(WholeNumber(0)) => return Err(FieldError::field("limit", "expected a whole number from 1")),
            Some(WholeNumber(limit)) => Some(usize::try_from(limit).unwrap_or(usize::MAX)),
            None => None,
        };
        let filter = IssueFilter {
            repo: fields::required("repo", self.repo)?,
            label: fields::text("label", self.label)?,
            milestone: fields::text("milestone", self.milestone)?,
        };
        Ok((filter, limit))
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct IssueFields {
    /// owner/name
    #[schemars(with = "RepoName")]
    repo: Option<RepoName>,
    #[schemars(with = "IssueNumber")]
    issue_number: Option<WholeNumber>,
}

impl IssueFields {
    pub(super) fn parse(self) -> Result<IssueRef, FieldError> {
        let repo = fields::required("repo", self.repo)?;
        Ok(IssueRef::new(repo, fields::issue_number(self.issue_number)?))
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct RepoListFields {
    /// false: without open_issue_count.
    #[schemars(with = "Option<bool>")]
    include_counts: Option<Flag>,
}

impl RepoListFields {
    pub(super) fn include_counts(&self) -> bool {
        self.include_counts.is_none_or(|Flag(flag)| flag)
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct NoFields {}
