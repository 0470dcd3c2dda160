//! One accepted configuration of policies, and how a configuration becomes one.

use std::path::Path;
use std::sync::Arc;

use globset::{Glob, GlobSet, GlobSetBuilder};

use super::chain::{Chain, Role, Stage};
use super::error::PolicyRejected;
use super::host::PolicyHost;
use super::ranking::{Ranking, Route};
use super::repo_filters::RepoFilters;
use super::stale_rules::{StaleRoute, StaleRules};
use super::views::{Candidate, View, ViewName};
use crate::config::{OverrideConfig, PoliciesConfig, RankerConfig};
use crate::domain::{AgentId, PolicyStamp};

/// One accepted configuration of policies: immutable, shared, and callable from any thread.
#[derive(Debug)]
pub struct PolicySet {
    /// Orders the default view.
    pub ranker: Ranking,
    /// Says when a claim has lapsed.
    pub stale_rule: StaleRules,
    /// Says which repositories take part.
    pub repo_filter: RepoFilters,
    /// The views of groups of agents.
    pub views: Vec<View>,
    /// The ranker on trial.
    pub candidate: Option<Candidate>,
}

impl PolicySet {
    pub(super) fn new(rankings: Rankings, stale_rule: StaleRules, repo_filter: RepoFilters) -> Self {
        let Rankings { main, views, candidate } = rankings;
        Self { ranker: main, stale_rule, repo_filter, views, candidate }
    }

    /// Which policies these are, with which settings, as people are told: the ranker and the stale rule where no
    /// override names others, and the repository filter.
    pub fn stamps(&self) -> [&PolicyStamp; 3] {
        [self.ranker.main_stamp(), self.stale_rule.rule_for(None, None).stamp(), self.repo_filter.stamp()]
    }

    /// Whether the other set consists of the same components with the same settings.
    pub fn is_same_as(&self, other: &Self) -> bool {
        let rankings = |set: &Self| set.rankings().map(|(name, it)| (name, it.stamp().clone())).collect::<Vec<_>>();
        self.stale_rule.stamp() == other.stale_rule.stamp()
            && self.repo_filter.is_same_as(&other.repo_filter)
            && rankings(self) == rankings(other)
    }

    /// Every view with what puts it in order, the default one first.
    pub fn rankings(&self) -> impl Iterator<Item = (ViewName, &Ranking)> {
        let views = self.views.iter().map(|view| (view.name.clone(), &view.ranking));
        let candidate = self.candidate.iter().map(|candidate| (ViewName::candidate(), &candidate.ranking));
        [(ViewName::main(), &self.ranker)].into_iter().chain(views).chain(candidate)
    }

    /// What puts a view in order; the default one's where there is no such view any more.
    pub fn ranking_of(&self, view: &ViewName) -> &Ranking {
        let found = self.rankings().find(|(name, _)| name == view);
        found.map_or(&self.ranker, |(_, ranking)| ranking)
    }

    /// The view that serves an agent.
    pub fn view_of(&self, agent: &AgentId) -> ViewName {
        self.view_in(agent, &[])
    }

    /// The view that would serve an agent if it belonged to these groups too, besides those of its name.
    pub fn view_in(&self, agent: &AgentId, groups: &[String]) -> ViewName {
        let serves = |view: &&View| {
            view.agents.is_match(agent.as_str()) || view.groups.iter().any(|group| groups.contains(group))
        };
        if let Some(view) = self.views.iter().find(serves) {
            return view.name.clone();
        }
        match &self.candidate {
            Some(candidate) if candidate.serves(agent) => ViewName::candidate(),
            _ => ViewName::main(),
        }
    }
}

/// What orders each view.
pub(super) struct Rankings {
    main: Ranking,
    views: Vec<View>,
    candidate: Option<Candidate>,
}

/// One configuration while it is loaded.
#[derive(Clone, Copy)]
pub(super) struct Loading<'a> {
    pub(super) host: &'a PolicyHost,
    pub(super) config: &'a PoliciesConfig,
    pub(super) base_dir: &'a Path,
}

impl Loading<'_> {
    /// Loads the chains, each once, and puts the views together from them.
    pub(super) fn rankings(self) -> Result<Rankings, PolicyRejected> {
        let main = self.chain("ranker", &self.config.ranker)?;
        let mut overrides = Vec::new();
        for it in &self.config.overrides {
            if let Some(ranker) = &it.ranker {
                overrides.push((it, self.chain("override.ranker", ranker)?));
            }
        }
        let routes = |groups: &[String]| -> Result<Vec<Route>, PolicyRejected> {
            let fitting = overrides.iter().filter(|(it, _)| it.groups.is_empty() || it.groups == groups);
            fitting.map(|(it, chain)| self.route(it, chain)).collect()
        };
        let mut views: Vec<View> = Vec::new();
        for (it, _) in overrides.iter().filter(|(it, _)| !it.groups.is_empty()) {
            let name = ViewName::of_groups(&it.groups);
            if views.iter().all(|view| view.name != name) {
                let ranking = Ranking::new(Arc::clone(&main), routes(&it.groups)?);
                views.push(View { name, ranking, agents: self.agents_of(&it.groups)?, groups: it.groups.clone() });
            }
        }
        let candidate = match &self.config.candidate {
            None => None,
            Some(it) => {
                let chain = self.chain("candidate.ranker", &it.ranker)?;
                let ranking = Ranking::new(chain, routes(&[])?);
                Some(Candidate { mode: it.mode, share: it.share, ranking })
            }
        };
        Ok(Rankings { main: Ranking::new(main, routes(&[])?), views, candidate })
    }

    pub(super) fn stale_rules(self) -> Result<StaleRules, PolicyRejected> {
        let rule = self.host.load_stale_rule("stale_rule", &self.config.stale_rule, self.config, self.base_dir)?;
        let mut routes = Vec::new();
        for it in &self.config.overrides {
            let Some(policy) = &it.stale_rule else { continue };
            let rule = self.host.load_stale_rule("override.stale_rule", policy, self.config, self.base_dir)?;
            let repos = (!it.repos.is_empty()).then(|| self.patterns(&it.repos)).transpose()?;
            let agents = (!it.groups.is_empty()).then(|| self.agents_of(&it.groups)).transpose()?;
            routes.push(StaleRoute { repos, agents, rule });
        }
        Ok(StaleRules::new(rule, routes))
    }

    fn chain(self, key: &'static str, config: &RankerConfig) -> Result<Arc<Chain>, PolicyRejected> {
        let load = |policy| self.host.load_ranker(key, policy, self.config, self.base_dir);
        let is_free = |name: &str| config.stage.iter().all(|stage| stage.name != name);
        let stem = config.base.stem();
        let name = if is_free(stem) { stem } else { "base" };
        let mut stages = vec![Stage::new(name, Role::Base, 1.0, load(&config.base)?)];
        for stage in &config.stage {
            let rejected = |rejected| PolicyRejected { stage: Some(stage.name.clone()), ..rejected };
            let ranker = load(&stage.policy).map_err(rejected)?;
            stages.push(Stage::new(&stage.name, Role::Stage(stage.role), stage.weight, ranker));
        }
        Ok(Arc::new(Chain::new(stages, self.config.choose_ms_max)))
    }

    fn route(self, it: &OverrideConfig, chain: &Arc<Chain>) -> Result<Route, PolicyRejected> {
        let everywhere = ["*".to_owned()];
        let patterns = if it.repos.is_empty() { &everywhere[..] } else { &it.repos };
        let groups = it.groups.clone();
        Ok(Route { groups, patterns: patterns.to_vec(), repos: self.patterns(patterns)?, chain: Arc::clone(chain) })
    }

    /// Everybody in one of these groups, as one set of patterns.
    fn agents_of(self, groups: &[String]) -> Result<GlobSet, PolicyRejected> {
        let patterns = groups.iter().filter_map(|group| self.config.agent_groups.0.get(group)).flatten();
        self.patterns(patterns)
    }

    fn patterns<'p>(self, patterns: impl IntoIterator<Item = &'p String>) -> Result<GlobSet, PolicyRejected> {
        let mut set = GlobSetBuilder::new();
        let rejected = |pattern: &str, error: &globset::Error| PolicyRejected {
            policy: "override",
            source: pattern.to_owned(),
            stage: None,
            file: None,
            reason: format!("it is no pattern: {}", error.kind()),
        };
        for pattern in patterns {
            set.add(Glob::new(pattern).map_err(|error| rejected(pattern, &error))?);
        }
        set.build().map_err(|error| rejected("", &error))
    }
}
