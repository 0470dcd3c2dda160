//! What is asked of the store about follow-ups, pull requests and deliveries, and what it answers.

use crate::domain::{
    AgentId, ClaimId, ClaimStatus, FollowUp, FollowUpRefusal, FollowUpStatus, FollowUpStep, IssueNumber, IssueRef,
    RepoName, RequestId, Reservation, Timestamp, WorkItemId,
};

/// What became of a piece of feedback.
#[derive(Debug, Clone)]
pub enum FollowUpInserted {
    /// It is a new follow-up.
    Created(Box<FollowUp>),
    /// It made this one before.
    Known(WorkItemId),
    /// There are as many as there may be, and none that is less urgent and free. It is not remembered.
    Full,
}

/// The wish for a follow-up.
#[derive(Debug, Clone)]
pub struct FollowUpTake {
    /// Who asks.
    pub agent: AgentId,
    /// For the first of these that is on offer to it.
    pub candidates: Vec<WorkItemId>,
    /// The client's name for this attempt: the same agent and id get the same work again.
    pub request_id: Option<RequestId>,
    /// The present.
    pub now: Timestamp,
}

/// What became of the wish for a follow-up.
#[derive(Debug, Clone)]
pub enum FollowUpTaken {
    /// It is the agent's now.
    Taken(Box<FollowUp>),
    /// The same request got it before.
    Already(Box<FollowUp>),
    /// The same request got it before, and it has ended since.
    RequestUsed(Box<FollowUp>),
    /// The same request got a claim before.
    RequestGotClaim,
    /// None of the candidates is on offer to the agent.
    NoneFree,
}

/// The wish to move a follow-up.
#[derive(Debug, Clone)]
pub struct FollowUpChange {
    /// Which one.
    pub work_item_id: WorkItemId,
    /// Only if it was last updated then: so a sweep never undoes what its agent did meanwhile.
    pub last_updated: Option<Timestamp>,
    /// The step.
    pub step: FollowUpStep,
    /// The present.
    pub now: Timestamp,
}

/// What became of the wish to move a follow-up.
#[derive(Debug, Clone)]
pub enum FollowUpMoved {
    /// Done; as it stands now, and whether its status is another.
    Moved(Box<FollowUp>, bool),
    /// No such active follow-up.
    NotFound,
    /// It was last updated at another time: somebody was faster.
    Superseded,
    /// The contract does not permit the step.
    Refused(Box<FollowUp>, FollowUpRefusal),
}

/// Which active follow-ups.
#[derive(Debug, Clone, Default)]
pub struct FollowUpFilter {
    /// In this repository.
    pub repo: Option<RepoName>,
    /// In this status.
    pub status: Option<FollowUpStatus>,
    /// Of this agent.
    pub agent: Option<AgentId>,
    /// On this pull request.
    pub pr_number: Option<IssueNumber>,
}

/// The claim that a pull request came from, for those of its follow-ups that know of none.
#[derive(Debug, Clone)]
pub struct FollowUpLink {
    /// The pull request.
    pub pull: IssueRef,
    /// The claim.
    pub claim_id: ClaimId,
    /// For whom they are kept from now on.
    pub reserved: Option<Reservation>,
    /// The present.
    pub now: Timestamp,
}

/// What GitHub said that settles follow-ups of one pull request.
#[derive(Debug, Clone)]
pub struct Settlement {
    /// The pull request.
    pub pull: IssueRef,
    /// What was said.
    pub settles: Settles,
    /// The present.
    pub now: Timestamp,
}

/// Which follow-ups are settled, and how.
#[derive(Debug, Clone)]
pub enum Settles {
    /// All: the pull request ended.
    All {
        /// Done or dismissed.
        to: FollowUpStatus,
        /// Why, for the history.
        note: &'static str,
    },
    /// Those of these pieces of feedback: GitHub says that they are answered or withdrawn.
    Sources {
        /// Their keys.
        sources: Vec<String>,
        /// Done or dismissed.
        to: FollowUpStatus,
        /// Why, for the history.
        note: &'static str,
    },
    /// Those that commits may answer: made before the push. Ones that an agent had taken by then are done
    /// if `resolve`, begun or not, since not every agent is shown the tool that says so; all others are marked as pushed
    /// to.
    Pushed {
        /// When, or a time before it.
        at: Timestamp,
        /// Whether a push resolves what it answers.
        resolve: bool,
    },
}

/// The wish that a claim follow what GitHub says of its pull request: step by step along the way of
/// finished work, or back to `released`.
#[derive(Debug, Clone)]
pub struct ClaimFollow {
    /// Which claim.
    pub claim_id: ClaimId,
    /// How far.
    pub to: ClaimStatus,
    /// The pull request's page.
    pub pr_url: String,
    /// Why, for the history.
    pub note: String,
    /// The present.
    pub now: Timestamp,
}
