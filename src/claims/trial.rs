//! A candidate on trial: behind the answers the ranker that did not serve is asked what it would have picked. For
//! a shadow that is the candidate; for a canary's agents it is the ranker in force.
//!
//! What it needs is copied where the pick is made, under the same lock, so that both rankers see one state.
//! All else happens here, after the agent has its answer. Requests wait in a bounded queue; those that find it
//! full are counted and let go.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tracing::{error, warn};

use super::ClaimManager;
use super::board::Shortlist;
use super::desk::InForce;
use crate::config::CandidateMode;
use crate::domain::{Decision, Disagreement, PolicyStamp, Preference, Reason, Timestamp, TrialCounts};
use crate::policy::{ChooseRequest, OnTrial, Shortlisted, ViewName};
use crate::store::{StoreError, Trial, TrialBatch, TrialHour};

/// Requests that wait to be looked at; more are counted only.
const QUEUE_COUNT_MAX: usize = 256;
/// Requests that are looked at before their outcome is written.
const BATCH_COUNT_MAX: usize = 64;
/// Terms of a score that a disagreement keeps.
const REASON_COUNT_MAX: usize = 4;
/// Disagreements that one answer tells at most.
const DISAGREEMENT_COUNT_MAX: usize = 50;

/// One request: what the other ranker is to choose from, and what the one that served it put first.
#[derive(Debug)]
pub(super) struct Case {
    policies: Arc<InForce>,
    /// The view of the ranker that did not serve.
    other: ViewName,
    request: ChooseRequest,
    rows: Vec<Shortlisted>,
    /// Whether there was nothing beyond these rows.
    is_whole: bool,
    pub(super) picked: Option<Preference>,
    /// Whether another stood in for the ranker that was to serve it.
    is_stood_in_for: bool,
    at: Timestamp,
}

impl Case {
    /// A case on the first `page` of the `other` view, once the ranker of its own has been asked.
    pub(super) fn new(
        policies: &Arc<InForce>,
        other: ViewName,
        request: ChooseRequest,
        page: Shortlist,
        at: Timestamp,
    ) -> Self {
        let (policies, is_whole) = (Arc::clone(policies), page.next.is_none());
        Self { policies, other, request, rows: page.rows, is_whole, picked: None, is_stood_in_for: false, at }
    }

    /// The same where the ranker that was to serve the request failed.
    pub(super) fn stood_in_for(self) -> Self {
        Self { is_stood_in_for: true, ..self }
    }
}

/// The view of the ranker to which requests in `view` are shown behind the answer, if to any.
pub(super) fn beside(policies: &InForce, view: &ViewName) -> Option<ViewName> {
    let candidate = policies.set.candidate.as_ref().filter(|_| policies.candidate_is_well())?;
    let (main, on_trial) = (ViewName::main(), ViewName::candidate());
    match candidate.mode {
        CandidateMode::Shadow => (*view == main).then_some(on_trial),
        CandidateMode::Canary => (*view == on_trial).then_some(main),
    }
}

/// What a decision puts first.
pub(super) fn preference(decision: &Decision) -> Option<Preference> {
    let row = decision.considered.iter().find(|row| row.passed_over.is_none())?;
    let reasons = weightiest(row.reasons.clone());
    Some(Preference { repo: row.repo.clone(), number: row.number, score: row.score, reasons })
}

/// The terms that say most, in the order in which they were given.
fn weightiest(reasons: Vec<Reason>) -> Vec<Reason> {
    let mut places: Vec<usize> = (0..reasons.len()).collect();
    places.sort_by(|a, b| reasons[*b].amount.abs().total_cmp(&reasons[*a].amount.abs()));
    places.truncate(REASON_COUNT_MAX);
    let is_kept = |(place, reason)| places.contains(&place).then_some(reason);
    reasons.into_iter().enumerate().filter_map(is_kept).collect()
}

/// The way to whoever looks at cases.
#[derive(Debug)]
pub(super) struct Trials {
    queue: mpsc::Sender<Case>,
    dropped: AtomicU64,
}

impl Trials {
    pub(super) fn new() -> (Self, mpsc::Receiver<Case>) {
        let (queue, cases) = mpsc::channel(QUEUE_COUNT_MAX);
        (Self { queue, dropped: AtomicU64::new(0) }, cases)
    }

    /// Hands a case over, or counts that there was one. Never waits.
    pub(super) fn hand_over(&self, case: Case) {
        if self.queue.try_send(case).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// What is told of the candidate.
#[derive(Debug, Serialize, Deserialize, JsonSchema)]
pub struct TrialReport {
    /// What it is.
    pub candidate: OnTrial,
    /// Whether it works: one that failed over and over is left alone until the next edit.
    pub is_well: bool,
    /// All that was counted.
    pub counts: TrialCounts,
    /// Share of requests on which both rankers put the same issue first; left out before the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub agreement: Option<f64>,
    /// The counts by hour, oldest first; hours without requests are left out.
    pub hours: Vec<TrialHour>,
    /// The newest disagreements, newest first.
    pub disagreements: Vec<Disagreement>,
}

impl ClaimManager {
    /// Looks at what is handed over, for ever.
    pub(super) async fn try_continually(self: Arc<Self>, mut queue: mpsc::Receiver<Case>) {
        let mut cases = Vec::with_capacity(BATCH_COUNT_MAX);
        while queue.recv_many(&mut cases, BATCH_COUNT_MAX).await > 0 {
            let (batch, manager) = (std::mem::take(&mut cases), Arc::clone(&self));
            let judged = tokio::task::spawn_blocking(move || manager.judge(batch)).await;
            let batches = judged.unwrap_or_else(|panic| {
                error!("a candidate's trial failed: {panic}");
                Vec::new()
            });
            for batch in batches {
                if let Err(error) = self.store.trial_add(batch).await {
                    warn!("what came of a candidate's trial was not written down: {error}");
                }
            }
        }
    }

    /// What came of some cases, by candidate. Blocking.
    fn judge(&self, cases: Vec<Case>) -> Vec<TrialBatch> {
        let mut outcomes: HashMap<String, (TrialCounts, Vec<Disagreement>)> = HashMap::new();
        let now = self.clock.now();
        for case in cases {
            let Some(candidate) = &case.policies.set.candidate else { continue };
            let (counts, disagreements) = outcomes.entry(key_of(candidate.ranking.main_stamp())).or_default();
            let ask = || self.desk.would_pick(&case.policies, &case.other, &case.request, &case.rows, case.at);
            match if case.is_stood_in_for { None } else { ask() } {
                None => counts.failed += 1,
                // Neither had anything to give: an agent that asks all night proves nothing.
                Some(None) if case.picked.is_none() => {}
                Some(None) if !case.is_whole => counts.undecided += 1,
                Some(first) => {
                    let place = |it: &Preference| (it.repo.clone(), it.number);
                    let would = first.map(|row| &case.rows[row]);
                    let would_place = would.map(|row| (row.facts.issue.repo.clone(), row.facts.issue.number));
                    if would_place == case.picked.as_ref().map(place) {
                        counts.agreed += 1;
                        continue;
                    }
                    counts.disagreed += 1;
                    let would_have_picked = would.map(|row| {
                        let reasons = self.desk.why_it_would(&case.policies, &case.other, row, case.at);
                        let reasons = weightiest(reasons);
                        let issue = &row.facts.issue;
                        Preference { repo: issue.repo.clone(), number: issue.number, score: row.score, reasons }
                    });
                    let (agent_id, picked) = (case.request.agent, case.picked);
                    let by_candidate = case.other == ViewName::main();
                    disagreements.push(Disagreement { at: case.at, agent_id, by_candidate, picked, would_have_picked });
                }
            }
        }
        let mut dropped = self.trials.dropped.swap(0, Ordering::Relaxed);
        let batch = |(candidate, (mut counts, disagreements)): (String, (TrialCounts, Vec<Disagreement>))| {
            counts.dropped += std::mem::take(&mut dropped);
            TrialBatch { candidate, counts, disagreements, now }
        };
        outcomes.into_iter().map(batch).collect()
    }

    /// How the candidate's trial goes; `None` when there is no candidate.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn trial(&self) -> Result<Option<TrialReport>, StoreError> {
        let policies = self.desk.current();
        let Some(candidate) = policies.set.effective(&policies.config, None, None).candidate else { return Ok(None) };
        let Trial { hours, disagreements } =
            self.store.trial_get(key_of(&candidate.ranker), DISAGREEMENT_COUNT_MAX).await?;
        let mut counts = TrialCounts::default();
        hours.iter().for_each(|hour| counts.add(&hour.counts));
        let (is_well, agreement) = (policies.candidate_is_well(), counts.agreement());
        Ok(Some(TrialReport { candidate, is_well, counts, agreement, hours, disagreements }))
    }
}

/// What a candidate's trial is kept under: its components and settings, wherever they came from.
fn key_of(stamp: &PolicyStamp) -> String {
    format!("{}.{}", stamp.digest, stamp.settings_digest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_terms_that_say_most_are_kept_in_their_order() {
        let term = |amount: f64| Reason { rule: amount.to_string(), amount, text: String::new() };
        let kept = weightiest([1.0, 2.0, 0.0, -30.0, 1.0, 4.0, 50.0].map(term).into());
        assert_eq!(kept.iter().map(|term| term.amount).collect::<Vec<_>>(), [2.0, -30.0, 4.0, 50.0]);
    }
}
