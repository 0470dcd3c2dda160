//! Judging, scoring and ordering, off the request path: the whole backlog for a new set of policies, and
//! what changed since for the one in force.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use chrono::TimeDelta;
use tracing::error;

use super::{Desk, FAILURE_COUNT_MAX, InForce};
use crate::domain::{IssueFacts, Timestamp};
use crate::policy::Scored;

/// Issues scored by one call of a ranker off the request path.
const SCORE_BATCH_COUNT: usize = 256;
/// How long a score holds that a stand-in gave: then the ranker itself is asked again.
const STAND_IN_SCORE: TimeDelta = TimeDelta::seconds(60);
/// The repository filter, in faults and events.
const FILTER: &str = "repo_filter";

impl Desk {
    /// Judges, scores and orders the whole backlog by `next`, then swaps order and set at once.
    pub(super) fn put_in_force(&self, next: &Arc<InForce>) -> Result<(), String> {
        let _one_at_a_time = self.judging.lock();
        let backlog = self.index.board.write().take_backlog();
        let judged = next.set.repo_filter.exclude(&backlog.repos);
        let scored = next.set.ranker.score(&backlog.facts, self.clock.now());
        match (judged, scored) {
            (Ok(exclusions), Ok(scores)) => {
                let plan = backlog.plan(scores, exclusions);
                let replaced = {
                    let mut board = self.index.board.write();
                    self.current.store(Arc::clone(next));
                    board.put_in_force(plan)
                };
                drop(replaced);
                self.index.work.notify_one();
                Ok(())
            }
            (Err(fault), _) | (_, Err(fault)) => {
                self.index.board.write().drop_backlog();
                Err(fault.to_string())
            }
        }
    }

    /// Works off what waits for a policy: repositories for the filter, issues for a score. Blocking.
    pub(in crate::claims) fn work_off(&self) {
        loop {
            self.judge_pending();
            let policies = self.current();
            let now = self.clock.now();
            let batch = self.index.board.write().take_unscored(SCORE_BATCH_COUNT, now);
            if batch.facts.is_empty() {
                return;
            }
            let scores = self.score(&policies, &batch.facts, now);
            self.index.board.write().note_scores(batch, scores);
        }
    }

    /// Shows the filter the repositories that it has yet to see. When this returns all of them are
    /// judged, by whomever. Blocking, and brief.
    pub(in crate::claims) fn judge_pending(&self) {
        let _one_at_a_time = self.judging.lock();
        let repos = self.index.board.write().take_unjudged();
        if repos.is_empty() {
            return;
        }
        let policies = self.current();
        match policies.set.repo_filter.exclude(&repos) {
            Ok(exclusions) => {
                policies.clear_fault(FILTER);
                let names = repos.into_iter().map(|repo| repo.full_name);
                let verdicts = names.zip(exclusions.into_iter().map(|why| why.map(Arc::from)));
                self.index.board.write().note_exclusions(verdicts);
            }
            Err(fault) => {
                self.note_failure(&policies, FILTER, &fault, "nothing new is admitted");
                self.index.board.write().put_back_unjudged(repos);
            }
        }
    }

    fn score(&self, policies: &InForce, facts: &[Arc<IssueFacts>], now: Timestamp) -> Vec<Scored> {
        match policies.set.ranker.score(facts, now) {
            Ok(scores) => {
                if policies.score_failures.swap(0, Ordering::Relaxed) > 0 {
                    policies.clear_fault("ranker");
                }
                scores
            }
            Err(fault) => {
                self.note_failure(policies, "ranker", &fault, "the built-in order stands in");
                if policies.score_failures.fetch_add(1, Ordering::Relaxed) + 1 == FAILURE_COUNT_MAX {
                    self.step_back(policies);
                }
                let mut scores = self.builtin.ranker.score(facts, now).unwrap_or_else(|fault| {
                    error!("the built-in ranker failed: {fault}");
                    facts
                        .iter()
                        .map(|_| Scored { value: 0.0, valid_until: None, skip: None, scored_at: None })
                        .collect()
                });
                for scored in &mut scores {
                    (scored.valid_until, scored.scored_at) = (Some(now + STAND_IN_SCORE), None);
                }
                scores
            }
        }
    }

    /// Puts the set before this one back in force, if there is one that can score the backlog.
    fn step_back(&self, failing: &InForce) {
        // A newer edit is in force already: that is the better mend.
        if !std::ptr::eq(Arc::as_ptr(&self.current()), failing) {
            return;
        }
        let Some(previous) = self.previous.lock().take() else { return };
        if self.put_in_force(&previous).is_ok() {
            let [ranker, ..] = failing.set.stamps();
            let why = format!(
                "{} failed {FAILURE_COUNT_MAX} times in a row; the set before it is back in force",
                ranker.source
            );
            self.note_rejected(why);
        }
    }
}
