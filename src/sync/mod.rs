//! Sync: reconciliation with GitHub. Walks what changed since the last time and hands it to the store.
//!
//! What a list does not show proves nothing: issues move between pages while they are read, and a
//! claimed number may be a pull request. So nothing is closed or forgotten here because it was missing
//! from a list; it is read by itself first.

mod report;
mod walk;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::{StreamExt, stream};

use crate::domain::{Clock, EventDraft, EventKind, Repo, RepoName};
use crate::github::{IssueSource, SourceError};
use crate::store::{Store, SyncCursor};

pub use report::{SyncError, SyncReport};

/// Repositories walked at once: four keep GitHub busy without meeting its secondary limits.
const REPOS_AT_ONCE_MAX: usize = 4;

/// Reconciles the store with a source of issues.
#[derive(Debug)]
pub struct Sync {
    source: Arc<dyn IssueSource>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
}

/// One repository to walk.
struct Visit {
    repo: RepoName,
    cursor: SyncCursor,
    /// Whether the source lists it still.
    listed: bool,
}

impl Sync {
    /// Reconciles `store` with `source`.
    pub fn new(source: Arc<dyn IssueSource>, store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self { source, store, clock }
    }

    /// Reads what repositories there are, and from those `admitted` what changed since the last time.
    /// `admitted` is asked after the store has learnt of the repositories. Failures are in the report:
    /// one repository's never stop another's, a pause that GitHub asks for ends the run early. What
    /// was read until then is kept, and the next run goes on from there.
    pub async fn run_once(&self, admitted: impl Fn(&RepoName) -> bool + Send + std::marker::Sync) -> SyncReport {
        let report = Mutex::new(SyncReport::default());
        match self.visits().await {
            Ok((visits, listing)) => {
                report.lock().unwrap_or_else(PoisonError::into_inner).note_general(listing, self.clock.now());
                let visits: Vec<Visit> = visits.into_iter().filter(|visit| admitted(&visit.repo)).collect();
                stream::iter(visits).for_each_concurrent(REPOS_AT_ONCE_MAX, |visit| self.visit(visit, &report)).await;
            }
            Err(error) => {
                report.lock().unwrap_or_else(PoisonError::into_inner).note_general(Err(error), self.clock.now())
            }
        }
        let mut report = report.into_inner().unwrap_or_else(PoisonError::into_inner);
        report.failures.sort_by(|(a, _), (b, _)| a.cmp(b));
        if report.repos_scanned > 0 || report.went_through() {
            let event = EventDraft::new(EventKind::SyncReconciled, self.clock.now(), report.details());
            let written = self.store.event_append(vec![event]).await;
            report.note_general(written.map_err(SyncError::from), self.clock.now());
        }
        report.log();
        report
    }

    /// The repositories to walk: those listed, and those known from before that are listed no more.
    /// When the list cannot be had, the known ones are walked all the same.
    async fn visits(&self) -> Result<(Vec<Visit>, Result<(), SyncError>), SyncError> {
        let known = self.store.cursor_list().await?;
        let (listed, failed) = match self.source.repo_list().await {
            Ok(listed) => (Some(listed), Ok(())),
            Err(error @ SourceError::Paused { .. }) => return Err(error.into()),
            Err(error) => (None, Err(error.into())),
        };
        let names: HashSet<RepoName> = listed.iter().flatten().map(|repo: &Repo| repo.full_name.clone()).collect();
        let mut visits: Vec<Visit> = known
            .into_iter()
            .map(|(repo, cursor)| Visit { listed: listed.is_none() || names.contains(&repo), repo, cursor })
            .collect();
        let visited: HashSet<RepoName> = visits.iter().map(|visit| visit.repo.clone()).collect();
        let fresh = names.into_iter().filter(|repo| !visited.contains(repo));
        visits.extend(fresh.map(|repo| Visit { repo, cursor: SyncCursor::default(), listed: true }));
        visits.sort_by(|a, b| a.repo.cmp(&b.repo));
        if let Some(repos) = listed.filter(|repos| !repos.is_empty()) {
            self.store.repo_apply(repos).await?;
        }
        Ok((visits, failed))
    }

    /// Walks one repository, unless a pause began meanwhile, and notes what came of it.
    async fn visit(&self, visit: Visit, report: &Mutex<SyncReport>) {
        if report.lock().unwrap_or_else(PoisonError::into_inner).paused_until.is_some() {
            return;
        }
        let outcome = match self.walk_repo(&visit.repo, visit.cursor).await {
            // Missing from the list, and from its own address: it is gone.
            Err(SyncError::Source(SourceError::NotFound { .. })) if !visit.listed => {
                self.store.repo_remove(visit.repo.clone()).await.map(|()| None).map_err(SyncError::from)
            }
            outcome => outcome.map(Some),
        };
        let mut report = report.lock().unwrap_or_else(PoisonError::into_inner);
        match outcome {
            Ok(Some(walked)) => report.note_walked(&walked),
            Ok(None) => tracing::info!(repo = %visit.repo, "forgot {}: the source has it no more", visit.repo),
            Err(error) => report.note_failure(visit.repo, error, self.clock.now()),
        }
    }
}
