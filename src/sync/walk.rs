//! The walk over one repository's issues.

use std::collections::HashSet;

use tracing::info;

use super::{Sync, SyncError};
use crate::domain::{Issue, IssueNumber, IssueState, RepoName};
use crate::store::{ClaimFilter, IssueApplied, IssueBatch, SyncCursor};

/// Most pages of one walk: 200,000 issues.
const PAGE_COUNT_MAX: usize = 2_000;
/// Pages between two lines of progress.
const PROGRESS_PAGE_COUNT: usize = 10;
/// How often all open issues are read anew because some were closed meanwhile.
const FULL_WALK_COUNT_MAX: usize = 3;

/// What one walk read, and what the store made of it.
#[derive(Debug, Default)]
pub(super) struct Walked {
    /// Numbers of open issues read.
    pub(super) open: HashSet<IssueNumber>,
    /// What changed in the store.
    pub(super) applied: IssueApplied,
    closed: HashSet<IssueNumber>,
    pages: usize,
}

impl Walked {
    fn add(&mut self, applied: IssueApplied) {
        self.applied.newly_opened += applied.newly_opened;
        self.applied.updated += applied.updated;
        self.applied.claims_closed += applied.claims_closed;
    }

    fn take_in(&mut self, other: Self) {
        self.add(other.applied);
        self.open.extend(other.open);
        self.open.retain(|number| !other.closed.contains(number));
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
            let settled = meanwhile.closed.is_disjoint(&all.open);
            walked.take_in(all);
            walked.take_in(meanwhile);
            reached = now_at;
            if settled {
                break;
            }
        }
        if reached != *cursor {
            self.confirm_claims(repo, &mut walked).await?;
        }
        Ok((walked, reached))
    }

    /// Reads what changed since `cursor`, page by page; each page is in the store before the next is
    /// asked for. Answers where the next walk is to begin.
    async fn walk_since(&self, repo: &RepoName, cursor: &SyncCursor) -> Result<(Walked, SyncCursor), SyncError> {
        let mut walked = Walked::default();
        let mut reached = cursor.clone();
        let mut next = None;
        while walked.pages < PAGE_COUNT_MAX {
            let page = self.source.issue_page(repo, cursor, next).await?;
            walked.pages += 1;
            if let Some(first) = page.cursor {
                reached = first;
            }
            for issue in &page.issues {
                match issue.state {
                    IssueState::Open => walked.open.insert(issue.number),
                    IssueState::Closed => walked.closed.insert(issue.number),
                };
            }
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

    /// Reads by itself each claimed issue that the list of open ones did not show: it may be closed,
    /// or only have moved between pages. One that is gone, or a pull request, is offered no more; its
    /// claim stays its owner's to give back. A failed read changes nothing.
    async fn confirm_claims(&self, repo: &RepoName, walked: &mut Walked) -> Result<(), SyncError> {
        let filter = ClaimFilter { repo: Some(repo.clone()), ..ClaimFilter::default() };
        for claim in self.store.claim_list(filter).await? {
            if walked.open.contains(&claim.issue_number) {
                continue;
            }
            match self.source.issue_get(&claim.issue_ref()).await? {
                Some(issue) => {
                    walked.open.extend((issue.state == IssueState::Open).then_some(issue.number));
                    let applied = self.apply(repo, vec![issue], None).await?;
                    walked.add(applied);
                }
                None => self.store.issue_remove(claim.issue_ref()).await?,
            }
        }
        Ok(())
    }

    async fn apply(
        &self,
        repo: &RepoName,
        issues: Vec<Issue>,
        cursor: Option<SyncCursor>,
    ) -> Result<IssueApplied, SyncError> {
        let batch = IssueBatch { repo: repo.clone(), issues, cursor, now: self.clock.now() };
        Ok(self.store.issue_apply(batch).await?)
    }
}
