//! What is asked of a policy beyond its work: which settings it takes, whether those it gets fit that, and how much
//! memory it used.

use std::path::Path;

use super::chain::Chain;
use super::error::{PolicyError, PolicyRejected};
use super::facts::Facts;
use super::host::PolicyHost;
use super::instance::{CONFIGURE, Function, Kind, Policy};
use super::ranker::{Ranker, RankerKind};
use super::ranking::Ranking;
use super::repo_filter::RepoFilterKind;
use super::repo_filters::RepoFilters;
use super::schema::{self, Held};
use super::set::PolicySet;
use super::stale_rule::{StaleRule, StaleRuleKind};
use crate::config::{PoliciesConfig, PolicyConfig, in_shell};

const SETTINGS_SCHEMA: Function = Function { name: "settings-schema", output_bytes_per_row: 0, waited_for: false };

impl PolicyHost {
    /// The JSON Schemas of their settings, as the three policies give them: ranker, stale rule, repository
    /// filter. None of them is configured for that, so settings that do not fit do not matter.
    ///
    /// # Errors
    /// [`PolicyRejected`] when one cannot be loaded or gives none.
    pub fn settings_schemas(&self, config: &PoliciesConfig, base_dir: &Path) -> Result<[String; 3], PolicyRejected> {
        Ok([
            self.open_one::<RankerKind, _>("ranker", &config.ranker, config, base_dir, |it| schema_text(&it))?,
            self.open_one::<StaleRuleKind, _>("stale_rule", &config.stale_rule, config, base_dir, |it| {
                schema_text(&it)
            })?,
            self.open_one::<RepoFilterKind, _>("repo_filter", &config.repo_filter, config, base_dir, |it| {
                schema_text(&it)
            })?,
        ])
    }
}

impl Ranker {
    /// The most memory that one instance held after a call so far, in bytes.
    pub fn memory_bytes_peak(&self) -> usize {
        self.policy().memory_bytes_peak()
    }
}

impl Ranking {
    /// The JSON Schema of the settings of its base, for repositories without a ranker of their own, as that gives it.
    ///
    /// # Errors
    /// [`PolicyError`] when it gives none.
    pub fn settings_schema(&self) -> Result<String, PolicyError> {
        schema_of(self.chain_for(None).base().policy())
    }
}

impl PolicySet {
    /// The policies whose settings nothing looks at but they themselves, each with why: they declare no schema, or
    /// none that can be used.
    pub fn settings_unchecked(&self) -> Vec<String> {
        let chains = self.rankings().flat_map(|(_, ranking)| ranking.chains());
        unchecked_among(chains, self.stale_rule.rules(), &self.repo_filter)
    }
}

/// The same of some of a set's policies.
pub(super) fn unchecked_among<'a>(
    chains: impl Iterator<Item = &'a Chain>,
    stale_rules: impl Iterator<Item = &'a StaleRule>,
    repo_filter: &RepoFilters,
) -> Vec<String> {
    let rankers = chains.flat_map(Chain::stages).filter_map(|stage| unchecked(stage.ranker.policy()));
    let stale_rules = stale_rules.filter_map(|rule| unchecked(rule.policy()));
    let mut all: Vec<String> = rankers.chain(stale_rules).chain(unchecked(repo_filter.configured().policy())).collect();
    all.sort_unstable();
    all.dedup();
    all
}

/// A policy's name with why its settings are not checked, if so.
fn unchecked<K: Kind>(policy: &Policy<K>) -> Option<String> {
    policy.unchecked.as_ref().map(|why| format!("{}: {why}", policy.stamp.source))
}

/// Takes a policy into service by `accept` if its settings fit the schema that it gives of them. The words of its own
/// `configure` are the better ones where both refuse. Built-in policies are held by `configure` alone: it refuses
/// whatever their schemas do, which tests see to. `file` is where the component was read.
pub(super) fn held_to_schema<K: Kind, P>(
    mut policy: Policy<K>,
    config: &PolicyConfig,
    file: Option<&Path>,
    accept: impl FnOnce(Policy<K>) -> Result<P, PolicyError>,
) -> Result<P, String> {
    let Some(file) = file else { return accept(policy).map_err(|error| error.to_string()) };
    let held = match schema_of(&policy) {
        Ok(text) => schema::hold(&text, &config.settings),
        Err(error) => Held::unusable(&error.to_string()),
    };
    let is_told = !config.settings.is_empty();
    if is_told {
        policy.unchecked = match &held {
            Held::Undeclared => Some("it declares no schema of its settings, so they are not checked".into()),
            Held::Unusable(why) => Some(format!("its settings are not checked: {why}")),
            Held::Fit | Held::Misfit(_) => None,
        };
    }
    match (held, accept(policy)) {
        (_, Err(error @ PolicyError::Refused { call, .. })) if call == CONFIGURE.name => Err(error.to_string()),
        (Held::Misfit(misfits), _) => Err(format!(
            "its settings do not fit the schema that it gives of them: {misfits}; change them where its source stands \
             (`issuecommand policy inspect {}` lists what it takes)",
            in_shell(&std::path::absolute(file).unwrap_or_else(|_| file.to_owned()).display().to_string()),
        )),
        // Nobody would know which repositories a slip of the pen lets in.
        (Held::Unusable(why), Ok(_)) if is_told && K::INTERFACE == RepoFilterKind::INTERFACE => Err(format!(
            "its settings say which repositories are kept out, and cannot be checked: {why}; mend the schema, or take a \
             filter without settings"
        )),
        (_, taken) => taken.map_err(|error| error.to_string()),
    }
}

fn schema_of<K: Kind>(policy: &Policy<K>) -> Result<String, PolicyError> {
    policy.call_unconfigured(SETTINGS_SCHEMA, Facts::None, |guest, store| Ok(Ok(K::settings_schema(guest, store)?)))
}

fn schema_text<K: Kind>(policy: &Policy<K>) -> Result<String, String> {
    schema_of(policy).map_err(|error| error.to_string())
}
