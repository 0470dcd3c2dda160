//! The built-in `rules` as the server runs it: what only a component can show.

use issuecommand::config::PolicyConfig;
use issuecommand::policy::PolicySet;
use serde_json::{Value, json};

use crate::stage::{config, later, load, request, rows, shortlist};
use crate::workshop::PLAIN;

/// A set whose ranker is `rules` with these settings.
fn ruled_by(settings: Value) -> Result<PolicySet, String> {
    let mut config = config(&PLAIN);
    config.ranker = PolicyConfig::builtin("rules").into();
    let Value::Object(settings) = settings else { panic!("settings are an object") };
    config.ranker.settings = settings;
    load(&config).map_err(|rejected| rejected.to_string())
}

#[test]
fn the_deepest_expressions_that_are_allowed_do_not_overflow_the_stack() {
    let nested = |depth: usize| format!("{}comments > 1{}", "!(".repeat(depth), ")".repeat(depth));
    let chosen = |depth: usize| format!("{}true{}", "comments > 1 ? (".repeat(depth), ") : false".repeat(depth));
    let summed = |terms: usize| format!("{} > 1", vec!["comments"; terms].join(" + "));
    let exists = |depth: usize| {
        (0..depth).fold("comments > 1".to_owned(), |inner, level| format!("labels.exists(l{level}, {inner})"))
    };
    let listed = |depth: usize| format!("size({}comments{}) == 1", "[".repeat(depth), "]".repeat(depth));
    let shapes: [(&str, &dyn Fn(usize) -> String); 5] =
        [("nested", &nested), ("chosen", &chosen), ("summed", &summed), ("exists", &exists), ("listed", &listed)];
    for (name, shape) in shapes {
        let rule = |depth| ruled_by(json!({ "rules": [{ "when": shape(depth), "weight": 1 }] }));
        let accepted = (1..60).take_while(|depth| rule(*depth).is_ok()).last().unwrap();
        let set = rule(accepted).unwrap();
        assert_eq!(set.ranker.score(rows(3), later()).unwrap().len(), 3, "{name} {accepted}");
        for depth in [accepted + 1, 60, 300] {
            let refusal = rule(depth).unwrap_err();
            assert!(refusal.contains("rules[0].when"), "{name} {depth}: {refusal}");
            assert!(!refusal.contains("stack"), "{name} {depth}: {refusal}");
        }
    }
}

#[test]
fn an_expression_that_fails_at_work_does_not_take_the_policy_down() {
    let settings = json!({ "tiers": [], "rules": [
        { "when": "labels[5] == 'bug'", "weight": 1 },
        { "points": "10 / (comments - 1)", "max_points": 100 },
    ]});
    let scored = ruled_by(settings).unwrap().ranker.score(rows(3), later()).unwrap();
    let values: Vec<_> = scored.iter().map(|scored| scored.value).collect();
    assert_eq!(values, [-10.0, 0.0, 10.0]);
}

#[test]
fn a_full_table_of_expressions_scores_a_large_repository_within_its_time() {
    let rule = |at: usize| json!({ "when": format!("labels.exists(l, l == 'p{at}') && comments > {at}"), "weight": 1 });
    let settings = json!({ "rules": (0..16).map(rule).collect::<Vec<_>>() });
    let scored = ruled_by(settings).unwrap().ranker.score(rows(40_000), later()).unwrap();
    // A tier is worth 100 where rules can add 16.
    assert_eq!(scored[39_999].value, 100.0 + 1.0);
}

#[test]
fn an_agent_sent_back_to_the_reviews_is_told_when_to_ask_again() {
    let set = ruled_by(json!({ "max_reviews_per_repo": 5, "review_retry_minutes": 20 })).unwrap();
    let choice = set.ranker.choose(&request(), &shortlist(2), later()).unwrap();
    assert!(choice.order.is_empty());
    let told = "finish review first: 5 of at most 5 pull requests wait in acme/app; try again in 20 minutes";
    assert_eq!(choice.skipped[0].1, told);
    assert_eq!(choice.retry_after_ms, Some(20 * 60_000));
}

#[test]
fn an_issues_skill_is_matched_with_what_the_agent_states() {
    let set = ruled_by(json!({ "needs": [{ "label": "bug", "skill": "rust" }] })).unwrap();
    let mut asking = request();
    assert!(set.ranker.choose(&asking, &shortlist(1), later()).unwrap().order.is_empty());
    asking.skills = vec!["rust".into()];
    assert_eq!(set.ranker.choose(&asking, &shortlist(1), later()).unwrap().order, [0]);
}

#[test]
fn the_stage_that_avoids_overlaps_runs_alone_too() {
    let mut config = config(&PLAIN);
    config.ranker = PolicyConfig::builtin("conflict-aware").into();
    let set = load(&config).unwrap();
    let mut list = shortlist(2);
    for (row, area) in list.iter_mut().zip(["src/net/", "src/ui/"]) {
        row.score = 1.0;
        let mut facts = (*row.facts).clone();
        facts.areas = Box::new([area.into()]);
        row.facts = facts.into();
    }
    let mut asking = request();
    assert_eq!(set.ranker.choose(&asking, &list, later()).unwrap().order, [0, 1]);
    asking.live_claims = vec![issuecommand::policy::LiveWork {
        agent: "b2".parse().unwrap(),
        issue: list[0].facts.issue.clone(),
        status: issuecommand::domain::ClaimStatus::InProgress,
        areas: Box::new(["src/net/tcp.rs".into()]),
        claimed_at: later(),
    }];
    assert_eq!(set.ranker.choose(&asking, &list, later()).unwrap().order, [1, 0]);
}
