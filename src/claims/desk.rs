//! The policies in force: taken once a call, swapped as a whole, never missed when one fails.
//!
//! A policy that fails at work degrades its own part and nothing else: a ranker is stood in for by
//! the built-in one, then by the set that was in force before it; a failing `choose` leaves the order
//! as it was, a failing `choose-work` leaves review feedback first; a failing stale rule touches no
//! claim; a failing repository filter admits nothing new. A stage that filters lets nothing pass while it
//! fails, and a set with such a stage is not stepped back from: the set before may let more pass. A candidate
//! that fails is stood in for by the ranker in force.

mod backlog;
mod door;
mod stand_ins;

pub(super) use backlog::TriedOut;
pub(super) use door::Word;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use serde_json::json;
use tokio::sync::mpsc;
use tracing::{error, info, warn};

use self::stand_ins::load_or_stand_in;
use super::index::Index;
use crate::config::PoliciesConfig;
use crate::domain::{AgentId, Clock, EventDraft, EventKind, PolicyStamp, Timestamp};
use crate::policy::{PolicyError, PolicyHost, PolicyRejected, PolicySet, StageFault, ViewName};

/// Failures in a row after which a policy is stood in for until the next change of the set.
const FAILURE_COUNT_MAX: u32 = 3;
/// Events that wait for the store while policies fail; more are dropped, since they repeat.
pub(super) const ANNOUNCEMENT_COUNT_MAX: usize = 64;

/// One set of policies while it is in force.
#[derive(Debug)]
pub(super) struct InForce {
    pub(super) set: PolicySet,
    /// What it was loaded from, bounds included.
    pub(super) config: PoliciesConfig,
    /// What its relative sources are relative to.
    pub(super) folder: PathBuf,
    /// Whether something in it stands in for what was refused, or failed, when the server started.
    is_stand_in: AtomicBool,
    choose_work_failures: AtomicU32,
    /// Of each view whose ranker failed to score: how often in a row.
    score_failures: Mutex<HashMap<ViewName, u32>>,
    /// Failures of the candidate in a row to choose.
    candidate_choose_failures: AtomicU32,
    /// Whether there are `faults`, for who only wants to know that there are none.
    is_faulty: AtomicBool,
    /// The last fault of each part, for the health page.
    faults: Mutex<Vec<(String, String)>>,
}

impl InForce {
    fn new(set: PolicySet, config: PoliciesConfig, folder: &Path, is_stand_in: bool) -> Arc<Self> {
        Arc::new(Self {
            set,
            config,
            folder: folder.to_owned(),
            is_stand_in: AtomicBool::new(is_stand_in),
            choose_work_failures: AtomicU32::new(0),
            score_failures: Mutex::default(),
            candidate_choose_failures: AtomicU32::new(0),
            is_faulty: AtomicBool::new(false),
            faults: Mutex::default(),
        })
    }

    /// Whether something in it stands in for what was refused when the server started: it is no last good set.
    pub(super) fn is_stand_in(&self) -> bool {
        self.is_stand_in.load(Ordering::Relaxed)
    }

    /// The view that serves an agent. A canary that failed over and over serves nobody until the next edit.
    pub(super) fn view_of(&self, agent: &AgentId) -> ViewName {
        let view = self.set.view_of(agent);
        if view == ViewName::candidate() && !self.candidate_is_well() { ViewName::main() } else { view }
    }

    /// Whether the candidate did not fail over and over.
    pub(super) fn candidate_is_well(&self) -> bool {
        let score_failures = self.score_failures.lock().get(&ViewName::candidate()).copied().unwrap_or(0);
        self.candidate_choose_failures.load(Ordering::Relaxed).max(score_failures) < FAILURE_COUNT_MAX
    }

    /// Notes whether a view's ranker could score; how often in a row it could not.
    fn note_scored(&self, view: &ViewName, is_well: bool) -> u32 {
        let mut failures = self.score_failures.lock();
        if is_well {
            failures.remove(view);
            return 0;
        }
        let count = failures.entry(view.clone()).or_insert(0);
        *count = count.saturating_add(1);
        *count
    }

    /// All is well with a part again.
    pub(super) fn clear_fault(&self, part: &str) {
        if !self.is_faulty.load(Ordering::Relaxed) {
            return;
        }
        let mut faults = self.faults.lock();
        faults.retain(|(known, _)| known != part);
        self.is_faulty.store(!faults.is_empty(), Ordering::Relaxed);
    }

    fn note_fault(&self, part: &str, fault: String) {
        let mut faults = self.faults.lock();
        faults.retain(|(known, _)| known != part);
        faults.push((part.to_owned(), fault));
        self.is_faulty.store(true, Ordering::Relaxed);
    }
}

/// A set that has come in force, and why.
#[derive(Debug)]
pub(super) struct TakenInForce {
    pub(super) policies: Arc<InForce>,
    pub(super) why: String,
    pub(super) at: Timestamp,
}

/// The ranker of a view, in faults and events; with a call of it, if one is named.
fn part_of(view: &ViewName, call: &str) -> String {
    if *view == ViewName::main() {
        format!("ranker{call}")
    } else if *view == ViewName::candidate() {
        format!("candidate{call}")
    } else {
        format!("ranker of {view}{call}")
    }
}

/// The part that a refused policy is of, on the health page.
const POLICIES: &str = "policies";

/// An edit that was refused: what it is about, and why.
#[derive(Debug)]
struct Rejected {
    part: &'static str,
    why: String,
}

/// Where policies are taken from.
#[derive(Debug)]
pub(super) struct Desk {
    host: PolicyHost,
    builtin: PolicySet,
    current: ArcSwap<InForce>,
    previous: Mutex<Option<Arc<InForce>>>,
    rejected: Mutex<Option<Rejected>>,
    reloading: tokio::sync::Mutex<()>,
    /// Held while repositories are shown to a filter, until its verdicts are noted: verdicts of a set
    /// that is no longer in force never come in behind those of the newer one.
    judging: Mutex<()>,
    /// Held while settings are tried that are not in force.
    trying: Mutex<()>,
    index: Arc<Index>,
    clock: Arc<dyn Clock>,
    announcements: mpsc::Sender<EventDraft>,
    /// Tells of every set that comes in force.
    taken: mpsc::Sender<TakenInForce>,
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
    /// that cannot be loaded is stood in for by its built-in, and said to be so. Not so one that must be signed.
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
        taken: mpsc::Sender<TakenInForce>,
    ) -> Result<Self, PolicyRejected> {
        let builtin = host.load(&PoliciesConfig::default(), base_dir)?;
        let (set, config, rejected) = load_or_stand_in(&host, config.clone(), base_dir)?;
        let desk = Self {
            host,
            builtin,
            current: ArcSwap::new(InForce::new(set, config, base_dir, rejected.is_some())),
            previous: Mutex::default(),
            rejected: Mutex::new(rejected.map(|why| Rejected { part: POLICIES, why })),
            reloading: tokio::sync::Mutex::default(),
            judging: Mutex::default(),
            trying: Mutex::default(),
            index,
            clock,
            announcements,
            taken,
        };
        let first = desk.current();
        if let Err(Unfit { view, why }) = desk.put_in_force(&first, "the server started") {
            error!("policies failed on the backlog, as much of them as can stands in force: {why}");
            *desk.rejected.lock() = Some(Rejected { part: POLICIES, why: why.clone() });
            first.is_stand_in.store(true, Ordering::Relaxed);
            if view.is_none() || desk.put_in_force_as_can(&first).is_err() {
                error!("the repository filter failed, nothing is admitted");
                first.note_fault("repo_filter", why);
            }
        }
        Ok(desk)
    }

    /// Where policies are loaded.
    pub(super) fn host(&self) -> PolicyHost {
        self.host.clone()
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
        self.rejected.lock().as_ref().map(|rejected| rejected.why.clone())
    }

    /// The same in one line, after the part that it is about.
    pub(super) fn rejection(&self) -> Option<String> {
        let rejected = self.rejected.lock();
        let line = |why: &str| why.lines().next().unwrap_or_default().trim_end().to_owned();
        rejected.as_ref().map(|rejected| format!("{}: {}", rejected.part, line(&rejected.why)))
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
        *self.rejected.lock() = Some(Rejected { part: "configuration", why });
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
            self.tell_refused(rejected);
            self.announce(
                EventKind::PolicyRejected,
                json!({ "policy": rejected.policy, "reason": rejected.to_string() }),
            );
            *self.rejected.lock() = Some(Rejected { part: POLICIES, why: rejected.to_string() });
        }
        answer
    }

    fn tell_refused(&self, rejected: &PolicyRejected) {
        if !self.current().is_stand_in() {
            warn!("policy refused, the last good set stays in force: {rejected}");
        } else if self.rejected() != Some(rejected.to_string()) {
            // No set was in force before; and what was refused at the start has been told.
            warn!(
                "policy refused, what the server started with stays, built-in where one was refused then: {rejected}"
            );
        }
    }

    fn reload_blocking(&self, config: &PoliciesConfig, base_dir: &Path) -> Result<Reload, PolicyRejected> {
        let set = self.host.load(config, base_dir)?;
        let present = self.current();
        let same_policies = set.is_same_as(&present.set);
        if same_policies && *config == present.config && self.rejected.lock().take().is_none() {
            return Ok(Reload::Unchanged);
        }
        let next = InForce::new(set, config.clone(), base_dir, false);
        self.put_in_force(&next, "the configuration changed").map_err(|unfit| unfit.rejected(config))?;
        if !same_policies {
            *self.previous.lock() = Some(present);
        }
        *self.rejected.lock() = None;
        let [ranker, stale_rule, repo_filter] = next.set.stamps();
        self.announce(
            EventKind::PolicyReloaded,
            json!({ "ranker": ranker, "stale_rule": stale_rule, "repo_filter": repo_filter }),
        );
        Ok(Reload::Swapped)
    }

    pub(super) fn note_failure(&self, policies: &InForce, part: &str, fault: &PolicyError, instead: &str) {
        self.note(policies, part, None, format!("{fault}; {instead}"));
    }

    /// Notes that stages of a ranker failed.
    fn note_stage_failures(&self, policies: &InForce, part: &str, faults: &[StageFault]) {
        for StageFault { stage, error, instead, .. } in faults {
            match stage {
                Some(stage) => self.note(policies, part, Some(stage), format!("stage {stage}: {error}; {instead}")),
                None => self.note(policies, part, None, format!("{error}; {instead}")),
            }
        }
    }

    fn note(&self, policies: &InForce, part: &str, stage: Option<&str>, fault: String) {
        error!("{part} failed: {fault}");
        let mut details = json!({ "part": part, "reason": fault });
        if let Some(stage) = stage {
            details["stage"] = stage.into();
        }
        self.announce(EventKind::PolicyFailed, details);
        policies.note_fault(part, fault);
    }

    fn announce(&self, kind: EventKind, details: serde_json::Value) {
        // A full queue means that the same news is on its way already.
        let _ = self.announcements.try_send(EventDraft::new(kind, self.clock.now(), details));
    }
}

/// Why a set was not put in force: what failed on the live backlog.
#[derive(Debug)]
pub(super) struct Unfit {
    /// The view whose ranker failed; `None` for the repository filter.
    view: Option<ViewName>,
    why: String,
}

impl Unfit {
    fn rejected(self, config: &PoliciesConfig) -> PolicyRejected {
        let (policy, source) = match &self.view {
            None => ("repo_filter", &config.repo_filter.source),
            Some(view) if *view == ViewName::candidate() => {
                ("candidate.ranker", config.candidate.as_ref().map_or(&config.ranker.source, |it| &it.ranker.source))
            }
            Some(_) => ("ranker", &config.ranker.source),
        };
        let reason = format!("it failed on the live backlog: {}", self.why);
        PolicyRejected { policy, source: source.clone(), stage: None, file: None, reason }
    }
}

/// Says in the log what decides from now on.
fn tell_in_force(set: &PolicySet) {
    let [ranker, stale_rule, repo_filter] = set.stamps();
    let short = |digest: &str| digest.get(..12).unwrap_or(digest).to_owned();
    let brief =
        |it: &PolicyStamp| format!("{} {} settings {}", it.source, short(&it.digest), short(&it.settings_digest));
    let allowed = if set.repo_filter.has_allowed() { " and ALLOWED_REPOS" } else { "" };
    info!(
        ranker = %ranker.source, digest = %ranker.digest, settings = %ranker.settings_digest,
        stale_rule = brief(stale_rule), repo_filter = brief(repo_filter) + allowed,
        "policies in force"
    );
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
