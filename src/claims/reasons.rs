//! What is told and recorded of a pick: the decision, and why there was nothing.

use super::desk::InForce;
use super::next::question;
use super::{ClaimManager, NextRequest};
use crate::domain::{AgentId, Decision, DecisionId, DecisionRow, Empty, Timestamp};
use crate::policy::{Shortlisted, ViewName};

/// Rows of a decision whose reasons are recorded: the pick and what came right behind it.
const EXPLAINED_COUNT: usize = 3;

impl ClaimManager {
    /// Records what the ranker saw and said. One that cannot explain itself leaves the scores.
    pub(super) fn decision_on(
        &self,
        policies: &InForce,
        view: &ViewName,
        agent: &AgentId,
        ordered: &[Shortlisted],
        now: Timestamp,
    ) -> Decision {
        let explained = &ordered[..ordered.len().min(EXPLAINED_COUNT)];
        let mut reasons = self.desk.explain(policies, view, explained, now).into_iter();
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
            ranker: policies.set.ranking_of(view).stamp().clone(),
            considered: ordered.iter().map(row).collect(),
            chosen: None,
        }
    }

    pub(super) fn why_nothing(&self, view: &ViewName, request: &NextRequest, passed_over: Vec<String>) -> Empty {
        let mut empty = self.index.board.read().tally(view, &question(request));
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
