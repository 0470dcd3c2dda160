//! What an operator may wish of any claim.

use chrono::TimeDelta;

use crate::domain::{AgentId, Claim, ClaimId, Timestamp, TransitionError};

/// The wish to take a claim back, or to give it to another agent.
#[derive(Debug, Clone)]
pub struct ClaimOverrule {
    /// Which claim.
    pub claim_id: ClaimId,
    /// To whom it goes; `None` takes it back.
    pub to: Option<AgentId>,
    /// Who wishes it, for the event.
    pub by: String,
    /// Why, for the history and the event.
    pub note: Option<String>,
    /// How long the new owner's lease holds.
    pub lease: TimeDelta,
    /// The present.
    pub now: Timestamp,
}

/// What became of an operator's wish.
#[derive(Debug, Clone)]
pub enum OverruleOutcome {
    /// Done; the claim as it stands now.
    Done(Box<Claim>),
    /// That agent holds it already.
    AlreadyTheirs(Box<Claim>),
    /// No such active claim.
    NotFound,
    /// The contract does not permit the step.
    Refused(Box<Claim>, TransitionError),
}
