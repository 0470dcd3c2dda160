//! Beside other servers of the same database: what a dispatcher does without the role, and what it hears of theirs.

use std::sync::Arc;

use tracing::error;

use super::attempt::chain;
use super::dispatcher::Dispatcher;
use crate::claims::EventStep;
use crate::domain::{EventKind, Run};
use crate::store::StoreError;

/// A server that was not heard of for so long is gone, and so are the agents that it saw to.
const SILENCE_MAX: chrono::TimeDelta = chrono::TimeDelta::minutes(1);

impl Dispatcher {
    /// Without the role, what this server began is still its own: another could only begin it anew.
    pub(super) async fn see_to_own(self: &Arc<Self>) {
        let seen_to = async {
            self.adopt().await?;
            self.take_in_answers().await?;
            self.forget_old().await
        };
        if let Err(error) = seen_to.await {
            error!("this server's own runs were not seen to: {}", chain(&error));
        }
    }

    /// Whether another server drives a run: going on with it here would mean to begin it anew. One that fell silent has
    /// no more runs.
    pub(super) async fn is_anothers(&self, run: &Run) -> Result<bool, StoreError> {
        let Some(driver) = run.driver.as_ref().filter(|driver| driver.dispatcher != self.server()) else {
            return Ok(false);
        };
        let there = self.store().server_list(SILENCE_MAX).await?;
        Ok(there.iter().any(|server| server.server == driver.server))
    }

    /// Looks at once when a run is queued: another server of the database may have been asked for it.
    pub(super) async fn hear_of_runs(&self) {
        let mut events = self.manager().events_after(None);
        loop {
            match events.next().await {
                Ok(EventStep::Events(new)) if new.iter().any(|event| event.draft.kind == EventKind::RunQueued) => {
                    self.wake();
                }
                Ok(_) => {}
                Err(_) => tokio::time::sleep(self.poll_interval()).await,
            }
        }
    }
}
