//! The shapes of answers, for the description of the API. They are never made: `src/api` makes answers as
//! values, and a test holds every answer that it sees to these shapes, in both directions.

#![allow(dead_code, reason = "described, never made")]

use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::{Map, Value};

use crate::api::Call;
use crate::claims::{DecisionSummary, Explanation, Health, TrialReport, Verification};
use crate::domain::{
    AccessToken, AgentId, Approval, Claim, Decision, Empty, FeedbackKind, FollowUp, Issue, IssueNumber, PolicyStamp,
    RepoName, Timestamp, WorkItemId,
};
use crate::policy::Effective;
use crate::state::{Envelope, ImportReport};

/// A claim as it stands now.
#[derive(JsonSchema)]
struct ClaimAnswer {
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
struct IssueAnswer {
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
struct WorkAnswer {
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
enum WorkKind {
    PrFollowup,
    Issue,
}

#[derive(JsonSchema)]
struct FollowUpAnswer {
    ok: bool,
    /// Whether it stood so already.
    idempotent: bool,
    work_item: FollowUp,
    /// What happened to the agent's claims since its last call; told once.
    #[schemars(skip_serializing_if = "Option::is_none")]
    notice: Option<String>,
}

/// What an issue's approval is worth now.
#[derive(JsonSchema)]
struct ApprovalAnswer {
    ok: bool,
    /// Whether it stood so already.
    idempotent: bool,
    approval: Approval,
    /// Who gave it.
    #[schemars(skip_serializing_if = "Option::is_none")]
    approved_by: Option<String>,
}

#[derive(JsonSchema)]
struct Claims {
    claims: Vec<Claim>,
    /// What happened to the agent's claims since its last call; told once.
    #[schemars(skip_serializing_if = "Option::is_none")]
    notice: Option<String>,
}

#[derive(JsonSchema)]
struct ClaimDetails {
    claim: Claim,
}

#[derive(JsonSchema)]
struct ClaimPage {
    items: Vec<Claim>,
    /// For the next page; left out on the last.
    #[schemars(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
}

#[derive(JsonSchema)]
struct FollowUps {
    followups: Vec<FollowUp>,
}

#[derive(JsonSchema)]
struct MyWork {
    work: Work,
    /// What happened to the agent's claims since its last call; told once.
    #[schemars(skip_serializing_if = "Option::is_none")]
    notice: Option<String>,
}

#[derive(JsonSchema)]
struct Work {
    claims: Vec<Claim>,
    followups: Vec<FollowUp>,
}

#[derive(JsonSchema)]
struct Repos {
    repos: Vec<RepoRecord>,
}

#[derive(JsonSchema)]
struct RepoRecord {
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
struct Issues {
    issues: Vec<Issue>,
    /// How many a limit left off.
    #[schemars(skip_serializing_if = "Option::is_none")]
    more: Option<usize>,
}

#[derive(JsonSchema)]
struct IssueDetails {
    issue: Issue,
    #[schemars(skip_serializing_if = "Option::is_none")]
    claimed_by: Option<AgentId>,
    /// Why this is the last synced state, without comments.
    #[schemars(skip_serializing_if = "Option::is_none")]
    stale_because: Option<String>,
}

#[derive(JsonSchema)]
struct ExplanationAnswer {
    explanation: Explanation,
}

#[derive(JsonSchema)]
struct Decisions {
    decisions: Vec<DecisionSummary>,
}

#[derive(JsonSchema)]
struct DecisionAnswer {
    decision: Decision,
    /// The issues as the policy saw them, by the digest that rows name in `seen.facts`.
    states: BTreeMap<String, Value>,
}

#[derive(JsonSchema)]
struct HealthAnswer {
    health: Health,
}

#[derive(JsonSchema)]
struct Tokens {
    tokens: Vec<TokenRecord>,
}

#[derive(JsonSchema)]
struct TokenRecord {
    #[schemars(flatten)]
    token: AccessToken,
    /// Whether it still opens anything.
    live: bool,
}

#[derive(JsonSchema)]
struct TokenMade {
    ok: bool,
    /// The token: shown here and never again.
    token: String,
    record: TokenRecord,
}

#[derive(JsonSchema)]
struct TokenEnded {
    ok: bool,
    idempotent: bool,
    record: TokenRecord,
}

#[derive(JsonSchema)]
struct Imported {
    ok: bool,
    dry_run: bool,
    report: ImportReport,
}

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

/// What decides, and why the newest edit does not.
#[derive(JsonSchema)]
struct PolicyAnswer {
    policy: Effective,
    #[schemars(skip_serializing_if = "Option::is_none")]
    rejected: Option<String>,
}

/// The candidate's trial; left out when there is no candidate.
#[derive(JsonSchema)]
struct TrialAnswer {
    #[schemars(skip_serializing_if = "Option::is_none")]
    trial: Option<TrialReport>,
}

#[derive(JsonSchema)]
struct PolicySets {
    sets: Vec<PolicySetShown>,
}

#[derive(JsonSchema)]
struct PolicySetShown {
    set_id: u64,
    at: Timestamp,
    /// Why it came in force.
    why: String,
    /// Who wished it, where that is known.
    #[schemars(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    /// `[policies.ranker]` as it was configured.
    ranker: Value,
    /// A digest over its components where there are several.
    ranker_stamp: PolicyStamp,
    /// Its components, the base first.
    parts: Vec<PolicyStamp>,
    /// The rankers of every view.
    views: Vec<PolicyStamp>,
    stale_rule: PolicyStamp,
    repo_filter: PolicyStamp,
    #[schemars(skip_serializing_if = "Option::is_none")]
    candidate: Option<PolicyStamp>,
}

#[derive(JsonSchema)]
struct ComponentPiece {
    /// Of how many pieces the component is.
    piece_count: u32,
    bytes_hex: String,
}

#[derive(JsonSchema)]
struct Noted {
    ok: bool,
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
        Call::PolicyAudit => schemas.subschema_for::<Noted>(),
        Call::Import => schemas.subschema_for::<Imported>(),
    }
}

/// Absent fields are omitted, never null: takes `null` out of every type.
pub(super) fn without_nulls(schema: &mut Value) {
    match schema {
        Value::Object(fields) => {
            if let Some(Value::Array(types)) = fields.get_mut("type") {
                types.retain(|name| name != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    fields.insert("type".into(), only);
                }
            }
            if let Some(Value::Array(any)) = fields.get_mut("anyOf") {
                any.retain(|kind| kind.get("type") != Some(&"null".into()));
                if let [only] = any.as_slice()
                    && let Value::Object(only) = only.clone()
                {
                    fields.remove("anyOf");
                    let own: Map<_, _> = std::mem::take(fields);
                    fields.extend(only);
                    fields.extend(own);
                }
            }
            fields.values_mut().for_each(without_nulls);
        }
        Value::Array(values) => values.iter_mut().for_each(without_nulls),
        _ => {}
    }
}
