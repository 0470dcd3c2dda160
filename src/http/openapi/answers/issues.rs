//! What is known of repositories and issues.

use schemars::JsonSchema;

use crate::domain::{AgentId, Approval, Issue, RepoName};

#[derive(JsonSchema)]
pub(super) struct Repos {
    repos: Vec<RepoRecord>,
}

#[derive(JsonSchema)]
pub(super) struct RepoRecord {
    full_name: RepoName,
    owner: String,
    name: String,
    url: String,
    #[schemars(skip_serializing_if = "Option::is_none")]
    description: Option<String>,
    private: bool,
    /// Left out with `include_counts=false`.
    #[schemars(skip_serializing_if = "Option::is_none")]
    open_issue_count: Option<usize>,
}

#[derive(JsonSchema)]
pub(super) struct Issues {
    issues: Vec<Issue>,
    /// How many a limit left off.
    #[schemars(skip_serializing_if = "Option::is_none")]
    more: Option<usize>,
}

#[derive(JsonSchema)]
pub(super) struct IssueDetails {
    issue: Issue,
    #[schemars(skip_serializing_if = "Option::is_none")]
    claimed_by: Option<AgentId>,
    /// Why this is the last synced state, without comments.
    #[schemars(skip_serializing_if = "Option::is_none")]
    stale_because: Option<String>,
}

/// What an issue's approval is worth now.
#[derive(JsonSchema)]
pub(super) struct ApprovalAnswer {
    ok: bool,
    /// Whether it stood so already.
    idempotent: bool,
    approval: Approval,
    /// Who gave it.
    #[schemars(skip_serializing_if = "Option::is_none")]
    approved_by: Option<String>,
}
