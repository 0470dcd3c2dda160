//! Settings are held to the schema that a policy gives of them, whatever the policy's part is.

use issuecommand::config::{
    CandidateConfig, CandidateMode, OverrideConfig, PoliciesConfig, PolicyConfig, RankerConfig, StageRole,
};
use serde_json::{Value, json};

use crate::chain::{settings, stage};
use crate::stage::{config, fault, file_of, later, load, rows};
use crate::workshop::{CLOSED, NO_SCHEMA, PLAIN};

/// The guest that knows `at`, `do`, `from` and `deny`, and takes whatever it is told.
fn closed(told: Value) -> PolicyConfig {
    PolicyConfig { settings: settings(told), ..config(&CLOSED).stale_rule }
}

#[track_caller]
fn refused(config: &PoliciesConfig) -> String {
    load(config).unwrap_err().to_string()
}

#[test]
fn settings_that_the_schema_refuses_are_refused_in_every_part_by_key() {
    let wrong = closed(json!({"rules": [], "deny": "all"}));
    let plain = || config(&PLAIN);
    let as_override = |it: OverrideConfig| PoliciesConfig { overrides: vec![it], ..plain() };
    let with_stage = RankerConfig {
        stage: vec![stage("kept", StageRole::Filter, 1.0, wrong.clone())],
        ..plain().ranker
    };
    let candidate = CandidateConfig { mode: CandidateMode::Shadow, share: 1.0, ranker: wrong.clone().into() };
    for (part, config) in [
        ("ranker", PoliciesConfig { ranker: wrong.clone().into(), ..plain() }),
        ("ranker", PoliciesConfig { ranker: with_stage, ..plain() }),
        ("stale_rule", PoliciesConfig { stale_rule: wrong.clone(), ..plain() }),
        ("repo_filter", PoliciesConfig { repo_filter: wrong.clone(), ..plain() }),
        ("candidate.ranker", PoliciesConfig { candidate: Some(candidate), ..plain() }),
        (
            "override.ranker",
            as_override(OverrideConfig { ranker: Some(wrong.clone().into()), ..OverrideConfig::default() }),
        ),
        (
            "override.stale_rule",
            as_override(OverrideConfig { stale_rule: Some(wrong.clone()), ..OverrideConfig::default() }),
        ),
    ] {
        let text = refused(&config);
        for words in [
            &format!("[policies.{part}]"),
            "`settings.rules` is no key that it knows (it knows at, deny, do, from)",
            "`settings.deny`: \"all\" is not one of \"forks\" or \"none\"",
            "issuecommand policy inspect ",
        ] {
            assert!(text.contains(words), "{part}: {text:?} does not say {words:?}");
        }
    }
    let right = PoliciesConfig { ranker: closed(json!({"deny": "forks"})).into(), ..plain() };
    assert!(load(&right).unwrap().settings_unchecked().is_empty());
}

#[test]
fn what_a_policy_says_of_its_settings_itself_is_told_before_what_its_schema_says() {
    let mut told = fault("configure", "refuse", 0);
    told.insert("rules".into(), json!([]));
    let config = PoliciesConfig { ranker: closed(told.into()).into(), ..config(&PLAIN) };
    let text = refused(&config);
    assert!(text.contains("I will not rank on a Sunday") && !text.contains("schema"), "{text}");
    let panics = PoliciesConfig {
        ranker: closed(json!({"at": "configure", "do": "panic", "from": 0, "rules": []})).into(),
        ..config
    };
    let text = refused(&panics);
    assert!(text.contains("`settings.rules` is no key"), "a failure says less than the schema: {text}");
}

#[test]
fn a_filter_that_does_not_know_what_the_environment_tells_it_says_where_that_comes_from() {
    let allow = closed(json!({"allow": ["acme/*"]}));
    let text = refused(&PoliciesConfig { repo_filter: allow.clone(), ..config(&PLAIN) });
    for words in ["`settings.allow` is no key", "ALLOWED_REPOS", "github.repositories"] {
        assert!(text.contains(words), "{text:?} does not say {words:?}");
    }
    let text = refused(&PoliciesConfig { stale_rule: allow, ..config(&PLAIN) });
    assert!(!text.contains("ALLOWED_REPOS"), "{text}");
}

#[test]
fn a_policy_without_a_schema_takes_any_settings_and_that_is_told() {
    let mut config = config(&PLAIN);
    assert!(load(&config).unwrap().settings_unchecked().is_empty(), "there are none to check");
    config.ranker.settings = settings(json!({"rules": []}));
    let set = load(&config).unwrap();
    let told = set.settings_unchecked();
    assert!(told.len() == 1 && told[0].contains("declares no schema of its settings"), "{told:?}");
    assert!(told[0].starts_with(&config.ranker.source), "{told:?}");
    assert_eq!(set.effective(&config, None, None).settings_unchecked, told);
}

#[test]
fn a_policy_whose_schema_is_none_goes_on_ranking_and_that_is_told() {
    let mut config = config(&PLAIN);
    config.ranker.source = file_of(&NO_SCHEMA).display().to_string();
    config.ranker.settings = settings(json!({"rules": []}));
    let set = load(&config).unwrap();
    assert_eq!(set.ranker.score(rows(3), later()).unwrap()[2].value, 2.0);
    let told = set.settings_unchecked();
    assert!(told[0].contains("its settings are not checked: ") && told[0].contains("no JSON"), "{told:?}");
}
