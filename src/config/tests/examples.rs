//! The two annotated files at the root of the repository say what the code says.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{Config, VARIABLES, defaults};

const CONFIG: &str = include_str!("../../../issuecommand.toml");
const DOTENV: &str = include_str!("../../../.env.example");

#[test]
fn the_annotated_configuration_is_the_default() {
    assert_eq!(toml::from_str::<Config>(CONFIG).unwrap(), Config::default());
}

#[test]
fn the_annotated_configuration_has_every_key_of_the_structs_and_no_other() {
    let mut table = String::new();
    let mut shown = BTreeSet::new();
    for line in CONFIG.lines() {
        let line = line.strip_prefix("# ").unwrap_or(line);
        if let Some(name) = line.strip_prefix("[[").and_then(|line| line.strip_suffix("]]")) {
            // The items of a list have keys of their own, of which the defaults know nothing.
            shown.insert(name.to_owned());
            table = format!("{name}.settings");
        } else if let Some(name) = line.strip_prefix('[').and_then(|line| line.strip_suffix(']')) {
            table = name.to_owned();
            shown.insert(table.clone());
        } else if let Some((key, _)) = line.split_once(" = ").filter(|(key, _)| is_bare(key)) {
            shown.insert(format!("{table}.{key}"));
        }
    }
    let missing: Vec<_> =
        defaults().keys().filter(|key| !shown.contains(*key) && !key.ends_with(".settings")).collect();
    assert!(missing.is_empty(), "not documented: {missing:?}");
    // The tables themselves, and what only their users name.
    let is_table = |key: &str| defaults().keys().any(|known| known.starts_with(&format!("{key}.")));
    let free = [".settings", "agent_groups.", "agents.", "areas.labels.", "containers.mounts.", "secrets.variables."];
    let is_free = |key: &str| free.iter().any(|table| key.contains(table));
    let strangers: Vec<_> =
        shown.iter().filter(|key| !defaults().contains_key(*key) && !is_table(key) && !is_free(key)).collect();
    assert!(strangers.is_empty(), "documented, but unknown: {strangers:?}");
}

fn is_bare(key: &str) -> bool {
    !key.is_empty() && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

#[test]
fn the_annotated_configuration_names_every_variable_that_overrides_a_key() {
    for variable in VARIABLES {
        assert!(CONFIG.contains(variable.name), "{} is not named", variable.name);
    }
}

#[test]
fn the_example_of_variables_lists_exactly_those_the_code_knows_with_their_defaults() {
    let listed: BTreeMap<_, _> = DOTENV
        .lines()
        .filter_map(|line| line.strip_prefix("# ")?.split_once('='))
        .filter(|(name, _)| name.bytes().all(|b| b.is_ascii_uppercase() || b == b'_'))
        .collect();
    let known: BTreeMap<_, _> = VARIABLES.iter().map(|variable| (variable.name, variable.default)).collect();
    assert_eq!(listed, known);
}

#[test]
fn the_example_of_variables_is_a_valid_dotenv_file_that_sets_nothing() {
    assert_eq!(dotenvy::from_read_iter(DOTENV.as_bytes()).count(), 0);
    let set = DOTENV.replace("\n# ", "\n").lines().filter(|line| line.contains('=')).count();
    assert!(set >= VARIABLES.len());
}

#[test]
fn defaults_of_variables_are_the_defaults_of_their_keys() {
    for variable in VARIABLES {
        let Some(default) = defaults().get(variable.key) else { continue };
        let shown = match default {
            serde_json::Value::String(text) => text.clone(),
            serde_json::Value::Null => String::new(),
            other => other.to_string(),
        };
        assert_eq!(shown, variable.default, "{}", variable.name);
    }
}
