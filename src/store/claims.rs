//! Wishes for claims, and to move them; what became of them.

use chrono::TimeDelta;

use crate::domain::{
    Advance, AgentId, Claim, ClaimId, ClaimStatus, Decision, Issue, IssueRef, RepoName, RequestId, Step, Timestamp,
    TransitionError,
};

/// Which issue is wanted.
#[derive(Debug, Clone)]
pub enum Wanted {
    /// This one; the agent's own hold on it counts as success.
    Exactly(IssueRef),
    /// The first of these that nobody holds.
    FirstFree(Vec<IssueRef>),
    /// The same, for a request that takes a follow-up or an issue, and gets one of them however often it is sent.
    NextWork(Vec<IssueRef>),
}

/// The wish for a claim.
#[derive(Debug, Clone)]
pub struct ClaimWish {
    /// Who asks.
    pub agent: AgentId,
    /// For what.
    pub wanted: Wanted,
    /// The client's name for this attempt: the same agent and id get the same claim again.
    pub request_id: Option<RequestId>,
    /// How long the lease holds.
    pub lease: TimeDelta,
    /// Why these candidates in this order; recorded with the claim.
    pub decision: Option<Decision>,
    /// The present.
    pub now: Timestamp,
}

/// What became of the wish for a claim. A lost race is an outcome, not an error.
#[derive(Debug, Clone)]
pub enum InsertOutcome {
    /// A new claim.
    Granted(Box<Granted>),
    /// The claim that this agent holds already, or that the same request id got before.
    Already(Box<Granted>),
    /// Another agent holds the wanted issue.
    HeldBy(Box<Claim>),
    /// The wanted issue is unknown or not open.
    NotOpen,
    /// None of the candidates was free.
    NoneFree,
    /// The same request, for a follow-up or an issue, got a follow-up before.
    RequestGotFollowUp,
}

/// A claim and the issue it holds.
#[derive(Debug, Clone)]
pub struct Granted {
    /// The claim.
    pub claim: Claim,
    /// The issue, as last synced; `None` when it was forgotten since.
    pub issue: Option<Issue>,
}

/// The wish to move a claim.
#[derive(Debug, Clone)]
pub struct ClaimChange {
    /// Which claim.
    pub claim_id: ClaimId,
    /// Only if this agent holds it.
    pub owner: Option<AgentId>,
    /// Only if its lease has this epoch.
    pub epoch: Option<u64>,
    /// Only if it was last updated then: so a sweep never undoes what its owner did meanwhile.
    pub last_updated: Option<Timestamp>,
    /// The step.
    pub step: Step,
    /// How long the lease holds when the owner renews it.
    pub lease: TimeDelta,
    /// The present.
    pub now: Timestamp,
}

/// What became of the wish to move a claim.
#[derive(Debug, Clone)]
pub enum AdvanceOutcome {
    /// Done; the claim as it stands now.
    Moved(Box<Claim>, Advance),
    /// No such active claim.
    NotFound,
    /// Another agent holds it.
    NotOwner(Box<Claim>),
    /// Its epoch, or the time of its last update, is another: somebody was faster.
    Superseded(Box<Claim>),
    /// The contract does not permit the step.
    Refused(Box<Claim>, TransitionError),
}

/// Which active claims.
#[derive(Debug, Clone, Default)]
pub struct ClaimFilter {
    /// Of this agent.
    pub agent: Option<AgentId>,
    /// In this repository.
    pub repo: Option<RepoName>,
    /// In this status.
    pub status: Option<ClaimStatus>,
}
