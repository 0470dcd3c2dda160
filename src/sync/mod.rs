//! Sync: reconciliation with GitHub. Walks what changed since the last time and hands it to the store.
//!
//! What a list does not show proves nothing: issues move between pages while they are read, and a
//! claimed number may be a pull request. So nothing is closed or forgotten here because it was missing
//! from a list; it is read by itself first.

mod changes;
mod dependencies;
mod labels;
mod pulls;
mod reconcile;
mod report;
mod visits;
mod walk;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::{StreamExt, stream};

use self::changes::Changes;
use self::visits::Visit;
use crate::config::SyncConfig;
use crate::domain::{Clock, EventDraft, EventKind, RepoName, Timestamp};
use crate::github::{IssueSource, SourceError};
use crate::store::{RepoMark, Store};

pub use pulls::{PullNews, PullReading, PullWatch};
pub use report::{SyncError, SyncReport};

/// Repositories walked at once: four keep GitHub busy without meeting its secondary limits.
const REPOS_AT_ONCE_MAX: usize = 4;

/// Reconciles the store with a source of issues.
#[derive(Debug)]
pub struct Sync {
    source: Arc<dyn IssueSource>,
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    /// Repositories whose changes the account's list was seen not to show: they are walked alone.
    unlisted: Mutex<HashSet<RepoName>>,
    /// Where a run ended early because of a pause: the next one begins there, so that every repository
    /// gets its turn however often GitHub asks for pauses.
    resume_at: Mutex<Option<(usize, RepoName)>>,
    /// What sweeps did since the last event told of it.
    swept: Mutex<Swept>,
}

/// What the sweep did between two syncs: the event of a sync tells of both.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Swept {
    /// Claims marked as stale.
    pub stale_marked: usize,
    /// Claims taken back.
    pub stale_auto_released: usize,
}

impl Sync {
    /// Reconciles `store` with `source`.
    pub fn new(source: Arc<dyn IssueSource>, store: Arc<dyn Store>, clock: Arc<dyn Clock>) -> Self {
        Self { source, store, clock, unlisted: Mutex::default(), resume_at: Mutex::default(), swept: Mutex::default() }
    }

    /// Notes what sweeps did, for the event of the next run.
    pub fn note_swept(&self, more: Swept) {
        let mut swept = self.swept.lock().unwrap_or_else(PoisonError::into_inner);
        swept.stale_marked += more.stale_marked;
        swept.stale_auto_released += more.stale_auto_released;
    }

    /// Reads what repositories there are, and from those `admitted` what changed since the last time:
    /// all of an account's at once where the source can tell, one by one otherwise. Some are read as a
    /// whole, as often as `pace` says. `admitted` is asked after the store has learnt of the
    /// repositories. Failures are in the report: one repository's never stop another's, and a pause
    /// that GitHub asks for lets nothing more be sent with that token. What was read until then is
    /// kept, and the next run goes on from there.
    pub async fn run_once(
        &self,
        pace: &SyncConfig,
        admitted: impl Fn(&RepoName) -> bool + Send + std::marker::Sync,
    ) -> SyncReport {
        let report = Mutex::new(SyncReport::default());
        if let Err(error) = self.run(pace, admitted, &report).await {
            noted(&report).note_general(Err(error), self.clock.now());
        }
        let mut report = report.into_inner().unwrap_or_else(PoisonError::into_inner);
        report.failures.sort_by(|(a, _), (b, _)| a.cmp(b));
        if report.repos_scanned > 0 || report.went_through() {
            let swept = std::mem::take(&mut *self.swept.lock().unwrap_or_else(PoisonError::into_inner));
            let event = EventDraft::new(EventKind::SyncReconciled, self.clock.now(), report.details(swept));
            let written = self.store.event_append(vec![event]).await;
            report.note_general(written.map_err(SyncError::from), self.clock.now());
        }
        report.log();
        report
    }

    async fn run(
        &self,
        pace: &SyncConfig,
        admitted: impl Fn(&RepoName) -> bool + Send + std::marker::Sync,
        report: &Mutex<SyncReport>,
    ) -> Result<(), SyncError> {
        let (mut visits, listing) = self.visits().await?;
        let is_listed = listing.is_ok();
        noted(report).note_general(listing, self.clock.now());
        visits.retain(|visit| admitted(&visit.repo));
        let changes = if is_listed { self.follow(&visits, report).await? } else { Changes::Untold };
        self.plan_reconciles(&mut visits, pace);
        self.begin_where_the_last_run_ended(&mut visits);
        let walks = visits.into_iter().enumerate().map(|(place, visit)| self.visit(place, visit, &changes, report));
        stream::iter(walks).for_each_concurrent(REPOS_AT_ONCE_MAX, |walk| walk).await;
        Ok(())
    }

    /// Brings one repository up to date, the one at `place` of this run, and notes what came of it.
    async fn visit(&self, place: usize, visit: Visit, changes: &Changes, report: &Mutex<SyncReport>) {
        let outcome = match self.bring_up_to_date(&visit, changes, report).await {
            // Missing from the list, and from its own address: it is gone.
            Err(SyncError::Source(SourceError::NotFound { .. })) if !visit.listed => {
                let forgotten = self.store.repo_remove(visit.repo.clone()).await.map_err(SyncError::from);
                forgotten
                    .map(|()| tracing::info!(repo = %visit.repo, "forgot {}: the source has it no more", visit.repo))
            }
            outcome => outcome,
        };
        if let Err(error) = outcome {
            if matches!(error, SyncError::Source(SourceError::Paused { .. })) {
                // Several are under way at once: the first in the order counts, whoever is told first.
                let mut resume_at = self.resume_at.lock().unwrap_or_else(PoisonError::into_inner);
                if resume_at.as_ref().is_none_or(|(first, _)| place < *first) {
                    *resume_at = Some((place, visit.repo.clone()));
                }
            }
            noted(report).note_failure(visit.repo, error, self.clock.now());
        }
    }

    fn begin_where_the_last_run_ended(&self, visits: &mut [Visit]) {
        let resume_at = self.resume_at.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some((_, resume_at)) = resume_at else { return };
        let position = visits.iter().position(|visit| visit.repo >= resume_at).unwrap_or(0);
        visits.rotate_left(position);
    }

    async fn bring_up_to_date(
        &self,
        visit: &Visit,
        changes: &Changes,
        report: &Mutex<SyncReport>,
    ) -> Result<(), SyncError> {
        let mut mark = visit.mark;
        let was_shown = mark.followed && changes.show(&visit.repo);
        if was_shown {
            noted(report).repos_scanned += 1;
        } else {
            let walked = self.walk_repo(&visit.repo, visit.cursor.clone()).await?;
            noted(report).note_walked(&walked);
            // If the account's list was read before this walk, it shows every change from here on.
            mark.followed = changes.show(&visit.repo);
        }
        if visit.reconcile {
            let reconciled = self.reconcile_repo(&visit.repo).await?;
            noted(report).note_applied(&reconciled.walked);
            if let Some(horizon) = changes.horizon().filter(|_| was_shown) {
                mark.followed = !self.is_unlisted_by(&visit.repo, &reconciled, horizon);
            }
            if reconciled.complete {
                mark.reconciled_at = Some(self.clock.now());
            }
        }
        self.note_mark(visit, mark).await
    }

    async fn note_mark(&self, visit: &Visit, mark: RepoMark) -> Result<(), SyncError> {
        if mark != visit.noted_mark {
            self.store.repo_mark_set(vec![(visit.repo.clone(), mark)]).await?;
        }
        Ok(())
    }

    /// Whether a full reading found what the account's list should have shown before `horizon`. Such a
    /// repository is walked alone from then on.
    fn is_unlisted_by(&self, repo: &RepoName, reconciled: &reconcile::Reconciled, horizon: Timestamp) -> bool {
        let Some(missed) = reconciled.unknown_before(horizon) else { return false };
        tracing::warn!(
            %repo,
            "the account's list of issues did not show {repo}#{missed}: {repo} is asked by itself from now on"
        );
        self.unlisted.lock().unwrap_or_else(PoisonError::into_inner).insert(repo.clone());
        true
    }
}

fn noted(report: &Mutex<SyncReport>) -> std::sync::MutexGuard<'_, SyncReport> {
    report.lock().unwrap_or_else(PoisonError::into_inner)
}
