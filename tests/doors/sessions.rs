//! Sessions of MCP clients up to 2025-11-25, and streams that end with what opened them.

use reqwest::{Method, RequestBuilder, Response};
use serde_json::{Value, json};

use crate::server::{DEADLINE, KEY, Server, config, issue};

const ACCEPT: &str = "application/json, text/event-stream";
/// As many as the server keeps.
const SESSION_COUNT_MAX: usize = 512;

fn mcp(server: &Server, method: Method, token: &str, session: Option<&str>) -> RequestBuilder {
    let request = server.bare(method, "/mcp").bearer_auth(token).header("Accept", ACCEPT);
    match session {
        Some(session) => request.header("Mcp-Session-Id", session).header("MCP-Protocol-Version", "2025-11-25"),
        None => request,
    }
}

fn message(id: u64, method: &str, params: Value) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params })
}

/// Greets; the session, if one is given.
async fn greeted(server: &Server, token: &str) -> Option<String> {
    let params = json!({
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" }
    });
    let greeting = mcp(server, Method::POST, token, None).json(&message(1, "initialize", params));
    let answer = greeting.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let session = answer.headers().get("mcp-session-id").map(|id| id.to_str().unwrap().to_owned());
    if let Some(session) = &session {
        let ready = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        mcp(server, Method::POST, token, Some(session)).json(&ready).send().await.unwrap();
    }
    session
}

async fn subscribed(server: &Server, token: &str, session: Option<&str>) -> String {
    let subscribe = message(2, "resources/subscribe", json!({ "uri": "issuecommand://claims" }));
    let answer = mcp(server, Method::POST, token, session).json(&subscribe).send().await.unwrap();
    answer.text().await.unwrap()
}

/// What is left to read of a stream, once it ends.
async fn rest(stream: Response) -> String {
    tokio::time::timeout(DEADLINE, stream.text()).await.expect("the end of the stream").unwrap_or_default()
}

async fn backlog() -> Server {
    Server::over(config(), &[issue(1, &[]), issue(2, &[])]).await
}

#[tokio::test]
async fn the_streams_of_a_revoked_token_end_and_so_does_its_session() {
    let server = backlog().await;
    let made = server.post("/api/admin/tokens", json!({ "scope": "read" })).await.1;
    let token = made["token"].as_str().unwrap();
    let session = greeted(&server, token).await.unwrap();
    let updates = mcp(&server, Method::GET, token, Some(&session)).send().await.unwrap();
    assert_eq!(updates.status(), 200);
    let told = subscribed(&server, token, Some(&session)).await;
    assert!(told.contains("result"), "{told}");
    let listen = json!({
        "notifications": { "resourceSubscriptions": ["issuecommand://claims"] },
        "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": { "name": "t", "version": "1" },
            "io.modelcontextprotocol/clientCapabilities": {},
        },
    });
    let listening = mcp(&server, Method::POST, token, None)
        .header("MCP-Protocol-Version", "2026-07-28")
        .header("Mcp-Method", "subscriptions/listen")
        .json(&message(3, "subscriptions/listen", listen));
    let listening = listening.send().await.unwrap();
    assert_eq!(listening.status(), 200);

    let id = made["record"]["token_id"].as_str().unwrap();
    let revoked = server.request(Method::DELETE, &format!("/api/admin/tokens/{id}")).send().await.unwrap();
    assert_eq!(revoked.status(), 200);
    // Whatever happens now is not told to it any more.
    server.post("/api/next", json!({ "agent_id": "a" })).await;
    for stream in [updates, listening] {
        let read = rest(stream).await;
        assert!(!read.contains("notifications/resources/updated"), "told after the end: {read}");
    }
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while mcp(&server, Method::GET, KEY, Some(&session)).send().await.unwrap().status() != 404 {
        assert!(tokio::time::Instant::now() < deadline, "the session is there still");
    }
}

#[tokio::test]
async fn a_wish_for_updates_outside_a_session_is_refused_in_words() {
    let server = backlog().await;
    for session in [None, Some("of-another-life")] {
        let told = subscribed(&server, KEY, session).await;
        assert!(told.contains("error") && told.contains("in a session only"), "{told}");
    }
}

#[tokio::test]
async fn several_messages_in_one_are_each_answered_in_a_session_and_outside() {
    let server = backlog().await;
    let session = greeted(&server, KEY).await;
    for session in [None, session.as_deref()] {
        let next = message(1, "tools/call", json!({ "name": "next_work", "arguments": { "agent_id": "a" } }));
        let note = json!({ "jsonrpc": "2.0", "method": "notifications/initialized" });
        let wrong = message(3, "nothing/known", json!({}));
        let batch = mcp(&server, Method::POST, KEY, session).json(&json!([next, note, wrong]));
        let answers: Value = batch.send().await.unwrap().json().await.unwrap();
        let claim = &answers[0]["result"]["structuredContent"]["claim"]["claim_id"];
        assert!(claim.is_string() && answers[0]["id"] == 1, "{answers}");
        assert!(answers[1]["error"].is_object() && answers[1]["id"] == 3, "{answers}");
        assert_eq!(answers.as_array().unwrap().len(), 2, "{answers}");
    }
    let empty = mcp(&server, Method::POST, KEY, None).json(&json!([])).send().await.unwrap();
    assert_eq!(empty.status(), 400);
}

#[tokio::test]
async fn where_sessions_are_full_the_one_without_a_listener_that_was_used_least_lately_makes_room() {
    let server = Server::over(config(), &[]).await;
    let listened = greeted(&server, KEY).await.unwrap();
    let updates = mcp(&server, Method::GET, KEY, Some(&listened)).send().await.unwrap();
    let abandoned = greeted(&server, KEY).await.unwrap();
    let used = greeted(&server, KEY).await.unwrap();
    for _ in 3..SESSION_COUNT_MAX {
        assert!(greeted(&server, KEY).await.is_some());
    }
    let list = message(9, "tools/list", json!({}));
    mcp(&server, Method::POST, KEY, Some(&used)).json(&list).send().await.unwrap().text().await.unwrap();

    let newcomer = greeted(&server, KEY).await.expect("a session for one more");
    assert!(subscribed(&server, KEY, Some(&newcomer)).await.contains("result"));
    for (session, is_there) in [(&listened, true), (&used, true), (&abandoned, false)] {
        let told = subscribed(&server, KEY, Some(session)).await;
        assert_eq!(told.contains("result"), is_there, "{told}");
    }
    drop(updates);
}
