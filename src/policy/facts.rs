//! The facts of one call, and the imported interfaces through which a policy pulls them. A column is
//! built when it is asked for and not kept: a policy asks once.

use std::fmt;
use std::sync::Arc;

use super::bindings::ranker::issuecommand::policy::types::{LabelTable, TextColumn};
use super::bindings::ranker::issuecommand::policy::{candidates, live_claims, request, types};
use super::bindings::repo_filter::issuecommand::policy::repositories;
use super::bindings::stale_rule::issuecommand::policy::claims;
use super::bindings::work_order::issuecommand::policy::follow_ups;
use super::columns::{label_table, text_column};
use super::ranker::{ChooseRequest, LiveWork};
use super::state::{CallState, Stop};
use crate::domain::{
    AgentId, Claim, ClaimSignals, ClaimStatus, FollowUp, IssueFacts, IssueNumber, IssueRef, Repo, RepoName, Timestamp,
    unix_ms,
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
    /// Pull requests waiting for review in each row's repository; only in `choose`.
    pub(super) repo_review_counts: Vec<u32>,
    /// Pull requests waiting for the least busy reviewer of each row; only in `choose`.
    pub(super) reviewer_loads: Vec<u32>,
    /// Where the long texts are; nowhere in `choose`.
    pub(super) bodies: Option<Arc<dyn BodySource>>,
}

/// Where the texts of issues are read from: they are too long to be kept in memory for each.
pub trait BodySource: Send + Sync + fmt::Debug {
    /// The texts below the titles, in the order of `issues`; empty where one is not known. Blocking, and brief.
    ///
    /// # Errors
    /// Why they cannot be read.
    fn bodies(&self, issues: &[IssueRef]) -> Result<Vec<String>, String>;
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
    signals: ClaimSignals,
}

impl ClaimRow {
    pub(super) fn new(claim: &Claim, last_call_at: Timestamp, signals: ClaimSignals) -> Self {
        Self {
            agent: claim.agent_id.clone(),
            repo: claim.repo.clone(),
            number: claim.issue_number,
            status: claim.status(),
            claimed_at: claim.claimed_at,
            status_since: claim.status_since(),
            last_call_at,
            signals,
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

    fn live_claims(&self) -> &[LiveWork] {
        match self {
            Self::Issues(IssueView { request: Some(request), .. }) => &request.live_claims,
            _ => &[],
        }
    }

    /// One number for each candidate, where the call is a `choose`; zeros elsewhere.
    fn at_choose(&self, read: impl Fn(&IssueView) -> &Vec<u32>) -> Vec<u32> {
        match self {
            Self::Issues(view) if view.request.is_some() => read(view).clone(),
            _ => vec![0; self.issues().len()],
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

    fn bodies(&mut self) -> wasmtime::Result<Vec<String>> {
        let texts = match &self.facts {
            Facts::Issues(IssueView { rows, bodies: Some(bodies), .. }) => {
                let read = bodies.bodies(&each(rows, |row| row.issue.clone()));
                read.map_err(|why| Stop::Unreadable(format!("the texts of issues cannot be read: {why}")))?
            }
            facts => vec![String::new(); facts.issues().len()],
        };
        self.pull(|_| texts)
    }

    fn topics(&mut self) -> wasmtime::Result<LabelTable> {
        self.pull(|facts| label_table(facts.issues().iter().map(|row| &*row.topics)))
    }

    fn open_blockers(&mut self) -> wasmtime::Result<LabelTable> {
        self.pull(|facts| label_table(facts.issues().iter().map(|row| &*row.open_blockers)))
    }

    fn approvals(&mut self) -> wasmtime::Result<TextColumn> {
        self.pull(|facts| texts(facts.issues(), |row| row.approval.as_str()))
    }

    fn areas(&mut self) -> wasmtime::Result<LabelTable> {
        self.pull(|facts| label_table(facts.issues().iter().map(|row| &*row.areas)))
    }

    fn reviewers(&mut self) -> wasmtime::Result<LabelTable> {
        self.pull(|facts| label_table(facts.issues().iter().map(|row| &*row.reviewers)))
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
        self.pull(|facts| facts.at_choose(|view| &view.repo_claim_counts))
    }

    fn skills(&mut self) -> wasmtime::Result<Vec<String>> {
        self.pull(|facts| facts.request().map_or_else(Vec::new, |request| each(&request.skills, ToString::to_string)))
    }

    fn groups(&mut self) -> wasmtime::Result<Vec<String>> {
        self.pull(|facts| facts.request().map_or_else(Vec::new, |request| each(&request.groups, ToString::to_string)))
    }

    fn agent_review_count(&mut self) -> wasmtime::Result<u32> {
        self.pull(|facts| facts.request().map_or(0, |request| request.review_count))
    }

    fn repo_review_counts(&mut self) -> wasmtime::Result<Vec<u32>> {
        self.pull(|facts| facts.at_choose(|view| &view.repo_review_counts))
    }

    fn reviewer_loads(&mut self) -> wasmtime::Result<Vec<u32>> {
        self.pull(|facts| facts.at_choose(|view| &view.reviewer_loads))
    }

    fn retry_after(&mut self, milliseconds: u64) -> wasmtime::Result<()> {
        self.note_retry_after(milliseconds);
        Ok(())
    }
}

impl live_claims::Host for CallState {
    fn count(&mut self) -> wasmtime::Result<u32> {
        self.pull(|facts| count_of(facts.live_claims()))
    }

    fn agents(&mut self) -> wasmtime::Result<TextColumn> {
        self.pull(|facts| texts(facts.live_claims(), |row| row.agent.as_str()))
    }

    fn repos(&mut self) -> wasmtime::Result<TextColumn> {
        self.pull(|facts| texts(facts.live_claims(), |row| row.issue.repo.as_str()))
    }

    fn numbers(&mut self) -> wasmtime::Result<Vec<u64>> {
        self.pull(|facts| each(facts.live_claims(), |row| row.issue.number.get()))
    }

    fn statuses(&mut self) -> wasmtime::Result<TextColumn> {
        self.pull(|facts| texts(facts.live_claims(), |row| row.status.as_str()))
    }

    fn areas(&mut self) -> wasmtime::Result<LabelTable> {
        self.pull(|facts| label_table(facts.live_claims().iter().map(|row| &*row.areas)))
    }

    fn claimed_at(&mut self) -> wasmtime::Result<Vec<u64>> {
        self.pull(|facts| each(facts.live_claims(), |row| unix_ms(row.claimed_at)))
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

    fn last_commit_at(&mut self) -> wasmtime::Result<Vec<u64>> {
        self.pull(|facts| each(facts.claims(), |row| row.signals.last_commit_at.map_or(0, unix_ms)))
    }

    fn last_push_at(&mut self) -> wasmtime::Result<Vec<u64>> {
        self.pull(|facts| each(facts.claims(), |row| row.signals.last_push_at.map_or(0, unix_ms)))
    }

    fn pull_states(&mut self) -> wasmtime::Result<TextColumn> {
        self.pull(|facts| texts(facts.claims(), |row| row.signals.pull.as_str()))
    }

    fn review_states(&mut self) -> wasmtime::Result<TextColumn> {
        self.pull(|facts| texts(facts.claims(), |row| row.signals.review.as_str()))
    }

    fn ci_states(&mut self) -> wasmtime::Result<TextColumn> {
        self.pull(|facts| texts(facts.claims(), |row| row.signals.ci.as_str()))
    }

    fn container_states(&mut self) -> wasmtime::Result<TextColumn> {
        self.pull(|facts| texts(facts.claims(), |row| row.signals.container.as_str()))
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
