//! The claim manager's calls.

use std::collections::HashSet;
use std::sync::Arc;

use chrono::TimeDelta;
use parking_lot::Mutex;

use super::desk::{Desk, InForce};
use super::feed::EventCursor;
use super::index::Index;
use super::order::{OrderKey, Question, Slot};
use super::presence::Presence;
use super::truth::Verdict;
use super::{
    ClaimOutcome, ClaimRequest, IssueDetails, ManagerError, NextOutcome, NextRequest, RepoEntry, UpdateOutcome,
    UpdateRequest,
};
use crate::config::LiveConfig;
use crate::domain::{
    Actor, AgentId, Claim, Clock, Decision, DecisionId, DecisionRow, Empty, EventSeq, Issue, IssueRef, IssueState,
    RepoName, Step, Timestamp,
};
use crate::github::{IssueSource, SourceError};
use crate::policy::{Choice, ChooseRequest, Shortlisted};
use crate::store::{
    AdvanceOutcome, ClaimChange, ClaimFilter, ClaimHistoryFilter, ClaimHistoryPlace, ClaimWish, Granted, InsertOutcome,
    IssueBatch, IssueFilter, PastClaims, Store, Wanted,
};

/// Candidates that a ranker chooses from, and the store tries, at a time.
const SHORTLIST_COUNT: usize = 32;
/// The longest page of candidates shown to a ranker that passes over everything: pages grow up to this.
const PAGE_COUNT_MAX: usize = 8_192;
/// How much longer each further page is.
const PAGE_GROWTH: usize = 8;
/// Times a request starts over because others were faster on a whole short list.
const ROUND_COUNT_MAX: usize = 8;
/// Rows of a decision whose reasons are recorded: the pick and what came right behind it.
const EXPLAINED_COUNT: usize = 3;

/// The only door to state.
#[derive(Debug)]
pub struct ClaimManager {
    pub(super) store: Arc<dyn Store>,
    pub(super) source: Arc<dyn IssueSource>,
    pub(super) index: Arc<Index>,
    pub(super) desk: Arc<Desk>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) config: LiveConfig,
    pub(super) presence: Presence,
    pub(super) status: super::health::Status,
    /// Issues at the head of a short list that is with the store now: others are offered the next
    /// ones, so that a crowd does not try the same issue. Only a hint; the store decides.
    pub(super) offered: Mutex<HashSet<Slot>>,
    /// Rings when somebody wants a sync before its time.
    pub(super) sync_wished: tokio::sync::Notify,
}

/// The outcome of asking the policies, before the store has decided.
struct Pick {
    candidates: Vec<IssueRef>,
    decision: Option<Decision>,
    first: Option<Slot>,
    passed_over: Vec<String>,
}

impl ClaimManager {
    /// Picks the agent's next issue by the team's policy and grants it exclusively.
    ///
    /// # Errors
    /// When the repository asked for is not admitted, or the store fails; nothing is claimed then.
    pub async fn next_issue(&self, request: NextRequest) -> Result<NextOutcome, ManagerError> {
        if let Some(repo) = &request.repo {
            self.admit(repo)?;
        }
        self.next_issue_under(&self.desk.current(), &request, Wanted::FirstFree).await
    }

    /// As [`ClaimManager::next_issue`], for an admitted repository, under policies that the call took before;
    /// `wanted` says what the wish is.
    pub(super) async fn next_issue_under(
        &self,
        policies: &InForce,
        request: &NextRequest,
        wanted: fn(Vec<IssueRef>) -> Wanted,
    ) -> Result<NextOutcome, ManagerError> {
        for _ in 0..ROUND_COUNT_MAX {
            let now = self.clock.now();
            let pick = self.pick(policies, request, now);
            if pick.candidates.is_empty() && request.request_id.is_none() {
                return Ok(NextOutcome::Nothing(self.why_nothing(request, pick.passed_over)));
            }
            let nothing_left = pick.candidates.is_empty();
            let offer = Offer::new(&self.offered, pick.first);
            let explained = explained_rows(pick.decision.as_ref());
            let wish = ClaimWish {
                agent: request.agent.clone(),
                wanted: wanted(pick.candidates),
                request_id: request.request_id.clone(),
                lease: self.lease(),
                decision: pick.decision,
                now,
            };
            let outcome = self.store.claim_insert(wish).await?;
            drop(offer);
            match outcome {
                InsertOutcome::Granted(granted) => {
                    let Granted { claim, issue } = *granted;
                    let row = explained.iter().find(|row| row.number == claim.issue_number && row.repo == claim.repo);
                    let why = row.map(DecisionRow::why);
                    return Ok(NextOutcome::Granted { claim, issue, idempotent: false, why });
                }
                InsertOutcome::Already(granted) if granted.claim.status().is_terminal() => {
                    return Ok(NextOutcome::RequestIdUsed(granted.claim));
                }
                InsertOutcome::Already(granted) => {
                    let Granted { claim, issue } = *granted;
                    return Ok(NextOutcome::Granted { claim, issue, idempotent: true, why: None });
                }
                InsertOutcome::NoneFree if nothing_left => {
                    return Ok(NextOutcome::Nothing(self.why_nothing(request, pick.passed_over)));
                }
                // The follow-up is to be had where the request got it.
                InsertOutcome::RequestGotFollowUp => return Ok(NextOutcome::Nothing(Empty::default())),
                InsertOutcome::HeldBy(_) | InsertOutcome::NotOpen | InsertOutcome::NoneFree => {}
            }
        }
        Ok(NextOutcome::Nothing(self.why_nothing(request, Vec::new())))
    }

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
        // Only an issue that the last sync did not know is worth a call to GitHub.
        let is_unknown = || !self.index.board.read().is_open(&request.issue);
        if matches!(outcome, InsertOutcome::NotOpen) && is_unknown() && self.read_through(&request.issue).await? {
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
        let UpdateRequest { claim_id, agent, status, note, pr_url } = request;
        let change = ClaimChange {
            claim_id,
            owner: Some(agent),
            epoch: None,
            last_updated: None,
            step: Step { to: status, by: Actor::Owner, note, pr_url },
            lease: self.lease(),
            now: self.clock.now(),
        };
        Ok(match self.store.claim_advance(change).await? {
            AdvanceOutcome::Moved(claim, advance) => {
                let issue_closed = self.close_issue(&claim, verified).await;
                let idempotent = advance == crate::domain::Advance::AlreadyThere;
                UpdateOutcome::Moved { claim: *claim, idempotent, issue_closed, verified }
            }
            AdvanceOutcome::NotFound => UpdateOutcome::NotFound,
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

    /// One recorded decision.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn decision(&self, decision_id: DecisionId) -> Result<Option<Decision>, ManagerError> {
        Ok(self.store.decision_get(decision_id).await?)
    }

    /// Reads events after `after`, or from now on.
    pub fn events_after(&self, after: Option<EventSeq>) -> EventCursor {
        EventCursor::new(Arc::clone(&self.index.feed), Arc::clone(&self.store), after)
    }

    /// Why a repository does not take part, if so.
    pub fn exclusion(&self, repo: &RepoName) -> Option<String> {
        self.index.board.read().exclusion(repo).map(|why| why.to_string())
    }

    pub(super) fn lease(&self) -> TimeDelta {
        self.config.current().leases.timeout()
    }

    pub(super) fn admit(&self, repo: &RepoName) -> Result<(), ManagerError> {
        match self.index.board.read().exclusion(repo) {
            Some(reason) => Err(ManagerError::RepoNotAllowed { repo: repo.clone(), reason: reason.to_string() }),
            None => Ok(()),
        }
    }

    /// Asks the board for the best candidates and the ranker for its last word on them. Pages on, to the
    /// end, while the ranker passes over everything it sees: work further down is never hidden.
    fn pick(&self, policies: &InForce, request: &NextRequest, now: Timestamp) -> Pick {
        let question = question(request);
        let mut pick = Pick { candidates: Vec::new(), decision: None, first: None, passed_over: Vec::new() };
        let mut after: Option<OrderKey> = None;
        let mut page_count = SHORTLIST_COUNT;
        loop {
            let (page, chooser) = {
                let board = self.index.board.read();
                let offered = self.offered.lock().clone();
                let mut page = board.shortlist(&question, after, page_count, |slot| offered.contains(&slot));
                if page.rows.is_empty() {
                    // What is on offer to others now may yet be refused to them.
                    page = board.shortlist(&question, after, page_count, |_| false);
                }
                let claim_repos = board.claim_repos(&request.agent);
                (page, ChooseRequest { agent: request.agent.clone(), claim_repos })
            };
            let choice = match page.rows.is_empty() {
                true => Choice { order: Vec::new(), skipped: Vec::new() },
                false => self.desk.choose(policies, &chooser, &page.rows, now),
            };
            if let Some(&first) = choice.order.first() {
                pick.first = Some(page.slots[first]);
                let best = choice.order.iter().take(SHORTLIST_COUNT);
                let ordered: Vec<_> = best.map(|&row| page.rows[row].clone()).collect();
                pick.candidates = ordered.iter().map(|row| row.facts.issue.clone()).collect();
                pick.decision = Some(self.decision_on(policies, &request.agent, &ordered, now));
                break;
            }
            pick.passed_over.extend(choice.skipped.into_iter().map(|(_, reason)| reason));
            after = page.next;
            if after.is_none() {
                break;
            }
            page_count = (page_count * PAGE_GROWTH).min(PAGE_COUNT_MAX);
        }
        pick
    }

    /// Records what the ranker saw and said. One that cannot explain itself leaves the scores.
    fn decision_on(&self, policies: &InForce, agent: &AgentId, ordered: &[Shortlisted], now: Timestamp) -> Decision {
        let explained = &ordered[..ordered.len().min(EXPLAINED_COUNT)];
        let mut reasons = self.desk.explain(policies, explained, now).into_iter();
        let row = |shortlisted: &Shortlisted| DecisionRow {
            repo: shortlisted.facts.issue.repo.clone(),
            number: shortlisted.facts.issue.number,
            score: shortlisted.score,
            passed_over: None,
            reasons: reasons.next().unwrap_or_default(),
        };
        Decision {
            decision_id: DecisionId::fresh(),
            agent_id: agent.clone(),
            decided_at: now,
            ranker: policies.set.ranker.stamp().clone(),
            considered: ordered.iter().map(row).collect(),
            chosen: None,
        }
    }

    fn why_nothing(&self, request: &NextRequest, passed_over: Vec<String>) -> Empty {
        let mut empty = self.index.board.read().tally(&question(request));
        empty.is_reading = !self.status.has_synced();
        for reason in passed_over {
            empty.skipped += 1;
            match empty.skip_reasons.iter_mut().find(|(known, _)| *known == reason) {
                Some((_, count)) => *count += 1,
                None => empty.skip_reasons.insert(0, (reason, 1)),
            }
        }
        empty
    }

    /// Reads an issue that the last sync did not know. `true` when it is open, and known from now on.
    async fn read_through(&self, issue: &IssueRef) -> Result<bool, ManagerError> {
        let found = match self.source.issue_get(issue).await {
            Ok(Some(found)) if found.state == IssueState::Open => found,
            Ok(_) | Err(SourceError::NotFound { .. }) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        let batch = IssueBatch { repo: issue.repo.clone(), issues: vec![found], cursor: None, now: self.clock.now() };
        self.store.issue_apply(batch).await?;
        Ok(true)
    }
}

fn question(request: &NextRequest) -> Question<'_> {
    Question {
        repo: request.repo.as_ref().map(RepoName::as_str),
        label: request.label.as_deref(),
        milestone: request.milestone.as_deref(),
    }
}

/// The rows of a decision whose reasons were asked for.
fn explained_rows(decision: Option<&Decision>) -> Vec<DecisionRow> {
    decision.map(|decision| decision.considered.iter().take(EXPLAINED_COUNT).cloned().collect()).unwrap_or_default()
}

/// Marks an issue as on offer for as long as it lives.
struct Offer<'a> {
    offered: &'a Mutex<HashSet<Slot>>,
    slot: Option<Slot>,
}

impl<'a> Offer<'a> {
    fn new(offered: &'a Mutex<HashSet<Slot>>, slot: Option<Slot>) -> Self {
        if let Some(slot) = slot {
            offered.lock().insert(slot);
        }
        Self { offered, slot }
    }
}

impl Drop for Offer<'_> {
    fn drop(&mut self) {
        if let Some(slot) = self.slot {
            self.offered.lock().remove(&slot);
        }
    }
}
