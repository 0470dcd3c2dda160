//! One wish to move a claim, and what became of it.

use super::ClaimStatus;

/// Who moves a claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Actor {
    /// The agent that holds it.
    Owner,
    /// The periodic lease check, on the word of the stale rule.
    Sweep,
    /// Reconciliation with GitHub: it may close from any status that is not terminal.
    Sync,
    /// A person with the right to: may take a claim back from any status that is not terminal, no more.
    Operator,
}

/// One wish to move a claim.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The status wished for.
    pub to: ClaimStatus,
    /// Who wishes it.
    pub by: Actor,
    /// A word for the history.
    pub note: Option<String>,
    /// The pull request, when there is one.
    pub pr_url: Option<String>,
}

impl Step {
    /// A step without note or pull request.
    pub fn to(to: ClaimStatus, by: Actor) -> Self {
        Self { to, by, note: None, pr_url: None }
    }

    /// The same step with a word for the history.
    pub fn with_note(self, note: impl Into<String>) -> Self {
        Self { note: Some(note.into()), ..self }
    }
}

/// What a permitted step did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Advance {
    /// The status changed.
    Changed,
    /// The claim stood there already; its lease was renewed.
    AlreadyThere,
}

/// Why a step is not permitted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransitionError {
    /// The table of transitions has no such step.
    #[error("a claim cannot go from {from} to {to}")]
    NotAllowed {
        /// Where it stands.
        from: ClaimStatus,
        /// Where it was to go.
        to: ClaimStatus,
    },
    /// A submitted pull request needs an address, now or earlier.
    #[error("pr_submitted needs a pr_url")]
    PrUrlMissing,
}
