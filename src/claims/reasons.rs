//! Why there was nothing, and why this: what an agent is told of a pick.

use super::next::question;
use super::recording::EXPLAINED_COUNT;
use super::{ClaimManager, NextRequest};
use crate::domain::{Decision, DecisionRow, Empty};

impl ClaimManager {
    pub(super) fn why_nothing(&self, request: &NextRequest, passed_over: Vec<String>) -> Empty {
        let mut empty = self.index.board.read().tally(&question(request));
        empty.is_reading = !self.status.has_synced();
        for reason in passed_over {
            empty.skipped += 1;
            match empty.skip_reasons.iter_mut().find(|(known, _)| *known == reason) {
                Some((_, count)) => *count += 1,
                None => empty.skip_reasons.insert(0, (reason, 1)),
            }
        }
        empty
    }
}

/// The rows of a decision whose reasons were asked for.
pub(super) fn explained_rows(decision: Option<&Decision>) -> Vec<DecisionRow> {
    decision.map(|decision| decision.considered.iter().take(EXPLAINED_COUNT).cloned().collect()).unwrap_or_default()
}
