//! Which policies decide, and what they are told.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::Config;
use crate::config::partial;

/// `[policies]`: which policies decide. Hot, as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PoliciesConfig {
    /// Orders work.
    #[serde(deserialize_with = "partial::ranker")]
    pub ranker: PolicyConfig,
    /// Says when a claim has lapsed.
    #[serde(deserialize_with = "partial::stale_rule")]
    pub stale_rule: PolicyConfig,
    /// Says which repositories take part. `ALLOWED_REPOS` sets `settings.allow`.
    #[serde(deserialize_with = "partial::repo_filter")]
    pub repo_filter: PolicyConfig,
    /// Longest time for one call off the request path, in milliseconds.
    pub call_ms_max: u64,
    /// Longest time for one `choose` or `explain`, while an agent waits, in milliseconds.
    pub choose_ms_max: u64,
    /// Most memory of one instance, in bytes.
    pub memory_bytes_max: usize,
}

impl Default for PoliciesConfig {
    fn default() -> Self {
        Self {
            ranker: PolicyConfig::builtin(BUILTIN_RANKER),
            stale_rule: PolicyConfig::builtin(BUILTIN_STALE_RULE),
            repo_filter: PolicyConfig::builtin(BUILTIN_REPO_FILTER),
            call_ms_max: 250,
            choose_ms_max: 20,
            memory_bytes_max: 256 * 1024 * 1024,
        }
    }
}

/// The built-in ranker: a table of rules.
pub const BUILTIN_RANKER: &str = "rules";
/// The built-in stage that avoids overlaps with live claims: a ranker without scores of its own.
pub const BUILTIN_CONFLICT_AWARE: &str = "conflict-aware";
/// The built-in stale rule: silence for too long.
pub const BUILTIN_STALE_RULE: &str = "lease-timeouts";
/// The built-in repo filter: names and patterns.
pub const BUILTIN_REPO_FILTER: &str = "allow-list";
/// What the source of a built-in policy begins with; anything else is a path.
pub const BUILTIN_PREFIX: &str = "builtin:";

/// One policy: where its component is, and what it is told.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PolicyConfig {
    /// `builtin:<name>`, or a path to a component, relative to issuecommand.toml.
    pub source: String,
    /// The component is refused unless its SHA-256, in hex, is this one.
    pub sha256: Option<String>,
    /// The policy's own settings.
    pub settings: Map<String, Value>,
}

impl PolicyConfig {
    /// A built-in policy without settings.
    pub fn builtin(name: &str) -> Self {
        Self { source: format!("{BUILTIN_PREFIX}{name}"), sha256: None, settings: Map::new() }
    }

    /// The name of the built-in policy this is; `None` for a component in a file.
    pub fn builtin_name(&self) -> Option<&str> {
        self.source.strip_prefix(BUILTIN_PREFIX)
    }

    /// The component's file, `folder` being that of issuecommand.toml; `None` for a built-in policy.
    pub fn component_path(&self, folder: &Path) -> Option<PathBuf> {
        self.builtin_name().is_none().then(|| folder.join(&self.source))
    }
}

impl PoliciesConfig {
    /// The three policies: ranker, stale rule, repo filter.
    pub fn all(&self) -> [&PolicyConfig; 3] {
        [&self.ranker, &self.stale_rule, &self.repo_filter]
    }

    /// The files of all components that are not built in, `folder` being that of issuecommand.toml.
    pub fn component_paths(&self, folder: &Path) -> Vec<PathBuf> {
        self.all().into_iter().filter_map(|policy| policy.component_path(folder)).collect()
    }
}

impl Config {
    /// The policies with what they are told in fact: the built-in stale rule gets the times of
    /// `[leases]` where its own settings do not name them.
    pub fn effective_policies(&self) -> PoliciesConfig {
        let mut policies = self.policies.clone();
        if policies.stale_rule.builtin_name() == Some(BUILTIN_STALE_RULE) {
            let settings = &mut policies.stale_rule.settings;
            let times = [
                ("claim_timeout_minutes", self.leases.timeout_minutes),
                ("auto_release_minutes", self.leases.auto_release_minutes),
            ];
            for (name, minutes) in times {
                settings.entry(name).or_insert_with(|| minutes.into());
            }
        }
        policies
    }
}
