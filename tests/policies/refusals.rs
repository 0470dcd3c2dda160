//! Policies that are not taken into service, and the one sentence that says why.

use std::fs;

use issuecommand::policy::PolicyRejected;

use crate::stage::{config, fault, later, load, refusal, rows};
use crate::workshop::{self, NEWER, OTHER_VERSION, PLAIN, WASI};

/// Why a ranker that is this file is refused.
fn refused(bytes: &[u8]) -> String {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), bytes).unwrap();
    let mut config = config(&PLAIN);
    config.ranker.source = file.path().display().to_string();
    load(&config).unwrap_err().to_string()
}

#[track_caller]
fn assert_says(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{text:?} does not say {word:?}");
    }
    assert!(text.len() < 1500, "{} bytes", text.len());
}

#[test]
fn a_file_that_is_no_component_is_named_for_what_it_is() {
    assert_says(&refused(b""), &["[policies.ranker]", "empty"]);
    assert_says(&refused(b"(component)"), &["text"]);
    assert_says(&refused(&workshop::core_module(&PLAIN)), &["core WebAssembly module", "wasm-tools component new"]);
    assert_says(&refused(&[0xff; 100]), &["no WebAssembly"]);
}

#[test]
fn a_component_cut_short_anywhere_is_refused() {
    let whole = workshop::component(&PLAIN);
    for part in [8, 9, 100, whole.len() / 2, whole.len() - 1] {
        assert_says(&refused(&whole[..part]), &["[policies.ranker]", "was not loaded: it "]);
    }
    assert_says(&refused(&whole[..whole.len() / 2]), &["cut short"]);
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let mut config = config(&PLAIN);
    config.stale_rule.source = "policies/none.wasm".into();
    let rejected = load(&config).unwrap_err();
    assert_eq!(rejected.policy, "stale_rule");
    assert_eq!(rejected.file.as_deref().unwrap().to_str(), Some("/policies/none.wasm"));
    assert_says(&rejected.to_string(), &["policies/none.wasm", "/policies/none.wasm", "there is no such file"]);
}

#[test]
fn a_folder_is_told_which_file_in_it_is_meant() {
    let folder = tempfile::tempdir().unwrap();
    let refused = || {
        let mut config = config(&PLAIN);
        config.ranker.source = folder.path().display().to_string();
        load(&config).unwrap_err().to_string()
    };
    assert_says(&refused(), &["it is a folder without a component", "`issuecommand policy build`"]);
    let component = folder.path().join("quick-wins.wasm");
    fs::write(&component, "any").unwrap();
    fs::write(folder.path().join("policy.toml"), "").unwrap();
    assert_says(&refused(), &["it is a folder: name the component in it, ", component.to_str().unwrap()]);
}

#[test]
fn a_built_in_policy_that_does_not_exist_is_named() {
    let mut config = config(&PLAIN);
    config.ranker.source = "builtin:astrology".into();
    assert_says(&load(&config).unwrap_err().to_string(), &["no built-in policy \"astrology\"", "rules"]);
}

#[test]
fn an_import_of_wasi_is_refused_by_name() {
    let rejected = load(&config(&WASI)).unwrap_err();
    assert_says(
        &rejected.to_string(),
        &["it imports wasi:clocks/wall-clock@0.2.6", "only issuecommand:policy/*", "wasm32-unknown-unknown"],
    );
}

#[test]
fn a_policy_of_another_version_is_told_which_one_is_spoken() {
    let rejected = load(&config(&OTHER_VERSION)).unwrap_err();
    assert_says(&rejected.to_string(), &["issuecommand:policy/ranker@0.2.0", "speaks 0.1.x", "world `ranker-policy`"]);
}

#[test]
fn a_policy_of_a_later_0_1_works_until_it_calls_what_is_not_offered() {
    let mut config = config(&NEWER);
    let set = load(&config).unwrap();
    assert_eq!(set.ranker.score(rows(3), later()).unwrap()[2].value, 2.0);
    config.ranker.settings = fault("score", "probe", 0);
    let text = load(&config).unwrap_err().to_string();
    assert_says(&text, &["`score`", "issuecommand:policy/candidates@0.1.7#body-lines", "does not offer"]);
}

#[test]
fn a_component_without_the_export_is_told_what_it_lacks() {
    // The smallest component there is: a head, and nothing.
    assert_says(&refused(b"\0asm\x0d\0\x01\0"), &["exports nothing", "world `ranker-policy`"]);
}

#[test]
fn a_policy_of_another_kind_is_told_where_it_belongs() {
    let mut config = config(&PLAIN);
    config.ranker.source = "builtin:lease-timeouts".into();
    assert_says(&load(&config).unwrap_err().to_string(), &["is a stale rule, not a ranker", "[policies.stale_rule]"]);
    config.ranker.source = "builtin:allow-list".into();
    assert_says(&load(&config).unwrap_err().to_string(), &["is a repository filter", "[policies.repo_filter]"]);
}

#[test]
fn a_component_that_is_not_the_pinned_one_is_refused() {
    let mut config = config(&PLAIN);
    let digest = load(&config).unwrap().ranker.stamp().digest.clone();
    config.ranker.sha256 = Some(digest.to_uppercase());
    load(&config).unwrap();
    config.ranker.sha256 = Some("00".repeat(32));
    assert_says(&load(&config).unwrap_err().to_string(), &[&digest, &"00".repeat(32), "pin"]);
}

#[test]
fn settings_that_the_policy_refuses_are_refused_in_its_words() {
    assert_says(&refusal("configure", "refuse"), &["[policies.ranker]", "`configure`", "I will not rank on a Sunday"]);
}

#[test]
fn a_policy_that_fails_its_trial_is_refused() {
    for (at, what, words) in [
        ("configure", "loop", "500 ms"),
        ("configure", "panic", "full of bees"),
        ("configure", "allocate", "16777216 bytes"),
        ("configure", "recurse", "stack"),
        ("score", "loop", "500 ms"),
        ("score", "skip_unknown", "names row 4, but there are 4 rows"),
        ("choose", "loop", "100 ms"),
        ("choose", "trap", "unreachable"),
        ("explain", "nan", "NaN"),
        ("choose-work", "loop", "100 ms"),
        ("choose-work", "unknown_row", "order names row 0, but there is no row"),
    ] {
        assert_says(&refusal(at, what), &["[policies.ranker]", &format!("`{at}`"), words]);
    }
    assert_says(&refusal("assess", "panic"), &["[policies.stale_rule]", "`assess`", "full of bees"]);
}

#[test]
fn a_policy_that_needs_too_much_memory_to_start_is_refused() {
    let mut config = config(&PLAIN);
    config.memory_bytes_max = 64 << 10;
    assert_says(&load(&config).unwrap_err().to_string(), &["65536 bytes", "memory_bytes_max"]);
}

#[test]
fn a_rejection_names_source_and_file_once_when_they_are_the_same() {
    let rejected = |source: &str, file: &str| PolicyRejected {
        policy: "ranker",
        source: source.into(),
        stage: None,
        file: Some(file.into()),
        reason: "as stage of its life it is late".into(),
    };
    assert_eq!(
        rejected("/p.wasm", "/p.wasm").to_string(),
        "[policies.ranker] \"/p.wasm\" was not loaded: as stage of its life it is late"
    );
    assert_eq!(
        rejected("p.wasm", "/etc/p.wasm").to_string(),
        "[policies.ranker] \"p.wasm\" (/etc/p.wasm) was not loaded: as stage of its life it is late"
    );
    let of_stage = PolicyRejected { stage: Some("calm".into()), ..rejected("/p.wasm", "/p.wasm") };
    let told = of_stage.to_string();
    assert!(told.contains("was not loaded: as stage \"calm\": as stage of its life"), "{told}");
}
