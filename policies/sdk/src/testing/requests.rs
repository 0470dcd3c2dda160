//! Requests made by hand, and the live claims beside them.

use std::cell::OnceCell;

use super::NOW;
use crate::column::{TextLists, Texts};
use crate::{Instant, LiveClaims, Request};

/// The request of `agent`, made [`NOW`], that holds one claim in each of `claim_repos`, says nothing of its
/// skills, and beside which nothing else is being worked on.
pub fn request(agent: &str, claim_repos: &[&str]) -> Request {
    Request {
        agent: OnceCell::from(agent.to_owned()),
        claim_count: OnceCell::from(claim_repos.len() as u32),
        claim_repos: OnceCell::from(owned(claim_repos)),
        skills: OnceCell::from(Vec::new()),
        groups: OnceCell::from(Vec::new()),
        review_count: OnceCell::from(0),
        budget_spent: OnceCell::from(0),
        live_claims: OnceCell::from(LiveClaims::default()),
        ..Request::of_this_call(NOW)
    }
}

/// For tests.
impl Request {
    /// Made by an agent of these skills.
    #[must_use]
    pub fn skilled(self, skills: &[&str]) -> Self {
        Self { skills: OnceCell::from(owned(skills)), ..self }
    }

    /// Made by an agent of these groups.
    #[must_use]
    pub fn grouped(self, groups: &[&str]) -> Self {
        Self { groups: OnceCell::from(owned(groups)), ..self }
    }

    /// Made by an agent of which so many pull requests wait for a review.
    #[must_use]
    pub fn reviews(self, review_count: u32) -> Self {
        Self { review_count: OnceCell::from(review_count), ..self }
    }

    /// How much of the day's budget of dispatch is spent, in percent; nothing unless it is said.
    #[must_use]
    pub fn with_budget_spent(self, percent: u32) -> Self {
        Self { budget_spent: OnceCell::from(percent), ..self }
    }

    /// With these claims being worked on beside it.
    #[must_use]
    pub fn beside(self, claims: impl IntoIterator<Item = LiveClaimFacts>) -> Self {
        Self { live_claims: OnceCell::from(live_claims(claims)), ..self }
    }

    /// When the policy said that asking again makes sense, in milliseconds, if it did.
    pub fn retry_after_ms(&self) -> Option<u64> {
        self.retry_after_ms.get()
    }
}

fn owned(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

/// The facts of one live claim beside a request: agent `b` on `acme/app#100`, `in_progress`, claimed [`NOW`].
#[derive(Debug, Clone)]
#[must_use]
pub struct LiveClaimFacts {
    agent: String,
    repo: String,
    number: u64,
    status: String,
    areas: Vec<String>,
    claimed_at: Instant,
}

/// A live claim to add facts to.
pub fn live_claim() -> LiveClaimFacts {
    LiveClaimFacts {
        agent: "b".into(),
        repo: "acme/app".into(),
        number: 100,
        status: "in_progress".into(),
        areas: Vec::new(),
        claimed_at: NOW,
    }
}

impl LiveClaimFacts {
    /// Held by this agent.
    pub fn agent(self, agent: &str) -> Self {
        Self { agent: agent.into(), ..self }
    }

    /// In this repository (`owner/name`).
    pub fn repo(self, repo: &str) -> Self {
        Self { repo: repo.into(), ..self }
    }

    /// On the issue of this number.
    pub fn number(self, number: u64) -> Self {
        Self { number, ..self }
    }

    /// In this status (`claimed`, `pr_submitted`, ...).
    pub fn status(self, status: &str) -> Self {
        Self { status: status.into(), ..self }
    }

    /// Likely to touch one file or folder (`src/net/`) more.
    pub fn area(mut self, path: &str) -> Self {
        self.areas.push(path.into());
        self
    }

    /// Granted at this instant.
    pub fn claimed_at(self, claimed_at: Instant) -> Self {
        Self { claimed_at, ..self }
    }
}

fn live_claims(rows: impl IntoIterator<Item = LiveClaimFacts>) -> LiveClaims {
    let rows: Vec<_> = rows.into_iter().collect();
    LiveClaims {
        count: rows.len(),
        agents: Texts::of(rows.iter().map(|row| &row.agent)),
        repos: Texts::of(rows.iter().map(|row| &row.repo)),
        numbers: rows.iter().map(|row| row.number).collect::<Vec<_>>().into(),
        statuses: Texts::of(rows.iter().map(|row| &row.status)),
        areas: TextLists::of(rows.iter().map(|row| row.areas.as_slice())),
        claimed_at: rows.iter().map(|row| row.claimed_at.ms()).collect::<Vec<_>>().into(),
    }
}
