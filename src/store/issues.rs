//! What GitHub said of issues, and how far it was read.

use serde::{Deserialize, Serialize};

use crate::domain::{Issue, RepoName, Timestamp};

/// Which open, unclaimed issues.
#[derive(Debug, Clone)]
pub struct IssueFilter {
    /// In this repository.
    pub repo: RepoName,
    /// With this label, compared trimmed and without case.
    pub label: Option<String>,
    /// With the milestone of this title, compared trimmed and without case.
    pub milestone: Option<String>,
}

/// What GitHub said of some issues of one repository.
#[derive(Debug, Clone)]
pub struct IssueBatch {
    /// The repository.
    pub repo: RepoName,
    /// Open and closed issues, as read.
    pub issues: Vec<Issue>,
    /// How far the repository is synced with this batch; `None` while there is more to come.
    pub cursor: Option<SyncCursor>,
    /// The present.
    pub now: Timestamp,
}

/// What a batch changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IssueApplied {
    /// Issues that are open now and were not known as open before.
    pub newly_opened: usize,
    /// Open issues whose facts changed.
    pub updated: usize,
    /// Claims closed because GitHub shows their issue as closed.
    pub claims_closed: usize,
}

/// How far a repository is synced.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SyncCursor {
    /// GitHub's tag of the newest page, for a conditional request. Belongs to one token.
    pub etag: Option<String>,
    /// The newest change seen; only later ones are read next time.
    pub updated_at: Option<Timestamp>,
}

/// A list that is read from its newest change back to where the last reading began.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum ListName {
    /// The issues of all repositories that the token's account belongs to.
    Changes,
    /// The pull requests of a repository.
    Pulls(RepoName),
}

/// What the sync notes about a repository, apart from its cursor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RepoMark {
    /// Whether the account's list has shown every change since the repository was last walked.
    pub followed: bool,
    /// When all its open issues were last read.
    pub reconciled_at: Option<Timestamp>,
}
