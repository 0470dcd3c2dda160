//! Settings are held to the schema that a policy gives of them, whatever the policy's part is.

use issuecommand::config::{
    CandidateConfig, CandidateMode, OverrideConfig, PoliciesConfig, PolicyConfig, RankerConfig, StageRole,
};
use issuecommand::domain::Repo;
use issuecommand::policy::builtin_component;
use serde_json::{Map, Value, json};

use crate::chain::{settings, stage};
use crate::stage::{config, fault, file_of, host, later, load, rows};
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
    let with_stage =
        RankerConfig { stage: vec![stage("kept", StageRole::Filter, 1.0, wrong.clone())], ..plain().ranker };
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
fn what_the_environment_allows_holds_beside_a_filter_that_knows_nothing_of_it() {
    let repo = |name: &str, fork: bool| Repo { fork, ..Repo::named(name.parse().unwrap()) };
    let repos = [repo("acme/one", false), repo("acme/two", true), repo("other/three", false)];
    let mut config = config(&CLOSED);
    config.repo_filter.settings = settings(json!({"deny": "forks"}));
    let by_filter = [None, Some("acme/two is a fork".to_owned()), None];
    let open = load(&config).unwrap();
    assert_eq!(open.repo_filter.exclude(&repos).unwrap(), by_filter);
    config.allowed_repos = vec!["acme/*".into()];
    let set = load(&config).unwrap();
    let [one, two, _] = by_filter;
    assert_eq!(set.repo_filter.exclude(&repos).unwrap(), [one, two, Some("not in ALLOWED_REPOS".into())]);
    let shown = set.effective(&config, None, None);
    assert_eq!(shown.allowed_repos, ["acme/*"]);
    assert_eq!(shown.repo_filter.settings, json!({"deny": "forks"}), "as the operator wrote them");
    assert!(!set.is_same_as(&open) && set.is_same_as(&load(&config).unwrap()));
}

#[test]
fn a_filter_whose_settings_cannot_be_checked_is_refused_and_without_settings_taken() {
    let mut config = config(&PLAIN);
    config.repo_filter.source = file_of(&NO_SCHEMA).display().to_string();
    assert!(load(&config).is_ok());
    config.repo_filter.settings = settings(json!({"dany": ["acme/secret"]}));
    let text = refused(&config);
    for words in ["[policies.repo_filter]", "kept out, and cannot be checked", "no JSON", "mend the schema"] {
        assert!(text.contains(words), "{text:?} does not say {words:?}");
    }
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

/// Values that a setting of this schema may well not have.
fn doubtful(schema: &Value) -> Vec<Value> {
    let number = |key: &str, step: f64| schema[key].as_f64().map(|bound| json!(bound + step));
    let bounds = [number("minimum", -1.0), number("maximum", 1.0), number("exclusiveMinimum", 0.0)];
    let too_many = schema["maxItems"].as_u64().map(|count| json!(vec![json!(["x"]); count as usize + 1]));
    let odd = [json!("odd"), json!({"odd": 1}), json!([["odd"], 1]), json!(-0.5), json!([{"odd": 1}])];
    bounds.into_iter().flatten().chain(too_many).chain(odd).collect()
}

#[test]
fn what_the_schema_of_a_built_in_policy_refuses_it_refuses_itself() {
    let [ranker, stale_rule, repo_filter] = host().settings_schemas(&PoliciesConfig::default(), "/".as_ref()).unwrap();
    let beside = PoliciesConfig { ranker: PolicyConfig::builtin("conflict-aware").into(), ..PoliciesConfig::default() };
    let [conflict_aware, ..] = host().settings_schemas(&beside, "/".as_ref()).unwrap();
    let mut tried = 0;
    for (name, text) in [
        ("rules", ranker),
        ("conflict-aware", conflict_aware),
        ("lease-timeouts", stale_rule),
        ("allow-list", repo_filter),
    ] {
        assert!(builtin_component(name).is_some());
        let schema: Value = serde_json::from_str(&text).unwrap();
        let validator = jsonschema::validator_for(&schema).unwrap();
        let mut all = vec![json!({"odd": 1})];
        for (key, of_key) in schema["properties"].as_object().unwrap() {
            all.extend(doubtful(of_key).into_iter().map(|value| Map::from_iter([(key.clone(), value)]).into()));
        }
        let rule = |rule: Value| json!({"rules": [rule], "skip": [rule]});
        if name == "rules" {
            all.extend([
                rule(json!({"field": "label", "op": "is", "value": "bug"})),
                rule(json!({"field": "label", "op": "is", "value": "bug", "weight": 1e7})),
                rule(json!({"field": "colour", "op": "is", "value": "bug", "weight": 1})),
                rule(json!({"field": "label", "op": "each", "weight": 1})),
                rule(json!({"op": "is", "value": "bug", "weight": 1})),
            ]);
        }
        for told in all.into_iter().filter(|told| !validator.is_valid(told)) {
            let policy = PolicyConfig { settings: settings(told.clone()), ..PolicyConfig::builtin(name) };
            let mut config = PoliciesConfig { call_ms_max: 5000, choose_ms_max: 1000, ..PoliciesConfig::default() };
            match name {
                "lease-timeouts" => config.stale_rule = policy,
                "allow-list" => config.repo_filter = policy,
                _ => config.ranker = policy.into(),
            }
            let said = load(&config).err().map(|rejected| rejected.reason);
            assert!(
                said.as_ref().is_some_and(|said| said.contains("`configure` was refused")),
                "{name} {told}: {said:?}"
            );
            tried += 1;
        }
    }
    assert!(tried > 100, "{tried}");
}
