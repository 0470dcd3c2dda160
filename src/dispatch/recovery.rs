//! What a crash left behind: runs that were under way, and containers that nobody drives.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tracing::{debug, info, warn};

use super::dispatcher::Dispatcher;
use crate::domain::Run;
use crate::store::StoreError;

/// How often leftovers are looked for while the server runs.
const LOOK_EVERY: Duration = Duration::from_secs(300);

/// When leftovers were last looked for.
#[derive(Debug, Default)]
pub(super) struct Leftovers {
    looked_at: Mutex<Option<Instant>>,
}

impl Leftovers {
    /// Has them looked for with the next look.
    pub(super) fn look_soon(&self) {
        *self.looked_at.lock() = None;
    }

    fn are_due(&self) -> bool {
        let mut looked_at = self.looked_at.lock();
        let due = looked_at.is_none_or(|at| at.elapsed() >= LOOK_EVERY);
        if due {
            *looked_at = Some(Instant::now());
        }
        due
    }
}

impl Dispatcher {
    /// Goes on with every run that is under way and that nobody drives: the last server ended, or the store failed for
    /// a while. Each finds out for itself whether its agent still works.
    pub(super) async fn adopt(self: &Arc<Self>) -> Result<(), StoreError> {
        let under_way = self.runs_under_way().await?.into_iter();
        let idle: Vec<_> =
            under_way.filter(|run| self.live_run(run.run_id).is_none() && self.may_take_up(run)).collect();
        if idle.is_empty() {
            return Ok(());
        }
        // Those of a server that is gone are gone on with by one; who was away itself cannot tell yet who is gone.
        let (others, judges) = (self.others().await?, self.is_in_charge() && self.manager().is_steady());
        for run in idle {
            if !self.is_own(&run) && (!judges || others.drive(&run)) {
                continue;
            }
            // Two processes may share a folder, and what it says of whose a run is.
            if let Some(left) = others.twin_of(&run) {
                self.look_again_in(left.to_std().unwrap_or_default());
                continue;
            }
            info!(run.id = %run.run_id, "going on with run {} on {}", run.run_id.short(), run.issue_ref());
            self.begin(run);
        }
        Ok(())
    }

    /// Removes containers of this server that no run under way calls its own, now and then. It may be driven here or
    /// not: a server for one issue leaves the others to the next.
    pub(super) async fn remove_leftovers(&self) -> Result<(), StoreError> {
        if !self.leftovers.are_due() {
            return Ok(());
        }
        let containers = self.containers(&self.config());
        // Before the list is read: a run that begins meanwhile is in neither.
        let rows = match containers.list(self.server()).await {
            Ok(rows) => rows,
            Err(error) => {
                debug!("leftover containers were not looked for: {error}");
                return Ok(());
            }
        };
        // One that was begun anew elsewhere, while this server was away, no longer needs what it had here.
        let is_here = |run: &Run| run.driver.is_none() || self.is_own(run);
        let under_way = self.runs_under_way().await?.into_iter().filter(is_here);
        let kept: HashSet<String> = under_way.chain(self.live_runs()).map(|run| run.run_id.to_string()).collect();
        for row in rows.into_iter().filter(|row| !kept.contains(&row.run)) {
            match containers.remove(&row.id).await {
                Ok(()) => info!("removed the container {} that run {} left behind", row.id, row.run),
                Err(error) => warn!("a container that run {} left behind stays: {error}", row.run),
            }
        }
        Ok(())
    }
}
