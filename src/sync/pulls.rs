//! Pull requests and the feedback on them, read from GitHub: what a lost webhook would have told.

use std::sync::Arc;

use futures_util::{StreamExt, stream};
use tracing::warn;

use super::REPOS_AT_ONCE_MAX;
use crate::domain::{Feedback, Merged, PullRequest, PullState, RepoName, Timestamp};
use crate::github::{IssueSource, SourceError};
use crate::store::{ClaimFilter, ListName, Store, StoreError, SyncCursor};

/// Most pages of changed pull requests read at once in one repository: the newest 2,000.
const PAGE_COUNT_MAX: usize = 20;

/// Reads the pull requests of repositories in which something is at work.
#[derive(Debug)]
pub struct PullWatch {
    source: Arc<dyn IssueSource>,
    store: Arc<dyn Store>,
}

/// A pull request that changed, with what was said on it since the last reading.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PullNews {
    /// The pull request as it is now. Whether it was merged is known where it matters and is closed.
    pub pull: PullRequest,
    /// New feedback, oldest first; empty for a pull request that does not matter. Feedback may come
    /// twice: [`FeedbackKind::source_key`](crate::domain::FeedbackKind::source_key) tells.
    pub feedback: Vec<Feedback>,
}

/// What one reading found. Until it is [kept](PullWatch::keep), the next reading finds it again.
#[derive(Debug, Default)]
pub struct PullReading {
    /// By repository, newest change first.
    pub news: Vec<PullNews>,
    /// Repositories that could not be read; there is no news of them, and the next reading goes back as
    /// far as this one did.
    pub failures: Vec<(RepoName, SourceError)>,
    reached: Vec<(ListName, SyncCursor)>,
}

/// Why one repository could not be read.
enum Failure {
    Source(SourceError),
    Store(StoreError),
}

impl From<SourceError> for Failure {
    fn from(error: SourceError) -> Self {
        Self::Source(error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl PullWatch {
    /// Reads from `source`, and remembers in `store` how far.
    pub fn new(source: Arc<dyn IssueSource>, store: Arc<dyn Store>) -> Self {
        Self { source, store }
    }

    /// Reads what changed in the pull requests of `repos` since the last reading that was kept; in a
    /// repository read for the first time, since its oldest active claim was granted. `matters` says of
    /// which pull requests the feedback is wanted. Where nothing changed this costs one unmetered request.
    ///
    /// # Errors
    /// When the store fails. What fails at the source is in the reading.
    pub async fn read(
        &self,
        repos: &[RepoName],
        matters: impl Fn(&PullRequest) -> bool + Send + Sync,
    ) -> Result<PullReading, StoreError> {
        let matters = &matters;
        let reads = repos.iter().cloned().map(|repo| async move {
            let read = self.read_repo(&repo, matters).await;
            (repo, read)
        });
        let mut reads = stream::iter(reads).buffered(REPOS_AT_ONCE_MAX);
        let mut reading = PullReading::default();
        while let Some((repo, read)) = reads.next().await {
            match read {
                Ok((news, reached)) => {
                    reading.news.extend(news);
                    reading.reached.extend(reached.map(|cursor| (ListName::Pulls(repo), cursor)));
                }
                Err(Failure::Source(error)) => reading.failures.push((repo, error)),
                Err(Failure::Store(error)) => return Err(error),
            }
        }
        Ok(reading)
    }

    /// Notes that everything in `reading` was taken in: the next reading begins where it ended.
    ///
    /// # Errors
    /// When the store fails; the same news come again then.
    pub async fn keep(&self, reading: &PullReading) -> Result<(), StoreError> {
        if reading.reached.is_empty() {
            return Ok(());
        }
        self.store.list_cursor_set(reading.reached.clone()).await
    }

    /// The news of one repository, and how far it is read now, if that is further than before.
    async fn read_repo(
        &self,
        repo: &RepoName,
        matters: &(impl Fn(&PullRequest) -> bool + Send + Sync),
    ) -> Result<(Vec<PullNews>, Option<SyncCursor>), Failure> {
        let kept = self.store.list_cursor_get(ListName::Pulls(repo.clone())).await?;
        let cursor = match kept.updated_at {
            Some(_) => kept.clone(),
            None => SyncCursor { etag: None, updated_at: self.oldest_claim(repo).await? },
        };
        let (pulls, reached) = self.changed_pulls(repo, &cursor).await?;
        let mut news = Vec::new();
        for pull in pulls {
            news.push(match matters(&pull) {
                true => self.in_full(pull, cursor.updated_at).await?,
                false => PullNews { pull, feedback: Vec::new() },
            });
        }
        Ok((news, Some(reached).filter(|reached| *reached != kept)))
    }

    async fn oldest_claim(&self, repo: &RepoName) -> Result<Option<Timestamp>, StoreError> {
        let filter = ClaimFilter { repo: Some(repo.clone()), ..ClaimFilter::default() };
        Ok(self.store.claim_list(filter).await?.iter().map(|claim| claim.claimed_at).min())
    }

    /// Pull requests that changed since `cursor`, each once, and where the next reading is to begin.
    async fn changed_pulls(
        &self,
        repo: &RepoName,
        cursor: &SyncCursor,
    ) -> Result<(Vec<PullRequest>, SyncCursor), SourceError> {
        let (mut pulls, mut reached, mut next) = (Vec::<PullRequest>::new(), cursor.clone(), None);
        for _ in 0..PAGE_COUNT_MAX {
            let page = self.source.pull_page(repo, cursor, next).await?;
            if let Some(first) = page.cursor {
                reached = first;
            }
            if cursor.updated_at.is_none() {
                // Nothing was at work here before: all that counts is what comes from now on.
                return Ok((Vec::new(), reached));
            }
            // One that changes while pages are read moves to the front, and others down across a boundary.
            let fresh = page.pulls.into_iter().filter(|pull| pulls.iter().all(|known| known.number != pull.number));
            let fresh: Vec<_> = fresh.collect();
            pulls.extend(fresh);
            next = page.next;
            if next.is_none() {
                return Ok((pulls, reached));
            }
        }
        warn!(%repo, "more pull requests of {repo} changed than are read at once: the oldest changes are left out");
        Ok((pulls, reached))
    }

    /// A pull request that matters: with its feedback, and read by itself where the list did not say
    /// whether it was merged.
    async fn in_full(&self, pull: PullRequest, since: Option<Timestamp>) -> Result<PullNews, SourceError> {
        let unsaid = pull.state == PullState::Closed && pull.merged == Merged::Unknown;
        let read = if unsaid { self.source.pull_get(&pull.pull_ref()).await? } else { None };
        let pull = read.unwrap_or(pull);
        let feedback = self.source.feedback_list(&pull, since).await?;
        Ok(PullNews { pull, feedback })
    }
}
