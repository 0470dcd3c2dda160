//! The schema of the settings says what the table takes.

use issuecommand_policy::Ranker;
use issuecommand_policy::testing::{NOW, candidate, candidates, score};
use serde_json::{Value, json};

use super::{refusal, rules};
use crate::Rules;
use crate::expression::VARIABLES;
use crate::settings::Settings;
use crate::words::{Field, Op};

#[test]
fn the_schema_names_every_setting_field_and_op() {
    let schema: Value = serde_json::from_str(&Rules::settings_schema()).unwrap();
    let keys: Vec<_> = schema["properties"].as_object().unwrap().keys().collect();
    let expected = [
        "aging",
        "default_tier",
        "fair_share",
        "follow_ups",
        "max_claims_per_agent",
        "max_claims_per_repo",
        "max_reviews_per_agent",
        "max_reviews_per_repo",
        "max_reviews_per_reviewer",
        "needs",
        "require_approval",
        "review_retry_minutes",
        "rules",
        "skip",
        "skip_blocked",
        "tiers",
    ];
    assert_eq!(keys, expected);
    for key in keys {
        let refusal = refusal(json!({ key: "?" }));
        let wrong = match key.as_str() {
            "follow_ups" => "unknown variant",
            "require_approval" => "\"?\" is none of",
            _ => "invalid type",
        };
        assert!(refusal.starts_with(&format!("{key}: {wrong}")), "{refusal}");
    }
    for word in schema["properties"]["follow_ups"]["enum"].as_array().unwrap() {
        rules(json!({ "follow_ups": word }));
    }
    for (word, known) in [("field", 17), ("op", 9)] {
        assert_eq!(schema["$defs"][word]["enum"].as_array().unwrap().len(), known);
    }
    for word in schema["$defs"]["field"]["enum"].as_array().unwrap() {
        let field: Field = serde_json::from_value(word.clone()).unwrap();
        assert_eq!(field.as_str(), word.as_str().unwrap());
    }
    for word in schema["$defs"]["op"]["enum"].as_array().unwrap().iter().chain([&json!("each"), &json!("decay")]) {
        let op: Op = serde_json::from_value(word.clone()).unwrap();
        assert_eq!(op.as_str(), word.as_str().unwrap());
    }
    let default: Vec<Vec<String>> = serde_json::from_value(schema["properties"]["tiers"]["default"].clone()).unwrap();
    assert_eq!(default, Settings::default().tiers);
}

#[test]
fn the_examples_of_the_schema_work() {
    let schema: Value = serde_json::from_str(&Rules::settings_schema()).unwrap();
    let example = |key: &str| schema["properties"][key]["examples"][0].clone();
    let ranker = rules(json!({
        "rules": example("rules"),
        "skip": example("skip"),
        "aging": example("aging"),
        "needs": example("needs"),
    }));
    let outside = candidate().title("Crash at start").label("bug").label("area/ui").reactions(2).comments(1);
    let facts = candidates([outside.clone(), outside.label("Approved")]);
    let scored = score(&ranker, &facts, NOW);
    assert_eq!(scored[0].skipped.as_deref(), Some("from outside, not approved yet"));
    // A bug 10, a crash 5, 2 reactions 1, busy 8, an area with few comments 4, reactions by comments 1.
    assert_eq!((scored[1].skipped.as_deref(), scored[1].value), (None, 29.0));
}

const REFERENCE: &str = include_str!("../../README.md");

/// The rows of the first table below a heading of the reference: their cells, without the marks of code around the first.
fn rows(heading: &str) -> Vec<Vec<&'static str>> {
    let (_, section) = REFERENCE.split_once(&format!("\n## {heading}\n")).expect("there is such a heading");
    let section = section.split_once("\n## ").map_or(section, |(section, _)| section);
    let lines = section.lines().filter_map(|line| line.strip_prefix("| `")?.strip_suffix(" |"));
    lines.map(|line| line.replacen('`', "", 1).leak().split(" | ").collect()).collect()
}

fn first_cells(heading: &str) -> Vec<&'static str> {
    let mut cells: Vec<_> = rows(heading).into_iter().map(|row| row[0]).collect();
    cells.sort_unstable();
    cells
}

fn keys_at<'s>(schema: &'s Value, pointer: &str) -> Vec<&'s str> {
    let mut keys: Vec<_> = schema.pointer(pointer).unwrap().as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

#[test]
fn the_reference_has_every_key_with_its_default_and_no_others() {
    let schema: Value = serde_json::from_str(&Rules::settings_schema()).unwrap();
    for (heading, pointer) in [
        ("Keys", "/properties"),
        ("A line of rules", "/properties/rules/items/properties"),
        ("A line of skip", "/properties/skip/items/properties"),
        ("Ageing", "/properties/aging/properties"),
        ("Needs", "/properties/needs/items/properties"),
    ] {
        assert_eq!(first_cells(heading), keys_at(&schema, pointer), "{heading}");
    }
    for row in rows("Keys") {
        let told = row[2].trim_matches('`');
        let default = schema["properties"][row[0]].get("default").map_or("none".to_owned(), Value::to_string);
        assert_eq!(told, default, "the default of {}", row[0]);
    }
}

#[test]
fn the_reference_has_every_field_op_and_name_of_expressions_and_no_others() {
    let schema: Value = serde_json::from_str(&Rules::settings_schema()).unwrap();
    let words = |pointer: &str| {
        let words = schema.pointer(pointer).unwrap().as_array().unwrap().iter();
        words.map(|word| word.as_str().unwrap()).collect::<Vec<_>>()
    };
    let sorted = |mut words: Vec<&'static str>| {
        words.sort_unstable();
        words
    };
    let fields: Vec<&'static str> = rows("Fields").into_iter().map(|row| row[0]).collect();
    assert_eq!(fields, words("/$defs/field/enum"));
    let ops: Vec<&'static str> = rows("Ops").into_iter().map(|row| row[0]).collect();
    assert_eq!(ops, [words("/$defs/op/enum"), vec!["each", "decay"]].concat());
    let in_expressions = rows("Fields").into_iter().map(|row| row[1].split('`').nth(1).unwrap()).collect();
    assert_eq!(sorted(in_expressions), VARIABLES.map(|(name, _)| name));
    for row in rows("Fields") {
        let field: Field = serde_json::from_value(json!(row[0])).unwrap();
        let variable = VARIABLES.iter().find(|(_, it)| *it == field).unwrap().0;
        assert!(row[1].starts_with(&format!("`{variable}`, ")), "{row:?}");
        let ops = match (field.is_time(), field.is_number(), field.ops().contains(&Op::Present)) {
            (true, ..) => "numbers, each, decay",
            (_, true, _) => "numbers, each",
            (.., true) => "texts",
            _ => "texts but present and absent",
        };
        assert_eq!(row[2], ops, "{}", row[0]);
    }
}

#[test]
fn the_expressions_of_the_reference_work() {
    let table = rows("Expressions");
    assert!(table.len() > 5, "{table:?}");
    for row in table {
        match row[1] {
            "points" => drop(rules(json!({ "rules": [{ "points": row[0], "max_points": 9 }] }))),
            _ => drop(rules(json!({ "skip": [{ "when": row[0] }] }))),
        }
    }
}

#[test]
fn decay_goes_in_the_steps_that_the_reference_tells() {
    let ranker = rules(json!({
        "rules": [{ "field": "idle_days", "op": "decay", "weight": 100, "half_life_days": 7 }]
    }));
    let facts = candidates([candidate().changed_days_ago(0)]);
    let left = |hours: u64| score(&ranker, &facts, NOW.plus_minutes(hours * 60))[0].value.round();
    assert_eq!([24, 41, 42, 84, 126, 168].map(left), [100.0, 100.0, 84.0, 71.0, 59.0, 50.0]);
    for percent in ["as 100 %", "as 84 %", "as 71 %", "as 59 %", "as 50 %"] {
        assert!(REFERENCE.contains(percent), "{percent}");
    }
}
