//! One wish to move a follow-up, and why it may be refused.

use super::FollowUpStatus;
use crate::domain::AgentId;

/// Who moves a follow-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mover {
    /// An agent. One that nobody has becomes its own by `claimed` or `in_progress`; any other step
    /// needs that it is its own already.
    Agent(AgentId),
    /// The periodic check of leases.
    Sweep,
    /// What GitHub says of the pull request.
    Github,
    /// A person with the right to.
    Operator,
}

/// One wish to move a follow-up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FollowUpStep {
    /// The status wished for.
    pub to: FollowUpStatus,
    /// Who wishes it.
    pub by: Mover,
    /// A word for the history.
    pub note: Option<String>,
}

/// Why a step is not permitted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FollowUpRefusal {
    /// Another agent has it.
    #[error("it is held by {0}")]
    HeldBy(AgentId),
    /// It is kept for another agent, whose pull request it is on, until the grace is over.
    #[error("it is kept for {0} at first, whose pull request it is on")]
    KeptFor(AgentId),
    /// Nobody has it: take it first.
    #[error("take it first, with status claimed or in_progress")]
    NotTaken,
    /// The table of transitions has no such step.
    #[error("a follow-up cannot go from {from} to {to}")]
    NotAllowed {
        /// Where it stands.
        from: FollowUpStatus,
        /// Where it was to go.
        to: FollowUpStatus,
    },
}
