//! The review feedback that one request may be answered with, and the view of one piece of it.

use crate::Instant;
use crate::column::{Column, Texts};
use crate::per_name::PerName;
use crate::rows::rows;
use crate::wit::follow_ups as facts;

/// The review feedback on offer to the asking agent: first that on its own pull requests, then the rest,
/// each the most urgent first, then the oldest. Reads from the host only the columns that a policy asks for.
#[derive(Debug, Default)]
pub struct FollowUps {
    pub(crate) count: usize,
    pub(crate) repos: Texts,
    pub(crate) numbers: Column<u64>,
    pub(crate) kinds: Texts,
    pub(crate) requested_by: Texts,
    pub(crate) own: Column<bool>,
    pub(crate) created_at: Column<u64>,
    pub(crate) pushed: Column<bool>,
}

rows!(FollowUps of FollowUp);

/// One piece of review feedback on a pull request. A view: cheap to copy, and a fact costs nothing until it
/// is read.
#[derive(Debug, Clone, Copy)]
pub struct FollowUp<'a> {
    facts: &'a FollowUps,
    row: usize,
}

impl<'a> FollowUp<'a> {
    /// Its place in this call.
    pub fn row(&self) -> u32 {
        self.row as u32
    }

    /// The pull request's repository, as `owner/name` in lower case.
    pub fn repo(&self) -> &'a str {
        self.facts.repos.row(self.row, facts::repos)
    }

    /// What the pull request's repository means to `repos`.
    pub fn repo_as<T: Copy>(&self, repos: &PerName<T>) -> Option<T> {
        self.facts.repos.lookup(self.row, facts::repos, repos)
    }

    /// The pull request's number.
    pub fn number(&self) -> u64 {
        self.facts.numbers.get_or_init(facts::numbers)[self.row]
    }

    /// `review_changes_requested`, `review_comment` or `pr_comment`.
    pub fn kind(&self) -> &'a str {
        self.facts.kinds.row(self.row, facts::kinds)
    }

    /// Whether it is a review that asks for changes: until it is answered the pull request cannot be merged.
    pub fn requests_changes(&self) -> bool {
        self.kind() == "review_changes_requested"
    }

    /// The login of who gave it; empty where it is not known.
    pub fn requested_by(&self) -> &'a str {
        self.facts.requested_by.row(self.row, facts::requested_by)
    }

    /// What the login of who gave it means to `logins`.
    pub fn requested_by_as<T: Copy>(&self, logins: &PerName<T>) -> Option<T> {
        self.facts.requested_by.lookup(self.row, facts::requested_by, logins)
    }

    /// Whether it is on a pull request that came from a claim of the asking agent.
    pub fn is_own(&self) -> bool {
        self.facts.own.get_or_init(facts::from_own_claim)[self.row]
    }

    /// When it came in.
    pub fn created_at(&self) -> Instant {
        Instant::from_ms(self.facts.created_at.get_or_init(facts::created_at)[self.row])
    }

    /// Whether commits were pushed since, that may answer it.
    pub fn is_pushed_to(&self) -> bool {
        self.facts.pushed.get_or_init(facts::pushed)[self.row]
    }
}
