//! The walk over one repository's issues.

use std::collections::{HashMap, HashSet};

use tracing::info;

use super::{Sync, SyncError};
use crate::domain::{Issue, IssueNumber, IssueState, RepoName, Timestamp};
use crate::store::{IssueApplied, IssueBatch, SyncCursor};

/// Most pages of one walk: 200,000 issues.
pub(super) const PAGE_COUNT_MAX: usize = 2_000;
/// Pages between two lines of progress.
const PROGRESS_PAGE_COUNT: usize = 10;
/// How often all open issues are read anew because some were closed meanwhile.
const FULL_WALK_COUNT_MAX: usize = 3;

/// What one walk read, and what the store made of it.
#[derive(Debug, Default)]
pub(super) struct Walked {
    /// Open issues read, and when each last changed.
    pub(super) open: HashMap<IssueNumber, Timestamp>,
    /// What changed in the store.
    pub(super) applied: IssueApplied,
    closed: HashSet<IssueNumber>,
    pages: usize,
}

impl Walked {
    /// What these issues tell, before the store has them.
    pub(super) fn of(issues: &[Issue]) -> Self {
        let mut walked = Self::default();
        walked.see(issues);
        walked
    }

    fn see(&mut self, issues: &[Issue]) {
        for issue in issues {
            match issue.state {
                IssueState::Open => {
                    self.open.insert(issue.number, issue.updated_at);
                }
                IssueState::Closed => {
                    self.closed.insert(issue.number);
                }
            }
        }
    }

    pub(super) fn add(&mut self, applied: IssueApplied) {
        self.applied.newly_opened += applied.newly_opened;
        self.applied.updated += applied.updated;
        self.applied.claims_closed += applied.claims_closed;
    }

    fn take_in(&mut self, other: Self) {
        self.add(other.applied);
        self.open.extend(other.open);
        self.open.retain(|number, _| !other.closed.contains(number));
    }
}

impl Sync {
    /// Reads what changed in `repo` since `cursor`, and then moves the cursor: a walk cut short begins
    /// again where this one did.
    pub(super) async fn walk_repo(&self, repo: &RepoName, cursor: SyncCursor) -> Result<Walked, SyncError> {
        let (walked, reached) = match cursor.updated_at {
            None => self.walk_all(repo, &cursor).await?,
            Some(_) => self.walk_since(repo, &cursor).await?,
        };
        if reached != cursor {
            self.apply(repo, Vec::new(), Some(reached)).await?;
        }
        Ok(walked)
    }

    /// Reads all open issues. When one that was read is closed before the walk ends, those behind it
    /// move up, perhaps past a page boundary and out of sight. So what changed meanwhile is read next,
    /// and if that shows such an issue, all are read anew.
    async fn walk_all(&self, repo: &RepoName, cursor: &SyncCursor) -> Result<(Walked, SyncCursor), SyncError> {
        let known = self.known_open(repo).await?;
        let mut walked = Walked::default();
        let mut reached = cursor.clone();
        for _ in 0..FULL_WALK_COUNT_MAX {
            let (all, began_at) = self.walk_since(repo, cursor).await?;
            reached = began_at;
            if all.pages == 1 {
                walked.take_in(all);
                break;
            }
            let (meanwhile, now_at) = self.walk_since(repo, &reached).await?;
            let settled = meanwhile.closed.iter().all(|number| !all.open.contains_key(number));
            walked.take_in(all);
            walked.take_in(meanwhile);
            reached = now_at;
            if settled {
                break;
            }
        }
        if reached != *cursor {
            self.confirm(repo, &known, usize::MAX, &mut walked).await?;
        }
        Ok((walked, reached))
    }

    /// Reads what changed since `cursor`, page by page; each page is in the store before the next is
    /// asked for. Answers where the next walk is to begin.
    pub(super) async fn walk_since(
        &self,
        repo: &RepoName,
        cursor: &SyncCursor,
    ) -> Result<(Walked, SyncCursor), SyncError> {
        let mut walked = Walked::default();
        let mut reached = cursor.clone();
        let mut next = None;
        while walked.pages < PAGE_COUNT_MAX {
            let page = self.source.issue_page(repo, cursor, next).await?;
            walked.pages += 1;
            if let Some(first) = page.cursor {
                reached = first;
            }
            walked.see(&page.issues);
            if !page.issues.is_empty() {
                let applied = self.apply(repo, page.issues, None).await?;
                walked.add(applied);
            }
            if walked.pages.is_multiple_of(PROGRESS_PAGE_COUNT) {
                info!(%repo, "sync of {repo}: {} open issues on {} pages so far", walked.open.len(), walked.pages);
            }
            next = page.next;
            if next.is_none() {
                return Ok((walked, reached));
            }
        }
        Err(SyncError::Endless { pages: PAGE_COUNT_MAX })
    }

    /// Writes what was read of `repo`, and how far with it.
    pub(super) async fn apply(
        &self,
        repo: &RepoName,
        issues: Vec<Issue>,
        cursor: Option<SyncCursor>,
    ) -> Result<IssueApplied, SyncError> {
        let batch = IssueBatch { repo: repo.clone(), issues, cursor, now: self.clock.now() };
        Ok(self.store.issue_apply(batch).await?)
    }
}
