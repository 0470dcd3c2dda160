//! Replays that a server makes of its own recorded decisions: one at a time, bounded, the last few reports kept for as
//! long as the server runs.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::{Contender, DecisionTexts, DecisionsReport, replay_decisions};
use crate::claims::ClaimManager;
use crate::config::PoliciesConfig;
use crate::domain::{Decision, Timestamp};
use crate::policy::BodySource;
use crate::store::DecisionFilter;

/// Decisions that one replay looks at, at most: each is held whole, with its issues.
pub const OWN_DECISION_COUNT_MAX: usize = 1_000;
/// Time after which no further decision is begun.
const LENGTH_MAX: Duration = Duration::from_secs(30);
/// Reports that are kept.
const REPORT_COUNT_MAX: usize = 5;

/// The last reports, and whose turn it is to make one.
#[derive(Debug, Default)]
pub struct OwnReplays {
    turn: tokio::sync::Mutex<()>,
    kept: Mutex<VecDeque<Arc<OwnReplay>>>,
}

/// One report.
#[derive(Debug)]
pub struct OwnReplay {
    /// When it was begun.
    pub at: Timestamp,
    /// By whose word.
    pub by: String,
    /// How many decisions it was to look at; more than it did where its time was over before.
    pub wanted: usize,
    /// What came of it.
    pub report: DecisionsReport,
}

impl OwnReplays {
    /// The last reports, newest first.
    pub fn kept(&self) -> Vec<Arc<OwnReplay>> {
        self.kept.lock().iter().cloned().collect()
    }

    /// Asks the ranker in force and the one on trial what they make of the newest `count` recorded decisions, off the
    /// threads that answer requests; the report is kept.
    ///
    /// # Errors
    /// Why there is none, in a sentence: another is being made, nothing is recorded, or a policy fails.
    pub async fn make(&self, manager: &ClaimManager, count: usize, by: String) -> Result<(), String> {
        let Ok(_turn) = self.turn.try_lock() else {
            return Err("another replay is under way: its report will stand here in a moment".into());
        };
        let at = manager.now();
        let decisions = newest(manager, count).await?;
        let (config, folder) = manager.policies_in_force();
        let host = manager.policy_host();
        let wanted = decisions.len();
        let work = move || -> Result<DecisionsReport, String> {
            let texts = Arc::new(DecisionTexts::default());
            let host = host.reading_bodies_from(Arc::clone(&texts) as Arc<dyn BodySource>);
            let load = |(name, config)| Contender::new(name, config, &folder, host.clone());
            let contenders: Result<Vec<_>, _> = contenders(config).into_iter().map(load).collect();
            let contenders = contenders.map_err(|refused| refused.to_string())?;
            let begun = Instant::now();
            let has_time = |_| begun.elapsed() < LENGTH_MAX;
            replay_decisions(&decisions, &contenders, &texts, &has_time).map_err(|failed| failed.to_string())
        };
        let made = tokio::task::spawn_blocking(work).await;
        let report = made.map_err(|_| "the replay failed; the server's log says where".to_owned())??;
        let mut kept = self.kept.lock();
        kept.push_front(Arc::new(OwnReplay { at, by, wanted, report }));
        kept.truncate(REPORT_COUNT_MAX);
        Ok(())
    }
}

/// The ranker in force, and the one on trial in its place.
fn contenders(config: PoliciesConfig) -> Vec<(String, PoliciesConfig)> {
    let candidate = config.candidate.clone();
    let in_force = (format!("{} (in force)", config.ranker.source), config.clone());
    let on_trial = candidate.map(|candidate| {
        let name = format!("{} (on trial)", candidate.ranker.source);
        (name, PoliciesConfig { ranker: candidate.ranker, ..config })
    });
    [Some(in_force), on_trial].into_iter().flatten().collect()
}

/// The newest recorded decisions, whole, the oldest of them first.
async fn newest(manager: &ClaimManager, count: usize) -> Result<Vec<Decision>, String> {
    let failed = |error: crate::claims::ManagerError| format!("the recorded decisions could not be read: {error}");
    let count = count.clamp(1, OWN_DECISION_COUNT_MAX);
    let listed = manager.decisions(DecisionFilter::default(), count).await.map_err(failed)?;
    let mut decisions = Vec::with_capacity(listed.len());
    for decision in listed.iter().rev() {
        // One that was forgotten in between is one less.
        decisions.extend(manager.decision(decision.decision_id).await.map_err(failed)?);
    }
    if decisions.is_empty() {
        return Err(
            "no decision is recorded: agents that ask for work leave them, unless store.decision_max_entries is 0"
                .into(),
        );
    }
    Ok(decisions)
}
