//! What happened: numbered, ordered, written in the transaction that made it true.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Value, json};

use super::{
    Actor, AgentId, Claim, ClaimId, ClaimStatus, FollowUp, FollowUpStatus, IssueNumber, RepoName, Run, RunId,
    RunStatus, Step, Timestamp, WorkItemId,
};

/// An event's place in the order of all events. Readers keep the last one they saw and ask for what
/// follows. Written as text, so that a store with another notion of order can use another form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct EventSeq(pub u64);

impl fmt::Display for EventSeq {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for EventSeq {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.trim().parse().map(Self)
    }
}

impl Serialize for EventSeq {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for EventSeq {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

macro_rules! event_kinds {
    ($($(#[$doc:meta])* $variant:ident = $word:literal),+ $(,)?) => {
        /// The kind of an event: the contract's words.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
        pub enum EventKind {
            $($(#[$doc])* #[serde(rename = $word)] $variant,)+
        }

        impl EventKind {
            /// Every kind there is.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The contract's word.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }
    };
}

event_kinds! {
    /// An issue was claimed.
    ClaimCreated = "claim.created",
    /// A claim changed its status in another way than those below.
    ClaimUpdated = "claim.updated",
    /// Its owner gave a claim back, or an operator took it back.
    ClaimReleased = "claim.released",
    /// A claim lapsed.
    ClaimStale = "claim.stale",
    /// A lapsed claim was taken back.
    ClaimAutoReleased = "claim.auto_released",
    /// A maintainer or an operator approved an issue as it reads.
    IssueApproved = "issue.approved",
    /// An operator took an approval back.
    IssueApprovalWithdrawn = "issue.approval_withdrawn",
    /// Feedback on a pull request became a follow-up.
    FollowUpCreated = "followup.created",
    /// An agent took a follow-up.
    FollowUpClaimed = "followup.claimed",
    /// A follow-up changed in another way than those around.
    FollowUpUpdated = "followup.updated",
    /// A follow-up was answered.
    FollowUpDone = "followup.done",
    /// A follow-up needs no answer.
    FollowUpDismissed = "followup.dismissed",
    /// A follow-up lapsed.
    FollowUpStale = "followup.stale",
    /// A delivery from GitHub was taken in.
    WebhookReceived = "webhook.received",
    /// A delivery that does not prove to be GitHub's was turned away.
    WebhookRejected = "webhook.rejected",
    /// One reconciliation with GitHub ended.
    SyncReconciled = "sync.reconciled",
    /// A new set of policies is in force.
    PolicyReloaded = "policy.reloaded",
    /// An edit was refused; the last good set stays in force.
    PolicyRejected = "policy.rejected",
    /// A candidate became the ranker in force, by somebody's word.
    PolicyPromoted = "policy.promoted",
    /// A ranker that was in force before is so again, by somebody's word.
    PolicyRolledBack = "policy.rolled_back",
    /// A ranker is on trial, by somebody's word.
    PolicyPutOnTrial = "policy.put_on_trial",
    /// The candidate's trial was given up, by somebody's word.
    PolicyGivenUp = "policy.given_up",
    /// An issue or a review waits for a slot of the dispatcher.
    RunQueued = "run.queued",
    /// A run got a slot.
    RunDispatched = "run.dispatched",
    /// A run's agent works.
    RunRunning = "run.running",
    /// A run's agent asked something.
    RunWaitingHuman = "run.waiting_human",
    /// A run's pull request is open.
    RunCompleted = "run.completed",
    /// A run ended without a pull request.
    RunFailed = "run.failed",
    /// The server that works on a run was told something.
    RunTold = "run.told",
    /// The dispatcher begins nothing until it is told to.
    DispatchPaused = "dispatch.paused",
    /// The dispatcher begins work again.
    DispatchResumed = "dispatch.resumed",
    /// A policy in force failed at work; its stand-in answered.
    PolicyFailed = "policy.failed",
}

impl EventKind {
    /// The kind of event that tells of a follow-up's new status.
    pub fn of_followup(status: FollowUpStatus) -> Self {
        match status {
            FollowUpStatus::Queued | FollowUpStatus::InProgress => Self::FollowUpUpdated,
            FollowUpStatus::Claimed => Self::FollowUpClaimed,
            FollowUpStatus::Done => Self::FollowUpDone,
            FollowUpStatus::Dismissed => Self::FollowUpDismissed,
            FollowUpStatus::Stale => Self::FollowUpStale,
        }
    }

    /// The kind of event that tells of a run's new status.
    pub fn of_run(status: RunStatus) -> Self {
        match status {
            RunStatus::Queued => Self::RunQueued,
            RunStatus::Dispatched => Self::RunDispatched,
            RunStatus::Running => Self::RunRunning,
            RunStatus::WaitingHuman => Self::RunWaitingHuman,
            RunStatus::Completed => Self::RunCompleted,
            RunStatus::Failed => Self::RunFailed,
        }
    }

    /// The kind of event that a step makes, if it changes the claim.
    pub fn of_step(step: &Step) -> Self {
        match (step.to, step.by) {
            (ClaimStatus::Released, Actor::Owner | Actor::Operator) => Self::ClaimReleased,
            (ClaimStatus::Released, Actor::Sweep) => Self::ClaimAutoReleased,
            (ClaimStatus::Stale, _) => Self::ClaimStale,
            _ => Self::ClaimUpdated,
        }
    }
}

impl fmt::Display for EventKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An event before the store gave it its place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EventDraft {
    /// What happened.
    #[serde(rename = "type")]
    pub kind: EventKind,
    /// When.
    pub timestamp: Timestamp,
    /// The claim concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim_id: Option<ClaimId>,
    /// The follow-up concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub work_item_id: Option<WorkItemId>,
    /// The run concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_id: Option<RunId>,
    /// The repository concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repo: Option<RepoName>,
    /// The issue concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issue_number: Option<IssueNumber>,
    /// The pull request concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pr_number: Option<IssueNumber>,
    /// The agent concerned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<AgentId>,
    /// What else is known; an object.
    pub details: Value,
}

impl EventDraft {
    /// An event that concerns no claim.
    pub fn new(kind: EventKind, timestamp: Timestamp, details: Value) -> Self {
        Self {
            kind,
            timestamp,
            claim_id: None,
            work_item_id: None,
            run_id: None,
            repo: None,
            issue_number: None,
            pr_number: None,
            agent_id: None,
            details,
        }
    }

    /// An event about `claim` as it stands now.
    pub fn about(kind: EventKind, claim: &Claim, timestamp: Timestamp) -> Self {
        let mut details = json!({ "status": claim.status(), "epoch": claim.lease.epoch });
        if let Some(note) = claim.status_history().last().and_then(|entry| entry.note.as_deref()) {
            details["note"] = note.into();
        }
        if let Some(pr_url) = claim.pr_url() {
            details["pr_url"] = pr_url.into();
        }
        Self {
            claim_id: Some(claim.claim_id),
            repo: Some(claim.repo.clone()),
            issue_number: Some(claim.issue_number),
            agent_id: Some(claim.agent_id.clone()),
            ..Self::new(kind, timestamp, details)
        }
    }

    /// An event about `run` as it stands now.
    pub fn about_run(run: &Run, timestamp: Timestamp) -> Self {
        let mut details = json!({ "status": run.status(), "attempt": run.attempts, "priority": run.priority });
        let question = run.question.as_ref().map(|question| &question.text);
        for (name, text) in [("reason", run.reason.as_ref()), ("pr_url", run.pr_url.as_ref()), ("question", question)] {
            if let Some(text) = text {
                details[name] = text.as_str().into();
            }
        }
        Self {
            run_id: Some(run.run_id),
            claim_id: run.hold.as_ref().map(|hold| hold.claim_id),
            repo: Some(run.repo.clone()),
            issue_number: Some(run.issue_number),
            ..Self::new(EventKind::of_run(run.status()), timestamp, details)
        }
    }

    /// An event about `item` as it stands now.
    pub fn about_followup(kind: EventKind, item: &FollowUp, timestamp: Timestamp) -> Self {
        let mut details = json!({ "status": item.status(), "source_event_type": item.source_event_type });
        if let Some(note) = item.status_history().last().and_then(|entry| entry.note.as_deref()) {
            details["note"] = note.into();
        }
        Self {
            work_item_id: Some(item.work_item_id),
            repo: Some(item.repo.clone()),
            pr_number: Some(item.pr_number),
            agent_id: item.holder().cloned(),
            ..Self::new(kind, timestamp, details)
        }
    }
}

/// Something that happened, in its place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Event {
    /// Its place in the order of all events.
    pub event_id: EventSeq,
    /// What happened.
    #[serde(flatten)]
    pub draft: EventDraft,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_written_in_the_contracts_words() {
        for kind in EventKind::ALL {
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
    }

    #[test]
    fn a_step_makes_the_event_of_its_kind() {
        use ClaimStatus::{Closed, InProgress, Released, Stale};
        let kinds = [
            (Released, Actor::Owner, EventKind::ClaimReleased),
            (Released, Actor::Operator, EventKind::ClaimReleased),
            (Released, Actor::Sweep, EventKind::ClaimAutoReleased),
            (Stale, Actor::Sweep, EventKind::ClaimStale),
            (Stale, Actor::Owner, EventKind::ClaimStale),
            (Closed, Actor::Sync, EventKind::ClaimUpdated),
            (InProgress, Actor::Owner, EventKind::ClaimUpdated),
        ];
        for (to, by, kind) in kinds {
            assert_eq!(EventKind::of_step(&Step::to(to, by)), kind, "{to} by {by:?}");
        }
    }

    #[test]
    fn absent_fields_are_omitted() {
        let draft = EventDraft::new(EventKind::PolicyReloaded, crate::domain::from_unix_ms(0), json!({}));
        let event = Event { event_id: EventSeq(3), draft };
        let text = serde_json::to_string(&event).unwrap();
        let expected = r#"{"event_id":"3","type":"policy.reloaded","timestamp":"1970-01-01T00:00:00Z","details":{}}"#;
        assert_eq!(text, expected);
        assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event);
    }
}
