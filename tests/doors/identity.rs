//! Who a token speaks for, how much it may ask, and when it ends.

use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};

use crate::server::{DEADLINE, Server, config, issue, narrow, sent};

struct Token {
    text: String,
    id: String,
}

/// Makes a token with the server's key.
async fn token(server: &Server, fields: Value) -> Token {
    let (status, body) = server.post("/api/admin/tokens", fields).await;
    assert_eq!(status, 200, "{body}");
    Token { text: body["token"].as_str().unwrap().into(), id: body["record"]["token_id"].as_str().unwrap().into() }
}

async fn backlog() -> Server {
    Server::over(config(), &[issue(1, &[]), issue(2, &[]), issue(3, &[])]).await
}

fn as_(server: &Server, token: &Token, method: Method, path: &str) -> RequestBuilder {
    server.bare(method, path).bearer_auth(&token.text)
}

#[track_caller]
fn forbidden(answer: (u16, Value), error: &str, hint: &str) {
    let (status, body) = answer;
    assert_eq!((status, body["ok"].as_bool(), body["error"].as_str()), (403, Some(false), Some(error)), "{body}");
    assert!(body["message"].as_str().unwrap().contains(hint), "{body}");
}

#[tokio::test]
async fn a_token_of_one_agent_cannot_act_as_another() {
    let server = backlog().await;
    let token = token(&server, json!({ "agent_id": "a", "scope": "claim" })).await;
    let next = |body: Value| sent(as_(&server, &token, Method::POST, "/api/next").json(&body));
    let (status, body) = next(json!({})).await;
    assert_eq!((status, body["claim"]["agent_id"].as_str()), (200, Some("a")), "the token says who asks");
    assert_eq!(next(json!({ "agent_id": " a " })).await.0, 200);
    forbidden(next(json!({ "agent_id": "b" })).await, "agent_forbidden", "speaks for a, not for b");
    let named = as_(&server, &token, Method::POST, "/api/next").header("X-Agent-Id", "b").json(&json!({}));
    forbidden(sent(named).await, "agent_forbidden", "speaks for a, not for b");
    // Neither by the body under a header of its own, nor where agent_id stands in a query.
    let both =
        as_(&server, &token, Method::POST, "/api/next").header("X-Agent-Id", "a").json(&json!({"agent_id": "b"}));
    forbidden(sent(both).await, "agent_forbidden", "speaks for a, not for b");
    let claim = format!("/api/claims/{}", body["claim"]["claim_id"].as_str().unwrap());
    let release = as_(&server, &token, Method::DELETE, &format!("{claim}?agent_id=b"));
    forbidden(sent(release).await, "agent_forbidden", "b");
    assert_eq!(sent(as_(&server, &token, Method::GET, "/api/claims?agent_id=b")).await.0, 200, "a filter is no name");
    let own = sent(as_(&server, &token, Method::DELETE, &claim)).await;
    assert_eq!((own.0, own.1["claim"]["status"].as_str()), (200, Some("released")));
    let claims = server.get("/api/claims").await.1;
    assert!(claims["claims"].as_array().unwrap().iter().all(|claim| claim["agent_id"] == "a"), "{claims}");
}

#[tokio::test]
async fn a_token_without_an_agent_names_the_one_it_acts_for() {
    let server = backlog().await;
    let token = token(&server, json!({ "scope": "claim", "label": "nightly script" })).await;
    let next = |body: Value| sent(as_(&server, &token, Method::POST, "/api/next").json(&body));
    assert_eq!(next(json!({ "agent_id": "b" })).await.1["claim"]["agent_id"], "b");
    let (status, body) = next(json!({})).await;
    assert_eq!((status, body["error"].as_str()), (400, Some("request_failed")), "an agent is required all the same");
}

#[tokio::test]
async fn each_scope_opens_its_own_routes_and_those_of_the_narrower_ones() {
    let server = backlog().await;
    let id = "0190a5d2-7e1c-7000-8000-000000000001";
    let claim = format!("/api/claims/{id}");
    let routes: [(Method, &str, usize); 17] = [
        (Method::GET, "/api/repos", 0),
        (Method::GET, "/api/repos/acme/small/issues", 0),
        (Method::GET, "/api/issues/acme/small/1", 0),
        (Method::GET, "/api/claims", 0),
        (Method::GET, "/api/claims/history", 0),
        (Method::GET, "/api/health", 0),
        (Method::GET, "/sse", 0),
        (Method::POST, "/api/next", 1),
        (Method::POST, "/api/claims", 1),
        (Method::PATCH, &claim, 1),
        (Method::DELETE, &claim, 1),
        (Method::POST, "/api/admin/claims/x/release", 2),
        (Method::POST, "/api/admin/claims/x/reassign", 2),
        (Method::GET, "/api/admin/tokens", 2),
        (Method::POST, "/api/admin/tokens", 2),
        (Method::GET, "/api/admin/export", 2),
        (Method::POST, "/api/admin/import", 2),
    ];
    for (width, scope) in ["read", "claim", "admin"].into_iter().enumerate() {
        let token = token(&server, json!({ "scope": scope, "agent_id": "a" })).await;
        for (method, path, needs) in &routes {
            let response = as_(&server, &token, method.clone(), path).timeout(DEADLINE).send().await.unwrap();
            assert_eq!(response.status() == 403, width < *needs, "{method} {path} with {scope}");
            if response.status() == 403 {
                let body: Value = response.json().await.unwrap();
                let needed = ["read", "claim", "admin"][*needs];
                assert_eq!(body["error"], "scope_too_narrow");
                assert!(body["message"].as_str().unwrap().contains(&format!("needs {needed}")), "{body}");
            }
        }
    }
    assert_eq!(
        server.get("/api/claims").await.1["claims"].as_array().unwrap().len(),
        2,
        "one for claim, one for admin"
    );
}

#[tokio::test]
async fn a_revoked_token_works_no_more_at_once() {
    let server = backlog().await;
    let token = token(&server, json!({ "agent_id": "a", "scope": "claim" })).await;
    let ask = || sent(as_(&server, &token, Method::GET, "/api/claims"));
    assert_eq!(ask().await.0, 200);
    let path = format!("/api/admin/tokens/{}", token.id);
    let (status, body) = sent(server.request(Method::DELETE, &path)).await;
    assert_eq!((status, &body["record"]["live"]), (200, &json!(false)), "{body}");
    let (status, body) = ask().await;
    assert_eq!((status, body["error"].as_str()), (401, Some("unauthorized")));
    assert!(body["message"].as_str().unwrap().starts_with("this token was revoked at "), "{body}");
    let again = sent(server.request(Method::DELETE, &path)).await;
    assert_eq!((again.0, &again.1["idempotent"]), (200, &json!(true)));
    let unknown = sent(server.request(Method::DELETE, "/api/admin/tokens/0190a5d2-7e1c-7000-8000-000000000001")).await;
    assert_eq!((unknown.0, &unknown.1["reason"]), (404, &json!("token_not_found")));
}

#[tokio::test]
async fn a_token_ends_when_its_time_is_over() {
    let server = backlog().await;
    let token = token(&server, json!({ "scope": "read", "expires_days": 1 })).await;
    let ask = || sent(as_(&server, &token, Method::GET, "/api/claims"));
    server.pass(24 * 60 - 1);
    assert_eq!(ask().await.0, 200);
    server.pass(1);
    let (status, body) = ask().await;
    assert_eq!(status, 401);
    assert!(body["message"].as_str().unwrap().starts_with("this token expired at 2026-11-02 00:00:00 UTC"), "{body}");
}

#[tokio::test]
async fn a_token_is_shown_once_and_never_again() {
    let server = backlog().await;
    let token = token(&server, json!({ "agent_id": "a", "scope": "admin", "label": "ops" })).await;
    let mut seen = Vec::new();
    for path in ["/api/admin/tokens", "/api/admin/export", "/api/health", "/api/claims/history"] {
        seen.push(sent(as_(&server, &token, Method::GET, path)).await.1.to_string());
    }
    let (_, claimed) = sent(as_(&server, &token, Method::POST, "/api/next")).await;
    let release = format!("/api/admin/claims/{}/release", claimed["claim"]["claim_id"].as_str().unwrap());
    seen.push(sent(as_(&server, &token, Method::POST, &release)).await.1.to_string());
    seen.push(
        sent(as_(&server, &token, Method::POST, "/api/next").json(&json!({ "agent_id": "b" }))).await.1.to_string(),
    );
    server.request(Method::DELETE, &format!("/api/admin/tokens/{}", token.id)).send().await.unwrap();
    seen.push(sent(as_(&server, &token, Method::GET, "/api/claims")).await.1.to_string());
    for text in seen {
        assert!(!text.contains(&token.text) && !text.contains(&token.text[3..20]), "{text}");
    }
    let (_, body) = server.get("/api/admin/tokens").await;
    let record = &body["tokens"][0];
    let shown = ["token_id", "agent_id", "scope", "label", "created_at", "revoked_at", "live"];
    let mut fields: Vec<_> = record.as_object().unwrap().keys().map(String::as_str).collect();
    fields.sort_unstable();
    let mut expected = shown.to_vec();
    expected.sort_unstable();
    assert_eq!(fields, expected);
}

#[tokio::test]
async fn wrong_tokens_are_throttled_and_live_ones_are_not() {
    let mut config = config();
    config.rate_limits = narrow();
    config.rate_limits.principal.burst = 100;
    let server = Server::start(config).await;
    let live = token(&server, json!({ "scope": "read" })).await;
    let ended = token(&server, json!({ "scope": "read" })).await;
    server.request(Method::DELETE, &format!("/api/admin/tokens/{}", ended.id)).send().await.unwrap();
    let guess = || sent(server.bare(Method::GET, "/api/claims").bearer_auth(format!("ic_{}", "0".repeat(64))));
    assert_eq!(guess().await.0, 401);
    assert_eq!((guess().await.0, guess().await.1["scope"].as_str()), (429, Some("ip")));
    let (status, body) = sent(as_(&server, &ended, Method::GET, "/api/claims")).await;
    assert_eq!((status, body["scope"].as_str()), (429, Some("ip")), "an ended token is a wrong one");
    for _ in 0..20 {
        assert_eq!(sent(as_(&server, &live, Method::GET, "/api/claims")).await.0, 200);
    }
}

#[tokio::test]
async fn each_token_has_a_bucket_of_its_own() {
    let mut config = config();
    config.rate_limits = narrow();
    config.rate_limits.principal.burst = 3;
    let server = Server::start(config).await;
    let (a, b) = (token(&server, json!({ "scope": "read" })).await, token(&server, json!({ "scope": "read" })).await);
    for token in [&a, &b] {
        for _ in 0..3 {
            assert_eq!(sent(as_(&server, token, Method::GET, "/api/claims")).await.0, 200);
        }
        let (status, body) = sent(as_(&server, token, Method::GET, "/api/claims")).await;
        assert_eq!((status, body["scope"].as_str()), (429, Some("principal")));
    }
}

#[tokio::test]
async fn without_a_key_a_token_keeps_its_bounds_and_an_ended_one_opens_nothing() {
    let mut config = config();
    config.server.api_key = issuecommand::config::Secret::default();
    let server = Server::over(config, &[issue(1, &[])]).await;
    let made = sent(server.bare(Method::POST, "/api/admin/tokens").json(&json!({ "scope": "read", "agent_id": "a" })));
    let made = made.await.1;
    let token =
        Token { text: made["token"].as_str().unwrap().into(), id: made["record"]["token_id"].as_str().unwrap().into() };
    forbidden(sent(as_(&server, &token, Method::POST, "/api/next")).await, "scope_too_narrow", "has scope read");
    sent(server.bare(Method::DELETE, &format!("/api/admin/tokens/{}", token.id))).await;
    assert_eq!(sent(as_(&server, &token, Method::GET, "/api/claims")).await.0, 401);
    assert_eq!(sent(server.bare(Method::GET, "/api/claims")).await.0, 200);
}

#[tokio::test]
async fn who_may_only_look_does_not_keep_a_lease_alive() {
    let server = backlog().await;
    let (_, body) = server.post("/api/next", json!({ "agent_id": "a" })).await;
    let lease = body["claim"]["lease"]["expires_at"].clone();
    server.pass(30);
    let looking = token(&server, json!({ "scope": "read" })).await;
    let look = as_(&server, &looking, Method::GET, "/api/claims").header("X-Agent-Id", "a");
    assert_eq!(sent(look).await.1["claims"][0]["lease"]["expires_at"], lease);
    let working = token(&server, json!({ "scope": "claim", "agent_id": "a" })).await;
    let look = sent(as_(&server, &working, Method::GET, "/api/claims")).await;
    assert_ne!(look.1["claims"][0]["lease"]["expires_at"], lease, "its own agent is heard of by any call");
}

#[tokio::test]
async fn an_open_stream_ends_with_its_token() {
    let server = backlog().await;
    let token = token(&server, json!({ "scope": "read" })).await;
    let mut stream = as_(&server, &token, Method::GET, "/sse").send().await.unwrap();
    stream.chunk().await.unwrap().unwrap();
    server.request(Method::DELETE, &format!("/api/admin/tokens/{}", token.id)).send().await.unwrap();
    server.post("/api/next", json!({ "agent_id": "a" })).await;
    let rest = tokio::time::timeout(DEADLINE, stream.text()).await.expect("the stream ends").unwrap();
    assert!(!rest.contains("claim.created"), "{rest}");
}

/// One MCP request over HTTP.
async fn tool(server: &Server, token: &Token, name: &str, arguments: Value, header: Option<&str>) -> (u16, Value) {
    let call = json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/call",
        "params": { "name": name, "arguments": arguments } });
    let mut request = as_(server, token, Method::POST, "/mcp")
        .header("Accept", "application/json, text/event-stream")
        .header("MCP-Protocol-Version", "2025-11-25")
        .json(&call);
    if let Some(agent) = header {
        request = request.header("X-Agent-Id", agent);
    }
    let (status, body) = sent(request).await;
    (status, body["result"].clone())
}

#[tokio::test]
async fn mcp_over_http_obeys_the_same_token() {
    let server = backlog().await;
    let claiming = token(&server, json!({ "agent_id": "a", "scope": "claim" })).await;
    let (status, result) = tool(&server, &claiming, "next_issue", json!({}), None).await;
    assert_eq!((status, &result["structuredContent"]["ok"]), (200, &json!(true)), "{result}");
    assert_eq!(server.get("/api/claims").await.1["claims"][0]["agent_id"], "a", "it acts for its agent");
    let refused = |result: &Value, error: &str| {
        assert_eq!(
            (&result["isError"], &result["structuredContent"]["error"]),
            (&json!(true), &json!(error)),
            "{result}"
        );
    };
    refused(&tool(&server, &claiming, "next_issue", json!({ "agent_id": "b" }), None).await.1, "agent_forbidden");
    refused(&tool(&server, &claiming, "next_issue", json!({}), Some("b")).await.1, "agent_forbidden");
    refused(&tool(&server, &claiming, "get_my_claims", json!({ "agent_id": "b" }), None).await.1, "agent_forbidden");
    assert_eq!(tool(&server, &claiming, "next_issue", json!({}), Some("a")).await.1["isError"], false);

    let reading = token(&server, json!({ "scope": "read" })).await;
    refused(&tool(&server, &reading, "claim_issue", json!({ "agent_id": "a" }), None).await.1, "scope_too_narrow");
    assert_eq!(tool(&server, &reading, "get_all_claims", json!({}), None).await.1["isError"], false);
    server.request(Method::DELETE, &format!("/api/admin/tokens/{}", reading.id)).send().await.unwrap();
    assert_eq!(as_(&server, &reading, Method::POST, "/mcp").send().await.unwrap().status(), 401);
}

#[tokio::test]
async fn a_stream_is_opened_as_ones_own_agent_only() {
    let server = backlog().await;
    let token = token(&server, json!({ "agent_id": "a", "scope": "read" })).await;
    let open = |agent: &'static str| as_(&server, &token, Method::GET, "/sse").header("X-Agent-Id", agent).send();
    assert_eq!(open("a").await.unwrap().status(), 200);
    assert_eq!(open("b").await.unwrap().status(), 403);
}

#[tokio::test]
async fn an_empty_agent_is_refused_by_every_call_that_acts() {
    let server = backlog().await;
    let id = "0190a5d2-7e1c-7000-8000-000000000001";
    let claim = format!("/api/claims/{id}");
    let acts = [
        (Method::POST, "/api/next", json!({})),
        (Method::POST, "/api/claims", json!({ "repo": "acme/small", "issue_number": 1 })),
        (Method::PATCH, &claim, json!({ "status": "in_progress" })),
        (Method::DELETE, &claim, json!({})),
        (Method::POST, &format!("/api/admin/claims/{id}/reassign"), json!({})),
    ];
    for (method, path, body) in acts {
        for agent in
            [None, Some(json!("")), Some(json!(" ")), Some(json!(null)), Some(json!(7)), Some(json!("a\u{0}b"))]
        {
            let mut body = body.clone();
            if let Some(agent) = agent {
                body["agent_id"] = agent;
            }
            let request = server.request(method.clone(), path).header("X-Agent-Id", "");
            let (status, answer) = sent(request.json(&body)).await;
            assert_eq!(status, 400, "{method} {path} {body}: {answer}");
            assert!(answer["message"].as_str().unwrap().starts_with("Missing or invalid field: agent_id"), "{answer}");
        }
    }
    assert_eq!(server.get("/api/claims").await.1["claims"], json!([]));
}
