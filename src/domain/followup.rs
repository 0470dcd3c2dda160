//! A follow-up: review feedback on a pull request that some agent should answer.

mod record;
mod status;
mod step;
mod words;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AgentId, ClaimId, Feedback, FeedbackKind, IssueNumber, RepoName, Timestamp, WorkItemId};

pub use record::{FollowUpRecord, FollowUpRecordError};
pub use status::FollowUpStatus;
pub use step::{FollowUpRefusal, FollowUpStep, Mover};

/// One entry of a follow-up's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FollowUpEntry {
    /// The status entered.
    pub status: FollowUpStatus,
    /// When.
    pub timestamp: Timestamp,
    /// A word about why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// For whom a follow-up is kept first: the agent whose claim made the pull request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Reservation {
    /// That agent.
    pub agent_id: AgentId,
    /// Others may have it from then on.
    pub until: Timestamp,
}

/// Review feedback on a pull request, on its way to an agent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FollowUp {
    /// Its identity.
    pub work_item_id: WorkItemId,
    /// The pull request's repository.
    pub repo: RepoName,
    /// The pull request's number.
    pub pr_number: IssueNumber,
    /// The pull request's page on GitHub.
    pub pr_url: String,
    /// The pull request's title, as written.
    pub pr_title: String,
    /// What kind of feedback it came from.
    pub source_event_type: FeedbackKind,
    /// The key of that feedback: one piece makes one follow-up.
    pub source_event_id: String,
    /// The webhook delivery that brought it, if one did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_delivery_id: Option<String>,
    /// Who gave the feedback: a GitHub login.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub requested_by: Option<String>,
    /// What that account is to the repository, in GitHub's word; empty where nobody said.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub author_association: String,
    /// What is asked, in a line.
    pub summary: String,
    /// The texts to answer, each with its place where it has one.
    pub actionable_comments: Vec<String>,
    status: FollowUpStatus,
    /// When it was made.
    pub created_at: Timestamp,
    last_updated: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    claimed_by_agent_id: Option<AgentId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    claimed_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    done_at: Option<Timestamp>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    dismiss_reason: Option<String>,
    status_history: Vec<FollowUpEntry>,
    /// The claim that the pull request came from, if one is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claim_id: Option<ClaimId>,
    /// For whom it is kept first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reserved: Option<Reservation>,
    /// When commits were pushed that may answer it, where the setting says to look rather than to resolve.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pushed_at: Option<Timestamp>,
}

impl FollowUp {
    /// A new follow-up for one piece of feedback.
    pub fn of(feedback: &Feedback, now: Timestamp) -> Self {
        Self {
            work_item_id: WorkItemId::fresh(),
            repo: feedback.pull.repo.clone(),
            pr_number: feedback.pull.number,
            pr_url: feedback.pull_url.clone(),
            pr_title: feedback.pull_title.clone(),
            source_event_type: feedback.kind,
            source_event_id: feedback.kind.source_key(feedback.id),
            source_delivery_id: None,
            requested_by: Some(feedback.author.clone()),
            author_association: feedback.author_association.clone(),
            summary: words::summary(feedback),
            actionable_comments: words::comment(feedback).into_iter().collect(),
            status: FollowUpStatus::Queued,
            created_at: now,
            last_updated: now,
            claimed_by_agent_id: None,
            claimed_at: None,
            done_at: None,
            dismiss_reason: None,
            status_history: vec![FollowUpEntry { status: FollowUpStatus::Queued, timestamp: now, note: None }],
            claim_id: None,
            reserved: None,
            pushed_at: None,
        }
    }

    /// Where it stands.
    pub fn status(&self) -> FollowUpStatus {
        self.status
    }

    /// When it last moved, or its agent last said that it stands where it stands.
    pub fn last_updated(&self) -> Timestamp {
        self.last_updated
    }

    /// Who has it.
    pub fn holder(&self) -> Option<&AgentId> {
        self.claimed_by_agent_id.as_ref()
    }

    /// When that agent took it.
    pub fn claimed_at(&self) -> Option<Timestamp> {
        self.claimed_at
    }

    /// Every status it entered, oldest first.
    pub fn status_history(&self) -> &[FollowUpEntry] {
        &self.status_history
    }

    /// Whether it is on a pull request that came from a claim of `agent`.
    pub fn is_own_of(&self, agent: &AgentId) -> bool {
        self.reserved.as_ref().is_some_and(|kept| kept.agent_id == *agent)
    }

    /// Whether `agent` may be given it at `now`: it is on offer, and not kept for another.
    pub fn is_for(&self, agent: &AgentId, now: Timestamp) -> bool {
        self.status.is_on_offer() && !self.is_kept_from(agent, now)
    }

    /// Whether it is kept for another agent at `now`.
    fn is_kept_from(&self, agent: &AgentId, now: Timestamp) -> bool {
        self.reserved.as_ref().is_some_and(|kept| kept.agent_id != *agent && now < kept.until)
    }

    /// Learns which claim its pull request came from, and for whom it is kept from now on. `false` when one
    /// is known already: that one stays. Moves nothing, and renews nothing.
    pub fn link(&mut self, claim_id: ClaimId, reserved: Option<Reservation>) -> bool {
        let is_news = self.claim_id.is_none();
        if is_news {
            self.claim_id = Some(claim_id);
            self.reserved = reserved;
        }
        is_news
    }

    /// Takes one step: the only place where a status changes. `true` when the status is another now.
    ///
    /// # Errors
    /// [`FollowUpRefusal`] when the contract does not permit the step; nothing is changed then.
    pub fn advance(&mut self, step: FollowUpStep, now: Timestamp) -> Result<bool, FollowUpRefusal> {
        let FollowUpStep { to, by, note } = step;
        let takes = matches!(to, FollowUpStatus::Claimed | FollowUpStatus::InProgress);
        // Who let a follow-up lapse has it no more: it is on offer again.
        let holder = self.claimed_by_agent_id.as_ref().filter(|_| self.status != FollowUpStatus::Stale || !takes);
        if let Mover::Agent(agent) = &by {
            match holder {
                Some(holder) if holder != agent => return Err(FollowUpRefusal::HeldBy(holder.clone())),
                None if !takes => return Err(FollowUpRefusal::NotTaken),
                None if self.is_kept_from(agent, now) => {
                    let kept = self.reserved.as_ref().map_or(agent, |kept| &kept.agent_id);
                    return Err(FollowUpRefusal::KeptFor(kept.clone()));
                }
                _ => {}
            }
        }
        let stays = to == self.status && !to.is_terminal();
        if !stays && !self.status.may_become(to) {
            return Err(FollowUpRefusal::NotAllowed { from: self.status, to });
        }
        if let Mover::Agent(agent) = by {
            if takes && holder != Some(&agent) {
                self.claimed_by_agent_id = Some(agent);
                self.claimed_at = Some(now);
            }
            self.last_updated = now;
        }
        if stays {
            return Ok(false);
        }
        match to {
            FollowUpStatus::Done => self.done_at = Some(now),
            FollowUpStatus::Dismissed => self.dismiss_reason = note.clone(),
            _ => {}
        }
        self.status = to;
        self.last_updated = now;
        self.status_history.push(FollowUpEntry { status: to, timestamp: now, note });
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{IssueRef, from_unix_ms};

    fn at(minute: u64) -> Timestamp {
        from_unix_ms(1_700_000_000_000 + minute * 60_000)
    }

    fn feedback() -> Feedback {
        Feedback {
            kind: FeedbackKind::ReviewComment,
            id: 9,
            pull: "acme/small#4".parse::<IssueRef>().unwrap(),
            pull_url: "https://github.com/acme/small/pull/4".into(),
            pull_title: "Fix it".into(),
            author: "ann".into(),
            by_bot: false,
            author_association: "MEMBER".into(),
            body: "\n  Use a constant.\nIt is used twice.".into(),
            place: Some(("src/a.rs".into(), Some(12))),
            commit: None,
            created_at: at(0),
        }
    }

    fn in_status(status: FollowUpStatus, holder: Option<&str>) -> FollowUp {
        let claimed_by_agent_id = holder.map(|name| name.parse().unwrap());
        FollowUp { status, claimed_by_agent_id, ..FollowUp::of(&feedback(), at(0)) }
    }

    fn step(to: FollowUpStatus, agent: &str) -> FollowUpStep {
        FollowUpStep { to, by: Mover::Agent(agent.parse().unwrap()), note: None }
    }

    /// The contract, written out: every pair of statuses, for the agent that has the follow-up.
    #[test]
    fn every_transition_is_as_the_contract_says() {
        use FollowUpStatus::{Claimed, Dismissed, Done, InProgress, Queued, Stale};
        let table = [
            (Queued, vec![Queued, Claimed, InProgress, Done, Dismissed, Stale]),
            (Claimed, vec![Claimed, InProgress, Done, Dismissed, Stale]),
            (InProgress, vec![InProgress, Done, Dismissed, Stale]),
            (Done, vec![]),
            (Dismissed, vec![]),
            (Stale, vec![Claimed, InProgress, Done, Dismissed, Stale]),
        ];
        for (from, permitted) in table {
            for to in FollowUpStatus::ALL {
                let mut item = in_status(from, Some("a1"));
                let answer = item.advance(step(to, "a1"), at(1));
                assert_eq!(answer.is_ok(), permitted.contains(&to), "{from} to {to}: {answer:?}");
                assert_eq!(item.status(), if answer.is_ok() { to } else { from });
            }
        }
    }

    #[test]
    fn one_that_nobody_has_is_taken_before_it_is_ended() {
        for to in [FollowUpStatus::Done, FollowUpStatus::Dismissed, FollowUpStatus::Stale] {
            let mut item = in_status(FollowUpStatus::Queued, None);
            assert_eq!(item.advance(step(to, "a1"), at(1)), Err(FollowUpRefusal::NotTaken), "{to}");
        }
        let mut item = in_status(FollowUpStatus::Queued, None);
        assert_eq!(item.advance(step(FollowUpStatus::InProgress, "a1"), at(1)), Ok(true));
        assert_eq!(item.holder().map(AgentId::as_str), Some("a1"));
        let other = item.advance(step(FollowUpStatus::Done, "a2"), at(2));
        assert_eq!(other, Err(FollowUpRefusal::HeldBy("a1".parse().unwrap())));
        assert_eq!(item.advance(step(FollowUpStatus::Done, "a1"), at(3)), Ok(true));
        assert_eq!(item.done_at, Some(at(3)));
    }

    #[test]
    fn one_that_lapsed_can_be_taken_by_another_agent() {
        let mut item = in_status(FollowUpStatus::Stale, Some("a1"));
        assert_eq!(item.advance(step(FollowUpStatus::Claimed, "a2"), at(1)), Ok(true));
        assert_eq!(item.holder().map(AgentId::as_str), Some("a2"));
    }

    #[test]
    fn it_is_kept_for_the_agent_of_the_claim_until_the_grace_is_over() {
        let mut item = in_status(FollowUpStatus::Queued, None);
        item.reserved = Some(Reservation { agent_id: "a1".parse().unwrap(), until: at(10) });
        let (own, other) = ("a1".parse().unwrap(), "a2".parse().unwrap());
        assert!(item.is_for(&own, at(1)));
        assert!(!item.is_for(&other, at(9)));
        assert!(item.is_for(&other, at(10)));
    }
}
