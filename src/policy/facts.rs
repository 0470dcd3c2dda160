//! The facts of one call, and the imported interfaces through which a policy pulls them. A column is built when it is
//! asked for. Those of issues that are shown again and again are kept with them ([`IssueBlock`](super::rows)).

mod claims;
mod follow_ups;
mod issues;
mod repositories;

use std::fmt;
use std::sync::{Arc, OnceLock};

use super::bindings::ranker::issuecommand::policy::types::{self, LabelTable, TextColumn};
use super::columns::{label_table, text_column};
use super::ranker::{ChooseRequest, LiveWork};
use super::rows::{CallRows, Columns};
use super::state::CallState;
use crate::domain::{
    AgentId, Claim, ClaimSignals, ClaimStatus, FollowUp, IssueFacts, IssueNumber, IssueRef, Repo, RepoName, Timestamp,
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
    pub(super) rows: CallRows,
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

    /// A column of the issues: one that is kept, or built.
    fn issue_column<C: Clone>(
        &self,
        kept: fn(&Columns) -> &OnceLock<C>,
        build: impl FnOnce(&[Arc<IssueFacts>]) -> C,
    ) -> C {
        if let Self::Issues(view) = self { view.rows.column(kept, build) } else { build(&[]) }
    }

    fn issue_texts(&self, kept: fn(&Columns) -> &OnceLock<TextColumn>, read: fn(&IssueFacts) -> &str) -> TextColumn {
        self.issue_column(kept, |rows| texts(rows, |row| read(row)))
    }

    fn issue_lists(
        &self,
        kept: fn(&Columns) -> &OnceLock<LabelTable>,
        read: fn(&IssueFacts) -> &[Arc<str>],
    ) -> LabelTable {
        self.issue_column(kept, |rows| label_table(rows.iter().map(|row| read(row))))
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
