//! GitHub's dependencies between issues: read for those that it says are blocked, and for no others.

use std::sync::Arc;

use issuecommand::github::SourceError;
use issuecommand::sync::SyncError;
use serde_json::{Value, json};
use wiremock::matchers::header;
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::hand_made::{get, ok, repo_rows, row, row_in, source};
use crate::world::World;

const LIST: &str = "/repos/acme/small/issues";

fn dependencies(number: u64) -> String {
    format!("{LIST}/{number}/dependencies/blocked_by")
}

/// An open issue that GitHub says so many open ones block.
fn blocked(number: u64, minute: u32, open: u32) -> Value {
    let mut row = row(number, minute);
    row["issue_dependencies_summary"] =
        json!({ "blocked_by": open, "blocking": 0, "total_blocked_by": open + 1, "total_blocking": 0 });
    row
}

/// A world whose repository has these issues.
async fn world(server: &MockServer, issues: Vec<Value>) -> World {
    get("/user/repos").respond_with(ok(repo_rows(&["acme/small"]))).mount(server).await;
    get(LIST).respond_with(ok(json!(issues))).mount(server).await;
    let world = World::new(Arc::new(source(server)));
    let report = world.sync().await;
    assert!(report.failures.is_empty(), "{:?}", report.failures);
    world
}

/// The paths that were asked for, without their queries.
async fn asked(server: &MockServer, part: &str) -> Vec<String> {
    let requests = server.received_requests().await.unwrap();
    requests.iter().map(|request| request.url.path().to_owned()).filter(|path| path.contains(part)).collect()
}

#[tokio::test]
async fn the_dependencies_of_blocked_issues_are_read_and_of_no_others() {
    let server = MockServer::start().await;
    let mut closed = row_in("acme/other", 9, 1);
    closed["state"] = json!("closed");
    get(&dependencies(1)).respond_with(ok(json!([row_in("Far/Away", 4, 1), closed, row(2, 1)]))).mount(&server).await;
    let world = world(&server, vec![blocked(1, 3, 2), row(2, 2), blocked(3, 1, 0)]).await;
    assert_eq!(world.blockers().await, []);
    world.read_dependencies().await.unwrap();
    let expected = [("acme/other#9", false), ("acme/small#2", true), ("far/away#4", true)];
    let expected = expected.map(|(issue, open)| (issue.to_owned(), open)).to_vec();
    assert_eq!(world.blockers().await, [("acme/small#1".to_owned(), expected)]);
    assert_eq!(asked(&server, "dependencies").await, [dependencies(1)]);
}

#[tokio::test]
async fn an_unchanged_list_is_asked_for_by_its_tag_and_kept() {
    let server = MockServer::start().await;
    let again = get(&dependencies(1)).and(header("if-none-match", "\"one\""));
    again.respond_with(ResponseTemplate::new(304)).expect(2).mount(&server).await;
    let first = ok(json!([row_in("far/away", 4, 1)])).insert_header("etag", "\"one\"");
    get(&dependencies(1)).respond_with(first).expect(1).mount(&server).await;
    let world = world(&server, vec![blocked(1, 3, 1)]).await;
    for _ in 0..3 {
        world.read_dependencies().await.unwrap();
        assert_eq!(world.blockers().await, [("acme/small#1".to_owned(), vec![("far/away#4".to_owned(), true)])]);
    }
}

#[tokio::test]
async fn a_server_without_dependencies_and_one_that_forbids_them_change_nothing() {
    let server = MockServer::start().await;
    get(&dependencies(1)).respond_with(ResponseTemplate::new(404)).mount(&server).await;
    let world = world(&server, vec![blocked(1, 3, 1), blocked(2, 3, 1)]).await;
    get(&dependencies(2)).respond_with(ResponseTemplate::new(403)).mount(&server).await;
    let failed = world.read_dependencies().await.unwrap_err();
    assert!(matches!(failed, SyncError::Source(SourceError::Denied { .. })), "{failed:?}");
    assert_eq!(world.blockers().await, []);
    assert_eq!(asked(&server, "dependencies").await.len(), 2, "one refusal does not stop the others");
}

#[tokio::test]
async fn a_pause_ends_the_reading_and_the_next_one_goes_on() {
    let server = MockServer::start().await;
    let paused = ResponseTemplate::new(429).insert_header("retry-after", "1");
    let pausing = get(&dependencies(1)).respond_with(paused).up_to_n_times(1).mount_as_scoped(&server).await;
    let world = world(&server, vec![blocked(1, 3, 1)]).await;
    let failed = world.read_dependencies().await.unwrap_err();
    assert!(matches!(failed, SyncError::Source(SourceError::Paused { .. })), "{failed:?}");
    drop(pausing);
    get(&dependencies(1)).respond_with(ok(json!([row(2, 1)]))).mount(&server).await;
    let begun = std::time::Instant::now();
    while world.read_dependencies().await.is_err() {
        assert!(begun.elapsed().as_secs() < 20, "the pause does not end");
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    assert_eq!(world.blockers().await.len(), 1);
}

#[tokio::test]
async fn what_is_not_admitted_is_not_asked_for() {
    let server = MockServer::start().await;
    get("/user/repos").respond_with(ok(repo_rows(&["other/small"]))).mount(&server).await;
    get("/repos/other/small/issues").respond_with(ok(json!([blocked(1, 3, 1)]))).mount(&server).await;
    let everything = Mock::given(wiremock::matchers::path_regex("dependencies"));
    everything.respond_with(ok(json!([]))).expect(0).mount(&server).await;
    let world = World::new(Arc::new(source(&server)));
    world.sync().await;
    world.read_dependencies().await.unwrap();
}
