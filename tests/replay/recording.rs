//! `issuecommand history pull`, against a GitHub that nobody here wrote.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use issuecommand::replay::History;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::standin::{Standin, TOKEN};

async fn started() -> Option<Standin> {
    tokio::task::spawn_blocking(Standin::start).await.unwrap()
}

async fn pull(standin: &Standin, folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_issuecommand"));
    command.args(["history", "pull", "alice/gui", "--out", "history.jsonl"]).args(arguments).current_dir(folder);
    command.env_clear().env("HOME", folder).env("PATH", std::env::var_os("PATH").unwrap());
    command.env("GITHUB_TOKEN", TOKEN).env("GITHUB_API_URL", standin.url());
    tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap()
}

async fn with_issues(standin: &Standin, count: u32) {
    standin.call("POST", "/user/repos", &json!({ "name": "gui" })).await;
    for number in 1..=count {
        let issue = json!({ "title": format!("Issue {number}"), "labels": ["bug"] });
        standin.call("POST", "/repos/alice/gui/issues", &issue).await;
    }
    standin.call("POST", "/repos/alice/gui/issues/2/comments", &json!({ "body": "Hm" })).await;
    standin.call("PATCH", "/repos/alice/gui/issues/3", &json!({ "state": "closed" })).await;
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// How often the stand-in was asked for lists of issues so far.
async fn issue_lists(standin: &Standin) -> u64 {
    let stats: Value = standin.stats().await;
    let routes = stats["byRoute"].as_object().unwrap();
    let is_list = |route: &&String| route.ends_with("/issues");
    routes.keys().filter(is_list).map(|route| routes[route].as_u64().unwrap()).sum()
}

#[tokio::test]
async fn a_recorded_history_is_one_that_can_be_replayed() {
    let Some(standin) = started().await else { return };
    with_issues(&standin, 120).await;
    let folder: TempDir = tempfile::tempdir().unwrap();
    let output = pull(&standin, folder.path(), &[]).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stderr).starts_with("120 issues, 0 pull requests and "), "{}", text(&output.stderr));
    let history = History::read(&folder.path().join("history.jsonl")).unwrap();
    assert_eq!(history.issues.len(), 120, "a list has 100 a page");
    let [first, second, third] = &history.issues[..3] else { panic!("there are three") };
    assert_eq!((first.title.as_str(), &first.labels[..]), ("Issue 1", &["bug".to_owned()][..]));
    assert!(second.events.iter().any(|event| event.event == "commented"), "{second:?}");
    assert!(third.closed_at.is_some());
    assert!(!folder.path().join("history.jsonl.part").exists());
}

#[tokio::test]
async fn a_recording_that_was_cut_off_goes_on_and_leaves_no_half_file() {
    let Some(standin) = started().await else { return };
    with_issues(&standin, 3).await;
    let folder = tempfile::tempdir().unwrap();
    standin.reset_stats().await;
    standin.fault(&json!({ "path": "^/repos/alice/gui/issues/comments", "status": 500 })).await;
    let output = pull(&standin, folder.path(), &[]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("run it again to go on from there"), "{}", text(&output.stderr));
    assert!(!folder.path().join("history.jsonl").exists());
    let lists = issue_lists(&standin).await;
    assert_eq!(lists, 1);

    // A crash may have left half a line behind.
    let draft = folder.path().join("history.jsonl.part");
    fs::write(&draft, fs::read_to_string(&draft).unwrap() + "{\"page\":{\"list\":\"pul").unwrap();
    let output = pull(&standin, folder.path(), &[]).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert_eq!(issue_lists(&standin).await, lists, "what was read is not read again");
    assert_eq!(History::read(&folder.path().join("history.jsonl")).unwrap().issues.len(), 3);
    assert!(!draft.exists());
}
