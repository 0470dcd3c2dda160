//! Who put an approval label on an issue, for those that no webhook told of, and what was approved.

use std::sync::Arc;

use issuecommand::github::SourceError;
use issuecommand::sync::SyncError;
use serde_json::{Value, json};
use wiremock::matchers::{body_partial_json, header, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::hand_made::{at, get, issue, ok, repo_rows, row, source};
use crate::world::World;

const EVENTS: &str = "/repos/acme/small/issues/1/events";

fn put(label: &str, by: &str, minute: u32) -> Value {
    json!({ "event": "labeled", "actor": { "login": by }, "label": { "name": label }, "created_at": at(minute) })
}

fn taken(label: &str, minute: u32) -> Value {
    json!({ "event": "unlabeled", "actor": { "login": "ann" }, "label": { "name": label }, "created_at": at(minute) })
}

/// A world with one issue that last changed at `minute`.
async fn world(server: &MockServer, minute: u32) -> World {
    get("/user/repos").respond_with(ok(repo_rows(&["acme/small"]))).mount(server).await;
    let mut labelled = row(1, minute);
    labelled["labels"] = json!([{ "name": "agent-ok" }]);
    get("/repos/acme/small/issues").respond_with(ok(json!([labelled]))).mount(server).await;
    let world = World::new(Arc::new(source(server)));
    world.sync().await;
    world
}

async fn happened(server: &MockServer, events: Value) {
    get(EVENTS).respond_with(ok(events).insert_header("etag", "\"one\"")).mount(server).await;
}

async fn last_edit(server: &MockServer, answer: Value) {
    let variables = json!({ "variables": { "owner": "acme", "name": "small", "number": 1 } });
    let asked = Mock::given(method("POST")).and(path("/graphql")).and(body_partial_json(variables));
    asked.respond_with(ok(answer)).mount(server).await;
}

fn edited(minute: Option<u32>) -> Value {
    json!({ "data": { "repository": { "issue": { "lastEditedAt": minute.map(at) } } } })
}

async fn read(world: &World) -> Result<(), SyncError> {
    world.read_labels(vec![issue("acme/small#1")]).await
}

#[tokio::test]
async fn the_newest_word_that_stands_approves_what_nobody_touched_since() {
    let server = MockServer::start().await;
    let events = json!([
        put("agent-ok", "eve", 1), taken("agent-ok", 2), put("bug", "bob", 3), put("agent-ok", "ann", 5),
        { "event": "subscribed", "actor": null, "created_at": at(5) },
    ]);
    happened(&server, events).await;
    // It last changed in the second of that word: whether by it alone, GitHub must say.
    last_edit(&server, edited(None)).await;
    let world = world(&server, 5).await;
    read(&world).await.unwrap();
    assert_eq!(world.approvals().await, [("ann".to_owned(), true)]);
}

#[tokio::test]
async fn a_later_change_that_left_the_text_alone_is_told_from_an_edit() {
    for (edit, covers) in [(None, true), (Some(4), true), (Some(5), false), (Some(6), false)] {
        let server = MockServer::start().await;
        happened(&server, json!([put("agent-ok", "ann", 5)])).await;
        last_edit(&server, edited(edit)).await;
        let world = world(&server, 7).await;
        read(&world).await.unwrap();
        assert_eq!(world.approvals().await, [("ann".to_owned(), covers)], "edited at {edit:?}, approved at 5");
    }
}

#[tokio::test]
async fn a_title_that_was_changed_since_was_not_approved() {
    let server = MockServer::start().await;
    let renamed = json!({ "event": "renamed", "actor": { "login": "eve" }, "created_at": at(6) });
    happened(&server, json!([put("agent-ok", "ann", 5), renamed])).await;
    last_edit(&server, edited(None)).await;
    let world = world(&server, 6).await;
    read(&world).await.unwrap();
    assert_eq!(world.approvals().await, [("ann".to_owned(), false)]);
}

#[tokio::test]
async fn where_nobody_can_tell_what_was_approved_no_text_passes_for_it() {
    let server = MockServer::start().await;
    happened(&server, json!([put("agent-ok", "ann", 5)])).await;
    let world = world(&server, 7).await;
    // No `/graphql` there.
    read(&world).await.unwrap();
    assert_eq!(world.approvals().await, [("ann".to_owned(), false)]);
}

#[tokio::test]
async fn an_answer_without_an_issue_is_a_failure_and_asked_for_again() {
    let server = MockServer::start().await;
    happened(&server, json!([put("agent-ok", "ann", 5)])).await;
    let limited = json!({ "errors": [{ "type": "RATE_LIMITED" }], "data": null });
    let asked = Mock::given(method("POST")).and(path("/graphql")).respond_with(ok(limited));
    let limited = asked.mount_as_scoped(&server).await;
    let world = world(&server, 7).await;
    let failed = read(&world).await.unwrap_err();
    assert!(matches!(failed, SyncError::Source(SourceError::Unavailable { .. })), "{failed:?}");
    assert_eq!(world.approvals().await, []);
    drop(limited);
    last_edit(&server, edited(None)).await;
    read(&world).await.unwrap();
    assert_eq!(world.approvals().await, [("ann".to_owned(), true)]);
}

#[tokio::test]
async fn an_issue_is_asked_about_once_as_long_as_it_does_not_change_and_then_by_its_tag() {
    let server = MockServer::start().await;
    let again = get(EVENTS).and(header("if-none-match", "\"one\"")).respond_with(ResponseTemplate::new(304));
    again.expect(1).mount(&server).await;
    get(EVENTS)
        .respond_with(ok(json!([put("agent-ok", "ann", 5)])).insert_header("etag", "\"one\""))
        .expect(1)
        .mount(&server)
        .await;
    last_edit(&server, edited(None)).await;
    let world = world(&server, 5).await;
    for _ in 0..3 {
        read(&world).await.unwrap();
    }
    world.changed("acme/small#1", 9).await;
    read(&world).await.unwrap();
    assert_eq!(world.approvals().await.len(), 1);
}
