//! Settings that cannot work, and what is said of them.

use issuecommand_policy::testing::{NOW, candidate};
use serde_json::{Value, json};

use super::{refusal, score_one};

#[test]
fn wrong_settings_are_refused_by_their_key_with_what_is_allowed() {
    let rule = |field: &str, op: &str, value: Value| json!({ "rules": [{ "field": field, "op": op, "value": value, "weight": 1 }] });
    for (settings, expected) in [
        (rule("label", "equal", json!("x")), "rules[0].op: unknown variant `equal`, expected one of `is`, `is_not`"),
        (
            rule("labels", "is", json!("x")),
            "rules[0].field: unknown variant `labels`, expected one of `label`, `title`",
        ),
        (
            rule("label", "at_least", json!(1)),
            "rules[0].op: \"at_least\" does not suit the field label, which takes is, is_not, contains, glob, matches, present, absent",
        ),
        (rule("title", "present", json!(null)), "rules[0].op: \"present\" does not suit the field title"),
        (
            rule("comments", "is", json!(1)),
            "rules[0].op: \"is\" does not suit the field comments, which takes at_least, at_most",
        ),
        (rule("label", "is", json!(7)), "rules[0].value: \"is\" takes a text, or a list of texts"),
        (rule("label", "is", json!([])), "rules[0].value: \"is\" takes a text, or a list of texts"),
        (rule("label", "is", json!(["x", " "])), "rules[0].value: \"is\" takes a text, or a list of texts"),
        (rule("label", "present", json!("x")), "rules[0].value: \"present\" takes none"),
        (rule("age_days", "at_least", json!("3")), "rules[0].value: \"at_least\" takes a number, 0 or more"),
        (rule("age_days", "at_least", json!(-3)), "rules[0].value: \"at_least\" takes a number, 0 or more"),
        (
            json!({ "rules": [{ "field": "label", "op": "each", "weight": 1, "max_points": 1 }] }),
            "rules[0].op: \"each\" suits comments",
        ),
        (
            json!({ "rules": [{ "field": "comments", "op": "each", "weight": 1 }] }),
            "rules[0].max_points: \"each\" needs",
        ),
        (
            json!({ "rules": [{ "field": "comments", "op": "each", "weight": 1, "max_points": -1 }] }),
            "rules[0].max_points: -1 is not between 0 and 1000000",
        ),
        (
            json!({ "rules": [{ "field": "label", "op": "present", "weight": 1, "max_points": 1 }] }),
            "rules[0].max_points: goes with \"each\" and points only",
        ),
        (
            json!({ "rules": [{ "field": "label", "op": "present", "weight": 1e7 }] }),
            "rules[0].weight: 10000000 is not between",
        ),
        (json!({ "rules": [{ "field": "label", "op": "present" }] }), "rules[0]: missing field `weight`"),
        (
            json!({ "rules": [{ "field": "label", "op": "present", "weight": 1, "colour": 1 }] }),
            "rules[0].colour: unknown field `colour`",
        ),
        (
            json!({ "skip": [{ "field": "label", "op": "present" }, { "field": "comments", "op": "each" }] }),
            "skip[1].op: \"each\" does not suit the field comments",
        ),
        (
            json!({ "skip": [{ "field": "label", "op": "present", "and": [{ "field": "title", "op": "absent" }] }] }),
            "skip[0].and[0].op: \"absent\" does not suit",
        ),
        (json!({ "skip": [{ "field": "label", "op": "present", "reason": "" }] }), "skip[0].reason: say why"),
        (json!({ "tiers": [["p0"], ["p1", " "]] }), "tiers[1][1]: a label has a name"),
        (json!({ "tiers": vec![["x"]; 33] }), "tiers: 33 entries, at most 32 are allowed"),
        (json!({ "tiers": [["p0"]], "default_tier": 1 }), "default_tier: 1 is none of the 1 tiers"),
        (json!({ "aging": { "points_per_day": 1 } }), "aging.max_points: points_per_day needs the most points"),
        (json!({ "aging": { "max_points": 1 } }), "aging.points_per_day: max_points needs"),
        (json!({ "aging": {} }), "aging: give points_per_day and max_points, or days_per_tier"),
        (json!({ "aging": { "days_per_tier": 0 } }), "aging.days_per_tier: invalid value: integer `0`"),
        (json!({ "aging": { "points_per_day": 1, "max_points": -1 } }), "aging.max_points: -1 is not between"),
        (json!({ "max_claims_per_agent": 0 }), "max_claims_per_agent: invalid value: integer `0`"),
        (json!({ "rules": [{ "weight": 1 }] }), "rules[0]: give field and op, or when, or points"),
        (json!({ "rules": [{ "field": "label", "weight": 1 }] }), "rules[0].op: missing: how to look at label"),
        (json!({ "rules": [{ "op": "is", "weight": 1 }] }), "rules[0].field: missing: what \"is\" is to look at"),
        (
            json!({ "rules": [{ "value": "x", "when": "true", "weight": 1 }] }),
            "rules[0].field: missing: what the value",
        ),
        (rule("title", "matches", json!("(")), "rules[0].value: \"(\" is no regular expression: "),
        (rule("label", "matches", json!("(".repeat(40) + &")".repeat(40))), "rules[0].value: "),
        (rule("label", "matches", json!("((a{100}){100}){100}")), "rules[0].value: "),
        (rule("label", "matches", json!("a".repeat(1001))), "rules[0].value: 1001 bytes, at most 1000"),
        (
            json!({ "rules": [{ "field": "comments", "op": "decay", "weight": 1, "half_life_days": 1 }] }),
            "rules[0].op: \"decay\" suits age_days and idle_days only",
        ),
        (
            json!({ "rules": [{ "field": "idle_days", "op": "decay", "weight": 1 }] }),
            "rules[0].half_life_days: \"decay\" needs the days",
        ),
        (
            json!({ "rules": [{ "field": "idle_days", "op": "decay", "weight": 1, "half_life_days": 0.1 }] }),
            "rules[0].half_life_days: 0.1 is not between 0.25 and 3650 days",
        ),
        (
            json!({ "rules": [{ "field": "idle_days", "op": "each", "weight": 1, "max_points": 1, "half_life_days": 1 }] }),
            "rules[0].half_life_days: goes with \"decay\" only",
        ),
        (json!({ "rules": [{ "points": "1" }] }), "rules[0].max_points: points needs the most points"),
        (
            json!({ "rules": [{ "points": "1", "max_points": 1, "weight": 1 }] }),
            "rules[0].weight: goes with rules that have no points",
        ),
        (json!({ "skip": [{ "reason": "?" }] }), "skip[0]: give field and op, or when"),
        (json!({ "require_approval": "some" }), "require_approval: \"some\" is none of true, false and \"outsiders\""),
        (json!({ "needs": [{ "skill": "x" }] }), "needs[0]: give one of label, topic, repo and area"),
        (json!({ "needs": [{ "label": "x", "repo": "y", "skill": "x" }] }), "needs[0]: give one of label"),
        (json!({ "needs": [{ "label": "x" }] }), "needs[0]: give either skill or group"),
        (json!({ "needs": [{ "label": "x", "skill": "y", "group": "z" }] }), "needs[0]: give either skill or group"),
        (json!({ "needs": [{ "label": "x", "skill": 7 }] }), "needs[0].skill: expected a text, or a list of texts"),
        (json!({ "needs": [{ "label": "x", "skill": [] }] }), "needs[0]: a text is empty"),
        (
            json!({ "needs": [{ "label": "x", "skill": "*" }] }),
            "needs[0]: \"*\" stands for what the one \"*\" of label fits",
        ),
        (json!({ "needs": [{ "label": "x:*:*", "skill": "*" }] }), "needs[0]: \"*\" stands for"),
        (json!({ "review_retry_minutes": 0 }), "review_retry_minutes: invalid value: integer `0`"),
        (json!({ "rulez": [] }), "rulez: unknown field `rulez`, expected one of `tiers`"),
    ] {
        let refusal = refusal(settings.clone());
        assert!(refusal.starts_with(expected), "{settings}\n  gave     {refusal}\n  expected {expected}");
    }
}

#[test]
fn a_table_holds_as_many_conditions_on_names_as_it_says_and_no_more() {
    let table = |count| {
        let texts =
            (0..count).map(|at| json!({ "field": "label", "op": "is", "value": format!("l{at}"), "weight": 1 }));
        json!({ "tiers": [], "rules": texts.collect::<Vec<_>>() })
    };
    let full = score_one(table(64), candidate().label("l0").label("l63"), NOW);
    assert_eq!(full.value, 2.0);
    assert_eq!(refusal(table(65)), "rules[64]: a table may hold at most 64 conditions on names");
}
