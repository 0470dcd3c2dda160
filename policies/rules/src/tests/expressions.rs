//! Conditions and amounts in CEL.

use issuecommand_policy::Instant;
use issuecommand_policy::testing::{CandidateFacts, NOW, candidate, candidates, explain, score};
use serde_json::json;

use super::{refusal, rules, score_one};

fn holds(when: &str, facts: CandidateFacts) -> bool {
    score_one(json!({ "skip": [{ "when": when }] }), facts, NOW).skipped.is_some()
}

fn points(points: &str, facts: CandidateFacts) -> f64 {
    score_one(json!({ "tiers": [], "rules": [{ "points": points, "max_points": 100 }] }), facts, NOW).value
}

#[test]
fn a_condition_says_what_a_table_cannot() {
    let when = "labels.exists(l, l.startsWith('area/')) && comments < 5";
    assert!(holds(when, candidate().label("x").label("area/ui").comments(4)));
    assert!(!holds(when, candidate().label("area/ui").comments(5)));
    assert!(!holds(when, candidate().label("x")));
}

#[test]
fn every_fact_has_a_name_in_expressions() {
    let facts = candidate()
        .repo("acme/web")
        .title("A title")
        .body("A text")
        .author("Ann")
        .author_association("MEMBER")
        .label("Bug")
        .assignee("kim")
        .milestone("v1")
        .topic("rust")
        .blocked_by("acme/web#3")
        .area("src/a.rs")
        .reviewer("zoe")
        .approved()
        .comments(2)
        .reactions(3)
        .opened_days_ago(9)
        .changed_days_ago(4);
    for truth in [
        "repo == 'acme/web' && title == 'A title' && body == 'A text'",
        "author == 'Ann' && author_association == 'MEMBER' && milestone == 'v1' && approval == 'approved'",
        "labels == ['Bug'] && assignees == ['kim'] && topics == ['rust'] && blocked_by == ['acme/web#3']",
        "areas == ['src/a.rs'] && reviewers == ['zoe'] && size(labels) == 1",
        "comments == 2 && reactions == 3 && age_days == 9 && idle_days == 4",
        "'Bug' in labels && title.contains('tit') && title.endsWith('e')",
    ] {
        assert!(holds(truth, facts.clone()), "{truth}");
        assert!(!holds(truth, candidate()), "{truth}");
    }
}

#[test]
fn an_amount_is_added_up_to_the_most_and_explains_itself() {
    assert_eq!(points("reactions * 3 - comments", candidate().reactions(4).comments(2)), 10.0);
    assert_eq!(points("double(reactions) / 4.0", candidate().reactions(1)), 0.25);
    assert_eq!(points("reactions * 100", candidate().reactions(4)), 100.0);
    assert_eq!(points("0 - reactions * 100", candidate().reactions(4)), -100.0);
    let ranker = rules(json!({ "rules": [{ "points": "comments * 2", "max_points": 9, "name": "talk" }] }));
    let reason = explain(&ranker, &candidates([candidate().comments(3)]), NOW).remove(0).remove(0);
    assert_eq!((reason.rule.as_str(), reason.amount, reason.text.as_str()), ("talk", 6.0, "comments * 2"));
}

#[test]
fn an_expression_joins_the_other_conditions_of_its_entry() {
    let settings = || {
        json!({ "tiers": [], "rules": [
            { "field": "label", "op": "is", "value": "bug", "when": "comments > 1", "weight": 5 },
            { "field": "label", "op": "is", "value": "bug", "points": "comments", "max_points": 9 },
        ]})
    };
    let value = |facts| score_one(settings(), facts, NOW).value;
    assert_eq!(value(candidate().label("bug").comments(2)), 7.0);
    assert_eq!(value(candidate().label("bug").comments(1)), 1.0);
    assert_eq!(value(candidate().comments(2)), 0.0);
}

#[test]
fn an_expression_about_time_is_asked_again_when_the_day_turns() {
    let settings = || json!({ "skip": [{ "when": "age_days >= 2" }] });
    let at = |now| score_one(settings(), candidate(), now);
    assert_eq!((at(NOW).skipped, at(NOW).valid_until), (None, Some(NOW.plus_days(1))));
    let turned = at(NOW.plus_days(2));
    assert_eq!((turned.skipped.is_some(), turned.valid_until), (true, Some(NOW.plus_days(3))));
    assert_eq!(score_one(json!({ "skip": [{ "when": "comments > 1" }] }), candidate(), NOW).valid_until, None);
}

#[test]
fn an_expression_that_fails_for_an_issue_does_not_count_there_and_counts_elsewhere() {
    let ranker = rules(json!({ "tiers": [], "rules": [
        { "when": "labels[1] == 'bug'", "weight": 5 },
        { "points": "100 / comments", "max_points": 100 },
        { "points": "double(reactions) / double(comments)", "max_points": 100 },
    ]}));
    let facts = candidates([
        candidate().comments(20),
        candidate().label("x").label("bug").comments(50),
        candidate().reactions(1),
        candidate(),
    ]);
    let values: Vec<_> = score(&ranker, &facts, NOW).iter().map(|scored| scored.value).collect();
    assert_eq!(values, [5.0, 7.0, 0.0, 0.0], "a division by zero adds nothing");
}

#[test]
fn what_cannot_work_is_refused_by_its_key() {
    let rule = |when: &str| refusal(json!({ "rules": [{ "when": when, "weight": 1 }] }));
    for (when, expected) in [
        ("comments <", "rules[0].when: no CEL expression: "),
        ("label == 'bug'", "rules[0].when: there is no \"label\"; there are age_days, approval, areas, "),
        ("labels.exists(l, k == 'bug')", "rules[0].when: there is no \"k\""),
        ("labels.exists(l, l == 'bug') && l == 'x'", "rules[0].when: there is no \"l\""),
        ("comments + 1", "rules[0].when: it gives neither true nor false"),
        ("title > 3", "rules[0].when: "),
        ("lower(title) == 'x'", "rules[0].when: "),
        ("title.matches('x')", "rules[0].when: "),
    ] {
        let refusal = rule(when);
        assert!(refusal.starts_with(expected), "{when}\n  gave     {refusal}\n  expected {expected}");
        assert!(!refusal.contains('\n'), "{refusal}");
    }
    let amount = |points: &str| refusal(json!({ "rules": [{ "points": points, "max_points": 1 }] }));
    assert_eq!(amount("title"), "rules[0].points: it gives no number");
    let mixed = amount("comments * 0.5");
    assert!(mixed.contains("Whole numbers and fractions do not mix: double(comments) * 0.5"), "{mixed}");
}

#[test]
fn an_expression_has_a_greatest_length_depth_and_number() {
    let rule = |when: String| refusal(json!({ "rules": [{ "when": when, "weight": 1 }] }));
    assert_eq!(rule(format!("title == '{}'", "x".repeat(1000))), "rules[0].when: 1011 bytes, at most 1000 are allowed");
    let nested = |depth: usize| format!("{}true{}", "!(".repeat(depth), ")".repeat(depth));
    assert!(!holds(&nested(23), candidate()));
    for depth in [24, 60, 400] {
        let refusal = rule(nested(depth));
        assert!(refusal.starts_with("rules[0].when: "), "{depth}: {refusal}");
    }
    let sum = |terms: usize| format!("{} > 0", vec!["1"; terms].join(" + "));
    assert!(holds(&sum(23), candidate()));
    assert_eq!(rule(sum(24)), "rules[0].when: it nests deeper than 24 levels; make it simpler");
    assert!(rule(sum(240)).starts_with("rules[0].when: "));
    let table = |count| json!({ "rules": vec![json!({ "when": "true", "weight": 1 }); count] });
    rules(table(16));
    assert_eq!(refusal(table(17)), "rules[16].when: a table may hold at most 16 expressions");
}

#[test]
fn the_same_expression_gives_the_same_answer_in_every_instance() {
    let settings = || json!({ "tiers": [], "rules": [{ "points": "double(comments) * 0.1 + double(size(labels)) / 3.0", "max_points": 50 }] });
    let facts = candidates((0..50).map(|n| (0..n % 7).fold(candidate().comments(n), |c, l| c.label(&format!("l{l}")))));
    let bits = |ranker| -> Vec<_> { score(&ranker, &facts, NOW).iter().map(|scored| scored.value.to_bits()).collect() };
    assert_eq!(bits(rules(settings())), bits(rules(settings())));
    assert_eq!(score(&rules(settings()), &facts, Instant::from_ms(0))[3].value.to_bits(), bits(rules(settings()))[3]);
}
