//! What is asked of a policy beyond its work: which settings it takes, whether those it gets fit that, and how much
//! memory it used.

use std::path::Path;

use super::error::{PolicyError, PolicyRejected};
use super::facts::Facts;
use super::host::PolicyHost;
use super::instance::{CONFIGURE, Function, Kind, Policy};
use super::ranker::{Ranker, RankerKind};
use super::repo_filter::RepoFilterKind;
use super::schema::{self, Held, Misfit};
use super::set::PolicySet;
use super::stale_rule::StaleRuleKind;
use crate::config::{PoliciesConfig, PolicyConfig, in_shell};

const SETTINGS_SCHEMA: Function = Function { name: "settings-schema", output_bytes_per_row: 0, waited_for: false };
/// The setting of a repository filter that the environment may put there, and the variable.
const FROM_ENVIRONMENT: (&str, &str) = ("allow", "ALLOWED_REPOS");

impl PolicyHost {
    /// The JSON Schemas of their settings, as the three policies give them: ranker, stale rule, repository
    /// filter. None of them is configured for that, so settings that do not fit do not matter.
    ///
    /// # Errors
    /// [`PolicyRejected`] when one cannot be loaded or gives none.
    pub fn settings_schemas(&self, config: &PoliciesConfig, base_dir: &Path) -> Result<[String; 3], PolicyRejected> {
        Ok([
            self.open_one::<RankerKind, _>("ranker", &config.ranker, config, base_dir, |it| told(&it))?,
            self.open_one::<StaleRuleKind, _>("stale_rule", &config.stale_rule, config, base_dir, |it| told(&it))?,
            self.open_one::<RepoFilterKind, _>("repo_filter", &config.repo_filter, config, base_dir, |it| told(&it))?,
        ])
    }
}

impl Ranker {
    /// The most memory that one instance held after a call so far, in bytes.
    pub fn memory_bytes_peak(&self) -> usize {
        self.policy().memory_bytes_peak()
    }
}

impl PolicySet {
    /// The policies whose settings nothing looks at but they themselves, each with why: they declare no schema, or
    /// none that can be used.
    pub fn settings_unchecked(&self) -> Vec<String> {
        let chains = self.rankings().flat_map(|(_, ranking)| ranking.chains());
        let rankers = chains.flat_map(|chain| chain.stages()).filter_map(|stage| unchecked(stage.ranker.policy()));
        let rules = self.stale_rule.rules().filter_map(|rule| unchecked(rule.policy()));
        let mut all: Vec<String> = rankers.chain(rules).chain(unchecked(self.repo_filter.policy())).collect();
        all.sort_unstable();
        all.dedup();
        all
    }
}

/// A policy's name with why its settings are not checked, if so.
pub(super) fn unchecked<K: Kind>(policy: &Policy<K>) -> Option<String> {
    policy.unchecked.as_ref().map(|why| format!("{}: {why}", policy.stamp.source))
}

/// Takes a policy into service by `accept` if its settings fit the schema that it gives of them. The words of its own
/// `configure` are the better ones where both refuse. Built-in policies are held by `configure` alone: it refuses
/// whatever their schemas do, which tests see to.
pub(super) fn held_to_schema<K: Kind, P>(
    mut policy: Policy<K>,
    config: &PolicyConfig,
    accept: impl FnOnce(Policy<K>) -> Result<P, PolicyError>,
) -> Result<P, String> {
    if config.builtin_name().is_some() {
        return accept(policy).map_err(|error| error.to_string());
    }
    let held = match schema_of(&policy) {
        Ok(text) => schema::hold(&text, &config.settings),
        Err(error) => Held::Unusable(error.to_string()),
    };
    if !config.settings.is_empty() {
        policy.unchecked = match &held {
            Held::Undeclared => Some("it declares no schema of its settings, so they are not checked".into()),
            Held::Unusable(why) => Some(format!("its settings are not checked: {why}")),
            Held::Fit | Held::Misfit(_) => None,
        };
    }
    match (held, accept(policy)) {
        (_, Err(error @ PolicyError::Refused { call, .. })) if call == CONFIGURE.name => {
            let error = error.to_string();
            let hint = error.contains(FROM_ENVIRONMENT.0).then(|| from_environment::<K>(config)).flatten();
            Err(format!("{error}{}", hint.unwrap_or_default()))
        }
        (Held::Misfit(misfit), _) => Err(refusal::<K>(&misfit, config)),
        (_, taken) => taken.map_err(|error| error.to_string()),
    }
}

fn refusal<K: Kind>(misfit: &Misfit, config: &PolicyConfig) -> String {
    let is_unknown = misfit.unknown.iter().any(|key| key == FROM_ENVIRONMENT.0);
    let hint = is_unknown.then(|| from_environment::<K>(config)).flatten().unwrap_or_default();
    let file = config.component_path(Path::new("")).unwrap_or_default();
    format!(
        "its settings do not fit the schema that it gives of them: {}; change them where its source stands \
         (`issuecommand policy inspect {}` lists what it takes){hint}",
        misfit.told,
        in_shell(&file.display().to_string()),
    )
}

/// Where a setting may come from that nobody wrote into the file.
fn from_environment<K: Kind>(config: &PolicyConfig) -> Option<String> {
    let (key, variable) = FROM_ENVIRONMENT;
    (K::INTERFACE == RepoFilterKind::INTERFACE && config.settings.contains_key(key)).then(|| {
        format!(
            "; `{key}` is also what {variable} of the environment or .env sets, for whatever filter is in force: a \
             filter that does not know it would let pass what it keeps out, so empty {variable} and name what to read \
             in github.repositories, or take a filter that knows it"
        )
    })
}

fn schema_of<K: Kind>(policy: &Policy<K>) -> Result<String, PolicyError> {
    policy.call_unconfigured(SETTINGS_SCHEMA, Facts::None, |guest, store| Ok(Ok(K::settings_schema(guest, store)?)))
}

fn told<K: Kind>(policy: &Policy<K>) -> Result<String, String> {
    schema_of(policy).map_err(|error| error.to_string())
}
