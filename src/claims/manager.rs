//! The claim manager's calls.

use std::collections::HashSet;
use std::sync::Arc;

use arc_swap::ArcSwap;
use chrono::TimeDelta;
use parking_lot::Mutex;

use super::desk::Desk;
use super::feed::EventCursor;
use super::index::Index;
use super::order::Slot;
use super::presence::Presence;
use super::truth::Verdict;
use super::{ClaimOutcome, ClaimRequest, Groups, IssueDetails, ManagerError, RepoEntry, UpdateOutcome, UpdateRequest};
use crate::config::LiveConfig;
use crate::domain::{Actor, AgentId, Claim, Clock, EventSeq, Issue, IssueRef, IssueState, RepoName, Step};
use crate::github::{IssueSource, SourceError};
use crate::store::{
    AdvanceOutcome, ClaimChange, ClaimFilter, ClaimHistoryFilter, ClaimHistoryPlace, ClaimWish, InsertOutcome,
    IssueBatch, IssueFilter, PastClaims, Store, Wanted,
};

/// The only door to state.
#[derive(Debug)]
pub struct ClaimManager {
    pub(super) store: Arc<dyn Store>,
    pub(super) source: Arc<dyn IssueSource>,
    pub(super) index: Arc<Index>,
    pub(super) desk: Arc<Desk>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) config: LiveConfig,
    /// The groups of agents, by the configuration in force.
    pub(super) groups: ArcSwap<Groups>,
    pub(super) presence: Presence,
    pub(super) wellness: super::wellness::Wellness,
    /// The claim up to which signs of life were read last.
    pub(super) signs_read_to: Mutex<Option<crate::domain::ClaimId>>,
    pub(super) status: super::health::Status,
    /// Issues at the head of a short list that is with the store now: others are offered the next
    /// ones, so that a crowd does not try the same issue. Only a hint; the store decides.
    pub(super) offered: Mutex<HashSet<Slot>>,
    /// What agents were last told when there was nothing for them.
    pub(super) nothings: super::nothings::Nothings,
    /// Issues that GitHub was asked for and did not have.
    pub(super) absent: super::absent::Absent,
    /// Claims that got a pull request a short while ago.
    pub(super) links: super::links::Links,
    /// Held while a description of a pull request is taken in: deliveries come side by side, and an older one must not
    /// go on behind a newer one.
    pub(super) taking_in_pull: tokio::sync::Mutex<()>,
    /// What sweeps did since the last sync told of it.
    pub(super) swept: Mutex<crate::sync::Swept>,
    /// The way to the trial of a candidate.
    pub(super) trials: super::trial::Trials,
    /// What this server does for all servers of its database.
    pub(super) roles: super::roles::Roles,
    /// Rings when somebody wants a sync before its time.
    pub(super) sync_wished: tokio::sync::Notify,
}

impl ClaimManager {
    /// Grants one named issue.
    ///
    /// # Errors
    /// When its repository is not admitted, the store fails, or the issue is not known here and
    /// GitHub does not say whether it exists.
    pub async fn claim(&self, request: ClaimRequest) -> Result<ClaimOutcome, ManagerError> {
        self.admit(&request.issue.repo)?;
        let wish = ClaimWish {
            agent: request.agent,
            wanted: Wanted::Exactly(request.issue.clone()),
            request_id: request.request_id,
            lease: self.lease(),
            decision: None,
            now: self.clock.now(),
        };
        let mut outcome = self.store.claim_insert(wish.clone()).await?;
        // Only an issue that nobody here has heard of is worth a call to GitHub, and not at every retry.
        if matches!(outcome, InsertOutcome::NotOpen)
            && self.store.issue_get(request.issue.clone()).await?.is_none()
            && self.absent.may_ask(&request.issue, self.clock.now())
            && self.read_through(&request.issue).await?
        {
            outcome = self.store.claim_insert(wish).await?;
        }
        Ok(match outcome {
            InsertOutcome::Granted(granted) => ClaimOutcome::Granted { claim: granted.claim, idempotent: false },
            InsertOutcome::Already(granted)
                if granted.claim.status().is_terminal() || granted.claim.issue_ref() != request.issue =>
            {
                ClaimOutcome::RequestIdUsed(granted.claim)
            }
            InsertOutcome::Already(granted) => ClaimOutcome::Granted { claim: granted.claim, idempotent: true },
            InsertOutcome::HeldBy(claim) => ClaimOutcome::HeldBy(*claim),
            InsertOutcome::NotOpen | InsertOutcome::NoneFree | InsertOutcome::RequestGotFollowUp => {
                ClaimOutcome::NotOpen(request.issue)
            }
        })
    }

    /// Moves a claim by one step of its owner; giving it back is the step to `released`.
    ///
    /// # Errors
    /// When the store fails; the claim is unchanged then.
    pub async fn update(&self, request: UpdateRequest) -> Result<UpdateOutcome, ManagerError> {
        let verified = match self.verify(&request).await? {
            Verdict::Refuted(claim) => return Ok(UpdateOutcome::NotMerged(*claim)),
            Verdict::Verified(verified) => verified,
        };
        let UpdateRequest { claim_id, agent, epoch, status, note, pr_url } = request;
        let page_before = self.page_of(claim_id);
        let change = ClaimChange {
            claim_id,
            owner: Some(agent),
            epoch,
            last_updated: None,
            step: Step { to: status, by: Actor::Owner, note, pr_url },
            lease: self.lease(),
            now: self.clock.now(),
        };
        Ok(match self.store.claim_advance(change).await? {
            AdvanceOutcome::Moved(claim, advance) => {
                if claim.pr_url() != page_before.as_deref() {
                    self.links.note(claim_id);
                }
                let issue_closed = self.close_issue(&claim, verified).await;
                let idempotent = advance == crate::domain::Advance::AlreadyThere;
                UpdateOutcome::Moved { claim: *claim, idempotent, issue_closed, verified }
            }
            AdvanceOutcome::NotFound => match self.store.claim_get(claim_id).await? {
                Some(ended) => {
                    let holder = self.holder_of(&ended.issue_ref());
                    UpdateOutcome::Ended(ended, holder)
                }
                None => UpdateOutcome::NotFound,
            },
            AdvanceOutcome::NotOwner(claim) | AdvanceOutcome::Superseded(claim) => UpdateOutcome::NotOwner(*claim),
            AdvanceOutcome::Refused(claim, error) => UpdateOutcome::Refused(*claim, error),
        })
    }

    /// Active claims, oldest first; each lease as it stands with the owner's latest call.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn claims(&self, filter: ClaimFilter) -> Result<Vec<Claim>, ManagerError> {
        let mut claims = self.store.claim_list(filter).await?;
        let lease = self.lease();
        claims.iter_mut().for_each(|claim| self.renew_by_calls(claim, lease));
        Ok(claims)
    }

    /// Notes that `agent` was heard of: any call of an owner renews its leases.
    pub fn heard_from(&self, agent: &AgentId) {
        if self.index.board.read().is_holder(agent) {
            self.presence.note(agent, self.clock.now());
        }
    }

    /// Admitted repositories, by name.
    pub fn repos(&self) -> Vec<RepoEntry> {
        let board = self.index.board.read();
        let admitted = board.repos.values().filter(|row| row.exclusion.is_none());
        let mut entries: Vec<_> =
            admitted.map(|row| RepoEntry { repo: row.repo.clone(), open_issue_count: row.open_issue_count }).collect();
        entries.sort_by(|a, b| a.repo.full_name.cmp(&b.repo.full_name));
        entries
    }

    /// Open issues that nobody holds, by number.
    ///
    /// # Errors
    /// When the repository is not admitted, or the store fails.
    pub async fn open_issues(&self, filter: IssueFilter) -> Result<Vec<Issue>, ManagerError> {
        self.admit(&filter.repo)?;
        Ok(self.store.issue_list(filter).await?)
    }

    /// One issue with its comments, from GitHub; as last synced when GitHub does not answer.
    ///
    /// # Errors
    /// When the repository is not admitted, the issue does not exist, or neither GitHub nor the store answers.
    pub async fn issue_details(&self, issue: IssueRef) -> Result<IssueDetails, ManagerError> {
        self.admit(&issue.repo)?;
        let (present, comments) = tokio::join!(self.source.issue_get(&issue), self.source.comment_list(&issue));
        let not_found = || ManagerError::NotFound { what: issue.to_string() };
        let (found, stale_because) = match (present, comments) {
            (Ok(Some(present)), Ok(comments)) => (Issue { comments, ..present }, None),
            (Ok(Some(present)), Err(error)) => (present, Some(error)),
            (Ok(None) | Err(SourceError::NotFound { .. }), _) => {
                self.store.issue_remove(issue.clone()).await?;
                return Err(not_found());
            }
            (Err(error), _) => match self.store.issue_get(issue.clone()).await? {
                Some(known) => (known, Some(error)),
                None => return Err(error.into()),
            },
        };
        let claimed_by = self.index.board.read().claim_on(&issue).map(|claim| claim.agent_id.clone());
        Ok(IssueDetails { issue: found, claimed_by, stale_because })
    }

    /// Claims that ended, newest end first, from behind `after`, at most `limit`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn claim_history(
        &self,
        filter: ClaimHistoryFilter,
        after: Option<ClaimHistoryPlace>,
        limit: usize,
    ) -> Result<PastClaims, ManagerError> {
        Ok(self.store.claim_history(filter, after, limit).await?)
    }

    /// Reads events after `after`, or from now on.
    pub fn events_after(&self, after: Option<EventSeq>) -> EventCursor {
        EventCursor::new(Arc::clone(&self.index.feed), Arc::clone(&self.store), after)
    }

    /// The same, for a reader that comes back and saw `seen` last: of another server maybe, which is ahead of this one.
    pub async fn events_since(&self, seen: EventSeq) -> EventCursor {
        EventCursor::back_at(Arc::clone(&self.index.feed), Arc::clone(&self.store), seen).await
    }

    /// Why a repository does not take part, if so.
    pub fn exclusion(&self, repo: &RepoName) -> Option<String> {
        self.index.board.read().exclusion(repo).map(|why| why.to_string())
    }

    pub(super) fn lease(&self) -> TimeDelta {
        self.config.current().leases.timeout()
    }

    pub(super) fn admit(&self, repo: &RepoName) -> Result<(), ManagerError> {
        let (exclusion, is_known) = {
            let board = self.index.board.read();
            (board.exclusion(repo), board.knows(repo))
        };
        let Some(reason) = exclusion else { return Ok(()) };
        let is_early = !is_known && self.status.is_reading();
        let reason = if is_early { "the first sync is not done yet".to_owned() } else { reason.to_string() };
        Err(ManagerError::RepoNotAllowed { repo: repo.clone(), reason })
    }

    /// Reads an issue that the last sync did not know. `true` when it is open, and known from now on.
    pub(super) async fn read_through(&self, issue: &IssueRef) -> Result<bool, ManagerError> {
        let found = match self.source.issue_get(issue).await {
            Ok(Some(found)) if found.state == IssueState::Open => found,
            Ok(_) | Err(SourceError::NotFound { .. }) => {
                self.absent.note(issue, self.clock.now());
                return Ok(false);
            }
            Err(error) => return Err(error.into()),
        };
        let batch = IssueBatch { repo: issue.repo.clone(), issues: vec![found], cursor: None, now: self.clock.now() };
        self.store.issue_apply(batch).await?;
        Ok(true)
    }
}
