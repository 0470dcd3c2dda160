//! `policy check --config`: a component is held to what the server would do with that file.

use std::fs;
use std::path::Path;

use issuecommand::policy::builtin_component;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::cosign::Team;
use crate::desk::{PATIENT, failed, policy, rules, succeeded};

/// A desk with the table of rules, and the stale rule, as components in files.
fn desk() -> tempfile::TempDir {
    let desk = tempfile::tempdir().unwrap();
    rules(desk.path());
    fs::write(desk.path().join("lapse.wasm"), builtin_component("lease-timeouts").unwrap()).unwrap();
    desk
}

fn configure(desk: &Path, policies: &str) {
    fs::write(desk.join("issuecommand.toml"), format!("{PATIENT}{policies}")).unwrap();
}

const CHECK: [&str; 4] = ["check", "--config", "issuecommand.toml", "rules.wasm"];

/// The line of a check about this; one and no more.
#[track_caller]
fn line<'a>(text: &'a str, about: &str) -> &'a str {
    let lines: Vec<&str> = text.lines().filter(|line| line.contains(about)).collect();
    assert_eq!(lines.len(), 1, "{about}: {text}");
    lines[0].trim()
}

#[test]
fn the_settings_of_every_place_that_names_it_are_checked() {
    let desk = desk();
    let places = [
        ("[policies.ranker]", "[policies.ranker]\nsource = \"rules.wasm\"\nsettings = "),
        (
            "[[policies.ranker.stage]] \"more\"",
            "[[policies.ranker.stage]]\nname = \"more\"\nrole = \"score\"\nsource = \"rules.wasm\"\nsettings = ",
        ),
        (
            "the ranker of [[policies.override]] 1",
            "[[policies.override]]\nrepos = [\"a/*\"]\n[policies.override.ranker]\nsource = \"./rules.wasm\"\nsettings = ",
        ),
        (
            "[policies.candidate.ranker]",
            "[policies.candidate]\nmode = \"shadow\"\n[policies.candidate.ranker]\nsource = \"rules.wasm\"\nsettings = ",
        ),
    ];
    for (place, config) in places {
        configure(desk.path(), &format!("{config}{{ tiers = [], weights = 1 }}\n"));
        let text = failed(&policy(desk.path(), &CHECK));
        let wrong = line(&text, " settings: ");
        assert!(wrong.starts_with(&format!("FAIL  {place} settings: `settings.weights` is no key")), "{wrong}");
        configure(desk.path(), &format!("{config}{{ tiers = [] }}\n"));
        let text = succeeded(&policy(desk.path(), &CHECK));
        assert_eq!(line(&text, " settings: "), format!("ok    {place} settings: they fit the schema"));
        assert_eq!(line(&text, "configuration: "), format!("ok    configuration: it names this component as {place}"));
    }
    configure(
        desk.path(),
        "[policies.stale_rule]\nsource = \"lapse.wasm\"\nsettings = { claim_timeout_minutes = 0 }\n",
    );
    let text = failed(&policy(desk.path(), &["check", "--config", "issuecommand.toml", "lapse.wasm"]));
    assert!(line(&text, " settings: ").contains("`settings.claim_timeout_minutes`: 0 is less than"), "{text}");
}

#[test]
fn a_pin_holds_and_each_place_is_told_by_itself_in_json_too() {
    let desk = desk();
    let digest = hex::encode(Sha256::digest(builtin_component("rules").unwrap()));
    let other = "0".repeat(64);
    configure(
        desk.path(),
        &format!(
            "[policies.ranker]\nsource = \"rules.wasm\"\nsha256 = \"{digest}\"\n[policies.candidate]\nmode = \"shadow\"\n\
             [policies.candidate.ranker]\nsource = \"rules.wasm\"\nsha256 = \"{other}\"\n"
        ),
    );
    let text = failed(&policy(desk.path(), &CHECK));
    assert_eq!(line(&text, "[policies.ranker] sha256"), "ok    [policies.ranker] sha256: the pinned one");
    let wrong = line(&text, "[policies.candidate.ranker] sha256");
    assert!(wrong.starts_with("FAIL") && wrong.contains(&digest) && wrong.contains(&other), "{wrong}");
    let output = policy(desk.path(), &[&CHECK[..], &["--json"]].concat());
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&told["ok"], output.status.code()), (&Value::from(false), Some(1)));
    let pins = told["findings"].as_array().unwrap().iter().filter(|finding| finding["what"] == "sha256");
    let pins: Vec<_> = pins.map(|finding| (finding["entry"].as_str().unwrap(), finding["ok"] == true)).collect();
    assert_eq!(pins, [("[policies.ranker]", true), ("[policies.candidate.ranker]", false)]);
}

#[test]
fn a_signature_that_must_be_there_is_verified() {
    let (desk, team) = (desk(), Team::new());
    fs::write(desk.path().join("team.pub"), team.public_key()).unwrap();
    configure(desk.path(), "[policies.ranker]\nsource = \"rules.wasm\"\nsigned_by = { key = \"team.pub\" }\n");
    let text = failed(&policy(desk.path(), &CHECK));
    let wrong = line(&text, "signed_by: ");
    assert!(wrong.starts_with("FAIL") && wrong.contains("cosign sign-blob"), "{wrong}");
    let bundle = team.sign_blob(builtin_component("rules").unwrap());
    fs::write(desk.path().join("rules.wasm.sigstore.json"), bundle).unwrap();
    let text = succeeded(&policy(desk.path(), &CHECK));
    assert!(line(&text, "signed_by: ").starts_with("ok    [policies.ranker] signed_by: signed by "), "{text}");
}

#[test]
fn a_copy_of_a_named_component_is_that_component_and_another_is_named_nowhere() {
    let desk = desk();
    configure(desk.path(), "[policies.ranker]\nsource = \"rules.wasm\"\nsettings = { weights = 1 }\n");
    fs::copy(desk.path().join("rules.wasm"), desk.path().join("copy.wasm")).unwrap();
    let text = failed(&policy(desk.path(), &["check", "--config", "issuecommand.toml", "copy.wasm"]));
    assert!(line(&text, " settings: ").contains("[policies.ranker] settings: `settings.weights`"), "{text}");
    let elsewhere = desk.path().join("elsewhere");
    fs::create_dir(&elsewhere).unwrap();
    fs::rename(desk.path().join("lapse.wasm"), elsewhere.join("lapse.wasm")).unwrap();
    let text = succeeded(&policy(desk.path(), &["check", "--config", "issuecommand.toml", "elsewhere/lapse.wasm"]));
    assert!(line(&text, "configuration: ").contains("it names this component nowhere"), "{text}");
}

#[test]
fn a_source_that_may_have_been_meant_for_the_component_is_told_and_fails_the_check() {
    let desk = desk();
    fs::create_dir(desk.path().join("built")).unwrap();
    fs::copy(desk.path().join("lapse.wasm"), desk.path().join("built/rules.wasm")).unwrap();
    for (source, why) in [
        ("ruels.wasm", "there is no such file"),
        ("elsewhere/rules.wasm", "there is no such file"),
        ("built/rules.wasm", "another file of the same name"),
        ("lapse.wasm", "beside it"),
    ] {
        configure(desk.path(), &format!("[policies.ranker]\nsource = \"{source}\"\n"));
        let text = failed(&policy(desk.path(), &CHECK));
        let told = line(&text, "configuration: ");
        let names =
            format!("FAIL  configuration: it names {source:?} as [policies.ranker] ({why}), which is not this file");
        assert!(told.starts_with(&names), "{told}");
        assert!(text.contains("time of score"), "the rest is looked at too: {text}");
    }
    configure(
        desk.path(),
        "[policies.ranker]\nsource = \"built/rules.wasm\"\n[[policies.ranker.stage]]\nrole = \"filter\"\nsource = \"./rules.wasm\"\n",
    );
    let text = succeeded(&policy(desk.path(), &CHECK));
    assert!(line(&text, "configuration: ").starts_with("ok    configuration: it names this component as"), "{text}");
}

#[test]
fn what_the_environment_allows_is_no_setting_of_a_filter_in_a_file() {
    let desk = desk();
    fs::write(desk.path().join("filter.wasm"), builtin_component("allow-list").unwrap()).unwrap();
    configure(desk.path(), "[policies.repo_filter]\nsource = \"filter.wasm\"\n");
    fs::write(desk.path().join(".env"), "ALLOWED_REPOS=acme/*\n").unwrap();
    let text = succeeded(&policy(desk.path(), &["check", "--config", "issuecommand.toml", "filter.wasm"]));
    assert!(line(&text, " settings: ").ends_with("[policies.repo_filter] settings: none"), "{text}");
}
