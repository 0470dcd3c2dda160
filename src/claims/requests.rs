//! What agents ask of the claim manager, and what it answers: outcomes, not errors, wherever an
//! agent may rightly meet them.

use schemars::JsonSchema;
use serde::Serialize;

use crate::domain::{
    AgentId, Claim, ClaimId, ClaimStatus, Empty, Issue, IssueRef, Repo, RepoName, RequestId, Skills, Timestamp,
    TransitionError,
};
use crate::github::SourceError;
use crate::store::{Role, StoreError};

/// "Give me my next issue."
#[derive(Debug, Clone)]
pub struct NextRequest {
    /// Who asks.
    pub agent: AgentId,
    /// Only in this repository.
    pub repo: Option<RepoName>,
    /// Only with this label, compared trimmed and without case.
    pub label: Option<String>,
    /// Only in the milestone of this title, compared trimmed and without case.
    pub milestone: Option<String>,
    /// The client's name for this attempt; a retry with it gets the same claim.
    pub request_id: Option<RequestId>,
    /// What the agent says it can do.
    pub skills: Skills,
}

/// The answer to [`NextRequest`].
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "made once a request, and taken apart at once")]
pub enum NextOutcome {
    /// An issue that is now exclusively the agent's.
    Granted {
        /// The claim.
        claim: Claim,
        /// The issue.
        issue: Option<Issue>,
        /// Whether the same request got it before.
        idempotent: bool,
        /// Why this one, in one line; only where it was picked just now, from the head of the short list.
        why: Option<String>,
    },
    /// The request id got this claim before, and it has ended since: a new wish needs a new id.
    RequestIdUsed(Claim),
    /// Nothing for this agent, and why.
    Nothing(Empty),
}

/// "I want this very issue."
#[derive(Debug, Clone)]
pub struct ClaimRequest {
    /// Who asks.
    pub agent: AgentId,
    /// For which issue.
    pub issue: IssueRef,
    /// The client's name for this attempt; a retry with it gets the same claim.
    pub request_id: Option<RequestId>,
}

/// The answer to [`ClaimRequest`].
#[derive(Debug)]
pub enum ClaimOutcome {
    /// It is the agent's.
    Granted {
        /// The claim.
        claim: Claim,
        /// Whether it was the agent's before.
        idempotent: bool,
    },
    /// Another agent holds it.
    HeldBy(Claim),
    /// The request id got this claim before: on another issue, or it has ended since.
    RequestIdUsed(Claim),
    /// There is no such open issue (none, closed, or a pull request).
    NotOpen(IssueRef),
}

/// "My claim has come this far." Giving it back is a step too.
#[derive(Debug, Clone)]
pub struct UpdateRequest {
    /// Which claim.
    pub claim_id: ClaimId,
    /// Who says so; must hold the claim.
    pub agent: AgentId,
    /// Only if the claim is held under this epoch: a claim can come back to the same agent, whose earlier process may
    /// still be at work.
    pub epoch: Option<u64>,
    /// How far.
    pub status: ClaimStatus,
    /// A word for the history.
    pub note: Option<String>,
    /// The pull request, when there is one.
    pub pr_url: Option<String>,
}

/// The answer to [`UpdateRequest`].
#[derive(Debug)]
pub enum UpdateOutcome {
    /// Done.
    Moved {
        /// The claim as it stands now.
        claim: Claim,
        /// Whether it stood there already; its lease was renewed.
        idempotent: bool,
        /// When the claim was closed: whether its issue on GitHub was closed too, or why not.
        /// `None` where the setting says to leave it.
        issue_closed: Option<Result<(), CloseError>>,
        /// For a step that says "merged" or "done": whether GitHub confirms that the pull request was
        /// merged. `None` for other steps.
        verified: Option<Verification>,
    },
    /// GitHub says that the claim's pull request is not merged.
    NotMerged(Claim),
    /// It has ended: the claim as it ended. Who sends a request again, because the answer to it was lost,
    /// sees here whether it was done. And who holds the issue now, if somebody does.
    Ended(Claim, Option<Claim>),
    /// No such claim.
    NotFound,
    /// Another agent holds it, or the same one under another epoch.
    NotOwner(Claim),
    /// The contract does not permit the step.
    Refused(Claim, TransitionError),
}

/// What GitHub says of a step that cannot be undone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verification {
    /// GitHub confirms it.
    Confirmed,
    /// GitHub could not be asked, or knows nothing of it: that is no "no".
    Unknown,
}

/// Why an issue was not closed on GitHub.
#[derive(Debug, thiserror::Error)]
pub enum CloseError {
    /// Nobody confirmed that the work is done.
    #[error("GitHub did not confirm that the pull request was merged, so the issue was left open")]
    NotConfirmed,
    /// GitHub did not do it.
    #[error(transparent)]
    Source(#[from] SourceError),
}

/// A repository and what is going on in it.
#[derive(Debug, Clone)]
pub struct RepoEntry {
    /// The repository.
    pub repo: Repo,
    /// How many open issues it has.
    pub open_issue_count: usize,
}

/// An issue with its comments.
#[derive(Debug, Clone)]
pub struct IssueDetails {
    /// The issue; comments filled in unless `stale_because` says otherwise.
    pub issue: Issue,
    /// Who holds it now.
    pub claimed_by: Option<AgentId>,
    /// Why this is the last synced state, without comments, instead of GitHub's present one.
    pub stale_because: Option<SourceError>,
}

/// How the server is doing.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct Health {
    /// `ready` when all is well; `degraded` when something works only in part; `live` when the store does not answer,
    /// so that nothing can be asked of it.
    pub state: HealthState,
    /// What this server does for all servers of its database.
    pub roles: Vec<Role>,
    /// Since it started.
    pub uptime_seconds: u64,
    /// Claims granted since the store was made, as far as history goes back.
    pub total_claims: u64,
    /// Claims held now, stale ones included.
    pub active_claims: usize,
    /// Agents that hold claims now.
    pub active_agents: usize,
    /// Claims that lapsed and were not yet taken back.
    pub stale_claims: usize,
    /// Open issues known.
    pub open_issues: usize,
    /// When a sync last went through.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_github_sync_at: Option<Timestamp>,
    /// What works only in part, each with its reason. Empty when all is well.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub degraded: Vec<String>,
    /// The policies in force.
    pub policies: PolicyHealth,
    /// Edited settings that wait for a restart to take effect.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub needs_restart: Vec<&'static str>,
}

/// How a server is, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HealthState {
    /// It runs, and can do nothing: its store fails.
    Live,
    /// All is well.
    Ready,
    /// It serves, and something works only in part.
    Degraded,
}

impl HealthState {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Ready => "ready",
            Self::Degraded => "degraded",
        }
    }
}

/// The policies in force, and why the newest edit is not.
#[derive(Debug, Clone, Serialize, JsonSchema)]
pub struct PolicyHealth {
    /// The ranker's source and digest.
    pub ranker: String,
    /// The stale rule's source and digest.
    pub stale_rule: String,
    /// The repository filter's source and digest.
    pub repo_filter: String,
    /// Why the newest edit was refused, until one is accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rejected: Option<String>,
}

/// Why the claim manager could not answer.
#[derive(Debug, thiserror::Error)]
pub enum ManagerError {
    /// The repository filter does not admit it.
    #[error("{repo} is not an allowed repository: {reason}")]
    RepoNotAllowed {
        /// The repository.
        repo: RepoName,
        /// The filter's reason.
        reason: String,
    },
    /// There is no such thing.
    #[error("{what} not found")]
    NotFound {
        /// What was asked for.
        what: String,
    },
    /// GitHub was needed and did not answer.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
}
