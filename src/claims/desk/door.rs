//! Asking the ranker while an agent waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Desk, FAILURE_COUNT_MAX, InForce, part_of};
use crate::domain::{FollowUp, Reason, RepoName, Timestamp};
use crate::policy::{Choice, ChooseRequest, Closed, PolicyError, Shortlisted, ViewName, WorkChoice};

/// What a ranker may do besides while an agent waits, in faults and events.
const CHOOSE_WORK: &str = "ranker.choose-work";

/// What came of asking a ranker for the order of a short list.
#[derive(Debug, PartialEq, Eq)]
pub(in crate::claims) enum Word {
    /// Its answer.
    Said(Choice),
    /// None, since it fails, or failed too often: the order by score stands.
    ByScore,
    /// The same of a candidate: the ranker in force is to be asked, of its own view. One that rests serves nobody:
    /// its caps would not hold, nor those of the ranker in force.
    StoodInFor,
}

impl Word {
    /// The answer, if there is one.
    pub(in crate::claims) fn choice(&self) -> Option<&Choice> {
        if let Self::Said(choice) = self { Some(choice) } else { None }
    }
}

impl Desk {
    /// Asks the ranker of a view for the order of a short list.
    pub(in crate::claims) fn choose(
        &self,
        policies: &InForce,
        view: &ViewName,
        request: &ChooseRequest,
        rows: &[Shortlisted],
        now: Timestamp,
    ) -> Word {
        let ranking = policies.set.ranking_of(view);
        let (choice, troubles) = ranking.choose_at_work(request, rows, now);
        self.note_stage_failures(policies, &part_of(view, ".choose"), &troubles.faults);
        // A stage that failed before, and was not needed this time, is not well for that; the answer stands.
        let (is_whole, is_well) = (troubles.is_none(), !ranking.is_troubled());
        if *view == ViewName::candidate() {
            let failures = &policies.candidate_choose_failures;
            if !is_whole {
                failures.fetch_add(u32::from(!troubles.faults.is_empty()), Ordering::Relaxed);
                return Word::StoodInFor;
            }
            if is_well {
                failures.store(0, Ordering::Relaxed);
            }
        }
        if is_well && policies.is_faulty.load(Ordering::Relaxed) {
            policies.clear_fault(&part_of(view, ".choose"));
        }
        if is_whole || choice != Choice::keep(rows.len()) { Word::Said(choice) } else { Word::ByScore }
    }

    /// Why a view has nothing for anybody now, whatever there is, if so: a filter that failed over and over is
    /// left alone. For a candidate the ranker in force stands in.
    pub(in crate::claims) fn closed(
        &self,
        policies: &InForce,
        view: &ViewName,
        repo: Option<&RepoName>,
        now: Timestamp,
    ) -> Option<Closed> {
        let closed = policies.set.ranking_of(view).closed(repo, now)?;
        if *view == ViewName::candidate() { policies.set.ranker.closed(repo, now) } else { Some(closed) }
    }

    /// What the ranker of a view would put first, if anything; `None` when it fails. Nobody waits for it, so it
    /// is no fault of the ranker in force that it fails here: what serves agents says for itself how it does.
    pub(in crate::claims) fn would_pick(
        &self,
        policies: &InForce,
        view: &ViewName,
        request: &ChooseRequest,
        rows: &[Shortlisted],
        now: Timestamp,
    ) -> Option<Option<usize>> {
        let (choice, faults) = policies.set.ranking_of(view).choose_on_trial(request, rows, now);
        if *view == ViewName::candidate() {
            let part = part_of(view, ".choose");
            self.note_stage_failures(policies, &part, &faults);
            if choice.is_some() {
                policies.clear_fault(&part);
            }
        }
        Some(choice?.order.first().copied())
    }

    /// Asks the ranker when the review feedback on offer comes. When it fails, or failed too often, or has
    /// no say in it, all of it comes before issues.
    pub(in crate::claims) fn choose_work(
        &self,
        policies: &InForce,
        request: &ChooseRequest,
        rows: &[Arc<FollowUp>],
        now: Timestamp,
    ) -> WorkChoice {
        let ask = || policies.set.ranker.choose_work(request, rows, now);
        self.at_the_door(policies, CHOOSE_WORK, &policies.choose_work_failures, "review feedback comes first", ask)
            .unwrap_or_else(|| WorkChoice::feedback_first(rows.len()))
    }

    /// Asks a policy while an agent waits; `None` when it fails, or failed too often in a row.
    fn at_the_door<A>(
        &self,
        policies: &InForce,
        part: &'static str,
        failures: &AtomicU32,
        instead: &str,
        ask: impl FnOnce() -> Result<A, PolicyError>,
    ) -> Option<A> {
        if failures.load(Ordering::Relaxed) >= FAILURE_COUNT_MAX {
            return None;
        }
        match ask() {
            Ok(answer) => {
                if failures.swap(0, Ordering::Relaxed) > 0 {
                    policies.clear_fault(part);
                }
                Some(answer)
            }
            Err(fault) => {
                failures.fetch_add(1, Ordering::Relaxed);
                self.note_failure(policies, part, &fault, instead);
                None
            }
        }
    }

    /// Every reason for which the ranker of a view skips an issue. Nobody waits for it but people.
    pub(in crate::claims) fn skips(
        &self,
        policies: &InForce,
        view: &ViewName,
        row: &Shortlisted,
        now: Timestamp,
    ) -> Vec<String> {
        policies.set.ranking_of(view).skips(row, now)
    }

    /// The terms of the score of what [`Desk::would_pick`] picked; none when its ranker fails.
    pub(in crate::claims) fn why_it_would(
        &self,
        policies: &InForce,
        view: &ViewName,
        row: &Shortlisted,
        now: Timestamp,
    ) -> Vec<Reason> {
        let said = policies.set.ranking_of(view).explain_on_trial(std::slice::from_ref(row), now);
        if let (Some(Err(fault)), true) = (&said, *view == ViewName::candidate()) {
            self.note_failure(policies, &part_of(view, ".explain"), fault, "the pick has no reasons");
        }
        said.and_then(Result::ok).into_iter().flatten().flatten().collect()
    }

    /// Asks the ranker of a view for the terms of some scores; none when it fails, or failed too often.
    pub(in crate::claims) fn explain(
        &self,
        policies: &InForce,
        view: &ViewName,
        rows: &[Shortlisted],
        now: Timestamp,
    ) -> Vec<Vec<Reason>> {
        match policies.set.ranking_of(view).explain_at_work(rows, now) {
            Some(Ok(reasons)) => reasons,
            None => Vec::new(),
            Some(Err(fault)) => {
                self.note_failure(policies, &part_of(view, ".explain"), &fault, "the pick has no reasons");
                Vec::new()
            }
        }
    }
}
