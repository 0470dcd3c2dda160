//! Acting as a GitHub App: a token, a budget and a list of repositories for each installation.

use std::sync::Arc;
use std::time::Duration;

use chrono::{TimeDelta, Utc};
use issuecommand::config::{GithubAppConfig, GithubConfig, Secret};
use issuecommand::github::{GithubSource, IssueSource, SourceError};
use issuecommand::store::SyncCursor;
use serde_json::{Value, json};
use wiremock::matchers::{header, header_regex, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::hand_made::{config, get, issue, ok, repo_rows, row, source_of, with_next};
use crate::standin::Standin;
use crate::world::World;

/// Made for these tests; no app has it.
const KEY: &str = include_str!("throwaway-app-key.pem");

fn app(server: &MockServer, installation_ids: &[u64]) -> GithubSource {
    let app = GithubAppConfig {
        id: Some(4242),
        private_key: Secret::new(KEY),
        installation_ids: installation_ids.to_vec(),
        ..GithubAppConfig::default()
    };
    source_of(&GithubConfig { token: Secret::default(), app, ..config(server) }).unwrap()
}

fn installation(id: u64, account: &str) -> Value {
    json!({ "id": id, "account": { "login": account }, "suspended_at": null })
}

async fn installed(server: &MockServer, installations: Value) {
    let asked = get("/app/installations").and(header_regex("authorization", "^Bearer eyJ"));
    asked.respond_with(ok(installations)).mount(server).await;
}

fn minting(id: u64) -> wiremock::MockBuilder {
    let asked = Mock::given(method("POST")).and(path(format!("/app/installations/{id}/access_tokens")));
    asked.and(header_regex("authorization", "^Bearer eyJ"))
}

fn token(text: &str, minutes: i64) -> ResponseTemplate {
    let end = Utc::now() + TimeDelta::minutes(minutes);
    ResponseTemplate::new(201).set_body_json(json!({ "token": text, "expires_at": end }))
}

fn with_token(at: &str, token: &str) -> wiremock::MockBuilder {
    get(at).and(header("authorization", format!("Bearer {token}").as_str()))
}

fn repositories(names: &[&str]) -> ResponseTemplate {
    ok(json!({ "total_count": names.len(), "repositories": repo_rows(names) }))
}

/// An app on acme (with a token `t1`) and on zeta (`t2`), one repository each.
async fn two_installations() -> MockServer {
    let server = MockServer::start().await;
    installed(&server, json!([installation(1, "Acme"), installation(2, "zeta")])).await;
    for (id, account, text) in [(1, "acme", "t1"), (2, "zeta", "t2")] {
        minting(id).respond_with(token(text, 60)).expect(1).mount(&server).await;
        let repo = format!("{account}/small");
        with_token("/installation/repositories", text).respond_with(repositories(&[&repo])).mount(&server).await;
        let issues = with_token(&format!("/repos/{repo}/issues"), text);
        issues.respond_with(ok(json!([row(id, 1)]))).mount(&server).await;
    }
    server
}

#[tokio::test]
async fn each_installation_is_read_with_its_own_token_asked_for_once() {
    let server = two_installations().await;
    let world = World::new(Arc::new(app(&server, &[])));
    for _ in 0..2 {
        assert!(world.sync().await.went_through());
    }
    assert_eq!((world.open("acme/small").await, world.open("zeta/small").await), (vec![1], vec![2]));
}

#[tokio::test]
async fn one_issue_is_read_before_any_sync_by_the_installation_on_its_owner() {
    let server = two_installations().await;
    with_token("/repos/zeta/small/issues/7", "t2").respond_with(ok(row(7, 1))).mount(&server).await;
    minting(1).respond_with(token("t1", 60)).expect(0).mount(&server).await;
    let source = app(&server, &[2]);
    assert!(source.issue_get(&issue("zeta/small#7")).await.unwrap().is_some());
    server.reset().await;
}

#[tokio::test]
async fn a_pause_of_one_installation_is_not_anothers() {
    let server = two_installations().await;
    let refusal = ResponseTemplate::new(429).insert_header("retry-after", "60");
    with_token("/repos/acme/small/issues/1", "t1").respond_with(refusal).expect(1).mount(&server).await;
    with_token("/repos/zeta/small/issues/2", "t2").respond_with(ok(row(2, 1))).mount(&server).await;
    let source = app(&server, &[]);
    for _ in 0..3 {
        let error = source.issue_get(&issue("acme/small#1")).await.unwrap_err();
        assert!(matches!(error, SourceError::Paused { .. }), "{error:?}");
        assert!(source.issue_get(&issue("zeta/small#2")).await.unwrap().is_some());
    }
}

#[tokio::test]
async fn a_token_that_is_not_accepted_is_replaced_once_even_for_a_change() {
    let server = MockServer::start().await;
    installed(&server, json!([installation(1, "acme")])).await;
    minting(1).respond_with(token("old", 60)).up_to_n_times(1).mount(&server).await;
    minting(1).respond_with(token("new", 60)).expect(1).mount(&server).await;
    let at = "/repos/acme/small/issues/1";
    let bearing = |token: &str| Mock::given(path(at)).and(header("authorization", format!("Bearer {token}").as_str()));
    bearing("old").respond_with(ResponseTemplate::new(401)).expect(1).mount(&server).await;
    bearing("new").respond_with(ok(row(1, 1))).expect(2).mount(&server).await;
    let source = app(&server, &[]);
    source.issue_close(&issue("acme/small#1")).await.unwrap();
    assert!(source.issue_get(&issue("acme/small#1")).await.unwrap().is_some());
}

#[tokio::test]
async fn a_token_that_is_never_accepted_is_an_error_after_one_more_try() {
    let server = MockServer::start().await;
    installed(&server, json!([installation(1, "acme")])).await;
    minting(1).respond_with(token("t", 60)).expect(2).mount(&server).await;
    get("/repos/acme/small/issues/1").respond_with(ResponseTemplate::new(401)).expect(2).mount(&server).await;
    let error = app(&server, &[]).issue_get(&issue("acme/small#1")).await.unwrap_err();
    assert!(matches!(error, SourceError::Denied { status: 401, .. }), "{error:?}");
}

#[tokio::test]
async fn a_token_is_replaced_before_it_ends() {
    let server = MockServer::start().await;
    installed(&server, json!([installation(1, "acme")])).await;
    // Over in no time: the next request needs another one.
    minting(1).respond_with(token("short", 0)).up_to_n_times(1).expect(1).mount(&server).await;
    minting(1).respond_with(token("long", 60)).expect(1).mount(&server).await;
    get("/repos/acme/small/issues/1").respond_with(ok(row(1, 1))).mount(&server).await;
    let source = app(&server, &[]);
    for _ in 0..3 {
        assert!(source.issue_get(&issue("acme/small#1")).await.unwrap().is_some());
    }
    let sent = server.received_requests().await.unwrap();
    let bearers: Vec<_> = sent.iter().filter(|request| request.url.path().ends_with("issues/1")).collect();
    assert_eq!(bearers[0].headers["authorization"], "Bearer short");
    assert_eq!(bearers[2].headers["authorization"], "Bearer long");
}

#[tokio::test]
async fn a_hundred_requests_at_once_need_one_token() {
    let server = MockServer::start().await;
    installed(&server, json!([installation(1, "acme")])).await;
    let slow = token("t", 60).set_delay(Duration::from_millis(50));
    minting(1).respond_with(slow).expect(1).mount(&server).await;
    with_token("/repos/acme/small/issues/1", "t").respond_with(ok(row(1, 1))).expect(100).mount(&server).await;
    let (source, one) = (app(&server, &[]), issue("acme/small#1"));
    let reads = futures_util::future::join_all((0..100).map(|_| source.issue_get(&one))).await;
    assert!(reads.into_iter().all(|read| read.unwrap().is_some()));
}

#[tokio::test]
async fn the_second_page_is_read_with_the_installations_token_too() {
    let server = MockServer::start().await;
    installed(&server, json!([installation(1, "acme")])).await;
    minting(1).respond_with(token("t", 60)).mount(&server).await;
    let next = "/repositories/7/issues?page=2";
    let first = with_token("/repos/acme/small/issues", "t");
    first.respond_with(with_next(&server, json!([row(2, 2)]), next)).mount(&server).await;
    with_token("/repositories/7/issues", "t").respond_with(ok(json!([row(1, 1)]))).expect(1).mount(&server).await;
    let source = app(&server, &[]);
    let small = "acme/small".parse().unwrap();
    let page = source.issue_page(&small, &SyncCursor::default(), None).await.unwrap();
    let page = source.issue_page(&small, &SyncCursor::default(), page.next).await.unwrap();
    assert_eq!(page.issues[0].number.get(), 1);
}

#[tokio::test]
async fn an_installation_that_fails_costs_its_own_repositories_only_and_none_is_forgotten() {
    let server = two_installations().await;
    let world = World::new(Arc::new(app(&server, &[])));
    world.sync().await;
    server.reset().await;
    installed(&server, json!([installation(1, "acme"), installation(2, "zeta")])).await;
    with_token("/installation/repositories", "t1").respond_with(ResponseTemplate::new(500)).mount(&server).await;
    let there = ["zeta/small", "zeta/new"];
    with_token("/installation/repositories", "t2").respond_with(repositories(&there)).mount(&server).await;
    for name in there {
        get(&format!("/repos/{name}/issues")).respond_with(ok(json!([row(2, 2)]))).mount(&server).await;
    }
    // acme/small answers 404 for now: while its list fails, that proves nothing.
    let report = world.sync().await;
    assert!(report.general_failure.is_some(), "{report:?}");
    assert_eq!((world.open("acme/small").await, world.open("zeta/new").await), (vec![1], vec![2]));
}

#[tokio::test]
async fn a_suspended_installation_is_left_alone_and_its_repositories_are_kept() {
    let server = two_installations().await;
    let world = World::new(Arc::new(app(&server, &[])));
    world.sync().await;
    server.reset().await;
    let mut suspended = installation(1, "acme");
    suspended["suspended_at"] = json!("2026-01-01T00:00:00Z");
    installed(&server, json!([suspended, installation(2, "zeta")])).await;
    get("/installation/repositories").respond_with(repositories(&["zeta/small"])).mount(&server).await;
    get("/repos/zeta/small/issues").respond_with(ok(json!([row(2, 1)]))).mount(&server).await;
    let report = world.sync().await;
    assert_eq!(report.failures.len(), 1, "{report:?}");
    assert!(report.failures[0].1.to_string().contains("suspended"), "{report:?}");
    assert_eq!(world.open("acme/small").await, [1]);
}

#[tokio::test]
async fn a_token_that_cannot_be_had_is_no_missing_issue() {
    let server = MockServer::start().await;
    installed(&server, json!([installation(1, "acme")])).await;
    minting(1).respond_with(ResponseTemplate::new(404)).mount(&server).await;
    let error = app(&server, &[]).issue_get(&issue("acme/small#1")).await.unwrap_err();
    assert!(matches!(error, SourceError::Denied { .. }), "{error:?}");
}

#[tokio::test]
async fn a_key_that_is_none_is_refused_without_being_shown() {
    let app = GithubAppConfig { id: Some(7), private_key: Secret::new("hunter2"), ..GithubAppConfig::default() };
    let error = source_of(&GithubConfig { app, ..GithubConfig::default() }).unwrap_err().to_string();
    assert!(error.contains("github.app") && !error.contains("hunter2"), "{error}");
}

#[tokio::test]
async fn the_stand_in_accepts_the_apps_key_and_tokens() {
    let Some(standin) = tokio::task::spawn_blocking(Standin::start).await.unwrap() else { return };
    let app = GithubAppConfig {
        id: Some(4242),
        private_key_file: Some(standin.app_key_file()),
        ..GithubAppConfig::default()
    };
    standin.call("POST", "/repos/acme/api/issues", &json!({ "title": "Of an organisation" })).await;
    let repositories = vec!["acme/api".to_owned()];
    let config = GithubConfig { app, repositories, api_url: standin.url().into(), ..GithubConfig::default() };
    // It has no list of an installation's repositories, so the configured one is what is left.
    let world = World::new(Arc::new(source_of(&config).unwrap()));
    world.sync().await;
    assert_eq!(world.open("acme/api").await, [1]);
}
