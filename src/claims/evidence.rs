//! Signs of life of claims: commits, pushes, and what becomes of their pull requests. Webhooks tell of them, and
//! where none do they are read.

use std::collections::HashMap;
use std::sync::Arc;

use chrono::TimeDelta;
use futures_util::{StreamExt, stream};

use super::pulls::branch_names;
use super::truth::pull_of_page;
use super::{ClaimManager, ManagerError};
use crate::domain::{
    CiSignal, Claim, ClaimId, ClaimSignals, IssueRef, Merged, PullRequest, PullSignal, PullState, RepoName,
    ReviewSignal, Timestamp,
};
use crate::github::SourceError;
use crate::store::{CiNews, KeptSignals, SignalNews, StoreError};

/// Pull requests of live claims whose signs are read in one sync, up to four requests each, which cost nothing
/// where nothing changed. With more of them, each waits for its turn.
const READ_COUNT_MAX: usize = 100;
/// Read at once.
const READS_AT_ONCE_MAX: usize = 4;

/// How far the clock of who commits may be ahead of ours.
const CLOCKS_DIFFER_MAX: TimeDelta = TimeDelta::minutes(5);

impl ClaimManager {
    /// Notes what a description of a pull request says of the claims behind it; `pushed_at`: commits came then.
    pub(super) async fn note_pull_signs(
        &self,
        claims: &[Claim],
        pull: &PullRequest,
        pushed_at: Option<Timestamp>,
    ) -> Result<(), StoreError> {
        let news = SignalNews {
            head_sha: Some(pull.head_sha.clone()),
            pushed_at,
            pull: Some(pull_signal(pull)),
            asked_for_review: !pull.awaits.is_empty(),
            ..SignalNews::default()
        };
        for claim in claims.iter().filter(|claim| !claim.status().is_terminal()) {
            self.store.claim_signal_note(claim.claim_id, news.clone()).await?;
        }
        Ok(())
    }

    /// Takes in a reviewer's word on a pull request; answers of how many claims.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn take_in_review(&self, page: &str, review: ReviewSignal) -> Result<usize, ManagerError> {
        let page = super::pulls::page_key(page);
        let is_of_page = |claim: &Claim| claim.pr_url().is_some_and(|url| super::pulls::page_key(url) == page);
        let news = SignalNews { review: Some(review), ..SignalNews::default() };
        self.note_signs(is_of_page, &news).await
    }

    /// Takes in commits that were pushed to a branch; answers of how many claims.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn take_in_push(
        &self,
        repo: &RepoName,
        branch: &str,
        head_sha: String,
        committed_at: Option<Timestamp>,
    ) -> Result<usize, ManagerError> {
        let mut from_branch = Vec::new();
        for (claim_id, pull) in self.pulls_of_claims_in(repo) {
            let known = self.store.pull_get(pull).await?;
            if known.is_some_and(|pull| pull.from_here && pull.head_branch == branch) {
                from_branch.push(claim_id);
            }
        }
        let is_named = |claim: &Claim| {
            from_branch.contains(&claim.claim_id) || (claim.repo == *repo && branch_names(branch, claim))
        };
        let pushed_at = Some(self.clock.now());
        let committed_at = in_earnest(committed_at, self.clock.now());
        let news = SignalNews { head_sha: Some(head_sha), committed_at, pushed_at, ..SignalNews::default() };
        self.note_signs(is_named, &news).await
    }

    /// The pull requests in a repository that agents of live claims reported.
    fn pulls_of_claims_in(&self, repo: &RepoName) -> Vec<(ClaimId, IssueRef)> {
        let board = self.index.board.read();
        let reported = board.claims().filter_map(|claim| Some((claim.claim_id, pull_of_page(claim.pr_url()?)?)));
        reported.filter(|(_, pull)| pull.repo == *repo).collect()
    }

    /// Takes in what one check says of a commit; answers of how many claims.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn take_in_check(&self, repo: &RepoName, sha: &str, signal: CiSignal) -> Result<usize, ManagerError> {
        let kept = self.store.claim_signal_list().await?;
        let about: Vec<ClaimId> =
            kept.into_iter().filter(|(_, kept)| kept.head_sha == sha).map(|(claim, _)| claim).collect();
        let is_of_commit = |claim: &Claim| claim.repo == *repo && about.contains(&claim.claim_id);
        let ci = Some(CiNews { sha: sha.to_owned(), signal, is_whole: false });
        self.note_signs(is_of_commit, &SignalNews { ci, ..SignalNews::default() }).await
    }

    async fn note_signs(&self, is_meant: impl Fn(&Claim) -> bool, news: &SignalNews) -> Result<usize, ManagerError> {
        let meant: Vec<ClaimId> = {
            let board = self.index.board.read();
            board.claims().filter(|claim| is_meant(claim)).map(|claim| claim.claim_id).collect()
        };
        for claim_id in &meant {
            self.store.claim_signal_note(*claim_id, news.clone()).await?;
        }
        Ok(meant.len())
    }

    /// Reads the signs of the open pull requests of live claims, each in its turn. Answers what failed.
    ///
    /// # Errors
    /// When the store fails.
    pub(super) async fn read_signs(&self) -> Result<Option<String>, StoreError> {
        let turn = self.turn_of_signs();
        let reads = turn.into_iter().map(|(claim_id, pull)| async move {
            let Some(pull) = self.store.pull_get(pull).await? else { return Ok(None) };
            if pull.state != PullState::Open {
                return Ok(None);
            }
            let signs = match self.source.pull_signs(&pull).await {
                Ok(Some(signs)) => signs,
                Ok(None) => return Ok(None),
                Err(error) => return Ok(Some(error)),
            };
            let news = SignalNews {
                head_sha: Some(pull.head_sha.clone()),
                committed_at: in_earnest(signs.committed_at, self.clock.now()),
                pull: Some(pull_signal(&pull)),
                review: Some(signs.review),
                ci: Some(CiNews { sha: pull.head_sha.clone(), signal: signs.ci, is_whole: true }),
                ..SignalNews::default()
            };
            self.store.claim_signal_note(claim_id, news).await?;
            Ok::<_, StoreError>(None)
        });
        let mut reads = stream::iter(reads).buffered(READS_AT_ONCE_MAX);
        let mut failure: Option<SourceError> = None;
        while let Some(read) = reads.next().await {
            failure = failure.or(read?);
            // What is left waits until the pause is over.
            if matches!(failure, Some(SourceError::Paused { .. })) {
                break;
            }
        }
        Ok(failure.map(|error| format!("signs of life of claims: {error}")))
    }

    /// The claims with a pull request whose turn it is: from where the last reading ended.
    fn turn_of_signs(&self) -> Vec<(ClaimId, IssueRef)> {
        let mut claims: Vec<(ClaimId, IssueRef)> = {
            let board = self.index.board.read();
            let admitted = board.claims().filter(|claim| board.exclusion(&claim.repo).is_none());
            let with_pull = |claim: &Arc<Claim>| Some((claim.claim_id, claim.pr_url().and_then(pull_of_page)?));
            admitted.filter_map(with_pull).collect()
        };
        claims.sort_unstable_by_key(|(claim_id, _)| *claim_id);
        let mut last_read = self.signs_read_to.lock();
        let begin = last_read.map_or(0, |last| claims.partition_point(|(claim_id, _)| *claim_id <= last));
        let begin = if begin < claims.len() { begin } else { 0 };
        claims.rotate_left(begin);
        claims.truncate(READ_COUNT_MAX);
        *last_read = claims.last().map(|(claim_id, _)| *claim_id);
        claims
    }

    /// The signs of life that are known of live claims.
    pub(super) async fn signals(&self) -> Result<HashMap<ClaimId, ClaimSignals>, StoreError> {
        let kept = self.store.claim_signal_list().await?;
        Ok(kept.into_iter().map(|(claim_id, KeptSignals { signals, .. })| (claim_id, signals)).collect())
    }
}

/// How a pull request is, in the policies' words.
fn pull_signal(pull: &PullRequest) -> PullSignal {
    match (pull.state, pull.merged) {
        (PullState::Open, _) if pull.draft => PullSignal::Draft,
        (PullState::Open, _) => PullSignal::Open,
        (PullState::Closed, Merged::Yes) => PullSignal::Merged,
        (PullState::Closed, Merged::No | Merged::Unknown) => PullSignal::Closed,
    }
}

/// A commit's date is its author's word: one that lies ahead would keep a claim alive for as long, so it says nothing.
fn in_earnest(committed_at: Option<Timestamp>, now: Timestamp) -> Option<Timestamp> {
    committed_at.filter(|at| *at <= now + CLOCKS_DIFFER_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::from_unix_ms;

    #[test]
    fn a_commit_from_the_future_says_nothing_and_one_of_a_clock_a_little_ahead_does() {
        let now = from_unix_ms(1_000_000_000);
        let ahead = |minutes| Some(now + TimeDelta::minutes(minutes));
        assert_eq!(in_earnest(ahead(6), now), None);
        assert_eq!(in_earnest(ahead(5), now), ahead(5));
        assert_eq!(in_earnest(ahead(-60), now), ahead(-60));
        assert_eq!(in_earnest(None, now), None);
    }
}
