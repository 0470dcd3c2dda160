//! What `policy check`, `test` and `inspect` say: of a sound policy, and of one that is wrong.

use std::fs;

use issuecommand::policy::builtin_component;
use serde_json::Value;

use crate::desk::{failed, patient, policy, rules, succeeded};

#[test]
fn a_sound_component_is_told_whole() {
    let desk = tempfile::tempdir().unwrap();
    let file = rules(desk.path());
    let file = file.to_str().unwrap();
    let text = succeeded(&policy(desk.path(), &["check", "--config", &patient(desk.path()), file]));
    assert!(text.contains("a ranker against issuecommand:policy@0.1.0") && text.contains("Pin it with"), "{text}");
    let output = policy(desk.path(), &["inspect", file, "--json"]);
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["kinds"], serde_json::json!(["ranker"]));
    assert_eq!(told["sha256"].as_str().unwrap().len(), 64);
    assert!(told["settings_schemas"]["ranker"]["properties"]["rules"].is_object(), "{told}");
    let text = succeeded(&policy(desk.path(), &["inspect", file]));
    assert!(text.contains("max_claims_per_agent") && text.contains("[policies.ranker.settings]"), "{text}");
}

#[test]
fn what_is_no_sound_component_is_told_in_a_sentence() {
    let desk = tempfile::tempdir().unwrap();
    let whole = builtin_component("rules").unwrap();
    for (bytes, words) in [
        (&whole[..whole.len() / 2], "cut short"),
        (b"fn main() {}", "it is text"),
        (b"\0asm\x01\0\0\0", "issuecommand policy build"),
        (b"", "empty"),
        (b"\0asm\x0d\0\x01\0", "exports nothing"),
    ] {
        fs::write(desk.path().join("p.wasm"), bytes).unwrap();
        let text = failed(&policy(desk.path(), &["check", "p.wasm"]));
        assert!(text.contains(words), "{text:?} does not say {words:?}");
    }
    let text = failed(&policy(desk.path(), &["check", "none.wasm"]));
    assert!(text.contains("there is no file none.wasm"), "{text}");
    let text = failed(&policy(desk.path(), &["build"]));
    assert!(text.contains("policy new"), "{text}");
}

const TABLE: &str = r#"
[policies.ranker.settings]
rules = [{ field = "label", op = "is", value = "bug", weight = 10 }]
"#;

fn cases(order: &str) -> String {
    format!(
        "[[case]]\nname = \"bugs first\"\nissues = [{{ number = 1, opened = \"9 days ago\" }}, \
         {{ number = 2, labels = [\"bug\"] }}]\nexpect.order = {order}\n"
    )
}

#[test]
fn a_table_of_rules_is_tested_without_a_component() {
    let desk = tempfile::tempdir().unwrap();
    fs::write(desk.path().join("issuecommand.toml"), TABLE).unwrap();
    fs::write(desk.path().join("cases.toml"), cases("[2, 1]")).unwrap();
    let text = succeeded(&policy(desk.path(), &["test", "--config", "issuecommand.toml", "cases.toml"]));
    assert!(text.contains("1 passed, 0 failed"), "{text}");
}

#[test]
fn a_case_that_fails_shows_both_orders_and_why() {
    let desk = tempfile::tempdir().unwrap();
    fs::write(desk.path().join("issuecommand.toml"), TABLE).unwrap();
    fs::write(desk.path().join("cases.toml"), cases("[1, 2]")).unwrap();
    let arguments = ["test", "--config", "issuecommand.toml", "cases.toml"];
    let text = failed(&policy(desk.path(), &arguments));
    for words in ["FAIL", "bugs first", "expected  1, 2", "got       2, 1", "acme/app#2", "+10", "1 failed"] {
        assert!(text.contains(words), "{text} does not say {words:?}");
    }
    let output = policy(desk.path(), &[&arguments[..], &["--json"]].concat());
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((told["ok"].as_bool(), &told["cases"][0]["differences"][0]["got"]), (Some(false), &Value::from("2, 1")));
}

#[test]
fn every_fact_of_a_case_reaches_the_policy_and_a_wrong_one_is_refused() {
    let desk = tempfile::tempdir().unwrap();
    fs::write(desk.path().join("issuecommand.toml"), TABLE).unwrap();
    let all = r#"
now = 2026-03-01
[[case]]
name = "all facts"
agent = { name = "a", skills = ["rust"], groups = ["g"], claims = ["acme/app"], reviews = 1 }
issues = [{ repo = "acme/web", number = 1, title = "t", body = "b", labels = ["bug"], assignees = [], milestone = "m",
  author = "ann", author_association = "OWNER", comments = 1, reactions = 2, opened = 2026-02-01, changed = "1 day ago",
  topics = ["x"], blocked_by = ["acme/app#9"], approval = "approved", areas = ["src/"], reviewers = ["ben"],
  repo_claims = 1, repo_reviews = 2, reviewer_load = 3 }]
live_claims = [{ agent = "b", issue = "acme/web#7", areas = ["src/"], status = "in_progress", claimed = "2 hours ago" }]
expect.first = "acme/web#1"
"#;
    let run = |text: &str| {
        fs::write(desk.path().join("cases.toml"), text).unwrap();
        policy(desk.path(), &["test", "--config", "issuecommand.toml", "cases.toml"])
    };
    succeeded(&run(all));
    for (from, to, words) in [
        ("approval = \"approved\"", "approval = \"maybe\"", "maybe"),
        ("\"1 day ago\"", "\"last week\"", "no point in time"),
        ("\"acme/web#7\"", "\"acme\"", "live claim"),
        ("acme/web#1", "acme/web#2", "not among its issues"),
    ] {
        let text = failed(&run(&all.replace(from, to)));
        assert!(text.contains(words) && text.contains("cases.toml"), "{text:?} does not say {words:?}");
    }
}
