//! Runs of the dispatcher: kept before and after each of their steps.

use async_trait::async_trait;

use super::StoreError;
use crate::domain::{AgentId, Claim, ClaimId, IssueRef, RepoName, Run, RunId, RunUsage, Timestamp};

/// The part of the store that keeps runs.
#[async_trait]
pub trait RunStore {
    /// Puts a new run in the queue, unless its issue has an active one. Of those that ended, `keep_max` stay, and
    /// the newest of each issue: by it is known that an issue was worked on, and whose its pull request is.
    async fn run_insert(&self, run: Run, keep_max: usize) -> Result<RunInserted, StoreError>;
    /// Writes a run as it is now, if nobody wrote it since it was read; a changed status is told in an event. One that
    /// begins while another under way has one of its issues is not written either.
    async fn run_save(&self, run: Run, now: Timestamp) -> Result<RunSaved, StoreError>;
    /// One run.
    async fn run_get(&self, run_id: RunId) -> Result<Option<Run>, StoreError>;
    /// The newest run whose id ends so.
    async fn run_by_short_id(&self, short: String) -> Result<Option<RunId>, StoreError>;
    /// Runs, oldest first; those that ended only if asked for, the newest `limit`.
    async fn run_list(&self, filter: RunFilter, limit: usize) -> Result<Vec<Run>, StoreError>;
    /// Runs whose own issue this is, newest first, at most `limit`.
    async fn run_list_of_issue(&self, issue: IssueRef, limit: usize) -> Result<Vec<Run>, StoreError>;
    /// The newest run of an issue.
    async fn run_latest(&self, issue: IssueRef) -> Result<Option<Run>, StoreError>;
    /// The run that opened a pull request, if one did; the newest.
    async fn run_of_pull(&self, pr_url: String) -> Result<Option<Run>, StoreError>;
    /// What runs used on the day (UTC) of `at`: all, or those in one repository.
    async fn run_usage_on(&self, at: Timestamp, repo: Option<RepoName>) -> Result<RunUsage, StoreError>;
    /// Whether the dispatcher is told to begin nothing.
    async fn dispatch_paused(&self) -> Result<Option<String>, StoreError>;
    /// Tells it to begin nothing, and why, or to begin again; who says so is in the event.
    async fn dispatch_pause(&self, why: Option<String>, by: String, now: Timestamp) -> Result<(), StoreError>;
    /// Gives a claim another epoch without giving it away: what was sent under the former one is refused.
    /// `None` when it is no longer the agent's.
    async fn claim_reissue(
        &self,
        claim_id: ClaimId,
        owner: AgentId,
        why: String,
        lease: chrono::TimeDelta,
        now: Timestamp,
    ) -> Result<Option<Claim>, StoreError>;
}

/// What became of a new run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunInserted {
    /// It is in the queue.
    Inserted,
    /// Its issue has an active run.
    ActiveAlready(RunId),
}

/// What became of a run's write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunSaved {
    /// It is written, as this version.
    Saved(u64),
    /// Somebody wrote it since it was read; nothing was written.
    Superseded,
}

/// Which runs.
#[derive(Debug, Clone, Default)]
pub struct RunFilter {
    /// Those that ended too.
    pub with_ended: bool,
    /// None of those that wait for their turn.
    pub without_queued: bool,
    /// Only of this repository.
    pub repo: Option<RepoName>,
}
