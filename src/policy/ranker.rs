//! Rankers: scores ahead of any request, the last word at the door, and the reasons on demand.

mod answers;

use std::sync::Arc;

use wasmtime::Store;
use wasmtime::component::{HasSelf, InstancePre, Linker};

use super::bindings::ranker::{RankerPolicy, RankerPolicyIndices};
use super::bindings::work_order::exports::issuecommand::policy::work_order;
use super::bindings::work_order::issuecommand::policy::follow_ups;
use super::error::PolicyError;
use super::facts::{BodySource, Facts, IssueView};
use super::instance::{Answer, Function, Kind, Policy};
use super::rows::{IssueBlock, IssueRows};
use super::sample;
use super::state::CallState;
use super::work_order::find as find_work_order;
use crate::domain::{AgentId, ClaimStatus, IssueFacts, IssueRef, PolicyStamp, Reason, RepoName, Timestamp, unix_ms};

/// A `score` call about more rows than this that runs into a bound is made again in halves: a policy that is
/// slow, or reads long texts, is no faulty one.
const SCORE_ROW_COUNT_HALVED: usize = 64;

/// Two numbers a row, and a reason of a sentence.
const SCORE: Function = Function { name: "score", output_bytes_per_row: 256, waited_for: false };
const CHOOSE: Function = Function { name: "choose", output_bytes_per_row: 512, waited_for: true };
/// A reason is 40 bytes and two short texts; rules that speak are few.
const EXPLAIN: Function = Function { name: "explain", output_bytes_per_row: 16 << 10, waited_for: true };

/// What a ranker says of one issue.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// Higher comes first; finite.
    pub value: f64,
    /// Until when this holds, exclusive, in milliseconds since the Unix epoch; [`Scored::NEVER`] until a fact changes.
    pub valid_until_ms: u64,
    /// Why the issue must not be given out, if it must not.
    pub skip: Option<Arc<str>>,
    /// For which time the ranker in force gave it, by the issue's present facts; `None` where it did not: another
    /// stood in for it, or the issue or the ranker changed since.
    pub scored_at: Option<Timestamp>,
}

impl Scored {
    /// Later than any score runs out.
    pub const NEVER: u64 = u64::MAX;

    /// A score that stands in for another, until a fact changes.
    pub fn stand_in(value: f64) -> Self {
        Self { value, valid_until_ms: Self::NEVER, skip: None, scored_at: None }
    }

    /// When it runs out, if it does by itself.
    pub fn runs_out_ms(&self) -> Option<u64> {
        (self.valid_until_ms != Self::NEVER).then_some(self.valid_until_ms)
    }
}

/// One issue of a short list.
#[derive(Debug, Clone)]
pub struct Shortlisted {
    /// The issue.
    pub facts: Arc<IssueFacts>,
    /// Its score in force.
    pub score: f64,
    /// How many active claims there are in its repository.
    pub repo_claim_count: u32,
    /// How many pull requests of claims wait for a review in its repository.
    pub repo_review_count: u32,
    /// How many pull requests of claims wait for the least busy of its reviewers; 0 where none is known.
    pub reviewer_load: u32,
}

impl Shortlisted {
    /// An issue by itself, as if nothing were under way.
    pub(crate) fn alone(facts: Arc<IssueFacts>, score: f64) -> Self {
        Self { facts, score, repo_claim_count: 0, repo_review_count: 0, reviewer_load: 0 }
    }
}

/// Who asks.
#[derive(Debug, Clone)]
pub struct ChooseRequest {
    /// The asking agent.
    pub agent: AgentId,
    /// Repositories of the agent's active claims, one entry a claim.
    pub claim_repos: Vec<RepoName>,
    /// What the agent says it can do, in lower case.
    pub skills: Vec<String>,
    /// The groups that it belongs to.
    pub groups: Vec<String>,
    /// How many pull requests of the agent wait for a review.
    pub review_count: u32,
    /// How much of today's budget of dispatch is spent, in percent; 0 where there is none.
    pub budget_spent: u32,
    /// What is being worked on in the repositories of the short list.
    pub live_claims: Vec<LiveWork>,
}

impl ChooseRequest {
    /// A request of an agent of which nothing else is known.
    pub fn of(agent: AgentId) -> Self {
        Self {
            agent,
            claim_repos: Vec::new(),
            skills: Vec::new(),
            groups: Vec::new(),
            review_count: 0,
            budget_spent: 0,
            live_claims: Vec::new(),
        }
    }
}

/// A live claim beside the candidates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveWork {
    /// Who holds it.
    pub agent: AgentId,
    /// On what.
    pub issue: IssueRef,
    /// How far it is.
    pub status: ClaimStatus,
    /// Files and folders that it is likely to touch.
    pub areas: Box<[Arc<str>]>,
    /// When it was granted.
    pub claimed_at: Timestamp,
}

/// In which order a short list is to be offered. Rows are indices into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Every row that is not skipped, once.
    pub order: Vec<usize>,
    /// The rows that this agent must not get now, and why.
    pub skipped: Vec<(usize, String)>,
    /// When asking again makes sense where nothing is left, in milliseconds, if the policy says so.
    pub retry_after_ms: Option<u64>,
}

impl Choice {
    /// The order of `count` rows as it is.
    pub fn keep(count: usize) -> Self {
        Self { order: (0..count).collect(), skipped: Vec::new(), retry_after_ms: None }
    }
}

/// One component that orders work: alone, or a stage of a [`Ranking`](super::Ranking).
#[derive(Debug)]
pub struct Ranker {
    policy: Policy<RankerKind>,
    bodies: Option<Arc<dyn BodySource>>,
}

impl Ranker {
    /// Which component, with which settings.
    pub fn stamp(&self) -> &PolicyStamp {
        &self.policy.stamp
    }

    /// What it is told, as canonical JSON.
    pub(super) fn settings(&self) -> &str {
        self.policy.settings()
    }

    /// Whether it has a say in when review feedback comes.
    pub fn orders_work(&self) -> bool {
        self.policy.pre().work_order.is_some()
    }

    pub(super) fn policy(&self) -> &Policy<RankerKind> {
        &self.policy
    }

    /// Scores issues from their own facts, in their order.
    ///
    /// # Errors
    /// [`PolicyError`] when the policy fails, or its scores cannot be compared.
    pub fn score(&self, rows: &IssueRows, now: Timestamp) -> Result<Vec<Scored>, PolicyError> {
        let mut scored = Vec::with_capacity(rows.len());
        for block in rows.blocks() {
            self.score_block(block, now, &mut scored)?;
        }
        Ok(scored)
    }

    /// The score of one issue, within `ms` milliseconds at most.
    pub(super) fn score_within(&self, ms: u64, row: &Arc<IssueFacts>, now: Timestamp) -> Result<Scored, PolicyError> {
        let mut scored = Vec::new();
        self.score_at_once(ms, [Arc::clone(row)].into_iter().collect(), now, &mut scored)?;
        Ok(scored.pop().expect("one row has one score"))
    }

    /// Orders a short list for one request.
    ///
    /// # Errors
    /// [`PolicyError`] when the policy fails, or names rows that are not there.
    pub fn choose(&self, request: &ChooseRequest, rows: &[Shortlisted], now: Timestamp) -> Result<Choice, PolicyError> {
        self.choose_within(u64::MAX, request, rows, now)
    }

    /// As [`Ranker::choose`], within `ms` milliseconds at most.
    pub(super) fn choose_within(
        &self,
        ms: u64,
        request: &ChooseRequest,
        rows: &[Shortlisted],
        now: Timestamp,
    ) -> Result<Choice, PolicyError> {
        let view = IssueView {
            repo_claim_counts: rows.iter().map(|row| row.repo_claim_count).collect(),
            repo_review_counts: rows.iter().map(|row| row.repo_review_count).collect(),
            reviewer_loads: rows.iter().map(|row| row.reviewer_load).collect(),
            request: Some(request.clone()),
            ..short_view(rows)
        };
        let (choice, retry_after_ms) = self.policy.call_within(ms, CHOOSE, Facts::Issues(view), |guest, store| {
            let choice = guest.ranker.issuecommand_policy_ranker().call_choose(&mut *store, unix_ms(now))?;
            Ok(choice.map(|choice| (choice, store.data().retry_after_ms())))
        })?;
        answers::choice(&choice, retry_after_ms, rows.len())
            .map_err(|why| PolicyError::BadOutput { call: CHOOSE.name, why })
    }

    /// The terms of each row's score, in their order; they add up to it.
    ///
    /// # Errors
    /// [`PolicyError`] when the policy fails, or does not explain every row.
    pub fn explain(&self, rows: &[Shortlisted], now: Timestamp) -> Result<Vec<Vec<Reason>>, PolicyError> {
        self.explain_within(u64::MAX, rows, now)
    }

    /// As [`Ranker::explain`], within `ms` milliseconds at most.
    pub(super) fn explain_within(
        &self,
        ms: u64,
        rows: &[Shortlisted],
        now: Timestamp,
    ) -> Result<Vec<Vec<Reason>>, PolicyError> {
        let view = IssueView { bodies: self.bodies.clone(), ..short_view(rows) };
        let reasons = self.policy.call_within(ms, EXPLAIN, Facts::Issues(view), |guest, store| {
            guest.ranker.issuecommand_policy_ranker().call_explain(store, unix_ms(now))
        })?;
        answers::reasons(reasons, rows.len()).map_err(|why| PolicyError::BadOutput { call: EXPLAIN.name, why })
    }

    /// Reads the texts of issues from `bodies` from now on, for a policy that asks for them.
    pub(super) fn read_bodies_from(&mut self, bodies: Option<Arc<dyn BodySource>>) {
        self.bodies = bodies;
    }

    /// Takes a policy into service if it passes a trial on nothing and on a small sample.
    pub(super) fn accept(policy: Policy<RankerKind>) -> Result<Self, PolicyError> {
        let ranker = Self { policy, bodies: None };
        let (now, request, shortlist) = (sample::now(), sample::request(), sample::shortlist());
        for issues in [Vec::new(), sample::issues()] {
            ranker.score_block(&issues.into_iter().collect(), now, &mut Vec::new())?;
        }
        for rows in [&[], &shortlist[..]] {
            sample::patiently(|| ranker.choose(&request, rows, now).map(drop))?;
            sample::patiently(|| ranker.explain(rows, now).map(drop))?;
        }
        for rows in [Vec::new(), sample::follow_ups()] {
            sample::patiently(|| ranker.choose_work(&request, &rows, now).map(drop))?;
        }
        Ok(ranker)
    }

    fn score_block(&self, rows: &IssueBlock, now: Timestamp, scored: &mut Vec<Scored>) -> Result<(), PolicyError> {
        match self.score_at_once(u64::MAX, rows.clone(), now, scored) {
            Err(PolicyError::DeadlineExceeded { .. } | PolicyError::BudgetExceeded { .. })
                if rows.len() > SCORE_ROW_COUNT_HALVED =>
            {
                let half = rows.len() / 2;
                self.score_block(&rows.part(0..half), now, scored)?;
                self.score_block(&rows.part(half..rows.len()), now, scored)
            }
            answer => answer,
        }
    }

    fn score_at_once(
        &self,
        ms: u64,
        rows: IssueBlock,
        now: Timestamp,
        scored: &mut Vec<Scored>,
    ) -> Result<(), PolicyError> {
        let count = rows.len();
        let view = IssueView { rows: rows.into(), bodies: self.bodies.clone(), ..IssueView::default() };
        let scores = self.policy.call_within(ms, SCORE, Facts::Issues(view), |guest, store| {
            guest.ranker.issuecommand_policy_ranker().call_score(store, unix_ms(now))
        })?;
        let checked = answers::add_scores(&scores, count, now, scored);
        checked.map_err(|why| PolicyError::BadOutput { call: SCORE.name, why })
    }
}

fn short_view(rows: &[Shortlisted]) -> IssueView {
    IssueView {
        rows: rows.iter().map(|row| Arc::clone(&row.facts)).collect::<IssueBlock>().into(),
        scores: rows.iter().map(|row| row.score).collect(),
        ..IssueView::default()
    }
}

/// A running ranker, with what it may export besides.
pub(super) struct RankerGuest {
    ranker: RankerPolicy,
    pub(super) work_order: Option<work_order::Guest>,
}

/// Where its exports are.
pub(super) struct RankerPre {
    instance: InstancePre<CallState>,
    ranker: RankerPolicyIndices,
    work_order: Option<work_order::GuestIndices>,
}

pub(super) struct RankerKind;

impl Kind for RankerKind {
    const NOUN: &'static str = "a ranker";
    const INTERFACE: &'static str = "ranker";
    type Pre = RankerPre;
    type Guest = RankerGuest;

    fn link(linker: &mut Linker<CallState>) -> wasmtime::Result<()> {
        RankerPolicy::add_to_linker::<_, HasSelf<_>>(linker, |state| state)?;
        follow_ups::add_to_linker::<_, HasSelf<_>>(linker, |state| state)
    }

    fn prepare(pre: InstancePre<CallState>) -> wasmtime::Result<Self::Pre> {
        let (ranker, work_order) = (RankerPolicyIndices::new(&pre)?, find_work_order(&pre)?);
        Ok(RankerPre { instance: pre, ranker, work_order })
    }

    fn instantiate(pre: &Self::Pre, store: &mut Store<CallState>) -> wasmtime::Result<Self::Guest> {
        let instance = pre.instance.instantiate(&mut *store)?;
        let work_order = pre.work_order.as_ref().map(|it| it.load(&mut *store, &instance)).transpose()?;
        Ok(RankerGuest { ranker: pre.ranker.load(store, &instance)?, work_order })
    }

    fn settings_schema(guest: &Self::Guest, store: &mut Store<CallState>) -> wasmtime::Result<String> {
        guest.ranker.issuecommand_policy_ranker().call_settings_schema(store)
    }

    fn configure(guest: &Self::Guest, store: &mut Store<CallState>, settings: &str) -> Answer<()> {
        guest.ranker.issuecommand_policy_ranker().call_configure(store, settings)
    }
}
