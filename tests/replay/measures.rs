//! What a replay finds in histories that were invented so that it must find it.

use issuecommand::replay::{Outcome, ReplayOptions, page, replay};
use serde_json::{Value, json};

use crate::invented::{compared, contender, history, issue, merged, on, picked, replayed, slow};

/// One issue about documentation, and a bug on each of the days behind it: more than one slow agent can do.
fn bugs_pour_in() -> Vec<Value> {
    let bugs = (2..=120).map(|number| issue(number, u32::try_from(number).unwrap(), &["bug"]));
    std::iter::once(issue(1, 2, &["docs"])).chain(bugs).collect()
}

fn bugs_first() -> Value {
    json!({ "rules": [{ "field": "label", "op": "is", "value": "bug", "weight": 10 }] })
}

fn bugs_first_with_ageing() -> Value {
    bugs_first_ageing_by(1)
}

fn bugs_first_ageing_by(points_per_day: u32) -> Value {
    json!({
        "rules": [{ "field": "label", "op": "is", "value": "bug", "weight": 10 }],
        "aging": { "points_per_day": points_per_day, "max_points": 10_000 },
    })
}

#[test]
fn the_same_inputs_give_the_same_report_byte_for_byte() {
    let history = history(&bugs_pour_in());
    let report = |seed| {
        let options = ReplayOptions { agents: 3, seed, ..slow() };
        serde_json::to_string(&compared(&history, [bugs_first(), bugs_first_with_ageing()], &options)).unwrap()
    };
    assert_eq!(report(1), report(1));
    assert_ne!(report(1), report(2), "another seed draws other durations");
}

#[test]
fn an_issue_that_others_overtake_for_ever_is_told_as_starved() {
    let history = history(&bugs_pour_in());
    let outcome = replayed(&history, bugs_first(), &slow());
    let starved: Vec<_> = outcome.starved.iter().map(|starved| starved.issue.as_str()).collect();
    assert_eq!(starved, ["acme/small#1"]);
    assert!(outcome.starved[0].overtaken > 10 && outcome.starved[0].days > 100.0, "{:?}", outcome.starved);
}

#[test]
fn what_a_policy_gives_to_nobody_has_starved_though_nothing_overtook_it() {
    let history = history(&bugs_pour_in());
    let nothing = json!({ "skip": [{ "when": "true", "reason": "not now" }] });
    let outcome = replayed(&history, nothing, &slow());
    // Those of the last ten days have not waited for long enough.
    assert_eq!((outcome.picked, outcome.overtaken_max, outcome.starved.len()), (0, 0, 109));
    let first = &outcome.starved[0];
    assert_eq!((first.issue.as_str(), first.overtaken, first.skipped.as_deref()), ("acme/small#1", 0, Some("not now")));
    assert!(first.withheld >= 100, "an agent asked on every day: {first:?}");
    // Where all are busy nobody asks in vain, however long the rest waits.
    let busy = replayed(&history, json!({}), &slow());
    assert!(busy.waiting.still_waiting > 50 && busy.starved.is_empty() && busy.empty_asks == 0, "{:?}", busy.starved);
}

#[test]
fn an_issue_that_people_closed_before_agents_asked_in_vain_has_not_starved() {
    let mut records = vec![issue(1, 2, &["later"]), issue(2, 40, &["later"]), issue(3, 90, &["later"])];
    records[0]["closed_at"] = json!(on(30));
    let skip = json!({ "skip": [{ "field": "label", "op": "is", "value": "later" }] });
    let outcome = replayed(&history(&records), skip, &slow());
    let withheld: Vec<_> = outcome.starved.iter().map(|it| (it.issue.as_str(), it.withheld)).collect();
    // Asked was when something happened: on the days 2, 30, 40 and 90, the last of the history.
    assert_eq!(withheld, [("acme/small#2", 2), ("acme/small#1", 1)]);
}

#[test]
fn oldest_first_overtakes_nobody() {
    let history = history(&bugs_pour_in());
    let outcome = replayed(&history, json!({}), &slow());
    assert_eq!((outcome.starved.len(), outcome.overtaken_max, picked(&outcome)[0]), (0, 0, "1"));
    assert!(outcome.furthest_overtaken.is_none());
    assert!(outcome.waiting.still_waiting > 50, "there is more work than one agent can do: {:?}", outcome.waiting);
}

#[test]
fn ageing_brings_an_old_issue_to_its_turn() {
    let history = history(&bugs_pour_in());
    let outcome = replayed(&history, bugs_first_with_ageing(), &slow());
    let pick = outcome.picks.iter().find(|pick| pick.issue == "acme/small#1").expect("it is picked");
    // It draws level once it is ten days older than the oldest bug that waits.
    assert!((10.0..40.0).contains(&pick.waited_days), "{pick:?}");
    assert_eq!(outcome.starved.len(), 0);
}

/// So much younger was what overtook the furthest, in days.
fn younger_days(outcome: &Outcome) -> f64 {
    outcome.furthest_overtaken.as_ref().expect("something was overtaken").younger_days
}

#[test]
fn ageing_bounds_how_much_younger_is_what_overtakes() {
    // Every third issue is no bug, so there is always one to overtake.
    let some_bugs: Vec<_> = (1..=240).map(|n| issue(n.into(), n, &["bug"][..usize::from(n % 3 != 0)])).collect();
    let history = history(&some_bugs);
    let without = replayed(&history, bugs_first(), &slow());
    assert!(younger_days(&without) > 30.0, "{:?}", without.furthest_overtaken);
    for points_per_day in [1, 2, 5] {
        let with = replayed(&history, bugs_first_ageing_by(points_per_day), &slow());
        // A bug is worth 10 points: so many days.
        let bound = 10.0 / f64::from(points_per_day);
        let furthest = younger_days(&with);
        assert!(furthest < bound && furthest >= bound - 2.0, "{points_per_day} a day: {furthest} of {bound}");
    }
}

#[test]
fn what_a_policy_keeps_back_is_not_overtaken() {
    let history = history(&bugs_pour_in());
    let mut settings = bugs_first();
    settings["skip"] = json!([{ "field": "label", "op": "is", "value": "docs" }]);
    let outcome = replayed(&history, settings, &slow());
    assert!(outcome.overtaken_max > 10 && outcome.furthest_overtaken.is_none(), "{:?}", outcome.furthest_overtaken);
    let free = replayed(&history, bugs_first(), &slow()).furthest_overtaken.expect("the first is never picked");
    assert_eq!(free.issue, "acme/small#1");
    assert!(free.younger_days > 10.0, "{free:?}");
}

#[test]
fn a_cap_holds_agents_back_and_is_counted_by_its_words() {
    let history = history(&bugs_pour_in());
    let options = ReplayOptions { speed: 1.0, ..slow() };
    let free = replayed(&history, json!({}), &options);
    let capped = replayed(&history, json!({ "max_claims_per_agent": 1 }), &options);
    assert!(capped.picked < free.picked, "{} of {}", capped.picked, free.picked);
    assert!(capped.held_back_share > 0.1 && free.held_back_share == 0.0, "{}", capped.held_back_share);
    assert!(capped.skipped[0].reason.contains("1 of at most 1 claims"), "{:?}", capped.skipped);
}

#[test]
fn two_policies_are_held_against_each_other_from_the_same_state() {
    let history = history(&bugs_pour_in());
    let report = compared(&history, [bugs_first(), json!({})], &slow());
    let changed = report.changed.unwrap();
    assert_eq!(report.outcomes.len(), 2);
    let first = &changed.first[0];
    assert_eq!((first.picked.as_str(), first.other.as_deref()), ("acme/small#2", Some("acme/small#1")));
    assert!(first.why.contains("+10") && first.why_other.starts_with("score 0"), "{first:?}");
    // Under bugs first the older issue stays where it is, so oldest first would take it at every pick.
    assert_eq!(changed.differing, changed.picks);
    assert_eq!(compared(&history, [json!({}), json!({})], &slow()).changed.unwrap().differing, 0);
}

#[test]
fn waiting_is_told_by_priority() {
    let options = ReplayOptions { priorities: vec![vec!["Bug ".into()]], ..slow() };
    let outcome = replayed(&history(&bugs_pour_in()), bugs_first(), &options);
    let names: Vec<_> = outcome.by_priority.iter().map(|named| (named.name.as_str(), named.waits.picked)).collect();
    assert_eq!(names, [("Bug ", outcome.picked), ("none of these", 0)]);
    assert_eq!(outcome.picks[0].priority, 0);
}

#[test]
fn what_people_close_is_not_picked_and_work_on_it_is_lost() {
    let mut records = bugs_pour_in();
    // The agent has begun with the first when it is closed; nobody gets to the forty-first.
    records[0]["closed_at"] = json!(on(2).replace("00:00:00", "00:00:30"));
    records[40]["closed_at"] = json!(on(43));
    let outcome = replayed(&history(&records), json!({}), &slow());
    assert_eq!((picked(&outcome)[0], outcome.work_lost), ("1", 1));
    assert!(!picked(&outcome).contains(&"41"));
    assert_eq!(outcome.closed_unpicked, 1);
}

#[test]
fn work_on_the_same_area_is_told_apart_from_work_elsewhere() {
    let past = (0..4).map(|n| merged(500 + n, 1, "parser: stop at the end", &["src/parser/read.rs"]));
    let titles = [("`src/parser/read.rs` fails", 1), ("`src/parser/read.rs` again", 2), ("`src/ui/main.rs` too", 3)];
    let issues = titles.map(|(title, number)| {
        let mut issue = issue(number, 10, &[]);
        issue["title"] = json!(title);
        issue
    });
    let records: Vec<_> = past.chain(issues).chain([issue(9, 300, &[])]).collect();
    let history = history(&records);
    let options = ReplayOptions { agents: 2, ..slow() };
    let blind = replayed(&history, json!({}), &options);
    assert_eq!(picked(&blind)[..3], ["1", "2", "3"]);
    assert_eq!(blind.picks[..3].iter().map(|pick| pick.overlaps).collect::<Vec<_>>(), [false, true, false]);

    let aware = contender("conflict-aware", json!({}), &history);
    let aware = replay(&history, &aware, None, &options, &|_| ()).unwrap().outcomes.remove(0);
    assert_eq!(picked(&aware)[..2], ["1", "3"], "the second agent is led elsewhere");
    assert!(!aware.picks[1].overlaps);
}

#[test]
fn what_chooses_around_live_claims_overtakes_within_its_bound() {
    let past = (0..4).map(|n| merged(500 + n, 1, "parser: stop at the end", &["src/parser/read.rs"]));
    let issues = (1..=200).map(|number| {
        let mut issue = issue(number.into(), 1 + number, &[]);
        let file = if number % 4 == 0 { "src/ui/main.rs" } else { "src/parser/read.rs" };
        issue["title"] = json!(format!("`{file}` fails, again"));
        issue
    });
    let history = history(&past.chain(issues).collect::<Vec<_>>());
    let options = ReplayOptions { agents: 2, ..slow() };
    let furthest = |max_overtake_days: u32| {
        let settings = json!({ "window": 1000, "max_overtake_days": max_overtake_days });
        let aware = contender("conflict-aware", settings, &history);
        younger_days(&replay(&history, &aware, None, &options, &|_| ()).unwrap().outcomes[0])
    };
    assert!(furthest(1000) > 10.0, "{}", furthest(1000));
    assert!((1.0..=5.0).contains(&furthest(5)), "{}", furthest(5));
}

#[test]
fn texts_of_the_history_are_there_for_policies_that_read_them() {
    let mut records = bugs_pour_in();
    records[50]["body"] = json!("It burns, call somebody");
    let settings = json!({ "rules": [{ "field": "body", "op": "contains", "value": "burns", "weight": 10 }] });
    let outcome = replayed(&history(&records), settings, &slow());
    let pick = outcome.picks.iter().find(|pick| pick.issue == "acme/small#51").expect("it is picked");
    assert_eq!(pick.score, 10.0);
}

#[test]
fn the_page_stands_alone_and_takes_nothing_for_markup() {
    let mut records = bugs_pour_in();
    records[0]["title"] = json!("<script>alert(1)</script>");
    let history = history(&records);
    let rules = contender("rules", bugs_first(), &history);
    let page = page(&replay(&history, &rules, None, &slow(), &|_| ()).unwrap());
    assert!(page.contains("&lt;script&gt;alert(1)"), "the starved issue is listed");
    assert!(!page.contains("<script") && !page.contains("src=") && page.matches("<svg").count() == 3);
}
