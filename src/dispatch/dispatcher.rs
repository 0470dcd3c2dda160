//! The dispatcher: what it stands on, which runs are under way, and its rounds.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::error;

use super::agent::{self, AgentError, AgentRuntime};
use super::attempt::{Attempt, Left, chain};
use super::container::{self, ContainerRuntime};
use super::git::Mirror;
use super::live::{Live, StopReason};
use super::logs::LogBook;
use super::queue::{self, Ranks};
use super::recovery::Leftovers;
use crate::claims::{ClaimManager, Offer};
use crate::config::{AgentConfig, Config, ContainersConfig, LiveConfig, Secret};
use crate::domain::{Clock, IssueRef, RepoName, Run, RunDriver, RunId, RunStatus, Timestamp};
use crate::github::Forge;
use crate::store::{Role, RunFilter, RunSaved, Store, StoreError};

/// Runs begun in one round: a bound on what a round does before it looks again.
const BEGIN_COUNT_MAX: usize = 64;
/// How long a run is left alone whose state could not be written.
const STORE_PAUSE: Duration = Duration::from_secs(2);

/// What a dispatcher is made of.
#[derive(Debug, Clone)]
pub struct DispatcherParts {
    /// Claims.
    pub manager: Arc<ClaimManager>,
    /// Where runs are kept.
    pub store: Arc<dyn Store>,
    /// GitHub; `None` where issues come from a file.
    pub forge: Option<Arc<dyn Forge>>,
    /// The settings, as they change.
    pub config: LiveConfig,
    /// The clock.
    pub clock: Arc<dyn Clock>,
    /// A folder of its own, beside the database: mirrors, and the key of its agents' doors.
    pub folder: PathBuf,
    /// The folder that relative paths of the configuration start from.
    pub base_dir: PathBuf,
    /// The only issue that it may work on; `None` for all.
    pub only: Option<IssueRef>,
    /// The configuration file, which a changed setting is written to.
    pub config_file: Option<PathBuf>,
}

/// Works on issues, for one server.
#[derive(Debug)]
pub struct Dispatcher {
    parts: DispatcherParts,
    /// The name by which it knows its containers again.
    server: String,
    key: Secret,
    logs: LogBook,
    /// What runs agents, by the settings that it was made by.
    containers: Mutex<Option<(ContainersConfig, Arc<dyn ContainerRuntime>)>>,
    live: Mutex<HashMap<RunId, Arc<Live>>>,
    /// Held by who gives a slot away, so that none is given twice.
    pub(super) slots: tokio::sync::Mutex<()>,
    wake: Notify,
    tracker: TaskTracker,
    shutdown: CancellationToken,
    pub(super) leftovers: Leftovers,
    pub(super) told: super::telling::Told,
}

impl Dispatcher {
    /// Prepares a dispatcher; it does nothing until [`Dispatcher::work`].
    ///
    /// # Errors
    /// When its folder cannot be made, or its key cannot be kept there.
    pub fn open(parts: DispatcherParts) -> anyhow::Result<Arc<Self>> {
        let key = super::key::open(&parts.folder)?;
        let server = super::key::name_of(&key);
        let logs = LogBook::new(Arc::clone(&parts.store));
        let (containers, live, wake, tracker, shutdown, slots) = Default::default();
        let (leftovers, told) = Default::default();
        Ok(Arc::new(Self {
            parts,
            server,
            key,
            logs,
            containers,
            live,
            wake,
            tracker,
            shutdown,
            leftovers,
            told,
            slots,
        }))
    }

    /// Works until the server ends. What is under way then is left as it is, for the next start.
    pub async fn work(self: Arc<Self>, shutdown: CancellationToken) {
        let working = async {
            loop {
                if let Err(error) = self.look().await {
                    error!("the dispatcher could not look at its queue, it will again: {}", chain(&error));
                }
                let is_in_charge = self.is_in_charge();
                tokio::select! {
                    () = tokio::time::sleep(self.poll_interval()) => self.look_for_news(),
                    () = self.wake.notified() => {}
                    () = self.parts.manager.until_role(Role::Dispatch), if !is_in_charge => {}
                }
            }
        };
        shutdown.run_until_cancelled(async { tokio::join!(working, self.hear_of_runs(), self.logs.keep()) }).await;
        self.shutdown.cancel();
        self.live.lock().values().for_each(|live| live.stop(StopReason::Shutdown));
        self.tracker.close();
        self.tracker.wait().await;
        // What could not be written was told.
        let _ = self.logs.flush().await;
    }

    /// How often GitHub is asked for news. With very many repositories less often than set: each of them may cost a
    /// request, of which GitHub gives 5,000 an hour.
    pub(super) fn poll_interval(&self) -> Duration {
        const REPOS_A_SECOND: usize = 4;
        let config = self.config();
        let most = Duration::from_secs(config.sync.interval_minutes.max(1) * 60);
        let for_all = Duration::from_secs((self.parts.manager.repos().len() / REPOS_A_SECOND) as u64).min(most);
        config.github.poll_interval.duration().max(for_all).max(Duration::from_secs(1))
    }

    fn look_for_news(&self) {
        if self.config().dispatch.enabled && self.is_in_charge() {
            self.parts.manager.wish_sync();
        }
    }

    /// One look at everything: what is new, what was answered, what can begin. New work is queued by one server.
    async fn look(self: &Arc<Self>) -> Result<(), StoreError> {
        self.adopt().await?;
        self.hear_words().await?;
        self.tell_rankers().await?;
        self.note_health().await?;
        if self.config().dispatch.enabled && self.is_in_charge() {
            self.take_in_labelled().await?;
            self.take_in_reviews().await?;
            self.take_in_failing_checks().await?;
        }
        self.take_in_answers().await?;
        for _ in 0..BEGIN_COUNT_MAX {
            if self.paused().await?.is_some() || !self.begin_next().await? {
                break;
            }
        }
        self.note_slots().await;
        self.tell_beside();
        self.remove_leftovers().await
    }

    /// Whether it is this dispatcher's to work on at all.
    pub(super) fn may_take_up(&self, run: &Run) -> bool {
        self.only().is_none_or(|only| run.issues().contains(only))
    }

    /// Goes on with a run, from wherever it stands.
    pub(super) fn begin(self: &Arc<Self>, mut run: Run) {
        let is_moved = run.status() != RunStatus::Queued && !self.is_own(&run);
        let server = self.parts.store.server_name().to_owned();
        run.driver = Some(RunDriver { dispatcher: self.server.clone(), server });
        let live = Arc::new(Live::of(run.clone()));
        if self.live.lock().insert(run.run_id, Arc::clone(&live)).is_some() {
            error!(run.id = %run.run_id, "run {} was begun twice", run.run_id.short());
        }
        if self.shutdown.is_cancelled() {
            live.stop(StopReason::Shutdown);
        }
        let hub = Arc::clone(self);
        self.tracker.spawn(async move {
            let run_id = run.run_id;
            match Attempt::new(Arc::clone(&hub), Arc::clone(&live), run.clone(), is_moved) {
                // A store that takes nothing is not asked again at once.
                Ok(attempt) => {
                    if attempt.go().await == Left::ByStore {
                        tokio::time::sleep(STORE_PAUSE).await;
                        // It may be another's by now, and what is here nobody's.
                        hub.leftovers.look_soon();
                    }
                }
                Err(why) => hub.refuse(run, why).await,
            }
            live.ended.cancel();
            hub.live.lock().remove(&run_id);
            hub.wake.notify_one();
        });
    }

    /// Runs that wait, in the order in which they begin.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn queue(&self) -> Result<Vec<Run>, StoreError> {
        Ok(self.queue_of(&self.active_runs().await?))
    }

    pub(super) fn queue_of(&self, active: &[Run]) -> Vec<Run> {
        let waits = |run: &&Run| run.status() == RunStatus::Queued && self.live_run(run.run_id).is_none();
        let queued: Vec<Run> = active.iter().filter(waits).cloned().collect();
        let ranks = self.ranks(queued.iter().map(Run::issue_ref));
        queue::in_order(queued, &ranks)
    }

    /// Where issues stand in the ranker's order.
    fn ranks(&self, issues: impl Iterator<Item = IssueRef>) -> Ranks {
        let ordered = self.parts.manager.in_order(&self.agent_id(), issues);
        let ready = ordered.into_iter().take_while(|(_, offer)| *offer == Offer::Ready);
        ready.enumerate().map(|(rank, (issue, _))| (issue, rank)).collect()
    }

    /// Does something beside the rounds, until the server ends.
    pub(super) fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) {
        let shutdown = self.shutdown.clone();
        self.tracker.spawn(async move { shutdown.run_until_cancelled(work).await });
    }

    /// Every run that has not ended.
    pub(super) async fn active_runs(&self) -> Result<Vec<Run>, StoreError> {
        self.parts.store.run_list(RunFilter::default(), 0).await
    }

    /// Every run that was begun and has not ended: few, however many wait.
    pub(super) async fn runs_under_way(&self) -> Result<Vec<Run>, StoreError> {
        self.parts.store.run_list(RunFilter { without_queued: true, ..RunFilter::default() }, 0).await
    }

    pub(super) fn live_handles(&self) -> Vec<Arc<Live>> {
        self.live.lock().values().map(Arc::clone).collect()
    }

    pub(super) fn live_run(&self, run_id: RunId) -> Option<Arc<Live>> {
        self.live.lock().get(&run_id).map(Arc::clone)
    }

    /// Looks at the queue now.
    pub fn wake(&self) {
        self.wake.notify_one();
    }

    /// Writes a run that nobody drives; `false` when somebody was faster.
    pub(super) async fn save_idle(&self, run: Run) -> Result<bool, StoreError> {
        Ok(self.parts.store.run_save(run, self.now()).await? != RunSaved::Superseded)
    }

    pub(super) fn config(&self) -> Arc<Config> {
        self.parts.config.current()
    }

    pub(super) fn live_config(&self) -> LiveConfig {
        self.parts.config.clone()
    }

    pub(super) fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    pub(super) fn store(&self) -> &Arc<dyn Store> {
        &self.parts.store
    }

    pub(super) fn manager(&self) -> &Arc<ClaimManager> {
        &self.parts.manager
    }

    pub(super) fn only(&self) -> Option<&IssueRef> {
        self.parts.only.as_ref()
    }

    pub(super) fn forge(&self) -> Option<Arc<dyn Forge>> {
        self.parts.forge.clone()
    }

    pub(super) fn base_dir(&self) -> &std::path::Path {
        &self.parts.base_dir
    }

    pub(super) fn config_file(&self) -> Option<&std::path::Path> {
        self.parts.config_file.as_deref()
    }

    pub(super) fn folder(&self) -> &std::path::Path {
        &self.parts.folder
    }

    /// The name that its containers carry.
    pub(super) fn server(&self) -> &str {
        &self.server
    }

    /// The logs of its runs, on their way to the store.
    pub(super) fn logs(&self) -> &LogBook {
        &self.logs
    }

    pub(super) fn mirror(&self, repo: &RepoName) -> Mirror {
        Mirror::open(self.parts.folder.join("mirrors"), repo)
    }

    pub(super) fn containers(&self, config: &Config) -> Arc<dyn ContainerRuntime> {
        let mut made = self.containers.lock();
        if made.as_ref().is_none_or(|(by, _)| {
            by.runtime != config.containers.runtime || by.connection != config.containers.connection
        }) {
            *made = None;
        }
        let make = || (config.containers.clone(), container::of(&config.containers, &self.parts.folder.join("host")));
        Arc::clone(&made.get_or_insert_with(make).1)
    }

    pub(super) fn agent(&self, name: &str, config: &Config) -> Result<Arc<dyn AgentRuntime>, AgentError> {
        let default = AgentConfig::default();
        agent::of(name, config.agents.0.get(name).unwrap_or(&default))
    }

    /// The password of the door of a run's agent: the same whenever it is asked for, and kept nowhere.
    pub(super) fn password(&self, run: &Run) -> Secret {
        super::key::password(&self.key, &format!("{} {}", run.run_id, run.attempts))
    }
}
