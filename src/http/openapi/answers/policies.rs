//! What policies decided and why, and which are in force.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde_json::Value;

use crate::claims::{DecisionSummary, Explanation, TrialReport};
use crate::domain::{Decision, PolicyStamp, Timestamp};
use crate::policy::Effective;

#[derive(JsonSchema)]
pub(super) struct ExplanationAnswer {
    explanation: Explanation,
}

#[derive(JsonSchema)]
pub(super) struct Decisions {
    decisions: Vec<DecisionSummary>,
    /// Whether decisions are recorded at all (`store.decision_max_entries`).
    is_recording: bool,
}

#[derive(JsonSchema)]
pub(super) struct DecisionAnswer {
    decision: Decision,
    /// The issues as the policy saw them, by the digest that rows name in `seen.facts`.
    states: BTreeMap<String, Value>,
}

/// What decides, and why the newest edit does not.
#[derive(JsonSchema)]
pub(super) struct PolicyAnswer {
    policy: Effective,
    #[schemars(skip_serializing_if = "Option::is_none")]
    rejected: Option<String>,
}

/// The candidate's trial; left out when there is no candidate.
#[derive(JsonSchema)]
pub(super) struct TrialAnswer {
    #[schemars(skip_serializing_if = "Option::is_none")]
    trial: Option<TrialReport>,
}

#[derive(JsonSchema)]
pub(super) struct PolicySets {
    sets: Vec<PolicySetShown>,
}

#[derive(JsonSchema)]
pub(super) struct PolicySetShown {
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
    /// How that was configured; left out in sets of older versions.
    #[schemars(skip_serializing_if = "Option::is_none")]
    on_trial: Option<OnTrialShown>,
}

#[derive(JsonSchema)]
pub(super) struct OnTrialShown {
    /// `[policies.candidate]` as it was configured.
    config: Value,
    /// Its components, the base first.
    parts: Vec<PolicyStamp>,
}

#[derive(JsonSchema)]
pub(super) struct ComponentPiece {
    /// Of how many pieces the component is.
    piece_count: u32,
    bytes_hex: String,
}

#[derive(JsonSchema)]
pub(super) struct Noted {
    ok: bool,
}
