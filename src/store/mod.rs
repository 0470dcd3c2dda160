//! The store: the authority on who holds what. A port, and one adapter for each database.
//!
//! The database decides ownership by a unique index on the active (repository, number), never by a
//! look before an insert. A claim, its event and its decision commit together or not at all, and
//! nothing is acknowledged or announced before the commit.

mod approvals;
mod blockers;
mod claims;
mod committed;
mod decisions;
mod error;
mod follow_ups;
mod imports;
mod issues;
mod operator;
mod past;
mod places;
mod policies;
mod postgres;
mod roles;
mod run_log;
mod run_words;
mod runs;
mod signals;
mod sql;
mod sqlite;
mod tokens;

use std::fmt;

use async_trait::async_trait;

use crate::domain::{
    AgentId, Claim, ClaimId, Decision, DecisionId, Event, EventDraft, EventSeq, FollowUp, Issue, IssueNumber, IssueRef,
    PullRequest, Repo, RepoName, Timestamp, TokenId, WorkItemId,
};

pub use approvals::{ApprovalKept, ApprovalOutcome, ApprovalWish, LabelDue, Pin};
pub use blockers::{DependencyChange, DependencyDue, DependencyReading};
pub use claims::{AdvanceOutcome, ClaimChange, ClaimFilter, ClaimWish, Granted, InsertOutcome, Wanted};
pub use committed::{Change, CommitObserver, Snapshot};
pub use decisions::DecisionFilter;
pub use error::StoreError;
pub use follow_ups::{
    ClaimFollow, FollowUpChange, FollowUpFilter, FollowUpInserted, FollowUpLink, FollowUpMoved, FollowUpTake,
    FollowUpTaken, Settlement, Settles,
};
pub use imports::{ClaimImport, FollowUpImport, FollowUpImportOutcome, ImportOutcome};
pub use issues::{IssueApplied, IssueBatch, IssueFilter, ListName, RepoMark, SyncCursor};
pub use operator::{ClaimOverrule, OverruleOutcome};
pub use past::{ClaimHistoryFilter, ClaimHistoryPlace, PastClaims};
pub use places::{IssuePlace, OwnersFile, PastPull, PastWorkList, PlaceSource, PlaceStore};
pub use policies::{
    COMPONENT_PIECE_BYTES, EvidenceRecord, OnTrialRecord, PolicyAudit, PolicySetKept, PolicySetRecord, Trial,
    TrialBatch, TrialHour,
};
pub use roles::{BeatAnswer, Role, RoleStore, ServerBeat, ServerSeen};
pub use run_log::RunLogStore;
pub use run_words::{RunTold, RunWordStore};
pub use runs::{RunFilter, RunInserted, RunSaved, RunStore};
pub use signals::{CiNews, KeptSignals, NOTICE_COUNT_MAX, Notice, NoticeId, SignalNews, SignalStore};
pub use sql::{Moved, Progress, SqlStore, backup, check, migrate, reopen, restore};
pub use sqlite::{FirstEditionError, FirstEditionRow, first_edition_rows};
pub use tokens::{KeptToken, TokenInsertOutcome, TokenRevokeOutcome};

/// The port. Methods are noun first; every write is durable when it returns.
#[async_trait]
pub trait Store:
    PlaceStore + RoleStore + RunLogStore + RunStore + RunWordStore + SignalStore + Send + Sync + fmt::Debug + 'static
{
    /// Everything that the in-memory index is rebuilt from.
    async fn snapshot_load(&self) -> Result<Snapshot, StoreError>;

    /// Grants a claim on the wanted issue, or on the first free one of several.
    async fn claim_insert(&self, wish: ClaimWish) -> Result<InsertOutcome, StoreError>;
    /// Moves one active claim by one step.
    async fn claim_advance(&self, change: ClaimChange) -> Result<AdvanceOutcome, StoreError>;
    /// Takes an active claim where GitHub says its pull request is; `None` when it has ended.
    async fn claim_follow(&self, wish: ClaimFollow) -> Result<Option<Claim>, StoreError>;
    /// Active claims, oldest first.
    async fn claim_list(&self, filter: ClaimFilter) -> Result<Vec<Claim>, StoreError>;
    /// One claim, active or past.
    async fn claim_get(&self, claim_id: ClaimId) -> Result<Option<Claim>, StoreError>;
    /// The newest claim of `agent` among those that ended whose id ends so.
    async fn claim_past_by_short_id(&self, agent: AgentId, short: String) -> Result<Option<ClaimId>, StoreError>;

    /// Writes a new follow-up, unless its feedback made one before.
    async fn follow_up_insert(&self, item: FollowUp) -> Result<FollowUpInserted, StoreError>;
    /// Gives an agent the first of some follow-ups that is on offer to it.
    async fn follow_up_take(&self, wish: FollowUpTake) -> Result<FollowUpTaken, StoreError>;
    /// Moves one active follow-up by one step.
    async fn follow_up_advance(&self, change: FollowUpChange) -> Result<FollowUpMoved, StoreError>;
    /// Settles follow-ups of one pull request; answers how many ended.
    async fn follow_up_settle(&self, settlement: Settlement) -> Result<usize, StoreError>;
    /// Tells the active follow-ups of one pull request which claim it came from; answers how many learnt it.
    async fn follow_up_link(&self, link: FollowUpLink) -> Result<usize, StoreError>;
    /// Takes in follow-ups from elsewhere; one outcome each, in their order. Never touches one that is here.
    async fn follow_up_import(&self, wish: FollowUpImport) -> Result<Vec<FollowUpImportOutcome>, StoreError>;
    /// Active follow-ups: most urgent first, then oldest.
    async fn follow_up_list(&self, filter: FollowUpFilter) -> Result<Vec<FollowUp>, StoreError>;
    /// Follow-ups that ended, newest end first, at most `limit`.
    async fn follow_up_history(&self, limit: usize) -> Result<Vec<FollowUp>, StoreError>;
    /// Follow-ups of one pull request, active or past, newest first; of those that ended at most `limit`.
    async fn follow_up_list_of_pull(&self, pull: IssueRef, limit: usize) -> Result<Vec<FollowUp>, StoreError>;
    /// One follow-up, active or past.
    async fn follow_up_get(&self, work_item_id: WorkItemId) -> Result<Option<FollowUp>, StoreError>;

    /// Writes what GitHub said of a pull request, unless something newer is known; answers whether it did.
    async fn pull_apply(&self, pull: PullRequest) -> Result<bool, StoreError>;
    /// One pull request, as GitHub last described it.
    async fn pull_get(&self, pull: IssueRef) -> Result<Option<PullRequest>, StoreError>;
    /// Whether a webhook delivery was processed before.
    async fn delivery_seen(&self, delivery_id: String) -> Result<bool, StoreError>;
    /// Notes that a webhook delivery was processed.
    async fn delivery_record(&self, delivery_id: String) -> Result<(), StoreError>;

    /// Claims that ended, newest end first, from behind `after`, at most `limit`.
    async fn claim_history(
        &self,
        filter: ClaimHistoryFilter,
        after: Option<ClaimHistoryPlace>,
        limit: usize,
    ) -> Result<PastClaims, StoreError>;
    /// Takes a claim back, or gives it to another agent, whoever holds it.
    async fn claim_overrule(&self, wish: ClaimOverrule) -> Result<OverruleOutcome, StoreError>;
    /// Takes in claims from elsewhere; one outcome each, in their order. Never touches a claim that is here.
    async fn claim_import(&self, wish: ClaimImport) -> Result<Vec<ImportOutcome>, StoreError>;

    /// Keeps what is known of a new access token.
    async fn token_insert(&self, kept: KeptToken, now: Timestamp) -> Result<TokenInsertOutcome, StoreError>;
    /// Ends an access token.
    async fn token_revoke(&self, token_id: TokenId, now: Timestamp) -> Result<TokenRevokeOutcome, StoreError>;
    /// Every access token that is kept, oldest first.
    async fn token_list(&self) -> Result<Vec<KeptToken>, StoreError>;

    /// Writes what GitHub said of repositories.
    async fn repo_apply(&self, repos: Vec<Repo>) -> Result<(), StoreError>;
    /// Forgets a repository that GitHub no longer shows, and its issues. Claims stay.
    async fn repo_remove(&self, repo: RepoName) -> Result<(), StoreError>;
    /// Writes what GitHub said of issues of one repository; a claim on an issue that GitHub shows as
    /// closed is closed with it.
    async fn issue_apply(&self, batch: IssueBatch) -> Result<IssueApplied, StoreError>;
    /// Writes one issue as a webhook told of it; `false` when something newer is known. At the same second
    /// a closed issue stays closed: which word came last cannot be told.
    async fn issue_deliver(&self, issue: Issue, now: Timestamp) -> Result<bool, StoreError>;
    /// Forgets an issue that GitHub no longer has (deleted, moved, or never an issue).
    async fn issue_remove(&self, issue: IssueRef) -> Result<(), StoreError>;
    /// Open issues without an active claim, by number.
    async fn issue_list(&self, filter: IssueFilter) -> Result<Vec<Issue>, StoreError>;
    /// One issue as last synced.
    async fn issue_get(&self, issue: IssueRef) -> Result<Option<Issue>, StoreError>;
    /// The numbers of all open issues of a repository, claimed ones too, as last synced.
    async fn issue_number_list(&self, repo: RepoName) -> Result<Vec<IssueNumber>, StoreError>;
    /// Issues that GitHub says are blocked, those whose dependencies were read longest ago first, at most `limit`.
    async fn dependency_due_list(&self, limit: usize) -> Result<Vec<DependencyDue>, StoreError>;
    /// Writes the dependencies of one open issue, as read.
    async fn dependency_set(&self, reading: DependencyReading) -> Result<(), StoreError>;
    /// Writes that one dependency of an open issue came or went.
    async fn dependency_change(&self, change: DependencyChange) -> Result<(), StoreError>;
    /// Keeps an approval of an open issue, unless a newer word is kept.
    async fn approval_set(&self, wish: ApprovalWish) -> Result<ApprovalOutcome, StoreError>;
    /// Forgets an approval, whoever gave it; whether there was one.
    async fn approval_withdraw(&self, issue: IssueRef, by: String, now: Timestamp) -> Result<bool, StoreError>;
    /// Of these issues, those that changed since it was last asked who labelled them.
    async fn label_due_list(&self, labelled: Vec<IssueRef>) -> Result<Vec<LabelDue>, StoreError>;
    /// Notes that it was asked who labelled an issue.
    async fn label_read(&self, read: LabelDue) -> Result<(), StoreError>;
    /// How far each repository was synced.
    async fn cursor_list(&self) -> Result<Vec<(RepoName, SyncCursor)>, StoreError>;
    /// How far a list was read that is not one repository's issues; an empty cursor if never.
    async fn list_cursor_get(&self, list: ListName) -> Result<SyncCursor, StoreError>;
    /// Notes how far such lists were read: all of them, or none.
    async fn list_cursor_set(&self, reached: Vec<(ListName, SyncCursor)>) -> Result<(), StoreError>;
    /// What the sync noted about repositories.
    async fn repo_mark_list(&self) -> Result<Vec<(RepoName, RepoMark)>, StoreError>;
    /// Notes it: all of them, or none.
    async fn repo_mark_set(&self, marks: Vec<(RepoName, RepoMark)>) -> Result<(), StoreError>;

    /// Writes events that belong to no other write.
    async fn event_append(&self, drafts: Vec<EventDraft>) -> Result<(), StoreError>;
    /// Events after `after`, in order, at most `limit`.
    async fn event_list_after(&self, after: EventSeq, limit: usize) -> Result<Vec<Event>, StoreError>;
    /// Keeps a decision that gave nothing out; one that did is kept with its claim.
    async fn decision_insert(&self, decision: Decision) -> Result<(), StoreError>;
    /// One recorded decision, with the issues as they were where those are still kept.
    async fn decision_get(&self, decision_id: DecisionId) -> Result<Option<Decision>, StoreError>;
    /// Recorded decisions, newest first, at most `limit`; without the issues as they were.
    async fn decision_list(&self, filter: DecisionFilter, limit: usize) -> Result<Vec<Decision>, StoreError>;
    /// Notes a set of policies that came in force, and why; answers its place.
    async fn policy_set_insert(&self, record: PolicySetRecord, why: String, now: Timestamp) -> Result<u64, StoreError>;
    /// The last sets that were in force, newest first.
    async fn policy_set_list(&self) -> Result<Vec<PolicySetKept>, StoreError>;
    /// Notes who wished the ranker that is in force.
    async fn policy_audit(&self, audit: PolicyAudit) -> Result<(), StoreError>;
    /// Keeps a component, unless it is kept already.
    async fn policy_component_keep(&self, digest: String, bytes: Vec<u8>) -> Result<(), StoreError>;
    /// Of how many pieces a kept component is; `None` when it is not kept.
    async fn policy_component_piece_count(&self, digest: String) -> Result<Option<u32>, StoreError>;
    /// One piece of a kept component.
    async fn policy_component_piece(&self, digest: String, piece: u32) -> Result<Option<Vec<u8>>, StoreError>;
    /// Adds what came of some requests to a candidate's trial.
    async fn trial_add(&self, batch: TrialBatch) -> Result<(), StoreError>;
    /// What is kept of a candidate's trial, with the newest disagreements, at most `limit`.
    async fn trial_get(&self, candidate: String, limit: usize) -> Result<Trial, StoreError>;

    /// When agents were last heard of, by any server.
    async fn agent_last_calls(&self) -> Result<Vec<(AgentId, Timestamp)>, StoreError>;
    /// Notes when agents were last heard of.
    async fn agent_heard(&self, calls: Vec<(AgentId, Timestamp)>) -> Result<(), StoreError>;
}
