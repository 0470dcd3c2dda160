//! Stale rules and repository filters, from a new folder to what their cases and their costs say.

use std::fs;

use issuecommand::policy::builtin_component;
use serde_json::Value;

use crate::desk::{command, failed, patient, policy, succeeded, with_our_crates};

/// A new policy of a kind in Rust builds, answers as its cases say, and a server would take it.
fn begins_well(kind: &str, told: &str, timed: &str, case_count: usize) {
    let desk = tempfile::tempdir().unwrap();
    // Tests share cargo's target folder, where a crate's name is its file's.
    let name = format!("my-{kind}");
    let text = succeeded(&policy(desk.path(), &["new", &name, "--kind", kind]));
    assert!(text.contains(&format!("a {told} in rust")), "{text}");
    let folder = desk.path().join(&name);
    with_our_crates(&folder);
    succeeded(&policy(&folder, &["build"]));
    let text = succeeded(&policy(&folder, &["test"]));
    assert!(text.contains(&format!("{case_count} passed, 0 failed")), "{text}");
    let text = succeeded(&policy(&folder, &["check", "--config", &patient(&folder)]));
    for said in [&format!("a {told} against"), timed, "A server would take it"] {
        assert!(text.contains(said), "{said}: {text}");
    }
    let text = succeeded(&command("cargo", &folder).args(["test", "--quiet"]).output().unwrap());
    assert!(text.contains("1 passed"), "{text}");
}

#[test]
fn a_new_stale_rule_begins_well() {
    begins_well("stale-rule", "stale rule", "time of assess, 1000 claims", 4);
}

#[test]
fn a_new_repository_filter_begins_well() {
    begins_well("repo-filter", "repository filter", "time of exclude, 1000 repositories", 2);
}

const SETTINGS: &str = r#"
[policies.stale_rule.settings]
claim_timeout_minutes = 10
auto_release_minutes = 5
[policies.repo_filter.settings]
allow = ["acme/*"]
"#;

const CLAIMS: &str = r#"
[[case]]
name = "how the built-in rule sees them"
claims = [
  { number = 1, claimed = "1 hour ago", last_call = "9 minutes ago" },
  { number = 2, claimed = "1 hour ago", last_call = "10 minutes ago" },
  { number = 3, claimed = "1 hour ago", last_call = "10 minutes ago", last_commit = "1 minute ago" },
  { number = 4, status = "stale", claimed = "1 hour ago", since = "5 minutes ago", last_call = "15 minutes ago" },
  { repo = "acme/web", number = 4, status = "pr_submitted", claimed = "9 days ago", pull = "open", ci = "success" },
]
expect.verdicts = { 1 = "healthy", 2 = "stale", 3 = "healthy", "acme/app#4" = "dead", "acme/web#4" = "waiting" }

[[case]]
name = "repositories, in the same file"
repos = [{ name = "acme/app" }, { name = "other/app" }, { name = "acme/old", archived = true }]
expect.in = ["acme/app"]
expect.out = { "other/app" = "allow list", "acme/old" = "archived" }
"#;

#[test]
fn the_rules_of_a_configuration_are_tested_whatever_they_decide() {
    let desk = tempfile::tempdir().unwrap();
    fs::write(desk.path().join("issuecommand.toml"), SETTINGS).unwrap();
    let run = |cases: &str| {
        fs::write(desk.path().join("cases.toml"), cases).unwrap();
        policy(desk.path(), &["test", "--config", "issuecommand.toml", "cases.toml"])
    };
    let text = succeeded(&run(CLAIMS));
    assert!(text.contains("2 passed, 0 failed"), "{text}");
    for (from, to, words) in [
        ("2 = \"stale\"", "2 = \"healthy\"", ["verdicts.2", "expected  healthy", "got       stale (suspect)"]),
        ("expect.in = [\"acme/app\"]", "expect.in = []", ["in", "expected  none", "got       acme/app"]),
        ("\"acme/old\" = \"archived\"", "\"acme/app\" = \"a fork\"", ["out.acme/app", "a fork", "it takes part"]),
    ] {
        let text = failed(&run(&CLAIMS.replace(from, to)));
        assert!(words.iter().all(|words| text.contains(words)), "{text:?} does not say {words:?}");
    }
}

#[test]
fn a_case_that_cannot_be_meant_is_told_why() {
    let desk = tempfile::tempdir().unwrap();
    let rule = desk.path().join("rule.wasm");
    fs::write(&rule, builtin_component("lease-timeouts").unwrap()).unwrap();
    let run = |case: &str| {
        fs::write(desk.path().join("cases.toml"), format!("[[case]]\nname = \"odd\"\n{case}\n")).unwrap();
        policy(desk.path(), &["test", "--wasm", rule.to_str().unwrap(), "cases.toml"])
    };
    let claims = "claims = [{ number = 1 }]";
    succeeded(&run(&format!("{claims}\nexpect.verdicts.1 = \"healthy\"")));
    for (case, words) in [
        (format!("{claims}\nissues = [{{ number = 1 }}]\nexpect.first = 1"), "several kinds of policy"),
        (
            "issues = [{ number = 1 }]\nexpect.first = 1".to_owned(),
            "it asks a ranker, but the component is a stale rule",
        ),
        (format!("{claims}\nexpect.verdicts.2 = \"healthy\""), "not among its claims"),
        (format!("{claims}\nexpect.verdicts.1 = \"lazy\""), "lazy"),
        ("claims = [{ number = 1, status = \"closed\" }]\nexpect.verdicts.1 = \"dead\"".to_owned(), "live ones"),
    ] {
        let text = failed(&run(&case));
        assert!(text.contains(words) && text.contains("cases.toml"), "{text:?} does not say {words:?}");
    }
    let wrong = format!("{claims}\nsettings.claim_timeout_minutes = 0\nexpect.verdicts.1 = \"healthy\"");
    assert!(failed(&run(&wrong)).contains("claim_timeout_minutes: invalid value"));
    let refused = "settings.claim_timeout_minutes = 0\nexpect.refused = \"claim_timeout_minutes\"";
    succeeded(&run(refused));
}

#[test]
fn what_a_sweep_costs_is_measured() {
    let desk = tempfile::tempdir().unwrap();
    for (name, key, rows) in [("lease-timeouts", "stale_rule", "claims"), ("allow-list", "repo_filter", "repositories")]
    {
        fs::write(desk.path().join("p.wasm"), builtin_component(name).unwrap()).unwrap();
        let output = policy(desk.path(), &["bench", "p.wasm", "--json"]);
        let told: Value = serde_json::from_slice(&output.stdout).unwrap();
        let counts: Vec<u64> = told[key].as_array().unwrap().iter().map(|row| row["rows"].as_u64().unwrap()).collect();
        assert_eq!((counts, &told["measured"]), (vec![100, 1_000, 10_000], &Value::Array(Vec::new())), "{told}");
        assert!(told[key][2]["call_us"].as_u64().unwrap() > 0, "{told}");
        let text = succeeded(&policy(desk.path(), &["bench", "p.wasm"]));
        assert!(text.contains(rows) && text.contains("no agent waits"), "{text}");
    }
}

#[test]
fn a_language_is_known_by_its_other_names_and_no_other_language_by_any() {
    let desk = tempfile::tempdir().unwrap();
    let languages = [("javascript", "js"), ("js", "js"), ("py", "python"), ("python", "python"), ("rs", "rust")];
    for (number, (name, language)) in languages.into_iter().enumerate() {
        let text = succeeded(&policy(desk.path(), &["new", &format!("p{number}"), "--lang", name]));
        assert!(text.contains(&format!("a ranker in {language};")), "{name}: {text}");
    }
    let output = policy(desk.path(), &["new", "q", "--lang", "ts"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(!desk.path().join("q").exists());
}
