//! What `policy check`, `test` and `inspect` say: of a sound policy, and of one that is wrong.

use std::fs;

use issuecommand::policy::builtin_component;
use serde_json::Value;
use sha2::{Digest, Sha256};

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
fn the_policies_that_come_with_the_server_are_inspected_by_their_names() {
    let desk = tempfile::tempdir().unwrap();
    for (name, kind, key) in [
        ("rules", "ranker", "max_claims_per_agent"),
        ("conflict-aware", "ranker", "max_overtake_days"),
        ("lease-timeouts", "stale_rule", "claim_timeout_minutes"),
        ("allow-list", "repo_filter", "allow"),
    ] {
        let source = format!("builtin:{name}");
        let output = policy(desk.path(), &["inspect", &source, "--json"]);
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        let component = builtin_component(name).unwrap();
        assert_eq!((&told["file"], &told["kinds"]), (&Value::from(source.as_str()), &serde_json::json!([kind])));
        assert_eq!(told["sha256"], hex::encode(Sha256::digest(component)));
        assert_eq!(told["bytes"], component.len());
        assert!(told["settings_schemas"][kind]["properties"][key].is_object(), "{told}");
        let text = succeeded(&policy(desk.path(), &["inspect", &source]));
        assert!(text.contains(&format!("file     {source}\n")) && text.contains(key), "{text}");
        assert!(text.contains(told["sha256"].as_str().unwrap()), "{text}");
    }
    let text = failed(&policy(desk.path(), &["inspect", "builtin:rulez"]));
    assert!(text.contains("\"rulez\": there are rules, conflict-aware"), "{text}");
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

const NIGHTLY: &str = r#"
[agent_groups]
nightly = ["nightly-*"]
[policies.ranker.settings]
rules = [{ field = "label", op = "is", value = "bug", weight = 10 }]
needs = [{ label = "at-night", group = "nightly" }]
[[policies.override]]
groups = ["nightly"]
[policies.override.ranker.settings]
rules = [{ field = "label", op = "is", value = "docs", weight = 10 }]
needs = [{ label = "at-night", group = "nightly" }]
"#;

#[test]
fn a_case_is_judged_by_the_override_of_its_agents_group() {
    let desk = tempfile::tempdir().unwrap();
    fs::write(desk.path().join("issuecommand.toml"), NIGHTLY).unwrap();
    let run = |cases: &str| {
        fs::write(desk.path().join("cases.toml"), cases).unwrap();
        policy(desk.path(), &["test", "--config", "issuecommand.toml", "cases.toml"])
    };
    let case = |agent: &str, order: &str| {
        format!(
            "[[case]]\nname = \"a\"\n{agent}\nexpect.order = {order}\nissues = [{{ number = 1, labels = [\"bug\"] }}, \
             {{ number = 2, labels = [\"docs\"] }}, {{ number = 3, labels = [\"at-night\"] }}]\n"
        )
    };
    let cases = [
        case("", "[1, 2]"),
        case("agent.name = \"nightly-1\"", "[2, 1, 3]"),
        case("agent.groups = [\"nightly\"]", "[2, 1, 3]"),
        case("agent = { name = \"claude-1\", groups = [\"nightly\"] }", "[2, 1, 3]"),
        case("agent = { name = \"claude-1\", groups = [\"others\"] }", "[1, 2]"),
    ];
    let text = succeeded(&run(&cases.concat()));
    assert!(text.contains("5 passed"), "{text}");
    let settings = case("agent.name = \"nightly-1\"\nsettings = { tiers = [] }", "[2, 1, 3]");
    let text = failed(&run(&settings));
    assert!(text.contains("settings of [policies.ranker]") && text.contains("groups nightly"), "{text}");
}
