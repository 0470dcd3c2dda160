//! Beside other servers of the same database: each begins what it has slots for, and sees to what it began.

use chrono::TimeDelta;
use tracing::warn;

use super::attempt::chain;
use super::dispatcher::Dispatcher;
use super::queue::{self, Beside, holds_slot};
use crate::claims::EventStep;
use crate::domain::{Event, EventKind, IssueRef, Run, RunStatus};
use crate::store::{Role, ServerSeen, StoreError};

/// A server that was not heard of for so long is gone, and so are the agents that it saw to.
const SILENCE_MAX: TimeDelta = TimeDelta::minutes(1);

/// A server that works in the same folder, or did before this one was started, is gone after so long: a server says
/// every few seconds that it is there.
pub(super) const TWIN_SILENCE_MAX: TimeDelta = TimeDelta::seconds(15);

/// The other servers of the database.
#[derive(Debug, Default)]
pub(super) struct Others(Vec<ServerSeen>);

impl Others {
    /// Whether one of them drives a run: going on with it here would mean to begin it anew.
    pub(super) fn drive(&self, run: &Run) -> bool {
        self.0.iter().any(|server| is_at(run, server))
    }

    /// For how long the one that drives a run, unless it ended properly, may still be there: another process in the
    /// same folder, or the one before this one.
    pub(super) fn twin_of(&self, run: &Run) -> Option<TimeDelta> {
        let twin = self.0.iter().find(|server| is_at(run, server) && !server.url.is_empty())?;
        let silent = TimeDelta::milliseconds(i64::try_from(twin.silent_ms).unwrap_or(i64::MAX));
        Some(TWIN_SILENCE_MAX - silent).filter(|left| *left > TimeDelta::zero())
    }

    /// Whether one of them works on issues.
    pub(super) fn work(&self) -> bool {
        self.0.iter().any(|server| server.slots_free.is_some())
    }

    /// What a critical run that finds no slot here may find there.
    pub(super) fn beside(&self, active: &[Run]) -> Beside {
        let has_room = self.0.iter().any(|server| server.slots_free.is_some_and(|free| free > 0));
        // One without slots, for a single issue perhaps, has none to give.
        let gives = |run: &&Run| self.0.iter().any(|server| server.slots_free.is_some() && is_at(run, server));
        let under_way = active.iter().filter(|run| run.status() != RunStatus::Queued);
        Beside { has_room, runs: under_way.filter(gives).cloned().collect() }
    }

    /// Where the one is reached that drives a run.
    pub(super) fn url_of(&self, run: &Run) -> Option<String> {
        let its_own = self.0.iter().find(|server| is_at(run, server));
        its_own.map(|server| server.url.clone()).filter(|url| !url.is_empty())
    }

    /// Slots that they have, with those that `active` takes there.
    pub(super) fn slots(&self, active: &[Run]) -> usize {
        let taken = |server: &ServerSeen| active.iter().filter(|run| holds_slot(run) && is_at(run, server)).count();
        self.0.iter().filter_map(|server| Some(server.slots_free? as usize + taken(server))).sum()
    }
}

fn is_at(run: &Run, server: &ServerSeen) -> bool {
    run.driver.as_ref().is_some_and(|driver| driver.server == server.server)
}

impl Dispatcher {
    /// Whether it is this server that queues runs, and goes on with those of servers that are gone. One for a single
    /// issue works on that alone, whoever sees to the others.
    pub(super) fn is_in_charge(&self) -> bool {
        self.only().is_some() || self.manager().has_role(Role::Dispatch)
    }

    /// Whether a run was begun here, be it by an earlier process.
    pub(super) fn is_own(&self, run: &Run) -> bool {
        run.driver.as_ref().is_some_and(|driver| driver.dispatcher == self.server())
    }

    /// The other servers of the database.
    pub(super) async fn others(&self) -> Result<Others, StoreError> {
        let mut servers = self.store().server_list(SILENCE_MAX).await?;
        servers.retain(|server| server.server != self.store().server_name());
        Ok(Others(servers))
    }

    /// How many other servers of the database said lately that they are there. One that was killed counts for some seconds.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn count_others(&self) -> Result<usize, StoreError> {
        let servers = self.store().server_list(TWIN_SILENCE_MAX).await?;
        let is_other = |server: &&ServerSeen| !server.url.is_empty() && server.server != self.store().server_name();
        Ok(servers.iter().filter(is_other).count())
    }

    /// Tells other servers how many more runs could begin here, of the most urgent ones: whether one elsewhere makes way
    /// hangs on that.
    pub(super) async fn note_slots(&self) {
        let config = self.config();
        let works = config.dispatch.works() && self.only().is_none();
        let is_usable = works && self.containers(&config).probe().await.is_ok();
        let free = queue::free_for_critical(&self.live_runs(), &config.containers);
        self.manager().note_slots(is_usable.then_some(free));
    }

    /// Looks at once when a run is queued or something is said of one: another server of the database may have been
    /// asked for it.
    pub(super) async fn hear_of_runs(&self) {
        let mut events = self.manager().events_after(None);
        loop {
            match events.next().await {
                Ok(EventStep::Events(new)) => new.iter().for_each(|event| self.hear_of(event)),
                // Whatever it was that was missed.
                Ok(_) => self.wake(),
                Err(error) => {
                    warn!("what other servers do with runs is heard of late: {}", chain(&error));
                    tokio::time::sleep(self.poll_interval()).await;
                }
            }
        }
    }

    fn hear_of(&self, event: &Event) {
        let draft = &event.draft;
        if let (Some(run_id), Some(repo), Some(number)) = (draft.run_id, &draft.repo, draft.issue_number)
            && self.live_run(run_id).is_none()
        {
            self.told.forget(&IssueRef::new(repo.clone(), number));
        }
        if matches!(draft.kind, EventKind::RunQueued | EventKind::RunTold | EventKind::DispatchResumed) {
            self.wake();
        }
    }
}
