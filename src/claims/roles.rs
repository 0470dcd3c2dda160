//! The roles of this server among those of its database: what one of them at a time does for all.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use parking_lot::Mutex;
use tokio::sync::watch;
use tracing::{info, warn};

use super::ClaimManager;
use super::health::{SLOW_STORE, STORE};
use super::service::chain;
use crate::store::{Role, ServerBeat, StoreError};

/// How often a server says that it is there.
const BEAT_EVERY: Duration = Duration::from_secs(4);
/// How long a role stays with a server that fell silent: three beats may be lost.
const LEASE: Duration = Duration::from_secs(15);
/// A server that hears nothing from the database gives its roles up so long before another may take them.
const MARGIN: Duration = Duration::from_secs(3);

/// The longest beat that the clock is set by.
const ALIGNING_BEAT_MAX: Duration = Duration::from_millis(500);

/// A write that takes so long is told on the health page.
const SLOW_WRITE: Duration = Duration::from_secs(1);

/// Which roles this server has.
#[derive(Debug)]
pub(super) struct Roles {
    held: watch::Sender<Held>,
    /// Where this server is reached, once it listens.
    url: Mutex<String>,
    /// How many runs could begin here; `None` while none can.
    slots_free: Mutex<Option<u32>>,
    /// Since when the database answered every beat, by the steady clock.
    well_since: Mutex<Option<Duration>>,
}

#[derive(Debug, Default)]
struct Held {
    roles: Vec<Role>,
    /// By the steady clock.
    until: Duration,
}

impl Default for Roles {
    fn default() -> Self {
        Self {
            held: watch::Sender::new(Held::default()),
            url: Mutex::default(),
            slots_free: Mutex::default(),
            well_since: Mutex::default(),
        }
    }
}

impl Roles {
    fn take_up(&self, roles: Vec<Role>, until: Duration) {
        let before = self.held.send_replace(Held { roles: roles.clone(), until }).roles;
        for role in Role::ALL {
            match (before.contains(&role), roles.contains(&role)) {
                (false, true) => info!("this server does the {} now", role.as_str()),
                (true, false) => info!("this server no longer does the {}", role.as_str()),
                _ => {}
            }
        }
    }
}

impl ClaimManager {
    /// Says where this server is reached; other servers and commands find it by that.
    pub fn note_url(&self, url: String) {
        *self.roles.url.lock() = url;
    }

    /// Whether the database answered for so long that a server which is there said so, too.
    pub fn is_steady(&self) -> bool {
        let well_since = *self.roles.well_since.lock();
        well_since.is_some_and(|since| self.clock.steady().saturating_sub(since) >= LEASE)
    }

    /// Says how many runs could begin here; `None` while none can.
    pub fn note_slots(&self, free: Option<u32>) {
        *self.roles.slots_free.lock() = free;
    }

    /// Whether this server has a role now.
    pub fn has_role(&self, role: Role) -> bool {
        let held = self.roles.held.borrow();
        held.roles.contains(&role) && self.clock.steady() < held.until
    }

    /// Waits until this server has a role.
    pub async fn until_role(&self, role: Role) {
        let mut held = self.roles.held.subscribe();
        while !self.has_role(role) {
            // The sender lives as long as the manager.
            let _ = held.changed().await;
        }
    }

    /// Waits until the database said for the first time which roles this server has.
    pub(super) async fn until_roles_are_told(&self) {
        // The sender lives as long as the manager.
        let _ = self.roles.held.subscribe().wait_for(|held| held.until > Duration::ZERO).await;
    }

    /// Says once that this server is there, and takes or renews its roles.
    ///
    /// # Errors
    /// When the store fails: roles that are not renewed in time are given up.
    pub async fn beat(&self) -> Result<(), StoreError> {
        let asked_at = self.clock.steady();
        let url = self.roles.url.lock().clone();
        let dispatch = &self.config.current().dispatch;
        let (dispatches, is_worker) = (dispatch.enabled && !dispatch.worker, dispatch.worker);
        let slots_free = *self.roles.slots_free.lock();
        let beat = ServerBeat { url, dispatches, is_worker, slots_free, lease: LEASE };
        let answer = self.store.server_beat(beat).await.inspect_err(|_| *self.roles.well_since.lock() = None)?;
        // It was the present about halfway between question and answer.
        let (answered_at, before) = (self.clock.steady(), *self.roles.well_since.lock());
        let took = answered_at - asked_at;
        // A database that hung for one server did so for the others.
        let well_since = before.filter(|_| took <= MARGIN).unwrap_or(answered_at);
        *self.roles.well_since.lock() = Some(well_since);
        let slow = (took >= SLOW_WRITE).then(|| {
            format!(
                "a write took {:.1} s: the disk or the database is slow, and every claim waits for it",
                took.as_secs_f64()
            )
        });
        self.status.report(SLOW_STORE, slow);
        // One that waited in a queue says little about when that was.
        if took < ALIGNING_BEAT_MAX {
            self.clock.align(answer.now + TimeDelta::from_std(took / 2).unwrap_or_default());
        }
        self.roles.take_up(answer.held, asked_at + LEASE - MARGIN);
        Ok(())
    }

    /// Gives up the roles: this server ends.
    pub(super) async fn leave(&self) {
        self.roles.take_up(Vec::new(), Duration::ZERO);
        if let Err(error) = self.store.server_leave().await {
            warn!("the roles of this server are free for others only when their leases end: {error}");
        }
    }
}

/// Keeps what roles this server can get.
pub(super) async fn beat_continually(manager: Arc<ClaimManager>) {
    loop {
        let trouble = manager.beat().await.err().map(|error| chain(&error));
        if let Some(trouble) = &trouble {
            manager.note_unwell("the store failed");
            warn!("this server could not say that it is there: {trouble}");
        }
        manager.status.report(STORE, trouble);
        tokio::time::sleep(BEAT_EVERY).await;
    }
}
