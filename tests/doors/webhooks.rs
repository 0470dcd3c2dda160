//! GitHub's calls: whose they are, that each counts once, and what they say of issues.

use reqwest::Method;
use serde_json::json;

use crate::deliveries::{
    HOOK, SECRET, claim_of, comment_event, configured, deliver, follow_ups, repository, server, signature, user,
};
use crate::server::{Server, issue, narrow, sent};

#[tokio::test]
async fn a_delivery_and_a_piece_of_feedback_count_once() {
    let server = server().await;
    let payload = comment_event(14, 9, "ann", "And the docs?");
    let (_, first) = deliver(&server, "d1", "issue_comment", &payload).await;
    let (status, body) = deliver(&server, "d1", "issue_comment", &payload).await;
    assert_eq!((status, body), (200, json!({ "ok": true, "duplicate": true, "delivery_id": "d1" })));
    let (status, body) = deliver(&server, "d2", "issue_comment", &payload).await;
    assert_eq!((status, &body["idempotent"], &body["created"]), (202, &json!(true), &json!(false)));
    assert_eq!(body["work_item_id"], first["work_item_id"]);
    assert_eq!(follow_ups(&server).await.len(), 1);
}

#[tokio::test]
async fn only_github_and_holders_of_the_key_are_believed() {
    let server = server().await;
    let body = comment_event(14, 9, "ann", "x").to_string();
    let ask = |signature: Option<String>, key: bool| {
        let path = server.bare(Method::POST, HOOK).header("x-github-event", "issue_comment");
        let request = path.header("content-type", "application/json").body(body.clone());
        let request = if key { request.bearer_auth(crate::server::KEY) } else { request };
        sent(match signature {
            Some(signature) => request.header("x-hub-signature-256", signature),
            None => request,
        })
    };
    let refused = |reason| json!({ "ok": false, "error": "unauthorized_webhook", "reason": reason });
    let wrong = signature("another-secret", body.as_bytes());
    assert_eq!(ask(Some(wrong.clone()), false).await, (401, refused("invalid_signature")));
    assert_eq!(ask(Some(wrong), true).await, (401, refused("invalid_signature")), "a wrong signature never opens");
    assert_eq!(ask(None, false).await, (401, refused("missing_valid_signature_or_api_key")));
    assert!(follow_ups(&server).await.is_empty());
    assert_eq!(ask(None, true).await.0, 202);
    assert_eq!(ask(Some(signature(SECRET, body.as_bytes())), false).await.0, 202);
}

#[tokio::test]
async fn calls_that_prove_nothing_are_limited_by_address() {
    let mut config = configured();
    config.rate_limits = narrow();
    let server = Server::over(config, &[issue(1, &[])]).await;
    let bare = || sent(server.bare(Method::POST, HOOK).header("x-github-event", "ping").body("{}"));
    assert_eq!(bare().await.0, 401);
    assert_eq!(bare().await.0, 429);
    let rejected = server.inside.events().await.iter().filter(|kind| **kind == "webhook.rejected").count();
    assert_eq!(rejected, 1, "what is limited is not written down either");
    let (status, body) = deliver(&server, "d1", "ping", &json!({ "zen": "x" })).await;
    assert_eq!((status, &body["reason"]), (202, &json!("ping")), "GitHub's own calls go on");
}

#[tokio::test]
async fn what_is_no_delivery_is_told_so() {
    let server = server().await;
    for (event, payload) in [
        ("issue_comment", json!({ "action": "created" })),
        ("pull_request", json!({ "action": "closed", "repository": repository() })),
        ("issues", json!({ "action": "opened", "repository": repository(), "issue": { "number": "x" } })),
        ("pull_request", json!([])),
    ] {
        let (status, body) = deliver(&server, &format!("d-{event}-{payload}").replace('"', ""), event, &payload).await;
        assert_eq!((status, &body["error"]), (400, &json!("invalid_webhook_payload")), "{event} {payload}: {body}");
        assert!(body["message"].is_string());
    }
    let (status, body) = sent(server.request(Method::POST, HOOK).body("{}")).await;
    assert_eq!((status, &body["error"]), (400, &json!("invalid_webhook_payload")), "no event is named");
    let form = server.request(Method::POST, HOOK).header("x-github-event", "ping").body("payload=%7B%7D");
    let form = form.header("content-type", "application/x-www-form-urlencoded");
    assert_eq!(sent(form).await.1["message"], "set the webhook's content type to application/json");
    let (status, body) = deliver(&server, "d9", "star", &json!({ "action": "created" })).await;
    assert_eq!((status, body), (202, json!({ "ok": true, "ignored": true, "reason": "event_not_used" })));
}

#[tokio::test]
async fn at_the_same_second_a_closed_issue_stays_closed() {
    let server = server().await;
    let event = |action: &str, state: &str| {
        json!({ "action": action, "repository": repository(), "issue": {
            "number": 1, "title": "One", "state": state, "user": user("ann"),
            "created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-11-01T00:00:10Z",
        } })
    };
    deliver(&server, "d1", "issues", &event("closed", "closed")).await;
    let (_, body) = deliver(&server, "d2", "issues", &event("labeled", "open")).await;
    assert_eq!(body["reason"], "something_newer_is_known");
    let wish = json!({ "agent_id": "a1", "repo": "acme/small", "issue_number": 1 });
    assert_eq!(server.post("/api/claims", wish).await.0, 409);
}

#[tokio::test]
async fn issues_come_change_and_go_with_their_deliveries() {
    let server = server().await;
    let event = |action: &str, state: &str, second: u32| {
        json!({ "action": action, "repository": repository(), "issue": {
            "number": 40, "title": "Fresh", "state": state, "user": user("ann"), "labels": [{ "name": "p0" }],
            "created_at": "2026-11-01T00:00:00Z", "updated_at": format!("2026-11-01T00:00:{second:02}Z"),
        } })
    };
    let (_, body) = deliver(&server, "d1", "issues", &event("opened", "open", 10)).await;
    assert_eq!((&body["processed"], &body["event_type"]), (&json!(true), &json!("issues")), "{body}");
    let (status, body) =
        server.post("/api/claims", json!({ "agent_id": "a1", "repo": "acme/small", "issue_number": 40 })).await;
    assert_eq!(status, 200, "{body}");
    let (_, body) = deliver(&server, "d2", "issues", &event("edited", "closed", 5)).await;
    assert_eq!(body["reason"], "something_newer_is_known");
    assert!(claim_of(&server, "a1").await.is_some());
    deliver(&server, "d3", "issues", &event("closed", "closed", 20)).await;
    assert!(claim_of(&server, "a1").await.is_none(), "the claim ended with its issue");
    deliver(&server, "d4", "issues", &event("deleted", "open", 30)).await;
    let (status, _) =
        server.post("/api/claims", json!({ "agent_id": "a1", "repo": "acme/small", "issue_number": 40 })).await;
    assert_eq!(status, 409);
}

#[tokio::test]
async fn the_path_can_be_moved_and_the_door_closed() {
    let mut config = configured();
    config.webhooks.path = "/hooks/here".into();
    let server = Server::over(config, &[]).await;
    let ping =
        |path: &'static str| server.request(Method::POST, path).header("x-github-event", "ping").body("{}").send();
    assert_eq!(ping("/hooks/here").await.unwrap().status(), 202);
    assert_eq!(ping(HOOK).await.unwrap().status(), 404);
    let mut config = configured();
    config.webhooks.enabled = false;
    let server = Server::over(config, &[]).await;
    let request = server.request(Method::POST, HOOK).header("x-github-event", "ping").body("{}");
    assert_eq!(request.send().await.unwrap().status(), 404);
}
