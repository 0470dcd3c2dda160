//! The recorded history of a real repository, where it is at hand beside this one.

use std::path::{Path, PathBuf};

use issuecommand::replay::{History, Outcome, ReplayOptions};
use serde_json::json;

use crate::invented::{compared, replayed};

/// The history; `None`, after a line that says so, where it is not at hand.
fn recorded() -> Option<PathBuf> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/github-history-gui.jsonl");
    if !file.exists() {
        eprintln!("skipped: no recorded history at {}", file.display());
        return None;
    }
    Some(file)
}

#[test]
fn the_default_policy_starves_nothing_in_a_real_history() {
    let Some(file) = recorded() else { return };
    let history = History::read(&file).unwrap();
    assert_eq!((history.issues.len(), history.pulls.len()), (341, 537));
    for (agents, speed) in [(8, 1.0), (2, 1.0), (8, 0.25)] {
        let options = ReplayOptions { agents, speed, ..ReplayOptions::default() };
        let outcome = replayed(&history, json!({}), &options);
        assert_eq!((outcome.starved.len(), outcome.overtaken_max), (0, 0), "{agents} agents at {speed}");
    }
}

#[test]
fn a_rule_starves_as_many_in_a_real_history_as_the_readme_tells() {
    let Some(file) = recorded() else { return };
    let history = History::read(&file).unwrap();
    let bugs = json!({ "rules": [{ "field": "label", "op": "is", "value": "Bug", "weight": 100 }] });
    let starved = [1, 2, 3, 4, 5].map(|seed| {
        replayed(&history, bugs.clone(), &ReplayOptions { seed, ..ReplayOptions::default() }).starved.len()
    });
    assert_eq!(starved, [11, 15, 2, 10, 22]);
    let nothing = json!({ "skip": [{ "when": "true" }] });
    let withheld = replayed(&history, nothing, &ReplayOptions::default()).starved;
    assert!(withheld.len() > 150 && withheld.iter().all(|it| it.overtaken == 0), "{}", withheld.len());
}

#[test]
fn ageing_bounds_overtaking_in_a_real_history() {
    let Some(file) = recorded() else { return };
    let history = History::read(&file).unwrap();
    let bugs = json!([{ "field": "label", "op": "is", "value": "Bug", "weight": 100 }]);
    let ageing = |points: u32| json!({ "rules": bugs, "aging": { "points_per_day": points, "max_points": 100_000 } });
    let furthest = |outcome: &Outcome| outcome.furthest_overtaken.as_ref().unwrap().younger_days;
    for seed in 1..=3 {
        let options = ReplayOptions { seed, ..ReplayOptions::default() };
        let [a, b] = [5, 10].map(ageing);
        let report = compared(&history, [a, b], &options);
        let [by_5, by_10] = &report.outcomes[..] else { panic!("two outcomes") };
        assert!(furthest(by_5) < 20.0 && furthest(by_10) < 10.0, "{} {}", furthest(by_5), furthest(by_10));
        assert!(furthest(&replayed(&history, json!({ "rules": bugs }), &options)) > 100.0);
    }
}

#[test]
fn ageing_shortens_the_longest_wait_of_what_a_rule_puts_last() {
    let Some(file) = recorded() else { return };
    let history = History::read(&file).unwrap();
    let bugs = json!([{ "field": "label", "op": "is", "value": "Bug", "weight": 100 }]);
    let ageing = json!({ "rules": bugs, "aging": { "points_per_day": 1, "max_points": 400 } });
    let report = compared(&history, [json!({ "rules": bugs }), ageing], &ReplayOptions::default());
    let [without, with] = &report.outcomes[..] else { panic!("two outcomes") };
    assert!(with.waiting.p95_days < without.waiting.p95_days, "{:?} {:?}", with.waiting, without.waiting);
    assert!(with.waiting.max_days < without.waiting.max_days);
    assert!(with.overtaken_max < without.overtaken_max);
    assert!(report.changed.unwrap().differing > 0);
}
