//! Facts made by hand, for a policy's own unit tests: they run natively, without a server.

mod candidates;
mod claims;
mod follow_ups;
mod requests;

use crate::column::TextLists;
use crate::ranker::{explain_all, score_all};
use crate::{Candidates, Instant, Ranker, RepoFilter, Repositories, Request};

pub use crate::wit::types::Reason;
pub use candidates::{CandidateFacts, candidate, candidates};
pub use claims::{ClaimFacts, assess, claim};
pub use follow_ups::{FollowUpFacts, OfferedWork, choose_work, follow_up, follow_ups};
pub use requests::{LiveClaimFacts, live_claim, request};

/// The present of facts made by hand: 2026-01-01, at noon UTC.
pub const NOW: Instant = Instant::from_ms(1_767_268_800_000);

/// What a ranker said of one candidate.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// The score.
    pub value: f64,
    /// Until when it holds; `None`: until a fact changes.
    pub valid_until: Option<Instant>,
    /// Why the candidate is left out, if it is.
    pub skipped: Option<String>,
}

/// Scores candidates as the host has it done.
pub fn score<R: Ranker>(ranker: &R, candidates: &Candidates, now: Instant) -> Vec<Scored> {
    let scores = score_all(ranker, candidates, now);
    let valid_until = |row| scores.valid_until.get(row).copied().map(Instant::from_ms);
    let of_row = |(row, value): (usize, &f64)| Scored {
        value: *value,
        valid_until: valid_until(row).filter(|end| *end < Instant::NEVER),
        skipped: None,
    };
    let mut scored: Vec<_> = scores.values.iter().enumerate().map(of_row).collect();
    for skip in scores.skipped {
        scored[skip.row as usize].skipped = Some(skip.reason);
    }
    scored
}

/// The terms of each candidate's score, as the host reads them.
pub fn explain<R: Ranker>(ranker: &R, candidates: &Candidates, now: Instant) -> Vec<Vec<Reason>> {
    explain_all(ranker, candidates, now)
}

/// What an agent gets to see after `choose`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offered {
    /// The rows on offer, best first.
    pub rows: Vec<u32>,
    /// The rows left out, and why.
    pub skipped: Vec<(u32, String)>,
}

/// Has a ranker choose, and completes its order as the host does: rows not named follow in theirs.
pub fn choose<R: Ranker>(ranker: &R, request: &Request, shortlist: &Candidates) -> Offered {
    let choice = ranker.choose(request, shortlist);
    let skipped: Vec<_> = choice.skipped().iter().map(|skip| (skip.row, skip.reason.clone())).collect();
    let rest = (0..shortlist.len() as u32).filter(|row| !choice.order().contains(row));
    let order = choice.order().iter().copied().chain(rest);
    Offered { rows: order.filter(|row| skipped.iter().all(|(skip, _)| skip != row)).collect(), skipped }
}

/// The facts of one repository: public, not archived, no fork, without topics.
#[derive(Debug, Clone)]
#[must_use]
pub struct RepositoryFacts {
    name: String,
    topics: Vec<String>,
    archived: bool,
    fork: bool,
    private: bool,
}

/// A repository (`owner/name`, in lower case) to add facts to.
pub fn repository(name: &str) -> RepositoryFacts {
    RepositoryFacts { name: name.into(), topics: Vec::new(), archived: false, fork: false, private: false }
}

impl RepositoryFacts {
    /// With one topic more.
    pub fn topic(mut self, topic: &str) -> Self {
        self.topics.push(topic.into());
        self
    }

    /// Read-only.
    pub fn archived(self) -> Self {
        Self { archived: true, ..self }
    }

    /// A fork of another.
    pub fn fork(self) -> Self {
        Self { fork: true, ..self }
    }

    /// Shown to members only.
    pub fn private(self) -> Self {
        Self { private: true, ..self }
    }
}

/// Has a repository filter judge: one entry a repository, `None` where it is admitted.
pub fn exclude<F: RepoFilter>(filter: &F, rows: impl IntoIterator<Item = RepositoryFacts>) -> Vec<Option<String>> {
    let rows: Vec<_> = rows.into_iter().collect();
    let repositories = Repositories {
        count: rows.len(),
        names: rows.iter().map(|row| row.name.clone()).collect::<Vec<_>>().into(),
        topics: TextLists::of(rows.iter().map(|row| row.topics.as_slice())),
        archived: rows.iter().map(|row| row.archived).collect::<Vec<_>>().into(),
        forks: rows.iter().map(|row| row.fork).collect::<Vec<_>>().into(),
        private: rows.iter().map(|row| row.private).collect::<Vec<_>>().into(),
    };
    let mut reasons = vec![None; rows.len()];
    for exclusion in crate::repo_filter::exclude_all(filter, &repositories) {
        reasons[exclusion.row as usize] = Some(exclusion.reason);
    }
    reasons
}
