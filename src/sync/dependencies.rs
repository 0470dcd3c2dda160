//! What blocks the issues that GitHub says are blocked: asked for one by one, since no list of issues says it.

use futures_util::{StreamExt, stream};

use super::{REPOS_AT_ONCE_MAX, Sync, SyncError};
use crate::domain::RepoName;
use crate::github::SourceError;
use crate::store::{DependencyDue, DependencyReading};

/// Most issues whose dependencies are read in one sync, those read longest ago first. Ours: unchanged ones cost
/// none of GitHub's hourly budget, and this is a minute of its pace.
const READING_COUNT_MAX: usize = 900;

impl Sync {
    /// Reads the dependencies of issues that GitHub says are blocked, in repositories that are `admitted`. What
    /// did not change costs nothing of the token's budget.
    ///
    /// # Errors
    /// The first failure; what was read until then is kept, and the next reading begins with the rest.
    pub async fn read_dependencies(
        &self,
        admitted: impl Fn(&RepoName) -> bool + Send + std::marker::Sync,
    ) -> Result<(), SyncError> {
        let mut due = self.store.dependency_due_list(READING_COUNT_MAX).await?;
        due.retain(|due| admitted(&due.issue.repo));
        let mut read =
            stream::iter(due.into_iter().map(|due| self.dependencies_of(due))).buffer_unordered(REPOS_AT_ONCE_MAX);
        let mut first_failure = None;
        while let Some(outcome) = read.next().await {
            match outcome {
                Ok(()) => {}
                // The next one would meet the same.
                Err(error @ (SyncError::Store(_) | SyncError::Source(SourceError::Paused { .. }))) => {
                    return Err(error);
                }
                Err(error @ SyncError::Source(SourceError::Unavailable { .. })) => return Err(error),
                Err(error) => _ = first_failure.get_or_insert(error),
            }
        }
        first_failure.map_or(Ok(()), Err)
    }

    async fn dependencies_of(&self, due: DependencyDue) -> Result<(), SyncError> {
        let DependencyDue { issue, etag } = due;
        let (blockers, etag, failure) = match self.source.blocker_list(&issue, etag.as_deref()).await {
            Ok(list) => (list.rows, list.etag, None),
            // A server that does not offer them: nothing is known, and the others come first next time.
            Err(SourceError::NotFound { .. }) => (None, etag, None),
            Err(error @ SourceError::Denied { .. }) => (None, etag, Some(error)),
            Err(error) => return Err(error.into()),
        };
        let reading = DependencyReading { issue, blockers, etag, now: self.clock.now() };
        self.store.dependency_set(reading).await?;
        failure.map_or(Ok(()), |error| Err(error.into()))
    }
}
