//! What the store keeps of policies: the sets that were in force, their components, and trials of candidates.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::config::{CandidateConfig, PolicyConfig, RankerConfig};
use crate::domain::{Disagreement, EventDraft, EventKind, PolicyStamp, Timestamp, TrialCounts};

/// Bytes of a component that are written and read at a time.
pub const COMPONENT_PIECE_BYTES: usize = 512 << 10;

/// A set of policies that came in force.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PolicySetRecord {
    /// `[policies.ranker]`, as it was configured.
    pub ranker: RankerConfig,
    /// Which components the ranker of the default view is made of, overrides for repositories left out.
    pub ranker_stamp: PolicyStamp,
    /// Each of them: the base, then the stages.
    pub parts: Vec<PolicyStamp>,
    /// The rankers of every view, the default one first, overrides for repositories included.
    pub views: Vec<PolicyStamp>,
    /// The stale rule.
    pub stale_rule: PolicyStamp,
    /// The repository filter.
    pub repo_filter: PolicyStamp,
    /// The ranker on trial.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub candidate: Option<PolicyStamp>,
    /// How that was configured, so that its trial can go on; left out in records of versions before this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_trial: Option<OnTrialRecord>,
    /// What proved who signed a component, by the component's digest; only of those that must be signed.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub evidence: BTreeMap<String, EvidenceRecord>,
}

/// What lay beside a component that must be signed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EvidenceRecord {
    /// The bundles, as in `<component>.sigstore.json`.
    pub bundles: String,
    /// The manifest, as in `<component>.manifest.json`, where it came from a registry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manifest: Option<String>,
}

/// The candidate of a set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OnTrialRecord {
    /// `[policies.candidate]`, as it was configured.
    pub config: CandidateConfig,
    /// Each component of its ranker: the base, then the stages.
    pub parts: Vec<PolicyStamp>,
}

impl PolicySetRecord {
    /// Every component that the set needs to be put back, with where it came from.
    pub fn components(&self) -> impl Iterator<Item = (&PolicyConfig, &PolicyStamp)> {
        let on_trial = self.on_trial.iter().flat_map(|it| it.config.ranker.parts().zip(&it.parts));
        self.ranker.parts().zip(&self.parts).chain(on_trial)
    }

    /// Whether agents are served alike under both, whatever is on trial beside.
    pub fn serves_as(&self, other: &Self) -> bool {
        // A candidate is the last of the views, and serves none.
        let serving = |it: &Self| it.views.len() - usize::from(it.candidate.is_some() && !it.views.is_empty());
        self.views[..serving(self)] == other.views[..serving(other)]
            && (&self.stale_rule, &self.repo_filter) == (&other.stale_rule, &other.repo_filter)
    }

    /// The digests of those components.
    pub fn component_digests(&self) -> impl Iterator<Item = &str> {
        let on_trial = self.on_trial.iter().flat_map(|it| &it.parts);
        self.parts.iter().chain(on_trial).map(|part| part.digest.as_ref())
    }
}

/// The same, in its place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PolicySetKept {
    /// Its place: newer ones have higher ones.
    pub set_id: u64,
    /// When it came in force.
    pub at: Timestamp,
    /// Why.
    pub why: String,
    /// Who wished it, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// What it was.
    #[serde(flatten)]
    pub record: PolicySetRecord,
}

/// Somebody's word on which ranker is to be in force.
#[derive(Debug, Clone)]
pub struct PolicyAudit {
    /// Who.
    pub by: String,
    /// What was done, for the set that comes in force by it.
    pub why: String,
    /// The ranker that is in force now, or will be when a server starts: the newest set is marked if it has this one
    /// and nobody's word yet, else the next one that has it.
    pub ranker: PolicyStamp,
    /// What everybody is told.
    pub event: EventDraft,
}

impl PolicyAudit {
    /// What the history says of a set that came in force by this.
    pub fn why_of(kind: EventKind, note: Option<&str>) -> String {
        let done = match kind {
            EventKind::PolicyPromoted => "promoted",
            EventKind::PolicyPutOnTrial => "put on trial",
            EventKind::PolicyGivenUp => "trial given up",
            _ => "rolled back",
        };
        note.map_or_else(|| done.to_owned(), |note| format!("{done}: {note}"))
    }
}

/// What came of some requests that a candidate was asked about.
#[derive(Debug, Clone)]
pub struct TrialBatch {
    /// The candidate, by the digests of its components and settings.
    pub candidate: String,
    /// How many, by outcome.
    pub counts: TrialCounts,
    /// Where it did not agree.
    pub disagreements: Vec<Disagreement>,
    /// The present.
    pub now: Timestamp,
}

/// One hour of a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct TrialHour {
    /// When it began.
    pub hour: Timestamp,
    /// How many requests, by outcome.
    #[serde(flatten)]
    pub counts: TrialCounts,
}

/// What is kept of a candidate's trial.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Trial {
    /// Hour by hour, oldest first; hours without requests are left out.
    pub hours: Vec<TrialHour>,
    /// Where it did not agree, newest first.
    pub disagreements: Vec<Disagreement>,
}
