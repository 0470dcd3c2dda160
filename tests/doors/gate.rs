//! Who comes in, and how often.

use issuecommand::config::Secret;
use reqwest::{Method, RequestBuilder};
use serde_json::json;

use crate::server::{KEY, Server, config, narrow, sent};

#[tokio::test]
async fn everything_guarded_asks_for_the_key_first() {
    let server = Server::start(config()).await;
    for path in ["/api/claims", "/api/health", "/api/nothing/here", "/sse", "/mcp", "/mcp/"] {
        for request in [server.bare(Method::GET, path), server.bare(Method::GET, path).bearer_auth("wrong")] {
            let response = request.send().await.unwrap();
            assert_eq!(response.status(), 401, "{path}");
            assert_eq!(response.headers()["www-authenticate"], "Bearer");
            assert_eq!(response.text().await.unwrap(), r#"{"error":"unauthorized","ok":false}"#, "{path}");
        }
    }
}

#[tokio::test]
async fn a_key_is_wrong_if_it_is_a_part_of_the_right_one_or_more() {
    let server = Server::start(config()).await;
    for key in [&KEY[..KEY.len() - 1], &format!("{KEY}x"), ""] {
        assert_eq!(sent(server.bare(Method::GET, "/api/nothing").bearer_auth(key)).await.0, 401, "{key:?}");
    }
    assert_eq!(sent(server.request(Method::GET, "/api/nothing")).await.0, 404);
}

#[tokio::test]
async fn an_unknown_path_or_method_is_not_found() {
    let server = Server::start(config()).await;
    let unknown = [
        (Method::GET, "/api"),
        (Method::GET, "/api/nothing"),
        (Method::GET, "/api/next"),
        (Method::PUT, "/api/claims"),
        (Method::DELETE, "/sse"),
        (Method::POST, "/api/claims/"),
        (Method::GET, "/api/issues/a/b/1/2"),
        (Method::GET, "/api/issues/%FF/b/1"),
        (Method::POST, "/"),
    ];
    for (method, path) in unknown {
        let (status, body) = sent(server.request(method.clone(), path)).await;
        assert_eq!((status, &body), (404, &json!({ "ok": false, "error": "not_found" })), "{method} {path}");
    }
}

#[tokio::test]
async fn wrong_keys_are_throttled_and_the_right_one_is_not() {
    let mut config = config();
    config.rate_limits = narrow();
    config.rate_limits.principal.burst = 100;
    let server = Server::start(config).await;
    let wrong = || server.bare(Method::GET, "/api/nothing").bearer_auth("wrong");
    assert_eq!(sent(wrong()).await.0, 401);
    let response = wrong().send().await.unwrap();
    assert_eq!(response.status(), 429);
    let seconds: u64 = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds));
    let body: serde_json::Value = response.json().await.unwrap();
    let expected = json!({ "ok": false, "error": "rate_limited", "scope": "ip", "retry_after_seconds": seconds,
        "remaining_tokens": 0 });
    assert_eq!(body, expected);
    for _ in 0..50 {
        assert_eq!(sent(server.request(Method::GET, "/api/nothing")).await.0, 404);
    }
}

#[tokio::test]
async fn a_key_has_a_limit_of_its_own_which_comes_before_the_route() {
    let mut config = config();
    config.rate_limits = narrow();
    let server = Server::start(config).await;
    let ask = || sent(server.request(Method::GET, "/api/nothing"));
    assert_eq!(ask().await.0, 404);
    let (status, body) = ask().await;
    assert_eq!((status, body["scope"].as_str()), (429, Some("principal")));
}

#[tokio::test]
async fn a_changed_limit_holds_at_once_and_an_unchanged_one_keeps_its_count() {
    let mut config = config();
    config.rate_limits = narrow();
    let server = Server::start(config.clone()).await;
    let ask = || sent(server.request(Method::GET, "/api/nothing"));
    assert_eq!(ask().await.0, 404);
    config.leases.timeout_minutes += 1;
    server.state.apply(&config);
    assert_eq!(ask().await.0, 429);
    config.rate_limits.principal.burst = 2;
    server.state.apply(&config);
    assert_eq!([ask().await.0, ask().await.0, ask().await.0], [404, 404, 429]);
}

#[tokio::test]
async fn a_trusted_proxys_clients_have_their_own_limits() {
    let mut config = config();
    config.rate_limits = narrow();
    config.server.trust_proxy = true;
    let server = Server::start(config).await;
    let from = |forwarded: &str| sent(server.bare(Method::GET, "/api/x").header("X-Forwarded-For", forwarded));
    assert_eq!(from("203.0.113.1").await.0, 401);
    assert_eq!(from("203.0.113.2").await.0, 401);
    // What the client wrote itself, before the proxy's entry, changes nothing.
    assert_eq!(from("198.51.100.7, 203.0.113.2").await.0, 429);
}

#[tokio::test]
async fn strangers_who_try_keys_are_limited_and_lock_nobody_out_of_their_address() {
    let mut config = config();
    config.rate_limits = narrow();
    let server = Server::start(config).await;
    let with = |key: &str| sent(server.bare(Method::GET, "/api/claims").bearer_auth(key));
    let statuses = [with("wrong").await.0, with("wrong").await.0, with("another").await.0];
    assert_eq!(statuses, [401, 429, 429], "their noise is");
    assert_eq!(with(KEY).await.0, 200, "a right key is let in at once");
}

#[tokio::test]
async fn without_a_key_programs_of_this_machine_come_in_and_web_pages_do_not() {
    let mut config = config();
    config.server.api_key = Secret::default();
    let server = Server::start(config).await;
    let next = || server.bare(Method::POST, "/api/next").body("{}");
    assert_eq!(sent(next()).await.0, 400, "let in, and told what is missing");
    for (name, value) in [("Origin", "https://evil.example"), ("Origin", "null"), ("Host", "evil.example:3100")] {
        let (status, body) = sent(next().header(name, value)).await;
        assert_eq!((status, body["error"].as_str()), (403, Some("not_from_here")), "{name}: {value}");
    }
}

#[tokio::test]
async fn without_a_key_the_limit_for_wrong_ones_holds_for_nobody() {
    let mut config = config();
    config.server.api_key = Secret::default();
    config.rate_limits = issuecommand::config::RateLimitConfig::default();
    let server = Server::start(config).await;
    for _ in 0..200 {
        assert_eq!(sent(server.bare(Method::GET, "/api/nothing")).await.0, 404);
    }
}

#[tokio::test]
async fn bad_fields_are_named_wherever_they_stand() {
    let server = Server::start(config()).await;
    let id = "0190a5d2-7e1c-7000-8000-000000000001";
    let claim = format!("/api/claims/{id}");
    let refused: [(RequestBuilder, &str); 12] = [
        (server.request(Method::POST, "/api/next"), "Missing or invalid field: agent_id (it is required)"),
        (server.request(Method::POST, "/api/next").body("{"), "Invalid JSON payload ("),
        (server.request(Method::POST, "/api/next").body("[]"), "Invalid JSON payload ("),
        (
            server.request(Method::POST, "/api/next").json(&json!({"agent_id": ""})),
            "Missing or invalid field: agent_id",
        ),
        (
            server.request(Method::POST, "/api/next").json(&json!({"agent_id": "a", "repo": "x"})),
            "Missing or invalid field: repo",
        ),
        (
            server.request(Method::POST, "/api/claims").json(&json!({"agent_id": "a", "repo": "x/y"})),
            "Missing or invalid field: issue_number",
        ),
        (
            server.request(Method::PATCH, &claim).json(&json!({"agent_id": "a", "status": "x"})),
            "Invalid claim status: x",
        ),
        (
            server.request(Method::PATCH, &claim).json(&json!({"claim_id": id})),
            "Missing or invalid field: claim_id (it is given twice)",
        ),
        (server.request(Method::DELETE, "/api/claims/12?agent_id=a"), "Missing or invalid field: claim_id"),
        (server.request(Method::GET, "/api/claims?status=x"), "Invalid claim status: x"),
        (server.request(Method::GET, "/api/claims?agent=x"), "Missing or invalid field: agent (unknown field"),
        (server.request(Method::GET, "/api/issues/a/b/x"), "Missing or invalid field: issue_number"),
    ];
    for (request, message) in refused {
        let (status, body) = sent(request).await;
        assert_eq!((status, body["ok"].as_bool(), body["error"].as_str()), (400, Some(false), Some("request_failed")));
        assert!(body["message"].as_str().unwrap().starts_with(message), "{message}: {body}");
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_says_so() {
    let mut config = config();
    config.server.body_bytes_max = 1000;
    let server = Server::start(config).await;
    let (status, body) = sent(server.request(Method::POST, "/api/next").body("x".repeat(1001))).await;
    assert_eq!((status, body["message"].as_str()), (413, Some("the body is larger than 1000 bytes")));
}

#[tokio::test]
async fn a_header_that_names_no_agent_is_refused_by_name() {
    let server = Server::start(config()).await;
    let request = server.request(Method::GET, "/api/claims").header("X-Agent-Id", "x".repeat(129));
    let (status, body) = sent(request).await;
    assert_eq!(status, 400);
    assert!(body["message"].as_str().unwrap().starts_with("Missing or invalid field: X-Agent-Id"), "{body}");
}
