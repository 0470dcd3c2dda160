//! What agents, operators and GitHub's webhooks ask of the claim manager, and what they are answered.

use std::fmt;
use std::time::Duration;

use issuecommand::claims::{ClaimManager, ClaimOutcome, ClaimRequest, ManagerError, NextOutcome, NextRequest};
use issuecommand::claims::{UpdateOutcome, UpdateRequest};
use issuecommand::domain::{AgentId, Claim, ClaimId, ClaimStatus, Issue, IssueRef, RepoName, RequestId, Skills};
use issuecommand::store::{OverruleOutcome, StoreError};

use crate::clock::Moment;

/// One call.
#[derive(Debug, Clone)]
pub enum Call {
    /// An agent's next issue.
    Next { agent: AgentId, repo: Option<RepoName>, request_id: Option<RequestId> },
    /// This very issue.
    Claim { agent: AgentId, issue: IssueRef, request_id: Option<RequestId> },
    /// A step of a claim, of its owner or somebody who was; under this epoch alone, if it names one.
    Update { agent: AgentId, claim: ClaimId, epoch: Option<u64>, to: ClaimStatus },
    /// Whether a claim is still this agent's, under this epoch.
    Holds { agent: AgentId, claim: ClaimId, epoch: u64 },
    /// An operator takes a claim back, or gives it to another agent.
    Overrule { claim: ClaimId, to: Option<AgentId> },
    /// A webhook tells of an issue.
    Deliver { issue: Box<Issue> },
    /// A webhook tells that an issue was deleted.
    Forget { issue: IssueRef },
    /// The sweep comes just now.
    Sweep,
}

/// What came of a call. A client that vanished has none.
#[derive(Debug, Clone)]
pub enum Answer {
    /// The issue is the agent's.
    Granted { claim: Box<Claim>, idempotent: bool },
    /// The step was done.
    Moved(Box<Claim>),
    /// An operator's word was done.
    Overruled,
    /// Something else was answered, which changed nothing.
    Unchanged(&'static str),
    /// Whether it is held.
    Holds(bool),
    /// GitHub's word was taken in, or was an old one.
    Noted,
    /// It could not be done, and so was not; by the store's fault or by GitHub's.
    Failed { why: String, by_store: bool },
}

impl Call {
    /// The agent that calls.
    pub fn agent(&self) -> Option<&AgentId> {
        match self {
            Self::Next { agent, .. } | Self::Claim { agent, .. } => Some(agent),
            Self::Update { agent, .. } | Self::Holds { agent, .. } => Some(agent),
            Self::Overrule { .. } | Self::Deliver { .. } | Self::Forget { .. } | Self::Sweep => None,
        }
    }

    /// Makes the call, as the doors do.
    pub async fn make(self, manager: &ClaimManager) -> Answer {
        if let Some(agent) = self.agent() {
            manager.heard_from(agent);
        }
        let answer = self.ask(manager).await;
        if matches!(answer, Answer::Failed { by_store: true, .. }) {
            manager.note_unwell("the store failed");
        }
        answer
    }

    async fn ask(self, manager: &ClaimManager) -> Answer {
        match self {
            Self::Next { agent, repo, request_id } => {
                let (label, milestone, skills) = (None, None, Skills::default());
                let wish = NextRequest { agent, repo, label, milestone, request_id, skills };
                manager.next_issue(wish).await.map_or_else(Answer::failed, Answer::of_next)
            }
            Self::Claim { agent, issue, request_id } => {
                let wish = ClaimRequest { agent, issue, request_id };
                manager.claim(wish).await.map_or_else(Answer::failed, Answer::of_claim)
            }
            Self::Update { agent, claim, epoch, to } => {
                let pr_url = (to == ClaimStatus::PrSubmitted).then(|| "https://github.com/acme/one/pull/99".to_owned());
                let step = UpdateRequest { claim_id: claim, agent, epoch, status: to, note: None, pr_url };
                manager.update(step).await.map_or_else(Answer::failed, Answer::of_update)
            }
            Self::Holds { agent, claim, epoch } => {
                manager.holds(claim, &agent, epoch).await.map_or_else(Answer::failed, Answer::Holds)
            }
            Self::Overrule { claim, to } => {
                let overruled = manager.operations().overrule(claim, to, "an operator".into(), None).await;
                overruled.map_or_else(Answer::failed_in_store, Answer::of_overrule)
            }
            Self::Deliver { issue } => {
                // The door asks the filter before it takes anything in.
                if manager.exclusion(&issue.repo).is_some() {
                    return Answer::Unchanged("not admitted");
                }
                manager.take_in_issue(*issue).await.map_or_else(Answer::failed, |_| Answer::Noted)
            }
            Self::Forget { issue } => manager.forget_issue(issue).await.map_or_else(Answer::failed, |()| Answer::Noted),
            Self::Sweep => {
                manager.sweep_that_was_due(Duration::ZERO).await;
                Answer::Unchanged("swept")
            }
        }
    }
}

impl Answer {
    fn failed(error: ManagerError) -> Self {
        match error {
            ManagerError::Store(error) => Self::failed_in_store(error),
            other => Self::Failed { why: other.to_string(), by_store: false },
        }
    }

    fn failed_in_store(error: StoreError) -> Self {
        Self::Failed { why: error.to_string(), by_store: true }
    }

    fn of_next(outcome: NextOutcome) -> Self {
        match outcome {
            NextOutcome::Granted { claim, idempotent, .. } => Self::Granted { claim: Box::new(claim), idempotent },
            NextOutcome::RequestIdUsed(_) => Self::Unchanged("that request id was used"),
            NextOutcome::Nothing(_) => Self::Unchanged("nothing"),
        }
    }

    fn of_claim(outcome: ClaimOutcome) -> Self {
        match outcome {
            ClaimOutcome::Granted { claim, idempotent } => Self::Granted { claim: Box::new(claim), idempotent },
            ClaimOutcome::HeldBy(_) => Self::Unchanged("held by another"),
            ClaimOutcome::RequestIdUsed(_) => Self::Unchanged("that request id was used"),
            ClaimOutcome::NotOpen(_) => Self::Unchanged("not open"),
        }
    }

    fn of_update(outcome: UpdateOutcome) -> Self {
        match outcome {
            UpdateOutcome::Moved { claim, .. } => Self::Moved(Box::new(claim)),
            UpdateOutcome::NotMerged(_) => Self::Unchanged("not merged"),
            UpdateOutcome::Ended(..) => Self::Unchanged("it has ended"),
            UpdateOutcome::NotFound => Self::Unchanged("not found"),
            UpdateOutcome::NotOwner(_) => Self::Unchanged("not the owner"),
            UpdateOutcome::Refused(..) => Self::Unchanged("refused"),
        }
    }

    fn of_overrule(outcome: OverruleOutcome) -> Self {
        match outcome {
            OverruleOutcome::Done(_) => Self::Overruled,
            _ => Self::Unchanged("not overruled"),
        }
    }
}

/// A call and its answer; `None` where the client vanished.
#[derive(Debug, Clone)]
pub struct Called {
    pub call: Call,
    pub answer: Option<Answer>,
    pub at: Moment,
    /// Whether its agent was heard of by it, which renews the leases of a holder.
    pub is_heard: bool,
}

impl Called {
    /// Whether the call may have done what it asked for.
    pub fn may_be_done(&self) -> bool {
        matches!(
            self.answer,
            None | Some(Answer::Granted { .. } | Answer::Moved(_) | Answer::Overruled | Answer::Noted)
        )
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = |id: &Option<RequestId>| id.as_ref().map(|id| format!(" as {}", id.as_str())).unwrap_or_default();
        match self {
            Self::Next { agent, repo, request_id } => {
                let within = repo.as_ref().map(|repo| format!(" in {repo}")).unwrap_or_default();
                write!(f, "{agent} asks next{within}{}", id(request_id))
            }
            Self::Claim { agent, issue, request_id } => write!(f, "{agent} claims {issue}{}", id(request_id)),
            Self::Update { agent, claim, epoch, to } => {
                let under = epoch.map(|epoch| format!(" under {epoch}")).unwrap_or_default();
                write!(f, "{agent} moves {claim} to {}{under}", to.as_str())
            }
            Self::Holds { agent, claim, epoch } => write!(f, "whether {agent} holds {claim} under {epoch}"),
            Self::Overrule { claim, to: None } => write!(f, "an operator takes {claim} back"),
            Self::Overrule { claim, to: Some(to) } => write!(f, "an operator gives {claim} to {to}"),
            Self::Deliver { issue } => {
                write!(f, "delivered: {} is {:?} since {}", issue.issue_ref(), issue.state, issue.updated_at)
            }
            Self::Forget { issue } => write!(f, "delivered: {issue} is deleted"),
            Self::Sweep => f.write_str("a sweep"),
        }
    }
}

impl fmt::Display for Called {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.call)?;
        match &self.answer {
            None => f.write_str("its client vanished"),
            Some(Answer::Granted { claim, idempotent }) => {
                let again = if *idempotent { "again " } else { "" };
                write!(f, "{again}{} by {} under epoch {}", claim.issue_ref(), claim.claim_id, claim.lease.epoch)
            }
            Some(Answer::Moved(claim)) => write!(f, "done, {}", claim.status().as_str()),
            Some(Answer::Overruled | Answer::Noted) => f.write_str("done"),
            Some(Answer::Unchanged(why)) => f.write_str(why),
            Some(Answer::Holds(is_so)) => write!(f, "{is_so}"),
            Some(Answer::Failed { why, .. }) => write!(f, "failed: {why}"),
        }
    }
}
