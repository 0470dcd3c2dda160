//! A claim: one agent's exclusive hold on one issue, and the only function that changes its status.

mod record;
mod status;
mod step;

use chrono::TimeDelta;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AgentId, ClaimId, DecisionId, Issue, IssueNumber, IssueRef, RepoName, Timestamp};

pub use record::{ClaimRecord, ClaimRecordError, RestoredClaim};
pub use status::ClaimStatus;
pub use step::{Actor, Advance, Step, TransitionError};

/// The epoch of the first claim ever granted on an issue.
pub const LEASE_EPOCH_FIRST: u64 = 1;

/// The time bound of a claim, and its fencing token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Lease {
    /// Grows with every grant on the same issue, so that a late owner can be told from the present one.
    pub epoch: u64,
    /// When the claim lapses unless its owner is heard of before.
    pub expires_at: Timestamp,
}

impl Lease {
    /// Whether it has lapsed at `now`: at its end, or past it.
    pub fn is_expired_at(&self, now: Timestamp) -> bool {
        now >= self.expires_at
    }
}

/// One entry of a claim's history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StatusEntry {
    /// The status entered.
    pub status: ClaimStatus,
    /// When.
    pub timestamp: Timestamp,
    /// A word about why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// The exclusive hold of one agent on one issue.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Claim {
    /// Its identity.
    pub claim_id: ClaimId,
    /// Who holds it.
    pub agent_id: AgentId,
    /// The issue's repository.
    pub repo: RepoName,
    /// The issue's number.
    pub issue_number: IssueNumber,
    /// The issue's title when it was claimed.
    pub issue_title: String,
    /// The issue's labels when it was claimed.
    pub issue_labels: Vec<String>,
    /// The issue's assignees when it was claimed.
    pub issue_assignees: Vec<String>,
    status: ClaimStatus,
    /// When it was granted.
    pub claimed_at: Timestamp,
    last_updated: Timestamp,
    status_history: Vec<StatusEntry>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pr_url: Option<String>,
    /// The pull request was found on GitHub by its branch or its words; its agent did not report it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pr_found: bool,
    /// Its time bound and fencing token.
    pub lease: Lease,
    /// The recorded reasons of the pick, when a policy picked it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision_id: Option<DecisionId>,
}

impl Claim {
    /// Grants `issue` to `agent`. Whether anyone else holds it is the store's to decide.
    pub fn grant(
        issue: &Issue,
        agent: &AgentId,
        lease: Lease,
        decision_id: Option<DecisionId>,
        now: Timestamp,
    ) -> Self {
        Self {
            claim_id: ClaimId::fresh(),
            agent_id: agent.clone(),
            repo: issue.repo.clone(),
            issue_number: issue.number,
            issue_title: issue.title.clone(),
            issue_labels: issue.labels.clone(),
            issue_assignees: issue.assignees.clone(),
            status: ClaimStatus::Claimed,
            claimed_at: now,
            last_updated: now,
            status_history: vec![StatusEntry { status: ClaimStatus::Claimed, timestamp: now, note: None }],
            pr_url: None,
            pr_found: false,
            lease,
            decision_id,
        }
    }

    /// The issue it holds.
    pub fn issue_ref(&self) -> IssueRef {
        IssueRef::new(self.repo.clone(), self.issue_number)
    }

    /// Where it stands.
    pub fn status(&self) -> ClaimStatus {
        self.status
    }

    /// When its owner last updated it, or its status last changed.
    pub fn last_updated(&self) -> Timestamp {
        self.last_updated
    }

    /// Every status it entered, oldest first.
    pub fn status_history(&self) -> &[StatusEntry] {
        &self.status_history
    }

    /// Its pull request, as last reported.
    pub fn pr_url(&self) -> Option<&str> {
        self.pr_url.as_deref()
    }

    /// When it entered its present status.
    pub fn status_since(&self) -> Timestamp {
        self.status_history.last().map_or(self.claimed_at, |entry| entry.timestamp)
    }

    /// Takes note of its pull request, as GitHub tells of it. Renews nothing.
    pub fn link_pull(&mut self, pr_url: String) {
        if self.pr_url.is_none() {
            self.pr_found = true;
        }
        self.pr_url = Some(pr_url);
    }

    /// Whether its pull request was found by its branch or its words, rather than reported.
    pub fn pr_found(&self) -> bool {
        self.pr_found
    }

    /// Whether its work is done: it was closed, or its pull request was merged before it ended otherwise.
    pub fn is_finished_work(&self) -> bool {
        self.status == ClaimStatus::Closed
            || self.status_history.iter().any(|entry| entry.status == ClaimStatus::PrMerged)
    }

    /// Takes one step: the only place where a status changes. Every permitted step of the owner
    /// renews the lease for `lease`, a step to the present status too (so it serves as a heartbeat);
    /// steps of others never do.
    ///
    /// # Errors
    /// [`TransitionError`] when the contract does not permit the step; the claim is then unchanged.
    pub fn advance(&mut self, step: Step, lease: TimeDelta, now: Timestamp) -> Result<Advance, TransitionError> {
        if step.to == ClaimStatus::PrSubmitted && step.pr_url.is_none() && self.pr_url.is_none() {
            return Err(TransitionError::PrUrlMissing);
        }
        let stays = step.to == self.status && !self.status.is_terminal();
        let sync_closes = step.by == Actor::Sync && step.to == ClaimStatus::Closed && !self.status.is_terminal();
        let permitted = match step.by {
            Actor::Operator => step.to == ClaimStatus::Released && !self.status.is_terminal(),
            Actor::Owner | Actor::Sweep | Actor::Sync => stays || sync_closes || self.status.may_become(step.to),
        };
        if !permitted {
            return Err(TransitionError::NotAllowed { from: self.status, to: step.to });
        }
        if step.by == Actor::Owner {
            self.lease.expires_at = now + lease;
            self.last_updated = now;
        }
        if step.pr_url.is_some() {
            self.pr_found = false;
            self.pr_url = step.pr_url;
        }
        if stays {
            return Ok(Advance::AlreadyThere);
        }
        self.status = step.to;
        self.last_updated = now;
        self.status_history.push(StatusEntry { status: step.to, timestamp: now, note: step.note });
        Ok(Advance::Changed)
    }

    /// Gives the claim to another agent, under a lease of its own, whose epoch nobody had: what the former owner still
    /// sends is refused. The work stays where it stands; a lapsed claim is in progress again. `why` goes into
    /// the history. The former owner is returned.
    ///
    /// # Errors
    /// [`TransitionError`] when the claim has ended; it is then unchanged.
    pub fn reassign(
        &mut self,
        to: AgentId,
        why: String,
        lease: Lease,
        now: Timestamp,
    ) -> Result<AgentId, TransitionError> {
        if self.status.is_terminal() {
            return Err(TransitionError::NotAllowed { from: self.status, to: ClaimStatus::InProgress });
        }
        if self.status == ClaimStatus::Stale {
            self.status = ClaimStatus::InProgress;
        }
        self.lease = lease;
        self.last_updated = now;
        self.status_history.push(StatusEntry { status: self.status, timestamp: now, note: Some(why) });
        Ok(std::mem::replace(&mut self.agent_id, to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{IssueState, from_unix_ms};

    const LEASE: TimeDelta = TimeDelta::minutes(120);

    fn at(minute: u64) -> Timestamp {
        from_unix_ms(1_700_000_000_000 + minute * 60_000)
    }

    fn claim() -> Claim {
        let issue = Issue {
            repo: "acme/small".parse().unwrap(),
            number: IssueNumber::new(7).unwrap(),
            title: "Fix it".into(),
            body: String::new(),
            state: IssueState::Open,
            labels: vec!["bug".into()],
            assignees: Vec::new(),
            milestone: None,
            comments: Vec::new(),
            created_at: at(0),
            updated_at: at(0),
            url: String::new(),
            author: "ann".into(),
            author_association: "OWNER".into(),
            comment_count: 0,
            reaction_count: 0,
            open_blocker_count: None,
        };
        let lease = Lease { epoch: LEASE_EPOCH_FIRST, expires_at: at(0) + LEASE };
        Claim::grant(&issue, &"a1".parse().unwrap(), lease, None, at(0))
    }

    fn claim_in(status: ClaimStatus) -> Claim {
        Claim { status, pr_url: Some("https://github.com/acme/small/pull/1".into()), ..claim() }
    }

    /// The contract, written out: every pair of statuses, once for each actor.
    #[test]
    fn every_transition_is_as_the_contract_says() {
        use ClaimStatus::{Claimed, Closed, InProgress, PrMerged, PrSubmitted, Released, Stale};
        let owners = [
            (Claimed, vec![Claimed, InProgress, Released, Stale]),
            (InProgress, vec![InProgress, PrSubmitted, Released, Stale]),
            (PrSubmitted, vec![PrSubmitted, PrMerged, Released, Stale]),
            (PrMerged, vec![PrMerged, Closed, Released, Stale]),
            (Closed, vec![]),
            (Released, vec![]),
            (Stale, vec![Stale, InProgress, Released]),
        ];
        for (from, permitted) in owners {
            for to in ClaimStatus::ALL {
                for by in [Actor::Owner, Actor::Sweep, Actor::Sync, Actor::Operator] {
                    let sync_closes = by == Actor::Sync && to == Closed && !from.is_terminal();
                    let mut claim = claim_in(from);
                    let answer = claim.advance(Step::to(to, by), LEASE, at(1));
                    let expected = match by {
                        Actor::Operator => to == Released && !from.is_terminal(),
                        _ => permitted.contains(&to) || sync_closes,
                    };
                    assert_eq!(answer.is_ok(), expected, "{from} to {to} by {by:?}: {answer:?}");
                    assert_eq!(claim.status(), if expected { to } else { from });
                }
            }
        }
    }

    #[test]
    fn a_refused_step_changes_nothing() {
        let before = claim();
        let mut after = before.clone();
        let step = Step { pr_url: Some("x".into()), ..Step::to(ClaimStatus::Closed, Actor::Owner) };
        let error = after.advance(step, LEASE, at(9)).unwrap_err();
        assert_eq!(error.to_string(), "a claim cannot go from claimed to closed");
        assert_eq!(after, before);
    }

    #[test]
    fn a_pull_request_needs_an_address_now_or_earlier() {
        let mut claim = claim();
        claim.advance(Step::to(ClaimStatus::InProgress, Actor::Owner), LEASE, at(1)).unwrap();
        let bare = Step::to(ClaimStatus::PrSubmitted, Actor::Owner);
        assert_eq!(claim.advance(bare.clone(), LEASE, at(2)), Err(TransitionError::PrUrlMissing));
        let early = Step { pr_url: Some("https://x/pull/1".into()), ..Step::to(ClaimStatus::InProgress, Actor::Owner) };
        assert_eq!(claim.advance(early, LEASE, at(3)), Ok(Advance::AlreadyThere));
        assert_eq!(claim.advance(bare, LEASE, at(4)), Ok(Advance::Changed));
        assert_eq!(claim.pr_url(), Some("https://x/pull/1"));
    }

    #[test]
    fn a_missing_address_is_told_before_a_wrong_transition() {
        let step = Step::to(ClaimStatus::PrSubmitted, Actor::Owner);
        assert_eq!(claim().advance(step, LEASE, at(1)), Err(TransitionError::PrUrlMissing));
    }

    #[test]
    fn the_owners_same_status_call_renews_and_others_do_not() {
        let mut claim = claim();
        claim.advance(Step::to(ClaimStatus::Claimed, Actor::Owner), LEASE, at(60)).unwrap();
        assert_eq!(claim.lease.expires_at, at(180));
        assert_eq!(claim.status_history().len(), 1);
        claim.advance(Step::to(ClaimStatus::Claimed, Actor::Sync), LEASE, at(90)).unwrap();
        assert_eq!(claim.lease.expires_at, at(180));
        assert_eq!(claim.last_updated(), at(60));
        assert!(!claim.lease.is_expired_at(at(179)));
        assert!(claim.lease.is_expired_at(at(180)));
    }

    #[test]
    fn a_reassigned_claim_has_a_new_owner_and_epoch_and_stands_where_it_stood() {
        for status in ClaimStatus::ALL {
            let mut claim = claim_in(status);
            let before = claim.clone();
            let lease = Lease { epoch: 2, expires_at: at(150) };
            let answer = claim.reassign("b2".parse().unwrap(), "a1 went home".into(), lease, at(30));
            if status.is_terminal() {
                assert!(answer.is_err(), "{status}");
                assert_eq!(claim, before);
                continue;
            }
            assert_eq!(answer.unwrap().as_str(), "a1");
            let stands = if status == ClaimStatus::Stale { ClaimStatus::InProgress } else { status };
            assert_eq!((claim.agent_id.as_str(), claim.status(), claim.lease.epoch), ("b2", stands, 2));
            assert_eq!((claim.lease.expires_at, claim.status_since()), (at(150), at(30)));
            assert_eq!(claim.status_history().last().unwrap().note.as_deref(), Some("a1 went home"));
        }
    }
}
