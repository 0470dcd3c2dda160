//! Why there was nothing, and why this: what an agent is told of a pick.

use std::collections::HashMap;

use super::next::question;
use super::order::{Question, SKIP_REASON_COUNT_MAX};
use super::recording::EXPLAINED_COUNT;
use super::{ClaimManager, NextRequest};
use crate::domain::{Decision, DecisionRow, Empty};
use crate::policy::ViewName;

/// Longest time to ask again that an agent is told, in seconds: a day. More than that nobody plans.
const RETRY_AFTER_SECONDS_MAX: u64 = 24 * 3600;

impl ClaimManager {
    /// Why there is nothing, with the ranker's reasons at the door, and when it says that asking again makes sense.
    pub(super) fn why_nothing(
        &self,
        view: &ViewName,
        request: &NextRequest,
        passed_over: Vec<String>,
        retry_after_ms: Option<u64>,
    ) -> Empty {
        let question = question(request);
        let mut empty = {
            let board = self.index.board.read();
            let empty = board.tally(view, &question);
            let is_narrowed = question.repo.is_some() || question.label.is_some() || question.milestone.is_some();
            let in_all = match empty.open == 0 && is_narrowed {
                true => board.tally(view, &Question::default()).open,
                false => 0,
            };
            Empty { in_all, ..empty }
        };
        empty.is_reading = !self.status.has_synced();
        empty.retry_after_seconds = retry_after_ms.map(|ms| ms.div_ceil(1000).clamp(1, RETRY_AFTER_SECONDS_MAX));
        empty.skipped += passed_over.len();
        empty.skip_reasons.splice(0..0, counted(passed_over));
        empty.skip_reasons.truncate(SKIP_REASON_COUNT_MAX);
        empty
    }
}

/// How often each reason was given, the most frequent first. What the agent itself runs into comes before what
/// holds for everybody.
fn counted(reasons: Vec<String>) -> Vec<(String, usize)> {
    let mut counts: HashMap<String, usize> = HashMap::new();
    for reason in reasons {
        *counts.entry(reason).or_default() += 1;
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    counts.truncate(SKIP_REASON_COUNT_MAX);
    counts
}

/// The rows of a decision whose reasons were asked for.
pub(super) fn explained_rows(decision: Option<&Decision>) -> Vec<DecisionRow> {
    decision.map(|decision| decision.considered.iter().take(EXPLAINED_COUNT).cloned().collect()).unwrap_or_default()
}
