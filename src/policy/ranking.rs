//! How one view of the backlog is ranked: by a chain, and by other chains where repositories have theirs.

use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::Arc;

use globset::GlobSet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::breaker::Asker;
use super::chain::{Chain, Closed, StageFault, StandIn, Troubles};
use super::error::PolicyError;
use super::ranker::{Choice, ChooseRequest, Scored, Shortlisted};
use super::rows::IssueRows;
use super::source::sha256_hex;
use super::work_order::WorkChoice;
use crate::domain::{FollowUp, IssueFacts, PolicyStamp, RankerSeen, Reason, RepoName, Timestamp};

/// Why there is no answer from what rests.
pub(super) const RESTS: &str = "it failed over and over, and is left alone for a minute";

/// What ranks one view: a chain for each repository. Scores of different chains compare as they are.
#[derive(Debug)]
pub struct Ranking {
    routes: Vec<Route>,
    chain: Arc<Chain>,
    stamp: PolicyStamp,
}

/// A chain for some repositories.
#[derive(Debug, Clone)]
pub(super) struct Route {
    /// The groups of agents that its override names.
    pub(super) groups: Vec<String>,
    pub(super) patterns: Vec<String>,
    pub(super) repos: GlobSet,
    pub(super) chain: Arc<Chain>,
}

/// One component of a ranker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Part {
    /// What reasons call it.
    pub name: String,
    /// `base`, `filter`, `score` or `choose`.
    pub role: Cow<'static, str>,
    /// What its score is multiplied by.
    pub weight: f64,
    /// Which component, with which settings.
    #[serde(flatten)]
    pub stamp: PolicyStamp,
    /// What it is told.
    pub settings: Value,
    /// The repositories for which it ranks; all that no other part names, if left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repos: Vec<String>,
}

impl Ranking {
    pub(super) fn new(chain: Arc<Chain>, routes: Vec<Route>) -> Self {
        let stamp = match routes.as_slice() {
            [] => chain.stamp().clone(),
            routes => {
                let digest = |of: fn(&PolicyStamp) -> &str| {
                    let line = |route: &Route| format!("{:?} {}\n", route.patterns, of(route.chain.stamp()));
                    let lines: String = routes.iter().map(line).collect();
                    sha256_hex(format!("{lines}{}\n", of(chain.stamp())).as_bytes())
                };
                PolicyStamp {
                    source: chain.stamp().source.clone(),
                    digest: digest(|stamp| &stamp.digest),
                    settings_digest: digest(|stamp| &stamp.settings_digest),
                }
            }
        };
        Self { routes, chain, stamp }
    }

    /// Which components, with which settings, those for some repositories included: what tells one ranking from
    /// another. People are shown [`Self::main_stamp`] and [`Self::stamp_for`].
    pub fn stamp(&self) -> &PolicyStamp {
        &self.stamp
    }

    /// Every component, those for some repositories first, in the order in which they are looked through.
    pub fn parts(&self) -> Vec<Part> {
        let routed = self.routes.iter().map(|route| (route.patterns.as_slice(), &route.chain));
        routed.chain([(&[][..], &self.chain)]).flat_map(|(repos, chain)| parts_of(chain, repos)).collect()
    }

    /// The components that rank `repo`, base first.
    pub fn parts_for(&self, repo: Option<&RepoName>) -> Vec<Part> {
        match self.route_for(repo) {
            Some(route) => parts_of(&route.chain, &route.patterns),
            None => parts_of(&self.chain, &[]),
        }
    }

    /// The components that rank where no repository has its own, base first.
    pub fn main_parts(&self) -> Vec<Part> {
        parts_of(&self.chain, &[])
    }

    /// The stamp of what ranks where no repository has its own.
    pub fn main_stamp(&self) -> &PolicyStamp {
        self.chain.stamp()
    }

    /// The stamp of what ranks `repo`; of what ranks repositories without a ranker of their own, if none is named.
    pub fn stamp_for(&self, repo: Option<&RepoName>) -> &PolicyStamp {
        self.chain_for(repo).stamp()
    }

    /// Which chain ranks which of `repos`; nothing where one ranks all repositories.
    pub fn rankers_of<'r>(&self, repos: impl Iterator<Item = &'r RepoName>) -> Vec<RankerSeen> {
        if self.routes.is_empty() {
            return Vec::new();
        }
        let mut repos: Vec<&RepoName> = repos.collect();
        repos.sort_unstable();
        repos.dedup();
        let seen = |(chain, places): (&Chain, Vec<usize>)| RankerSeen {
            ranker: chain.stamp().clone(),
            repos: places.into_iter().map(|place| repos[place].clone()).collect(),
        };
        self.by_chain(repos.iter().copied()).into_iter().map(seen).collect()
    }

    /// The chain that ranks `repo`; the one for repositories without a ranker of their own, if none is named.
    pub(super) fn chain_for(&self, repo: Option<&RepoName>) -> &Chain {
        self.route_for(repo).map_or(&self.chain, |route| &route.chain)
    }

    pub(super) fn route_for(&self, repo: Option<&RepoName>) -> Option<&Route> {
        self.routes.iter().find(|route| match repo {
            Some(repo) => route.repos.is_match(repo.as_str()),
            None => route.patterns == ["*"],
        })
    }

    /// The most memory that one instance of any of its components held after a call so far, in bytes.
    pub fn memory_bytes_peak(&self) -> usize {
        let stages = self.chains().flat_map(Chain::stages);
        stages.map(|stage| stage.ranker.memory_bytes_peak()).max().unwrap_or(0)
    }

    /// Whether it has a say in when review feedback comes.
    pub fn orders_work(&self) -> bool {
        self.chain.base().orders_work()
    }

    /// Whether a stage keeps issues back whatever the others say.
    pub fn has_filter(&self) -> bool {
        self.chains().any(Chain::has_filter)
    }

    /// Whether a stage failed when it was last asked at the door, be it needed now or not.
    pub fn is_troubled(&self) -> bool {
        self.chains().any(Chain::is_troubled)
    }

    /// Why nothing passes at the door now, of `repo` or of any repository, if so: there is no use in showing it
    /// issues until then. Where chains differ the soonest of them counts, and one that is open is enough.
    pub fn closed(&self, repo: Option<&RepoName>, now: Timestamp) -> Option<Closed> {
        if let Some(repo) = repo {
            return self.chain_for(Some(repo)).closed(now);
        }
        // What comes behind a route for everything is never asked.
        let reached =
            self.routes.iter().position(|route| route.patterns == ["*"]).map_or(usize::MAX, |place| place + 1);
        let closed: Option<Vec<Closed>> = self.chains().take(reached).map(|chain| chain.closed(now)).collect();
        closed?.into_iter().min_by_key(|closed| closed.left_ms)
    }

    /// Scores issues from their own facts, in their order.
    ///
    /// # Errors
    /// [`PolicyError`] when a stage fails, or its scores cannot be compared.
    pub fn score(&self, rows: impl Into<IssueRows>, now: Timestamp) -> Result<Vec<Scored>, PolicyError> {
        self.scored(&rows.into(), now, None, &mut Vec::new())
    }

    /// The same at work, where there must be an answer: what failed is made up for and told. `stand_in`
    /// scores where a base fails; a failing score stage is left out; a failing filter keeps everything back.
    pub fn score_at_work(
        &self,
        rows: impl Into<IssueRows>,
        now: Timestamp,
        stand_in: &dyn Fn(&IssueRows) -> Vec<Scored>,
    ) -> (Vec<Scored>, Vec<StageFault>) {
        let mut faults = Vec::new();
        let rows = rows.into();
        let scores = self.scored(&rows, now, Some(stand_in), &mut faults);
        (scores.unwrap_or_else(|_| stand_in(&rows)), faults)
    }

    fn scored(
        &self,
        rows: &IssueRows,
        now: Timestamp,
        stand_in: Option<StandIn<'_>>,
        faults: &mut Vec<StageFault>,
    ) -> Result<Vec<Scored>, PolicyError> {
        if self.routes.is_empty() {
            return self.chain.score(rows, now, stand_in, faults);
        }
        let all: Vec<&Arc<IssueFacts>> = rows.iter().collect();
        let mut scores: Vec<Option<Scored>> = vec![None; all.len()];
        for (chain, places) in self.by_chain(all.iter().map(|row| &row.issue.repo)) {
            let own: IssueRows = places.iter().map(|place| Arc::clone(all[*place])).collect();
            let own = chain.score(&own, now, stand_in, faults)?;
            places.into_iter().zip(own).for_each(|(place, scored)| scores[place] = Some(scored));
        }
        Ok(scores.into_iter().map(|scored| scored.expect("every row belongs to one chain")).collect())
    }

    /// Orders a short list for one request.
    ///
    /// # Errors
    /// [`PolicyError`] when a stage fails, or names rows that are not there.
    pub fn choose(&self, request: &ChooseRequest, rows: &[Shortlisted], now: Timestamp) -> Result<Choice, PolicyError> {
        let (choice, troubles) = self.choose_at_work(request, rows, now);
        match troubles.faults.into_iter().next() {
            None => Ok(choice),
            Some(fault) => Err(fault.error),
        }
    }

    /// The same at work, where there must be an answer: what failed is made up for and told. Where chains
    /// share a short list each reorders its own rows, within the places that they have.
    pub fn choose_at_work(&self, request: &ChooseRequest, rows: &[Shortlisted], now: Timestamp) -> (Choice, Troubles) {
        self.choose_for(Asker::Agent, request, rows, now)
    }

    /// The same for a candidate's trial: its failures put nothing to rest that serves agents. `None` when a stage
    /// failed, or rests; what failed is told.
    pub fn choose_on_trial(
        &self,
        request: &ChooseRequest,
        rows: &[Shortlisted],
        now: Timestamp,
    ) -> (Option<Choice>, Vec<StageFault>) {
        let (choice, troubles) = self.choose_for(Asker::Trial, request, rows, now);
        (troubles.is_none().then_some(choice), troubles.faults)
    }

    fn choose_for(
        &self,
        asker: Asker,
        request: &ChooseRequest,
        rows: &[Shortlisted],
        now: Timestamp,
    ) -> (Choice, Troubles) {
        let mut troubles = Troubles::default();
        if self.routes.is_empty() {
            return (self.chain.choose(asker, request, rows, now, &mut troubles), troubles);
        }
        let mut whole = Choice { order: Vec::new(), ..Choice::keep(0) };
        let mut by_place: Vec<Option<usize>> = vec![None; rows.len()];
        for (chain, places) in self.by_chain(rows.iter().map(|row| &row.facts.issue.repo)) {
            let own: Vec<_> = places.iter().map(|place| rows[*place].clone()).collect();
            let choice = chain.choose(asker, request, &own, now, &mut troubles);
            for (place, row) in places.iter().zip(choice.order) {
                by_place[*place] = Some(places[row]);
            }
            whole.skipped.extend(choice.skipped.into_iter().map(|(row, why)| (places[row], why)));
            whole.retry_after_ms = whole.retry_after_ms.into_iter().chain(choice.retry_after_ms).min();
        }
        whole.order = by_place.into_iter().flatten().collect();
        (whole, troubles)
    }

    /// The terms of each row's score, in their order; they add up to it. In a chain of several stages each
    /// rule is named with its stage, and its amount is multiplied by the stage's weight.
    ///
    /// # Errors
    /// [`PolicyError`] when a stage fails, or does not explain every row.
    pub fn explain(&self, rows: &[Shortlisted], now: Timestamp) -> Result<Vec<Vec<Reason>>, PolicyError> {
        self.explain_at_work(rows, now)
            .unwrap_or_else(|| Err(PolicyError::Refused { call: "explain", message: RESTS.into() }))
    }

    /// The same at work; `None` while a stage is left alone that failed over and over.
    pub fn explain_at_work(
        &self,
        rows: &[Shortlisted],
        now: Timestamp,
    ) -> Option<Result<Vec<Vec<Reason>>, PolicyError>> {
        self.explain_for(Asker::Agent, rows, now)
    }

    /// The same for a candidate's trial: its failures put nothing to rest that serves agents.
    pub fn explain_on_trial(
        &self,
        rows: &[Shortlisted],
        now: Timestamp,
    ) -> Option<Result<Vec<Vec<Reason>>, PolicyError>> {
        self.explain_for(Asker::Trial, rows, now)
    }

    fn explain_for(
        &self,
        asker: Asker,
        rows: &[Shortlisted],
        now: Timestamp,
    ) -> Option<Result<Vec<Vec<Reason>>, PolicyError>> {
        if self.routes.is_empty() {
            return self.chain.explain(asker, rows, now);
        }
        let mut reasons: Vec<Vec<Reason>> = rows.iter().map(|_| Vec::new()).collect();
        for (chain, places) in self.by_chain(rows.iter().map(|row| &row.facts.issue.repo)) {
            let own: Vec<_> = places.iter().map(|place| rows[*place].clone()).collect();
            match chain.explain(asker, &own, now)? {
                Ok(own) => places.into_iter().zip(own).for_each(|(place, terms)| reasons[place] = terms),
                Err(fault) => return Some(Err(fault)),
            }
        }
        Some(Ok(reasons))
    }

    /// Says when the review feedback on offer comes. The base of the main chain has the word, for feedback
    /// of all repositories: it is one list, before or after all issues.
    ///
    /// # Errors
    /// [`PolicyError`] when it fails, or names rows that are not there.
    pub fn choose_work(
        &self,
        request: &ChooseRequest,
        rows: &[Arc<FollowUp>],
        now: Timestamp,
    ) -> Result<WorkChoice, PolicyError> {
        self.chain.base().choose_work(request, rows, now)
    }

    pub(super) fn chains(&self) -> impl Iterator<Item = &Chain> {
        self.routes.iter().map(|route| &*route.chain).chain([&*self.chain])
    }

    /// The chains that are needed, each with the places of its rows, in their order.
    fn by_chain<'r>(&self, repos: impl Iterator<Item = &'r RepoName>) -> Vec<(&Chain, Vec<usize>)> {
        let mut route_of: HashMap<&RepoName, usize> = HashMap::new();
        let mut places: Vec<Vec<usize>> = vec![Vec::new(); self.routes.len() + 1];
        for (place, repo) in repos.enumerate() {
            let route = *route_of.entry(repo).or_insert_with(|| {
                let found = self.routes.iter().position(|route| route.repos.is_match(repo.as_str()));
                found.unwrap_or(self.routes.len())
            });
            places[route].push(place);
        }
        self.chains().zip(places).filter(|(_, places)| !places.is_empty()).collect()
    }
}

fn parts_of(chain: &Chain, repos: &[String]) -> Vec<Part> {
    let part = |stage: &super::chain::Stage| Part {
        name: stage.name.to_string(),
        role: stage.role.as_str().into(),
        weight: stage.weight,
        stamp: stage.ranker.stamp().clone(),
        settings: serde_json::from_str(stage.ranker.settings()).unwrap_or_default(),
        repos: repos.to_vec(),
    };
    chain.stages().iter().map(part).collect()
}
