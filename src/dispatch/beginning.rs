//! Which run begins next, and whether it may.

use std::sync::Arc;
use std::time::Duration;

use tracing::{error, info, warn};

use super::dispatcher::Dispatcher;
use super::queue::{self, BY_LABEL, BY_REVIEW, Next};
use crate::config::{Config, ContainersConfig};
use crate::domain::{Run, RunId, RunStep};
use crate::store::StoreError;

/// Within this time servers tell what they have free: a little more than a beat.
const TOLD_WITHIN: Duration = Duration::from_secs(5);

impl Dispatcher {
    /// Begins the next run, if one can begin.
    pub(super) async fn begin_next(self: &Arc<Self>) -> Result<bool, StoreError> {
        let _slots = self.slots.lock().await;
        let config = self.config();
        // Nothing to begin here, and nothing to say of what others have.
        if !self.is_in_charge() && queue::busy(&self.live_runs()) >= config.containers.max_concurrent {
            return Ok(false);
        }
        let (runs, others) = (self.active_runs().await?, self.others().await?);
        let mut queue = self.queue_of(&runs);
        // Without containers every run would fail, for no fault of its issue.
        let is_usable = queue.is_empty() || self.containers(&config).probe().await.is_ok();
        // Who asked for a run hears why it cannot be, unless another server can.
        let tells_why = self.is_in_charge() && !others.work();
        // What another run works on has its claim, which is this dispatcher's too.
        let taken = queue::taken(&runs);
        let is_taken = |run: &Run| run.issues().iter().any(|it| taken.get(it).is_some_and(|by| *by != run.run_id));
        queue.retain(|run| self.may_take_up(run) && !is_taken(run));
        // Who is stopped for whom is for one to say.
        let preempts = config.dispatch.preempt && self.is_in_charge();
        let elsewhere = (preempts && others.work()).then(|| queue.clone());
        queue.retain(|run| {
            let knows_agent = run.agent.as_ref().is_none_or(|name| self.agent(name, &config).is_ok());
            is_wanted(run, &config, is_usable && knows_agent, self.is_in_charge(), tells_why)
        });
        let (active, beside) = (self.live_runs(), others.beside(&runs));
        let next = match (queue::next(&queue, &active, &beside, &config.containers, preempts, self.now()), elsewhere) {
            // What cannot begin here may need a slot there.
            (Next::Wait, Some(elsewhere)) => {
                queue = elsewhere;
                let none = ContainersConfig { max_concurrent: 0, ..config.containers.clone() };
                queue::next(&queue, &[], &beside, &none, true, self.now())
            }
            (next, _) => next,
        };
        match next {
            Next::Begin(run_id) => {
                let place = queue.iter().position(|run| run.run_id == run_id).expect("it is one of the queue");
                match self.over_budget(&queue[place], &config).await? {
                    Some(why) => self.hold_back(queue.swap_remove(place), why).await?,
                    None => {
                        let Some(run) = self.with_companions(place, queue, &config).await? else { return Ok(false) };
                        self.begin(run);
                    }
                }
                Ok(true)
            }
            // What may not begin stops nobody.
            Next::Preempt { critical, .. }
                if let Some(run) = queue.iter().find(|run| run.run_id == critical).cloned()
                    && let Some(why) = self.over_budget(&run, &config).await? =>
            {
                self.hold_back(run, why).await?;
                Ok(true)
            }
            // One at a time: whoever makes way already may need a moment to undo what it began.
            Next::Preempt { .. } if self.is_way_made().await? => Ok(false),
            // What other servers have free is told with their beats: one of them may begin it yet.
            Next::Preempt { critical, .. } if others.work() && !self.has_waited(&queue, critical) => Ok(false),
            Next::Preempt { victim, critical } => self.make_way(victim, critical).await.map(|()| false),
            Next::Wait => Ok(false),
        }
    }

    /// Whether a run waits for so long that every server told since what it has free; else it is looked again then.
    fn has_waited(self: &Arc<Self>, queue: &[Run], run_id: RunId) -> bool {
        let since = queue.iter().find(|run| run.run_id == run_id).map_or(self.now(), |run| run.updated_at);
        let left = TOLD_WITHIN.saturating_sub((self.now() - since).to_std().unwrap_or_default());
        if !left.is_zero() {
            self.look_again_in(left);
        }
        left.is_zero()
    }

    pub(super) fn look_again_in(self: &Arc<Self>, wait: Duration) {
        let hub = Arc::clone(self);
        self.spawn(async move {
            tokio::time::sleep(wait).await;
            hub.wake();
        });
    }

    /// Ends a run that cannot even be begun.
    pub(super) async fn refuse(&self, mut run: Run, why: String) {
        warn!(run.id = %run.run_id, "run {} cannot begin: {why}", run.run_id.short());
        let failed = run.advance(RunStep::Fail { why: why.clone() }, self.now()).is_ok();
        // Whoever wrote it since it was read goes on with it, and holds what it holds.
        if !failed || !matches!(self.save_idle(run.clone()).await, Ok(true)) {
            error!(run.id = %run.run_id, "that run {} cannot begin was not written down", run.run_id.short());
            return;
        }
        self.give_back(&run, &why).await;
        self.tell(&run).await;
    }

    /// A run that must wait says why, and looks again in a minute.
    async fn hold_back(&self, mut run: Run, why: String) -> Result<(), StoreError> {
        const LOOK_AGAIN: chrono::TimeDelta = chrono::TimeDelta::minutes(1);
        info!(run.id = %run.run_id, "run {} waits: {why}", run.run_id.short());
        run.not_before = Some(self.now() + LOOK_AGAIN);
        run.reason = Some(why);
        self.store().run_save(run, self.now()).await.map(drop)
    }
}

/// Whether a run may begin here now: what nobody but a label or a review asked for only where that is switched on.
fn is_wanted(run: &Run, config: &Config, is_usable: bool, is_in_charge: bool, tells_why: bool) -> bool {
    let is_asked_for = !matches!(run.requested_by.as_str(), BY_LABEL | BY_REVIEW);
    let may_be = is_usable && (config.dispatch.works() || is_in_charge && is_asked_for);
    may_be || is_asked_for && tells_why
}
