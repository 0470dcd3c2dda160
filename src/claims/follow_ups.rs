//! Work of both kinds: review feedback to answer, and issues to begin.

use std::time::Duration;

use chrono::TimeDelta;
use tracing::info;

use super::asking::chooser;
use super::desk::InForce;
use super::{ClaimManager, ManagerError, NextOutcome, NextRequest};
use crate::domain::{
    AgentId, FeedbackKind, FollowUp, FollowUpRefusal, FollowUpStatus, FollowUpStep, Mover, Timestamp, WorkItemId,
};
use crate::policy::WorkChoice;
use crate::store::{FollowUpChange, FollowUpFilter, FollowUpMoved, FollowUpTake, FollowUpTaken, StoreError, Wanted};

/// Follow-ups that the store tries at a time. Ours: a crowd that asks at once finds enough.
const OFFER_COUNT: usize = 64;
/// Times a request starts over because others were faster on all that was on offer.
const ROUND_COUNT_MAX: usize = 4;

/// The answer to "give me my next piece of work".
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "made once a request, and taken apart at once")]
pub enum WorkOutcome {
    /// Review feedback to answer.
    FollowUp {
        /// The follow-up, which is the agent's now.
        item: FollowUp,
        /// Whether the same request got it before.
        idempotent: bool,
        /// Why this, and why now, in one line; only where it was picked just now.
        why: Option<String>,
    },
    /// The request id got this follow-up before, and it has ended since: a new wish needs a new id.
    RequestIdUsed(FollowUp),
    /// An issue to begin, or nothing.
    Issue(NextOutcome),
}

/// Which feedback a request may be given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turn {
    /// What comes before new issues.
    BeforeIssues,
    /// All of it: there is no new issue for the agent.
    AfterIssues,
}

/// What became of the wish for feedback.
#[allow(clippy::large_enum_variant, reason = "made once a request, and taken apart at once")]
enum Take {
    /// A follow-up, or why there is none for this request, as it is answered.
    Got(WorkOutcome),
    /// The same request got a claim before.
    RequestGotClaim,
    /// Nothing, and why the ranker skipped what there was.
    Nothing(Vec<String>),
}

/// "The follow-up has come this far."
#[derive(Debug, Clone)]
pub struct FollowUpUpdate {
    /// Which one.
    pub work_item_id: WorkItemId,
    /// Who says so.
    pub agent: AgentId,
    /// How far.
    pub status: FollowUpStatus,
    /// A word for the history.
    pub note: Option<String>,
}

/// The answer to [`FollowUpUpdate`].
#[derive(Debug)]
pub enum FollowUpOutcome {
    /// Done; as it stands now, and whether it stood there already.
    Moved(FollowUp, bool),
    /// No such active follow-up.
    NotFound,
    /// The contract does not permit the step.
    Refused(FollowUp, FollowUpRefusal),
}

impl ClaimManager {
    /// The agent's next piece of work, by the team's policy: review feedback to answer or an issue to begin.
    /// Unless the ranker says otherwise feedback comes first, on the agent's own pull requests before
    /// others. Label and milestone narrow issues only.
    ///
    /// # Errors
    /// As [`ClaimManager::next_issue`].
    pub async fn next_work(&self, request: NextRequest) -> Result<WorkOutcome, ManagerError> {
        if let Some(repo) = &request.repo {
            self.admit(repo)?;
        }
        let policies = self.desk.current();
        // The store alone knows what a request got before, so it is asked when nothing is on offer too.
        if let Take::Got(got) = self.take_follow_up(&policies, &request, Turn::BeforeIssues).await? {
            return Ok(got);
        }
        let (outcome, recording) = self.next_issue_under(&policies, &request, Wanted::NextWork).await?;
        let NextOutcome::Nothing(empty) = &outcome else {
            self.note_outcome(&policies, &request, &outcome, recording).await;
            return Ok(WorkOutcome::Issue(outcome));
        };
        Ok(match self.take_follow_up(&policies, &request, Turn::AfterIssues).await? {
            Take::Got(got) => got,
            // The same request, sent twice at once, was faster.
            Take::RequestGotClaim => {
                WorkOutcome::Issue(self.next_issue_under(&policies, &request, Wanted::NextWork).await?.0)
            }
            Take::Nothing(reasons) => {
                let empty = empty.clone().with_follow_ups_skipped(reasons);
                self.note_outcome(&policies, &request, &outcome, recording).await;
                WorkOutcome::Issue(NextOutcome::Nothing(empty))
            }
        })
    }

    async fn take_follow_up(&self, policies: &InForce, request: &NextRequest, turn: Turn) -> Result<Take, StoreError> {
        for _ in 0..ROUND_COUNT_MAX {
            let now = self.clock.now();
            let (candidates, skipped) = self.follow_ups_on_offer(policies, request, turn, now);
            if candidates.is_empty() && request.request_id.is_none() {
                return Ok(Take::Nothing(skipped));
            }
            let nothing_left = candidates.is_empty();
            let wish =
                FollowUpTake { agent: request.agent.clone(), candidates, request_id: request.request_id.clone(), now };
            match self.store.follow_up_take(wish).await? {
                FollowUpTaken::Taken(item) => {
                    let why = Some(why(&item, &request.agent, turn));
                    return Ok(Take::Got(WorkOutcome::FollowUp { item: *item, idempotent: false, why }));
                }
                FollowUpTaken::Already(item) => {
                    return Ok(Take::Got(WorkOutcome::FollowUp { item: *item, idempotent: true, why: None }));
                }
                FollowUpTaken::RequestUsed(item) => return Ok(Take::Got(WorkOutcome::RequestIdUsed(*item))),
                FollowUpTaken::RequestGotClaim => return Ok(Take::RequestGotClaim),
                FollowUpTaken::NoneFree if nothing_left => return Ok(Take::Nothing(skipped)),
                FollowUpTaken::NoneFree => {}
            }
        }
        Ok(Take::Nothing(Vec::new()))
    }

    /// The feedback to try now, best first, and why the ranker keeps the rest from the agent. The ranker is
    /// not asked where there is none.
    fn follow_ups_on_offer(
        &self,
        policies: &InForce,
        request: &NextRequest,
        turn: Turn,
        now: Timestamp,
    ) -> (Vec<WorkItemId>, Vec<String>) {
        let (rows, chooser) = {
            let board = self.index.board.read();
            let mut rows = board.shelf.offers(&request.agent, request.repo.as_ref(), now);
            rows.retain(|item| board.exclusion(&item.repo).is_none());
            (rows, chooser(&board, &self.groups.load().of(&request.agent), request, &[]))
        };
        if rows.is_empty() {
            return (Vec::new(), Vec::new());
        }
        let WorkChoice { before_issues, after_issues, skipped } = self.desk.choose_work(policies, &chooser, &rows, now);
        let waiting = if turn == Turn::AfterIssues { after_issues } else { Vec::new() };
        let chosen = before_issues.into_iter().chain(waiting).take(OFFER_COUNT);
        let candidates = chosen.map(|row| rows[row].work_item_id).collect();
        (candidates, skipped.into_iter().map(|(_, reason)| reason).collect())
    }

    /// Moves a follow-up by one step of an agent.
    ///
    /// # Errors
    /// When the store fails; the follow-up is unchanged then.
    pub async fn update_follow_up(&self, update: FollowUpUpdate) -> Result<FollowUpOutcome, ManagerError> {
        let FollowUpUpdate { work_item_id, agent, status, note } = update;
        let step = FollowUpStep { to: status, by: Mover::Agent(agent), note };
        let change = FollowUpChange { work_item_id, last_updated: None, step, now: self.clock.now() };
        Ok(match self.store.follow_up_advance(change).await? {
            FollowUpMoved::Moved(item, changed) => FollowUpOutcome::Moved(*item, !changed),
            FollowUpMoved::Refused(item, refusal) => FollowUpOutcome::Refused(*item, refusal),
            FollowUpMoved::NotFound | FollowUpMoved::Superseded => FollowUpOutcome::NotFound,
        })
    }

    /// Active follow-ups, most urgent first, then oldest.
    pub fn follow_ups(&self, filter: &FollowUpFilter) -> Vec<FollowUp> {
        let board = self.index.board.read();
        let admitted = |item: &&std::sync::Arc<FollowUp>| {
            filter.repo.as_ref().is_none_or(|repo| *repo == item.repo)
                && filter.status.is_none_or(|status| status == item.status())
                && filter.agent.as_ref().is_none_or(|agent| item.holder() == Some(agent))
                && filter.pr_number.is_none_or(|number| number == item.pr_number)
        };
        board.shelf.all().filter(admitted).map(|item| FollowUp::clone(item)).collect()
    }

    /// Marks follow-ups that nobody moved for too long; answers how many.
    pub(super) async fn sweep_follow_ups(&self, now: Timestamp) -> Result<usize, StoreError> {
        let minutes = self.config.current().follow_ups.stale_minutes;
        let patience = TimeDelta::from_std(Duration::from_secs(minutes.saturating_mul(60))).unwrap_or(TimeDelta::MAX);
        let Some(before) = now.checked_sub_signed(patience) else { return Ok(0) };
        let lapsed = self.index.board.read().shelf.lapsed(before);
        let mut marked = 0;
        for item in lapsed {
            // Any call of its agent is a sign of life.
            if item.holder().and_then(|agent| self.presence.last_call(agent)).is_some_and(|heard| heard > before) {
                continue;
            }
            let note = format!("not moved for {minutes} minutes");
            let step = FollowUpStep { to: FollowUpStatus::Stale, by: Mover::Sweep, note: Some(note) };
            let last_updated = Some(item.last_updated());
            let change = FollowUpChange { work_item_id: item.work_item_id, last_updated, step, now };
            let moved = self.store.follow_up_advance(change).await?;
            marked += usize::from(matches!(moved, FollowUpMoved::Moved(_, true)));
        }
        if marked > 0 {
            info!(stale = marked, "sweep marked follow-ups as stale");
        }
        Ok(marked)
    }
}

/// Why an agent gets this feedback, and why now: `changes requested on your pull request; feedback comes
/// before new issues`.
fn why(item: &FollowUp, agent: &AgentId, turn: Turn) -> String {
    let what = match item.source_event_type {
        FeedbackKind::ReviewChangesRequested => "changes requested",
        FeedbackKind::ReviewComment => "comment on a line",
        FeedbackKind::PrComment => "comment",
    };
    let of_whom = if item.is_own_of(agent) { "on your pull request" } else { "on a pull request" };
    let when = match turn {
        Turn::BeforeIssues => "feedback comes before new issues",
        Turn::AfterIssues => "there is no new issue for you",
    };
    format!("{what} {of_whom}; {when}")
}
