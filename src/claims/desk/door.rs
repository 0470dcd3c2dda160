//! Asking the ranker while an agent waits.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::{Desk, FAILURE_COUNT_MAX, InForce};
use crate::domain::{FollowUp, Reason, Timestamp};
use crate::policy::{Choice, ChooseRequest, PolicyError, Shortlisted, WorkChoice};

/// What a ranker does while an agent waits, in faults and events.
const CHOOSE: &str = "ranker.choose";
/// What a ranker may do besides while an agent waits, in faults and events.
const CHOOSE_WORK: &str = "ranker.choose-work";

impl Desk {
    /// Asks the ranker for the order of a short list. `None` when it fails, or failed too often: then the order
    /// by score stands.
    pub(in crate::claims) fn choose(
        &self,
        policies: &InForce,
        request: &ChooseRequest,
        rows: &[Shortlisted],
        now: Timestamp,
    ) -> Option<Choice> {
        let ask = || policies.set.ranker.choose(request, rows, now);
        self.at_the_door(policies, CHOOSE, &policies.choose_failures, "the order by score stands", ask)
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

    /// Asks the ranker for the terms of some scores; none when it fails, or failed too often at the door.
    pub(in crate::claims) fn explain(
        &self,
        policies: &InForce,
        rows: &[Shortlisted],
        now: Timestamp,
    ) -> Vec<Vec<Reason>> {
        if policies.choose_failures.load(Ordering::Relaxed) >= FAILURE_COUNT_MAX {
            return Vec::new();
        }
        policies.set.ranker.explain(rows, now).unwrap_or_else(|fault| {
            policies.choose_failures.fetch_add(1, Ordering::Relaxed);
            self.note_failure(policies, CHOOSE, &fault, "the pick has no reasons");
            Vec::new()
        })
    }
}
