//! Claims whose pull request became known after something was said on it: what was said before goes to
//! the claim's agent too. Nobody waits for this; it is done behind the requests.

use std::collections::{BTreeMap, HashMap, HashSet};

use parking_lot::Mutex;
use tokio::sync::Notify;
use tracing::info;

use super::pulls::{page_key, reservation};
use super::truth::pull_of_page;
use super::{ClaimManager, ManagerError, PullChange};
use crate::config::FollowUpPulls;
use crate::domain::{Claim, ClaimId, IssueRef, PullState};
use crate::github::SourceError;
use crate::store::{FollowUpLink, StoreError};
use crate::sync::PullNews;

/// Claims that got a pull request, until what was said on it before is read. A crash forgets them.
#[derive(Debug, Default)]
pub(super) struct Links {
    unread: Mutex<HashSet<ClaimId>>,
    /// Rings when there is one more.
    pub(super) fresh: Notify,
}

impl Links {
    /// Notes a claim that has another pull request than before.
    pub(super) fn note(&self, claim_id: ClaimId) {
        self.unread.lock().insert(claim_id);
        self.fresh.notify_one();
    }

    fn unread(&self) -> Vec<ClaimId> {
        self.unread.lock().iter().copied().collect()
    }

    fn is_read(&self, claim_id: ClaimId) {
        self.unread.lock().remove(&claim_id);
    }
}

impl ClaimManager {
    /// The page of a claim's pull request, as the board knows it.
    pub(super) fn page_of(&self, claim_id: ClaimId) -> Option<String> {
        self.index.board.read().claim(claim_id).and_then(|claim| claim.pr_url().map(str::to_owned))
    }

    /// Gives every follow-up that knows of no claim to the claim that its pull request came from, and keeps
    /// it for the claim's agent from now on; answers how many.
    ///
    /// # Errors
    /// When the store fails; the rest is linked the next time.
    pub(super) async fn link_follow_ups(&self) -> Result<usize, StoreError> {
        let mut linked = 0;
        for link in self.missing_links() {
            linked += self.store.follow_up_link(link).await?;
        }
        if linked > 0 {
            info!(linked, "feedback that came before its claim was linked to it");
        }
        Ok(linked)
    }

    /// One for each pull request of an active claim that has follow-ups without a claim.
    fn missing_links(&self) -> Vec<FollowUpLink> {
        let (config, now) = (self.config.current(), self.clock.now());
        let board = self.index.board.read();
        let alone: Vec<_> = board.shelf.all().filter(|item| item.claim_id.is_none()).collect();
        if alone.is_empty() {
            return Vec::new();
        }
        let claims: HashMap<String, &Claim> =
            board.claims().filter_map(|claim| Some((page_key(claim.pr_url()?), &**claim))).collect();
        let mut links = BTreeMap::new();
        for item in alone {
            if let Some(claim) = claims.get(&page_key(&item.pr_url)) {
                let pull = IssueRef::new(item.repo.clone(), item.pr_number);
                let reserved = reservation(claim, &config.follow_ups, now);
                let link = FollowUpLink { pull: pull.clone(), claim_id: claim.claim_id, reserved, now };
                links.insert(pull, link);
            }
        }
        links.into_values().collect()
    }

    /// Reads, once for each claim that got a pull request, what was said on it since the claim was granted:
    /// the watch shows changed pull requests only, and what was said on one that mattered to nobody was left
    /// out. `news` is what the watch has just shown. Answers why some could not be read; those are read the
    /// next time.
    ///
    /// # Errors
    /// When the store fails.
    pub(super) async fn read_earlier_feedback(&self, news: &[PullNews]) -> Result<Option<String>, ManagerError> {
        let mut failure = None;
        for claim_id in self.links.unread() {
            match self.read_feedback_before(claim_id, news).await {
                // What GitHub refuses it refuses the next time too.
                Ok(())
                | Err(ManagerError::Source(
                    SourceError::NotFound { .. } | SourceError::Denied { .. } | SourceError::Unsupported { .. },
                )) => self.links.is_read(claim_id),
                Err(ManagerError::Source(error)) => failure = Some(format!("earlier feedback: {error}")),
                Err(error) => return Err(error),
            }
        }
        Ok(failure)
    }

    async fn read_feedback_before(&self, claim_id: ClaimId, news: &[PullNews]) -> Result<(), ManagerError> {
        let claim = self.index.board.read().claim(claim_id).cloned();
        let Some(claim) = claim else { return Ok(()) };
        let Some(named) = claim.pr_url().and_then(pull_of_page) else { return Ok(()) };
        let every_pull_mattered = self.config.current().follow_ups.pulls == FollowUpPulls::All;
        let is_news = news.iter().any(|news| news.pull.pull_ref() == named);
        if (every_pull_mattered && is_news) || self.admit(&named.repo).is_err() {
            return Ok(());
        }
        let pull = match self.store.pull_get(named.clone()).await? {
            Some(known) => known,
            None => {
                let Some(read) = self.source.pull_get(&named).await? else { return Ok(()) };
                self.take_in_pull(read.clone(), PullChange::Seen).await?;
                read
            }
        };
        if pull.state == PullState::Open {
            for feedback in self.source.feedback_list(&pull, Some(claim.claimed_at)).await? {
                self.take_in_feedback(&feedback, &pull.author, None).await?;
            }
        }
        Ok(())
    }
}
