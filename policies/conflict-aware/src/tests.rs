//! The stage, over facts made by hand.
#![allow(clippy::unwrap_used)]

use issuecommand_policy::settings::parse;
use issuecommand_policy::testing::{
    CandidateFacts, LiveClaimFacts, NOW, Offered, candidate, candidates, choose, explain, live_claim, request, score,
};
use issuecommand_policy::{Instant, Ranker};
use serde_json::{Value, json};

use crate::{ConflictAware, Settings};

fn stage(settings: Value) -> ConflictAware {
    ConflictAware::new(parse(&settings.to_string()).unwrap()).unwrap()
}

fn offered(settings: Value, beside: &[LiveClaimFacts], facts: &[CandidateFacts]) -> Offered {
    let request = request("ada", &[]).beside(beside.iter().cloned());
    choose(&stage(settings), &request, &candidates(facts.iter().cloned()))
}

fn touching(path: &str) -> CandidateFacts {
    candidate().area(path)
}

#[test]
fn work_that_overlaps_with_anothers_comes_later() {
    let beside = [live_claim().area("src/net/tcp.rs")];
    let facts = [touching("src/net/tcp.rs"), touching("src/net/udp.rs"), touching("src/ui/menu.rs"), candidate()];
    assert_eq!(offered(json!({}), &beside, &facts), Offered { rows: vec![2, 3, 1, 0], skipped: vec![] });
}

#[test]
fn without_live_claims_of_others_the_order_stays_as_it_is() {
    let facts = [touching("src/net/tcp.rs"), touching("src/ui/menu.rs")];
    let keeps = |beside: &[LiveClaimFacts]| assert_eq!(offered(json!({}), beside, &facts).rows, [0, 1]);
    keeps(&[]);
    keeps(&[live_claim().agent("ada").area("src/net/tcp.rs")]);
    keeps(&[live_claim().repo("acme/other").area("src/net/tcp.rs")]);
    keeps(&[live_claim().status("pr_merged").area("src/net/tcp.rs")]);
    keeps(&[live_claim()]);
}

#[test]
fn overlaps_with_several_claims_add_up() {
    let beside =
        [live_claim().area("src/a.rs"), live_claim().agent("c").area("src/b.rs"), live_claim().area("src/a.rs")];
    let facts = [touching("src/a.rs"), touching("src/b.rs")];
    assert_eq!(offered(json!({}), &beside, &facts).rows, [1, 0]);
}

#[test]
fn a_more_urgent_issue_stays_ahead_unless_the_gap_is_allowed() {
    let beside = [live_claim().area("src/a.rs")];
    let facts = [touching("src/a.rs").scored(2.0), candidate().scored(1.0)];
    assert_eq!(offered(json!({}), &beside, &facts).rows, [0, 1]);
    assert_eq!(offered(json!({ "max_score_gap": 1 }), &beside, &facts).rows, [1, 0]);
}

#[test]
fn an_issue_waits_no_longer_than_the_window() {
    let beside = [live_claim().area("src/a.rs")];
    let mut facts = vec![candidate(); 12];
    facts[0] = touching("src/a.rs");
    let place = |settings| offered(settings, &beside, &facts).rows.iter().position(|row| *row == 0);
    assert_eq!(place(json!({})), Some(8));
    assert_eq!(place(json!({ "window": 2 })), Some(2));
    assert_eq!(place(json!({ "window": 0 })), Some(0));
}

#[test]
fn an_issue_that_keeps_overlapping_is_passed_by_none_that_is_much_younger() {
    let beside = [live_claim().area("src/a.rs")];
    let [near, far] = [17, 15].map(|days| candidate().opened_days_ago(days));
    let facts = [touching("src/a.rs").opened_days_ago(30), near, far];
    assert_eq!(offered(json!({}), &beside, &facts).rows, [1, 0, 2]);
    assert_eq!(offered(json!({ "max_overtake_days": 15 }), &beside, &facts).rows, [1, 2, 0]);
    assert_eq!(offered(json!({ "max_overtake_days": 0 }), &beside, &facts).rows, [0, 1, 2]);
}

#[test]
fn where_it_is_hard_overlapping_work_is_not_given_out_and_says_with_what() {
    let beside = [live_claim().agent("bob").number(12).area("src/net/")];
    let facts = [touching("src/net/tcp.rs"), touching("src/ui/menu.rs"), touching("src/net.rs")];
    let offered = offered(json!({ "hard": true }), &beside, &facts);
    assert_eq!(offered.rows, [1, 2]);
    let reason = "may touch src/net/tcp.rs, as does acme/app#12, on which bob works";
    assert_eq!(offered.skipped, [(0, reason.to_owned())]);
    let offered = self::offered(json!({ "hard": true, "hard_overlap": 0.7 }), &beside, &facts);
    assert_eq!(offered.skipped, []);
}

#[test]
fn it_scores_nothing_explains_nothing_and_never_expires() {
    let facts = candidates([touching("src/a.rs").label("p0")]);
    let scored = score(&stage(json!({})), &facts, NOW).remove(0);
    assert_eq!((scored.value, scored.valid_until, scored.skipped), (0.0, None, None));
    assert!(explain(&stage(json!({})), &facts, Instant::from_ms(0))[0].is_empty());
}

#[test]
fn wrong_settings_are_refused_by_their_key() {
    for (settings, expected) in [
        (json!({ "window": 1001 }), "window: 1001 is more than 1000 places"),
        (json!({ "window": -1 }), "window: invalid value: integer `-1`"),
        (json!({ "max_score_gap": -0.5 }), "max_score_gap: -0.5 is not 0 or more"),
        (json!({ "max_overtake_days": 36_501 }), "max_overtake_days: 36501 is more than 36500 days"),
        (json!({ "hard_overlap": 0 }), "hard_overlap: 0 is not above 0 and up to 1"),
        (json!({ "hard_overlap": 1.5 }), "hard_overlap: 1.5 is not"),
        (json!({ "hrad": true }), "hrad: unknown field `hrad`"),
    ] {
        let refusal = parse(&settings.to_string()).and_then(ConflictAware::new).unwrap_err();
        assert!(refusal.starts_with(expected), "{settings} gave {refusal}");
    }
}

#[test]
fn the_schema_names_every_setting_and_its_default() {
    let schema: Value = serde_json::from_str(&ConflictAware::settings_schema()).unwrap();
    let properties = schema["properties"].as_object().unwrap();
    let defaults: serde_json::Map<String, Value> =
        properties.iter().map(|(key, it)| (key.clone(), it["default"].clone())).collect();
    let written: Settings = parse(&Value::Object(defaults).to_string()).unwrap();
    assert_eq!(format!("{written:?}"), format!("{:?}", Settings::default()));
    let known = parse::<Settings>(r#"{"?":1}"#).unwrap_err();
    assert_eq!(known.matches('`').count(), 2 + 2 * properties.len(), "{known}");
}
