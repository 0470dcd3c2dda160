//! The shapes of answers, for the description of the API. They are never made: `src/api` makes answers as
//! values, and a test holds every answer that it sees to these shapes, in both directions.

#![allow(dead_code, reason = "described, never made")]

mod dispatch;
mod issues;
mod operator;
mod policies;
mod work;

use schemars::{JsonSchema, Schema, SchemaGenerator};

use dispatch::{DispatchRepos, DispatchSettings, LogPage, Paused, Queue, RunAnswer, Runs, StatusAnswer};
use issues::{ApprovalAnswer, IssueDetails, Issues, Repos};
use operator::{HealthAnswer, Imported, TokenEnded, TokenMade, Tokens};
use policies::{
    ComponentPiece, DecisionAnswer, Decisions, ExplanationAnswer, Noted, PolicyAnswer, PolicySets, TrialAnswer,
};
use work::{ClaimAnswer, ClaimDetails, ClaimPage, Claims, FollowUpAnswer, FollowUps, IssueAnswer, MyWork, WorkAnswer};

use crate::api::Call;
use crate::domain::{AgentId, Claim, Empty, FeedbackKind, FollowUp, IssueNumber, RepoName, Run, WorkItemId};
use crate::state::Envelope;

/// A rightful "no": a normal answer with its reason.
#[derive(JsonSchema)]
pub(super) struct Rejection {
    /// false
    ok: bool,
    /// The reason in a word.
    reason: String,
    /// The reason in a sentence.
    message: String,
    #[schemars(skip_serializing_if = "Option::is_none")]
    owner_agent_id: Option<AgentId>,
    #[schemars(skip_serializing_if = "Option::is_none")]
    claim: Option<Claim>,
    #[schemars(skip_serializing_if = "Option::is_none")]
    work_item: Option<FollowUp>,
    /// The run that stands where the call means nothing.
    #[schemars(skip_serializing_if = "Option::is_none")]
    run: Option<Run>,
    /// When there is no work: how many issues fell to each reason, in a line.
    #[schemars(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    #[schemars(skip_serializing_if = "Option::is_none")]
    counts: Option<Empty>,
    /// When there is no work: in how many seconds asking again makes sense, where the policy says so.
    #[schemars(skip_serializing_if = "Option::is_none")]
    retry_after_seconds: Option<u64>,
    /// What happened to the agent's claims since its last call; told once.
    #[schemars(skip_serializing_if = "Option::is_none")]
    notice: Option<String>,
}

/// A request that could not be answered.
#[derive(JsonSchema)]
pub(super) struct Problem {
    /// false
    ok: bool,
    /// What is wrong, in a word.
    error: String,
    /// What is wrong and what to do, in a sentence.
    #[schemars(skip_serializing_if = "Option::is_none")]
    message: Option<String>,
    /// When to ask again.
    #[schemars(skip_serializing_if = "Option::is_none")]
    retry_after_seconds: Option<u64>,
    /// Which limit was met.
    #[schemars(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    #[schemars(skip_serializing_if = "Option::is_none")]
    remaining_tokens: Option<u64>,
    /// Of a webhook delivery: why it was turned away.
    #[schemars(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// What came of a webhook delivery.
#[derive(JsonSchema)]
pub(super) struct Delivered {
    ok: bool,
    #[schemars(skip_serializing_if = "Option::is_none")]
    processed: Option<bool>,
    #[schemars(skip_serializing_if = "Option::is_none")]
    ignored: Option<bool>,
    #[schemars(skip_serializing_if = "Option::is_none")]
    duplicate: Option<bool>,
    /// Why it was ignored.
    #[schemars(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[schemars(skip_serializing_if = "Option::is_none")]
    delivery_id: Option<String>,
    #[schemars(skip_serializing_if = "Option::is_none")]
    event_type: Option<String>,
    #[schemars(skip_serializing_if = "Option::is_none")]
    action: Option<String>,
    /// Follow-ups that ended by it.
    #[schemars(skip_serializing_if = "Option::is_none")]
    resolved_followups: Option<usize>,
    #[schemars(skip_serializing_if = "Option::is_none")]
    source_event_type: Option<FeedbackKind>,
    #[schemars(skip_serializing_if = "Option::is_none")]
    created: Option<bool>,
    #[schemars(skip_serializing_if = "Option::is_none")]
    idempotent: Option<bool>,
    #[schemars(skip_serializing_if = "Option::is_none")]
    work_item_id: Option<WorkItemId>,
    #[schemars(skip_serializing_if = "Option::is_none")]
    repo: Option<RepoName>,
    #[schemars(skip_serializing_if = "Option::is_none")]
    pr_number: Option<IssueNumber>,
}

/// The shape of the answer to `call` where it is what was asked for.
pub(super) fn of(call: Call, schemas: &mut SchemaGenerator) -> Schema {
    match call {
        Call::Next => schemas.subschema_for::<IssueAnswer>(),
        Call::NextWork => schemas.subschema_for::<WorkAnswer>(),
        Call::OperatorApprove => schemas.subschema_for::<ApprovalAnswer>(),
        Call::Claim | Call::Update | Call::Release | Call::OperatorRelease | Call::OperatorReassign => {
            schemas.subschema_for::<ClaimAnswer>()
        }
        Call::MyClaims | Call::Claims => schemas.subschema_for::<Claims>(),
        Call::ClaimDetails => schemas.subschema_for::<ClaimDetails>(),
        Call::ClaimHistory => schemas.subschema_for::<ClaimPage>(),
        Call::MyWork => schemas.subschema_for::<MyWork>(),
        Call::FollowUps => schemas.subschema_for::<FollowUps>(),
        Call::UpdateFollowUp => schemas.subschema_for::<FollowUpAnswer>(),
        Call::Repos => schemas.subschema_for::<Repos>(),
        Call::OpenIssues => schemas.subschema_for::<Issues>(),
        Call::IssueDetails => schemas.subschema_for::<IssueDetails>(),
        Call::Explain => schemas.subschema_for::<ExplanationAnswer>(),
        Call::Decisions => schemas.subschema_for::<Decisions>(),
        Call::Decision => schemas.subschema_for::<DecisionAnswer>(),
        Call::Health => schemas.subschema_for::<HealthAnswer>(),
        Call::TokenCreate => schemas.subschema_for::<TokenMade>(),
        Call::TokenList => schemas.subschema_for::<Tokens>(),
        Call::TokenRevoke => schemas.subschema_for::<TokenEnded>(),
        Call::Export => schemas.subschema_for::<Envelope>(),
        Call::PolicyEffective => schemas.subschema_for::<PolicyAnswer>(),
        Call::PolicyCandidate => schemas.subschema_for::<TrialAnswer>(),
        Call::PolicyHistory => schemas.subschema_for::<PolicySets>(),
        Call::PolicyComponent => schemas.subschema_for::<ComponentPiece>(),
        Call::DispatchStatus => schemas.subschema_for::<StatusAnswer>(),
        Call::DispatchIssue | Call::DispatchCancel | Call::DispatchAnswer | Call::DispatchRun => {
            schemas.subschema_for::<RunAnswer>()
        }
        Call::DispatchQueue => schemas.subschema_for::<Queue>(),
        Call::DispatchRuns => schemas.subschema_for::<Runs>(),
        Call::DispatchPause | Call::DispatchResume => schemas.subschema_for::<Paused>(),
        Call::DispatchLogs => schemas.subschema_for::<LogPage>(),
        Call::DispatchConfig => schemas.subschema_for::<DispatchSettings>(),
        Call::DispatchRepos => schemas.subschema_for::<DispatchRepos>(),
        Call::PolicyAudit => schemas.subschema_for::<Noted>(),
        Call::Import => schemas.subschema_for::<Imported>(),
    }
}
