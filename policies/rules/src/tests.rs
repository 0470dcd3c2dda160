//! The table's rules, over facts made by hand.
#![allow(clippy::unwrap_used)]

mod door;
mod expressions;
mod gates;
mod refusals;
mod schema;
mod waiting;

use issuecommand_policy::settings::parse;
use issuecommand_policy::testing::{CandidateFacts, NOW, Scored, candidate, candidates, explain, score};
use issuecommand_policy::{Instant, Ranker};
use serde_json::{Value, json};

use crate::Rules;

fn rules(settings: Value) -> Rules {
    Rules::new(parse(&settings.to_string()).unwrap()).unwrap()
}

fn refusal(settings: Value) -> String {
    parse(&settings.to_string()).and_then(Rules::new).unwrap_err()
}

fn score_one(settings: Value, facts: CandidateFacts, now: Instant) -> Scored {
    score(&rules(settings), &candidates([facts]), now).remove(0)
}

/// Whether one condition holds: as a skip, so that it is the same code everywhere.
fn holds(condition: Value, facts: CandidateFacts) -> bool {
    score_one(json!({ "skip": [condition] }), facts, NOW).skipped.is_some()
}

#[test]
fn without_settings_the_contracts_labels_give_two_tiers_and_the_rest() {
    let first = ["p0", "priority:critical", "priority/critical", "priority/high", "high", "severity:critical", "sev:1"];
    let second = ["p1", "priority:high", "priority/medium", "medium", "sev:2"];
    let rest = ["p2", "low", "priority/low", "bug", "p00", "priority"];
    let ranker = rules(json!({}));
    for (labels, expected) in [(&first[..], 2.0), (&second[..], 1.0), (&rest[..], 0.0)] {
        for label in labels {
            for spelling in [(*label).to_owned(), format!("  {} ", label.to_uppercase())] {
                let facts = candidates([candidate().label("docs").label(&spelling)]);
                assert_eq!(score(&ranker, &facts, NOW)[0].value, expected, "{spelling:?}");
            }
        }
    }
    assert_eq!(score(&ranker, &candidates([candidate()]), NOW)[0].value, 0.0);
}

#[test]
fn without_settings_nothing_is_skipped_and_no_score_expires() {
    let facts = [candidate().assignee("kim").label("wontfix").opened_days_ago(400), candidate().label("p0")];
    for scored in score(&rules(json!({})), &candidates(facts), NOW) {
        assert_eq!((scored.skipped, scored.valid_until), (None, None));
    }
}

#[test]
fn equals_stay_equal_so_that_the_host_puts_the_older_first() {
    let facts = candidates([candidate().label("p1"), candidate().label("medium").opened_days_ago(9).reactions(50)]);
    let scored = score(&rules(json!({})), &facts, NOW);
    assert_eq!(scored[0].value, scored[1].value);
}

#[test]
fn the_best_label_gives_the_tier() {
    for labels in [["p1", "x", "sev:1"], ["sev:1", "x", "p1"]] {
        let facts = labels.iter().fold(candidate(), |facts, label| facts.label(label));
        assert_eq!(score_one(json!({}), facts, NOW).value, 2.0, "{labels:?}");
    }
    let both = json!({ "tiers": [["now"], ["now", "soon"]] });
    assert_eq!(score_one(both, candidate().label("now"), NOW).value, 2.0);
}

#[test]
fn the_dispatchers_tiers_put_unlabelled_issues_at_medium() {
    let settings = json!({
        "tiers": [["priority/critical"], ["priority/high"], ["priority/medium"], ["priority/low"]],
        "default_tier": 2,
    });
    let labelled = |word| candidate().label(word);
    let facts = ["priority/critical", "priority/high", "priority/medium", "priority/low"].map(labelled);
    let facts = candidates(facts.into_iter().chain([candidate(), candidate().label("bug")]));
    let values: Vec<_> = score(&rules(settings), &facts, NOW).into_iter().map(|scored| scored.value).collect();
    assert_eq!(values, [4.0, 3.0, 2.0, 1.0, 2.0, 2.0]);
}

#[test]
fn a_whole_tier_outranks_everything_that_rules_and_aging_add_and_take() {
    let settings = json!({
        "rules": [
            { "field": "label", "op": "is", "value": "bug", "weight": 60 },
            { "field": "title", "op": "contains", "value": "wip", "weight": -70 },
            { "field": "reactions", "op": "each", "weight": 3, "max_points": 40 },
        ],
        "aging": { "points_per_day": 1, "max_points": 30 },
    });
    let worst_of_tier_1 = candidate().label("p1").title("WIP: later");
    let best_of_the_rest = candidate().label("bug").reactions(1000).opened_days_ago(1000);
    let scored = score(&rules(settings), &candidates([worst_of_tier_1, best_of_the_rest]), NOW);
    assert_eq!(scored[1].value, 60.0 + 40.0 + 30.0);
    assert_eq!(scored[0].value, 1000.0 - 70.0, "a tier is the power of ten above 60 + 70 + 40 + 30");
    assert!(scored[0].value > scored[1].value);
}

#[test]
fn a_tier_outranks_a_sum_that_is_itself_a_power_of_ten() {
    let settings = json!({ "rules": [{ "field": "label", "op": "is", "value": "bug", "weight": 10 }] });
    let scored = score(&rules(settings), &candidates([candidate().label("p1"), candidate().label("bug")]), NOW);
    assert_eq!((scored[0].value, scored[1].value), (100.0, 10.0));
}

#[test]
fn texts_compare_in_every_way_on_every_field() {
    type Put = fn(CandidateFacts, &str) -> CandidateFacts;
    let fields: [(&str, Put); 7] = [
        ("label", |c, text| c.label(text)),
        ("title", |c, text| c.title(text)),
        ("author", |c, text| c.author(text)),
        ("author_association", |c, text| c.author_association(text)),
        ("assignee", |c, text| c.assignee(text)),
        ("milestone", |c, text| c.milestone(text)),
        ("repo", |c, text| c.repo(text)),
    ];
    for (field, put) in fields {
        for (op, value, expected) in [
            ("is", json!("acme/APP-one"), true),
            ("is", json!("acme/app"), false),
            ("is", json!(["x", " ACME/app-one "]), true),
            ("is_not", json!("acme/app-one"), false),
            ("is_not", json!(["x", "y"]), true),
            ("contains", json!("APP"), true),
            ("contains", json!(["x", "y"]), false),
            ("glob", json!("acme/*"), true),
            ("glob", json!(["x*", "*-???"]), true),
            ("glob", json!("app*"), false),
        ] {
            let condition = json!({ "field": field, "op": op, "value": value });
            assert_eq!(holds(condition.clone(), put(candidate(), "Acme/App-One")), expected, "{condition}");
        }
    }
}

#[test]
fn what_may_be_missing_is_present_or_absent() {
    type Put = fn(CandidateFacts) -> CandidateFacts;
    let fields: [(&str, Put); 4] = [
        ("label", |c| c.label("x")),
        ("author", |c| c.author("x")),
        ("assignee", |c| c.assignee("x")),
        ("milestone", |c| c.milestone("x")),
    ];
    for (field, put) in fields {
        let present = || json!({ "field": field, "op": "present" });
        let absent = || json!({ "field": field, "op": "absent" });
        assert!(holds(present(), put(candidate())) && !holds(present(), candidate()), "{field}");
        assert!(!holds(absent(), put(candidate())) && holds(absent(), candidate()), "{field}");
    }
    assert!(holds(json!({ "field": "milestone", "op": "is_not", "value": "v1" }), candidate()));
}

#[test]
fn of_several_labels_one_suffices_and_a_rule_counts_once() {
    let settings = json!({ "rules": [{ "field": "label", "op": "glob", "value": "area/*", "weight": 7 }] });
    assert_eq!(score_one(settings, candidate().label("x").label("area/ui").label("area/db"), NOW).value, 7.0);
    let none = json!({ "field": "label", "op": "is_not", "value": "bug" });
    assert!(!holds(none, candidate().label("x").label("bug")));
}

#[test]
fn conditions_on_different_fields_do_not_mix() {
    let author = json!({ "field": "author", "op": "is", "value": "kim" });
    assert!(!holds(author.clone(), candidate().author("ada").label("kim").assignee("kim").milestone("kim")));
    assert!(holds(author, candidate().author("Kim")));
}

#[test]
fn numbers_have_a_least_and_a_most() {
    type Put = fn(CandidateFacts, u32) -> CandidateFacts;
    let fields: [(&str, Put); 4] = [
        ("comments", |c, n| c.comments(n)),
        ("reactions", |c, n| c.reactions(n)),
        ("age_days", |c, n| c.opened_days_ago(n.into())),
        ("idle_days", |c, n| c.changed_days_ago(n.into())),
    ];
    for (field, put) in fields {
        for (number, at_least, at_most) in [(2, false, true), (3, true, true), (4, true, false)] {
            let facts = || put(candidate(), number);
            let least = json!({ "field": field, "op": "at_least", "value": 3 });
            let most = json!({ "field": field, "op": "at_most", "value": 3 });
            assert_eq!((holds(least, facts()), holds(most, facts())), (at_least, at_most), "{field} {number}");
        }
    }
}

#[test]
fn a_condition_on_time_is_asked_again_at_the_instant_it_turns() {
    for (op, turn_ms) in [("at_least", 0), ("at_most", 1)] {
        let settings = || json!({ "skip": [{ "field": "idle_days", "op": op, "value": 2.5 }] });
        let turn = NOW.plus_ms(60 * 60 * 60 * 1000 + turn_ms);
        let at = |now| score_one(settings(), candidate(), now);
        let before = at(Instant::from_ms(turn.ms() - 1));
        assert_eq!((before.skipped.is_some(), before.valid_until), (op == "at_most", Some(turn)), "{op}");
        let after = at(turn);
        assert_eq!((after.skipped.is_some(), after.valid_until), (op == "at_least", None), "{op}");
    }
}

#[test]
fn waiting_adds_points_for_whole_days_up_to_the_most() {
    let settings = || json!({ "tiers": [], "aging": { "points_per_day": 0.5, "max_points": 2 } });
    let at = |now| score_one(settings(), candidate(), now);
    for (now, value, valid_until) in [
        (NOW, 0.0, Some(NOW.plus_days(1))),
        (Instant::from_ms(NOW.plus_days(1).ms() - 1), 0.0, Some(NOW.plus_days(1))),
        (NOW.plus_days(1), 0.5, Some(NOW.plus_days(2))),
        (NOW.plus_days(3), 1.5, Some(NOW.plus_days(4))),
        (NOW.plus_days(4), 2.0, None),
        (NOW.plus_days(400), 2.0, None),
    ] {
        let scored = at(now);
        assert_eq!((scored.value, scored.valid_until), (value, valid_until), "{now:?}");
    }
}

#[test]
fn the_earliest_change_is_the_one_that_counts() {
    let settings = json!({
        "rules": [{ "field": "age_days", "op": "at_least", "value": 0.5, "weight": 1 }],
        "aging": { "points_per_day": 1, "max_points": 9 },
    });
    let half_a_day = NOW.plus_ms(12 * 60 * 60 * 1000);
    assert_eq!(score_one(settings.clone(), candidate(), NOW).valid_until, Some(half_a_day));
    assert_eq!(score_one(settings, candidate(), half_a_day).valid_until, Some(NOW.plus_days(1)));
}

#[test]
fn each_counts_up_to_the_most_in_both_directions() {
    let settings = |weight: f64| {
        let rule = json!({ "field": "comments", "op": "each", "weight": weight, "max_points": 5 });
        json!({ "tiers": [], "rules": [rule] })
    };
    for (weight, comments, expected) in [(2.0, 2, 4.0), (2.0, 3, 5.0), (-2.0, 2, -4.0), (-2.0, 9, -5.0)] {
        assert_eq!(score_one(settings(weight), candidate().comments(comments), NOW).value, expected);
    }
}

#[test]
fn all_conditions_of_a_rule_must_hold() {
    let settings = json!({
        "tiers": [],
        "rules": [{
            "field": "label", "op": "is", "value": "bug", "weight": 5,
            "and": [{ "field": "comments", "op": "at_least", "value": 2 }, { "field": "assignee", "op": "absent" }],
        }],
    });
    let bug = || candidate().label("bug").comments(2);
    let facts = [bug(), bug().comments(1), bug().assignee("kim"), candidate().comments(2)];
    let values: Vec<_> = score(&rules(settings), &candidates(facts), NOW).iter().map(|scored| scored.value).collect();
    assert_eq!(values, [5.0, 0.0, 0.0, 0.0]);
}

#[test]
fn assigned_issues_are_offered_unless_a_skip_says_otherwise() {
    assert_eq!(score_one(json!({}), candidate().assignee("kim"), NOW).skipped, None);
    let skip = json!({ "skip": [{ "field": "assignee", "op": "present", "reason": "assigned to a person" }] });
    assert_eq!(score_one(skip, candidate().assignee("kim"), NOW).skipped.as_deref(), Some("assigned to a person"));
}

#[test]
fn a_skip_without_a_reason_states_its_conditions_and_the_first_counts() {
    let settings = json!({ "skip": [
        { "field": "label", "op": "is", "value": ["wontfix", "blocked"] },
        { "field": "comments", "op": "at_most", "value": 0, "and": [{ "field": "milestone", "op": "absent" }] },
    ]});
    let reason = |facts| score_one(settings.clone(), facts, NOW).skipped;
    assert_eq!(reason(candidate().label("blocked")).as_deref(), Some("label is wontfix or blocked"));
    assert_eq!(reason(candidate()).as_deref(), Some("comments at most 0 and milestone absent"));
    assert_eq!(reason(candidate().comments(1)), None);
}

#[test]
fn the_terms_of_an_explanation_add_up_to_the_score() {
    let ranker = rules(json!({
        "rules": [
            { "field": "label", "op": "is", "value": "bug", "weight": 10, "name": "bugs" },
            { "field": "label", "op": "is", "value": "docs", "weight": -3 },
            { "field": "reactions", "op": "each", "weight": 0.5, "max_points": 20 },
        ],
        "aging": { "points_per_day": 0.1, "max_points": 50 },
    }));
    let facts = candidates([candidate().label("P1").label("bug").reactions(4).opened_days_ago(10)]);
    let reasons = explain(&ranker, &facts, NOW).remove(0);
    let terms: Vec<_> = reasons.iter().map(|r| (r.rule.as_str(), r.amount, r.text.as_str())).collect();
    assert_eq!(
        terms,
        [
            ("tier", 100.0, "tier 1: label P1"),
            ("bugs", 10.0, ""),
            ("reactions each", 2.0, "reactions 4"),
            ("aging", 1.0, "age_days 10"),
        ]
    );
    let sum: f64 = reasons.iter().map(|reason| reason.amount).sum();
    assert_eq!(sum, score(&ranker, &facts, NOW)[0].value);
}

#[test]
fn what_is_remembered_of_names_is_what_each_of_them_adds_to_the_last_bit() {
    const LABEL_COUNT: u32 = 9;
    let label = |number: u32| format!("l{number}");
    let weighted = |number: u32| {
        let weight = 0.1 * f64::from(number + 1);
        json!({ "field": "label", "op": "is", "value": label(number), "weight": weight })
    };
    let mut list: Vec<_> = (0..LABEL_COUNT).map(weighted).collect();
    list.push(json!({ "field": "label", "op": "is_not", "value": "l0", "weight": -0.7 }));
    list.push(json!({ "field": "comments", "op": "at_least", "value": 1, "weight": 0.3 }));
    let tiered = json!({
        "tiers": [["l1", "l2"], ["l2", "l3"]], "default_tier": 1, "rules": list,
        "aging": { "days_per_tier": 7, "points_per_day": 0.1, "max_points": 3 },
    });
    // More sets of labels than are remembered, each twice, the second time in another order.
    let sets = (0..1u32 << LABEL_COUNT).chain((0..1 << LABEL_COUNT).rev());
    let issue = |set: u32| {
        let labels = (0..LABEL_COUNT).filter(|number| set & 1 << number != 0);
        let issue = candidate().comments(set % 2).opened_days_ago(u64::from(set % 30));
        labels.fold(issue, |issue, number| issue.label(&label(number)))
    };
    let facts = candidates(sets.map(issue));
    for settings in [tiered, json!({ "tiers": [], "rules": list })] {
        let ranker = rules(settings);
        let scores = score(&ranker, &facts, NOW);
        for (row, reasons) in explain(&ranker, &facts, NOW).iter().enumerate() {
            let sum = reasons.iter().fold(0.0, |sum, reason| sum + reason.amount);
            assert_eq!(sum.to_bits(), scores[row].value.to_bits(), "row {row}: {reasons:?}");
        }
    }
}

#[test]
fn every_reason_for_a_skip_explains_itself_and_the_first_one_counts() {
    let ranker = rules(json!({
        "require_approval": true,
        "skip_blocked": true,
        "skip": [
            { "field": "label", "op": "is", "value": "x", "reason": "no x" },
            { "field": "label", "op": "is", "value": "y", "reason": "no y" },
            { "field": "comments", "op": "at_most", "value": 3 },
        ],
        "rules": [{ "field": "label", "op": "is", "value": "x", "weight": 5 }],
    }));
    let facts = candidates([candidate().label("x").blocked_by("acme/app#7").comments(2)]);
    let waits = "waits for a maintainer's approval";
    assert_eq!(score(&ranker, &facts, NOW)[0].skipped.as_deref(), Some(waits));
    let reasons = explain(&ranker, &facts, NOW).remove(0);
    let terms: Vec<_> = reasons.iter().map(|r| (r.rule.as_str(), r.amount, r.text.as_str())).collect();
    let skip = |why| ("skip", 0.0, why);
    assert_eq!(terms, [skip(waits), skip("blocked by acme/app#7"), skip("no x"), skip("comments at most 3")]);
}
