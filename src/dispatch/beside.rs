//! Beside other servers of the same database: each begins what it has slots for, and only the one that works on a run
//! can stop it. What is said of a run elsewhere is left for that server as a word in the database.

use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use super::attempt::chain;
use super::dispatcher::Dispatcher;
use super::limits::slots_of;
use super::live::{Live, Message, StopReason};
use super::queue::{self, Beside, holds_slot};
use crate::claims::EventStep;
use crate::config::Config;
use crate::domain::{Event, EventKind, Run, RunId, RunPriority, RunStatus, RunStep, RunWord};
use crate::store::{Role, RunTold, ServerSeen, StoreError};

/// A server that was not heard of for so long is gone, and so are the agents that it saw to.
const SILENCE_MAX: chrono::TimeDelta = chrono::TimeDelta::minutes(1);
/// How often it is looked whether a server elsewhere did what it was told.
const LOOK_EVERY: Duration = Duration::from_millis(250);

impl Dispatcher {
    /// Whether it is this server that queues runs, and goes on with those of servers that are gone. One for a single
    /// issue works on that alone, whoever sees to the others.
    pub(super) fn is_in_charge(&self) -> bool {
        self.only().is_some() || self.manager().has_role(Role::Dispatch)
    }

    /// The other servers of the database.
    async fn others(&self) -> Result<Vec<ServerSeen>, StoreError> {
        let mut servers = self.store().server_list(SILENCE_MAX).await?;
        servers.retain(|server| server.server != self.store().server_name());
        Ok(servers)
    }

    /// Whether another server works on issues and could take a run.
    pub(super) async fn others_work(&self) -> Result<bool, StoreError> {
        Ok(self.others().await?.iter().any(|server| server.slots_free.is_some()))
    }

    /// What a critical run that finds no slot here may find elsewhere.
    pub(super) async fn beside(&self) -> Result<Beside, StoreError> {
        if !self.is_in_charge() {
            // Who is stopped for whom is for one to say.
            return Ok(Beside { has_room: true, runs: Vec::new() });
        }
        let others = self.others().await?;
        let has_room = others.iter().any(|server| server.slots_free.is_some_and(|free| free > 0));
        let mut runs = self.active_runs().await?;
        let is_there =
            |run: &Run| others.iter().any(|server| run.driver.as_ref().is_some_and(|it| it.server == server.server));
        runs.retain(|run| run.status() != RunStatus::Queued && is_there(run));
        Ok(Beside { has_room, runs })
    }

    /// Tells other servers how many more runs could begin here.
    pub(super) async fn note_slots(&self) {
        let config = self.config();
        let works = config.dispatch.enabled && self.only().is_none() && self.containers(&config).probe().await.is_ok();
        let free = works.then(|| self.free_slots(&config));
        self.manager().note_slots(free);
    }

    fn free_slots(&self, config: &Config) -> u32 {
        let busy = queue::busy(&self.live_runs());
        let critical = busy.get(&RunPriority::Critical).copied().unwrap_or(0);
        let all: u32 = busy.values().sum();
        let of_critical = slots_of(&config.containers, RunPriority::Critical).saturating_sub(critical);
        config.containers.max_concurrent.saturating_sub(all).min(of_critical)
    }

    /// Slots that there are, over all servers, and how many of them are taken by `active`.
    pub(super) async fn slots(&self, active: &[Run]) -> Result<(usize, usize), StoreError> {
        let others = self.others().await?;
        let is_at = |run: &Run, server: &ServerSeen| run.driver.as_ref().is_some_and(|it| it.server == server.server);
        let used = active.iter().filter(|run| holds_slot(run)).count();
        let elsewhere = others.iter().filter_map(|server| {
            let taken = active.iter().filter(|run| holds_slot(run) && is_at(run, server)).count();
            server.slots_free.map(|free| free as usize + taken)
        });
        Ok((used, elsewhere.sum::<usize>() + self.config().containers.max_concurrent as usize))
    }

    /// Whether another server drives a run: going on with it here would mean to begin it anew. One that fell silent has
    /// no more runs.
    pub(super) async fn is_anothers(&self, run: &Run) -> Result<bool, StoreError> {
        let Some(driver) = run.driver.as_ref().filter(|driver| driver.dispatcher != self.server()) else {
            return Ok(false);
        };
        Ok(self.others().await?.iter().any(|server| server.server == driver.server))
    }

    /// Leaves a word for the server that works on a run, and waits until the run is as wanted, or `patience` is over.
    pub(super) async fn tell_driver(
        &self,
        run: Run,
        word: RunWord,
        patience: Duration,
        is_done: impl Fn(&Run) -> bool,
    ) -> Result<(), StoreError> {
        let run_id = run.run_id;
        self.store().run_tell(run, word, self.now()).await?;
        self.wake();
        let done = async {
            while self.store().run_get(run_id).await?.is_some_and(|run| !is_done(&run)) {
                tokio::time::sleep(LOOK_EVERY).await;
            }
            Ok(())
        };
        tokio::time::timeout(patience, done).await.unwrap_or(Ok(()))
    }

    /// Stops a run, wherever it is worked on, so that a critical one gets its slot.
    pub(super) async fn make_way(&self, victim: RunId, critical: RunId) -> Result<(), StoreError> {
        info!("run {} makes way for the critical run {}", victim.short(), critical.short());
        if let Some(live) = self.live_run(victim) {
            live.stop(StopReason::Preempted(critical.short()));
        } else if let Some(run) = self.store().run_get(victim).await? {
            self.store().run_tell(run, RunWord::MakeWay { critical: critical.short() }, self.now()).await?;
        }
        Ok(())
    }

    /// Whether a run was told to make way and has not done so yet.
    pub(super) async fn is_way_made(&self) -> Result<bool, StoreError> {
        let stops_here = self.live_handles().iter().any(|live| live.stopped.is_cancelled());
        let is_told = |told: &RunTold| matches!(told.word, RunWord::MakeWay { .. });
        Ok(stops_here || self.store().run_word_list().await?.iter().any(is_told))
    }

    /// Does what others said of the runs here; who is in charge also of those that nobody works on any more.
    pub(super) async fn hear_words(&self) -> Result<(), StoreError> {
        for told in self.store().run_word_list().await? {
            let word_id = told.word_id;
            let is_heard = match self.live_run(told.run_id) {
                Some(live) => hear(&live, told.word),
                None => self.is_in_charge() && self.see_to_word(told).await?,
            };
            if is_heard {
                self.store().run_word_forget(word_id).await?;
            }
        }
        Ok(())
    }

    /// A word of which no run here knows; whether it can be forgotten.
    async fn see_to_word(&self, told: RunTold) -> Result<bool, StoreError> {
        let Some(run) = self.store().run_get(told.run_id).await? else { return Ok(true) };
        match (run.status(), told.word) {
            (RunStatus::Queued, RunWord::Cancel { by }) => {
                self.cancel_queued(told.run_id, by).await?;
                Ok(true)
            }
            (status, _) => Ok(status.is_terminal() || status == RunStatus::Queued),
        }
    }

    /// Ends a run that waits for its turn.
    pub(super) async fn cancel_queued(
        &self,
        run_id: RunId,
        by: String,
    ) -> Result<super::control::RunWordOutcome, StoreError> {
        self.change_queued(run_id, |run, now| {
            // It never fails: a queued run may end.
            let _ = run.advance(RunStep::Fail { why: format!("cancelled by {by}") }, now);
        })
        .await
    }

    /// Looks at once when a run is queued or something is said of one: another server of the database may have been
    /// asked for it.
    pub(super) async fn hear_of_runs(&self) {
        let mut events = self.manager().events_after(None);
        loop {
            match events.next().await {
                Ok(EventStep::Events(new)) => new.iter().for_each(|event| self.hear_of(event)),
                Ok(_) => {}
                Err(error) => {
                    warn!("what other servers do with runs is heard of late: {}", chain(&error));
                    tokio::time::sleep(self.poll_interval()).await;
                }
            }
        }
    }

    fn hear_of(&self, event: &Event) {
        let Some(run_id) = event.draft.run_id else { return };
        if self.live_run(run_id).is_none()
            && let (Some(repo), Some(number)) = (&event.draft.repo, event.draft.issue_number)
        {
            self.told.forget(&crate::domain::IssueRef::new(repo.clone(), number));
        }
        if matches!(event.draft.kind, EventKind::RunQueued | EventKind::RunTold) {
            self.wake();
        }
    }
}

/// Passes a word on to a run that is worked on here; whether it can be forgotten. One that stops the run stays until
/// it has: this server may end before.
fn hear(live: &Arc<Live>, word: RunWord) -> bool {
    match word {
        RunWord::Cancel { by } => live.stop(StopReason::Cancelled(by)),
        RunWord::MakeWay { critical } => live.stop(StopReason::Preempted(critical)),
        // A full inbox is tried again; an answer to a former question is for nobody.
        RunWord::Answer { asked_at, text, by } => {
            return live.inbox.try_send(Message::Answer { asked_at, text, by }).is_ok();
        }
    }
    false
}
