//! Writing down what a ranker saw and said, so that its decision can be explained, and replayed.

use super::NextRequest;
use super::board::Shortlist;
use super::desk::InForce;
use crate::domain::{
    AskedFor, Decision, DecisionRow, Empty, IssueSnapshot, PageSeen, Reason, RequestSeen, RowSeen, Timestamp, WorkSeen,
};
use crate::policy::{Choice, ChooseRequest, Shortlisted, ViewName};

/// Rows of one decision whose facts are recorded. A ranker that passes over more in one request leaves a record
/// that can be read, but not replayed: every request would write that much.
const RECORDED_ROW_COUNT_MAX: usize = 512;
/// Rows whose reasons are recorded: the pick and what came right behind it.
pub(super) const EXPLAINED_COUNT: usize = 3;
/// Rows that are named where not even their facts can be recorded.
const NAMED_ROW_COUNT: usize = 32;

/// A decision while it is made.
#[derive(Debug)]
pub(super) struct Recording {
    decision: Decision,
    view: ViewName,
    /// Whether it is for the store: what the ranker saw is taken down only then.
    is_kept: bool,
    /// Rows that were passed over, which come last.
    passed_over: Vec<DecisionRow>,
    shown_count: usize,
}

impl Recording {
    pub(super) fn begin(policies: &InForce, view: &ViewName, request: &NextRequest, now: Timestamp) -> Self {
        let ranking = policies.set.ranking_of(view);
        let ranker = ranking.stamp_for(request.repo.as_ref()).clone();
        let mut decision = Decision::begun(request.agent.clone(), now, ranker);
        decision.ranking = Some(ranking.stamp()).filter(|whole| **whole != decision.ranker).cloned();
        decision.asked_for =
            AskedFor { repo: request.repo.clone(), label: request.label.clone(), milestone: request.milestone.clone() };
        Self { decision, view: view.clone(), is_kept: true, passed_over: Vec::new(), shown_count: 0 }
    }

    /// The same where decisions are not kept: enough to tell the agent why.
    pub(super) fn unless_kept(self, is_kept: bool) -> Self {
        Self { is_kept, ..self }
    }

    /// Takes down one page: what the ranker was told, and its word (`None` where it failed). `is_own`: the scores
    /// are those of the ranker that is asked, not of one that came in force meanwhile.
    pub(super) fn take_down(&mut self, request: &ChooseRequest, page: &Shortlist, word: Option<&Choice>, is_own: bool) {
        if page.rows.is_empty() {
            return;
        }
        let kept = Choice::keep(page.rows.len());
        let choice = word.unwrap_or(&kept);
        let is_whole = self.is_kept
            && self.decision.left_out_count == 0
            && self.shown_count + page.rows.len() <= RECORDED_ROW_COUNT_MAX;
        let row = |index: usize| row(page, index, is_whole.then_some(self.shown_count), is_own);
        if is_whole {
            self.decision.considered.extend(choice.order.iter().map(|&index| row(index)));
            let skipped = choice.skipped.iter();
            self.passed_over
                .extend(skipped.map(|(index, why)| DecisionRow { passed_over: Some(why.clone()), ..row(*index) }));
            self.decision.pages.push(PageSeen {
                row_count: u32::try_from(page.rows.len()).unwrap_or(u32::MAX),
                request: told(request),
                by_score: word.is_none(),
                retry_after_ms: choice.retry_after_ms,
            });
            self.shown_count += page.rows.len();
        } else {
            self.decision.considered.extend(choice.order.iter().take(NAMED_ROW_COUNT).map(|&index| row(index)));
            self.decision.left_out_count += page.rows.len();
        }
    }

    /// Adds the terms of the first rows, one list a row; none where the ranker could not explain itself.
    pub(super) fn explained(&mut self, reasons: Vec<Vec<Reason>>) {
        self.decision.explained_count = reasons.len();
        for (row, reasons) in self.decision.considered.iter_mut().zip(reasons) {
            row.reasons = reasons;
        }
    }

    /// The decision that one of the rows is to be had. `policies` are those that it was begun under.
    pub(super) fn of_pick(mut self, policies: &InForce) -> Decision {
        self.decision.considered.append(&mut self.passed_over);
        let repos = self.decision.considered.iter().map(|row| &row.repo);
        self.decision.rankers = policies.set.ranking_of(&self.view).rankers_of(repos);
        self.decision
    }

    /// The decision that there is nothing.
    pub(super) fn of_nothing(self, policies: &InForce, why: Empty) -> Decision {
        let mut decision = self.of_pick(policies);
        decision.nothing = Some(why);
        decision
    }
}

/// One row. `shown_before`: how many were shown before its page, where its facts are to be recorded.
fn row(page: &Shortlist, index: usize, shown_before: Option<usize>, is_own: bool) -> DecisionRow {
    let Shortlisted { facts, score, repo_claim_count, repo_review_count, reviewer_load } = &page.rows[index];
    let seen = shown_before.map(|before| {
        let (known, scored_at) = &page.seen[index];
        RowSeen {
            place: u32::try_from(before + index).unwrap_or(u32::MAX),
            facts: known.version(),
            scored_at: scored_at.filter(|_| is_own),
            repo_claim_count: *repo_claim_count,
            repo_review_count: *repo_review_count,
            reviewer_load: *reviewer_load,
            snapshot: Some(IssueSnapshot { facts: facts.clone(), body: String::new() }.into()),
        }
    });
    let issue = facts.issue.clone();
    DecisionRow { repo: issue.repo, number: issue.number, score: *score, passed_over: None, reasons: Vec::new(), seen }
}

/// What is recorded of a request.
fn told(request: &ChooseRequest) -> RequestSeen {
    let work = request.live_claims.iter().map(|work| WorkSeen {
        agent_id: work.agent.clone(),
        repo: work.issue.repo.clone(),
        number: work.issue.number,
        status: work.status,
        areas: work.areas.clone(),
        claimed_at: work.claimed_at,
    });
    RequestSeen {
        claim_repos: request.claim_repos.clone(),
        skills: request.skills.clone(),
        groups: request.groups.clone(),
        review_count: request.review_count,
        budget_spent: request.budget_spent,
        live_claims: work.collect(),
    }
}
