//! The policies in examples/policies: they build, answer as their cases say, and a server would take them.

use std::fs;
use std::path::Path;

use crate::desk::{ROOT, command, example, lacks_tools, patient, policy, succeeded, with_our_crates};

/// What each must say: its cases pass, and so does the server's look at it.
fn answers_as_its_cases_say(folder: &Path, case_count: usize) {
    let text = succeeded(&policy(folder, &["test"]));
    assert!(text.contains(&format!("{case_count} passed, 0 failed")), "{text}");
    let text = succeeded(&policy(folder, &["check", "--config", &patient(folder)]));
    assert!(text.contains("no import of anything else") && text.contains("same input, same answer"), "{text}");
}

fn with_tools_of(name: &str, language: &str, case_count: usize) {
    let desk = tempfile::tempdir().unwrap();
    let folder = example(name, desk.path());
    let output = policy(&folder, &["build"]);
    if lacks_tools(&output, language) {
        return;
    }
    succeeded(&output);
    answers_as_its_cases_say(&folder, case_count);
}

#[test]
fn quick_wins_in_rust() {
    let desk = tempfile::tempdir().unwrap();
    let folder = example("rust", desk.path());
    with_our_crates(&folder);
    let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    fs::write(folder.join("Cargo.toml"), manifest.replace("../../../policies/sdk", &format!("{ROOT}/policies/sdk")))
        .unwrap();
    succeeded(&policy(&folder, &["build"]));
    answers_as_its_cases_say(&folder, 4);
    let text = succeeded(&command("cargo", &folder).args(["test", "--quiet"]).output().unwrap());
    assert!(text.contains("1 passed"), "{text}");
}

#[test]
fn one_area_at_a_time_in_javascript() {
    with_tools_of("js", "JavaScript", 6);
}

#[test]
fn fair_rotation_in_python() {
    with_tools_of("python", "Python", 4);
}

#[test]
fn promises_in_c() {
    with_tools_of("c", "C", 8);
}
