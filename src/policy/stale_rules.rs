//! The stale rule of each claim: its own where an override names it, else the one for all.

use globset::GlobSet;

use super::error::PolicyError;
use super::source::sha256_hex;
use super::stale_rule::{LiveClaim, StaleRule, Verdict};
use crate::domain::{AgentId, PolicyStamp, RepoName, Timestamp};

/// The stale rules in force.
#[derive(Debug)]
pub struct StaleRules {
    routes: Vec<StaleRoute>,
    rule: StaleRule,
    stamp: PolicyStamp,
}

/// A stale rule for some claims.
#[derive(Debug)]
pub(super) struct StaleRoute {
    /// In these repositories, as the override says; all if it names none.
    pub(super) repos: Option<GlobSet>,
    /// Of these agents; all if the override names no groups.
    pub(super) agents: Option<GlobSet>,
    pub(super) rule: StaleRule,
}

impl StaleRoute {
    fn fits(&self, repo: &RepoName, agent: &AgentId) -> bool {
        self.repos.as_ref().is_none_or(|repos| repos.is_match(repo.as_str()))
            && self.agents.as_ref().is_none_or(|agents| agents.is_match(agent.as_str()))
    }
}

impl StaleRules {
    pub(super) fn new(rule: StaleRule, routes: Vec<StaleRoute>) -> Self {
        let stamp = match routes.as_slice() {
            [] => rule.stamp().clone(),
            routes => {
                let digest = |of: fn(&PolicyStamp) -> &str| {
                    let all = routes.iter().map(|route| of(route.rule.stamp())).chain([of(rule.stamp())]);
                    sha256_hex(all.collect::<Vec<_>>().join("\n").as_bytes())
                };
                PolicyStamp {
                    source: rule.stamp().source.clone(),
                    digest: digest(|stamp| &stamp.digest),
                    settings_digest: digest(|stamp| &stamp.settings_digest),
                }
            }
        };
        Self { routes, rule, stamp }
    }

    /// Which component, with which settings; a digest over all of them where there are several. People are shown
    /// that of the rule for them, `rule_for`.
    pub fn stamp(&self) -> &PolicyStamp {
        &self.stamp
    }

    /// The rule for claims of `agent` in `repo`; where one of them is not said, overrides that name it are left out.
    pub(super) fn rule_for(&self, repo: Option<&RepoName>, agent: Option<&AgentId>) -> &StaleRule {
        let fits = |route: &&StaleRoute| match (repo, agent) {
            (Some(repo), Some(agent)) => route.fits(repo, agent),
            (Some(repo), None) => {
                route.agents.is_none() && route.repos.as_ref().is_none_or(|it| it.is_match(repo.as_str()))
            }
            (None, Some(agent)) => {
                route.repos.is_none() && route.agents.as_ref().is_none_or(|it| it.is_match(agent.as_str()))
            }
            (None, None) => false,
        };
        self.routes.iter().find(fits).map_or(&self.rule, |route| &route.rule)
    }

    /// Every rule, those of overrides first.
    pub(super) fn rules(&self) -> impl Iterator<Item = &StaleRule> {
        self.routes.iter().map(|route| &route.rule).chain([&self.rule])
    }

    /// One verdict for each claim, in their order; `Healthy` where the claim's rule fails, with the first such fault.
    pub fn assess(&self, rows: &[LiveClaim<'_>], now: Timestamp) -> (Vec<Verdict>, Option<PolicyError>) {
        let mut places: Vec<Vec<usize>> = vec![Vec::new(); self.routes.len() + 1];
        for (place, LiveClaim { claim, .. }) in rows.iter().enumerate() {
            let route = self.routes.iter().position(|route| route.fits(&claim.repo, &claim.agent_id));
            places[route.unwrap_or(self.routes.len())].push(place);
        }
        let mut verdicts = vec![Verdict::Healthy; rows.len()];
        let mut first_fault = None;
        for (rule, places) in self.rules().zip(places) {
            let own: Vec<LiveClaim<'_>> = places.iter().map(|place| rows[*place]).collect();
            match rule.assess(&own, now) {
                Ok(judged) => places.into_iter().zip(judged).for_each(|(place, verdict)| verdicts[place] = verdict),
                Err(fault) => first_fault = first_fault.or(Some(fault)),
            }
        }
        (verdicts, first_fault)
    }
}
