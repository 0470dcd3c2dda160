//! The live claims beside a short list, and the view of one of them.

use crate::Instant;
use crate::column::{Column, TextLists, Texts};
use crate::rows::rows;
use crate::wit::live_claims as facts;

/// What is being worked on in the repositories of a short list, the newest first, by the asking agent too; at most the
/// newest 256 claims. Reads from the host only the columns that a policy asks for.
#[derive(Debug, Default)]
pub struct LiveClaims {
    pub(crate) count: usize,
    pub(crate) agents: Texts,
    pub(crate) repos: Texts,
    pub(crate) numbers: Column<u64>,
    pub(crate) statuses: Texts,
    pub(crate) areas: TextLists,
    pub(crate) claimed_at: Column<u64>,
}

rows!(LiveClaims of LiveClaim);

/// Some agent's live hold on an issue. A view: cheap to copy, and a fact costs nothing until it is read.
#[derive(Debug, Clone, Copy)]
pub struct LiveClaim<'a> {
    facts: &'a LiveClaims,
    row: usize,
}

impl<'a> LiveClaim<'a> {
    /// Who holds it.
    pub fn agent(&self) -> &'a str {
        self.facts.agents.row(self.row, facts::agents)
    }

    /// The repository, as `owner/name` in lower case.
    pub fn repo(&self) -> &'a str {
        self.facts.repos.row(self.row, facts::repos)
    }

    /// The number.
    pub fn number(&self) -> u64 {
        self.facts.numbers.get_or_init(facts::numbers)[self.row]
    }

    /// `claimed`, `in_progress`, `pr_submitted`, `pr_merged` or `stale`.
    pub fn status(&self) -> &'a str {
        self.facts.statuses.row(self.row, facts::statuses)
    }

    /// Files and folders that the work is likely to touch, as [`Candidate::areas`](crate::Candidate::areas).
    pub fn areas(&self) -> impl Iterator<Item = &'a str> {
        self.facts.areas.row(self.row, facts::areas)
    }

    /// When it was granted.
    pub fn claimed_at(&self) -> Instant {
        Instant::from_ms(self.facts.claimed_at.get_or_init(facts::claimed_at)[self.row])
    }
}
