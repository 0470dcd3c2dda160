//! The store on SQLite: embedded, the default, for one server.
//!
//! One thread writes ([`writer`]): it takes whatever waits, runs it in one transaction, commits with the
//! disk's word for it (`synchronous = FULL`), shows the changes to the observer and only then answers.
//! Reads run beside it on connections of their own ([`readers`]) and see every answered write.
//! A lock file keeps a second server out.

mod claims;
mod columns;
mod connect;
mod events;
mod history;
mod issues;
mod lists;
mod readers;
mod repos;
mod snapshot;
#[cfg(test)]
mod tests;
mod writer;

use std::sync::Arc;

use async_trait::async_trait;

use super::{
    AdvanceOutcome, ClaimChange, ClaimFilter, ClaimWish, CommitObserver, InsertOutcome, IssueApplied, IssueBatch,
    IssueFilter, ListName, RepoMark, Snapshot, Store, StoreError, SyncCursor,
};
use crate::config::StoreConfig;
use crate::domain::{
    AgentId, Claim, ClaimId, Decision, DecisionId, Event, EventDraft, EventSeq, Issue, IssueNumber, IssueRef, Repo,
    RepoName, Timestamp,
};

/// A SQLite database that this process alone has open.
#[derive(Debug)]
pub struct SqliteStore {
    readers: readers::Readers,
    writer: writer::Writer,
}

impl SqliteStore {
    /// Opens the database, or makes it (readable by its owner only), and brings its schema up to date.
    /// `observer` learns of every commit. Blocks: call it where blocking is allowed.
    ///
    /// # Errors
    /// [`StoreError::InUse`] when another server has it; [`StoreError::Failed`] when it cannot be opened,
    /// belongs to a newer version or another program, or does not take the settings that durability needs.
    pub fn open(config: &StoreConfig, observer: Arc<dyn CommitObserver>) -> Result<Self, StoreError> {
        let opened = connect::open(config)?;
        let trim = history::Trim::new(config);
        let trimmed = events::last(&opened.connection).and_then(|last| trim.all(&opened.connection, last));
        trimmed.map_err(|source| StoreError::failed("trim the database's history", source))?;
        let writer = writer::Writer::start(opened.connection, opened.lock, trim, observer)
            .map_err(|source| StoreError::failed("start the store's writer", source))?;
        Ok(Self { readers: readers::Readers::new(opened.path, opened.busy_timeout), writer })
    }

    /// Finishes what is queued, closes the database and gives up its lock. Later calls answer
    /// [`StoreError::Closed`]. Dropping the store does the same. Blocks.
    pub fn close(&self) {
        self.readers.close();
        self.writer.close();
    }
}

impl Drop for SqliteStore {
    fn drop(&mut self) {
        self.close();
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn snapshot_load(&self) -> Result<Snapshot, StoreError> {
        self.readers.read("load the snapshot", snapshot::load).await
    }

    async fn claim_insert(&self, wish: ClaimWish) -> Result<InsertOutcome, StoreError> {
        self.writer.write("insert a claim", |txn| claims::insert(txn, wish)).await
    }

    async fn claim_advance(&self, change: ClaimChange) -> Result<AdvanceOutcome, StoreError> {
        self.writer.write("advance a claim", |txn| claims::advance(txn, change)).await
    }

    async fn claim_list(&self, filter: ClaimFilter) -> Result<Vec<Claim>, StoreError> {
        self.readers.read("list claims", move |connection| claims::list(connection, &filter)).await
    }

    async fn claim_get(&self, claim_id: ClaimId) -> Result<Option<Claim>, StoreError> {
        self.readers.read("get a claim", move |connection| claims::get(connection, claim_id)).await
    }

    async fn repo_apply(&self, repos: Vec<Repo>) -> Result<(), StoreError> {
        self.writer.write("write repositories", |txn| repos::apply(txn, repos)).await
    }

    async fn repo_remove(&self, repo: RepoName) -> Result<(), StoreError> {
        self.writer.write("remove a repository", |txn| repos::remove(txn, repo)).await
    }

    async fn issue_apply(&self, batch: IssueBatch) -> Result<IssueApplied, StoreError> {
        self.writer.write("write issues", |txn| issues::apply(txn, batch)).await
    }

    async fn issue_remove(&self, issue: IssueRef) -> Result<(), StoreError> {
        self.writer.write("remove an issue", |txn| issues::remove(txn, issue)).await
    }

    async fn issue_list(&self, filter: IssueFilter) -> Result<Vec<Issue>, StoreError> {
        self.readers.read("list issues", move |connection| issues::list(connection, &filter)).await
    }

    async fn issue_get(&self, issue: IssueRef) -> Result<Option<Issue>, StoreError> {
        self.readers.read("get an issue", move |connection| issues::get(connection, &issue)).await
    }

    async fn cursor_list(&self) -> Result<Vec<(RepoName, SyncCursor)>, StoreError> {
        self.readers.read("list sync cursors", repos::cursor_list).await
    }

    async fn issue_number_list(&self, repo: RepoName) -> Result<Vec<IssueNumber>, StoreError> {
        self.readers.read("list open issues", move |connection| issues::open_numbers(connection, &repo)).await
    }

    async fn list_cursor_get(&self, list: ListName) -> Result<SyncCursor, StoreError> {
        self.readers.read("get a list's cursor", move |connection| lists::cursor_get(connection, &list)).await
    }

    async fn list_cursor_set(&self, reached: Vec<(ListName, SyncCursor)>) -> Result<(), StoreError> {
        self.writer.write("set lists' cursors", move |txn| lists::cursor_set(txn.connection, &reached)).await
    }

    async fn repo_mark_list(&self) -> Result<Vec<(RepoName, RepoMark)>, StoreError> {
        self.readers.read("list marks of repositories", lists::mark_list).await
    }

    async fn repo_mark_set(&self, marks: Vec<(RepoName, RepoMark)>) -> Result<(), StoreError> {
        self.writer.write("mark repositories", move |txn| lists::mark_set(txn.connection, &marks)).await
    }

    async fn event_append(&self, drafts: Vec<EventDraft>) -> Result<(), StoreError> {
        let append =
            |txn: &mut writer::WriteTxn<'_>| drafts.into_iter().try_for_each(|draft| events::append(txn, draft));
        self.writer.write("append events", append).await
    }

    async fn event_list_after(&self, after: EventSeq, limit: usize) -> Result<Vec<Event>, StoreError> {
        self.readers.read("list events", move |connection| events::list_after(connection, after, limit)).await
    }

    async fn decision_get(&self, decision_id: DecisionId) -> Result<Option<Decision>, StoreError> {
        self.readers.read("get a decision", move |connection| events::decision_get(connection, decision_id)).await
    }

    async fn agent_heard(&self, calls: Vec<(AgentId, Timestamp)>) -> Result<(), StoreError> {
        self.writer.write("note agents' calls", move |txn| events::agents_heard(txn.connection, &calls)).await
    }
}
