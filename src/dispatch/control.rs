//! What people and agents tell the dispatcher: work on this, stop that, this one first, wait.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::container::ContainerUsage;
use super::dispatcher::Dispatcher;
use super::limits::slots_of;
use super::queue::{busy, holds_slot};
use crate::claims::{ManagerError, Offer};
use crate::config::Config;
use crate::domain::{AgentId, IssueRef, LogLine, Run, RunId, RunPriority, RunStatus, RunStep, RunUsage};
use crate::store::{RunFilter, StoreError};

/// What became of the wish to work on an issue.
#[derive(Debug)]
pub enum DispatchOutcome {
    /// It is in the queue.
    Queued(Box<Run>),
    /// It has a run already.
    Already(Box<Run>),
    /// An agent holds it.
    HeldBy(AgentId),
    /// It has a pull request, which an earlier run opened.
    HasPull(String),
    /// There is no such open issue here.
    NotOpen(IssueRef),
    /// This server works on another issue alone, and ends with it.
    OnlyFor(IssueRef),
}

/// What became of a word about one run.
#[derive(Debug)]
pub enum RunWordOutcome {
    /// Done; the run as it stands now.
    Done(Box<Run>),
    /// The server that works on it has not heard it yet: the word waits for it.
    Left(Box<Run>),
    /// There is no such run.
    NotFound,
    /// It stands where that means nothing.
    Refused(Box<Run>, &'static str),
}

/// How dispatch stands.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct DispatchStatus {
    /// Whether labelled issues are taken up unasked.
    pub enabled: bool,
    /// Whether this server works only on what others queue.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub worker: bool,
    /// Why nothing begins, where it is paused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub paused: Option<String>,
    /// Runs that wait for a slot.
    pub queued: usize,
    /// Slots that are taken, on all servers.
    pub slots_used: usize,
    /// Slots there are, on all servers.
    pub slots: usize,
    /// Runs that wait for people; they take no slot.
    pub waiting_human: usize,
    /// What runs, by container runtime and agent.
    pub runtime: String,
    /// Whether limits of memory and processors hold; absent while the runtime does not answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits_enforced: Option<bool>,
    /// Runs under way.
    pub active: Vec<ActiveRun>,
    /// What runs used today (UTC).
    pub used_today: RunUsage,
}

/// How much there is to do, and to do it with.
#[derive(Debug, Clone)]
pub struct RunCounts {
    /// Runs that have not ended, of all servers of the database.
    pub by_status: Vec<(RunStatus, u64)>,
    /// Runs that may be under way here at once.
    pub slots: u64,
    /// Of these, taken.
    pub slots_used: u64,
    /// Whether dispatch is paused.
    pub is_paused: bool,
}

/// A run under way, and what it uses.
#[derive(Debug, Clone, Serialize, Deserialize, JsonSchema)]
pub struct ActiveRun {
    /// The run.
    #[serde(flatten)]
    pub run: Run,
    /// The server that works on it, where that is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// Memory of its container, in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub memory_bytes: Option<u64>,
    /// Processor time of its container, in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_ms: Option<u64>,
}

impl Dispatcher {
    /// Counts what there is, without a look at any container.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn counts(&self) -> Result<RunCounts, StoreError> {
        let (active, config) = (self.active_runs().await?, self.config());
        let statuses = [RunStatus::Queued, RunStatus::Dispatched, RunStatus::Running, RunStatus::WaitingHuman];
        let count = |status| active.iter().filter(|run| run.status() == status).count() as u64;
        Ok(RunCounts {
            by_status: statuses.map(|status| (status, count(status))).into(),
            slots: config.containers.max_concurrent.into(),
            slots_used: busy(&self.live_runs()).into(),
            is_paused: self.paused().await?.is_some(),
        })
    }

    /// Puts an issue in the queue because somebody says so; before what only a label asks for.
    ///
    /// # Errors
    /// When its repository takes no part, the store fails, or GitHub does not say whether there is such an issue.
    pub async fn dispatch(&self, issue: IssueRef, by: String) -> Result<DispatchOutcome, ManagerError> {
        if let Some(only) = self.only().filter(|only| **only != issue) {
            return Ok(DispatchOutcome::OnlyFor(only.clone()));
        }
        let offer = self.manager().in_order(&self.agent_id(), [issue.clone()]).pop().map(|(_, offer)| offer);
        match offer {
            Some(Offer::HeldBy(agent)) if agent != self.agent_id() => return Ok(DispatchOutcome::HeldBy(agent)),
            Some(Offer::Gone) | None => {
                self.first_sync_is_over().await;
                if !self.manager().learn_of(&issue).await? {
                    return Ok(DispatchOutcome::NotOpen(issue));
                }
            }
            // A person's word stands above the ranker's for one issue.
            Some(Offer::Ready | Offer::Skipped(_) | Offer::Unscored | Offer::HeldBy(_)) => {}
        }
        let labels = self.manager().labels_of(&issue).unwrap_or_default();
        let active = self.active_runs().await?.into_iter().find(|run| run.issues().contains(&issue));
        if let Some(active) = active {
            return Ok(DispatchOutcome::Already(Box::new(active)));
        }
        if let Some(pr_url) = self.manager().pull_of_hold(&issue, &self.agent_id()) {
            return Ok(DispatchOutcome::HasPull(pr_url));
        }
        let Some(run_id) = self.enter(issue.clone(), &labels, by).await? else {
            return Ok(DispatchOutcome::NotOpen(issue));
        };
        self.wake();
        let run = self.store().run_get(run_id).await?;
        Ok(run.map_or(DispatchOutcome::NotOpen(issue), |run| DispatchOutcome::Queued(Box::new(run))))
    }

    /// Waits a while for the first sync: before it nobody knows which repositories take part.
    async fn first_sync_is_over(&self) {
        const PATIENCE_SECONDS: u64 = 15;
        let pause = std::time::Duration::from_millis(100);
        for _ in 0..PATIENCE_SECONDS * 10 {
            if !self.manager().is_reading() {
                return;
            }
            // The sync rings for nobody; its end is looked for.
            tokio::time::sleep(pause).await;
        }
    }

    /// Puts a queued run at a place of the queue, from 1.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn reorder(&self, run_id: RunId, place: usize) -> Result<RunWordOutcome, StoreError> {
        let mut queue = self.queue().await?;
        let Some(from) = queue.iter().position(|run| run.run_id == run_id) else {
            return self.not_queued(run_id).await;
        };
        let moved = queue.remove(from);
        let place = place.saturating_sub(1).min(queue.len());
        queue.insert(place, moved);
        // All down to its place are placed, and the critical ones that are here: those that come go before. What is
        // behind stays in the ranker's order.
        let critical = queue.iter().rposition(|run| run.priority == RunPriority::Critical).unwrap_or(0);
        for (pinned, run) in queue.into_iter().take(place.max(critical) + 1).enumerate() {
            self.pin(run, i64::try_from(pinned).unwrap_or(i64::MAX)).await?;
        }
        self.wake();
        self.answered(run_id).await
    }

    /// Gives a queued run its place, whatever else is written of it meanwhile: its comment, its priority.
    async fn pin(&self, mut run: Run, pinned: i64) -> Result<(), StoreError> {
        const TRY_COUNT_MAX: usize = 8;
        for _ in 0..TRY_COUNT_MAX {
            run.pinned = Some(pinned);
            let run_id = run.run_id;
            if self.save_idle(run).await? {
                return Ok(());
            }
            match self.store().run_get(run_id).await?.filter(|run| run.status() == RunStatus::Queued) {
                Some(newer) => run = newer,
                // It began meanwhile: its place is behind it.
                None => return Ok(()),
            }
        }
        Ok(())
    }

    /// Begins nothing until [`Dispatcher::resume`]; what is under way goes on.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn pause(&self, why: String, by: String) -> Result<(), StoreError> {
        self.store().dispatch_pause(Some(why), by, self.now()).await?;
        self.note_health().await
    }

    /// Begins work again.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn resume(&self, by: String) -> Result<(), StoreError> {
        self.store().dispatch_pause(None, by, self.now()).await?;
        self.note_health().await?;
        self.wake();
        Ok(())
    }

    /// Why nothing begins, where it is paused.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn paused(&self) -> Result<Option<String>, StoreError> {
        self.store().dispatch_paused().await
    }

    /// How dispatch stands.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn status(&self) -> Result<DispatchStatus, StoreError> {
        let config = self.config();
        let queued = self.queue().await?.len();
        let containers = self.containers(&config);
        let (facts, others) = (containers.probe().await, self.others().await?);
        let mut active = Vec::new();
        let mut under_way = self.live_runs();
        let is_driven = |run: &Run, driven: &[Run]| driven.iter().any(|live| live.run_id == run.run_id);
        let kept = self.active_runs().await?.into_iter().filter(|run| run.status() != RunStatus::Queued);
        // What the last server left under way is there until this one takes it up.
        let left: Vec<Run> = kept.filter(|run| !is_driven(run, &under_way)).collect();
        under_way.extend(left);
        for run in under_way {
            let container = run.container_id.clone().map(super::container::ContainerId);
            let usage: Option<ContainerUsage> = match &container {
                Some(container) => containers.usage(container).await.ok().flatten(),
                None => None,
            };
            let (memory_bytes, cpu_ms) = (usage.map(|usage| usage.memory_bytes), usage.map(|usage| usage.cpu_ms));
            let server = others.url_of(&run);
            active.push(ActiveRun { run, server, memory_bytes, cpu_ms });
        }
        active.sort_by_key(|active| active.run.run_id);
        let runs: Vec<Run> = active.iter().map(|active| active.run.clone()).collect();
        let slots_used = runs.iter().filter(|run| holds_slot(run)).count();
        let slots = config.containers.max_concurrent as usize + others.slots(&runs);
        Ok(DispatchStatus {
            enabled: config.dispatch.enabled,
            worker: config.dispatch.worker,
            paused: self.paused().await?,
            queued,
            slots_used,
            slots,
            waiting_human: active.iter().filter(|active| active.run.status() == RunStatus::WaitingHuman).count(),
            runtime: facts.as_ref().map_or_else(ToString::to_string, |facts| facts.description.clone()),
            limits_enforced: facts.ok().map(|facts| facts.limits_enforced),
            active,
            used_today: self.store().run_usage_on(self.now(), None).await?,
        })
    }

    /// Runs, oldest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn runs(&self, filter: RunFilter, limit: usize) -> Result<Vec<Run>, StoreError> {
        self.store().run_list(filter, limit).await
    }

    /// Lines of a run's log after `seq`, or the last ones; waits up to `wait` for the first while the run goes on.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn log_lines(
        &self,
        run_id: RunId,
        after: Option<u64>,
        limit: usize,
        wait: Duration,
    ) -> Result<Vec<LogLine>, StoreError> {
        // Who watches a run of another server waits a little longer, for the database's sake.
        const HERE: Duration = Duration::from_millis(200);
        const ELSEWHERE: Duration = Duration::from_millis(800);
        let Some(after) = after else { return self.store().run_log_tail(run_id, limit).await };
        let until = tokio::time::Instant::now() + wait;
        loop {
            // In this order: what is written before the run's end is read.
            let goes_on = self.store().run_get(run_id).await?.is_some_and(|run| !run.status().is_terminal());
            let lines = self.store().run_log_after(run_id, after, limit).await?;
            if !lines.is_empty() || !goes_on || tokio::time::Instant::now() >= until {
                return Ok(lines);
            }
            match self.live_run(run_id) {
                // Its end is told at once: the server of a single run ends with it.
                Some(live) => drop(tokio::time::timeout(HERE, live.wait_for_end()).await),
                None => tokio::time::sleep(ELSEWHERE).await,
            }
        }
    }

    /// One run, by its id or the last digits of it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn run_named(&self, name: &str) -> Result<Option<Run>, StoreError> {
        let run_id = match name.trim().parse() {
            Ok(run_id) => Some(run_id),
            Err(_) if is_short_id(name.trim()) => self.store().run_by_short_id(name.trim().to_lowercase()).await?,
            Err(_) => None,
        };
        match run_id {
            Some(run_id) => self.store().run_get(run_id).await,
            None => Ok(None),
        }
    }

    /// Gives a run that waited for people a slot again, if one is free; it shows as running from then on.
    pub(super) async fn take_slot(&self, run: &Run) -> bool {
        // Nobody begins another run meanwhile.
        let _slots = self.slots.lock().await;
        let config: std::sync::Arc<Config> = self.config();
        let others = self.live_runs();
        let busy: Vec<&Run> = others.iter().filter(|other| other.run_id != run.run_id && holds_slot(other)).collect();
        let alike = busy.iter().filter(|other| other.priority == run.priority).count();
        let slots = slots_of(&config.containers, run.priority) as usize;
        let is_free = busy.len() < config.containers.max_concurrent as usize && alike < slots;
        if let Some(live) = self.live_run(run.run_id).filter(|_| is_free) {
            let mut shown = run.clone();
            if shown.advance(RunStep::Work, self.now()).is_ok() {
                live.show(&shown);
            }
        }
        is_free
    }

    pub(super) async fn change_queued(
        &self,
        run_id: RunId,
        change: impl FnOnce(&mut Run, crate::domain::Timestamp),
    ) -> Result<RunWordOutcome, StoreError> {
        let Some(mut run) = self.store().run_get(run_id).await?.filter(|run| run.status() == RunStatus::Queued) else {
            return self.not_queued(run_id).await;
        };
        change(&mut run, self.now());
        if !self.save_idle(run.clone()).await? {
            return self.refused(run_id, "it changed just now; try again").await;
        }
        if run.status().is_terminal() {
            self.give_back(&run, run.reason.as_deref().unwrap_or("it ended")).await;
        }
        self.tell(&run).await;
        self.answered(run_id).await
    }

    pub(super) async fn not_queued(&self, run_id: RunId) -> Result<RunWordOutcome, StoreError> {
        self.refused(run_id, "it no longer waits").await
    }

    pub(super) async fn refused(&self, run_id: RunId, why: &'static str) -> Result<RunWordOutcome, StoreError> {
        let Some(run) = self.store().run_get(run_id).await? else { return Ok(RunWordOutcome::NotFound) };
        Ok(RunWordOutcome::Refused(Box::new(run), why))
    }

    pub(super) async fn answered(&self, run_id: RunId) -> Result<RunWordOutcome, StoreError> {
        let run = self.store().run_get(run_id).await?;
        Ok(run.map_or(RunWordOutcome::NotFound, |run| RunWordOutcome::Done(Box::new(run))))
    }
}

/// Whether `text` may be the end of a run's id.
fn is_short_id(text: &str) -> bool {
    const DIGITS: std::ops::RangeInclusive<usize> = 4..=12;
    DIGITS.contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
