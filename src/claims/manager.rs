//! The claim manager's calls.

use std::sync::Arc;

use super::{
    ClaimOutcome, ClaimRequest, Health, IssueDetails, ManagerError, NextOutcome, NextRequest, RepoEntry, UpdateOutcome,
    UpdateRequest,
};
use crate::domain::{AgentId, Claim, Decision, DecisionId, Event, EventSeq, Issue, IssueRef};
use crate::store::{ClaimFilter, IssueFilter};

/// The only door to state.
#[derive(Debug)]
pub struct ClaimManager {}

#[allow(clippy::todo, clippy::unused_async, unused_variables)]
impl ClaimManager {
    /// Picks the agent's next issue by the team's policy and grants it exclusively.
    pub async fn next_issue(&self, request: NextRequest) -> Result<NextOutcome, ManagerError> {
        todo!()
    }

    /// Grants one named issue.
    pub async fn claim(&self, request: ClaimRequest) -> Result<ClaimOutcome, ManagerError> {
        todo!()
    }

    /// Moves a claim by one step of its owner; giving it back is the step to `released`.
    pub async fn update(&self, request: UpdateRequest) -> Result<UpdateOutcome, ManagerError> {
        todo!()
    }

    /// Active claims, oldest first.
    pub async fn claims(&self, filter: ClaimFilter) -> Result<Vec<Claim>, ManagerError> {
        todo!()
    }

    /// Notes that `agent` was heard of: any call of an owner renews its leases.
    pub fn heard_from(&self, agent: &AgentId) {
        todo!()
    }

    /// Admitted repositories, by name.
    pub async fn repos(&self) -> Result<Vec<RepoEntry>, ManagerError> {
        todo!()
    }

    /// Open issues that nobody holds, by number.
    pub async fn open_issues(&self, filter: IssueFilter) -> Result<Vec<Issue>, ManagerError> {
        todo!()
    }

    /// One issue with its comments, from GitHub; as last synced when GitHub does not answer.
    pub async fn issue_details(&self, issue: IssueRef) -> Result<IssueDetails, ManagerError> {
        todo!()
    }

    /// One recorded decision.
    pub async fn decision(&self, decision_id: DecisionId) -> Result<Option<Decision>, ManagerError> {
        todo!()
    }

    /// How the server is doing.
    pub async fn health(&self) -> Health {
        todo!()
    }

    /// Reads events after `after`, or from now on.
    pub fn events_after(&self, after: Option<EventSeq>) -> EventCursor {
        todo!()
    }
}

/// A reader's place in the order of events.
#[derive(Debug)]
pub struct EventCursor {}

/// What a reader gets next.
#[derive(Debug, Clone)]
pub enum EventStep {
    /// The next events, in order; never empty.
    Events(Vec<Arc<Event>>),
    /// Events after `after` and before `resume` are no longer kept.
    Gap {
        /// The last one the reader saw.
        after: EventSeq,
        /// Where it goes on.
        resume: EventSeq,
    },
}

#[allow(clippy::todo, clippy::unused_async)]
impl EventCursor {
    /// Waits for the next events. Safe to drop and call again.
    ///
    /// # Errors
    /// When the store fails; the reader should come back later.
    pub async fn next(&mut self) -> Result<EventStep, ManagerError> {
        todo!()
    }
}
