//! What agents get and hold: claims, issues to begin, feedback to answer.

use schemars::JsonSchema;

use crate::claims::Verification;
use crate::domain::{Claim, FollowUp, Issue};

/// A claim as it stands now.
#[derive(JsonSchema)]
pub(super) struct ClaimAnswer {
    ok: bool,
    /// Whether it stood so already.
    idempotent: bool,
    claim: Claim,
    /// When the claim was closed and the setting closes its issue too: whether that was done.
    #[schemars(skip_serializing_if = "Option::is_none")]
    issue_closed: Option<bool>,
    /// Why it was not.
    #[schemars(skip_serializing_if = "Option::is_none")]
    issue_close_error: Option<String>,
    /// For `pr_merged` and `closed`: what GitHub says of the merge.
    #[schemars(skip_serializing_if = "Option::is_none")]
    verified: Option<Verification>,
    /// What happened to the agent's claims since its last call; told once.
    #[schemars(skip_serializing_if = "Option::is_none")]
    notice: Option<String>,
}

/// An issue, and the claim on it.
#[derive(JsonSchema)]
pub(super) struct IssueAnswer {
    ok: bool,
    /// Whether the same request got it before.
    idempotent: bool,
    claim: Claim,
    /// The issue; left out when it was forgotten since.
    #[schemars(skip_serializing_if = "Option::is_none")]
    issue: Option<Issue>,
    /// Why this one, in a line.
    #[schemars(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    /// What happened to the agent's claims since its last call; told once.
    #[schemars(skip_serializing_if = "Option::is_none")]
    notice: Option<String>,
}

/// An issue to begin, or feedback to answer: `kind` says which.
#[derive(JsonSchema)]
pub(super) struct WorkAnswer {
    ok: bool,
    idempotent: bool,
    kind: WorkKind,
    /// With kind `pr_followup`.
    #[schemars(skip_serializing_if = "Option::is_none")]
    work_item: Option<FollowUp>,
    /// With kind `issue`.
    #[schemars(skip_serializing_if = "Option::is_none")]
    claim: Option<Claim>,
    /// With kind `issue`.
    #[schemars(skip_serializing_if = "Option::is_none")]
    issue: Option<Issue>,
    /// Why this one, in a line.
    #[schemars(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    /// What happened to the agent's claims since its last call; told once.
    #[schemars(skip_serializing_if = "Option::is_none")]
    notice: Option<String>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "snake_case")]
pub(super) enum WorkKind {
    PrFollowup,
    Issue,
}

#[derive(JsonSchema)]
pub(super) struct FollowUpAnswer {
    ok: bool,
    /// Whether it stood so already.
    idempotent: bool,
    work_item: FollowUp,
    /// What happened to the agent's claims since its last call; told once.
    #[schemars(skip_serializing_if = "Option::is_none")]
    notice: Option<String>,
}

#[derive(JsonSchema)]
pub(super) struct Claims {
    claims: Vec<Claim>,
    /// What happened to the agent's claims since its last call; told once.
    #[schemars(skip_serializing_if = "Option::is_none")]
    notice: Option<String>,
}

#[derive(JsonSchema)]
pub(super) struct ClaimDetails {
    claim: Claim,
}

#[derive(JsonSchema)]
pub(super) struct ClaimPage {
    items: Vec<Claim>,
    /// For the next page; left out on the last.
    #[schemars(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

#[derive(JsonSchema)]
pub(super) struct FollowUps {
    followups: Vec<FollowUp>,
}

#[derive(JsonSchema)]
pub(super) struct MyWork {
    work: Work,
    /// What happened to the agent's claims since its last call; told once.
    #[schemars(skip_serializing_if = "Option::is_none")]
    notice: Option<String>,
}

#[derive(JsonSchema)]
pub(super) struct Work {
    claims: Vec<Claim>,
    followups: Vec<FollowUp>,
}
