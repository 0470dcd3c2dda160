//! Opening the claim manager, and the work it does on its own: scoring, sweeping, syncing.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, warn};

use super::desk::{ANNOUNCEMENT_COUNT_MAX, Desk, TakenInForce};
use super::health::Status;
use super::index::Index;
use super::presence::Presence;
use super::trial::{Case, Trials};
use super::trust::Trust;
use super::wellness::Wellness;
use super::{ClaimManager, Groups, Reload};
use crate::config::{Config, LiveConfig, Replaced};
use crate::domain::{Clock, EventDraft, RepoName};
use crate::github::IssueSource;
use crate::metrics::{SyncOutcome, metrics};
use crate::policy::{PolicyHost, PolicyRejected};
use crate::store::{Role, Store, StoreError};
use crate::sync::{PullWatch, Sync, SyncError, SyncReport};

/// How often calls of owners are written down: what a crash can forget of them.
const CALLS_WRITTEN_EVERY: Duration = Duration::from_secs(10);
/// How often a server that does not sync reads what was said on pull requests before their claims named them.
const EARLIER_FEEDBACK_EVERY: Duration = Duration::from_secs(60);
/// Longest sleep of the scorer, so that a clock that was set is noticed.
const SCORER_SLEEP_MAX: Duration = Duration::from_secs(30);

/// What a claim manager is made of.
#[derive(Debug)]
pub struct Parts {
    /// The authority.
    pub store: Arc<dyn Store>,
    /// Where issues come from.
    pub source: Arc<dyn IssueSource>,
    /// The index that the store reports to.
    pub index: Arc<Index>,
    /// What runs policies.
    pub host: PolicyHost,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// The settings, as they change.
    pub config: LiveConfig,
    /// The folder that relative policy sources start from.
    pub base_dir: PathBuf,
}

/// Why a claim manager could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A policy was refused that nothing can stand in for.
    #[error(transparent)]
    Policy(#[from] PolicyRejected),
}

impl ClaimManager {
    /// Fills the index from the store, puts the policies in force, and is ready for requests.
    ///
    /// # Errors
    /// When the store fails, or the repository filter cannot be loaded.
    pub async fn open(parts: Parts) -> Result<(Arc<Self>, Background), OpenError> {
        let Parts { store, source, index, host, clock, config, base_dir } = parts;
        let mut snapshot = store.snapshot_load().await?;
        let tokens = store.token_list().await?;
        let presence = Presence::load(std::mem::take(&mut snapshot.last_calls));
        let (sender, announcements) = mpsc::channel(ANNOUNCEMENT_COUNT_MAX);
        let (taken, sets) = mpsc::channel(ANNOUNCEMENT_COUNT_MAX);
        let (policies, groups) =
            (config.current().effective_policies(), Groups::new(&config.current().effective_agent_groups()));
        let trust = Arc::new(Trust::new(&config.current().trust));
        let (filled, desk_clock, dir) = (Arc::clone(&index), Arc::clone(&clock), base_dir.clone());
        let desk = tokio::task::spawn_blocking(move || {
            filled.fill(snapshot, tokens);
            filled.board.write().set_trust(trust);
            Desk::open(host, &policies, &dir, filled, desk_clock, sender, taken)
        });
        let desk = Arc::new(desk.await.expect("opening policies does not panic")?);
        let pulls = PullWatch::new(Arc::clone(&source), Arc::clone(&store));
        let sync = Sync::new(Arc::clone(&source), Arc::clone(&store), Arc::clone(&clock));
        let (status, wellness) = (Status::new(clock.now()), Wellness::from_start(&*clock));
        let (trials, cases) = Trials::new();
        let offered = Default::default();
        let (nothings, absent, links, taking_in_pull, swept, roles, sync_wished) = Default::default();
        let manager = Arc::new(Self {
            store,
            source,
            index,
            desk,
            clock,
            config,
            groups: ArcSwap::from_pointee(groups),
            presence,
            wellness,
            signs_read_to: Mutex::default(),
            status,
            offered,
            nothings,
            absent,
            links,
            taking_in_pull,
            swept,
            trials,
            roles,
            sync_wished,
        });
        let background = Background { manager: Arc::clone(&manager), sync, pulls, announcements, sets, cases };
        Ok((manager, background))
    }

    /// Whether the filter admits a repository; asks it first if it has not seen it yet.
    fn is_admitted(&self, repo: &RepoName) -> bool {
        blocking(|| self.desk.judge_pending());
        self.index.board.read().exclusion(repo).is_none()
    }
}

/// The work a claim manager does on its own.
#[derive(Debug)]
pub struct Background {
    manager: Arc<ClaimManager>,
    sync: Sync,
    pulls: PullWatch,
    announcements: mpsc::Receiver<EventDraft>,
    sets: mpsc::Receiver<TakenInForce>,
    cases: mpsc::Receiver<Case>,
}

impl Background {
    /// Starts everything; it ends with `shutdown`.
    pub fn start(self, tracker: &TaskTracker, shutdown: &CancellationToken) {
        let Self { manager, sync, pulls, announcements, sets, cases } = self;
        manager.status.begins_to_sync();
        let spawn = |name: &'static str, work: std::pin::Pin<Box<dyn Future<Output = ()> + Send>>| {
            let shutdown = shutdown.clone();
            tracker.spawn(async move {
                if shutdown.run_until_cancelled(work).await.is_some() {
                    error!("{name} ended early");
                }
            });
        };
        spawn("keeping roles", Box::pin(super::roles::beat_continually(Arc::clone(&manager))));
        spawn("scoring", Box::pin(score_continually(Arc::clone(&manager))));
        spawn("sweeping", Box::pin(sweep_continually(Arc::clone(&manager))));
        spawn("noting calls", Box::pin(write_calls_continually(Arc::clone(&manager))));
        spawn("announcing", Box::pin(announce_continually(Arc::clone(&manager), announcements)));
        spawn("keeping policies", Box::pin(Arc::clone(&manager).keep_sets_continually(sets)));
        spawn("trying a candidate", Box::pin(Arc::clone(&manager).try_continually(cases)));
        spawn("linking feedback", Box::pin(link_continually(Arc::clone(&manager))));
        spawn("placing issues", Box::pin(super::places::place_continually(Arc::clone(&manager))));
        spawn("syncing", Box::pin(sync_continually(manager, sync, pulls)));
    }
}

async fn score_continually(manager: Arc<ClaimManager>) {
    loop {
        let desk = Arc::clone(&manager.desk);
        if manager.index.board.read().has_work(manager.clock.now())
            && let Err(panic) = tokio::task::spawn_blocking(move || desk.work_off()).await
        {
            error!("scoring failed: {panic}");
        }
        let (expiry, now) = (manager.index.board.read().next_expiry(), manager.clock.now());
        let until =
            expiry.and_then(|at| (at - now).to_std().ok()).map_or(SCORER_SLEEP_MAX, |wait| wait.min(SCORER_SLEEP_MAX));
        let _ = tokio::time::timeout(until, manager.index.work.notified()).await;
    }
}

async fn sweep_continually(manager: Arc<ClaimManager>) {
    manager.until_roles_are_told().await;
    let mut due = tokio::time::Instant::now();
    loop {
        tokio::time::sleep_until(due).await;
        if manager.has_role(Role::Sweep) {
            manager.sweep_that_was_due(due.elapsed()).await;
        } else {
            manager.wellness.feel_pulse(due.elapsed(), &*manager.clock);
        }
        let pause = Duration::from_secs(manager.config.current().leases.sweep_seconds.max(1));
        due = tokio::time::Instant::now() + pause;
    }
}

async fn write_calls_continually(manager: Arc<ClaimManager>) {
    loop {
        let due = tokio::time::Instant::now() + CALLS_WRITTEN_EVERY;
        tokio::time::sleep_until(due).await;
        manager.wellness.feel_pulse(due.elapsed(), &*manager.clock);
        if let Err(error) = manager.write_down_calls().await {
            warn!("the latest calls of owners are not written down yet: {}", chain(&error));
        }
        // Owners call whichever server they like.
        if let Ok(calls) = manager.store.agent_last_calls().await {
            manager.presence.learn(calls);
        }
    }
}

async fn announce_continually(manager: Arc<ClaimManager>, mut announcements: mpsc::Receiver<EventDraft>) {
    while let Some(draft) = announcements.recv().await {
        if let Err(error) = manager.store.event_append(vec![draft]).await {
            warn!("an event could not be written: {}", chain(&error));
        }
    }
    std::future::pending::<()>().await;
}

async fn link_continually(manager: Arc<ClaimManager>) {
    loop {
        if let Err(error) = manager.link_follow_ups().await {
            warn!(
                "feedback that came before its claim was not linked to it, it will be at the next sync: {}",
                chain(&error)
            );
        }
        manager.links.fresh.notified().await;
    }
}

async fn sync_continually(manager: Arc<ClaimManager>, sync: Sync, pulls: PullWatch) {
    let mut config = manager.config.clone();
    loop {
        manager.until_roles_are_told().await;
        if !manager.has_role(Role::Sync) {
            // What the server that does it reads comes here by the store.
            manager.status.came_round();
            tokio::select! {
                () = manager.until_role(Role::Sync) => {}
                () = manager.sync_wished.notified() => {}
                () = tokio::time::sleep(EARLIER_FEEDBACK_EVERY) => {
                    // Of the claims that were updated here no other server knows it.
                    if let Err(error) = manager.read_earlier_feedback(&[]).await {
                        warn!("what was said before on pull requests is not read yet: {}", chain(&error));
                    }
                    continue;
                }
            }
        }
        // What this sync reads by; an edit while it runs calls for another.
        let read_by = config.current();
        sync.note_swept(std::mem::take(&mut *manager.swept.lock()));
        let report = sync.run_once(&read_by.sync, |repo| manager.is_admitted(repo)).await;
        manager.note_sync(&report);
        if report.paused_until.is_none() {
            let read = sync.read_dependencies(|repo| manager.is_admitted(repo)).await;
            manager.note_beside("dependencies", read);
            manager.note_beside("approvals", manager.read_labels(&sync).await);
        }
        if report.paused_until.is_none()
            && let Err(error) = manager.read_pulls(&pulls).await
        {
            error!("what pull requests say was not taken in: {}", chain(&error));
        }
        let interval = Duration::from_secs(config.current().sync.interval_minutes.max(1) * 60);
        let pause = report.paused_until.and_then(|until| (until - manager.clock.now()).to_std().ok());
        let wait = pause.map_or(interval, |pause| pause.min(interval));
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = manager.sync_wished.notified() => {}
            () = sync_wanted(&mut config, &read_by) => {}
        }
    }
}

impl ClaimManager {
    /// The periodic sweep, which comes `late` by so much. Trouble is logged, and told on the health page.
    pub async fn sweep_that_was_due(&self, late: Duration) {
        // Whoever wakes first after the process was held up finds it out, before anything is taken back.
        self.wellness.feel_pulse(late, &*self.clock);
        let trouble = self.sweep().await.err().map(|error| chain(&error));
        if let Some(trouble) = &trouble {
            self.note_unwell("the store failed");
            error!("sweep failed, no lease was checked: {trouble}");
        }
        self.status.report("sweep", trouble.or_else(|| self.why_nothing_is_reclaimed()));
    }

    /// Puts an edited configuration in force: its policies first, and nothing of it unless they are
    /// accepted. Relative policy sources start from `base_dir`.
    ///
    /// # Errors
    /// [`PolicyRejected`]; everything in force stays.
    pub async fn apply_config(&self, config: Config, base_dir: &Path) -> Result<(Reload, Replaced), PolicyRejected> {
        let reload = self.desk.reload(config.effective_policies(), base_dir).await?;
        self.groups.store(Arc::new(Groups::new(&config.effective_agent_groups())));
        if config.trust != self.config.current().trust {
            self.index.board.write().set_trust(Arc::new(Trust::new(&config.trust)));
            self.index.work.notify_one();
        }
        Ok((reload, self.config.replace(config)))
    }

    /// Writes down what is only noted, before the store closes.
    pub async fn rest(&self) {
        self.leave().await;
        if let Err(error) = self.write_down_calls().await {
            warn!("the latest calls of owners were not written down: {}", chain(&error));
        }
    }

    /// Notes that an edit of the configuration was refused as a whole.
    pub fn note_rejected_config(&self, why: String) {
        self.desk.note_rejected(why);
    }

    /// Tells what of a reading beside the sync failed, in the log and on the health page.
    fn note_beside(&self, what: &'static str, read: Result<(), SyncError>) {
        let trouble = read.err().map(|error| chain(&error));
        if let Some(trouble) = &trouble {
            warn!("{what} of issues were not all read, the next sync goes on: {trouble}");
        }
        self.status.report(what, trouble);
    }

    /// Keeps for the health page what the sync has logged already.
    fn note_sync(&self, report: &SyncReport) {
        let general = report.general_failure.iter().map(|error| chain(error));
        let single = report.failures.iter().map(|(repo, error)| format!("{repo}: {}", chain(error)));
        self.status.report("github", general.chain(single).next());
        metrics().synced(match report.general_failure {
            Some(_) => SyncOutcome::Failed,
            None if report.went_through() => SyncOutcome::Whole,
            None => SyncOutcome::InPart,
        });
        if report.went_through() {
            self.status.synced(self.clock.now());
        } else if report.came_round() {
            self.status.came_round();
        }
    }
}

/// Waits until the configuration asks for another sync than `read_by` did.
async fn sync_wanted(config: &mut LiveConfig, read_by: &Config) {
    loop {
        let present = config.current();
        let filters = |config: &Config| (config.policies.repo_filter.clone(), config.policies.allowed_repos.clone());
        if present.github != read_by.github || filters(&present) != filters(read_by) {
            return;
        }
        config.changed().await;
    }
}

/// Does what may wait for a lock, or for policies, without keeping other work from this thread.
pub(super) fn blocking<T>(work: impl FnOnce() -> T) -> T {
    match tokio::runtime::Handle::current().runtime_flavor() {
        tokio::runtime::RuntimeFlavor::MultiThread => tokio::task::block_in_place(work),
        _ => work(),
    }
}

/// An error with its causes, in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
