//! `issuecommand history pull`, against a GitHub that nobody here wrote.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use issuecommand::config::GithubConfig;
use issuecommand::github::{Credentials, GithubSource};
use issuecommand::replay::{History, record};
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
    let output = pull(&standin, folder.path(), &["--json"]).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    let answer: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&answer["ok"], &answer["file"]), (&json!(true), &json!("history.jsonl")), "{answer}");
    assert_eq!((&answer["issues"], &answer["pulls"]), (&json!(120), &json!(0)), "{answer}");
    // Once more renews it, and tells people.
    let output = pull(&standin, folder.path(), &[]).await;
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(text(&output.stderr).starts_with("120 issues, 0 pull requests and "), "{}", text(&output.stderr));
    let history = History::read(&folder.path().join("history.jsonl")).unwrap();
    assert_eq!(history.issues.len(), 120, "a list has 100 a page");
    let [first, second, third] = &history.issues[..3] else { panic!("there are three") };
    assert_eq!((first.title.as_str(), &first.labels[..]), ("Issue 1", &["bug".to_owned()][..]));
    assert_eq!(second.comments, 1);
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

#[tokio::test]
async fn what_happened_is_told_with_whom_and_when_and_to_what() {
    let github = wiremock::MockServer::start().await;
    let answers = |path: &str, body: Value| {
        let asked = wiremock::matchers::path(format!("/repos/acme/small/{path}"));
        wiremock::Mock::given(asked).respond_with(wiremock::ResponseTemplate::new(200).set_body_json(body))
    };
    let at = "2024-01-02T00:00:00Z";
    let issue = json!({ "number": 1, "title": "Burns", "user": { "login": "ann" }, "created_at": at, "comments": 1 });
    let dressed = json!({ "number": 2, "title": "Water", "created_at": at, "pull_request": {} });
    answers("issues", json!([issue, dressed])).mount(&github).await;
    let pull = json!({ "number": 2, "title": "Water", "body": "Fixes #1", "created_at": at, "merged_at": at });
    answers("pulls", json!([pull])).mount(&github).await;
    let event = json!({ "event": "labeled", "created_at": at, "label": { "name": "bug" }, "issue": { "number": 1 } });
    answers("issues/events", json!([event])).mount(&github).await;
    let comment = json!({ "issue_url": "https://x/repos/acme/small/issues/1", "created_at": at, "user": null });
    answers("issues/comments", json!([comment])).mount(&github).await;
    answers("pulls/2/files", json!([{ "filename": "src/water.rs" }])).mount(&github).await;

    let folder = tempfile::tempdir().unwrap();
    let config = GithubConfig { api_url: github.uri(), ..GithubConfig::default() };
    let source = GithubSource::new(&config, Credentials::None).unwrap();
    let out = folder.path().join("history.jsonl");
    let recorded = record(&source, &"acme/small".parse().unwrap(), &out, true, &|_| ()).await.unwrap();
    assert_eq!((recorded.issues, recorded.pulls, recorded.happenings, recorded.pulls_with_files), (1, 1, 2, 1));
    let history = History::read(&out).unwrap();
    let told: Vec<_> =
        history.issues[0].events.iter().map(|event| (event.event.as_str(), event.label.as_deref())).collect();
    assert_eq!(told, [("labeled", Some("bug")), ("commented", None)]);
    assert_eq!((&history.pulls[0].files[..], history.pulls[0].fixes[0].get()), (&["src/water.rs".to_owned()][..], 1));
}

#[tokio::test]
async fn a_recording_of_another_repository_is_not_written_over_unless_that_is_meant() {
    let github = wiremock::MockServer::start().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("history.jsonl");
    let pull = async |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_issuecommand"));
        command.args(["history", "pull", "acme/large", "--out", "history.jsonl"]).args(arguments);
        command.current_dir(&folder).env_clear().env("HOME", folder.path()).env("GITHUB_TOKEN", TOKEN);
        command.env("GITHUB_API_URL", github.uri());
        let output = tokio::task::spawn_blocking(move || command.output()).await.unwrap().unwrap();
        assert_eq!(output.status.code(), Some(1), "the repository is not there, so none of these succeeds");
        text(&output.stderr).to_owned()
    };
    let of = |repo: &str| json!({ "repo": repo, "kind": "pull", "number": 1, "created_at": "2024-01-02T00:00:00Z" });
    for (content, what) in [
        (format!("{}\n{}\n", of("acme/large"), of("acme/small")), "the history of acme/small"),
        ("# Notes\n".to_owned(), "no recording"),
    ] {
        fs::write(&file, &content).unwrap();
        let why = pull(&[]).await;
        assert!(why.contains(&format!("history.jsonl holds {what}")) && why.contains("--force"), "{why}");
        assert_eq!(fs::read_to_string(&file).unwrap(), content);
        assert!(!pull(&["--force"]).await.contains("--force"), "it goes on to GitHub");
    }
    fs::write(&file, format!("{}\n", of("acme/large"))).unwrap();
    assert!(!pull(&[]).await.contains("--force"), "an older recording of the same is renewed");
}
