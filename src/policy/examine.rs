//! What an author asks of a policy, beyond its work: which settings it takes, and how much memory it used.

use std::path::Path;

use super::error::{PolicyError, PolicyRejected};
use super::facts::Facts;
use super::host::PolicyHost;
use super::instance::{Function, Kind, Policy};
use super::ranker::{Ranker, RankerKind};
use super::repo_filter::RepoFilterKind;
use super::stale_rule::StaleRuleKind;
use crate::config::PoliciesConfig;

const SETTINGS_SCHEMA: Function = Function { name: "settings-schema", output_bytes_per_row: 0, waited_for: false };

impl PolicyHost {
    /// The JSON Schemas of their settings, as the three policies give them: ranker, stale rule, repository
    /// filter. None of them is configured for that, so settings that do not fit do not matter.
    ///
    /// # Errors
    /// [`PolicyRejected`] when one cannot be loaded or gives none.
    pub fn settings_schemas(&self, config: &PoliciesConfig, base_dir: &Path) -> Result<[String; 3], PolicyRejected> {
        Ok([
            self.load_one::<RankerKind, _>("ranker", &config.ranker, config, base_dir, |policy| schema(&policy))?,
            self.load_one::<StaleRuleKind, _>("stale_rule", &config.stale_rule, config, base_dir, |policy| {
                schema(&policy)
            })?,
            self.load_one::<RepoFilterKind, _>("repo_filter", &config.repo_filter, config, base_dir, |policy| {
                schema(&policy)
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

fn schema<K: Kind>(policy: &Policy<K>) -> Result<String, PolicyError> {
    policy.call_unconfigured(SETTINGS_SCHEMA, Facts::None, |guest, store| Ok(Ok(K::settings_schema(guest, store)?)))
}
