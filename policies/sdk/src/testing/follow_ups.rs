//! Review feedback made by hand.

use super::NOW;
use crate::column::Texts;
use crate::{FollowUps, Instant, Request, WorkOrder};

/// The facts of one piece of review feedback: a `pr_comment` on `acme/app#1`, come in [`NOW`], on a pull
/// request of another agent.
#[derive(Debug, Clone)]
#[must_use]
pub struct FollowUpFacts {
    repo: String,
    number: u64,
    kind: String,
    requested_by: String,
    own: bool,
    created_at: Instant,
    pushed: bool,
}

/// A piece of feedback to add facts to.
pub fn follow_up() -> FollowUpFacts {
    FollowUpFacts {
        repo: "acme/app".into(),
        number: 1,
        kind: "pr_comment".into(),
        requested_by: String::new(),
        own: false,
        created_at: NOW,
        pushed: false,
    }
}

impl FollowUpFacts {
    /// On a pull request of this repository (`owner/name`).
    pub fn repo(self, repo: &str) -> Self {
        Self { repo: repo.into(), ..self }
    }

    /// On the pull request of this number.
    pub fn number(self, number: u64) -> Self {
        Self { number, ..self }
    }

    /// Of this kind (`review_changes_requested`, `review_comment`, `pr_comment`).
    pub fn kind(self, kind: &str) -> Self {
        Self { kind: kind.into(), ..self }
    }

    /// Given by this login.
    pub fn requested_by(self, login: &str) -> Self {
        Self { requested_by: login.into(), ..self }
    }

    /// On a pull request of the asking agent's own claim.
    pub fn own(self) -> Self {
        Self { own: true, ..self }
    }

    /// Come in at this instant.
    pub fn created_at(self, created_at: Instant) -> Self {
        Self { created_at, ..self }
    }

    /// Commits were pushed since.
    pub fn pushed(self) -> Self {
        Self { pushed: true, ..self }
    }
}

/// The feedback of one call.
pub fn follow_ups(rows: impl IntoIterator<Item = FollowUpFacts>) -> FollowUps {
    let rows: Vec<_> = rows.into_iter().collect();
    FollowUps {
        count: rows.len(),
        repos: Texts::of(rows.iter().map(|row| &row.repo)),
        numbers: rows.iter().map(|row| row.number).collect::<Vec<_>>().into(),
        kinds: Texts::of(rows.iter().map(|row| &row.kind)),
        requested_by: Texts::of(rows.iter().map(|row| &row.requested_by)),
        own: rows.iter().map(|row| row.own).collect::<Vec<_>>().into(),
        created_at: rows.iter().map(|row| row.created_at.ms()).collect::<Vec<_>>().into(),
        pushed: rows.iter().map(|row| row.pushed).collect::<Vec<_>>().into(),
    }
}

/// What an agent gets to see after `choose_work`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OfferedWork {
    /// The rows that come before new issues, in order.
    pub before_issues: Vec<u32>,
    /// The rows that come when there is no new issue, in order.
    pub after_issues: Vec<u32>,
    /// The rows left out, and why.
    pub skipped: Vec<(u32, String)>,
}

/// Has a ranker order feedback, and completes its order as the host does: rows not named follow in theirs.
pub fn choose_work<R: WorkOrder>(ranker: &R, request: &Request, follow_ups: &FollowUps) -> OfferedWork {
    let choice = ranker.choose_work(request, follow_ups).into_wit();
    let skipped: Vec<_> = choice.skipped.into_iter().map(|skip| (skip.row, skip.reason)).collect();
    let rest = (0..follow_ups.len() as u32).filter(|row| !choice.order.contains(row));
    let order = choice.order.iter().copied().chain(rest);
    let on_offer = order.filter(|row| skipped.iter().all(|(skip, _)| skip != row));
    let (after_issues, before_issues) = on_offer.partition(|row| choice.after_issues.contains(row));
    OfferedWork { before_issues, after_issues, skipped }
}
