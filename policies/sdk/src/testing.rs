//! Facts made by hand, for a policy's own unit tests: they run natively, without a server.

mod follow_ups;

use std::cell::OnceCell;

use crate::column::{TextLists, Texts};
use crate::ranker::{explain_all, score_all};
use crate::{Candidates, Claims, Instant, Ranker, RepoFilter, Repositories, Request, StaleRule, Verdict};

pub use crate::wit::types::Reason;
pub use follow_ups::{FollowUpFacts, OfferedWork, choose_work, follow_up, follow_ups};

/// The present of facts made by hand: 2026-01-01, at noon UTC.
pub const NOW: Instant = Instant::from_ms(1_767_268_800_000);

/// The facts of one issue: `acme/app#1`, opened and last changed [`NOW`], and nothing else.
#[derive(Debug, Clone)]
#[must_use]
pub struct CandidateFacts {
    repo: String,
    number: u64,
    title: String,
    author: String,
    author_association: String,
    labels: Vec<String>,
    assignees: Vec<String>,
    milestone: String,
    comment_count: u32,
    reaction_count: u32,
    created_at: Instant,
    updated_at: Instant,
    score: f64,
    repo_claim_count: u32,
}

/// An issue to add facts to.
pub fn candidate() -> CandidateFacts {
    CandidateFacts {
        repo: "acme/app".into(),
        number: 1,
        title: String::new(),
        author: String::new(),
        author_association: "NONE".into(),
        labels: Vec::new(),
        assignees: Vec::new(),
        milestone: String::new(),
        comment_count: 0,
        reaction_count: 0,
        created_at: NOW,
        updated_at: NOW,
        score: 0.0,
        repo_claim_count: 0,
    }
}

impl CandidateFacts {
    /// In this repository (`owner/name`).
    pub fn repo(self, repo: &str) -> Self {
        Self { repo: repo.into(), ..self }
    }

    /// With this number.
    pub fn number(self, number: u64) -> Self {
        Self { number, ..self }
    }

    /// With this title.
    pub fn title(self, title: &str) -> Self {
        Self { title: title.into(), ..self }
    }

    /// Opened by this login.
    pub fn author(self, author: &str) -> Self {
        Self { author: author.into(), ..self }
    }

    /// Opened by somebody of this association (`MEMBER`, ...).
    pub fn author_association(self, word: &str) -> Self {
        Self { author_association: word.into(), ..self }
    }

    /// With one label more.
    pub fn label(mut self, label: &str) -> Self {
        self.labels.push(label.into());
        self
    }

    /// Assigned to one login more.
    pub fn assignee(mut self, login: &str) -> Self {
        self.assignees.push(login.into());
        self
    }

    /// In this milestone.
    pub fn milestone(self, title: &str) -> Self {
        Self { milestone: title.into(), ..self }
    }

    /// With so many comments.
    pub fn comments(self, comment_count: u32) -> Self {
        Self { comment_count, ..self }
    }

    /// With so many reactions.
    pub fn reactions(self, reaction_count: u32) -> Self {
        Self { reaction_count, ..self }
    }

    /// Opened so many days before [`NOW`].
    pub fn opened_days_ago(self, days: u64) -> Self {
        self.opened_at(NOW.minus_days(days))
    }

    /// Opened at this instant.
    pub fn opened_at(self, created_at: Instant) -> Self {
        Self { created_at, ..self }
    }

    /// Last changed so many days before [`NOW`].
    pub fn changed_days_ago(self, days: u64) -> Self {
        Self { updated_at: NOW.minus_days(days), ..self }
    }

    /// With this score in force, for `choose`.
    pub fn scored(self, score: f64) -> Self {
        Self { score, ..self }
    }

    /// With so many active claims in its repository, for `choose`.
    pub fn repo_claims(self, repo_claim_count: u32) -> Self {
        Self { repo_claim_count, ..self }
    }
}

/// The candidates of one call.
pub fn candidates(rows: impl IntoIterator<Item = CandidateFacts>) -> Candidates {
    let rows: Vec<_> = rows.into_iter().collect();
    Candidates {
        count: rows.len(),
        repos: Texts::of(rows.iter().map(|row| &row.repo)),
        numbers: rows.iter().map(|row| row.number).collect::<Vec<_>>().into(),
        titles: rows.iter().map(|row| row.title.clone()).collect::<Vec<_>>().into(),
        authors: Texts::of(rows.iter().map(|row| &row.author)),
        author_associations: Texts::of(rows.iter().map(|row| &row.author_association)),
        labels: TextLists::of(rows.iter().map(|row| row.labels.as_slice())),
        assignees: TextLists::of(rows.iter().map(|row| row.assignees.as_slice())),
        milestones: Texts::of(rows.iter().map(|row| &row.milestone)),
        comment_counts: rows.iter().map(|row| row.comment_count).collect::<Vec<_>>().into(),
        reaction_counts: rows.iter().map(|row| row.reaction_count).collect::<Vec<_>>().into(),
        created_at: rows.iter().map(|row| row.created_at.ms()).collect::<Vec<_>>().into(),
        updated_at: rows.iter().map(|row| row.updated_at.ms()).collect::<Vec<_>>().into(),
        scores: rows.iter().map(|row| row.score).collect::<Vec<_>>().into(),
        repo_claim_counts: rows.iter().map(|row| row.repo_claim_count).collect::<Vec<_>>().into(),
    }
}

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
    let skipped = |row| scores.skipped.iter().find(|skip| skip.row as usize == row).map(|skip| skip.reason.clone());
    let of_row = |(row, value): (usize, &f64)| Scored {
        value: *value,
        valid_until: valid_until(row).filter(|end| *end < Instant::NEVER),
        skipped: skipped(row),
    };
    scores.values.iter().enumerate().map(of_row).collect()
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

/// The request of `agent`, made [`NOW`], that holds one claim in each of `claim_repos`.
pub fn request(agent: &str, claim_repos: &[&str]) -> Request {
    Request {
        now: NOW,
        agent: OnceCell::from(agent.to_owned()),
        claim_count: OnceCell::from(claim_repos.len() as u32),
        claim_repos: OnceCell::from(claim_repos.iter().map(|repo| (*repo).to_owned()).collect::<Vec<_>>()),
    }
}

/// The facts of one live claim: agent `a` on `acme/app#1`, `claimed` [`NOW`] and not heard of since.
#[derive(Debug, Clone)]
#[must_use]
pub struct ClaimFacts {
    status: String,
    claimed_at: Instant,
    status_since: Instant,
    last_call_at: Instant,
}

/// A claim to add facts to.
pub fn claim() -> ClaimFacts {
    ClaimFacts { status: "claimed".into(), claimed_at: NOW, status_since: NOW, last_call_at: NOW }
}

impl ClaimFacts {
    /// In this status since this instant.
    pub fn status(self, status: &str, since: Instant) -> Self {
        Self { status: status.into(), status_since: since, ..self }
    }

    /// Its owner last called at this instant.
    pub fn last_call_at(self, last_call_at: Instant) -> Self {
        Self { last_call_at, ..self }
    }
}

/// Has a stale rule assess claims.
pub fn assess<S: StaleRule>(rule: &S, rows: impl IntoIterator<Item = ClaimFacts>, now: Instant) -> Vec<Verdict> {
    let rows: Vec<_> = rows.into_iter().collect();
    let claims = Claims {
        count: rows.len(),
        agents: Texts::of(rows.iter().map(|_| "a")),
        repos: Texts::of(rows.iter().map(|_| "acme/app")),
        numbers: (1..=rows.len() as u64).collect::<Vec<_>>().into(),
        statuses: Texts::of(rows.iter().map(|row| &row.status)),
        claimed_at: rows.iter().map(|row| row.claimed_at.ms()).collect::<Vec<_>>().into(),
        status_since: rows.iter().map(|row| row.status_since.ms()).collect::<Vec<_>>().into(),
        last_call_at: rows.iter().map(|row| row.last_call_at.ms()).collect::<Vec<_>>().into(),
    };
    claims.iter().map(|claim| rule.assess(&claim, now)).collect()
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
