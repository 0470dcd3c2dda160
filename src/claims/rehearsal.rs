//! The board without a server: the same order, short lists and questions to the ranker, driven by somebody
//! else's clock and writes. What a replay runs on.

use std::sync::Arc;

use super::asking::chooser;
use super::board::{Board, View};
use super::next::{PAGE_COUNT_MAX, PAGE_GROWTH, SHORTLIST_COUNT, question};
use super::order::OrderKey;
use super::{Groups, NextRequest};
use crate::domain::{AgentId, Claim, DecisionRow, Empty, IssueFacts, IssueRef, Repo, Timestamp};
use crate::policy::{PolicyError, PolicySet, Ranking, Shortlisted, ViewName};
use crate::store::{Change, Snapshot};

/// A board, and the policies that order it. Its answers are those of a server that was told the same.
#[derive(Debug)]
pub(crate) struct Rehearsal {
    board: Board,
    policies: Arc<PolicySet>,
    groups: Arc<Groups>,
    skipped: Vec<(IssueRef, Arc<str>)>,
}

/// What an agent would get.
#[derive(Debug, Default)]
pub(crate) struct Rehearsed {
    /// The short list in the ranker's order; empty when there is nothing for the agent.
    pub(crate) ordered: Vec<Shortlisted>,
    /// What the ranker passed over at the door, and why.
    pub(crate) passed_over: Vec<(IssueRef, String)>,
    /// When asking again makes sense, in milliseconds, if the policy says so.
    pub(crate) retry_after_ms: Option<u64>,
}

impl Rehearsal {
    /// A board on which nothing is open yet, with the orders that serve `agents`, of which there is at least one.
    ///
    /// # Errors
    /// [`PolicyError`] when the repository filter fails.
    pub(crate) fn new<'a>(
        policies: Arc<PolicySet>,
        groups: Arc<Groups>,
        repos: Vec<Repo>,
        agents: impl Iterator<Item = &'a AgentId>,
    ) -> Result<Self, PolicyError> {
        let mut board = Board::load(Snapshot { repos, ..Snapshot::default() });
        let mut serving: Vec<ViewName> = Vec::new();
        for view in agents.map(|agent| policies.view_of(agent)) {
            if !serving.contains(&view) {
                serving.push(view);
            }
        }
        board.views = serving.into_iter().map(View::new).collect();
        let unjudged = board.take_unjudged();
        let exclusions = policies.repo_filter.exclude(&unjudged)?;
        let names = unjudged.into_iter().map(|repo| repo.full_name);
        board.note_exclusions(names.zip(exclusions.into_iter().map(|why| why.map(Arc::from))));
        Ok(Self { board, policies, groups, skipped: Vec::new() })
    }

    /// Orders the work for `agent`.
    pub(crate) fn ranker_of(&self, agent: &AgentId) -> &Ranking {
        self.policies.ranking_of(&self.policies.view_of(agent))
    }

    /// An issue is open, with these facts.
    pub(crate) fn set_issue(&mut self, facts: IssueFacts) {
        self.board.apply(Change::IssueOpen(Box::new(facts)));
    }

    /// An issue is no longer open.
    pub(crate) fn remove_issue(&mut self, issue: IssueRef) {
        self.board.apply(Change::IssueGone(issue));
    }

    /// A claim was granted or moved.
    pub(crate) fn set_claim(&mut self, claim: Claim) {
        self.board.apply(Change::ClaimSet(Box::new(claim)));
    }

    /// When the next score runs out.
    pub(crate) fn next_expiry(&self) -> Option<Timestamp> {
        self.board.next_expiry()
    }

    /// Why there is nothing for anyone, or what there is: in the order in which most is skipped.
    pub(crate) fn tally(&self) -> Empty {
        let question = super::order::Question::default();
        let tallies = self.board.views.iter().map(|view| view.order.tally(&question));
        tallies.max_by_key(|tally| tally.skipped).unwrap_or_default()
    }

    /// Whether an issue is there for `agent` to take, by the last [`Self::work_off`].
    pub(crate) fn is_on_offer(&self, agent: &AgentId, issue: &IssueRef) -> bool {
        self.board.is_on_offer(&self.policies.view_of(agent), issue)
    }

    /// What the ranker said must not be given out, since this was last asked.
    pub(crate) fn take_skipped(&mut self) -> Vec<(IssueRef, Arc<str>)> {
        std::mem::take(&mut self.skipped)
    }

    /// Scores what is new, changed or run out at `now`.
    pub(crate) fn work_off(&mut self, now: Timestamp) -> Result<(), PolicyError> {
        while let Some(batch) = self.board.take_unscored(usize::MAX, now) {
            let scores = self.policies.ranking_of(&batch.view).score(&batch.facts, now)?;
            let skips = batch.facts.iter().zip(&scores).filter_map(|(facts, scored)| {
                scored.skip.as_ref().map(|reason| (facts.issue.clone(), Arc::clone(reason)))
            });
            self.skipped.extend(skips);
            self.board.note_scores(batch, scores);
        }
        Ok(())
    }

    /// What `request` would get at `now`, by the steps of [`super::ClaimManager::next_issue`].
    pub(crate) fn pick(&mut self, request: &NextRequest, now: Timestamp) -> Result<Rehearsed, PolicyError> {
        self.work_off(now)?;
        let (question, view) = (question(request), self.policies.view_of(&request.agent));
        let (ranking, groups) = (self.policies.ranking_of(&view), self.groups.of(&request.agent));
        let mut rehearsed = Rehearsed::default();
        let mut after: Option<OrderKey> = None;
        let mut page_count = SHORTLIST_COUNT;
        loop {
            let page = self.board.shortlist(&view, &question, after, page_count, |_| false);
            if page.rows.is_empty() {
                return Ok(rehearsed);
            }
            let mut chooser = chooser(&self.board, &groups, request, &page.rows);
            // The board keeps them in no order, and a rehearsal must come out the same each time.
            chooser.claim_repos.sort();
            let choice = ranking.choose(&chooser, &page.rows, now)?;
            let passed_over = choice.skipped.into_iter().map(|(row, why)| (page.rows[row].facts.issue.clone(), why));
            rehearsed.passed_over.extend(passed_over);
            let soonest = [rehearsed.retry_after_ms, choice.retry_after_ms].into_iter().flatten().min();
            rehearsed.retry_after_ms = soonest;
            if !choice.order.is_empty() {
                let best = choice.order.iter().take(SHORTLIST_COUNT);
                rehearsed.ordered = best.map(|&row| page.rows[row].clone()).collect();
                return Ok(rehearsed);
            }
            after = page.next;
            if after.is_none() {
                return Ok(rehearsed);
            }
            page_count = (page_count * PAGE_GROWTH).min(PAGE_COUNT_MAX);
        }
    }
}

/// Why `ranker` would give `picked` out, or that there was nothing, in one line.
pub(crate) fn why(ranker: &Ranking, picked: Option<&Shortlisted>, now: Timestamp) -> Result<String, PolicyError> {
    let Some(picked) = picked else { return Ok("nothing for this agent".into()) };
    let mut reasons = ranker.explain(std::slice::from_ref(picked), now)?;
    let row = DecisionRow {
        repo: picked.facts.issue.repo.clone(),
        number: picked.facts.issue.number,
        score: picked.score,
        passed_over: None,
        reasons: reasons.pop().unwrap_or_default(),
        seen: None,
    };
    Ok(row.why())
}
