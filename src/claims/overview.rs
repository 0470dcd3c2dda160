//! What is under way and what comes next, for people who look: from memory, whatever the store and the policies do.

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::TimeDelta;

use super::explanation::Rival;
use super::order::Question;
use super::service::blocking;
use super::truth::pull_of_page;
use super::{ClaimManager, ManagerError};
use crate::domain::{AgentId, Claim, ClaimStatus, FollowUp, RepoName, Run, Timestamp};
use crate::policy::{Shortlisted, ViewName};
use crate::store::ClaimFilter;

/// Statuses that a claim under way can have, in the order of its life; what lapsed comes last.
pub const UNDER_WAY: [ClaimStatus; 5] = [
    ClaimStatus::Claimed,
    ClaimStatus::InProgress,
    ClaimStatus::PrSubmitted,
    ClaimStatus::PrMerged,
    ClaimStatus::Stale,
];

/// Runs, and pieces of feedback, that are told of one claim. Ours: more than anybody reads.
pub const BELONGING_COUNT_MAX: usize = 200;

/// Issues whose terms a policy is asked for at once: so many it explains within the time that it has for a request.
const EXPLAINED_COUNT_MAX: usize = 50;

/// The claims of one status.
#[derive(Debug, Clone)]
pub struct ClaimColumn {
    /// The status.
    pub status: ClaimStatus,
    /// How many there are.
    pub count: usize,
    /// Those that stand there longest, that one first; no more than were asked for.
    pub claims: Vec<Claim>,
}

/// An agent at work.
#[derive(Debug, Clone)]
pub struct BusyAgent {
    /// Who.
    pub agent_id: AgentId,
    /// When it last called; `None` before its first call since the server knows it.
    pub last_call: Option<Timestamp>,
    /// What it holds, oldest first.
    pub claims: Vec<Arc<Claim>>,
}

/// The head of the order of all work.
#[derive(Debug, Clone)]
pub struct Ahead {
    /// The first issues on offer, each with the terms of its score.
    pub first: Vec<Rival>,
    /// Of how many of them the policy told the terms, within the time that it has.
    pub explained_count: usize,
    /// How many are on offer.
    pub ready_count: usize,
    /// In which view: what some agents are offered in another order.
    pub view: ViewName,
}

/// What belongs to a claim besides itself.
#[derive(Debug, Clone)]
pub struct Belongings {
    /// Runs that worked under it, newest first.
    pub runs: Vec<Run>,
    /// Feedback on its pull request, waiting or over, newest first.
    pub follow_ups: Vec<FollowUp>,
}

impl ClaimManager {
    /// What belongs to a claim: its runs and the feedback on its pull request, of each at most [`BELONGING_COUNT_MAX`].
    ///
    /// # Errors
    /// When the store fails.
    pub async fn belongings(&self, claim: &Claim) -> Result<Belongings, ManagerError> {
        let is_its = |run: &Run| run.hold.as_ref().is_some_and(|hold| hold.claim_id == claim.claim_id);
        let mut runs = self.store.run_list_of_issue(claim.issue_ref(), BELONGING_COUNT_MAX).await?;
        runs.retain(is_its);
        let mut follow_ups = match claim.pr_url().and_then(pull_of_page) {
            Some(pull) => self.store.follow_up_list_of_pull(pull, BELONGING_COUNT_MAX).await?,
            None => Vec::new(),
        };
        // One elsewhere may have the same number; and GitHub spells a name as its owner does, an agent as it likes.
        let has_its_page = |page: &str| claim.pr_url().is_some_and(|url| url.eq_ignore_ascii_case(page));
        follow_ups.retain(|item| item.claim_id == Some(claim.claim_id) || has_its_page(&item.pr_url));
        Ok(Belongings { runs, follow_ups })
    }

    /// Claims under way by status, of each at most `count_max`; a status that the filter names stands alone.
    pub fn columns(&self, filter: &ClaimFilter, count_max: usize) -> Vec<ClaimColumn> {
        let claims = self.under_way(filter);
        let statuses = UNDER_WAY.into_iter().filter(|status| filter.status.is_none_or(|wanted| wanted == *status));
        let column = |status| {
            let mut claims: Vec<_> = claims.iter().filter(|claim| claim.status() == status).collect();
            let count = claims.len();
            claims.sort_unstable_by_key(|claim| (claim.status_since(), claim.claim_id));
            ClaimColumn { status, count, claims: self.as_they_stand(claims.into_iter().take(count_max)) }
        };
        statuses.map(column).collect()
    }

    /// Claims at work whose lease ends within `soon`, unless their owner is heard of; the next to end first. Where people
    /// have the pull request nobody is waited for, and what is over already the stale rule has left alone.
    pub fn ending_within(&self, soon: TimeDelta, filter: &ClaimFilter) -> Vec<Claim> {
        let now = self.clock.now();
        let is_at_work = |claim: &Claim| matches!(claim.status(), ClaimStatus::Claimed | ClaimStatus::InProgress);
        // What calls did to a lease only makes it longer.
        let mut claims = self.under_way(filter);
        claims.retain(|claim| is_at_work(claim) && claim.lease.expires_at < now + soon);
        let mut claims = self.as_they_stand(claims.iter());
        claims.retain(|claim| claim.lease.expires_at > now && claim.lease.expires_at < now + soon);
        claims.sort_unstable_by_key(|claim| (claim.lease.expires_at, claim.claim_id));
        claims
    }

    /// Agents that hold claims, by name.
    pub fn busy_agents(&self) -> Vec<BusyAgent> {
        let mut agents: BTreeMap<AgentId, Vec<Arc<Claim>>> = BTreeMap::new();
        for claim in self.under_way(&ClaimFilter::default()) {
            agents.entry(claim.agent_id.clone()).or_default().push(claim);
        }
        let busy = |(agent_id, mut claims): (AgentId, Vec<Arc<Claim>>)| {
            claims.sort_unstable_by_key(|claim| (claim.claimed_at, claim.claim_id));
            BusyAgent { last_call: self.presence.last_call(&agent_id), agent_id, claims }
        };
        agents.into_iter().map(busy).collect()
    }

    /// The first `count_max` issues on offer, in the order of the policies in force: for `agent`, where one is named,
    /// and of `repo`. Asks the policy for its terms, which may take its time.
    pub fn ahead(&self, agent: Option<&AgentId>, repo: Option<&RepoName>, count_max: usize) -> Ahead {
        let (policies, now) = (self.desk.current(), self.clock.now());
        let view = agent.map_or_else(ViewName::main, |agent| policies.view_of(agent));
        let question = Question { repo: repo.map(RepoName::as_str), ..Question::default() };
        let (rows, ready_count) = {
            let board = self.index.board.read();
            let first = board.shortlist(&view, &question, None, count_max, |_| false);
            (first.rows, board.view(&view).order.ready_count(&question))
        };
        // As for a trial: a policy that cannot explain so many is not left alone by agents for that.
        let ranking = policies.set.ranking_of(&view);
        let explain = |some: &[Shortlisted]| ranking.explain_on_trial(some, now).and_then(Result::ok);
        let explained = blocking(|| rows.chunks(EXPLAINED_COUNT_MAX).map_while(explain).flatten().collect::<Vec<_>>());
        let explained_count = explained.len();
        let reasons = explained.into_iter().chain(std::iter::repeat_with(Vec::new));
        let first = rows.iter().zip(reasons).map(|(row, reasons)| Rival::of(row, reasons)).collect();
        Ahead { first, explained_count, ready_count, view }
    }

    /// Live claims that pass the filter, as they were last written.
    fn under_way(&self, filter: &ClaimFilter) -> Vec<Arc<Claim>> {
        let passes = |claim: &Claim| {
            filter.agent.as_ref().is_none_or(|agent| *agent == claim.agent_id)
                && filter.repo.as_ref().is_none_or(|repo| *repo == claim.repo)
                && filter.status.is_none_or(|status| status == claim.status())
        };
        self.index.board.read().claims().filter(|claim| passes(claim)).cloned().collect()
    }

    /// Claims with each lease as it stands with the owner's latest call.
    fn as_they_stand<'a>(&self, claims: impl Iterator<Item = &'a Arc<Claim>>) -> Vec<Claim> {
        let lease = self.lease();
        let mut claims: Vec<Claim> = claims.map(|claim| Claim::clone(claim)).collect();
        claims.iter_mut().for_each(|claim| self.renew_by_calls(claim, lease));
        claims
    }
}
