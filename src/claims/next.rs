//! The agent's next issue: candidates from the board, the ranker's last word on them, and the store's.

use std::collections::HashSet;
use std::sync::Arc;

use parking_lot::Mutex;

use super::asking::chooser;
use super::desk::{InForce, Word};
use super::order::{OrderKey, Question, Slot};
use super::reasons::{KeptBack, explained_rows};
use super::recording::{EXPLAINED_COUNT, Recording};
use super::trial::{self, Case, Trials};
use super::{ClaimManager, ManagerError, NextOutcome, NextRequest};
use crate::domain::{Decision, DecisionRow, Empty, IssueRef, RepoName, Timestamp};
use crate::policy::{Choice, ViewName};
use crate::store::{ClaimWish, Granted, InsertOutcome, Wanted};

/// Candidates that a ranker chooses from, and the store tries, at a time.
pub(super) const SHORTLIST_COUNT: usize = 32;
/// The longest page of candidates shown to a ranker that passes over everything: pages grow up to this.
pub(super) const PAGE_COUNT_MAX: usize = 8_192;
/// How much longer each further page is.
pub(super) const PAGE_GROWTH: usize = 8;
/// Times a request starts over because others were faster on a whole short list.
const ROUND_COUNT_MAX: usize = 8;
/// When to ask again after that, in milliseconds. Ours: a crowd has passed by then.
const RACED_RETRY_MS: u64 = 1000;

/// The outcome of asking the policies, before the store has decided.
struct Pick {
    /// The view that served.
    view: ViewName,
    candidates: Vec<IssueRef>,
    decision: Option<Decision>,
    first: Option<Slot>,
    kept_back: KeptBack,
    /// What the ranker saw and said, where nothing is left.
    recording: Option<Recording>,
    /// For a trial.
    case: Option<Case>,
}

impl Pick {
    fn begun(view: ViewName) -> Self {
        let (candidates, decision, first, kept_back, recording, case) = Default::default();
        Self { view, candidates, decision, first, kept_back, recording, case }
    }

    /// Hands the request over to whoever did not serve it, if a candidate is on trial: there is an answer now.
    fn try_on(&mut self, trials: &Trials) {
        if let Some(case) = self.case.take() {
            trials.hand_over(case);
        }
    }
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
        let policies = self.desk.current();
        let (outcome, recording) = self.next_issue_under(&policies, &request, Wanted::FirstFree).await?;
        self.note_outcome(&policies, &request, &outcome, recording).await;
        Ok(outcome)
    }

    /// Takes note of an answer: that there was nothing is recorded here, anything else was with its claim.
    pub(super) async fn note_outcome(
        &self,
        policies: &InForce,
        request: &NextRequest,
        outcome: &NextOutcome,
        recording: Option<Recording>,
    ) {
        match outcome {
            NextOutcome::Nothing(why) => self.note_nothing(policies, request, recording, why).await,
            _ => self.nothings.forget(&request.agent),
        }
    }

    /// As [`ClaimManager::next_issue`], for an admitted repository, under policies that the call took before;
    /// `wanted` says what the wish is. Where there is nothing, what the ranker saw and said comes with it.
    pub(super) async fn next_issue_under(
        &self,
        policies: &Arc<InForce>,
        request: &NextRequest,
        wanted: fn(Vec<IssueRef>) -> Wanted,
    ) -> Result<(NextOutcome, Option<Recording>), ManagerError> {
        let view = policies.view_of(&request.agent);
        for _ in 0..ROUND_COUNT_MAX {
            let now = self.clock.now();
            let mut pick = self.pick(policies, &view, request, now);
            if pick.candidates.is_empty() && request.request_id.is_none() {
                pick.try_on(&self.trials);
                let why = self.why_nothing(&pick.view, request, pick.kept_back);
                return Ok((NextOutcome::Nothing(why), pick.recording));
            }
            let nothing_left = pick.candidates.is_empty();
            let offer = Offer::new(&self.offered, pick.first);
            let explained = explained_rows(pick.decision.as_ref());
            let wish = ClaimWish {
                agent: request.agent.clone(),
                wanted: wanted(std::mem::take(&mut pick.candidates)),
                request_id: request.request_id.clone(),
                lease: self.lease(),
                decision: pick.decision.take().filter(|_| self.keeps_decisions()),
                now,
            };
            let outcome = self.store.claim_insert(wish).await?;
            drop(offer);
            let outcome = match outcome {
                InsertOutcome::Granted(granted) => {
                    pick.try_on(&self.trials);
                    let Granted { claim, issue } = *granted;
                    let row = explained.iter().find(|row| row.number == claim.issue_number && row.repo == claim.repo);
                    let why = row.map(DecisionRow::why);
                    NextOutcome::Granted { claim, issue, idempotent: false, why }
                }
                InsertOutcome::Already(granted) if granted.claim.status().is_terminal() => {
                    NextOutcome::RequestIdUsed(granted.claim)
                }
                InsertOutcome::Already(granted) => {
                    let Granted { claim, issue } = *granted;
                    NextOutcome::Granted { claim, issue, idempotent: true, why: None }
                }
                InsertOutcome::NoneFree if nothing_left => {
                    pick.try_on(&self.trials);
                    let why = self.why_nothing(&pick.view, request, pick.kept_back);
                    return Ok((NextOutcome::Nothing(why), pick.recording));
                }
                // The follow-up is to be had where the request got it.
                InsertOutcome::RequestGotFollowUp => NextOutcome::Nothing(Empty::default()),
                InsertOutcome::HeldBy(_) | InsertOutcome::NotOpen | InsertOutcome::NoneFree => continue,
            };
            return Ok((outcome, None));
        }
        // Others were faster on whole short lists, again and again: that is no reason to stay away.
        let why = self.why_nothing(&view, request, KeptBack::nothing(RACED_RETRY_MS));
        let why = Empty { was_raced: true, ..why };
        Ok((NextOutcome::Nothing(why), None))
    }

    /// Asks the board for the best candidates and the ranker for its last word on them. Pages on, to the
    /// end, while the ranker passes over everything it sees: work further down is never hidden. Stops where
    /// nothing can pass.
    fn pick(&self, policies: &Arc<InForce>, view: &ViewName, request: &NextRequest, now: Timestamp) -> Pick {
        let question = question(request);
        let groups = self.groups.load().of(&request.agent);
        let mut pick = Pick::begun(view.clone());
        let mut recording = Recording::begin(policies, view, request, now).unless_kept(self.keeps_decisions());
        let mut after: Option<OrderKey> = None;
        let mut page_count = SHORTLIST_COUNT;
        loop {
            if let Some(closed) = self.desk.closed(policies, view, request.repo.as_ref(), now) {
                pick.kept_back.close(closed);
                break;
            }
            let (page, chooser, is_own, beside) = {
                let board = self.index.board.read();
                let offered = self.offered.lock().clone();
                let mut page = board.shortlist(view, &question, after, page_count, |slot| offered.contains(&slot));
                if page.rows.is_empty() {
                    // What is on offer to others now may yet be refused to them.
                    page = board.shortlist(view, &question, after, page_count, |_| false);
                }
                let chooser = chooser(&board, &groups, request, &page.rows);
                // The state that both rankers choose from is the one of this moment.
                let beside = if after.is_none() { trial::beside(policies, view) } else { None };
                let beside = beside.map(|other| {
                    let on_offer = |slot| offered.contains(&slot);
                    let page = board.shortlist(&other, &question, None, SHORTLIST_COUNT, on_offer);
                    (other, page)
                });
                // A set comes in force under this lock: the scores are this one's, or those of the next.
                (page, chooser, self.desk.is_in_force(policies), beside)
            };
            let word = match page.rows.is_empty() {
                true => Word::ByScore,
                false => self.desk.choose(policies, view, &chooser, &page.rows, now),
            };
            recording.take_down(&chooser, &page, word.choice(), is_own);
            if let Some((other, page)) = beside {
                pick.case = Some(Case::new(policies, other, chooser, page, now));
            }
            let choice = match word {
                Word::Said(choice) => choice,
                Word::ByScore => Choice::keep(page.rows.len()),
                Word::StoodInFor => {
                    let case = pick.case.map(Case::stood_in_for);
                    return Pick { case, ..self.pick(policies, &ViewName::main(), request, now) };
                }
            };
            if let Some(&first) = choice.order.first() {
                pick.first = Some(page.slots[first]);
                let best = choice.order.iter().take(SHORTLIST_COUNT);
                pick.candidates = best.map(|&row| page.rows[row].facts.issue.clone()).collect();
                let explained = choice.order.iter().take(EXPLAINED_COUNT);
                let explained: Vec<_> = explained.map(|&row| page.rows[row].clone()).collect();
                recording.explained(self.desk.explain(policies, view, &explained, now));
                let decision = recording.of_pick(policies);
                if let Some(case) = &mut pick.case {
                    case.picked = trial::preference(&decision);
                }
                pick.decision = Some(decision);
                return pick;
            }
            pick.kept_back.add(choice);
            after = page.next;
            if after.is_none() {
                break;
            }
            page_count = (page_count * PAGE_GROWTH).min(PAGE_COUNT_MAX);
        }
        pick.recording = Some(recording);
        pick
    }
}

pub(super) fn question(request: &NextRequest) -> Question<'_> {
    Question {
        repo: request.repo.as_ref().map(RepoName::as_str),
        label: request.label.as_deref(),
        milestone: request.milestone.as_deref(),
    }
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
