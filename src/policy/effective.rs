//! The one policy that decides for a repository and an agent, put into words.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::examine::unchecked_among;
use super::ranking::Part;
use super::set::PolicySet;
use crate::config::{CandidateMode, PoliciesConfig};
use crate::domain::{AgentId, PolicyStamp, RepoName};

/// What decides, for one repository, one agent, both, or where neither has anything of its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Effective {
    /// Which order of the backlog serves the agent: `default`, `candidate`, or `groups` and their names.
    pub view: String,
    /// The override that names the ranker, if one does.
    #[serde(rename = "override", skip_serializing_if = "Option::is_none")]
    pub overridden: Option<Overridden>,
    /// The ranker: the component's own stamp, or a digest over those of its stages.
    pub ranker: PolicyStamp,
    /// Its stages, the base first.
    pub stages: Vec<Part>,
    /// What says when a claim has lapsed.
    pub stale_rule: Told,
    /// What says which repositories take part.
    pub repo_filter: Told,
    /// What `ALLOWED_REPOS` allows, where another filter than the built-in list is in force: a repository that takes
    /// part passes both. The built-in list has it as its setting `allow`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_repos: Vec<String>,
    /// Those of these policies whose settings nothing looks at but they themselves, each with why.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub settings_unchecked: Vec<String>,
    /// The ranker on trial, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub candidate: Option<OnTrial>,
}

/// A component, and what it is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Told {
    /// Which component, with which settings.
    #[serde(flatten)]
    pub stamp: PolicyStamp,
    /// The settings themselves.
    pub settings: Value,
}

impl Told {
    /// `settings` are JSON.
    pub(super) fn new(stamp: &PolicyStamp, settings: &str) -> Self {
        Self { stamp: stamp.clone(), settings: serde_json::from_str(settings).unwrap_or_default() }
    }
}

/// What an override names.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Overridden {
    /// Patterns of repositories; left out for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repos: Vec<String>,
    /// Groups of agents; left out for all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
}

/// A ranker on trial.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OnTrial {
    /// How it is tried.
    pub mode: CandidateMode,
    /// The share of agents that a canary serves.
    pub share: f64,
    /// Which components, with which settings.
    pub ranker: PolicyStamp,
}

impl PolicySet {
    /// What decides for `repo` and `agent`. `config` is what the set was loaded from.
    pub fn effective(&self, config: &PoliciesConfig, repo: Option<&RepoName>, agent: Option<&AgentId>) -> Effective {
        let view = agent.map(|agent| self.view_of(agent));
        let ranking = view.as_ref().map_or(&self.ranker, |view| self.ranking_of(view));
        let overridden = ranking.route_for(repo).map(|route| Overridden {
            repos: if route.patterns == ["*"] { Vec::new() } else { route.patterns.clone() },
            groups: route.groups.clone(),
        });
        let candidate = self.candidate.as_ref().zip(config.candidate.as_ref()).map(|(it, config)| OnTrial {
            mode: config.mode,
            share: config.share,
            ranker: it.ranking.main_stamp().clone(),
        });
        let stale_rule = self.stale_rule.rule_for(repo, agent);
        let on_trial = self.candidate.iter().flat_map(|it| it.ranking.chains());
        let chains = [ranking.chain_for(repo)].into_iter().chain(on_trial);
        let settings_unchecked = unchecked_among(chains, [stale_rule].into_iter(), &self.repo_filter);
        Effective {
            view: view.map_or_else(|| "default".to_owned(), |view| view.to_string()),
            overridden,
            ranker: ranking.stamp_for(repo).clone(),
            stages: ranking.parts_for(repo),
            stale_rule: stale_rule.with_settings(),
            repo_filter: self.repo_filter.with_settings(),
            allowed_repos: config.allowed_repos.clone(),
            settings_unchecked,
            candidate,
        }
    }
}
