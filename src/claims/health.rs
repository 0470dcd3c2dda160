//! How the server is doing, and what works only in part.

use std::sync::atomic::{AtomicBool, Ordering};

use parking_lot::Mutex;

use super::{ClaimManager, Health, HealthState, PolicyHealth};
use crate::domain::{ClaimStatus, PolicyStamp, Timestamp};
use crate::store::Role;

/// The part whose trouble means that nothing can be done.
pub(super) const STORE: &str = "store";

/// The part that is in trouble where the store answers, slowly.
pub(super) const SLOW_STORE: &str = "store.slow";

/// What background work found out about the world around.
#[derive(Debug)]
pub(super) struct Status {
    started_at: Timestamp,
    /// Whether syncs were begun at all: a server at rest only reads.
    is_syncing: AtomicBool,
    /// Whether every repository had its turn since the start, be it that single ones failed.
    has_come_round: AtomicBool,
    last_sync_at: Mutex<Option<Timestamp>>,
    /// What is wrong now, by part.
    troubles: Mutex<Vec<(&'static str, String)>>,
    /// Settings that were edited, and are read at a start alone.
    needs_restart: Mutex<Vec<&'static str>>,
}

impl Status {
    pub(super) fn new(started_at: Timestamp) -> Self {
        let (is_syncing, has_come_round, last_sync_at, troubles, needs_restart) = Default::default();
        Self { started_at, is_syncing, has_come_round, last_sync_at, troubles, needs_restart }
    }

    /// Notes a sync in which nothing failed.
    pub(super) fn synced(&self, at: Timestamp) {
        *self.last_sync_at.lock() = Some(at);
        self.came_round();
    }

    /// Notes a sync in which every repository had its turn.
    pub(super) fn came_round(&self) {
        self.has_come_round.store(true, Ordering::Relaxed);
    }

    /// Whether every repository had its turn since the start. One that fails for ever does not keep this back.
    pub(super) fn has_come_round(&self) -> bool {
        self.has_come_round.load(Ordering::Relaxed)
    }

    pub(super) fn begins_to_sync(&self) {
        self.is_syncing.store(true, Ordering::Relaxed);
    }

    /// Whether the first sync since the start is not done yet.
    pub(super) fn is_reading(&self) -> bool {
        self.is_syncing.load(Ordering::Relaxed) && !self.has_come_round()
    }

    /// Notes how a part is doing; `None` when all is well with it again.
    pub(super) fn report(&self, part: &'static str, trouble: Option<String>) {
        let mut troubles = self.troubles.lock();
        troubles.retain(|(known, _)| *known != part);
        troubles.extend(trouble.map(|trouble| (part, trouble)));
    }
}

impl ClaimManager {
    /// Notes for the health page how a part around the claim manager is doing; `None` when all is well
    /// with it again.
    pub fn note_trouble(&self, part: &'static str, trouble: Option<String>) {
        self.status.report(part, trouble);
    }

    /// Notes which edited settings wait for a restart.
    pub fn note_needs_restart(&self, settings: Vec<&'static str>) {
        *self.status.needs_restart.lock() = settings;
    }

    /// How many claims there are of each status that a live one can have.
    pub fn claims_by_status(&self) -> Vec<(ClaimStatus, u64)> {
        self.index.board.read().counts_by_status()
    }

    /// How the server is doing.
    pub fn health(&self) -> Health {
        let counts = self.index.board.read().counts();
        let policies = self.desk.current();
        let [ranker, stale_rule, repo_filter] = policies.set.stamps();
        let troubles = self.status.troubles.lock();
        let mut degraded: Vec<String> = troubles.iter().map(|(part, trouble)| format!("{part}: {trouble}")).collect();
        degraded.extend(self.desk.faults());
        degraded.extend(self.desk.rejection());
        let store_fails = troubles.iter().any(|(part, _)| *part == STORE);
        let state = match degraded.is_empty() {
            _ if store_fails => HealthState::Live,
            true => HealthState::Ready,
            false => HealthState::Degraded,
        };
        let uptime = self.clock.now() - self.status.started_at;
        Health {
            state,
            roles: Role::ALL.into_iter().filter(|role| self.has_role(*role)).collect(),
            uptime_seconds: u64::try_from(uptime.num_seconds()).unwrap_or(0),
            total_claims: counts.granted,
            active_claims: counts.active_claims,
            active_agents: counts.active_agents,
            stale_claims: counts.stale_claims,
            open_issues: counts.open_issues,
            last_github_sync_at: *self.status.last_sync_at.lock(),
            degraded,
            policies: PolicyHealth {
                ranker: brief(ranker),
                stale_rule: brief(stale_rule),
                repo_filter: brief(repo_filter),
                rejected: self.desk.rejected(),
            },
            needs_restart: self.status.needs_restart.lock().clone(),
        }
    }
}

/// `builtin:rules@1f2e3d4c5b6a`: where it is from, and enough of its digest to tell versions apart.
fn brief(stamp: &PolicyStamp) -> String {
    format!("{}@{}", stamp.source, stamp.digest.get(..12).unwrap_or(&stamp.digest))
}
