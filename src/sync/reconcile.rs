//! Reading all open issues of a repository: finds those that were deleted, or moved elsewhere.

use std::collections::HashSet;

use super::walk::Walked;
use super::{Sync, SyncError};
use crate::domain::{IssueNumber, IssueRef, IssueState, RepoName, Timestamp};
use crate::store::{ClaimFilter, SyncCursor};

/// Most issues of one repository that are read by themselves in one sync; the next goes on.
const CONFIRM_COUNT_MAX: usize = 200;

/// What a full reading found.
#[derive(Debug)]
pub(super) struct Reconciled {
    pub(super) walked: Walked,
    /// Whether every missing issue was read by itself.
    pub(super) complete: bool,
    known: HashSet<IssueNumber>,
}

impl Reconciled {
    /// An open issue that the store did not know although it last changed before `horizon`.
    pub(super) fn unknown_before(&self, horizon: Timestamp) -> Option<IssueNumber> {
        let mut unknown = self.walked.open.iter().filter(|(number, _)| !self.known.contains(number));
        unknown.find(|(_, changed_at)| **changed_at < horizon).map(|(number, _)| *number)
    }
}

impl Sync {
    /// Reads all open issues of `repo` and then, one by one, those that the store knows as open and the
    /// list did not show. Moves no cursor: what changes meanwhile is the next walk's.
    pub(super) async fn reconcile_repo(&self, repo: &RepoName) -> Result<Reconciled, SyncError> {
        let known = self.known_open(repo).await?;
        let (mut walked, _) = self.walk_since(repo, &SyncCursor::default()).await?;
        let complete = self.confirm(repo, &known, CONFIRM_COUNT_MAX, &mut walked).await?;
        Ok(Reconciled { walked, complete, known })
    }

    /// What the store knows as open.
    pub(super) async fn known_open(&self, repo: &RepoName) -> Result<HashSet<IssueNumber>, SyncError> {
        Ok(self.store.issue_number_list(repo.clone()).await?.into_iter().collect())
    }

    /// Reads by itself each known and each claimed issue that the list of open ones did not show, up to
    /// `count_max` of them: it may be closed, or only have moved between pages. One that is gone, or a
    /// pull request, is offered no more; its claim stays its owner's to give back. A failed read changes
    /// nothing. Answers whether all were read.
    pub(super) async fn confirm(
        &self,
        repo: &RepoName,
        known: &HashSet<IssueNumber>,
        count_max: usize,
        walked: &mut Walked,
    ) -> Result<bool, SyncError> {
        let filter = ClaimFilter { repo: Some(repo.clone()), ..ClaimFilter::default() };
        let claimed = self.store.claim_list(filter).await?.into_iter().map(|claim| claim.issue_number);
        let mut missing: Vec<_> = known.iter().copied().chain(claimed).collect();
        missing.retain(|number| !walked.open.contains_key(number));
        missing.sort_unstable();
        missing.dedup();
        for number in missing.iter().take(count_max) {
            let issue = IssueRef::new(repo.clone(), *number);
            match self.source.issue_get(&issue).await? {
                Some(issue) => {
                    walked.open.extend((issue.state == IssueState::Open).then_some((issue.number, issue.updated_at)));
                    let applied = self.apply(repo, vec![issue], None).await?;
                    walked.add(applied);
                }
                None => self.store.issue_remove(issue).await?,
            }
        }
        Ok(missing.len() <= count_max)
    }
}
