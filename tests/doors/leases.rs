//! Claims over time: leases lapse, are renewed by any call of their owner, and are taken back; what is
//! finished stays finished.

use std::time::Duration;

use issuecommand::claims::{EventStep, SweepReport};
use issuecommand::domain::EventKind;
use serde_json::{Value, json};

use crate::server::{DEADLINE, Server, config, issue};

/// The contract's example: stale after 10 minutes, taken back 5 minutes later.
async fn server(backlog: &[Value]) -> Server {
    let mut config = config();
    config.leases.timeout_minutes = 10;
    config.leases.auto_release_minutes = 5;
    Server::over(config, backlog).await
}

async fn next(server: &Server, agent: &str) -> Value {
    let (status, body) = server.post("/api/next", json!({ "agent_id": agent })).await;
    assert_eq!(status, 200, "{body}");
    body["claim"].clone()
}

async fn sweep(server: &Server) -> (usize, usize) {
    let SweepReport { stale_marked, auto_released } = server.inside.api.manager().sweep().await.unwrap();
    (stale_marked, auto_released)
}

fn path(claim: &Value) -> String {
    format!("/api/claims/{}", claim["claim_id"].as_str().unwrap())
}

#[tokio::test]
async fn a_silent_owners_claim_goes_stale_and_is_then_taken_back() {
    let server = server(&[issue(1, &[])]).await;
    let claim = next(&server, "a").await;
    server.pass(9);
    assert_eq!(sweep(&server).await, (0, 0));
    server.pass(2);
    assert_eq!(sweep(&server).await, (1, 0), "at 11 minutes");
    let (_, health) = server.get("/api/health").await;
    assert_eq!(health["health"]["stale_claims"], 1);
    let (status, _) = server.post("/api/next", json!({ "agent_id": "b" })).await;
    assert_eq!(status, 409, "a stale claim still blocks others");
    server.pass(6);
    assert_eq!(sweep(&server).await, (0, 1), "6 minutes later");
    let again = next(&server, "b").await;
    assert_eq!(again["issue_number"], claim["issue_number"]);
    assert_eq!((&claim["lease"]["epoch"], &again["lease"]["epoch"]), (&json!(1), &json!(2)));
}

#[tokio::test]
async fn a_sweep_that_was_held_up_takes_nothing_back_until_agents_had_time_to_call() {
    let server = server(&[issue(1, &[])]).await;
    next(&server, "a").await;
    server.pass(20);
    let manager = server.inside.api.manager();
    let stale_count = async || {
        let (_, health) = server.get("/api/health").await;
        (health["health"]["stale_claims"].clone(), health["health"]["degraded"].clone())
    };
    // The process was stopped for a while: `a` may have called all the time and was not heard.
    manager.sweep_that_was_due(Duration::from_secs(46)).await;
    let (stale, degraded) = stale_count().await;
    assert_eq!(stale, 0, "its lease has run out, and it is left alone");
    let told = degraded[0].as_str().unwrap();
    assert!(told.starts_with("sweep: the server was held up for 46 s: no claim is marked or taken back"), "{told}");
    server.pass(1);
    manager.sweep_that_was_due(Duration::ZERO).await;
    assert_eq!(stale_count().await.0, 0, "a minute is too short to call");
    server.pass(1);
    manager.sweep_that_was_due(Duration::from_secs(45)).await;
    assert_eq!(stale_count().await, (json!(1), Value::Null), "it had its time, and a sweep may be a little late");
}

#[tokio::test]
async fn any_call_of_the_owner_renews_and_calls_of_others_do_not() {
    let server = server(&[issue(1, &[]), issue(2, &[]), issue(3, &[])]).await;
    next(&server, "caller").await;
    let silent = next(&server, "silent").await;
    server.pass(8);
    next(&server, "caller").await;
    server.pass(3);
    assert_eq!(sweep(&server).await, (1, 0), "only the silent one's");
    let (_, claims) = server.get("/api/claims?status=stale").await;
    assert_eq!(claims["claims"][0]["claim_id"], silent["claim_id"]);
}

#[tokio::test]
async fn a_heartbeat_renews_without_a_new_entry_in_the_history() {
    let server = server(&[issue(1, &[])]).await;
    let claim = next(&server, "a").await;
    server.pass(8);
    let (status, body) = server.patch(&path(&claim), json!({ "agent_id": "a", "status": "claimed" })).await;
    assert_eq!((status, &body["idempotent"]), (200, &json!(true)), "{body}");
    assert_eq!(body["claim"]["status_history"].as_array().unwrap().len(), 1);
    server.pass(8);
    assert_eq!(sweep(&server).await, (0, 0));
}

#[tokio::test]
async fn an_owner_that_comes_back_takes_its_stale_claim_up_again() {
    let server = server(&[issue(1, &[])]).await;
    let claim = next(&server, "a").await;
    server.pass(10);
    assert_eq!(sweep(&server).await, (1, 0), "at its end, not only past it");
    let (status, body) = server.patch(&path(&claim), json!({ "agent_id": "a", "status": "in_progress" })).await;
    assert_eq!((status, &body["claim"]["status"]), (200, &json!("in_progress")), "{body}");
    server.pass(9);
    assert_eq!(sweep(&server).await, (0, 0));
}

#[tokio::test]
async fn a_finished_issue_that_is_still_open_on_github_is_not_handed_out_again() {
    let server = server(&[issue(1, &[])]).await;
    let claim = next(&server, "a").await;
    let pr = "https://github.com/acme/small/pull/9";
    for status in ["in_progress", "pr_submitted", "pr_merged", "closed"] {
        let (code, body) =
            server.patch(&path(&claim), json!({ "agent_id": "a", "status": status, "pr_url": pr })).await;
        assert_eq!(code, 200, "{body}");
    }
    let (status, body) = server.post("/api/next", json!({ "agent_id": "b" })).await;
    assert_eq!(status, 409);
    assert_eq!(body["why"], "1 open, 1 finished here", "{body}");
    let by_number = json!({ "agent_id": "b", "repo": "acme/small", "issue_number": 1 });
    let (status, body) = server.post("/api/claims", by_number).await;
    assert_eq!(status, 200, "who asks for it by number knows what they do: {body}");
    let again = body["claim"].clone();
    let (status, _) = server.patch(&path(&again), json!({ "agent_id": "b", "status": "released" })).await;
    assert_eq!(status, 200);
    assert_eq!(next(&server, "c").await["issue_number"], 1, "work that was taken up again is not finished");
}

#[tokio::test]
async fn a_retry_gets_its_claim_even_when_nothing_else_is_left() {
    let server = server(&[issue(1, &[])]).await;
    let ask = json!({ "agent_id": "a", "request_id": "r1" });
    let (_, first) = server.post("/api/next", ask.clone()).await;
    let (status, again) = server.post("/api/next", ask).await;
    assert_eq!(status, 200, "{again}");
    assert_eq!((&again["claim"]["claim_id"], &again["idempotent"]), (&first["claim"]["claim_id"], &json!(true)));
    assert_eq!(again["issue"]["number"], 1, "a retry gets the issue too");
}

#[tokio::test]
async fn the_event_of_a_sync_tells_what_was_swept_since_the_last() {
    let server = Server::over(config(), &[issue(1, &[])]).await;
    server.post("/api/next", json!({ "agent_id": "a" })).await;
    server.pass(120);
    let manager = server.inside.api.manager();
    manager.sweep().await.unwrap();
    for expected in [1, 0] {
        let mut cursor = manager.events_after(None);
        manager.wish_sync();
        let told = async {
            loop {
                let EventStep::Events(events) = cursor.next().await.unwrap() else { continue };
                let synced = events.iter().find(|event| event.draft.kind == EventKind::SyncReconciled);
                if let Some(synced) = synced {
                    return synced.draft.details["stale_marked"].clone();
                }
            }
        };
        assert_eq!(tokio::time::timeout(DEADLINE, told).await.expect("a sync in time"), expected);
    }
}
