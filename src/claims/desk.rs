//! The policies in force: taken once a call, swapped as a whole, never missed when one fails.
//!
//! A policy that fails at work degrades its own part and nothing else: a ranker is stood in for by
//! the set that was in force before it, then by the built-in one; a failing `choose` leaves the order
//! as it was, a failing `choose-work` leaves review feedback first; a failing stale rule touches no
//! claim; a failing repository filter admits nothing new.

mod backlog;
mod door;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::mpsc;
use tracing::{error, info, warn};

use super::index::Index;
use crate::config::{PoliciesConfig, PolicyConfig};
use crate::domain::{Clock, EventDraft, EventKind};
use crate::policy::{PolicyError, PolicyHost, PolicyRejected, PolicySet};

/// Failures in a row after which a policy is stood in for until the next change of the set.
const FAILURE_COUNT_MAX: u32 = 3;
/// Events that wait for the store while policies fail; more are dropped, since they repeat.
pub(super) const ANNOUNCEMENT_COUNT_MAX: usize = 64;

/// One set of policies while it is in force.
#[derive(Debug)]
pub(super) struct InForce {
    pub(super) set: PolicySet,
    /// What it was loaded from, bounds included.
    config: PoliciesConfig,
    choose_failures: AtomicU32,
    choose_work_failures: AtomicU32,
    score_failures: AtomicU32,
    /// The last fault of each part, for the health page.
    faults: Mutex<Vec<(&'static str, String)>>,
}

impl InForce {
    fn new(set: PolicySet, config: PoliciesConfig) -> Arc<Self> {
        Arc::new(Self {
            set,
            config,
            choose_failures: AtomicU32::new(0),
            choose_work_failures: AtomicU32::new(0),
            score_failures: AtomicU32::new(0),
            faults: Mutex::default(),
        })
    }

    /// All is well with a part again.
    fn clear_fault(&self, part: &'static str) {
        self.faults.lock().retain(|(known, _)| *known != part);
    }

    fn note_fault(&self, part: &'static str, fault: String) {
        let mut faults = self.faults.lock();
        faults.retain(|(known, _)| *known != part);
        faults.push((part, fault));
    }
}

/// Where policies are taken from.
#[derive(Debug)]
pub(super) struct Desk {
    host: PolicyHost,
    builtin: PolicySet,
    current: ArcSwap<InForce>,
    previous: Mutex<Option<Arc<InForce>>>,
    rejected: Mutex<Option<String>>,
    reloading: tokio::sync::Mutex<()>,
    /// Held while repositories are shown to a filter, until its verdicts are noted: verdicts of a set
    /// that is no longer in force never come in behind those of the newer one.
    judging: Mutex<()>,
    index: Arc<Index>,
    clock: Arc<dyn Clock>,
    announcements: mpsc::Sender<EventDraft>,
}

/// What became of an edit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reload {
    /// A new set is in force.
    Swapped,
    /// Component and settings are the ones in force.
    Unchanged,
}

impl Desk {
    /// Loads the configured policies and puts the backlog in order by them. A ranker or stale rule
    /// that cannot be loaded is stood in for by its built-in, and said to be so.
    ///
    /// # Errors
    /// When the repository filter cannot be loaded: without it nobody knows what is allowed.
    pub(super) fn open(
        host: PolicyHost,
        config: &PoliciesConfig,
        base_dir: &Path,
        index: Arc<Index>,
        clock: Arc<dyn Clock>,
        announcements: mpsc::Sender<EventDraft>,
    ) -> Result<Self, PolicyRejected> {
        let builtin = host.load(&PoliciesConfig::default(), base_dir)?;
        let (set, rejected) = load_or_stand_in(&host, config.clone(), base_dir)?;
        let desk = Self {
            host,
            builtin,
            current: ArcSwap::new(InForce::new(set, config.clone())),
            previous: Mutex::default(),
            rejected: Mutex::new(rejected),
            reloading: tokio::sync::Mutex::default(),
            judging: Mutex::default(),
            index,
            clock,
            announcements,
        };
        let first = desk.current();
        if let Err(fault) = desk.put_in_force(&first) {
            error!("the ranker failed on the backlog, the built-in one stands in: {fault}");
            *desk.rejected.lock() = Some(fault);
            let stand_in = PoliciesConfig { repo_filter: config.repo_filter.clone(), ..Default::default() };
            let stand_in = InForce::new(desk.host.load(&stand_in, base_dir)?, stand_in);
            if let Err(fault) = desk.put_in_force(&stand_in) {
                error!("the repository filter failed, nothing is admitted: {fault}");
                stand_in.note_fault("repo_filter", fault);
                desk.current.store(stand_in);
            }
        }
        Ok(desk)
    }

    /// The set in force. Take it once a call and pass it down.
    pub(super) fn current(&self) -> Arc<InForce> {
        self.current.load_full()
    }

    /// Whether `policies` are in force, not merely were when a call took them.
    pub(super) fn is_in_force(&self, policies: &InForce) -> bool {
        std::ptr::eq(Arc::as_ptr(&self.current()), policies)
    }

    /// Why the newest edit was refused, until one is accepted.
    pub(super) fn rejected(&self) -> Option<String> {
        self.rejected.lock().clone()
    }

    /// What fails at work now, each with what stands in.
    pub(super) fn faults(&self) -> Vec<String> {
        let current = self.current();
        let faults = current.faults.lock();
        faults.iter().map(|(part, fault)| format!("{part}: {fault}")).collect()
    }

    /// Notes that an edit was refused before its policies were even looked at.
    pub(super) fn note_rejected(&self, why: String) {
        warn!("configuration refused, the last good one stays in force: {why}");
        self.announce(EventKind::PolicyRejected, json!({ "reason": why }));
        *self.rejected.lock() = Some(why);
    }

    /// Loads the configured policies and puts them in force; the present ones stay if that fails.
    ///
    /// # Errors
    /// [`PolicyRejected`] says which policy, and why.
    pub(super) async fn reload(
        self: &Arc<Self>,
        config: PoliciesConfig,
        base_dir: &Path,
    ) -> Result<Reload, PolicyRejected> {
        let _one_at_a_time = self.reloading.lock().await;
        let (desk, base_dir) = (Arc::clone(self), base_dir.to_owned());
        let answer = tokio::task::spawn_blocking(move || desk.reload_blocking(&config, &base_dir)).await;
        let answer = answer.expect("loading policies does not panic");
        if let Err(rejected) = &answer {
            warn!("policy refused, the last good set stays in force: {rejected}");
            self.announce(
                EventKind::PolicyRejected,
                json!({ "policy": rejected.policy, "reason": rejected.to_string() }),
            );
            *self.rejected.lock() = Some(rejected.to_string());
        }
        answer
    }

    fn reload_blocking(&self, config: &PoliciesConfig, base_dir: &Path) -> Result<Reload, PolicyRejected> {
        let set = self.host.load(config, base_dir)?;
        let present = self.current();
        let same_policies = set.stamps() == present.set.stamps();
        if same_policies && *config == present.config && self.rejected.lock().take().is_none() {
            return Ok(Reload::Unchanged);
        }
        let next = InForce::new(set, config.clone());
        self.put_in_force(&next).map_err(|reason| {
            let source = config.ranker.source.clone();
            PolicyRejected {
                policy: "ranker",
                source,
                file: None,
                reason: format!("it failed on the live backlog: {reason}"),
            }
        })?;
        if !same_policies {
            *self.previous.lock() = Some(present);
        }
        *self.rejected.lock() = None;
        let [ranker, stale_rule, repo_filter] = next.set.stamps();
        info!(ranker = %ranker.source, digest = %ranker.digest, "policies in force");
        self.announce(
            EventKind::PolicyReloaded,
            json!({ "ranker": ranker, "stale_rule": stale_rule, "repo_filter": repo_filter }),
        );
        Ok(Reload::Swapped)
    }

    pub(super) fn note_failure(&self, policies: &InForce, part: &'static str, fault: &PolicyError, instead: &str) {
        let fault = format!("{fault}; {instead}");
        error!("{part} failed: {fault}");
        self.announce(EventKind::PolicyFailed, json!({ "part": part, "reason": fault }));
        policies.note_fault(part, fault);
    }

    fn announce(&self, kind: EventKind, details: serde_json::Value) {
        // A full queue means that the same news is on its way already.
        let _ = self.announcements.try_send(EventDraft::new(kind, self.clock.now(), details));
    }
}

/// Loads a set, with the built-in in place of a ranker or stale rule that cannot be loaded.
fn load_or_stand_in(
    host: &PolicyHost,
    mut config: PoliciesConfig,
    base_dir: &Path,
) -> Result<(PolicySet, Option<String>), PolicyRejected> {
    let mut faults = Vec::new();
    loop {
        let rejected = match host.load(&config, base_dir) {
            Ok(set) => return Ok((set, (!faults.is_empty()).then(|| faults.join("; ")))),
            Err(rejected) => rejected,
        };
        match rejected.policy {
            "ranker" if faults.len() < 2 => config.ranker = PolicyConfig::builtin("rules"),
            "stale_rule" if faults.len() < 2 => config.stale_rule = PolicyConfig::builtin("lease-timeouts"),
            _ => return Err(rejected),
        }
        error!("policy refused, its built-in stands in: {rejected}");
        faults.push(rejected.to_string());
    }
}
