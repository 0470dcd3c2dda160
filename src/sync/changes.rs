//! What changed in all repositories of an account, from one list.
//!
//! A repository is *followed* once it was walked by itself after that list was first read: from then on
//! the list shows its every change, and the repository is not asked any more.

use std::collections::{BTreeMap, HashSet};
use std::sync::Mutex;

use tracing::warn;

use super::visits::Visit;
use super::walk::{PAGE_COUNT_MAX, Walked};
use super::{Sync, SyncError, SyncReport, noted};
use crate::domain::{Issue, RepoName, Timestamp};
use crate::github::SourceError;
use crate::store::{ListName, RepoMark, SyncCursor};

/// What the account's list told in this sync.
#[derive(Debug)]
pub(super) enum Changes {
    /// Nothing: every repository is walked.
    Untold,
    /// Everything that changed in these repositories, up to the horizon.
    Told { repos: HashSet<RepoName>, horizon: Option<Timestamp> },
}

impl Changes {
    /// Whether every change of `repo` was told.
    pub(super) fn show(&self, repo: &RepoName) -> bool {
        matches!(self, Self::Told { repos, .. } if repos.contains(repo))
    }

    /// The newest change that was told.
    pub(super) fn horizon(&self) -> Option<Timestamp> {
        match self {
            Self::Untold => None,
            Self::Told { horizon, .. } => *horizon,
        }
    }
}

impl Sync {
    /// Reads the account's list, applies what it tells about `visits`, and lets go of repositories that
    /// it shows no more. A failure other than a pause costs nothing but trips: all are walked then.
    pub(super) async fn follow(&self, visits: &[Visit], report: &Mutex<SyncReport>) -> Result<Changes, SyncError> {
        let repos: HashSet<RepoName> =
            visits.iter().filter(|visit| visit.followable).map(|visit| visit.repo.clone()).collect();
        self.unfollow(|repo| !repos.contains(repo)).await?;
        if repos.is_empty() {
            return Ok(Changes::Untold);
        }
        let cursor = self.store.list_cursor_get(ListName::Changes).await?;
        match self.read_changes(&cursor, &repos, report).await {
            Ok(Some(reached)) => {
                let horizon = reached.updated_at;
                if reached != cursor {
                    self.store.list_cursor_set(vec![(ListName::Changes, reached)]).await?;
                }
                Ok(Changes::Told { repos, horizon })
            }
            Ok(None) => Ok(Changes::Untold),
            Err(error @ (SyncError::Store(_) | SyncError::Source(SourceError::Paused { .. }))) => Err(error),
            Err(error) => {
                warn!("each repository is asked by itself this time: {error}");
                if matches!(error, SyncError::Endless { .. }) {
                    // Begins anew at the present; every repository is walked before it is followed again.
                    self.unfollow(|_| true).await?;
                    self.store.list_cursor_set(vec![(ListName::Changes, SyncCursor::default())]).await?;
                }
                Ok(Changes::Untold)
            }
        }
    }

    /// Reads back to `cursor`, page by page; each page is in the store before the next is asked for.
    /// Answers where the next reading is to begin; `None` when the source has no such list.
    async fn read_changes(
        &self,
        cursor: &SyncCursor,
        repos: &HashSet<RepoName>,
        report: &Mutex<SyncReport>,
    ) -> Result<Option<SyncCursor>, SyncError> {
        let (mut reached, mut next) = (cursor.clone(), None);
        for _ in 0..PAGE_COUNT_MAX {
            let Some(page) = self.source.change_page(cursor, next).await? else { return Ok(None) };
            if let Some(first) = page.cursor {
                reached = first;
            }
            if cursor.updated_at.is_none() {
                // The first reading ever: nobody is followed yet, so only the place to begin is of use.
                return Ok(Some(reached));
            }
            let mut of_repo: BTreeMap<RepoName, Vec<Issue>> = BTreeMap::new();
            for issue in page.issues.into_iter().filter(|issue| repos.contains(&issue.repo)) {
                of_repo.entry(issue.repo.clone()).or_default().push(issue);
            }
            for (repo, issues) in of_repo {
                let mut read = Walked::of(&issues);
                read.add(self.apply(&repo, issues, None).await?);
                noted(report).note_applied(&read);
            }
            next = page.next;
            if next.is_none() {
                return Ok(Some(reached));
            }
        }
        Err(SyncError::Endless { pages: PAGE_COUNT_MAX })
    }

    /// Lets go of followed repositories: each is walked before it is followed again.
    async fn unfollow(&self, which: impl Fn(&RepoName) -> bool + Send) -> Result<(), SyncError> {
        let marks = self.store.repo_mark_list().await?.into_iter();
        let gone = marks.filter(|(repo, mark)| mark.followed && which(repo));
        let gone: Vec<_> = gone.map(|(repo, mark)| (repo, RepoMark { followed: false, ..mark })).collect();
        if !gone.is_empty() {
            self.store.repo_mark_set(gone).await?;
        }
        Ok(())
    }
}
