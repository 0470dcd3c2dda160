//! The facts of one call, and the imported interfaces through which a policy pulls them. A column is
//! built when it is asked for and not kept: a policy asks once.

use std::sync::Arc;

use super::bindings::ranker::issuecommand::policy::types::{LabelTable, TextColumn};
use super::bindings::ranker::issuecommand::policy::{candidates, request, types};
use super::bindings::repo_filter::issuecommand::policy::repositories;
use super::bindings::stale_rule::issuecommand::policy::claims;
use super::bindings::work_order::issuecommand::policy::follow_ups;
use super::columns::{label_table, text_column};
use super::ranker::ChooseRequest;
use super::state::CallState;
use crate::domain::{
    AgentId, Claim, ClaimStatus, FollowUp, IssueFacts, IssueNumber, Repo, RepoName, Timestamp, unix_ms,
};

/// What one call is about.
pub(super) enum Facts {
    /// Nothing: between calls, and in `configure`.
    None,
    /// Issues, for a ranker.
    Issues(IssueView),
    /// Review feedback on offer, for a ranker that orders it too.
    FollowUps(FollowUpView),
    /// Live claims, for a stale rule.
    Claims(Vec<ClaimRow>),
    /// Repositories, for a repository filter.
    Repos(Vec<Repo>),
}

/// Issues to score, or a short list to choose from.
#[derive(Default)]
pub(super) struct IssueView {
    pub(super) rows: Vec<Arc<IssueFacts>>,
    /// The scores in force; empty in `score`.
    pub(super) scores: Vec<f64>,
    /// Active claims in each row's repository; only in `choose`.
    pub(super) repo_claim_counts: Vec<u32>,
    /// Who asks; only in `choose`.
    pub(super) request: Option<ChooseRequest>,
}

/// Review feedback that one agent may be given.
pub(super) struct FollowUpView {
    pub(super) rows: Vec<Arc<FollowUp>>,
    pub(super) request: ChooseRequest,
}

/// What a stale rule sees of a claim: names are shared, nothing else is worth sharing.
pub(super) struct ClaimRow {
    agent: AgentId,
    repo: RepoName,
    number: IssueNumber,
    status: ClaimStatus,
    claimed_at: Timestamp,
    status_since: Timestamp,
    last_call_at: Timestamp,
}

impl ClaimRow {
    pub(super) fn new(claim: &Claim, last_call_at: Timestamp) -> Self {
        Self {
            agent: claim.agent_id.clone(),
            repo: claim.repo.clone(),
            number: claim.issue_number,
            status: claim.status(),
            claimed_at: claim.claimed_at,
            status_since: claim.status_since(),
            last_call_at,
        }
    }
}

impl Facts {
    /// How many rows the call is about.
    pub(super) fn row_count(&self) -> usize {
        match self {
            Self::None => 0,
            Self::Issues(view) => view.rows.len(),
            Self::FollowUps(view) => view.rows.len(),
            Self::Claims(rows) => rows.len(),
            Self::Repos(rows) => rows.len(),
        }
    }

    fn issues(&self) -> &[Arc<IssueFacts>] {
        if let Self::Issues(view) = self { &view.rows } else { &[] }
    }

    fn request(&self) -> Option<&ChooseRequest> {
        match self {
            Self::Issues(view) => view.request.as_ref(),
            Self::FollowUps(view) => Some(&view.request),
            _ => None,
        }
    }

    fn follow_ups(&self) -> &[Arc<FollowUp>] {
        if let Self::FollowUps(view) = self { &view.rows } else { &[] }
    }

    fn claims(&self) -> &[ClaimRow] {
        if let Self::Claims(rows) = self { rows } else { &[] }
    }

    fn repos(&self) -> &[Repo] {
        if let Self::Repos(rows) = self { rows } else { &[] }
    }
}

fn count_of<T>(rows: &[T]) -> u32 {
    u32::try_from(rows.len()).expect("a call is about fewer than 2^32 rows")
}

fn each<T, C>(rows: &[T], read: impl Fn(&T) -> C) -> Vec<C> {
    rows.iter().map(read).collect()
}

fn texts<T>(rows: &[T], read: impl Fn(&T) -> &str) -> TextColumn {
    text_column(rows.iter().map(read))
}

impl types::Host for CallState {}

impl candidates::Host for CallState {
    fn count(&mut self) -> wasmtime::Result<u32> {
        self.pull(|facts| count_of(facts.issues()))
    }

    fn repos(&mut self) -> wasmtime::Result<TextColumn> {
        self.pull(|facts| texts(facts.issues(), |row| row.issue.repo.as_str()))
    }

    fn numbers(&mut self) -> wasmtime::Result<Vec<u64>> {
        self.pull(|facts| each(facts.issues(), |row| row.issue.number.get()))
    }

    fn titles(&mut self) -> wasmtime::Result<Vec<String>> {
        self.pull(|facts| each(facts.issues(), |row| row.title.to_string()))
    }

    fn authors(&mut self) -> wasmtime::Result<TextColumn> {
        self.pull(|facts| texts(facts.issues(), |row| &row.author))
    }

    fn author_associations(&mut self) -> wasmtime::Result<TextColumn> {
        self.pull(|facts| texts(facts.issues(), |row| &row.author_association))
    }

    fn labels(&mut self) -> wasmtime::Result<LabelTable> {
        self.pull(|facts| label_table(facts.issues().iter().map(|row| &*row.labels)))
    }

    fn assignees(&mut self) -> wasmtime::Result<LabelTable> {
        self.pull(|facts| label_table(facts.issues().iter().map(|row| &*row.assignees)))
    }

    fn milestones(&mut self) -> wasmtime::Result<TextColumn> {
        self.pull(|facts| texts(facts.issues(), |row| row.milestone.as_deref().unwrap_or_default()))
    }

    fn comment_counts(&mut self) -> wasmtime::Result<Vec<u32>> {
        self.pull(|facts| each(facts.issues(), |row| row.comment_count))
    }

    fn reaction_counts(&mut self) -> wasmtime::Result<Vec<u32>> {
        self.pull(|facts| each(facts.issues(), |row| row.reaction_count))
    }

    fn created_at(&mut self) -> wasmtime::Result<Vec<u64>> {
        self.pull(|facts| each(facts.issues(), |row| unix_ms(row.created_at)))
    }

    fn updated_at(&mut self) -> wasmtime::Result<Vec<u64>> {
        self.pull(|facts| each(facts.issues(), |row| unix_ms(row.updated_at)))
    }

    fn scores(&mut self) -> wasmtime::Result<Vec<f64>> {
        self.pull(|facts| if let Facts::Issues(view) = facts { view.scores.clone() } else { Vec::new() })
    }
}

impl request::Host for CallState {
    fn agent(&mut self) -> wasmtime::Result<String> {
        self.pull(|facts| facts.request().map_or_else(String::new, |request| request.agent.to_string()))
    }

    fn agent_claim_count(&mut self) -> wasmtime::Result<u32> {
        self.pull(|facts| facts.request().map_or(0, |request| count_of(&request.claim_repos)))
    }

    fn agent_claim_repos(&mut self) -> wasmtime::Result<Vec<String>> {
        self.pull(|facts| facts.request().map_or_else(Vec::new, |r| each(&r.claim_repos, ToString::to_string)))
    }

    fn repo_claim_counts(&mut self) -> wasmtime::Result<Vec<u32>> {
        self.pull(|facts| match facts {
            Facts::Issues(view) if view.request.is_some() => view.repo_claim_counts.clone(),
            _ => vec![0; facts.issues().len()],
        })
    }
}

impl follow_ups::Host for CallState {
    fn count(&mut self) -> wasmtime::Result<u32> {
        self.pull(|facts| count_of(facts.follow_ups()))
    }

    fn repos(&mut self) -> wasmtime::Result<TextColumn> {
        self.pull(|facts| texts(facts.follow_ups(), |row| row.repo.as_str()))
    }

    fn numbers(&mut self) -> wasmtime::Result<Vec<u64>> {
        self.pull(|facts| each(facts.follow_ups(), |row| row.pr_number.get()))
    }

    fn kinds(&mut self) -> wasmtime::Result<TextColumn> {
        self.pull(|facts| texts(facts.follow_ups(), |row| row.source_event_type.as_str()))
    }

    fn requested_by(&mut self) -> wasmtime::Result<TextColumn> {
        self.pull(|facts| texts(facts.follow_ups(), |row| row.requested_by.as_deref().unwrap_or_default()))
    }

    fn from_own_claim(&mut self) -> wasmtime::Result<Vec<bool>> {
        self.pull(|facts| match facts {
            Facts::FollowUps(view) => each(&view.rows, |row| row.is_own_of(&view.request.agent)),
            _ => Vec::new(),
        })
    }

    fn created_at(&mut self) -> wasmtime::Result<Vec<u64>> {
        self.pull(|facts| each(facts.follow_ups(), |row| unix_ms(row.created_at)))
    }

    fn pushed(&mut self) -> wasmtime::Result<Vec<bool>> {
        self.pull(|facts| each(facts.follow_ups(), |row| row.pushed_at.is_some()))
    }
}

impl claims::Host for CallState {
    fn count(&mut self) -> wasmtime::Result<u32> {
        self.pull(|facts| count_of(facts.claims()))
    }

    fn agents(&mut self) -> wasmtime::Result<TextColumn> {
        self.pull(|facts| texts(facts.claims(), |row| row.agent.as_str()))
    }

    fn repos(&mut self) -> wasmtime::Result<TextColumn> {
        self.pull(|facts| texts(facts.claims(), |row| row.repo.as_str()))
    }

    fn numbers(&mut self) -> wasmtime::Result<Vec<u64>> {
        self.pull(|facts| each(facts.claims(), |row| row.number.get()))
    }

    fn statuses(&mut self) -> wasmtime::Result<TextColumn> {
        self.pull(|facts| texts(facts.claims(), |row| row.status.as_str()))
    }

    fn claimed_at(&mut self) -> wasmtime::Result<Vec<u64>> {
        self.pull(|facts| each(facts.claims(), |row| unix_ms(row.claimed_at)))
    }

    fn status_since(&mut self) -> wasmtime::Result<Vec<u64>> {
        self.pull(|facts| each(facts.claims(), |row| unix_ms(row.status_since)))
    }

    fn last_call_at(&mut self) -> wasmtime::Result<Vec<u64>> {
        self.pull(|facts| each(facts.claims(), |row| unix_ms(row.last_call_at)))
    }
}

impl repositories::Host for CallState {
    fn count(&mut self) -> wasmtime::Result<u32> {
        self.pull(|facts| count_of(facts.repos()))
    }

    fn names(&mut self) -> wasmtime::Result<Vec<String>> {
        self.pull(|facts| each(facts.repos(), |row| row.full_name.to_string()))
    }

    fn topics(&mut self) -> wasmtime::Result<LabelTable> {
        self.pull(|facts| label_table(facts.repos().iter().map(|row| &*row.topics)))
    }

    fn archived(&mut self) -> wasmtime::Result<Vec<bool>> {
        self.pull(|facts| each(facts.repos(), |row| row.archived))
    }

    fn forks(&mut self) -> wasmtime::Result<Vec<bool>> {
        self.pull(|facts| each(facts.repos(), |row| row.fork))
    }

    fn private(&mut self) -> wasmtime::Result<Vec<bool>> {
        self.pull(|facts| each(facts.repos(), |row| row.private))
    }
}
