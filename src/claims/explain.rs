//! Why an issue was given out, or was not: asked of the board, of the policies in force, and of what is recorded.

use std::sync::Arc;

use super::asking::chooser;
use super::board::Position;
use super::desk::{InForce, Word};
use super::explanation::{DecisionSummary, Explanation, Holder, IssueStanding, NotChosen, Rival};
use super::order::Standing;
use super::service::blocking;
use super::{ClaimManager, ManagerError, NextRequest};
use crate::domain::{AgentId, Claim, Decision, DecisionId, IssueRef, IssueState, Skills, Timestamp};
use crate::policy::{Shortlisted, ViewName};
use crate::store::DecisionFilter;

/// The first issues on offer whose scores are explained beside the issue asked about: a page of bars.
const FIRST_COUNT: usize = 5;
/// The best issues on offer that a ranker is shown with the issue, to learn whether it keeps it from an agent.
const SHOWN_COUNT: usize = 31;
/// Decisions told in which the issue was considered and not given out.
const NOT_CHOSEN_COUNT: usize = 5;

impl ClaimManager {
    /// Why an issue was given out, or was not, and what it would take; for `agent` with these `skills`, where one
    /// is named.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn explain(
        &self,
        issue: IssueRef,
        agent: Option<AgentId>,
        skills: Skills,
    ) -> Result<Explanation, ManagerError> {
        let (policies, now) = (self.desk.current(), self.clock.now());
        let view = agent.as_ref().map_or_else(ViewName::main, |agent| policies.view_of(agent));
        let (position, exclusion, holder, is_repo_known, is_first_sync_due) = {
            let board = self.index.board.read();
            let holder = board.claim_on(&issue).map(|claim| holder(claim));
            let is_first_sync_due = self.status.is_reading() || board.knows_nothing();
            let (position, exclusion) = (board.position(&view, &issue, SHOWN_COUNT), board.exclusion(&issue.repo));
            (position, exclusion, holder, board.knows(&issue.repo), is_first_sync_due)
        };
        let stamp = policies.set.ranking_of(&view).stamp_for(Some(&issue.repo)).clone();
        let mut explanation = Explanation::begun(issue.clone(), agent, now, stamp);
        explanation.rejected = self.desk.rejected();
        explanation.stands_in = explanation.rejected.is_some() && policies.is_stand_in();
        explanation.held_by = holder;
        match position {
            _ if !is_repo_known && is_first_sync_due => explanation.standing = IssueStanding::NotReadYet,
            // Nothing is told of a repository that takes no part, but that it does not.
            _ if exclusion.is_some() => explanation.standing = IssueStanding::NotAdmitted,
            Some(position) => {
                blocking(|| self.place(&policies, &view, &mut explanation, position, skills, now));
            }
            None => {
                if let Some(known) = self.store.issue_get(issue.clone()).await? {
                    explanation.title = Some(known.title);
                    if known.state == IssueState::Closed {
                        explanation.standing = IssueStanding::Closed;
                    }
                } else if is_first_sync_due {
                    explanation.standing = IssueStanding::NotReadYet;
                }
            }
        }
        let chosen = DecisionFilter { chosen: Some(issue.clone()), ..DecisionFilter::default() };
        let given_out = self.store.decision_list(chosen, 1).await?;
        explanation.given_out = given_out.first().map(DecisionSummary::of);
        let considered = DecisionFilter { considered: Some(issue.clone()), ..DecisionFilter::default() };
        let considered = self.store.decision_list(considered, NOT_CHOSEN_COUNT + 1).await?;
        let not_chosen = considered.iter().filter_map(|decision| NotChosen::of(decision, &issue));
        explanation.not_chosen = not_chosen.take(NOT_CHOSEN_COUNT).collect();
        Ok(explanation.summed_up(exclusion.as_deref()))
    }

    /// Tells where an open issue stands. Asks policies, which may take their time.
    fn place(
        &self,
        policies: &InForce,
        view: &ViewName,
        explanation: &mut Explanation,
        position: Position,
        skills: Skills,
        now: Timestamp,
    ) {
        let Position { own, is_scored, standing, rank, ready_count, best } = position;
        let first: Vec<_> = best.rows.iter().take(FIRST_COUNT).cloned().collect();
        explanation.title = Some(own.facts.title.to_string());
        explanation.open_blockers = own.facts.open_blockers.iter().map(ToString::to_string).collect();
        explanation.score = is_scored.then_some(own.score);
        (explanation.rank, explanation.ready_count) = (rank, ready_count);
        explanation.points_missing = first.first().filter(|_| rank.is_some()).map(|best| best.score - own.score);
        explanation.standing = match standing {
            Standing::Ready(_) => IssueStanding::OnOffer,
            Standing::Unscored => IssueStanding::Unscored,
            Standing::Skipped(reason) => {
                let reason = reason.to_string();
                let others = self.desk.skips(policies, view, &own, now).into_iter().filter(|why| *why != reason);
                explanation.skip_reasons = [reason.clone()].into_iter().chain(others).collect();
                explanation.kept_back_because = Some(reason);
                IssueStanding::Skipped
            }
            Standing::Claimed => IssueStanding::Held,
            Standing::Finished => IssueStanding::Finished,
            Standing::NotAdmitted => IssueStanding::NotAdmitted,
        };
        if let (IssueStanding::OnOffer, Some(agent)) = (explanation.standing, &explanation.agent_id)
            && let Some(reason) = self.kept_from(policies, view, &asking(agent, skills), &best.rows, &own, now)
        {
            explanation.standing = IssueStanding::PassedOver;
            explanation.kept_back_because = Some(reason);
        }
        // Where something else decides, its word is not asked for.
        if matches!(explanation.standing, IssueStanding::OnOffer | IssueStanding::PassedOver | IssueStanding::Skipped) {
            let asked_again = policies.set.ranking_of(view).score(vec![Arc::clone(&own.facts)], now);
            explanation.policy_fault = asked_again.err().map(|fault| fault.to_string());
        }
        let rows: Vec<_> = std::iter::once(own).filter(|_| is_scored).chain(first).collect();
        let mut reasons = self.desk.explain(policies, view, &rows, now).into_iter();
        if is_scored {
            explanation.reasons = reasons.next().unwrap_or_default();
        }
        let rival = |row: &Shortlisted| Rival::of(row, reasons.next().unwrap_or_default());
        explanation.first = rows[usize::from(is_scored)..].iter().map(rival).collect();
    }

    /// Why the ranker keeps an issue on offer from an agent, if it does.
    fn kept_from(
        &self,
        policies: &InForce,
        view: &ViewName,
        request: &NextRequest,
        best: &[Shortlisted],
        own: &Shortlisted,
        now: Timestamp,
    ) -> Option<String> {
        let mut rows = best.to_vec();
        let place = rows.iter().position(|row| row.facts.issue == own.facts.issue).unwrap_or_else(|| {
            rows.push(own.clone());
            rows.len() - 1
        });
        let asked = chooser(&self.index.board.read(), &self.groups.load().of(&request.agent), request, &rows);
        let word = match self.desk.choose(policies, view, &asked, &rows, now) {
            Word::StoodInFor => self.desk.choose(policies, &ViewName::main(), &asked, &rows, now),
            word => word,
        };
        let Word::Said(choice) = word else { return None };
        choice.skipped.into_iter().find(|(row, _)| *row == place).map(|(_, reason)| reason)
    }

    /// Recorded decisions, newest first, at most `limit`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn decisions(&self, filter: DecisionFilter, limit: usize) -> Result<Vec<Decision>, ManagerError> {
        Ok(self.store.decision_list(filter, limit).await?)
    }

    /// One recorded decision, with the issues as they were where those are still kept.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn decision(&self, decision_id: DecisionId) -> Result<Option<Decision>, ManagerError> {
        Ok(self.store.decision_get(decision_id).await?)
    }
}

/// The request of an agent that takes anything.
fn asking(agent: &AgentId, skills: Skills) -> NextRequest {
    NextRequest { agent: agent.clone(), repo: None, label: None, milestone: None, request_id: None, skills }
}

fn holder(claim: &Claim) -> Holder {
    Holder {
        agent_id: claim.agent_id.clone(),
        claim_id: claim.claim_id,
        status: claim.status(),
        since: claim.claimed_at,
    }
}
