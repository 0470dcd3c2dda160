//! GitHub's calls: whose they are, what they make, and that each counts once.

use hmac::{Hmac, KeyInit, Mac};
use issuecommand::config::{OnClosedPull, OnPush, Secret};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::Sha256;

use crate::server::{Server, config, issue, narrow, sent};

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

fn user(login: &str) -> Value {
    json!({ "login": login, "type": if login.ends_with("[bot]") { "Bot" } else { "User" } })
}

fn repository() -> Value {
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

fn line_event(id: u64, number: u64) -> Value {
    json!({
        "action": "created", "repository": repository(), "pull_request": pull(number, 0, &json!({})),
        "comment": { "id": id, "user": user("ann"), "body": "A constant?", "path": "src/a.rs", "line": 7,
            "created_at": "2026-11-01T00:05:00Z" },
    })
}

/// A claim on `issue` whose agent reported pull request `number`.
async fn submitted(server: &Server, agent: &str, issue: u64, number: u64) -> String {
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

async fn claim_of(server: &Server, agent: &str) -> Option<Value> {
    let (_, body) = server.get(&format!("/api/claims?agent_id={agent}")).await;
    body["claims"].get(0).cloned()
}

async fn follow_ups(server: &Server) -> Vec<Value> {
    server.get("/api/followups").await.1["followups"].as_array().unwrap().clone()
}

#[tokio::test]
async fn each_kind_of_feedback_becomes_a_follow_up_with_its_key() {
    let server = server().await;
    let rows = [
        ("pull_request_review", review_event(11, 9, "changes_requested"), "review_changes_requested", "review:11"),
        ("pull_request_review", review_event(12, 9, "CHANGES_REQUESTED"), "review_changes_requested", "review:12"),
        ("pull_request_review_comment", line_event(13, 9), "review_comment", "review_comment:13"),
        ("issue_comment", comment_event(14, 9, "ann", "And the docs?"), "pr_comment", "issue_comment:14"),
    ];
    for (index, (event, payload, kind, _)) in rows.iter().enumerate() {
        let (status, body) = deliver(&server, &format!("d{index}"), event, payload).await;
        assert_eq!(status, 202, "{body}");
        assert_eq!((&body["ok"], &body["processed"], &body["created"]), (&json!(true), &json!(true), &json!(true)));
        assert_eq!((&body["event_type"], &body["source_event_type"]), (&json!(event), &json!(kind)));
        assert_eq!((&body["repo"], &body["pr_number"]), (&json!("acme/small"), &json!(9)));
        assert_eq!(body["idempotent"], json!(false));
        assert!(body["work_item_id"].is_string());
    }
    let items = follow_ups(&server).await;
    let keys: Vec<_> = items.iter().map(|item| item["source_event_id"].as_str().unwrap()).collect();
    assert_eq!(keys, rows.map(|row| row.3));
    assert_eq!(items[2]["actionable_comments"], json!(["src/a.rs:7: A constant?"]));
    assert_eq!((&items[0]["requested_by"], &items[0]["status"]), (&json!("ann"), &json!("queued")));
}

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
async fn feedback_that_settings_leave_out_makes_no_follow_up() {
    let mut config = configured();
    config.follow_ups.ignore_authors = vec!["ci-*".into()];
    config.follow_ups.ignore_pull_author = true;
    let server = Server::over(config, &[issue(1, &[])]).await;
    let rows = [
        (comment_event(1, 9, "helper[bot]", "x"), "author_is_a_bot"),
        (comment_event(2, 9, "CI-lint", "x"), "author_is_ignored"),
        (comment_event(3, 9, "Agent-Account", "x"), "author_opened_the_pull_request"),
    ];
    for (index, (payload, reason)) in rows.iter().enumerate() {
        let (status, body) = deliver(&server, &format!("d{index}"), "issue_comment", payload).await;
        assert_eq!((status, &body["reason"]), (202, &json!(reason)), "{body}");
    }
    let (_, body) = deliver(&server, "d8", "pull_request_review", &review_event(4, 9, "approved")).await;
    assert_eq!(body["reason"], "no_changes_requested");
    let mut elsewhere = comment_event(5, 9, "ann", "x");
    elsewhere["repository"] = json!({ "full_name": "other/repo" });
    let (_, body) = deliver(&server, "d9", "issue_comment", &elsewhere).await;
    assert_eq!(body["reason"], "repo_not_allowed");
    let mut on_issue = comment_event(6, 9, "ann", "x");
    on_issue["issue"].as_object_mut().unwrap().remove("pull_request");
    assert_eq!(deliver(&server, "d10", "issue_comment", &on_issue).await.1["reason"], "not_a_pull_request");
    assert!(follow_ups(&server).await.is_empty());
}

#[tokio::test]
async fn a_merged_pull_request_advances_its_claim_and_settles_its_follow_ups() {
    let server = server().await;
    submitted(&server, "a1", 1, 9).await;
    deliver(&server, "d1", "pull_request_review", &review_event(1, 9, "changes_requested")).await;
    let merged = pull(9, 30, &json!({ "state": "closed", "merged": true }));
    let (status, body) = deliver(&server, "d2", "pull_request", &pull_event("closed", &merged)).await;
    assert_eq!((status, &body["resolved_followups"], &body["action"]), (202, &json!(1), &json!("closed")), "{body}");
    assert_eq!(claim_of(&server, "a1").await.unwrap()["status"], "pr_merged");
    assert!(follow_ups(&server).await.is_empty());
    // GitHub has confirmed the merge, so the agent's word is confirmed too.
    let claim = claim_of(&server, "a1").await.unwrap();
    let path = format!("/api/claims/{}", claim["claim_id"].as_str().unwrap());
    let (status, body) = server.patch(&path, json!({ "agent_id": "a1", "status": "closed" })).await;
    assert_eq!((status, &body["verified"]), (200, &json!("confirmed")), "{body}");
}

#[tokio::test]
async fn a_closed_pull_request_releases_its_claim_unless_the_setting_keeps_it() {
    for (setting, left) in [(OnClosedPull::Release, None), (OnClosedPull::Keep, Some(json!("pr_submitted")))] {
        let mut config = configured();
        config.follow_ups.on_closed_pull = setting;
        let server = Server::over(config, &[issue(1, &[])]).await;
        submitted(&server, "a1", 1, 9).await;
        deliver(&server, "d1", "issue_comment", &comment_event(1, 9, "ann", "No.")).await;
        let closed = pull(9, 30, &json!({ "state": "closed" }));
        let (_, body) = deliver(&server, "d2", "pull_request", &pull_event("closed", &closed)).await;
        assert_eq!(body["resolved_followups"], 1, "{body}");
        assert_eq!(claim_of(&server, "a1").await.map(|claim| claim["status"].clone()), left);
        // An old delivery that comes late, or again, undoes nothing.
        let old = pull(9, 10, &json!({}));
        let (_, body) = deliver(&server, "d3", "pull_request", &pull_event("edited", &old)).await;
        assert_eq!(body["reason"], "something_newer_is_known");
    }
}

#[tokio::test]
async fn an_unclear_end_of_a_pull_request_moves_nothing() {
    let server = server().await;
    submitted(&server, "a1", 1, 9).await;
    let unclear = pull(9, 30, &json!({ "state": "closed", "merged": null }));
    deliver(&server, "d1", "pull_request", &pull_event("closed", &unclear)).await;
    assert_eq!(claim_of(&server, "a1").await.unwrap()["status"], "pr_submitted");
}

#[tokio::test]
async fn a_push_resolves_only_what_an_agent_was_answering() {
    for (setting, resolved) in [(OnPush::Resolve, 1), (OnPush::Mark, 0)] {
        let mut config = configured();
        config.follow_ups.on_push = setting;
        let server = Server::over(config, &[issue(1, &[])]).await;
        submitted(&server, "a1", 1, 9).await;
        deliver(&server, "d1", "issue_comment", &comment_event(1, 9, "ann", "One")).await;
        deliver(&server, "d2", "issue_comment", &comment_event(2, 9, "ann", "Two")).await;
        let (_, body) = server.post("/api/next-work", json!({ "agent_id": "a1" })).await;
        assert_eq!(body["kind"], "pr_followup", "{body}");
        let path = format!("/api/followups/{}", body["work_item"]["work_item_id"].as_str().unwrap());
        server.patch(&path, json!({ "agent_id": "a1", "status": "in_progress" })).await;
        server.pass(1);
        let pushed = pull(9, 30, &json!({ "head": { "ref": "fix", "sha": "b2" } }));
        let (_, body) = deliver(&server, "d3", "pull_request", &pull_event("synchronize", &pushed)).await;
        assert_eq!(body["resolved_followups"], resolved, "{body}");
        let left = follow_ups(&server).await;
        assert_eq!(left.len(), 2 - resolved);
        assert!(left.iter().all(|item| item["pushed_at"].is_string()), "those left are marked for a look: {left:?}");
    }
}

#[tokio::test]
async fn feedback_that_is_taken_back_or_resolved_needs_no_answer() {
    let server = server().await;
    deliver(&server, "d1", "pull_request_review_comment", &line_event(1, 9)).await;
    deliver(&server, "d2", "pull_request_review_comment", &line_event(2, 9)).await;
    deliver(&server, "d3", "pull_request_review", &review_event(3, 9, "changes_requested")).await;
    let mut deleted = line_event(1, 9);
    deleted["action"] = json!("deleted");
    assert_eq!(deliver(&server, "d4", "pull_request_review_comment", &deleted).await.1["resolved_followups"], 1);
    let thread = json!({
        "action": "resolved", "repository": repository(), "pull_request": pull(9, 1, &json!({})),
        "thread": { "comments": [{ "id": 2 }, { "id": 77 }] },
    });
    assert_eq!(deliver(&server, "d5", "pull_request_review_thread", &thread).await.1["resolved_followups"], 1);
    let mut dismissed = review_event(3, 9, "dismissed");
    dismissed["action"] = json!("dismissed");
    assert_eq!(deliver(&server, "d6", "pull_request_review", &dismissed).await.1["resolved_followups"], 1);
    assert!(follow_ups(&server).await.is_empty());
}

#[tokio::test]
async fn a_pull_request_is_linked_by_its_branch_and_by_what_it_closes() {
    let server = server().await;
    for (agent, number) in [("a1", 1), ("a2", 2), ("a3", 3)] {
        let wish = json!({ "agent_id": agent, "repo": "acme/small", "issue_number": number });
        server.post("/api/claims", wish).await;
    }
    let by_branch = pull(11, 1, &json!({ "head": { "ref": "agent/1-fix-it", "sha": "a" } }));
    deliver(&server, "d1", "pull_request", &pull_event("opened", &by_branch)).await;
    let by_word = pull(12, 1, &json!({ "body": "This fixes #2, I think." }));
    deliver(&server, "d2", "pull_request", &pull_event("opened", &by_word)).await;
    // Opened before the claim was granted: somebody else's work.
    let older = pull(13, 1, &json!({ "body": "Fixes #3", "created_at": "2026-10-01T00:00:00Z" }));
    deliver(&server, "d3", "pull_request", &pull_event("edited", &older)).await;
    for (agent, number) in [("a1", 11), ("a2", 12)] {
        let claim = claim_of(&server, agent).await.unwrap();
        assert_eq!(claim["status"], "pr_submitted", "{claim}");
        assert_eq!(claim["pr_url"], format!("https://github.com/Acme/Small/pull/{number}"));
    }
    assert_eq!(claim_of(&server, "a3").await.unwrap()["status"], "claimed");
}

/// A claim of `agent` on issue `number`, as it was granted.
async fn claimed(server: &Server, agent: &str, number: u64) -> String {
    let wish = json!({ "agent_id": agent, "repo": "acme/small", "issue_number": number });
    let (status, body) = server.post("/api/claims", wish).await;
    assert_eq!(status, 200, "{body}");
    format!("/api/claims/{}", body["claim"]["claim_id"].as_str().unwrap())
}

#[tokio::test]
async fn a_strangers_pull_request_takes_nobodys_claim() {
    let server = server().await;
    claimed(&server, "a1", 1).await;
    let stranger = json!({
        "body": "Fixes #1", "user": user("stranger"), "author_association": "NONE",
        "head": { "ref": "1", "sha": "x", "repo": { "full_name": "stranger/small" } },
    });
    deliver(&server, "d1", "pull_request", &pull_event("opened", &pull(66, 1, &stranger))).await;
    let mut closed = pull(66, 9, &stranger);
    closed["state"] = json!("closed");
    deliver(&server, "d2", "pull_request", &pull_event("closed", &closed)).await;
    let claim = claim_of(&server, "a1").await.expect("the claim stands");
    assert_eq!((&claim["status"], claim.get("pr_url")), (&json!("claimed"), None), "{claim}");
}

#[tokio::test]
async fn one_that_was_only_found_does_not_end_a_claim_by_being_closed() {
    let server = server().await;
    claimed(&server, "a1", 1).await;
    let found = pull(66, 1, &json!({ "body": "Fixes #1" }));
    deliver(&server, "d1", "pull_request", &pull_event("opened", &found)).await;
    assert_eq!(claim_of(&server, "a1").await.unwrap()["pr_found"], true);
    let closed = pull(66, 9, &json!({ "body": "Fixes #1", "state": "closed" }));
    deliver(&server, "d2", "pull_request", &pull_event("closed", &closed)).await;
    assert_eq!(claim_of(&server, "a1").await.unwrap()["status"], "pr_submitted");
}

#[tokio::test]
async fn one_pull_request_moves_every_claim_that_it_answers() {
    let server = server().await;
    for (agent, number) in [("a1", 1), ("a2", 2)] {
        claimed(&server, agent, number).await;
    }
    let both = pull(66, 1, &json!({ "body": "Fixes #1, fixes #2" }));
    deliver(&server, "d1", "pull_request", &pull_event("opened", &both)).await;
    let merged = pull(66, 9, &json!({ "body": "Fixes #1, fixes #2", "state": "closed", "merged": true }));
    deliver(&server, "d2", "pull_request", &pull_event("closed", &merged)).await;
    for agent in ["a1", "a2"] {
        assert_eq!(claim_of(&server, agent).await.unwrap()["status"], "pr_merged");
    }
}

#[tokio::test]
async fn a_page_is_the_same_however_it_is_written() {
    let server = server().await;
    let path = claimed(&server, "a1", 1).await;
    server.patch(&path, json!({ "agent_id": "a1", "status": "in_progress" })).await;
    let pr_url = "http://www.github.com/acme/small/pull/9/files?x=1";
    server.patch(&path, json!({ "agent_id": "a1", "status": "pr_submitted", "pr_url": pr_url })).await;
    let merged = pull(9, 30, &json!({ "state": "closed", "merged": true }));
    deliver(&server, "d1", "pull_request", &pull_event("closed", &merged)).await;
    assert_eq!(claim_of(&server, "a1").await.unwrap()["status"], "pr_merged");
}

#[tokio::test]
async fn only_the_claims_own_merged_pull_request_confirms_it_and_only_that_closes_its_issue() {
    let mut config = configured();
    config.github.auto_close_issue = true;
    let server = Server::over(config, &[issue(1, &[]), issue(2, &[]), issue(3, &[])]).await;
    let merged =
        |number, created: &str| pull(number, 30, &json!({ "state": "closed", "merged": true, "created_at": created }));
    deliver(&server, "d1", "pull_request", &pull_event("closed", &merged(70, "2026-10-01T00:00:00Z"))).await;
    deliver(&server, "d2", "pull_request", &pull_event("closed", &merged(71, "2026-11-01T00:00:00Z"))).await;
    let pages = [
        (1, "https://github.com/acme/small/pull/70", "unknown"),
        (2, "https://evil.example/acme/small/pull/71", "unknown"),
        (3, "https://example.org/done", "unknown"),
    ];
    for (number, page, expected) in pages {
        let path = claimed(&server, "a1", number).await;
        for status in ["in_progress", "pr_submitted", "pr_merged", "closed"] {
            let (code, body) = server.patch(&path, json!({ "agent_id": "a1", "status": status, "pr_url": page })).await;
            assert_eq!(code, 200, "{page} {status}: {body}");
            if status == "closed" {
                assert_eq!((&body["verified"], &body["issue_closed"]), (&json!(expected), &json!(false)), "{page}");
                assert!(body["issue_close_error"].as_str().unwrap().contains("did not confirm"), "{body}");
            }
        }
    }
}

#[tokio::test]
async fn what_others_do_on_github_is_no_sign_of_life_of_a_silent_owner() {
    let server = server().await;
    submitted(&server, "a1", 1, 9).await;
    server.pass(120);
    server.inside.api.manager().sweep().await.unwrap();
    assert_eq!(claim_of(&server, "other").await, None);
    let stale = || async { server.get("/api/claims").await.1["claims"][0]["status"].clone() };
    assert_eq!(stale().await, "stale");
    deliver(&server, "d1", "pull_request", &pull_event("labeled", &pull(9, 30, &json!({})))).await;
    assert_eq!(stale().await, "stale");
}

#[tokio::test]
async fn merged_work_is_not_handed_out_again_when_its_claim_ends() {
    let server = server().await;
    let path = submitted(&server, "a1", 1, 9).await;
    let merged = pull(9, 30, &json!({ "state": "closed", "merged": true }));
    deliver(&server, "d1", "pull_request", &pull_event("closed", &merged)).await;
    server.request(Method::DELETE, &path).json(&json!({ "agent_id": "a1" })).send().await.unwrap();
    let mut got = Vec::new();
    while let (200, body) = server.post("/api/next", json!({ "agent_id": "a2" })).await {
        got.push(body["issue"]["number"].as_u64().unwrap());
    }
    assert_eq!(got, [2, 3]);
}

#[tokio::test]
async fn a_comment_below_a_closed_pull_request_is_no_work() {
    let server = server().await;
    let mut late = comment_event(1, 9, "ann", "Thanks!");
    late["issue"]["state"] = json!("closed");
    let (_, body) = deliver(&server, "d1", "issue_comment", &late).await;
    assert_eq!(body["reason"], "pull_request_closed");
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
