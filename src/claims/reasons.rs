//! What is told and recorded of a pick: the decision, and why there was nothing.

use super::desk::InForce;
use super::next::question;
use super::{ClaimManager, NextRequest};
use crate::domain::{AgentId, Decision, DecisionId, DecisionRow, Empty, Timestamp};
use crate::policy::Shortlisted;

/// Rows of a decision whose reasons are recorded: the pick and what came right behind it.
const EXPLAINED_COUNT: usize = 3;

/// Longest time to ask again that an agent is told, in seconds: a day. More than that nobody plans.
const RETRY_AFTER_SECONDS_MAX: u64 = 24 * 3600;

impl ClaimManager {
    /// Records what the ranker saw and said. One that cannot explain itself leaves the scores.
    pub(super) fn decision_on(
        &self,
        policies: &InForce,
        agent: &AgentId,
        ordered: &[Shortlisted],
        now: Timestamp,
    ) -> Decision {
        let explained = &ordered[..ordered.len().min(EXPLAINED_COUNT)];
        let mut reasons = self.desk.explain(policies, explained, now).into_iter();
        let row = |shortlisted: &Shortlisted| DecisionRow {
            repo: shortlisted.facts.issue.repo.clone(),
            number: shortlisted.facts.issue.number,
            score: shortlisted.score,
            passed_over: None,
            reasons: reasons.next().unwrap_or_default(),
        };
        Decision {
            decision_id: DecisionId::fresh(),
            agent_id: agent.clone(),
            decided_at: now,
            ranker: policies.set.ranker.stamp().clone(),
            considered: ordered.iter().map(row).collect(),
            chosen: None,
        }
    }

    /// Why there is nothing, with the ranker's reasons at the door, and when it says that asking again makes sense.
    pub(super) fn why_nothing(
        &self,
        request: &NextRequest,
        passed_over: Vec<String>,
        retry_after_ms: Option<u64>,
    ) -> Empty {
        let mut empty = self.index.board.read().tally(&question(request));
        empty.is_reading = !self.status.has_synced();
        empty.retry_after_seconds = retry_after_ms.map(|ms| ms.div_ceil(1000).clamp(1, RETRY_AFTER_SECONDS_MAX));
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
