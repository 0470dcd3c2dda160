//! What `policy check` says of each fault a policy can have: what happened, in which function, what to do.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use issuecommand::authoring::{Trial, check};
use issuecommand::config::PoliciesConfig;
use issuecommand::policy::PolicyHost;
use serde_json::json;

use crate::desk::{failed, policy};
use crate::workshop::{NEWER, OTHER_VERSION, PLAIN, UNREAD, Variant, WASI, component};

/// A fault of the guest: in which function, which, and the words that its author needs.
type Fault = (&'static str, &'static str, &'static [&'static str]);

const FAULTS: [Fault; 24] = [
    ("configure", "panic", &["`configure`", "full of bees", "lib.rs"]),
    ("configure", "refuse", &["`configure`", "refused", "I will not rank on a Sunday"]),
    ("score", "loop", &["`score`", "longer than 1000 ms", "do less", "call_ms_max"]),
    ("score", "panic", &["`score`", "full of bees", "lib.rs"]),
    ("score", "trap", &["`score`", "unreachable", "in `faulty::misbehave`", "log an error"]),
    ("score", "recurse", &["`score`", "stack (`faulty::recurse`)", "recursion without end"]),
    ("score", "allocate", &["`score`", "bytes of memory", "keep less", "memory_bytes_max"]),
    ("score", "fact_calls", &["`score`", "ask once for a column"]),
    ("score", "nan", &["`score`", "score of row 0 is NaN", "finite"]),
    ("score", "infinite", &["`score`", "score of row 0 is inf", "finite"]),
    ("score", "short", &["`score`", "values has", "entries for"]),
    ("score", "skip_unknown", &["`score`", "skipped names row", "rows"]),
    ("score", "skip_twice", &["`score`", "skipped names row 0 twice"]),
    ("score", "skip_huge", &["`score`", "bytes at once", "shorter texts"]),
    ("score", "refuse", &["`score`", "I will not rank on a Sunday"]),
    ("score", "refuse_huge", &["`score`", "bytes at once", "shorter texts"]),
    ("score", "log_huge", &["`score`", "bytes at once", "shorter texts"]),
    ("choose", "loop", &["`choose`", "longer than 500 ms", "choose_ms_max"]),
    ("choose", "unknown_row", &["`choose`", "order names row"]),
    ("choose", "twice", &["`choose`", "order names row 0 twice"]),
    ("explain", "short", &["`explain`", "reasons for"]),
    ("explain", "nan", &["`explain`", "adds NaN to row 0"]),
    ("assess", "short", &["`assess`", "verdicts for"]),
    ("assess", "panic", &["`assess`", "full of bees"]),
];

fn limits() -> PoliciesConfig {
    let memory_bytes_max = 32 << 20;
    PoliciesConfig { call_ms_max: 1000, choose_ms_max: 500, memory_bytes_max, ..PoliciesConfig::default() }
}

fn trial(host: &PolicyHost, file: &Path, at: &str, fault: &str) -> Trial {
    let settings = json!({ "at": at, "do": fault });
    check(host, file, settings.as_object().unwrap(), &limits()).unwrap()
}

/// What is wrong is told in a sentence of bounded length; of a component of three kinds, maybe for each.
#[track_caller]
fn assert_refused(trial: &Trial, what: &str, words: &[&str]) {
    let wrong: Vec<_> = trial.findings.iter().filter(|finding| !finding.ok).collect();
    assert!(!wrong.is_empty(), "{what}: {:#?}", trial.findings);
    for found in wrong {
        let text = &found.detail;
        eprintln!("{what}: {}: {text}", found.what);
        for word in words {
            assert!(text.contains(word), "{what}: {text:?} does not say {word:?}");
        }
        assert!(text.len() < 1500 && !text.chars().any(char::is_control), "{what}: {text:?}");
    }
}

fn file_of(variant: &Variant, folder: &Path) -> std::path::PathBuf {
    let file = folder.join(variant.name).with_extension("wasm");
    fs::write(&file, component(variant)).unwrap();
    file
}

#[test]
fn check_tells_each_fault_of_a_guest_to_its_author() {
    let desk = tempfile::tempdir().unwrap();
    let (host, file) = (PolicyHost::new(Some(desk.path().into())).unwrap(), file_of(&PLAIN, desk.path()));
    for (at, fault, words) in FAULTS {
        assert_refused(&trial(&host, &file, at, fault), &format!("{fault} in {at}"), words);
    }
}

#[test]
fn check_tells_what_a_component_was_built_against() {
    let desk = tempfile::tempdir().unwrap();
    let host = PolicyHost::new(Some(desk.path().into())).unwrap();
    for (variant, words) in [
        (&WASI, &["wasi:clocks/wall-clock", "issuecommand:policy"][..]),
        (&OTHER_VERSION, &["0.2.0", "0.1.0"][..]),
        (&NEWER, &["body-lines", "does not offer", "update the server"][..]),
    ] {
        let file = file_of(variant, desk.path());
        assert_refused(&trial(&host, &file, "score", "probe"), variant.name, words);
    }
}

#[test]
fn a_policy_that_never_ends_keeps_its_cases_waiting_once_and_is_told_as_what_it_is() {
    let desk = tempfile::tempdir().unwrap();
    file_of(&PLAIN, desk.path());
    let case = |name: &str| format!("[[case]]\nname = \"{name}\"\nissues = [{{ number = 1 }}]\nexpect.first = 1\n");
    let settings = "settings = { at = \"score\", do = \"loop\" }\n";
    fs::write(desk.path().join("cases.toml"), format!("{settings}{}{}{}", case("a"), case("b"), case("c"))).unwrap();
    let wasm = format!("{}.wasm", PLAIN.name);
    let arguments = ["test", "cases.toml", "--wasm", wasm.as_str()];
    // Compiled ahead, so that no time but that of the calls is taken.
    failed(&policy(desk.path(), &arguments));
    let begun = Instant::now();
    let text = failed(&policy(desk.path(), &arguments));
    assert!(begun.elapsed() < Duration::from_secs(8), "three cases took {:?}", begun.elapsed());
    assert!(text.contains("0 passed, 3 failed") && text.contains("longer than 3000 ms"), "{text}");
    assert!(text.contains("look for a loop without end") && !text.contains("call_ms_max"), "{text}");
}

#[test]
fn check_fails_a_schema_that_a_server_would_not_use_and_says_what_to_do() {
    let desk = tempfile::tempdir().unwrap();
    let (host, file) = (PolicyHost::new(Some(desk.path().into())).unwrap(), file_of(&UNREAD, desk.path()));
    let trial = trial(&host, &file, "nowhere", "nothing");
    assert!(trial.findings.iter().any(|finding| finding.what == "settings schema" && !finding.ok));
    let words = ["`unevaluatedProperties` is not among", "leave it out", "`settings-schema` in the WIT package"];
    assert_refused(&trial, "unread", &words);
}
