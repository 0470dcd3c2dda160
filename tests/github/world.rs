//! A source, a real store and a sync between them.

use std::sync::Arc;

use chrono::TimeDelta;
use issuecommand::config::{StoreConfig, SyncConfig};
use issuecommand::domain::{Blocker, Claim, EventSeq, Issue, IssueRef, IssueState, ManualClock, RepoName};
use issuecommand::github::IssueSource;
use issuecommand::store::{
    Change, ClaimFilter, ClaimWish, CommitObserver, InsertOutcome, IssueBatch, SqlStore, Store, SyncCursor, Wanted,
};
use issuecommand::sync::{Sync, SyncError, SyncReport};
use serde_json::Value;
use tempfile::TempDir;

use crate::hand_made::{at, issue};

/// The minute at which everything in these tests happens.
pub const NOW_MINUTE: u32 = 600;

#[derive(Debug)]
struct NobodyWatches;

impl CommitObserver for NobodyWatches {
    fn committed(&self, _: Vec<Change>) {}
}

pub struct World {
    pub store: Arc<dyn Store>,
    pub clock: Arc<ManualClock>,
    sync: Arc<Sync>,
    _folder: TempDir,
}

impl World {
    pub fn new(source: Arc<dyn IssueSource>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = StoreConfig { path: folder.path().join("test.db"), ..StoreConfig::default() };
        let store: Arc<dyn Store> = Arc::new(SqlStore::open(&config, Arc::new(NobodyWatches)).unwrap());
        let clock = Arc::new(ManualClock::at(at(NOW_MINUTE)));
        let sync = Arc::new(Sync::new(source, Arc::clone(&store), Arc::clone(&clock) as _));
        Self { store, clock, sync, _folder: folder }
    }

    /// Syncs every repository, on a thread of its own choice as the server does.
    pub async fn sync(&self) -> SyncReport {
        let sync = Arc::clone(&self.sync);
        tokio::spawn(async move { sync.run_once(&SyncConfig::default(), |_| true).await }).await.unwrap()
    }

    /// Reads the dependencies of issues that GitHub says are blocked.
    pub async fn read_dependencies(&self) -> Result<(), SyncError> {
        self.sync.read_dependencies(|repo| repo.owner() == "acme").await
    }

    /// Asks who put `agent-ok` on some issues.
    pub async fn read_labels(&self, labelled: Vec<IssueRef>) -> Result<(), SyncError> {
        self.sync.read_labels(labelled, |label| label == "agent-ok").await
    }

    /// Who approved issues, and whether it is as they read now.
    pub async fn approvals(&self) -> Vec<(String, bool)> {
        let kept = self.store.snapshot_load().await.unwrap().approvals;
        kept.into_iter().map(|(_, kept)| (kept.record.by, kept.covers_present)).collect()
    }

    /// Notes a change of a known issue that leaves its text alone.
    pub async fn changed(&self, text: &str, minute: u32) {
        let known = self.store.issue_get(issue(text)).await.unwrap().unwrap();
        let changed = Issue { updated_at: at(minute), ..known };
        let batch = IssueBatch { repo: changed.repo.clone(), issues: vec![changed], cursor: None, now: at(minute) };
        self.store.issue_apply(batch).await.unwrap();
    }

    /// What is to be closed first, by issue.
    pub async fn blockers(&self) -> Vec<(String, Vec<(String, bool)>)> {
        let kept = self.store.snapshot_load().await.unwrap().blockers;
        let told = |blocker: Blocker| (blocker.issue.to_string(), blocker.stated_open);
        kept.into_iter().map(|(issue, all)| (issue.to_string(), all.into_iter().map(told).collect())).collect()
    }

    /// Lets hours pass, and syncs.
    pub async fn sync_after(&self, hours: i64) -> SyncReport {
        self.clock.advance(TimeDelta::hours(hours));
        self.sync().await
    }

    pub async fn sync_at(&self, pace: &SyncConfig) -> SyncReport {
        self.sync.run_once(pace, |_| true).await
    }

    pub async fn sync_admitted(&self, admitted: impl Fn(&RepoName) -> bool + Send + std::marker::Sync) -> SyncReport {
        self.sync.run_once(&SyncConfig::default(), admitted).await
    }

    /// What an earlier sync left: an open issue.
    pub async fn knows(&self, text: &str) {
        let (issue, blank) = (issue(text), String::new);
        let known = Issue {
            title: "Known".into(),
            body: blank(),
            state: IssueState::Open,
            labels: Vec::new(),
            assignees: Vec::new(),
            milestone: None,
            comments: Vec::new(),
            created_at: at(0),
            updated_at: at(0),
            url: blank(),
            author: blank(),
            author_association: blank(),
            comment_count: 0,
            reaction_count: 0,
            open_blocker_count: None,
            repo: issue.repo.clone(),
            number: issue.number,
        };
        let batch = IssueBatch { repo: issue.repo, issues: vec![known], cursor: None, now: at(1) };
        self.store.issue_apply(batch).await.unwrap();
    }

    /// Claims a known issue.
    pub async fn claim(&self, text: &str) -> Claim {
        let wish = ClaimWish {
            agent: "agent-1".parse().unwrap(),
            wanted: Wanted::Exactly(issue(text)),
            request_id: None,
            lease: TimeDelta::minutes(120),
            decision: None,
            now: at(2),
        };
        match self.store.claim_insert(wish).await.unwrap() {
            InsertOutcome::Granted(granted) => granted.claim,
            other => panic!("{other:?}"),
        }
    }

    /// The issues under an active claim.
    pub async fn claimed(&self) -> Vec<IssueRef> {
        let claims = self.store.claim_list(ClaimFilter::default()).await.unwrap();
        claims.iter().map(Claim::issue_ref).collect()
    }

    /// The numbers of known open issues of a repository.
    pub async fn open(&self, repo: &str) -> Vec<u64> {
        let repo: RepoName = repo.parse().unwrap();
        let facts = self.store.snapshot_load().await.unwrap().issues;
        let mut open: Vec<_> =
            facts.into_iter().filter(|facts| facts.issue.repo == repo).map(|facts| facts.issue.number.get()).collect();
        open.sort_unstable();
        open
    }

    pub async fn cursor(&self, repo: &str) -> Option<SyncCursor> {
        let cursors = self.store.cursor_list().await.unwrap();
        cursors.into_iter().find(|(name, _)| name.as_str() == repo).map(|(_, cursor)| cursor)
    }

    /// The details of the newest event, which must be a sync's.
    pub async fn last_sync_event(&self) -> Value {
        let events = self.store.event_list_after(EventSeq(0), 1_000).await.unwrap();
        let last = events.into_iter().next_back().unwrap();
        assert_eq!(last.draft.kind.as_str(), "sync.reconciled");
        last.draft.details
    }
}
