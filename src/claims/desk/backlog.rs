//! Judging, scoring and ordering, off the request path: the whole backlog for a new set of policies, and
//! what changed since for the one in force.

use std::sync::Arc;

use parking_lot::RwLockWriteGuard;
use serde_json::{Map, Value};
use tracing::{error, warn};

use super::super::order::Slot;
use super::super::plan::{Backlog, Plan};
use super::{Desk, FAILURE_COUNT_MAX, InForce, TakenInForce, Unfit, part_of, tell_in_force};
use crate::config::PoliciesConfig;
use crate::domain::{Repo, Timestamp};
use crate::policy::{IssueRows, PolicyError, PolicySet, Ranking, Scored, ViewName};

/// Issues scored by one call of a ranker off the request path.
const SCORE_BATCH_COUNT: usize = 256;
/// The repository filter, in faults and events.
const FILTER: &str = "repo_filter";

/// The backlog as other settings would order it.
pub(in crate::claims) struct TriedOut {
    /// The policies with those settings.
    pub(in crate::claims) set: PolicySet,
    pub(in crate::claims) plan: Plan,
    /// What is on offer in the default view, by the settings in force, best first.
    pub(in crate::claims) before: Vec<Slot>,
}

impl Desk {
    /// Judges, scores and orders the whole backlog by `next`, then swaps order and set at once. Everything in
    /// the set must work on it.
    pub(super) fn put_in_force(&self, next: &Arc<InForce>, why: &str) -> Result<(), Unfit> {
        self.swap(next, |ranking, _, facts, now| ranking.score(facts, now))?;
        let taken = TakenInForce { policies: Arc::clone(next), why: why.to_owned(), at: self.clock.now() };
        if self.taken.try_send(taken).is_err() {
            warn!("a set of policies came in force that will not be in the history: too many came at once");
        }
        Ok(())
    }

    /// The same for a set without an alternative: what fails is stood in for, and tried again later.
    pub(super) fn put_in_force_as_can(&self, next: &Arc<InForce>) -> Result<(), Unfit> {
        self.swap(next, |_, view, facts, now| Ok(self.score(next, view, facts, now)))
    }

    fn swap(
        &self,
        next: &Arc<InForce>,
        score: impl Fn(&Ranking, &ViewName, &IssueRows, Timestamp) -> Result<Vec<Scored>, PolicyError>,
    ) -> Result<(), Unfit> {
        let _one_at_a_time = self.judging.lock();
        let backlog = self.take_backlog();
        let now = self.clock.now();
        let judged = next.set.repo_filter.exclude(&backlog.repos);
        let judged = judged.map_err(|fault| Unfit { view: None, why: fault.to_string() });
        let scored: Result<Vec<_>, Unfit> = next
            .set
            .rankings()
            .map(|(view, ranking)| match score(ranking, &view, &backlog.facts, now) {
                Ok(scores) => Ok((view, scores)),
                Err(fault) => Err(Unfit { view: Some(view), why: fault.to_string() }),
            })
            .collect();
        match (judged, scored) {
            (Ok(exclusions), Ok(scores)) => {
                let plan = backlog.plan(scores, exclusions);
                let replaced = {
                    let mut board = self.index.board.write();
                    self.current.store(Arc::clone(next));
                    board.put_in_force(plan)
                };
                drop(replaced);
                tell_in_force(&next.set);
                for unchecked in next.set.settings_unchecked() {
                    warn!("{unchecked}");
                }
                self.index.work.notify_one();
                Ok(())
            }
            (Err(unfit), _) | (_, Err(unfit)) => {
                self.index.board.write().drop_backlog();
                Err(unfit)
            }
        }
    }

    /// Orders the whole backlog by a ranker that is told `settings`, with everything else as it is in force, and changes
    /// nothing.
    pub(in crate::claims) fn try_out(&self, settings: Map<String, Value>) -> Result<TriedOut, String> {
        let Some(_one_at_a_time) = self.trying.try_lock() else {
            return Err("somebody else's settings are being tried; try again in a moment".into());
        };
        let present = self.current();
        let mut config = PoliciesConfig { candidate: None, ..present.config.clone() };
        config.ranker.base.settings = settings;
        let set =
            self.host.for_trying().load(&config, &present.folder).map_err(|refused| refused.of_typed_settings())?;
        if set.ranker.main_stamp().digest != present.set.ranker.main_stamp().digest {
            return Err("the ranker's file is another one than the ranker in force: nothing was tried".into());
        }
        let (backlog, before) = {
            let _one_at_a_time = self.judging.lock();
            let backlog = self.take_backlog();
            let mut board = self.index.board.write();
            board.drop_backlog();
            (backlog, board.on_offer())
        };
        let scores = set.ranker.score(&backlog.facts, self.clock.now()).map_err(|fault| fault.to_string())?;
        let exclusions = {
            let board = self.index.board.read();
            let exclusion = |repo: &Repo| board.exclusion(&repo.full_name).map(|why| why.to_string());
            backlog.repos.iter().map(exclusion).collect()
        };
        Ok(TriedOut { set, plan: backlog.plan(vec![(ViewName::main(), scores)], exclusions), before })
    }

    /// Copies the backlog, part after part. In between the board is everybody else's.
    fn take_backlog(&self) -> Backlog {
        let board = &self.index.board;
        let outdated = board.write().take_outdated();
        drop(outdated);
        let mut backlog = board.write().begin_backlog();
        loop {
            let mut part = board.write();
            let is_all = !part.take_block(&mut backlog);
            RwLockWriteGuard::unlock_fair(part);
            if is_all {
                return backlog;
            }
        }
    }

    /// Works off what waits for a policy: repositories for the filter, issues for a score. Blocking.
    pub(in crate::claims) fn work_off(&self) {
        let outdated = self.index.board.write().take_outdated();
        drop(outdated);
        loop {
            self.judge_pending();
            let policies = self.current();
            let now = self.clock.now();
            let Some(batch) = self.index.board.write().take_unscored(SCORE_BATCH_COUNT, now) else { return };
            let scores = self.score(&policies, &batch.view, &batch.facts, now);
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

    /// Scores issues in a view; there is always an answer.
    fn score(&self, policies: &InForce, view: &ViewName, facts: &IssueRows, now: Timestamp) -> Vec<Scored> {
        let is_candidate = *view == ViewName::candidate();
        let stand_in = |facts: &IssueRows| {
            let (instead, name) = match is_candidate {
                true => (&policies.set.ranker, "ranker in force"),
                false => (&self.builtin.ranker, "built-in ranker"),
            };
            instead.score(facts, now).unwrap_or_else(|fault| {
                error!("the {name} failed while it stood in: {fault}");
                vec![Scored::stand_in(0.0); facts.len()]
            })
        };
        let (scores, faults) = policies.set.ranking_of(view).score_at_work(facts, now, &stand_in);
        let part = part_of(view, "");
        if faults.is_empty() {
            policies.note_scored(view, true);
            policies.clear_fault(&part);
            return scores;
        }
        self.note_stage_failures(policies, &part, &faults);
        // A chain whose base works is still better than the set before.
        if is_candidate || faults.iter().any(|fault| fault.is_base) {
            let is_over_and_over = policies.note_scored(view, false) == FAILURE_COUNT_MAX;
            if is_over_and_over && !is_candidate {
                self.step_back(policies);
            }
        }
        scores
    }

    /// Puts the set before this one back in force, if there is one that can score the backlog. A set with a
    /// stage that filters is kept: the one before may let pass what must not.
    pub(super) fn step_back(&self, failing: &InForce) {
        // A newer edit is in force already: that is the better mend.
        if !std::ptr::eq(Arc::as_ptr(&self.current()), failing)
            || failing.set.rankings().any(|(_, ranking)| ranking.has_filter())
        {
            return;
        }
        let Some(previous) = self.previous.lock().take() else { return };
        let [ranker, ..] = failing.set.stamps();
        let why =
            format!("{} failed {FAILURE_COUNT_MAX} times in a row; the set before it is back in force", ranker.source);
        if self.put_in_force(&previous, &why).is_ok() {
            self.note_rejected(why);
        }
    }
}
