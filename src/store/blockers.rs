//! What is to be closed first, as GitHub tells it.

use crate::domain::{Blocker, IssueRef, Timestamp};

/// An issue whose dependencies are to be read by themselves, because GitHub says that it is blocked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DependencyDue {
    /// Which.
    pub issue: IssueRef,
    /// GitHub's tag of the last answer, for a conditional request.
    pub etag: Option<String>,
}

/// The dependencies of one issue, as read.
#[derive(Debug, Clone)]
pub struct DependencyReading {
    /// Whose.
    pub issue: IssueRef,
    /// All of them; `None` when they are as they were.
    pub blockers: Option<Vec<Blocker>>,
    /// GitHub's tag of the answer.
    pub etag: Option<String>,
    /// The present.
    pub now: Timestamp,
}

/// One dependency that came, or went.
#[derive(Debug, Clone)]
pub struct DependencyChange {
    /// The issue that is blocked.
    pub issue: IssueRef,
    /// What blocks it.
    pub blocker: Blocker,
    /// Whether it came.
    pub added: bool,
}
