//! Reading whole repositories again: what a list of changes never tells.

use std::sync::Arc;

use chrono::TimeDelta;
use issuecommand::config::SyncConfig;
use serde_json::json;
use wiremock::matchers::query_param;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::hand_made::{closed_row, get, issue, ok, repo_rows, row, source};
use crate::world::World;

const ISSUES: &str = "/repos/acme/small/issues";

/// A world that has synced issues 1, 2 and 3 of acme/small, of which GitHub now lists only 1 as open, and
/// in which nothing else changes.
async fn world() -> (MockServer, World) {
    let server = MockServer::start().await;
    get("/user/repos").respond_with(ok(repo_rows(&["acme/small"]))).mount(&server).await;
    let open = || get(ISSUES).and(query_param("state", "open"));
    open().respond_with(ok(json!([row(3, 3), row(2, 2), row(1, 1)]))).up_to_n_times(1).mount(&server).await;
    open().respond_with(ok(json!([row(1, 1)]))).mount(&server).await;
    let all = get(ISSUES).and(query_param("state", "all"));
    all.respond_with(ok(json!([row(3, 3)])).insert_header("etag", "\"t\"")).mount(&server).await;
    let world = World::new(Arc::new(source(&server)));
    world.sync().await;
    assert_eq!(world.open("acme/small").await, [1, 2, 3]);
    (server, world)
}

fn gone() -> ResponseTemplate {
    ResponseTemplate::new(410)
}

async fn answers(server: &MockServer, number: u64, answer: ResponseTemplate) {
    get(&format!("{ISSUES}/{number}")).respond_with(answer).expect(1).mount(server).await;
}

#[tokio::test]
async fn a_deleted_issue_is_forgotten_after_it_was_read_by_itself() {
    let (server, world) = world().await;
    answers(&server, 2, gone()).await;
    answers(&server, 3, ok(row(3, 3))).await;
    world.claim("acme/small#2").await;
    assert!(world.sync_after(24).await.went_through());
    assert_eq!(world.open("acme/small").await, [1, 3], "absence alone proves nothing");
    assert_eq!(world.claimed().await, [issue("acme/small#2")], "the claim stays its owner's to give back");
}

#[tokio::test]
async fn an_issue_moved_to_another_repository_is_forgotten() {
    let (server, world) = world().await;
    let mut moved = row(9, 1);
    moved["repository_url"] = json!(format!("{}/repos/acme/other", server.uri()));
    answers(&server, 2, ok(moved)).await;
    answers(&server, 3, ok(row(3, 3))).await;
    world.sync_after(24).await;
    assert_eq!(world.open("acme/small").await, [1, 3]);
}

#[tokio::test]
async fn an_issue_closed_unseen_closes_its_claim() {
    let (server, world) = world().await;
    answers(&server, 2, ok(closed_row(2, 50))).await;
    answers(&server, 3, ok(row(3, 3))).await;
    world.claim("acme/small#2").await;
    assert_eq!(world.sync_after(24).await.externally_closed_claims, 1);
    assert_eq!(world.open("acme/small").await, [1, 3]);
}

#[tokio::test]
async fn a_failed_read_forgets_nothing_and_is_made_up_for_at_the_next_sync() {
    let (server, world) = world().await;
    let broken = ResponseTemplate::new(500);
    get(&format!("{ISSUES}/2")).respond_with(broken).up_to_n_times(1).expect(1).mount(&server).await;
    let report = world.sync_after(24).await;
    assert_eq!(report.failures.len(), 1);
    assert_eq!(world.open("acme/small").await, [1, 2, 3]);
    answers(&server, 2, gone()).await;
    answers(&server, 3, gone()).await;
    assert!(world.sync().await.went_through());
    assert_eq!(world.open("acme/small").await, [1]);
}

#[tokio::test]
async fn a_whole_reading_is_not_repeated_before_its_time() {
    let (server, world) = world().await;
    answers(&server, 2, ok(row(2, 2))).await;
    answers(&server, 3, ok(row(3, 3))).await;
    world.sync_after(24).await;
    world.sync_after(23).await;
}

#[tokio::test]
async fn with_zero_hours_nothing_is_read_as_a_whole() {
    let (server, world) = world().await;
    Mock::given(wiremock::matchers::path_regex("issues/[23]$")).respond_with(gone()).expect(0).mount(&server).await;
    world.clock.advance(TimeDelta::days(300));
    world.sync_at(&SyncConfig { full_reconcile_hours: 0, ..SyncConfig::default() }).await;
    assert_eq!(world.open("acme/small").await, [1, 2, 3]);
}

#[tokio::test]
async fn whole_readings_of_many_repositories_are_spread_over_the_day() {
    let server = MockServer::start().await;
    let names: Vec<String> = (0..96).map(|n| format!("acme/r{n:02}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    get("/user/repos").respond_with(ok(repo_rows(&names))).mount(&server).await;
    let all = Mock::given(query_param("state", "all"));
    all.respond_with(ResponseTemplate::new(304)).mount(&server).await;
    Mock::given(query_param("state", "open")).respond_with(ok(json!([row(1, 1)]))).mount(&server).await;
    let world = World::new(Arc::new(source(&server)));
    let pace = SyncConfig { interval_minutes: 60, full_reconcile_hours: 24 };
    let mut read = Vec::new();
    for _ in 0..=36 {
        let before = whole_readings(&server).await;
        world.sync_at(&pace).await;
        read.push(whole_readings(&server).await - before);
        world.clock.advance(TimeDelta::hours(1));
    }
    assert_eq!(read[0], 96, "the first walk of each");
    assert!(read[1..].iter().all(|count| *count <= 8), "at most twice the even share at once: {read:?}");
    assert!(read[1..=36].iter().sum::<usize>() >= 96, "each within a day and a half: {read:?}");
}

async fn whole_readings(server: &MockServer) -> usize {
    let asked = server.received_requests().await.unwrap();
    asked.iter().filter(|request| request.url.query().is_some_and(|query| query.contains("state=open"))).count()
}
