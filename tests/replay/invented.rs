//! Histories of our own making.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use issuecommand::config::{PoliciesConfig, PolicyConfig};
use issuecommand::policy::{BodySource, PolicyHost};
use issuecommand::replay::{Contender, History, Outcome, ReplayOptions, Report, replay, texts_of};
use serde_json::{Value, json};

/// An issue of acme/small, opened as the so-manyeth day of 2024 began.
pub fn issue(number: u64, day: u32, labels: &[&str]) -> Value {
    json!({
        "repo": "acme/small", "kind": "issue", "number": number, "title": format!("Issue {number}"), "user": "ann",
        "labels": labels, "created_at": on(day),
    })
}

/// The beginning of the so-manyeth day of 2024.
pub fn on(day: u32) -> String {
    chrono::NaiveDate::from_yo_opt(2024, day).unwrap().format("%Y-%m-%dT00:00:00Z").to_string()
}

/// A pull request that was merged, and fixed nothing that the history knows.
pub fn merged(number: u64, day: u32, title: &str, files: &[&str]) -> Value {
    json!({
        "repo": "acme/small", "kind": "pull", "number": number, "title": title, "created_at": on(day),
        "merged_at": on(day), "files": files,
    })
}

pub fn text_of(records: &[Value]) -> String {
    records.iter().map(|record| format!("{record}\n")).collect()
}

pub fn history(records: &[Value]) -> History {
    History::parse(&text_of(records)).unwrap()
}

/// The history in a file of its own.
pub fn file_of(folder: &tempfile::TempDir, records: &[Value]) -> PathBuf {
    let file = folder.path().join("history.jsonl");
    fs::write(&file, text_of(records)).unwrap();
    file
}

/// A built-in ranker with these settings.
pub fn contender(name: &str, settings: Value, history: &History) -> Contender {
    let Value::Object(settings) = settings else { panic!("settings are an object") };
    let ranker = PolicyConfig { settings, ..PolicyConfig::builtin(name) };
    let config = PoliciesConfig { ranker: ranker.into(), ..PoliciesConfig::default() };
    Contender::new(name.into(), config, Path::new("."), host(texts_of(history))).unwrap()
}

/// What runs policies here: compiled once for all tests, with texts from there.
pub fn host(texts: Arc<dyn BodySource>) -> PolicyHost {
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("components");
    PolicyHost::new(Some(cache)).unwrap().reading_bodies_from(texts)
}

/// One agent, as slow as a person who has other things to do.
pub fn slow() -> ReplayOptions {
    ReplayOptions { agents: 1, speed: 0.1, starved_after_days: 10.0, ..ReplayOptions::default() }
}

pub fn replayed(history: &History, settings: Value, options: &ReplayOptions) -> Outcome {
    let report = replay(history, &contender("rules", settings, history), None, options, &|_| ()).unwrap();
    report.outcomes.into_iter().next().unwrap()
}

pub fn compared(history: &History, settings: [Value; 2], options: &ReplayOptions) -> Report {
    let [a, b] = settings.map(|settings| contender("rules", settings, history));
    replay(history, &a, Some(&b), options, &|_| ()).unwrap()
}

pub fn picked(outcome: &Outcome) -> Vec<&str> {
    outcome.picks.iter().map(|pick| pick.issue.split_once('#').unwrap().1).collect()
}
