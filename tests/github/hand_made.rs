//! Hand-made answers, and sources that read them.

use std::path::Path;

use issuecommand::config::{GithubConfig, Secret};
use issuecommand::domain::{IssueRef, RepoName, Timestamp};
use issuecommand::github::{Credentials, GithubSource, SourceError};
use serde_json::{Value, json};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockBuilder, MockServer, ResponseTemplate};

/// Stands for a real token: must be seen in the Authorization header and nowhere else.
pub const TOKEN: &str = "ghp_T0ken5ecret";

pub fn config(server: &MockServer) -> GithubConfig {
    GithubConfig {
        token: Secret::new(TOKEN),
        api_url: server.uri(),
        connect_timeout_seconds: 1,
        read_timeout_seconds: 1,
        use_gh_token: false,
        requests_per_minute_max: 0,
        ..GithubConfig::default()
    }
}

pub fn source(server: &MockServer) -> GithubSource {
    source_of(&config(server)).unwrap()
}

/// A source with the credentials that `config` names.
pub fn source_of(config: &GithubConfig) -> Result<GithubSource, SourceError> {
    GithubSource::new(config, Credentials::of(config, Path::new(""))?)
}

pub fn small() -> RepoName {
    "acme/small".parse().unwrap()
}

pub fn issue(text: &str) -> IssueRef {
    text.parse().unwrap()
}

/// The given minute of one far-off day.
pub fn at(minute: u32) -> Timestamp {
    format!("2020-05-05T{:02}:{:02}:00Z", minute / 60, minute % 60).parse().unwrap()
}

/// An open issue as GitHub lists it, changed at `minute`.
pub fn row(number: u64, minute: u32) -> Value {
    json!({
        "number": number, "title": format!("Issue {number}"), "state": "open", "user": { "login": "ann" },
        "labels": [], "assignees": [], "created_at": at(0), "updated_at": at(minute),
    })
}

/// The same, as a list across repositories shows it.
pub fn row_in(repo: &str, number: u64, minute: u32) -> Value {
    let mut row = row(number, minute);
    row["repository_url"] = json!(format!("https://api.example/repos/{repo}"));
    row
}

/// What an account's list of repositories holds.
pub fn repo_rows(names: &[&str]) -> Value {
    names.iter().map(|name| json!({ "full_name": name })).collect()
}

pub fn closed_row(number: u64, minute: u32) -> Value {
    let mut row = row(number, minute);
    row["state"] = json!("closed");
    row
}

pub fn get(at: &str) -> MockBuilder {
    Mock::given(method("GET")).and(path(at))
}

pub fn ok(body: Value) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(body)
}

/// An answer that names `next` (a path and query) as its next page.
pub fn with_next(server: &MockServer, body: Value, next: &str) -> ResponseTemplate {
    ok(body).insert_header("link", format!("<{}{next}>; rel=\"next\"", server.uri()))
}

pub async fn request_count(server: &MockServer) -> usize {
    server.received_requests().await.unwrap().len()
}
