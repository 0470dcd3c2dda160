//! What one sync did.

use chrono::TimeDelta;
use serde_json::{Value, json};
use tracing::{debug, info, warn};

use super::Swept;
use super::walk::Walked;
use crate::domain::{RepoName, Timestamp};
use crate::github::SourceError;
use crate::store::StoreError;

/// Failing repositories named one by one in the log; the rest are counted.
const FAILURE_COUNT_LOGGED_MAX: usize = 10;

/// Why a part of a sync failed.
#[derive(Debug, thiserror::Error)]
pub enum SyncError {
    /// The source did not answer.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The store did not answer.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A walk did not come to an end.
    #[error("its list of issues did not end within {pages} pages")]
    Endless {
        /// How many pages were read.
        pages: usize,
    },
}

/// What one sync did. Counts are of this run only: a repository in which nothing changed adds none.
#[derive(Debug, Default)]
pub struct SyncReport {
    /// Repositories walked to the end, or found unchanged.
    pub repos_scanned: usize,
    /// Open issues read.
    pub open_issues_seen: usize,
    /// Issues that are open now and were not known as open before.
    pub newly_opened_issues: usize,
    /// Claims closed because GitHub shows their issue as closed.
    pub externally_closed_claims: usize,
    /// Open issues whose facts changed.
    pub metadata_updates: usize,
    /// Repositories that failed, by name, each with the reason.
    pub failures: Vec<(RepoName, SyncError)>,
    /// What failed apart from single repositories: the list of repositories, or the store.
    pub general_failure: Option<SyncError>,
    /// Until when GitHub asks for a pause, if it does: the run ended early.
    pub paused_until: Option<Timestamp>,
}

impl SyncReport {
    /// Whether everything was read that should be.
    pub fn went_through(&self) -> bool {
        self.failures.is_empty() && self.general_failure.is_none() && self.paused_until.is_none()
    }

    /// Whether all repositories that could be named had their turn, and some answered: what is not known by now
    /// is not merely early. Single ones may have failed.
    pub fn came_round(&self) -> bool {
        self.paused_until.is_none() && (self.repos_scanned > 0 || self.went_through())
    }

    /// The details of the `sync.reconciled` event, with what sweeps did since the last one.
    pub fn details(&self, swept: Swept) -> Value {
        let mut details = json!({
            "repos_scanned": self.repos_scanned,
            "open_issues_seen": self.open_issues_seen,
            "newly_opened_issues": self.newly_opened_issues,
            "externally_closed_claims": self.externally_closed_claims,
            "metadata_updates": self.metadata_updates,
            "stale_marked": swept.stale_marked,
            "stale_auto_released": swept.stale_auto_released,
            "repos_failed": self.failures.len(),
        });
        if let Some(until) = self.paused_until {
            details["paused_until"] = json!(until);
        }
        details
    }

    pub(super) fn note_walked(&mut self, walked: &Walked) {
        self.repos_scanned += 1;
        self.note_applied(walked);
    }

    /// Counts what was read, apart from the repository.
    pub(super) fn note_applied(&mut self, walked: &Walked) {
        self.open_issues_seen += walked.open.len();
        self.newly_opened_issues += walked.applied.newly_opened;
        self.externally_closed_claims += walked.applied.claims_closed;
        self.metadata_updates += walked.applied.updated;
    }

    pub(super) fn note_failure(&mut self, repo: RepoName, error: SyncError, now: Timestamp) {
        if !self.note_pause(&error, now) {
            self.failures.push((repo, error));
        }
    }

    /// Keeps the first failure that belongs to no single repository.
    pub(super) fn note_general(&mut self, outcome: Result<(), SyncError>, now: Timestamp) {
        if let Err(error) = outcome
            && !self.note_pause(&error, now)
        {
            self.general_failure.get_or_insert(error);
        }
    }

    /// A pause is no failure of a repository: it holds for all of them.
    fn note_pause(&mut self, error: &SyncError, now: Timestamp) -> bool {
        let SyncError::Source(SourceError::Paused { retry_after }) = error else { return false };
        let until = now + TimeDelta::from_std(*retry_after).unwrap_or(TimeDelta::MAX / 1_000_000);
        self.paused_until = self.paused_until.max(Some(until));
        true
    }

    /// One line on what was done, unless that was nothing; one for each failure.
    pub(super) fn log(&self) {
        let Self { repos_scanned, open_issues_seen, newly_opened_issues, externally_closed_claims, .. } = self;
        if newly_opened_issues + externally_closed_claims + self.metadata_updates == 0 {
            debug!("synced {repos_scanned} repositories: nothing changed");
        } else {
            info!(
                repos_scanned,
                open_issues_seen,
                newly_opened_issues,
                externally_closed_claims,
                metadata_updates = self.metadata_updates,
                "synced {repos_scanned} repositories: {newly_opened_issues} newly open issues, {} changed",
                self.metadata_updates
            );
        }
        if let Some(error) = &self.general_failure {
            warn!("sync: {error}");
        }
        for (repo, error) in self.failures.iter().take(FAILURE_COUNT_LOGGED_MAX) {
            warn!(%repo, "sync of {repo}: {error}");
        }
        if self.failures.len() > FAILURE_COUNT_LOGGED_MAX {
            warn!("sync of {} repositories failed in all", self.failures.len());
        }
        if let Some(until) = self.paused_until {
            warn!("sync ended early: GitHub asks for a pause until {until}");
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::domain::from_unix_ms;

    #[test]
    fn a_round_with_one_broken_repository_has_ended_and_one_that_was_paused_or_read_nothing_has_not() {
        let broken = || SyncError::Endless { pages: 1 };
        let mut report = SyncReport { repos_scanned: 1, ..SyncReport::default() };
        report.note_failure("acme/broken".parse().unwrap(), broken(), from_unix_ms(0));
        assert!(report.came_round() && !report.went_through());
        let paused = SourceError::Paused { retry_after: Duration::from_secs(60) };
        report.note_failure("acme/other".parse().unwrap(), paused.into(), from_unix_ms(0));
        assert!(!report.came_round(), "the others wait for their turn");

        let mut report = SyncReport::default();
        assert!(report.came_round(), "there is nothing to read");
        report.note_general(Err(broken()), from_unix_ms(0));
        assert!(!report.came_round(), "nothing was read");
    }
}
