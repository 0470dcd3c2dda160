//! What keeps an issue from everybody: blockers and missing approval; and the facts behind them as fields.

use issuecommand_policy::testing::{CandidateFacts, NOW, candidate};
use serde_json::{Value, json};

use super::{holds, score_one};

fn skipped(settings: Value, facts: CandidateFacts) -> Option<String> {
    score_one(settings, facts, NOW).skipped
}

#[test]
fn a_blocked_issue_waits_for_its_blockers_by_name_where_the_table_says_so() {
    let blocked = || candidate().blocked_by("acme/app#7").blocked_by("acme/web#9");
    assert_eq!(skipped(json!({}), blocked()), None);
    let settings = || json!({ "skip_blocked": true });
    assert_eq!(skipped(settings(), blocked()).as_deref(), Some("blocked by acme/app#7 and acme/web#9"));
    assert_eq!(skipped(settings(), candidate()), None);
}

#[test]
fn an_issue_waits_for_approval_and_again_after_an_edit() {
    let settings = || json!({ "require_approval": true });
    let member = || candidate().author_association("MEMBER");
    assert_eq!(skipped(settings(), member()).as_deref(), Some("waits for a maintainer's approval"));
    assert_eq!(skipped(settings(), member().approved()), None);
    let told = "edited after approval: waits for a maintainer to approve it again";
    assert_eq!(skipped(settings(), member().edited_after_approval()).as_deref(), Some(told));
    assert_eq!(skipped(json!({ "require_approval": false }), member().edited_after_approval()), None);
}

#[test]
fn only_outsiders_need_approval_where_the_table_says_so() {
    let settings = || json!({ "require_approval": "outsiders" });
    for insider in ["OWNER", "MEMBER", "COLLABORATOR"] {
        assert_eq!(skipped(settings(), candidate().author_association(insider)), None, "{insider}");
    }
    for outsider in ["NONE", "CONTRIBUTOR", "FIRST_TIMER", ""] {
        let facts = || candidate().author_association(outsider);
        assert!(skipped(settings(), facts()).is_some(), "{outsider}");
        assert_eq!(skipped(settings(), facts().approved()), None, "{outsider}");
    }
}

#[test]
fn every_further_fact_is_a_field() {
    type Put = fn(CandidateFacts, &str) -> CandidateFacts;
    let fields: [(&str, Put); 5] = [
        ("body", |c, text| c.body(text)),
        ("topic", |c, text| c.topic("other").topic(text)),
        ("blocked_by", |c, text| c.blocked_by("a/b#1").blocked_by(text)),
        ("area", |c, text| c.area("docs/").area(text)),
        ("reviewer", |c, text| c.reviewer("zoe").reviewer(text)),
    ];
    for (field, put) in fields {
        for (op, value, expected) in [
            ("is", json!("src/NET/a.rs"), true),
            ("is", json!("src/net"), false),
            ("is_not", json!("src/net/a.rs"), false),
            ("contains", json!("NET"), true),
            ("glob", json!("src/*.rs"), true),
            ("matches", json!(r"^src/\w+/[a-c]\.rs$"), true),
            ("matches", json!([r"^net", r"\d\d"]), false),
        ] {
            let condition = json!({ "field": field, "op": op, "value": value });
            assert_eq!(holds(condition.clone(), put(candidate(), "src/net/A.rs")), expected, "{condition}");
        }
    }
    for (field, put) in fields.into_iter().filter(|(field, _)| *field != "body") {
        let condition = |op| json!({ "field": field, "op": op });
        assert!(
            holds(condition("present"), put(candidate(), "x")) && !holds(condition("present"), candidate()),
            "{field}"
        );
        assert!(
            !holds(condition("absent"), put(candidate(), "x")) && holds(condition("absent"), candidate()),
            "{field}"
        );
    }
    let edited = json!({ "field": "approval", "op": "is", "value": "edited" });
    assert!(holds(edited.clone(), candidate().edited_after_approval()) && !holds(edited, candidate().approved()));
}

#[test]
fn a_regular_expression_is_found_anywhere_and_has_no_case() {
    let matches = |pattern: &str, title: &str| {
        holds(json!({ "field": "title", "op": "matches", "value": pattern }), candidate().title(title))
    };
    assert!(matches(r"\b(crash|panic)(s|ed)?\b", "It Crashed again"));
    assert!(!matches(r"\b(crash|panic)(s|ed)?\b", "It is crashproof"));
    assert!(matches("^\\[RFC\\]", "[rfc] Another parser"));
    assert!(matches(r"^\S+$", "ÜBER") && !matches(r"^\S+$", "two words"));
}

#[test]
fn of_a_long_text_only_the_beginning_is_looked_at() {
    let late = |bytes: usize| candidate().body(&("ü".repeat(bytes / 2) + "needle"));
    let condition = || json!({ "field": "body", "op": "contains", "value": "needle" });
    assert!(holds(condition(), late((16 << 10) - 6)));
    assert!(!holds(condition(), late((16 << 10) - 4)));
    assert!(!holds(condition(), late(17 << 10)));
}
