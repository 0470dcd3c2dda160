//! The schema of the settings says what the table takes.

use issuecommand_policy::Ranker;
use issuecommand_policy::testing::{NOW, candidate, candidates, score};
use serde_json::{Value, json};

use super::{refusal, rules};
use crate::Rules;
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
