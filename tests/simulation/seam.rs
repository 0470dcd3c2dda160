//! The store as the claim manager has it here: every call of the port, made whole within one poll and with a turn for
//! others before and after it. So which call goes next is the seed's to say and no thread's.

use std::any::Any;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

use async_trait::async_trait;
use chrono::TimeDelta;
use issuecommand::domain::*;
use issuecommand::store::*;
use parking_lot::Mutex;

use crate::clock::{Moment, SeedClock};
use crate::gate::Gate;
use crate::planted::{Fault, tamper};
use crate::watch::Watch;

/// Calls that only read.
const READS: [&str; 6] = ["claim_get", "claim_list", "claim_signal_list", "issue_get", "pull_get", "agent_last_calls"];

/// The seam between the claim manager and its store.
#[derive(Debug)]
pub struct Seam {
    inner: SqlStore,
    clock: Arc<SeedClock>,
    /// Whether somebody gave way since this was last asked.
    gave_way: AtomicBool,
    /// When the call under way was made, for the observer, which runs on the writer's thread.
    pub moment: Arc<Mutex<Moment>>,
    /// When the server last failed to say that it is there, by the steady clock, in milliseconds; 0 for never.
    beat_failed_ms: AtomicU64,
    fault: Option<Fault>,
    gate: Arc<Gate>,
    /// How often writes were gathered.
    gathered: AtomicU64,
    /// The step that was last asked for.
    last_change: Mutex<Option<ClaimChange>>,
}

impl Seam {
    pub fn new(inner: SqlStore, clock: Arc<SeedClock>, watch: &Watch, fault: Option<Fault>) -> Self {
        let (gave_way, beat_failed_ms, gathered, last_change) = Default::default();
        let (moment, gate) = (Arc::clone(&watch.moment), Arc::clone(&watch.gate));
        Self { inner, clock, gave_way, moment, beat_failed_ms, fault, gate, gathered, last_change }
    }

    /// Whether somebody gave way since this was last asked.
    pub fn take_gave_way(&self) -> bool {
        self.gave_way.swap(false, Ordering::Relaxed)
    }

    /// When the server last failed to say that it is there.
    pub fn beat_failed_ms(&self) -> Option<u64> {
        Some(self.beat_failed_ms.load(Ordering::Relaxed)).filter(|at| *at > 0)
    }

    async fn through<T: 'static>(
        &self,
        call: &'static str,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.turn().await;
        *self.moment.lock() = self.clock.moment();
        let answer = self.told(self.done(call, work).await);
        if answer.is_err() && call == "server_beat" {
            self.beat_failed_ms.store(self.clock.moment().steady_ms, Ordering::Relaxed);
        }
        // Who is dropped here vanishes after the deed and before its answer.
        self.turn().await;
        answer
    }

    /// An argument on its way in; a planted fault may change it.
    fn tampered<T: Any>(&self, argument: T) -> T {
        if let Some(change) = (&argument as &dyn Any).downcast_ref::<ClaimChange>() {
            *self.last_change.lock() = Some(change.clone());
        }
        tamper(self.fault, argument)
    }

    /// An answer on its way out. A planted fault says of steps that failed that they were done.
    fn told<T: 'static>(&self, answer: Result<T, StoreError>) -> Result<T, StoreError> {
        if answer.is_ok() || self.fault != Some(Fault::FailureToldAsDone) {
            return answer;
        }
        let moved = self.last_change.lock().take().and_then(|change| {
            let mut claim = finished(self.inner.claim_get(change.claim_id)).ok()??;
            let advance = claim.advance(change.step, change.lease, change.now).ok()?;
            Some(AdvanceOutcome::Moved(Box::new(claim), advance))
        });
        let moved: Option<Box<dyn Any>> = moved.map(|moved| Box::new(moved) as _);
        moved.and_then(|moved| moved.downcast::<T>().ok()).map_or(answer, |moved| Ok(*moved))
    }

    /// Does the work of a call: at once, or with all that is gathered.
    async fn done<T>(&self, call: &'static str, work: impl Future<Output = T>) -> T {
        // The writer stands still while writes are gathered, and what reads need not wait for it.
        if !self.is_gathering() || READS.contains(&call) {
            return finished(work);
        }
        let mut work = pin!(tokio::task::coop::unconstrained(work));
        let queued = work.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        if let Poll::Ready(answer) = queued {
            return answer;
        }
        poll_fn(|_| if self.is_gathering() { Poll::Pending } else { Poll::Ready(()) }).await;
        finished(work)
    }

    /// From here on writes are queued, and none is done until [`Seam::let_go`]: the writer commits them together, as it
    /// does when a crowd is faster than the disk.
    pub fn gather(&self) {
        let count = self.gathered.fetch_add(1, Ordering::Relaxed);
        self.gate.close();
        // A write of ours goes first, and holds the writer up where it tells the observer.
        let news = format!("{} {count}", self.clock.moment().steady_ms);
        let other = Repo { description: Some(news), ..Repo::named("other/out".parse().expect("a name")) };
        let mut first = pin!(tokio::task::coop::unconstrained(self.inner.repo_apply(vec![other])));
        let queued = first.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        assert!(queued.is_pending(), "the writer is another thread, and waits at the gate");
        self.gate.wait_until_reached();
    }

    /// Whether writes are gathered just now.
    pub fn is_gathering(&self) -> bool {
        self.gate.is_closed()
    }

    /// Lets the writer go on, and waits until it has done all that was gathered.
    pub fn let_go(&self) {
        self.gate.open();
        let barrier = finished(self.inner.agent_heard(Vec::new()));
        // Whether the disk took it or not: it was the last of the queue.
        drop(barrier);
    }

    /// Gives way once.
    async fn turn(&self) {
        let mut has_waited = false;
        poll_fn(|cx| {
            if has_waited {
                return Poll::Ready(());
            }
            has_waited = true;
            self.gave_way.store(true, Ordering::Relaxed);
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}

/// Waits for `work` on this thread: another thread does it, and the simulation stands still meanwhile.
pub fn finished<T>(work: impl Future<Output = T>) -> T {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    // Without a budget: this poll waits for as many answers as there are.
    let mut work = pin!(tokio::task::coop::unconstrained(work));
    loop {
        match work.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(answer) => return answer,
            Poll::Pending => thread::park(),
        }
    }
}

/// Every call of a trait of the port, handed on through the seam.
macro_rules! handed_on {
    ($port:ident { $($call:ident($($arg:ident: $what:ty),*) -> $answer:ty;)* }) => {
        #[async_trait]
        impl $port for Seam {
            $(async fn $call(&self, $($arg: $what),*) -> Result<$answer, StoreError> {
                $(let $arg = self.tampered($arg);)*
                self.through(stringify!($call), self.inner.$call($($arg),*)).await
            })*
        }
    };
}

handed_on! { Store {
    snapshot_load() -> Snapshot;
    claim_insert(wish: ClaimWish) -> InsertOutcome;
    claim_advance(change: ClaimChange) -> AdvanceOutcome;
    claim_follow(wish: ClaimFollow) -> Option<Claim>;
    claim_list(filter: ClaimFilter) -> Vec<Claim>;
    claim_get(claim_id: ClaimId) -> Option<Claim>;
    claim_past_by_short_id(agent: AgentId, short: String) -> Option<ClaimId>;
    follow_up_insert(item: FollowUp) -> FollowUpInserted;
    follow_up_take(wish: FollowUpTake) -> FollowUpTaken;
    follow_up_advance(change: FollowUpChange) -> FollowUpMoved;
    follow_up_settle(settlement: Settlement) -> usize;
    follow_up_link(link: FollowUpLink) -> usize;
    follow_up_import(wish: FollowUpImport) -> Vec<FollowUpImportOutcome>;
    follow_up_list(filter: FollowUpFilter) -> Vec<FollowUp>;
    follow_up_history(limit: usize) -> Vec<FollowUp>;
    follow_up_list_of_pull(pull: IssueRef, limit: usize) -> Vec<FollowUp>;
    follow_up_get(work_item_id: WorkItemId) -> Option<FollowUp>;
    pull_apply(pull: PullRequest) -> bool;
    pull_get(pull: IssueRef) -> Option<PullRequest>;
    delivery_seen(delivery_id: String) -> bool;
    delivery_record(delivery_id: String) -> ();
    claim_history(filter: ClaimHistoryFilter, after: Option<ClaimHistoryPlace>, limit: usize) -> PastClaims;
    claim_overrule(wish: ClaimOverrule) -> OverruleOutcome;
    claim_import(wish: ClaimImport) -> Vec<ImportOutcome>;
    token_insert(kept: KeptToken, now: Timestamp) -> TokenInsertOutcome;
    token_revoke(token_id: TokenId, now: Timestamp) -> TokenRevokeOutcome;
    token_list() -> Vec<KeptToken>;
    repo_apply(repos: Vec<Repo>) -> ();
    repo_remove(repo: RepoName) -> ();
    issue_apply(batch: IssueBatch) -> IssueApplied;
    issue_deliver(issue: Issue, now: Timestamp) -> bool;
    issue_remove(issue: IssueRef) -> ();
    issue_list(filter: IssueFilter) -> Vec<Issue>;
    issue_get(issue: IssueRef) -> Option<Issue>;
    issue_number_list(repo: RepoName) -> Vec<IssueNumber>;
    dependency_due_list(limit: usize) -> Vec<DependencyDue>;
    dependency_set(reading: DependencyReading) -> ();
    dependency_change(change: DependencyChange) -> ();
    approval_set(wish: ApprovalWish) -> ApprovalOutcome;
    approval_withdraw(issue: IssueRef, by: String, now: Timestamp) -> bool;
    label_due_list(labelled: Vec<IssueRef>) -> Vec<LabelDue>;
    label_read(read: LabelDue) -> ();
    cursor_list() -> Vec<(RepoName, SyncCursor)>;
    list_cursor_get(list: ListName) -> SyncCursor;
    list_cursor_set(reached: Vec<(ListName, SyncCursor)>) -> ();
    repo_mark_list() -> Vec<(RepoName, RepoMark)>;
    repo_mark_set(marks: Vec<(RepoName, RepoMark)>) -> ();
    event_append(drafts: Vec<EventDraft>) -> ();
    event_list_after(after: EventSeq, limit: usize) -> Vec<Event>;
    decision_insert(decision: Decision) -> ();
    decision_get(decision_id: DecisionId) -> Option<Decision>;
    decision_list(filter: DecisionFilter, limit: usize) -> Vec<Decision>;
    policy_set_insert(record: PolicySetRecord, why: String, now: Timestamp) -> u64;
    policy_set_list() -> Vec<PolicySetKept>;
    policy_audit(audit: PolicyAudit) -> ();
    policy_component_keep(digest: String, bytes: Vec<u8>) -> ();
    policy_component_piece_count(digest: String) -> Option<u32>;
    policy_component_piece(digest: String, piece: u32) -> Option<Vec<u8>>;
    trial_add(batch: TrialBatch) -> ();
    trial_get(candidate: String, limit: usize) -> Trial;
    agent_last_calls() -> Vec<(AgentId, Timestamp)>;
    agent_heard(calls: Vec<(AgentId, Timestamp)>) -> ();
} }

handed_on! { PlaceStore {
    issue_list_of(issues: Vec<IssueRef>) -> Vec<Issue>;
    issue_place_set(places: Vec<IssuePlace>) -> ();
    place_source_list() -> Vec<PlaceSource>;
    place_source_get(repo: RepoName) -> Option<PlaceSource>;
    place_source_set(source: PlaceSource, pulls: Vec<PastPull>) -> ();
    past_work(repo: RepoName) -> PastWorkList;
} }

handed_on! { RunStore {
    run_insert(run: Run, keep_max: usize) -> RunInserted;
    run_save(run: Run, now: Timestamp) -> RunSaved;
    run_get(run_id: RunId) -> Option<Run>;
    run_by_short_id(short: String) -> Option<RunId>;
    run_list(filter: RunFilter, limit: usize) -> Vec<Run>;
    run_list_of_issue(issue: IssueRef, limit: usize) -> Vec<Run>;
    run_latest(issue: IssueRef) -> Option<Run>;
    run_of_pull(pr_url: String) -> Option<Run>;
    run_usage_on(at: Timestamp, repo: Option<RepoName>) -> RunUsage;
    dispatch_paused() -> Option<String>;
    dispatch_pause(why: Option<String>, by: String, now: Timestamp) -> ();
    claim_reissue(claim_id: ClaimId, owner: AgentId, why: String, lease: TimeDelta, now: Timestamp) -> Option<Claim>;
} }

handed_on! { RunLogStore {
    run_log_append(lines: Vec<(RunId, LogLine)>, bytes_max: u64) -> ();
    run_log_after(run_id: RunId, seq: u64, limit: usize) -> Vec<LogLine>;
    run_log_tail(run_id: RunId, limit: usize) -> Vec<LogLine>;
} }

handed_on! { RunWordStore {
    run_word_insert(run: Run, word: RunWord, now: Timestamp) -> ();
    run_word_list() -> Vec<RunTold>;
    run_word_remove(word_id: i64) -> ();
} }

handed_on! { SignalStore {
    claim_signal_note(claim_id: ClaimId, news: SignalNews) -> ();
    claim_signal_list() -> Vec<(ClaimId, KeptSignals)>;
    notice_told(told: Vec<NoticeId>) -> ();
} }

#[async_trait]
impl RoleStore for Seam {
    fn server_name(&self) -> &str {
        self.inner.server_name()
    }

    async fn server_beat(&self, beat: ServerBeat) -> Result<BeatAnswer, StoreError> {
        self.through("server_beat", self.inner.server_beat(beat)).await
    }

    async fn server_leave(&self) -> Result<(), StoreError> {
        self.through("server_leave", self.inner.server_leave()).await
    }

    async fn server_list(&self, within: TimeDelta) -> Result<Vec<ServerSeen>, StoreError> {
        self.through("server_list", self.inner.server_list(within)).await
    }
}
