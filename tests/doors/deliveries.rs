//! GitHub's deliveries, made by hand and signed, and a server that hears them.

use hmac::{Hmac, KeyInit, Mac};
use issuecommand::config::Secret;
use reqwest::Method;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::server::{Server, config, issue, sent};

pub const SECRET: &str = "a-secret-for-tests";
pub const HOOK: &str = "/api/webhooks/github";

pub fn configured() -> issuecommand::config::Config {
    let mut config = config();
    config.webhooks.secret = Secret::new(SECRET);
    config
}

pub async fn server() -> Server {
    Server::over(configured(), &[issue(1, &[]), issue(2, &[]), issue(3, &[])]).await
}

pub fn signature(secret: &str, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

/// One delivery, signed.
pub async fn deliver(server: &Server, delivery: &str, event: &str, payload: &Value) -> (u16, Value) {
    let body = payload.to_string();
    let request = server
        .bare(Method::POST, HOOK)
        .header("content-type", "application/json")
        .header("x-github-event", event)
        .header("x-github-delivery", delivery)
        .header("x-hub-signature-256", signature(SECRET, body.as_bytes()));
    sent(request.body(body)).await
}

pub fn user(login: &str) -> Value {
    json!({ "login": login, "type": if login.ends_with("[bot]") { "Bot" } else { "User" } })
}

pub fn repository() -> Value {
    json!({ "full_name": "Acme/Small" })
}

/// A pull request of acme/small as GitHub shows it, changed at this second.
pub fn pull(number: u64, second: u32, changes: &Value) -> Value {
    let mut pull = json!({
        "number": number, "html_url": format!("https://github.com/Acme/Small/pull/{number}"), "title": "Fix it",
        "body": "", "state": "open", "merged": false, "user": user("agent-account"), "author_association": "MEMBER",
        "head": { "ref": "fix", "sha": "a1" },
        "created_at": "2026-11-01T00:00:00Z", "updated_at": format!("2026-11-01T00:10:{second:02}Z"),
    });
    for (field, value) in changes.as_object().unwrap() {
        pull[field] = value.clone();
    }
    pull
}

pub fn pull_event(action: &str, pull: &Value) -> Value {
    json!({ "action": action, "number": pull["number"], "pull_request": pull, "repository": repository() })
}

pub fn comment_event(id: u64, number: u64, author: &str, body: &str) -> Value {
    json!({
        "action": "created", "repository": repository(),
        "issue": {
            "number": number, "title": "Fix it", "state": "open", "user": user("agent-account"),
            "html_url": format!("https://github.com/Acme/Small/issues/{number}"),
            "created_at": "2026-11-01T00:00:00Z",
            "pull_request": { "html_url": format!("https://github.com/Acme/Small/pull/{number}") },
        },
        "comment": { "id": id, "user": user(author), "body": body, "created_at": "2026-11-01T00:05:00Z" },
    })
}

pub fn review_event(id: u64, number: u64, state: &str) -> Value {
    json!({
        "action": "submitted", "repository": repository(), "pull_request": pull(number, 0, &json!({})),
        "review": { "id": id, "user": user("ann"), "body": "Please split this.", "state": state, "commit_id": "a1",
            "submitted_at": "2026-11-01T00:05:00Z" },
    })
}

pub fn line_event(id: u64, number: u64) -> Value {
    json!({
        "action": "created", "repository": repository(), "pull_request": pull(number, 0, &json!({})),
        "comment": { "id": id, "user": user("ann"), "body": "A constant?", "path": "src/a.rs", "line": 7,
            "created_at": "2026-11-01T00:05:00Z" },
    })
}

/// A claim on `issue` whose agent reported pull request `number`.
pub async fn submitted(server: &Server, agent: &str, issue: u64, number: u64) -> String {
    let wish = json!({ "agent_id": agent, "repo": "acme/small", "issue_number": issue });
    let (_, body) = server.post("/api/claims", wish).await;
    let path = format!("/api/claims/{}", body["claim"]["claim_id"].as_str().unwrap());
    server.patch(&path, json!({ "agent_id": agent, "status": "in_progress" })).await;
    let pr_url = format!("https://github.com/acme/small/pull/{number}");
    let (status, body) =
        server.patch(&path, json!({ "agent_id": agent, "status": "pr_submitted", "pr_url": pr_url })).await;
    assert_eq!(status, 200, "{body}");
    path
}

pub async fn claim_of(server: &Server, agent: &str) -> Option<Value> {
    let (_, body) = server.get(&format!("/api/claims?agent_id={agent}")).await;
    body["claims"].get(0).cloned()
}

pub async fn follow_ups(server: &Server) -> Vec<Value> {
    server.get("/api/followups").await.1["followups"].as_array().unwrap().clone()
}

/// A claim of `agent` on issue `number`, as it was granted.
pub async fn claimed(server: &Server, agent: &str, number: u64) -> String {
    let wish = json!({ "agent_id": agent, "repo": "acme/small", "issue_number": number });
    let (status, body) = server.post("/api/claims", wish).await;
    assert_eq!(status, 200, "{body}");
    format!("/api/claims/{}", body["claim"]["claim_id"].as_str().unwrap())
}
