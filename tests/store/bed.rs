//! What a case starts from.

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chrono::TimeDelta;
use issuecommand::config::{Secret, StoreConfig};
use issuecommand::domain::{
    Actor, AgentId, Claim, ClaimStatus, Decision, DecisionRow, Event, EventSeq, Issue, IssueNumber, IssueRef,
    IssueSnapshot, IssueState, PolicyStamp, RepoName, RowSeen, Step, Timestamp, from_unix_ms,
};
use issuecommand::store::{
    AdvanceOutcome, Change, ClaimChange, ClaimWish, CommitObserver, Granted, InsertOutcome, IssueBatch, SqlStore,
    Store, Wanted, check, reopen,
};

use crate::postgres::Postgres;

/// How long a lease holds in these tests.
pub const LEASE: TimeDelta = TimeDelta::minutes(120);

/// A database that can be opened again after it was closed.
#[async_trait]
pub trait Engine: Send + Sync {
    /// Where it is.
    fn place(&self) -> StoreConfig;

    /// Opens it, keeping so many past claims and events.
    async fn open(&self, keep: Keep, observer: Arc<dyn CommitObserver>) -> Arc<dyn Store> {
        keep.open(self.place(), observer).await
    }
}

/// What `store check` finds in it.
pub async fn faults(engine: &dyn Engine) -> Vec<String> {
    let config = engine.place();
    tokio::task::spawn_blocking(move || check(&config)).await.unwrap().unwrap()
}

/// How much past to keep.
#[derive(Debug, Clone, Copy)]
pub struct Keep {
    pub past_claims: usize,
    pub events: usize,
    pub decisions: usize,
    pub follow_ups: usize,
    pub deliveries: usize,
}

impl Default for Keep {
    fn default() -> Self {
        Self { past_claims: 1000, events: 100_000, decisions: 5000, follow_ups: 2000, deliveries: 20_000 }
    }
}

/// SQLite in a directory of its own.
pub struct Sqlite(tempfile::TempDir);

impl Sqlite {
    pub fn fresh() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// Where its database is, or will be.
    pub fn file(&self) -> PathBuf {
        self.0.path().join("claims.db")
    }
}

#[async_trait]
impl Engine for Sqlite {
    fn place(&self) -> StoreConfig {
        StoreConfig { path: self.file(), ..StoreConfig::default() }
    }
}

/// A database of its own on this process's PostgreSQL.
pub struct OnPostgres {
    url: String,
    server: Arc<Postgres>,
}

impl OnPostgres {
    /// `None` where there is no PostgreSQL.
    pub fn fresh() -> Option<Self> {
        let server = Postgres::of_this_process()?;
        Some(Self { url: server.database(), server })
    }

    /// On a server of its own, which may be treated badly.
    pub fn on_its_own(server: Postgres) -> Self {
        Self { url: server.database(), server: Arc::new(server) }
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn server(&self) -> Arc<Postgres> {
        Arc::clone(&self.server)
    }
}

#[async_trait]
impl Engine for OnPostgres {
    fn place(&self) -> StoreConfig {
        StoreConfig { url: Secret::new(&*self.url), ..StoreConfig::default() }
    }
}

impl Keep {
    async fn open(self, place: StoreConfig, observer: Arc<dyn CommitObserver>) -> Arc<dyn Store> {
        let config = StoreConfig {
            history_max_entries: self.past_claims,
            event_max_entries: self.events,
            decision_max_entries: self.decisions,
            follow_up_max_entries: self.follow_ups,
            delivery_max_entries: self.deliveries,
            ..place
        };
        let opening = tokio::task::spawn_blocking(move || SqlStore::open(&config, observer));
        Arc::new(opening.await.unwrap().unwrap())
    }
}

/// Remembers every change.
#[derive(Debug, Default)]
pub struct Recorder(Mutex<Vec<Change>>);

impl CommitObserver for Recorder {
    fn committed(&self, changes: Vec<Change>) {
        self.0.lock().unwrap().extend(changes);
    }
}

impl Recorder {
    /// Every change so far; forgets them.
    pub fn take(&self) -> Vec<Change> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    /// The events among the changes so far.
    pub fn events(&self) -> Vec<Event> {
        let changes = self.0.lock().unwrap();
        let event = |change: &Change| match change {
            Change::Event(event) => Some((**event).clone()),
            _ => None,
        };
        changes.iter().filter_map(event).collect()
    }
}

/// An open store and what its observer saw.
pub struct Bed {
    engine: Arc<dyn Engine>,
    pub store: Arc<dyn Store>,
    pub seen: Arc<Recorder>,
}

impl fmt::Debug for Bed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bed").field("store", &self.store).finish_non_exhaustive()
    }
}

impl Bed {
    pub async fn open(engine: impl Engine + 'static) -> Self {
        Self::on(Arc::new(engine)).await
    }

    pub async fn on(engine: Arc<dyn Engine>) -> Self {
        let seen = Arc::new(Recorder::default());
        let store = engine.open(Keep::default(), seen.clone()).await;
        Self { engine, store, seen }
    }

    /// Closes the store and opens the same database again.
    pub async fn reopen(self, keep: Keep) -> Self {
        assert_eq!(Arc::strong_count(&self.store), 1, "somebody still holds the store");
        drop(self.store);
        let seen = Arc::new(Recorder::default());
        let store = self.engine.open(keep, seen.clone()).await;
        Self { engine: self.engine, store, seen }
    }

    /// Has the database be a copy from now on: it counts from where no other does.
    pub async fn copied(self) -> Self {
        assert_eq!(Arc::strong_count(&self.store), 1, "somebody still holds the store");
        drop(self.store);
        let place = self.engine.place();
        assert_eq!(tokio::task::spawn_blocking(move || reopen(&place)).await.unwrap().unwrap(), None);
        Self::on(self.engine).await
    }

    /// Writes open issues `numbers` of acme/small.
    pub async fn with_issues(self, numbers: impl IntoIterator<Item = u64>) -> Self {
        self.sync(numbers.into_iter().map(issue).collect()).await;
        self.seen.take();
        self
    }

    /// Writes issues as a sync does.
    pub async fn sync(&self, issues: Vec<Issue>) -> issuecommand::store::IssueApplied {
        let batch = IssueBatch { repo: repo(), issues, cursor: None, now: at(0) };
        self.store.issue_apply(batch).await.unwrap()
    }

    /// Asks for issue `number`.
    pub async fn claim(&self, who: &str, number: u64) -> InsertOutcome {
        self.store.claim_insert(exactly(who, number)).await.unwrap()
    }

    /// Gets issue `number`.
    pub async fn granted(&self, who: &str, number: u64) -> Claim {
        granted(self.claim(who, number).await).claim
    }

    /// Moves a claim without conditions.
    pub async fn step(&self, claim: &Claim, to: ClaimStatus, by: Actor, minute: u64) -> AdvanceOutcome {
        self.store.claim_advance(change(claim, Step::to(to, by), minute)).await.unwrap()
    }

    /// Moves a claim along a way that must be permitted.
    pub async fn walk(&self, claim: &Claim, way: &[ClaimStatus]) -> Claim {
        let mut last = claim.clone();
        for to in way {
            let step = Step { pr_url: Some("https://x/pull/1".into()), ..Step::to(*to, Actor::Owner) };
            last = moved(self.store.claim_advance(change(claim, step, 1)).await.unwrap());
        }
        last
    }

    /// Every event that is kept.
    pub async fn events(&self) -> Vec<Event> {
        self.store.event_list_after(EventSeq(0), 1_000_000).await.unwrap()
    }

    /// The words of every event that is kept.
    pub async fn event_kinds(&self) -> Vec<&'static str> {
        self.events().await.iter().map(|event| event.draft.kind.as_str()).collect()
    }
}

/// The way of finished work, from `claimed`.
pub const WHOLE_WAY: [ClaimStatus; 4] =
    [ClaimStatus::InProgress, ClaimStatus::PrSubmitted, ClaimStatus::PrMerged, ClaimStatus::Closed];

pub fn at(minute: u64) -> Timestamp {
    from_unix_ms(1_700_000_000_000 + minute * 60_000)
}

pub fn repo() -> RepoName {
    "acme/small".parse().unwrap()
}

pub fn agent(name: &str) -> AgentId {
    name.parse().unwrap()
}

pub fn issue_ref(number: u64) -> IssueRef {
    IssueRef::new(repo(), IssueNumber::new(number).unwrap())
}

/// An open issue of acme/small.
pub fn issue(number: u64) -> Issue {
    Issue {
        repo: repo(),
        number: IssueNumber::new(number).unwrap(),
        title: format!("Issue {number}"),
        body: format!("Body of {number}"),
        state: IssueState::Open,
        labels: vec!["bug".into()],
        assignees: Vec::new(),
        milestone: None,
        comments: Vec::new(),
        created_at: at(0),
        updated_at: at(0),
        url: format!("https://github.com/acme/small/issues/{number}"),
        author: "ann".into(),
        author_association: "MEMBER".into(),
        comment_count: 0,
        reaction_count: 0,
        open_blocker_count: None,
    }
}

/// The same issue, closed on GitHub.
pub fn closed(number: u64) -> Issue {
    Issue { state: IssueState::Closed, updated_at: at(5), ..issue(number) }
}

pub fn exactly(who: &str, number: u64) -> ClaimWish {
    wish(who, Wanted::Exactly(issue_ref(number)))
}

pub fn first_free(who: &str, numbers: impl IntoIterator<Item = u64>) -> ClaimWish {
    wish(who, Wanted::FirstFree(numbers.into_iter().map(issue_ref).collect()))
}

pub fn next_work(who: &str, numbers: impl IntoIterator<Item = u64>) -> ClaimWish {
    wish(who, Wanted::NextWork(numbers.into_iter().map(issue_ref).collect()))
}

fn wish(who: &str, wanted: Wanted) -> ClaimWish {
    ClaimWish { agent: agent(who), wanted, request_id: None, lease: LEASE, decision: None, now: at(0) }
}

/// The same wish under a client's name for it.
pub fn named(wish: ClaimWish, request_id: &str) -> ClaimWish {
    ClaimWish { request_id: Some(request_id.parse().unwrap()), ..wish }
}

/// A decision on some issues as they are now, the first the best.
pub fn decision_on(who: &str, issues: &[Issue]) -> Decision {
    let row = |(place, issue): (u32, &Issue)| {
        let facts = Arc::new(issue.facts(|text| text.into()));
        let seen = RowSeen {
            place,
            facts: facts.version(),
            scored_at: Some(at(0)),
            repo_claim_count: 1,
            repo_review_count: 0,
            reviewer_load: 2,
            snapshot: Some(IssueSnapshot { facts, body: String::new() }.into()),
        };
        DecisionRow { repo: repo(), number: issue.number, seen: Some(seen), ..decision(who).considered.remove(0) }
    };
    Decision { considered: (0..).zip(issues).map(row).collect(), ..decision(who) }
}

/// A decision about issue 1, of which nothing is known but its name.
pub fn decision(who: &str) -> Decision {
    let row = DecisionRow {
        repo: repo(),
        number: IssueNumber::new(1).unwrap(),
        score: 1.5,
        passed_over: None,
        reasons: Vec::new(),
        seen: None,
    };
    let ranker = PolicyStamp { source: "builtin:rules".into(), digest: "d".into(), settings_digest: "s".into() };
    Decision { considered: vec![row], ..Decision::begun(agent(who), at(0), ranker) }
}

pub fn change(claim: &Claim, step: Step, minute: u64) -> ClaimChange {
    let claim_id = claim.claim_id;
    ClaimChange { claim_id, owner: None, epoch: None, last_updated: None, step, lease: LEASE, now: at(minute) }
}

#[track_caller]
pub fn granted(outcome: InsertOutcome) -> Granted {
    match outcome {
        InsertOutcome::Granted(granted) => *granted,
        other => panic!("expected a grant, got {other:?}"),
    }
}

#[track_caller]
pub fn already(outcome: InsertOutcome) -> Granted {
    match outcome {
        InsertOutcome::Already(granted) => *granted,
        other => panic!("expected the same claim again, got {other:?}"),
    }
}

#[track_caller]
pub fn moved(outcome: AdvanceOutcome) -> Claim {
    match outcome {
        AdvanceOutcome::Moved(claim, _) => *claim,
        other => panic!("expected a step, got {other:?}"),
    }
}
