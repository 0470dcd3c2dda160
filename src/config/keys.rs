//! The keys of the configuration, read off the structs themselves, so that no list can drift from them.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use serde_json::Value;

use super::{Config, GithubConfig, LogConfig};

/// Sections and keys whose change takes effect at once. Every other key needs a restart.
const HOT: [&str; 16] = [
    "agent_groups",
    "agents",
    "areas",
    "containers",
    "dispatch",
    "follow_ups",
    "github.poll_interval",
    "github.topic",
    "github.trigger_label",
    "leases",
    "log.level",
    "policies",
    "rate_limits",
    "secrets",
    "sync",
    "trust",
];

/// Keys whose value is never shown.
pub(super) const SECRET_KEYS: [&str; 5] =
    ["server.api_key", "github.token", "github.app.private_key", "store.url", "webhooks.secret"];

/// The tables in which a policy's author names the keys.
pub(super) const FREE_TABLE: &str = "settings";

static DEFAULTS: LazyLock<BTreeMap<String, Value>> = LazyLock::new(|| values(&Config::default()));

/// The default configuration as a tree: its objects are the tables, an empty object is one of free keys.
pub(super) static SHAPE: LazyLock<Value> = LazyLock::new(|| tree(&Config::default()));

fn tree(config: &Config) -> Value {
    serde_json::to_value(config).expect("numbers, flags, lists and texts (paths came as text) have a JSON form")
}

/// Every key, dotted, with its default. Secrets are not shown.
pub fn defaults() -> &'static BTreeMap<String, Value> {
    &DEFAULTS
}

/// Every key of `config`, dotted, with its value. Secrets are not shown.
pub fn values(config: &Config) -> BTreeMap<String, Value> {
    let mut found = BTreeMap::new();
    flatten(&mut found, String::new(), tree(config));
    found
}

fn flatten(found: &mut BTreeMap<String, Value>, path: String, value: Value) {
    let free = path.rsplit('.').nth(1) == Some(FREE_TABLE);
    match value {
        Value::Object(entries) if !entries.is_empty() && !free => {
            for (name, value) in entries {
                flatten(found, join(&path, &name), value);
            }
        }
        value => {
            found.insert(path, value);
        }
    }
}

/// `path.name`; a name that TOML would have in quotes gets them here too.
pub(super) fn join(path: &str, name: &str) -> String {
    let bare = !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    let name = if bare { name.to_owned() } else { format!("{name:?}") };
    if path.is_empty() { name } else { format!("{path}.{name}") }
}

/// Whether a change of `key` takes effect at once.
pub fn is_hot(key: &str) -> bool {
    HOT.iter().any(|hot| key.strip_prefix(hot).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
}

/// The keys that differ and take effect only after a restart.
pub fn changes_needing_restart(old: &Config, new: &Config) -> Vec<&'static str> {
    let (old_values, new_values) = (values(old), values(new));
    let differs = |key: &str| match key {
        "server.api_key" => old.server.api_key != new.server.api_key,
        "github.token" => old.github.token != new.github.token,
        "store.url" => old.store.url != new.store.url,
        "webhooks.secret" => old.webhooks.secret != new.webhooks.secret,
        "github.app.private_key" => old.github.app.private_key != new.github.app.private_key,
        _ => old_values.get(key) != new_values.get(key),
    };
    DEFAULTS.keys().map(String::as_str).filter(|key| !is_hot(key) && differs(key)).collect()
}

/// `old` with the hot parts of `new`.
pub(super) fn with_hot_parts(old: &Config, new: Config) -> Config {
    Config {
        sync: new.sync,
        follow_ups: new.follow_ups,
        leases: new.leases,
        rate_limits: new.rate_limits,
        policies: new.policies,
        agent_groups: new.agent_groups,
        areas: new.areas,
        trust: new.trust,
        dispatch: new.dispatch,
        containers: new.containers,
        secrets: new.secrets,
        agents: new.agents,
        github: GithubConfig {
            poll_interval: new.github.poll_interval,
            topic: new.github.topic,
            trigger_label: new.github.trigger_label,
            ..old.github.clone()
        },
        log: LogConfig { level: new.log.level, ..old.log.clone() },
        ..old.clone()
    }
}

/// The candidate that `word` was probably meant to be: a third of its letters may be wrong, at most.
pub(super) fn nearest<'a>(word: &str, candidates: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let wrong_max = (word.chars().count() / 3).max(1);
    candidates
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(wrong, _)| *wrong <= wrong_max)
        .min()
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{RateLimit, Secret};

    #[test]
    fn a_changed_key_outside_the_hot_sections_needs_a_restart() {
        let old = Config::default();
        let mut new = old.clone();
        new.server.port = 8080;
        new.server.api_key = Secret::new("one");
        new.github.token = Secret::new("two");
        new.log.file = Some("x.log".into());
        new.store.history_max_entries = 5;
        let keys = ["github.token", "log.file", "server.api_key", "server.port", "store.history_max_entries"];
        assert_eq!(changes_needing_restart(&old, &new), keys);
    }

    #[test]
    fn one_secret_for_another_needs_a_restart_too() {
        let mut old = Config::default();
        old.server.api_key = Secret::new("one");
        old.github.token = Secret::new("one");
        let mut new = old.clone();
        new.server.api_key = Secret::new("two");
        assert_eq!(changes_needing_restart(&old, &new), ["server.api_key"]);
        new.github.token = Secret::new("two");
        old.github.app.private_key = Secret::new("one");
        new.github.app.private_key = Secret::new("two");
        old.webhooks.secret = Secret::new("one");
        new.store.url = Secret::new("postgres://two");
        new.webhooks.secret = Secret::new("two");
        let keys = ["github.app.private_key", "github.token", "server.api_key", "store.url", "webhooks.secret"];
        assert_eq!(changes_needing_restart(&old, &new), keys);
    }

    #[test]
    fn hot_changes_need_no_restart_and_are_all_that_is_taken_over() {
        let old = Config::default();
        let mut hot = old.clone();
        hot.sync.interval_minutes = 1;
        hot.leases.sweep_seconds = 1;
        hot.rate_limits.ip = RateLimit { per_minute: 1, burst: 1 };
        hot.policies.ranker.source = "mine.wasm".into();
        hot.agent_groups.0.insert("night".into(), vec!["nightly-*".into()]);
        hot.areas.labels.insert("GUI".into(), vec!["src/qt/".into()]);
        hot.log.level = "debug".into();
        assert_eq!(changes_needing_restart(&old, &hot), Vec::<&str>::new());
        let mut all = hot.clone();
        all.server.port = 1;
        all.store.path = "other.db".into();
        all.github.auto_close_issue = true;
        all.log.file = Some("x.log".into());
        all.mcp.profile = crate::config::ToolProfile::Full;
        assert_eq!(with_hot_parts(&old, all), hot);
    }

    #[test]
    fn every_key_is_either_hot_or_in_a_section_that_needs_a_restart() {
        for key in defaults().keys() {
            let cold = ["server.", "store.", "github.", "mcp.", "webhooks.", "log.file", "log.format", "telemetry."];
            let cold = cold.iter().any(|p| key.starts_with(p)) && !HOT.contains(&key.as_str());
            assert_ne!(is_hot(key), cold, "{key}");
        }
    }

    #[test]
    fn secrets_are_not_among_the_values() {
        let mut config = Config::default();
        config.server.api_key = Secret::new("hunter2");
        config.github.token = Secret::new("hunter2");
        config.webhooks.secret = Secret::new("hunter2");
        config.store.url = Secret::new("hunter2");
        config.github.app.private_key = Secret::new("hunter2");
        let shown = values(&config);
        assert!(SECRET_KEYS.iter().all(|key| shown[*key] == "(secret)"), "{shown:?}");
        assert!(!format!("{config:?}").contains("hunter2"));
    }
}
