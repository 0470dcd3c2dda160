//! Everything that changed in an account's repositories, from one list.

use std::sync::Arc;

use issuecommand::config::GithubConfig;
use issuecommand::store::ListName;
use serde_json::json;
use wiremock::matchers::{header, header_exists, query_param, query_param_is_missing};
use wiremock::{MockServer, ResponseTemplate};

use crate::hand_made::{at, closed_row, config, get, issue, ok, repo_rows, row, row_in, source, source_of, with_next};
use crate::world::World;

/// A server whose account belongs to these repositories, each with one open issue, and with a list of
/// what changed that begins at minute 10.
async fn account(names: &[&str]) -> MockServer {
    let server = MockServer::start().await;
    let list = ok(repo_rows(names)).insert_header("etag", "\"repos\"");
    get("/user/repos").and(header("if-none-match", "\"repos\"")).respond_with(unchanged()).mount(&server).await;
    get("/user/repos").respond_with(list).mount(&server).await;
    for name in names {
        let first = ok(json!([row(1, 1)])).insert_header("etag", "\"first\"");
        get(&format!("/repos/{name}/issues")).respond_with(first).up_to_n_times(1).mount(&server).await;
    }
    let begins = ok(json!([row_in(names[0], 1, 10)])).insert_header("etag", "\"c1\"");
    get("/issues").and(query_param("state", "all")).respond_with(begins).up_to_n_times(1).mount(&server).await;
    server
}

fn unchanged() -> ResponseTemplate {
    ResponseTemplate::new(304)
}

/// How often each path was asked for, since the last look.
async fn asked(server: &MockServer, path: &str) -> usize {
    server.received_requests().await.unwrap().iter().filter(|request| request.url.path() == path).count()
}

#[tokio::test]
async fn once_walked_an_idle_account_costs_two_unmetered_requests() {
    let names = ["acme/a", "acme/b", "acme/c"];
    let server = account(&names).await;
    let same = get("/issues").and(header("if-none-match", "\"c1\""));
    same.respond_with(unchanged()).expect(2).mount(&server).await;
    let world = World::new(Arc::new(source(&server)));
    assert!(world.sync().await.went_through());
    let before = server.received_requests().await.unwrap().len();
    for _ in 0..2 {
        let report = world.sync().await;
        assert_eq!((report.repos_scanned, report.went_through()), (3, true));
    }
    let later = &server.received_requests().await.unwrap()[before..];
    let paths: Vec<_> = later.iter().map(|request| request.url.path()).collect();
    assert_eq!(paths, ["/user/repos", "/issues", "/user/repos", "/issues"]);
    assert!(later.iter().all(|request| request.headers.contains_key("if-none-match")));
}

#[tokio::test]
async fn changes_of_all_repositories_come_from_one_list_page_by_page() {
    let server = account(&["acme/a", "acme/b"]).await;
    let mut closed = closed_row(1, 21);
    closed["repository_url"] = json!("https://api.example/repos/acme/b");
    let mut pull = row_in("acme/b", 9, 22);
    pull["pull_request"] = json!({ "url": "x" });
    let first = with_next(&server, json!([pull, closed]), "/issues?state=all&page=2");
    let second = with_next(&server, json!([row_in("Acme/A", 2, 20), row_in("acme/a", 1, 9)]), "/issues?page=3");
    let world = World::new(Arc::new(source(&server)));
    world.sync().await;
    let claim = world.claim("acme/b#1").await;
    let begins = get("/issues").and(query_param_is_missing("page")).and(query_param("sort", "updated"));
    begins.respond_with(first.insert_header("etag", "\"c2\"")).expect(1).mount(&server).await;
    get("/issues").and(query_param("page", "2")).respond_with(second).expect(1).mount(&server).await;
    let report = world.sync().await;
    assert!(report.went_through(), "{report:?}");
    assert_eq!((report.newly_opened_issues, report.externally_closed_claims), (1, 1));
    assert_eq!((world.open("acme/a").await, world.open("acme/b").await), (vec![1, 2], vec![]));
    assert!(world.store.claim_get(claim.claim_id).await.unwrap().unwrap().status().is_terminal());
    let cursor = world.store.list_cursor_get(ListName::Changes).await.unwrap();
    assert_eq!((cursor.etag.as_deref(), cursor.updated_at), (Some("\"c2\""), Some(at(22))));
}

#[tokio::test]
async fn a_reading_cut_short_is_begun_again() {
    let server = account(&["acme/a"]).await;
    let first = with_next(&server, json!([row_in("acme/a", 3, 30)]), "/issues?page=2");
    let world = World::new(Arc::new(source(&server)));
    world.sync().await;
    get("/issues").and(query_param_is_missing("page")).respond_with(first).mount(&server).await;
    get("/issues").and(query_param("page", "2")).respond_with(ResponseTemplate::new(500)).mount(&server).await;
    get("/repos/acme/a/issues").respond_with(ok(json!([row(3, 30), row(2, 20)]))).expect(1).mount(&server).await;
    let report = world.sync().await;
    assert!(report.went_through(), "walking each repository makes up for it: {report:?}");
    assert_eq!(world.open("acme/a").await, [1, 2, 3]);
    let cursor = world.store.list_cursor_get(ListName::Changes).await.unwrap();
    assert_eq!(cursor.updated_at, Some(at(10)), "the next reading goes back as far");
}

#[tokio::test]
async fn a_new_repository_is_walked_once_and_then_followed() {
    let server = account(&["acme/a"]).await;
    get("/issues").respond_with(unchanged()).mount(&server).await;
    let world = World::new(Arc::new(source(&server)));
    world.sync().await;
    server.reset().await;
    get("/user/repos").respond_with(ok(repo_rows(&["acme/a", "acme/new"]))).mount(&server).await;
    get("/issues").respond_with(unchanged()).mount(&server).await;
    get("/repos/acme/new/issues").respond_with(ok(json!([row(7, 7)]))).expect(1).mount(&server).await;
    world.sync().await;
    world.sync().await;
    assert_eq!(world.open("acme/new").await, [7]);
    assert_eq!(asked(&server, "/repos/acme/a/issues").await, 0);
}

#[tokio::test]
async fn a_repository_that_was_left_out_is_walked_before_it_is_followed_again() {
    let server = account(&["acme/a", "acme/b"]).await;
    let world = World::new(Arc::new(source(&server)));
    world.sync().await;
    // While the filter keeps it out, what the list tells of it is passed over.
    get("/issues").respond_with(ok(json!([row_in("acme/b", 2, 20)]))).mount(&server).await;
    world.sync_admitted(|repo| repo.name() != "b").await;
    assert_eq!(world.open("acme/b").await, [1]);
    get("/repos/acme/b/issues").respond_with(ok(json!([row(2, 20)]))).expect(1).mount(&server).await;
    world.sync().await;
    world.sync().await;
    assert_eq!(world.open("acme/b").await, [1, 2]);
    assert_eq!(asked(&server, "/repos/acme/a/issues").await, 1);
}

#[tokio::test]
async fn a_repository_named_besides_the_accounts_is_walked_alone() {
    let server = account(&["acme/a"]).await;
    get("/issues").respond_with(unchanged()).mount(&server).await;
    get("/repos/else/where").respond_with(ok(json!({ "full_name": "else/where" }))).mount(&server).await;
    get("/repos/else/where/issues").respond_with(ok(json!([row(5, 5)]))).expect(3).mount(&server).await;
    let repositories = vec!["else/where".to_owned()];
    let world = World::new(Arc::new(source_of(&GithubConfig { repositories, ..config(&server) }).unwrap()));
    for _ in 0..3 {
        assert!(world.sync().await.went_through());
    }
    assert_eq!(world.open("else/where").await, [5]);
}

#[tokio::test]
async fn a_server_without_such_a_list_is_asked_for_it_once() {
    for status in [403, 404] {
        let server = MockServer::start().await;
        get("/user/repos").respond_with(ok(repo_rows(&["acme/a"]))).mount(&server).await;
        get("/issues").respond_with(ResponseTemplate::new(status)).expect(1).mount(&server).await;
        get("/repos/acme/a/issues").respond_with(ok(json!([row(1, 1)]))).expect(3).mount(&server).await;
        let world = World::new(Arc::new(source(&server)));
        for _ in 0..3 {
            assert!(world.sync().await.went_through(), "{status}");
        }
    }
}

#[tokio::test]
async fn a_list_that_can_be_read_only_later_misses_nothing_from_before() {
    let server = MockServer::start().await;
    get("/user/repos").respond_with(ok(repo_rows(&["acme/a"]))).mount(&server).await;
    get("/repos/acme/a/issues").respond_with(ok(json!([row(1, 1)]))).up_to_n_times(1).mount(&server).await;
    get("/issues").respond_with(ResponseTemplate::new(500)).up_to_n_times(1).mount(&server).await;
    let world = World::new(Arc::new(source(&server)));
    world.sync().await;
    // 2 was opened before the list's first reading, 3 changed after it: the list begins at 3.
    get("/issues").respond_with(ok(json!([row_in("acme/a", 3, 30)]))).mount(&server).await;
    get("/repos/acme/a/issues").respond_with(ok(json!([row(3, 30), row(2, 20)]))).expect(1).mount(&server).await;
    world.sync().await;
    world.sync().await;
    assert_eq!(world.open("acme/a").await, [1, 2, 3]);
}

#[tokio::test]
async fn a_pause_while_the_list_is_read_ends_the_run_and_changes_nothing() {
    let server = account(&["acme/a"]).await;
    let world = World::new(Arc::new(source(&server)));
    world.sync().await;
    world.claim("acme/a#1").await;
    let refusal = ResponseTemplate::new(403).insert_header("retry-after", "60");
    get("/issues").respond_with(refusal).expect(1).mount(&server).await;
    let report = world.sync().await;
    assert!(report.paused_until.is_some() && report.failures.is_empty(), "{report:?}");
    assert_eq!(world.claimed().await, [issue("acme/a#1")]);
    assert_eq!(asked(&server, "/repos/acme/a/issues").await, 1, "the first walk's only");
}

#[tokio::test]
async fn a_repository_that_the_list_does_not_show_is_found_out_and_walked_alone() {
    let server = account(&["acme/a"]).await;
    let told = ok(json!([row_in("other/x", 1, 400)])).insert_header("etag", "\"c2\"");
    get("/issues").and(header("if-none-match", "\"c1\"")).respond_with(told).mount(&server).await;
    get("/issues").and(header_exists("if-none-match")).respond_with(unchanged()).mount(&server).await;
    let world = World::new(Arc::new(source(&server)));
    world.sync().await;
    let open = get("/repos/acme/a/issues").and(query_param("state", "open"));
    open.respond_with(ok(json!([row(2, 300), row(1, 1)]))).mount(&server).await;
    let all = get("/repos/acme/a/issues").and(query_param("state", "all"));
    all.respond_with(ok(json!([row(2, 300), row(1, 1)]))).expect(2).mount(&server).await;
    world.sync_after(25).await;
    assert_eq!(world.open("acme/a").await, [1, 2], "the full reading found it");
    world.sync().await;
    world.sync().await;
}

#[tokio::test]
async fn a_long_list_of_repositories_is_not_read_at_every_sync() {
    let server = MockServer::start().await;
    for page in 1..=11 {
        let rows = ok(repo_rows(&[&format!("acme/r{page}")]));
        let next = format!("</user/repos?page={}>; rel=\"next\"", page + 1);
        let rows = if page < 11 { rows.insert_header("link", next.as_str()) } else { rows };
        let asked = get("/user/repos");
        let asked = if page == 1 {
            asked.and(query_param_is_missing("page"))
        } else {
            asked.and(query_param("page", page.to_string()))
        };
        asked.respond_with(rows).expect(1).mount(&server).await;
    }
    let source = source(&server);
    use issuecommand::github::IssueSource;
    for _ in 0..2 {
        assert_eq!(source.repo_list().await.unwrap().repos.len(), 11);
    }
}
