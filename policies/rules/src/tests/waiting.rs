//! What time does: points that decay, tiers gained by waiting, and that nothing waits for ever.

use issuecommand_policy::Instant;
use issuecommand_policy::testing::{NOW, candidate, candidates, explain, score};
use serde_json::{Value, json};

use super::{rules, score_one};

const HOUR_MS: u64 = 60 * 60 * 1000;

#[test]
fn points_halve_with_every_half_life_in_four_steps() {
    let settings = || json!({ "tiers": [], "rules": [{ "field": "idle_days", "op": "decay", "weight": 16, "half_life_days": 4 }] });
    let at = |hours: u64| {
        let scored = score_one(settings(), candidate(), NOW.plus_ms(hours * HOUR_MS));
        (scored.value, scored.valid_until.map(|end| (end.ms() - NOW.ms()) / HOUR_MS))
    };
    assert_eq!(at(0), (16.0, Some(24)));
    assert_eq!(at(23), (16.0, Some(24)));
    let (after_a_day, until) = at(24);
    assert!((after_a_day - 16.0 * 0.5f64.powf(0.25)).abs() < 1e-12 && until == Some(48), "{after_a_day}");
    assert_eq!(at(96), (8.0, Some(120)));
    assert_eq!(at(2 * 96), (4.0, Some(2 * 96 + 24)));
    assert_eq!(at(9 * 96), (16.0 / 512.0, Some(9 * 96 + 24)));
    assert_eq!(at(10 * 96), (0.0, None), "a thousandth is nothing, and nothing needs no further look");
}

#[test]
fn a_step_before_its_end_is_the_same_and_at_its_end_another() {
    let settings = || json!({ "tiers": [], "rules": [{ "field": "age_days", "op": "decay", "weight": -3, "half_life_days": 0.25 }] });
    let end = score_one(settings(), candidate(), NOW).valid_until.unwrap();
    let at = |now| score_one(settings(), candidate(), now).value;
    assert_eq!(at(Instant::from_ms(end.ms() - 1)), -3.0);
    assert!(at(end) > -3.0);
}

#[test]
fn each_so_many_days_of_waiting_make_up_for_a_tier() {
    let settings = || json!({ "aging": { "days_per_tier": 30 } });
    let of_days = |days, label: &str| score_one(settings(), candidate().label(label).opened_days_ago(days), NOW).value;
    assert_eq!((of_days(0, "p0"), of_days(0, "p1"), of_days(0, "x")), (2.0, 1.0, 0.0));
    assert_eq!((of_days(29, "x"), of_days(30, "x"), of_days(60, "x"), of_days(300, "x")), (0.0, 1.0, 2.0, 10.0));
    assert_eq!(of_days(30, "p0"), 3.0);
    let scored = score_one(settings(), candidate().opened_days_ago(45), NOW);
    assert_eq!(scored.valid_until, Some(NOW.plus_days(15)));
}

#[test]
fn tiers_gained_by_waiting_explain_themselves() {
    let ranker = rules(json!({ "aging": { "days_per_tier": 30, "points_per_day": 0.5, "max_points": 20 } }));
    let facts = candidates([candidate().label("p1").opened_days_ago(65)]);
    let reasons = explain(&ranker, &facts, NOW).remove(0);
    let terms: Vec<_> = reasons.iter().map(|r| (r.rule.as_str(), r.amount, r.text.as_str())).collect();
    assert_eq!(
        terms,
        [
            ("tier", 100.0, "tier 1: label p1"),
            ("waiting", 200.0, "tiers gained: 2, one for each 30 days"),
            ("aging", 20.0, "age_days 65"),
        ]
    );
}

/// Days until an issue without a label is picked, when a more urgent one comes in every day and one issue is
/// picked every day; `None` if it still waits after three years.
fn days_until_picked(settings: Value, urgent: &str) -> Option<u64> {
    let ranker = rules(settings);
    let mut open = vec![(0, candidate().opened_at(NOW))];
    (1..3 * 365).find(|day| {
        let now = NOW.plus_days(*day);
        open.push((*day, candidate().label(urgent).opened_at(now)));
        let scored = score(&ranker, &candidates(open.iter().map(|(_, facts)| facts.clone())), now);
        // As the host orders: the best score, then the oldest, which is the first in the list.
        let best = (0..open.len()).rev().max_by(|a, b| scored[*a].value.total_cmp(&scored[*b].value)).unwrap();
        open.remove(best).0 == 0
    })
}

#[test]
fn whatever_comes_in_nothing_waits_for_ever_where_waiting_makes_up_for_tiers() {
    let aging = || json!({ "aging": { "days_per_tier": 30 } });
    assert_eq!(days_until_picked(aging(), "p1"), Some(30));
    assert_eq!(days_until_picked(aging(), "p0"), Some(60));
    assert_eq!(days_until_picked(json!({}), "p0"), None, "tiers are absolute without it");
    let ten_tiers: Vec<_> = (0..10).map(|tier| [format!("t{tier}")]).collect();
    let settings = json!({ "tiers": ten_tiers, "aging": { "days_per_tier": 30 }, "rules": [
        { "field": "label", "op": "is", "value": "t0", "weight": 500 },
    ]});
    // Ten tiers are 300 days, and the rule's points, which stay within a tier, are another 30.
    assert_eq!(days_until_picked(settings, "t0"), Some(330));
}

#[test]
fn a_score_that_was_kept_until_its_end_is_the_score_of_any_instant_before() {
    let ranker = rules(json!({
        "aging": { "days_per_tier": 7, "points_per_day": 1, "max_points": 40 },
        "rules": [
            { "field": "idle_days", "op": "decay", "weight": 9, "half_life_days": 3 },
            { "field": "age_days", "op": "at_least", "value": 2.5, "weight": 4 },
            { "points": "age_days * 2", "max_points": 30 },
        ],
    }));
    let facts = candidates([candidate()]);
    let mut now = NOW;
    for _ in 0..200 {
        let scored = score(&ranker, &facts, now).remove(0);
        let Some(end) = scored.valid_until else { return };
        assert!(end > now);
        let before = score(&ranker, &facts, Instant::from_ms(end.ms() - 1)).remove(0);
        assert_eq!(before, scored);
        now = end;
    }
}
