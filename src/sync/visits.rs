//! Which repositories a sync visits, and which of them it reads as a whole.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, BuildHasherDefault};

use chrono::TimeDelta;
use rustc_hash::FxHasher;

use super::{Sync, SyncError};
use crate::config::SyncConfig;
use crate::domain::RepoName;
use crate::github::{RepoList, SourceError};
use crate::store::{RepoMark, SyncCursor};

/// One repository to visit.
#[derive(Debug)]
pub(super) struct Visit {
    pub(super) repo: RepoName,
    pub(super) cursor: SyncCursor,
    /// What to note about it when all went well.
    pub(super) mark: RepoMark,
    /// What the store has noted.
    pub(super) noted_mark: RepoMark,
    /// Whether the source lists it still, or could not say.
    pub(super) listed: bool,
    /// Whether the source has a list that shows its changes.
    pub(super) followable: bool,
    /// Whether all its open issues are to be read now.
    pub(super) reconcile: bool,
}

impl Sync {
    /// The repositories there are: those listed, and those known from before that are listed no more.
    /// When the list cannot be had, the known ones are visited all the same.
    pub(super) async fn visits(&self) -> Result<(Vec<Visit>, Result<(), SyncError>), SyncError> {
        let cursors: HashMap<_, _> = self.store.cursor_list().await?.into_iter().collect();
        let marks: HashMap<_, _> = self.store.repo_mark_list().await?.into_iter().collect();
        let (list, failed) = match self.source.repo_list().await {
            Ok(mut list) => match list.incomplete.take() {
                None => (Some(list), Ok(())),
                Some(error) => (Some(RepoList { incomplete: Some(error.clone()), ..list }), Err(error.into())),
            },
            Err(error @ SourceError::Paused { .. }) => return Err(error.into()),
            Err(error) => (None, Err(error.into())),
        };
        let is_whole = list.as_ref().is_some_and(|list| list.incomplete.is_none());
        let RepoList { repos, followed, .. } = list.unwrap_or_default();
        let listed: HashSet<RepoName> = repos.iter().map(|repo| repo.full_name.clone()).collect();
        let mut names: Vec<RepoName> = listed.iter().chain(cursors.keys()).cloned().collect();
        names.sort();
        names.dedup();
        if !repos.is_empty() {
            self.store.repo_apply(repos).await?;
        }
        let unlisted = self.unlisted.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let visits = names.into_iter().map(|repo| {
            let mark = marks.get(&repo).copied().unwrap_or_default();
            Visit {
                cursor: cursors.get(&repo).cloned().unwrap_or_default(),
                mark,
                noted_mark: mark,
                listed: !is_whole || listed.contains(&repo),
                followable: followed.contains(&repo) && !unlisted.contains(&repo),
                reconcile: false,
                repo,
            }
        });
        Ok((visits.collect(), failed))
    }

    /// Chooses the repositories that are read as a whole now: those due, the longest waiting first, and
    /// no more than spreads them over the time between two readings.
    pub(super) fn plan_reconciles(&self, visits: &mut [Visit], pace: &SyncConfig) {
        let Some(period) = period(pace) else { return };
        let now = self.clock.now();
        let mut due: Vec<&mut Visit> = Vec::new();
        let count_max = share(visits.len(), pace);
        for visit in visits {
            match visit.mark.reconciled_at {
                // The first walk reads everything anyhow. What it notes differs from one repository to the
                // next, so that they do not all fall due together.
                None => visit.mark.reconciled_at = Some(now - spread(&visit.repo, period)),
                Some(at) if at + period <= now => due.push(visit),
                Some(_) => {}
            }
        }
        due.sort_by_key(|visit| visit.mark.reconciled_at);
        due.into_iter().take(count_max).for_each(|visit| visit.reconcile = true);
    }
}

/// The time between two full readings of one repository; `None` for never.
fn period(pace: &SyncConfig) -> Option<TimeDelta> {
    let hours = i64::try_from(pace.full_reconcile_hours).ok().filter(|hours| *hours > 0)?;
    TimeDelta::try_hours(hours)
}

/// Twice the even share of one sync, at least one: so that what fell behind catches up.
fn share(repo_count: usize, pace: &SyncConfig) -> usize {
    let period_minutes = pace.full_reconcile_hours.saturating_mul(60).max(1);
    let even = (repo_count as u64).saturating_mul(pace.interval_minutes).div_ceil(period_minutes);
    usize::try_from(even.saturating_mul(2)).unwrap_or(usize::MAX).max(1)
}

/// A part of `period` that stays the same for a repository, and differs between repositories.
fn spread(repo: &RepoName, period: TimeDelta) -> TimeDelta {
    let minutes = u64::try_from(period.num_minutes()).unwrap_or(0).max(1);
    let hash = BuildHasherDefault::<FxHasher>::default().hash_one(repo.as_str());
    TimeDelta::minutes(i64::try_from(hash % minutes).unwrap_or(0))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn ten_thousand_repositories_are_spread_evenly_over_a_day() {
        let day = TimeDelta::hours(24);
        let mut per_hour = [0; 24];
        for number in 0..10_000 {
            let repo: RepoName = format!("acme/r{number}").parse().unwrap();
            per_hour[usize::try_from(spread(&repo, day).num_hours()).unwrap()] += 1;
        }
        assert!(per_hour.iter().all(|count| (300..=550).contains(count)), "{per_hour:?}");
    }

    #[test]
    fn one_sync_reads_twice_the_even_share_at_most_and_never_nothing() {
        let pace = SyncConfig { interval_minutes: 15, full_reconcile_hours: 24 };
        assert_eq!(share(10_000, &pace), 210);
        assert_eq!(share(1, &pace), 2);
        assert_eq!(share(0, &pace), 1);
        assert_eq!(period(&SyncConfig { full_reconcile_hours: 0, ..pace }), None);
    }
}
