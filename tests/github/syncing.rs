//! The walk from a source into the store.

use std::sync::Arc;

use issuecommand::domain::ClaimStatus;
use issuecommand::github::FileSource;
use issuecommand::store::SyncCursor;
use serde_json::{Value, json};
use wiremock::matchers::{header, query_param, query_param_is_missing};
use wiremock::{MockServer, ResponseTemplate};

use crate::hand_made::{at, closed_row, get, issue, ok, request_count, row, source, with_next};
use crate::world::{NOW_MINUTE, World};

const ISSUES: &str = "/repos/acme/small/issues";

/// A server whose account belongs to `repos`, and a world that syncs with it.
async fn world(repos: &[&str]) -> (MockServer, World) {
    let server = MockServer::start().await;
    let rows: Vec<Value> = repos.iter().map(|name| json!({ "full_name": name })).collect();
    get("/user/repos").respond_with(ok(json!(rows))).mount(&server).await;
    let world = World::new(Arc::new(source(&server)));
    (server, world)
}

fn failing() -> ResponseTemplate {
    ResponseTemplate::new(500)
}

#[tokio::test]
async fn a_sync_brings_open_issues_and_says_so() {
    let (server, world) = world(&["acme/small"]).await;
    get(ISSUES).respond_with(ok(json!([row(2, 20), row(1, 10)]))).mount(&server).await;
    let report = world.sync().await;
    assert!(report.went_through(), "{report:?}");
    assert_eq!(world.open("acme/small").await, [1, 2]);
    assert_eq!(world.cursor("acme/small").await.unwrap().updated_at, Some(at(20)));
    let expected = json!({
        "repos_scanned": 1, "open_issues_seen": 2, "newly_opened_issues": 2, "externally_closed_claims": 0,
        "metadata_updates": 0, "stale_marked": 0, "stale_auto_released": 0, "repos_failed": 0,
    });
    assert_eq!(world.last_sync_event().await, expected);
}

#[tokio::test]
async fn a_walk_cut_short_keeps_what_it_read_and_begins_again() {
    let (server, world) = world(&["acme/small"]).await;
    let first = with_next(&server, json!([row(2, 20)]), "/repos/acme/small/issues?page=2");
    get(ISSUES).and(query_param_is_missing("page")).respond_with(first).mount(&server).await;
    get(ISSUES).and(query_param("page", "2")).respond_with(failing()).up_to_n_times(1).mount(&server).await;
    let report = world.sync().await;
    assert_eq!(report.failures.len(), 1);
    assert_eq!((world.open("acme/small").await, world.cursor("acme/small").await), (vec![2], None));

    get(ISSUES).and(query_param("page", "2")).respond_with(ok(json!([row(1, 10)]))).mount(&server).await;
    assert!(world.sync().await.went_through());
    assert_eq!(world.open("acme/small").await, [1, 2]);
}

#[tokio::test]
async fn one_failing_repository_fails_no_other() {
    let (server, world) = world(&["acme/a", "acme/broken", "acme/z"]).await;
    get("/repos/acme/broken/issues").respond_with(failing()).mount(&server).await;
    for name in ["acme/a", "acme/z"] {
        get(&format!("/repos/{name}/issues")).respond_with(ok(json!([row(1, 1)]))).mount(&server).await;
    }
    let report = world.sync().await;
    assert_eq!(report.repos_scanned, 2);
    assert_eq!(report.failures[0].0.as_str(), "acme/broken");
    assert_eq!((world.open("acme/a").await, world.open("acme/z").await), (vec![1], vec![1]));
    assert_eq!(world.last_sync_event().await["repos_failed"], 1);
}

#[tokio::test]
async fn a_pause_ends_the_run_early_and_tells_until_when() {
    let names: Vec<String> = (0..40).map(|n| format!("acme/r{n:02}")).collect();
    let (server, world) = world(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let refusal = ResponseTemplate::new(429).insert_header("retry-after", "120");
    wiremock::Mock::given(wiremock::matchers::path_regex("/issues$")).respond_with(refusal).mount(&server).await;
    let report = world.sync().await;
    assert_eq!(report.paused_until, Some(at(NOW_MINUTE + 2)));
    assert!(report.failures.is_empty(), "a pause is no failure of a repository");
    assert!(request_count(&server).await <= 5, "the list, and at most four walks under way");
}

#[tokio::test]
async fn after_a_pause_the_sync_goes_on_where_it_was() {
    let names: Vec<String> = ('a'..='l').map(|letter| format!("acme/{letter}")).collect();
    let (server, world) = world(&names.iter().map(String::as_str).collect::<Vec<_>>()).await;
    for name in &names {
        get(&format!("/repos/{name}/issues")).respond_with(ok(json!([row(1, 1)]))).mount(&server).await;
    }
    let refusal = ResponseTemplate::new(429).insert_header("retry-after", "1");
    let once = get("/repos/acme/l/issues").respond_with(refusal).with_priority(1).up_to_n_times(1);
    once.mount(&server).await;
    assert!(world.sync().await.paused_until.is_some());
    let (before, mut unread) = (request_count(&server).await, None);
    for name in names.iter().rev() {
        unread = if world.cursor(name).await.is_none() { Some(name) } else { unread };
    }
    let begun = std::time::Instant::now();
    while !world.sync().await.went_through() {
        assert!(begun.elapsed() < std::time::Duration::from_secs(30), "the pause never ends");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let sent = &server.received_requests().await.unwrap()[before..];
    let walks: Vec<_> = sent.iter().map(|r| r.url.path()).filter(|path| path.starts_with("/repos")).collect();
    let expected = format!("/repos/{}/issues", unread.unwrap());
    assert!(walks[..4].contains(&expected.as_str()), "four go at once, {expected} among them: {walks:?}");
    assert_eq!(walks.len(), names.len(), "the others follow");
}

#[tokio::test]
async fn a_repository_that_is_not_admitted_is_not_read() {
    let (server, world) = world(&["acme/small", "acme/secret"]).await;
    get(ISSUES).respond_with(ok(json!([]))).mount(&server).await;
    get("/repos/acme/secret/issues").respond_with(ok(json!([row(1, 1)]))).expect(0).mount(&server).await;
    let report = world.sync_admitted(|repo| repo.name() != "secret").await;
    assert_eq!((report.repos_scanned, report.went_through()), (1, true));
    assert_eq!(world.store.snapshot_load().await.unwrap().repos.len(), 2, "the filter may ask about both");
}

#[tokio::test]
async fn an_unchanged_repository_costs_one_unmetered_request() {
    let (server, world) = world(&["acme/small"]).await;
    let unchanged = get(ISSUES).and(header("if-none-match", "\"t\""));
    unchanged.respond_with(ResponseTemplate::new(304)).expect(1).mount(&server).await;
    let tagged = ok(json!([row(1, 10)])).insert_header("etag", "\"t\"");
    get(ISSUES).and(query_param("state", "all")).respond_with(tagged).expect(1).mount(&server).await;
    get(ISSUES).and(query_param("state", "open")).respond_with(ok(json!([row(1, 10)]))).expect(1).mount(&server).await;
    for expected in [1, 0, 0] {
        let report = world.sync().await;
        assert_eq!((report.repos_scanned, report.newly_opened_issues), (1, expected));
    }
}

#[tokio::test]
async fn a_closed_issue_closes_its_claim() {
    let (server, world) = world(&["acme/small"]).await;
    get(ISSUES).and(query_param("state", "open")).respond_with(ok(json!([row(1, 10)]))).mount(&server).await;
    get(ISSUES).and(query_param("state", "all")).respond_with(ok(json!([closed_row(1, 11)]))).mount(&server).await;
    world.sync().await;
    let claim = world.claim("acme/small#1").await;
    let report = world.sync().await;
    assert_eq!(report.externally_closed_claims, 1);
    assert_eq!(world.claimed().await, []);
    let claim = world.store.claim_get(claim.claim_id).await.unwrap().unwrap();
    assert_eq!(claim.status(), ClaimStatus::Closed);
}

#[tokio::test]
async fn a_claimed_issue_that_no_page_showed_keeps_its_claim() {
    let (server, world) = world(&["acme/small"]).await;
    world.knows("acme/small#1").await;
    world.claim("acme/small#1").await;
    get(ISSUES).respond_with(ok(json!([row(2, 20)]))).mount(&server).await;
    get("/repos/acme/small/issues/1").respond_with(ok(row(1, 10))).expect(1).mount(&server).await;
    let report = world.sync().await;
    assert_eq!((report.externally_closed_claims, report.open_issues_seen), (0, 2));
    assert_eq!(world.claimed().await, [issue("acme/small#1")]);
}

#[tokio::test]
async fn a_claimed_issue_closed_while_nobody_looked_is_found_by_reading_it() {
    let (server, world) = world(&["acme/small"]).await;
    world.knows("acme/small#1").await;
    world.claim("acme/small#1").await;
    get(ISSUES).respond_with(ok(json!([row(2, 20)]))).mount(&server).await;
    get("/repos/acme/small/issues/1").respond_with(ok(closed_row(1, 10))).mount(&server).await;
    assert_eq!(world.sync().await.externally_closed_claims, 1);
}

#[tokio::test]
async fn a_claimed_number_that_is_a_pull_request_is_offered_no_more_and_not_closed() {
    let (server, world) = world(&["acme/small"]).await;
    world.knows("acme/small#1").await;
    world.claim("acme/small#1").await;
    let mut pull = closed_row(1, 10);
    pull["pull_request"] = json!({ "url": "x" });
    get(ISSUES).respond_with(ok(json!([pull, row(2, 5)]))).mount(&server).await;
    get("/repos/acme/small/issues/1").respond_with(ok(pull)).mount(&server).await;
    assert_eq!(world.sync().await.externally_closed_claims, 0);
    assert_eq!(world.claimed().await, [issue("acme/small#1")]);
    assert_eq!(world.open("acme/small").await, [2]);
}

#[tokio::test]
async fn a_failed_read_closes_nothing_and_is_repeated_next_time() {
    let (server, world) = world(&["acme/small"]).await;
    world.knows("acme/small#1").await;
    world.claim("acme/small#1").await;
    get(ISSUES).respond_with(ok(json!([row(2, 20)]))).mount(&server).await;
    get("/repos/acme/small/issues/1").respond_with(failing()).up_to_n_times(1).mount(&server).await;
    get("/repos/acme/small/issues/1").respond_with(ok(closed_row(1, 10))).mount(&server).await;
    let report = world.sync().await;
    assert_eq!((report.externally_closed_claims, report.failures.len()), (0, 1));
    assert_eq!(world.claimed().await, [issue("acme/small#1")]);
    assert_eq!(world.sync().await.externally_closed_claims, 1);
}

#[tokio::test]
async fn an_issue_that_slipped_past_a_page_boundary_is_found() {
    let (server, world) = world(&["acme/small"]).await;
    // 3 is closed after page one was read: 1 moves up from page two to page one, unseen.
    let first = with_next(&server, json!([row(3, 30), row(2, 20)]), "/repos/acme/small/issues?state=open&page=2");
    let open = || get(ISSUES).and(query_param("state", "open")).and(query_param_is_missing("page"));
    open().respond_with(first).up_to_n_times(1).mount(&server).await;
    get(ISSUES).and(query_param("page", "2")).respond_with(ok(json!([]))).mount(&server).await;
    let all = get(ISSUES).and(query_param("state", "all"));
    all.respond_with(ok(json!([closed_row(3, 31), row(2, 20), row(1, 10)]))).mount(&server).await;
    open().respond_with(ok(json!([row(2, 20), row(1, 10)]))).expect(1).mount(&server).await;
    let report = world.sync().await;
    assert_eq!(world.open("acme/small").await, [1, 2]);
    assert_eq!(report.open_issues_seen, 2);
}

#[tokio::test]
async fn a_repository_is_forgotten_only_when_its_own_address_says_so() {
    let (server, world) = world(&[]).await;
    for name in ["acme/gone", "acme/hidden"] {
        world.knows(&format!("{name}#1")).await;
        let cursor = SyncCursor { etag: None, updated_at: Some(at(1)) };
        let repo = name.parse().unwrap();
        let batch = issuecommand::store::IssueBatch { repo, issues: Vec::new(), cursor: Some(cursor), now: at(1) };
        world.store.issue_apply(batch).await.unwrap();
    }
    get("/repos/acme/hidden/issues").respond_with(ok(json!([row(1, 1)]))).mount(&server).await;
    let report = world.sync().await;
    assert!(report.went_through(), "{report:?}");
    assert!(world.open("acme/gone").await.is_empty());
    assert_eq!(world.open("acme/hidden").await, [1]);
}

#[tokio::test]
async fn a_listed_repository_whose_issues_cannot_be_read_is_kept() {
    let (server, world) = world(&["acme/small"]).await;
    world.knows("acme/small#1").await;
    get(ISSUES).respond_with(ResponseTemplate::new(404)).mount(&server).await;
    let report = world.sync().await;
    assert_eq!(report.failures.len(), 1);
    assert_eq!(world.open("acme/small").await, [1]);
}

#[tokio::test]
async fn without_the_list_of_repositories_the_known_ones_are_read() {
    let server = MockServer::start().await;
    get("/user/repos").respond_with(ok(json!([{ "full_name": "acme/small" }]))).up_to_n_times(1).mount(&server).await;
    get("/user/repos").respond_with(failing()).mount(&server).await;
    get(ISSUES).and(query_param("state", "open")).respond_with(ok(json!([row(1, 10)]))).mount(&server).await;
    get(ISSUES).and(query_param("state", "all")).respond_with(ok(json!([row(2, 20)]))).mount(&server).await;
    let world = World::new(Arc::new(source(&server)));
    world.sync().await;
    let report = world.sync().await;
    assert!(report.general_failure.is_some());
    assert_eq!(world.open("acme/small").await, [1, 2]);
}

#[tokio::test]
async fn a_list_that_never_ends_is_given_up() {
    let (server, world) = world(&["acme/small"]).await;
    get(ISSUES).respond_with(with_next(&server, json!([]), ISSUES)).mount(&server).await;
    let report = world.sync().await;
    assert!(report.failures[0].1.to_string().contains("did not end"), "{report:?}");
    assert_eq!(world.cursor("acme/small").await, None);
}

#[tokio::test]
async fn a_file_is_synced_like_github() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("issues.jsonl");
    let line = |n, state| {
        format!(
            r#"{{"repo":"acme/small","number":{n},"title":"T","state":"{state}","created_at":"2020-05-05T00:00:00Z"}}"#
        )
    };
    std::fs::write(&path, format!("{}\n{}\n", line(1, "open"), line(2, "open"))).unwrap();
    let world = World::new(Arc::new(FileSource::new(&path)));
    assert_eq!(world.sync().await.newly_opened_issues, 2);
    world.claim("acme/small#1").await;
    assert_eq!(world.sync().await.open_issues_seen, 0, "nothing changed");
    std::fs::write(&path, format!("{}\n{}\n", line(1, "closed"), line(2, "open"))).unwrap();
    assert_eq!(world.sync().await.externally_closed_claims, 1);
    assert_eq!(world.open("acme/small").await, [2]);
}
