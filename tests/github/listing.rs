//! What is read, and how little of it.

use issuecommand::config::{GithubConfig, Secret};
use issuecommand::domain::IssueState;
use issuecommand::github::{IssueSource, PageToken, SourceError};
use issuecommand::store::SyncCursor;
use serde_json::json;
use wiremock::matchers::{body_json, header, method, path, query_param, query_param_is_missing};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::hand_made::{
    TOKEN, at, closed_row, config, get, issue, ok, request_count, row, small, source, source_of, with_next,
};

const ISSUES: &str = "/repos/acme/small/issues";

fn cursor(etag: Option<&str>, minute: u32) -> SyncCursor {
    SyncCursor { etag: etag.map(str::to_owned), updated_at: Some(at(minute)) }
}

#[tokio::test]
async fn a_first_walk_reads_every_page_of_open_issues_and_no_pull_request() {
    let server = MockServer::start().await;
    let mut pull = row(8, 50);
    pull["pull_request"] = json!({ "url": "x" });
    let first = with_next(&server, json!([pull, row(7, 40)]), "/repositories/1/issues?state=open&after=x%3D&page=2");
    let of_open = get(ISSUES).and(query_param("state", "open")).and(query_param("per_page", "100"));
    of_open.respond_with(first.insert_header("etag", "\"of another address\"")).mount(&server).await;
    let second = get("/repositories/1/issues").and(query_param("after", "x=")).and(query_param("page", "2"));
    second.respond_with(ok(json!([row(3, 5)]))).mount(&server).await;

    let source = source(&server);
    let page = source.issue_page(&small(), &SyncCursor::default(), None).await.unwrap();
    assert_eq!(page.issues.iter().map(|i| i.number.get()).collect::<Vec<_>>(), [7]);
    assert_eq!(page.cursor, Some(cursor(None, 50)), "a pull request's change counts, a foreign tag does not");
    let page = source.issue_page(&small(), &SyncCursor::default(), page.next).await.unwrap();
    assert_eq!(page.issues.iter().map(|i| i.number.get()).collect::<Vec<_>>(), [3]);
    assert_eq!((page.next, page.cursor), (None, None));
}

#[tokio::test]
async fn nothing_new_costs_one_unmetered_request() {
    let server = MockServer::start().await;
    let asked = get(ISSUES).and(query_param("state", "all")).and(header("if-none-match", "W/\"t1\""));
    asked.respond_with(ResponseTemplate::new(304)).expect(1).mount(&server).await;
    let since = cursor(Some("W/\"t1\""), 30);
    let page = source(&server).issue_page(&small(), &since, None).await.unwrap();
    assert_eq!((page.issues.len(), page.next, page.cursor), (0, None, Some(since)));
}

#[tokio::test]
async fn a_later_walk_ends_at_the_first_issue_older_than_the_cursor() {
    let server = MockServer::start().await;
    let first = with_next(&server, json!([row(9, 60), closed_row(8, 55)]), "/repos/acme/small/issues?state=all&page=2");
    let begins = get(ISSUES).and(query_param_is_missing("page")).and(query_param("sort", "updated"));
    begins.respond_with(first.insert_header("etag", "\"t2\"")).mount(&server).await;
    let last = with_next(&server, json!([row(2, 30), row(1, 29)]), "/repos/acme/small/issues?state=all&page=3");
    get(ISSUES).and(query_param("page", "2")).respond_with(last).mount(&server).await;

    let (source, since) = (source(&server), cursor(Some("\"t1\""), 30));
    let page = source.issue_page(&small(), &since, None).await.unwrap();
    assert_eq!(page.issues[1].state, IssueState::Closed);
    assert_eq!(page.cursor, Some(cursor(Some("\"t2\""), 60)));
    let page = source.issue_page(&small(), &since, page.next).await.unwrap();
    assert_eq!(page.issues.iter().map(|i| i.number.get()).collect::<Vec<_>>(), [2], "the cursor's own second again");
    assert_eq!(page.next, None, "page 3 holds nothing new");
}

#[tokio::test]
async fn an_empty_repository_is_synced_as_of_githubs_clock() {
    let server = MockServer::start().await;
    let answer = ok(json!([])).insert_header("date", "Tue, 05 May 2020 00:30:00 GMT");
    get(ISSUES).respond_with(answer).mount(&server).await;
    let page = source(&server).issue_page(&small(), &SyncCursor::default(), None).await.unwrap();
    assert_eq!(page.cursor, Some(cursor(None, 30)));
}

#[tokio::test]
async fn a_next_page_on_another_host_is_refused_and_not_asked_for() {
    let (server, other) = (MockServer::start().await, MockServer::start().await);
    get(ISSUES).respond_with(with_next(&other, json!([row(1, 1)]), "/steal")).mount(&server).await;
    let error = source(&server).issue_page(&small(), &SyncCursor::default(), None).await.unwrap_err();
    assert!(error.to_string().contains("another host"), "{error}");
    assert_eq!(request_count(&other).await, 0);
}

#[tokio::test]
async fn a_page_token_never_leads_to_another_host() {
    let (server, other) = (MockServer::start().await, MockServer::start().await);
    let authority = other.uri().trim_start_matches("http:").to_owned();
    let token = Some(PageToken(format!("{authority}/steal")));
    source(&server).issue_page(&small(), &SyncCursor::default(), token).await.unwrap_err();
    assert_eq!(request_count(&other).await, 0);
}

#[tokio::test]
async fn a_redirect_to_another_host_does_not_carry_the_token() {
    let (server, other) = (MockServer::start().await, MockServer::start().await);
    let away = ResponseTemplate::new(302).insert_header("location", format!("{}/x", other.uri()));
    get(ISSUES).respond_with(away).mount(&server).await;
    get("/x").respond_with(ok(json!([]))).mount(&other).await;
    let _ = source(&server).issue_page(&small(), &SyncCursor::default(), None).await;
    let sent = server.received_requests().await.unwrap();
    assert_eq!(sent[0].headers["authorization"], format!("Bearer {TOKEN}"));
    let followed = other.received_requests().await.unwrap();
    assert!(followed.len() == 1 && !followed[0].headers.contains_key("authorization"));
}

#[tokio::test]
async fn a_renamed_repository_is_read_under_its_old_name() {
    let server = MockServer::start().await;
    let moved = ResponseTemplate::new(301).insert_header("location", format!("{}/repositories/7/issues", server.uri()));
    get(ISSUES).respond_with(moved).mount(&server).await;
    let there = get("/repositories/7/issues").and(header("authorization", format!("Bearer {TOKEN}").as_str()));
    there.respond_with(ok(json!([row(1, 1)]))).mount(&server).await;
    let page = source(&server).issue_page(&small(), &SyncCursor::default(), None).await.unwrap();
    assert_eq!(page.issues[0].repo, small());
}

#[tokio::test]
async fn gone_transferred_and_pull_request_are_no_issue() {
    let server = MockServer::start().await;
    let mut pull = row(2, 1);
    pull["pull_request"] = json!({});
    let mut moved = row(9, 1);
    moved["repository_url"] = json!(format!("{}/repos/acme/other", server.uri()));
    let away =
        ResponseTemplate::new(301).insert_header("location", format!("{}/repositories/7/issues/9", server.uri()));
    get("/repos/acme/small/issues/2").respond_with(ok(pull)).mount(&server).await;
    get("/repos/acme/small/issues/3").respond_with(ResponseTemplate::new(410)).mount(&server).await;
    get("/repos/acme/small/issues/9").respond_with(away).mount(&server).await;
    get("/repositories/7/issues/9").respond_with(ok(moved)).mount(&server).await;
    get("/repos/acme/small/issues/5").respond_with(ok(row(5, 1))).mount(&server).await;
    let source = source(&server);
    for gone in ["acme/small#2", "acme/small#3", "acme/small#4", "acme/small#9"] {
        assert_eq!(source.issue_get(&issue(gone)).await.unwrap(), None, "{gone}");
    }
    assert_eq!(source.issue_get(&issue("acme/small#5")).await.unwrap().unwrap().title, "Issue 5");
}

#[tokio::test]
async fn comments_are_read_oldest_first_up_to_ten_pages() {
    let server = MockServer::start().await;
    let comments = "/repos/acme/small/issues/5/comments";
    let endless = json!([{ "user": null, "body": "hm", "created_at": at(1), "html_url": "https://x/5#c1" }]);
    get(comments).respond_with(with_next(&server, endless, comments)).expect(10).mount(&server).await;
    let read = source(&server).comment_list(&issue("acme/small#5")).await.unwrap();
    assert_eq!(read.len(), 10);
    assert_eq!((read[0].author.as_str(), read[0].url.as_deref()), ("ghost", Some("https://x/5#c1")));
}

#[tokio::test]
async fn repositories_of_the_account_and_the_configured_ones_are_listed_once_each() {
    let server = MockServer::start().await;
    let repo =
        |name: &str| json!({ "full_name": name, "html_url": "https://x", "private": true, "topics": ["agents"] });
    let first = with_next(&server, json!([repo("Acme/Small"), repo("no name")]), "/user/repos?page=2");
    get("/user/repos").and(query_param_is_missing("page")).respond_with(first).mount(&server).await;
    let without_issues = json!({ "full_name": "acme/wiki", "has_issues": false });
    let second = ok(json!([repo("acme/big"), repo("acme/small"), without_issues]));
    get("/user/repos").and(query_param("page", "2")).respond_with(second).mount(&server).await;
    get("/repos/else/where").respond_with(ok(repo("else/where"))).expect(1).mount(&server).await;
    let repositories = ["acme/small", "Else/Where", "not/there"].map(str::to_owned).to_vec();
    let source = source_of(&GithubConfig { repositories, ..config(&server) }).unwrap();
    let repos = source.repo_list().await.unwrap().repos;
    assert_eq!(
        repos.iter().map(|r| r.full_name.as_str()).collect::<Vec<_>>(),
        ["acme/big", "acme/small", "else/where"]
    );
    assert!(repos[0].private && repos[0].topics == ["agents"]);
}

#[tokio::test]
async fn without_a_token_only_the_configured_repositories_are_read() {
    let server = MockServer::start().await;
    get("/repos/acme/small").respond_with(ok(json!({ "full_name": "acme/small" }))).mount(&server).await;
    let repositories = vec!["acme/small".to_owned()];
    let source = source_of(&GithubConfig { repositories, token: Secret::default(), ..config(&server) }).unwrap();
    assert_eq!(source.repo_list().await.unwrap().repos[0].full_name, small());
    let sent = server.received_requests().await.unwrap();
    assert!(sent.len() == 1 && !sent[0].headers.contains_key("authorization"));
}

#[tokio::test]
async fn an_installation_token_still_reads_the_configured_repositories() {
    let server = MockServer::start().await;
    get("/user/repos").respond_with(ResponseTemplate::new(403)).mount(&server).await;
    get("/repos/acme/small").respond_with(ok(json!({ "full_name": "acme/small" }))).mount(&server).await;
    let repositories = vec!["acme/small".to_owned()];
    let source = source_of(&GithubConfig { repositories, ..config(&server) }).unwrap();
    assert_eq!(source.repo_list().await.unwrap().repos.len(), 1);
}

#[tokio::test]
async fn github_enterprise_is_reached_below_its_path() {
    let server = MockServer::start().await;
    let next = "/api/v3/repositories/7/issues?page=2";
    get("/api/v3/repos/acme/small/issues")
        .respond_with(with_next(&server, json!([row(1, 2)]), next))
        .mount(&server)
        .await;
    get("/api/v3/repositories/7/issues").respond_with(ok(json!([row(2, 1)]))).mount(&server).await;
    let api_url = format!("{}/api/v3/", server.uri());
    let source = source_of(&GithubConfig { api_url, ..config(&server) }).unwrap();
    let page = source.issue_page(&small(), &SyncCursor::default(), None).await.unwrap();
    let page = source.issue_page(&small(), &SyncCursor::default(), page.next).await.unwrap();
    assert_eq!(page.issues[0].number.get(), 2);
}

#[tokio::test]
async fn closing_says_completed() {
    let server = MockServer::start().await;
    let wanted = json!({ "state": "closed", "state_reason": "completed" });
    let asked = Mock::given(method("PATCH")).and(path("/repos/acme/small/issues/5")).and(body_json(wanted));
    asked.respond_with(ok(closed_row(5, 1))).expect(1).mount(&server).await;
    source(&server).issue_close(&issue("acme/small#5")).await.unwrap();
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_by_name() {
    let refused = |config: GithubConfig| match source_of(&config).unwrap_err() {
        error @ SourceError::Unsupported { .. } => error.to_string(),
        error => panic!("{error:?}"),
    };
    let base = || GithubConfig { use_gh_token: false, ..GithubConfig::default() };
    assert!(refused(GithubConfig { api_url: "github.com".into(), ..base() }).contains("github.api_url"));
    assert!(refused(GithubConfig { repositories: vec!["acme".into()], ..base() }).contains("github.repositories"));
    let broken = refused(GithubConfig { token: Secret::new("ghp_x\nHost: y"), ..base() });
    assert!(broken.contains("github.token") && !broken.contains("ghp_x"), "{broken}");
}
