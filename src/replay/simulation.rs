//! The simulation: people open, change and close issues as they did; agents ask, work, submit and merge.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::sync::Arc;

use chrono::TimeDelta;

use super::areas::Areas;
use super::cast::SimulatedAgent;
use super::contender::Contender;
use super::course::{Course, Fate, Otherwise, Overtook, Pick};
use super::history::History;
use super::pace::Pace;
use super::timeline::{Change, Timeline};
use crate::claims::NextRequest;
use crate::claims::rehearsal::{Rehearsal, Rehearsed, why};
use crate::domain::{
    Actor, AgentId, Claim, ClaimId, ClaimStatus, IssueRef, LEASE_EPOCH_FIRST, Lease, Repo, RepoName, Step, Timestamp,
};
use crate::policy::{PolicyError, Shortlisted};

/// The lease of a simulated claim. Its agent calls often enough, so it never lapses.
const LEASE: TimeDelta = TimeDelta::days(36_500);
/// Shortest pause before an agent that got nothing asks again because the policy said so, in milliseconds.
const RETRY_MS_MIN: u64 = 60_000;

/// What is simulated.
#[derive(Debug)]
pub(super) struct Setting<'a> {
    pub(super) history: &'a History,
    pub(super) timeline: &'a Timeline,
    pub(super) pace: &'a Pace,
    pub(super) agents: &'a [SimulatedAgent],
}

/// What is to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Next {
    /// The pull request of the claim on this row is submitted; its agent is free again.
    Submitted(usize),
    /// It is merged.
    Merged(usize),
    /// An agent without work asks again.
    Ask,
}

/// A claim that lives.
#[derive(Debug)]
struct Held {
    claim: Claim,
    agent: usize,
    areas: Box<[Arc<str>]>,
}

/// One run under way.
struct Run<'a> {
    setting: &'a Setting<'a>,
    board: Rehearsal,
    shadow: Option<Rehearsal>,
    areas: Areas<'a>,
    rows: BTreeMap<IssueRef, usize>,
    idle: VecDeque<usize>,
    to_come: BinaryHeap<Reverse<(Timestamp, Next)>>,
    held: BTreeMap<usize, Held>,
    /// Open issues without a claim, the oldest first.
    waiting: BTreeSet<(Timestamp, usize)>,
    course: Course,
    next_ask: Option<Timestamp>,
    was: Timestamp,
}

/// Lets the agents work under `policies`; `shadow` is asked at each pick what it would have done. `tick` is
/// told how many of the timeline's moments are over.
///
/// # Errors
/// The fault of a policy: a replay stands for what the policy does, not for what stands in for it.
pub(super) fn run(
    setting: &Setting<'_>,
    policies: &Contender,
    shadow: Option<&Contender>,
    tick: &dyn Fn(usize),
) -> Result<Course, PolicyError> {
    let timeline = setting.timeline;
    let mut run = Run::new(setting, policies, shadow)?;
    let mut moments = timeline.moments.iter().peekable();
    let mut seen = 0;
    loop {
        let told = moments.peek().map(|moment| moment.at);
        let due = run.to_come.peek().map(|Reverse((at, _))| *at);
        let Some(now) = told.into_iter().chain(due).min().filter(|now| *now <= timeline.ends) else { break };
        run.pass_to(now);
        while let Some(moment) = moments.next_if(|moment| moment.at == now) {
            run.people(moment.row, &moment.change, now);
            seen += 1;
        }
        while let Some(&Reverse((at, next))) = run.to_come.peek()
            && at == now
        {
            run.to_come.pop();
            run.agent_step(next, now);
        }
        run.ask_all(now)?;
        tick(seen);
    }
    run.pass_to(timeline.ends);
    Ok(run.end())
}

impl<'a> Run<'a> {
    fn new(setting: &'a Setting<'a>, policies: &Contender, shadow: Option<&Contender>) -> Result<Self, PolicyError> {
        let mut names: Vec<RepoName> = setting.timeline.issues.iter().map(|issue| issue.repo.clone()).collect();
        names.sort();
        names.dedup();
        let board = |contender: &Contender| {
            let (policies, groups) = (Arc::clone(&contender.policies), Arc::clone(&contender.groups));
            let agents = setting.agents.iter().map(|agent| &agent.name);
            Rehearsal::new(policies, groups, names.iter().cloned().map(Repo::named).collect(), agents)
        };
        Ok(Self {
            setting,
            board: board(policies)?,
            shadow: shadow.map(board).transpose()?,
            areas: Areas::of(setting.history),
            rows: setting.timeline.issues.iter().cloned().zip(0..).collect(),
            idle: (0..setting.agents.len()).collect(),
            to_come: BinaryHeap::new(),
            held: BTreeMap::new(),
            waiting: BTreeSet::new(),
            course: Course {
                fates: vec![Fate::default(); setting.timeline.issues.len()],
                busy_ms: vec![0; setting.agents.len()],
                ..Course::default()
            },
            next_ask: None,
            was: setting.timeline.begins,
        })
    }

    fn boards(&mut self) -> impl Iterator<Item = &mut Rehearsal> {
        [Some(&mut self.board), self.shadow.as_mut()].into_iter().flatten()
    }

    /// Lets time pass, and counts what agents did with it.
    fn pass_to(&mut self, now: Timestamp) {
        let ms = u64::try_from((now - self.was).num_milliseconds()).unwrap_or(0);
        let tally = self.board.tally();
        if tally.open > tally.claimed + tally.finished {
            self.course.held_back_ms += ms * self.idle.len() as u64;
        }
        for agent in 0..self.setting.agents.len() {
            if !self.idle.contains(&agent) {
                self.course.busy_ms[agent] += ms;
            }
        }
        self.was = now;
    }

    /// People open, change or close an issue. What agents have merged is settled.
    fn people(&mut self, row: usize, change: &Change, now: Timestamp) {
        if self.course.fates[row].merged_at.is_some() {
            return;
        }
        match change {
            Change::Open(issue) => {
                let mut facts = issue.facts(|text| Arc::from(text));
                facts.areas = self.areas.of_issue(issue, now);
                self.course.with_areas +=
                    usize::from(!facts.areas.is_empty() && self.course.fates[row].opened_at.is_none());
                self.boards().for_each(|board| board.set_issue(facts.clone()));
                if !self.held.contains_key(&row) {
                    self.waiting.insert((issue.created_at, row));
                }
                let fate = &mut self.course.fates[row];
                // One that people closed and opened again waits from then on.
                if fate.opened_at.is_none() || fate.closed_at.is_some() {
                    (fate.opened_at, fate.picked_at, fate.closed_at) = (Some(now), None, None);
                }
                fate.issue = Some(issue.clone());
            }
            Change::ClosedByPeople => {
                if let Some(mut held) = self.held.remove(&row) {
                    self.course.lost += 1;
                    self.advance(&mut held.claim, Step::to(ClaimStatus::Closed, Actor::Sync), now);
                    self.free(row, held.agent);
                }
                let issue = self.setting.timeline.issues[row].clone();
                self.boards().for_each(|board| board.remove_issue(issue.clone()));
                self.course.fates[row].closed_at = Some(now);
                self.no_longer_waits(row);
            }
        }
    }

    /// An agent submits, or its pull request is merged.
    fn agent_step(&mut self, next: Next, now: Timestamp) {
        match next {
            Next::Ask => self.next_ask = None,
            Next::Submitted(row) => {
                let Some(mut held) = self.held.remove(&row) else { return };
                self.advance(&mut held.claim, Step::to(ClaimStatus::InProgress, Actor::Owner), now);
                let pr_url = format!("https://github.com/{}/pull/{}", held.claim.repo, held.claim.issue_number);
                let submitted = Step { pr_url: Some(pr_url), ..Step::to(ClaimStatus::PrSubmitted, Actor::Owner) };
                self.advance(&mut held.claim, submitted, now);
                let review_ms = self.setting.pace.review_of(&held.claim.issue_ref());
                self.to_come.push(Reverse((later(now, review_ms), Next::Merged(row))));
                self.idle.push_back(held.agent);
                self.held.insert(row, held);
            }
            Next::Merged(row) => {
                let Some(mut held) = self.held.remove(&row) else { return };
                let issue = held.claim.issue_ref();
                self.boards().for_each(|board| board.remove_issue(issue.clone()));
                self.advance(&mut held.claim, Step::to(ClaimStatus::PrMerged, Actor::Owner), now);
                self.advance(&mut held.claim, Step::to(ClaimStatus::Closed, Actor::Owner), now);
                self.course.fates[row].merged_at = Some(now);
            }
        }
    }

    fn advance(&mut self, claim: &mut Claim, step: Step, now: Timestamp) {
        claim.advance(step, LEASE, now).expect("simulated agents keep to the contract");
        self.boards().for_each(|board| board.set_claim(claim.clone()));
    }

    /// The work on `row` came to nothing.
    fn free(&mut self, row: usize, agent: usize) {
        self.to_come.retain(|Reverse((_, next))| !matches!(next, Next::Submitted(of) | Next::Merged(of) if *of == row));
        if !self.idle.contains(&agent) && !self.held.values().any(|held| held.agent == agent && at_work(held)) {
            self.idle.push_back(agent);
        }
    }

    /// Every agent without work asks, the one that waits longest first.
    fn ask_all(&mut self, now: Timestamp) -> Result<(), PolicyError> {
        let mut soonest: Option<Timestamp> = None;
        for _ in 0..self.idle.len() {
            let Some(agent) = self.idle.pop_front() else { break };
            let request = self.request_of(agent);
            let rehearsed = self.board.pick(&request, now)?;
            self.note_skips(&rehearsed);
            let Some(first) = rehearsed.ordered.first().cloned() else {
                self.course.empty_asks.push(now);
                self.idle.push_back(agent);
                let retry = rehearsed.retry_after_ms.map(|ms| later(now, ms.max(RETRY_MS_MIN)));
                soonest = soonest.into_iter().chain(retry).min();
                continue;
            };
            let overtook = self.overtaken_by(&request.agent, &first, &rehearsed);
            let otherwise = self.otherwise(&request, &first, now)?;
            self.grant(agent, &first, (overtook, otherwise), now);
        }
        self.ask_again(soonest, now);
        Ok(())
    }

    /// Agents that got nothing ask again when a score runs out, or when the policy said.
    fn ask_again(&mut self, retry: Option<Timestamp>, now: Timestamp) {
        let tally = self.board.tally();
        if self.idle.is_empty() || tally.skipped == 0 && retry.is_none() {
            return;
        }
        let expiry = self.board.next_expiry().filter(|at| *at > now && tally.skipped > 0);
        let Some(at) = expiry.into_iter().chain(retry).min() else { return };
        if self.next_ask.is_none_or(|known| at < known) {
            self.next_ask = Some(at);
            self.to_come.push(Reverse((at, Next::Ask)));
        }
    }

    fn request_of(&self, agent: usize) -> NextRequest {
        let SimulatedAgent { name, skills } = self.setting.agents[agent].clone();
        NextRequest { agent: name, repo: None, label: None, milestone: None, request_id: None, skills }
    }

    fn note_skips(&mut self, rehearsed: &Rehearsed) {
        let at_door = rehearsed.passed_over.iter().map(|(issue, why)| (issue.clone(), why.clone()));
        let ahead = self.board.take_skipped().into_iter().map(|(issue, why)| (issue, why.to_string()));
        for (issue, why) in at_door.chain(ahead) {
            if let Some(&row) = self.rows.get(&issue) {
                self.course.skipped.entry(why).or_default().insert(row);
            }
        }
    }

    /// The oldest issue that this agent might have got and that stays behind, where it is older than `first`.
    fn overtaken_by(&self, agent: &AgentId, first: &Shortlisted, rehearsed: &Rehearsed) -> Option<Overtook> {
        let might_have = |row: usize| {
            let issue = &self.setting.timeline.issues[row];
            self.board.is_on_offer(agent, issue) && !rehearsed.passed_over.iter().any(|(passed, _)| passed == issue)
        };
        let created_at = first.facts.created_at;
        let (oldest, row) = *self.waiting.range(..(created_at, 0)).find(|(_, row)| might_have(*row))?;
        Some(Overtook { row, younger_ms: (created_at - oldest).num_milliseconds() })
    }

    fn no_longer_waits(&mut self, row: usize) {
        if let Some(issue) = &self.course.fates[row].issue {
            self.waiting.remove(&(issue.created_at, row));
        }
    }

    /// What the shadow would have picked, where that is something else.
    fn otherwise(
        &mut self,
        request: &NextRequest,
        first: &Shortlisted,
        now: Timestamp,
    ) -> Result<Option<Otherwise>, PolicyError> {
        let Some(shadow) = &mut self.shadow else { return Ok(None) };
        let other = shadow.pick(request, now)?.ordered.first().cloned();
        if other.as_ref().is_some_and(|other| other.facts.issue == first.facts.issue) {
            return Ok(None);
        }
        let why_this = why(self.board.ranker_of(&request.agent), Some(first), now)?;
        let why_other = why(shadow.ranker_of(&request.agent), other.as_ref(), now)?;
        let row = other.and_then(|other| self.rows.get(&other.facts.issue).copied());
        Ok(Some(Otherwise { row, why: why_this, why_other }))
    }

    fn grant(
        &mut self,
        agent: usize,
        picked: &Shortlisted,
        (overtook, otherwise): (Option<Overtook>, Option<Otherwise>),
        now: Timestamp,
    ) {
        let issue_ref = &picked.facts.issue;
        let row = self.rows[issue_ref];
        let areas = picked.facts.areas.clone();
        let others: Vec<(usize, &Held)> =
            self.held.iter().filter(|(_, held)| held.agent != agent).map(|(row, held)| (*row, held)).collect();
        let files = &self.setting.timeline.true_files;
        let knowing: Vec<_> = others.iter().filter(|(other, _)| !files[*other].is_empty()).collect();
        let pick = Pick {
            at: now,
            since: self.course.fates[row].opened_at.unwrap_or(now),
            agent,
            row,
            score: picked.score,
            beside: others.len(),
            overlaps: others.iter().any(|(_, held)| meet(&areas, &held.areas)),
            truly_overlaps: (!files[row].is_empty() && !knowing.is_empty())
                .then(|| knowing.iter().any(|(other, _)| meet(&files[row], &files[*other]))),
            overtook,
            otherwise,
        };
        self.course.picks.push(pick);
        self.no_longer_waits(row);
        let fate = &mut self.course.fates[row];
        fate.picked_at.get_or_insert(now);
        let issue = fate.issue.as_ref().expect("what is picked was opened");
        let lease = Lease { epoch: LEASE_EPOCH_FIRST, expires_at: now + LEASE };
        let mut claim = Claim::grant(issue, &self.setting.agents[agent].name, lease, None, now);
        // Ids decide among claims of the same moment: they must be the same each time.
        claim.claim_id = claim_id(self.course.picks.len());
        self.boards().for_each(|board| board.set_claim(claim.clone()));
        let work_ms = self.setting.pace.work_on(issue_ref);
        self.to_come.push(Reverse((later(now, work_ms), Next::Submitted(row))));
        self.held.insert(row, Held { claim, agent, areas });
    }

    fn end(self) -> Course {
        self.course
    }
}

fn claim_id(count: usize) -> ClaimId {
    format!("00000000-0000-7000-8000-{count:012x}").parse().expect("the id is well-formed")
}

fn at_work(held: &Held) -> bool {
    held.claim.status() != ClaimStatus::PrSubmitted
}

fn later(now: Timestamp, ms: u64) -> Timestamp {
    i64::try_from(ms).ok().and_then(TimeDelta::try_milliseconds).map_or(Timestamp::MAX_UTC, |time| now + time)
}

/// Whether any of the two areas is the other, or a folder around it.
fn meet(a: &[Arc<str>], b: &[Arc<str>]) -> bool {
    let within = |inner: &str, outer: &str| inner == outer || outer.ends_with('/') && inner.starts_with(outer);
    a.iter().any(|a| b.iter().any(|b| within(a, b) || within(b, a)))
}
