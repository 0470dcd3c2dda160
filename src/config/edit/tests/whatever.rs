//! Rankers and candidates of any kind, over files of any shape.

use proptest::prelude::*;
use serde_json::Value;

use super::super::*;
use crate::config::{Config, PolicyConfig, StageConfig, StageRole};

/// Anything that a policy may be told.
fn told() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Value::from),
        (-9i64..9).prop_map(Value::from),
        (-9.0..9.0f64).prop_map(Value::from),
        "[a-z#\"\n]{0,3}".prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map("stage|settings|source|a|b c", inner, 0..3)
                .prop_map(|fields| Value::Object(fields.into_iter().collect())),
        ]
    })
}

fn policy() -> impl Strategy<Value = PolicyConfig> {
    let settings = prop::collection::btree_map("rules|skip|stage|settings|x", told(), 0..4);
    let sources = prop::sample::select(vec!["builtin:rules", "a.wasm", "b.wasm"]);
    (sources, prop::option::of(Just("00".repeat(32))), settings).prop_map(|(source, sha256, settings)| PolicyConfig {
        source: source.into(),
        sha256,
        signed_by: None,
        settings: settings.into_iter().collect(),
    })
}

fn ranker() -> impl Strategy<Value = RankerConfig> {
    let roles = prop::sample::select(vec![StageRole::Filter, StageRole::Score, StageRole::Choose]);
    let names = prop::sample::select(vec![None, Some("a"), Some("around")]);
    let weights = prop::sample::select(vec![1.0, 2.5]);
    let stage = (policy(), roles, names, weights).prop_map(|(policy, role, name, weight)| StageConfig {
        name: name.map_or_else(|| policy.stem().to_owned(), str::to_owned),
        role,
        weight,
        policy,
    });
    (policy(), prop::collection::vec(stage, 0..3)).prop_map(|(base, stage)| RankerConfig { base, stage })
}

/// Ways to begin: nothing, in one line, by dotted keys, in long form, and with lists of sections.
const BEGINNINGS: [&str; 6] = [
    "",
    "policies = { ranker = {}, call_ms_max = 9 }\n",
    "[policies]\nranker.source = \"builtin:rules\"\nranker.settings.x = 1\n",
    "[policies.ranker]\n[policies.ranker.settings]\nx = [\n  1, # one\n  # two\n  2\n]\n[server]\nport = 0\n",
    "[[policies.ranker.settings.rules]]\na = 1 # one\n[[policies.ranker.settings.rules]]\na = 2\n[policies.ranker.settings.skip]\na = 1\n",
    "[[policies.ranker.stage]]\nname = \"a\"\nweight = 1\nrole = \"score\"\nsource = \"a.wasm\"\nsettings.x = [{ a = 1 }, { a = 2 }]\n",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn whatever_ranker_is_written_over_another_reads_as_it_is(rankers in prop::collection::vec(ranker(), 1..4), begins in 0..BEGINNINGS.len()) {
        let mut text = BEGINNINGS[begins].to_owned();
        for ranker in &rankers {
            let of_windows = with_ranker(&text.replace('\n', "\r\n"), ranker).unwrap();
            let read: Result<Config, _> = toml::from_str(&of_windows);
            prop_assert_eq!(read.map(|config| config.policies.ranker), Ok(ranker.clone()), "{:?}", of_windows);
            let edited = with_ranker(&text, ranker).unwrap();
            let read: Result<Config, _> = toml::from_str(&edited);
            prop_assert_eq!(read.map(|config| config.policies.ranker), Ok(ranker.clone()), "{}\nbecame\n{}", text, edited);
            prop_assert_eq!(&with_ranker(&edited, ranker).unwrap(), &edited, "a second time changes nothing");
            text = edited;
        }
    }

    #[test]
    fn whatever_candidate_is_promoted_reads_as_it_was(before in ranker(), on_trial in ranker(), begins in 0..BEGINNINGS.len()) {
        let text = with_ranker(BEGINNINGS[begins], &before).unwrap();
        let candidate = CandidateConfig { mode: crate::config::CandidateMode::Shadow, share: 0.1, ranker: on_trial };
        let text = with_candidate(&text, Some(&candidate)).unwrap();
        for text in [text.clone(), text.replace('\n', "\r\n")] {
            let ranker = toml::from_str::<Config>(&text).unwrap().policies.candidate.unwrap().ranker;
            let edited = with_candidate_promoted(&text).unwrap();
            let read: Result<Config, _> = toml::from_str(&edited);
            let read = read.map(|config| (config.policies.ranker, config.policies.candidate));
            prop_assert_eq!(read, Ok((ranker, None)), "{}\nbecame\n{}", text, edited);
        }
    }
}
