//! What an attacker on the network would try, byte by byte: other spellings of a path, requests that can be read in two
//! ways, credentials beside each other, agents that name another. What a slow or endless request does is in `accept.rs`,
//! wrong keys in `gate.rs`, foreign origins and hosts in `sessions.rs`, deliveries in `webhooks.rs`.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::server::{KEY, Server, config, issue};

/// Longest wait for the end of an answer: a server that keeps the connection says no more.
const QUIET: Duration = Duration::from_millis(150);

/// Everything that the server says to these bytes.
async fn told(server: &Server, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(server.base.trim_start_matches("http://")).await.unwrap();
    // It may have closed the connection before all was sent.
    let _ = stream.write_all(bytes).await;
    let (mut all, mut part) = (Vec::new(), [0; 8192]);
    while let Ok(Ok(length @ 1..)) = timeout(QUIET, stream.read(&mut part)).await {
        all.extend_from_slice(&part[..length]);
    }
    String::from_utf8_lossy(&all).into_owned()
}

fn status(told: &str) -> u16 {
    told.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_else(|| panic!("no answer: {told:?}"))
}

/// A server with a claim that nobody without the key may hear of; the claim's id.
async fn with_a_secret() -> (Server, String) {
    let server = Server::over(config(), &[issue(1, &[])]).await;
    let (status, body) = server
        .post("/api/claims", json!({ "agent_id": "hidden-agent", "repo": "acme/small", "issue_number": 1 }))
        .await;
    assert_eq!(status, 200, "{body}");
    let claim = body["claim"]["claim_id"].as_str().unwrap().to_owned();
    (server, claim)
}

#[tokio::test]
async fn no_spelling_of_a_request_gets_past_the_key() {
    let (server, claim) = with_a_secret().await;
    let targets = [
        "/api/claims",
        "//api/claims",
        "/api//claims",
        "/api/./claims",
        "/api/nothing/../claims",
        "/livez/../api/claims",
        "/readyz/..%2fapi/claims",
        "/docs/../api/claims",
        "/openapi.json/../api/claims",
        "/api/%2e%2e/api/claims",
        "/%61pi/claims",
        "/api%2fclaims",
        "/api/claims/",
        "/api/claims;jsessionid=1",
        "/api/claims%00",
        "/api/claims%0d%0aAuthorization:%20Bearer%20x",
        "/API/CLAIMS",
        "/api/claims?key=a-key-for-tests&api_key=a-key-for-tests&access_token=a-key-for-tests",
        "/api/claims#/livez",
        "http://127.0.0.1/api/claims",
        "http://livez/api/claims",
        "/sse",
        "/mcp",
        "/decisions",
        "/api/admin/claims",
        "*",
        "",
    ];
    let more = [
        "",
        "X-HTTP-Method-Override: GET\r\n",
        "X-Original-URL: /livez\r\nX-Rewrite-URL: /livez\r\n",
        "X-Forwarded-For: 127.0.0.1\r\nForwarded: for=127.0.0.1\r\n",
        "Authorization: Bearer\r\n",
        "Authorization: Bearer \r\n",
        "Authorization: Bearer null\r\n",
        "Authorization: Basic YS1rZXktZm9yLXRlc3Rz\r\n",
        "Authorization: Bearer wrong\r\nX-Api-Key: a-key-for-tests\r\n",
        "Cookie: api_key=a-key-for-tests\r\n",
    ];
    let mut asked = 0;
    for method in ["GET", "HEAD", "POST", "get", "OPTIONS", "TRACE", "CONNECT", "QUERY"] {
        for target in targets {
            // Each header once is enough where the path is the plain one.
            let headers = if target == "/api/claims" { &more[..] } else { &more[..1] };
            for header in headers {
                let request =
                    format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{header}\r\n");
                let answer = told(&server, request.as_bytes()).await;
                assert!((400..500).contains(&status(&answer)), "{request}{answer}");
                assert!(!answer.contains(&claim) && !answer.contains("hidden-agent"), "{request}{answer}");
                asked += 1;
            }
        }
    }
    assert!(asked > 250, "{asked}");
    let request = format!(
        "GET /api/claims HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nAuthorization: Bearer {KEY}\r\n\r\n"
    );
    assert!(told(&server, request.as_bytes()).await.contains(&claim), "with the key it is told");
}

#[tokio::test]
async fn a_request_that_can_be_read_in_two_ways_makes_no_second_request() {
    let (server, claim) = with_a_secret().await;
    // What a proxy in front might take for the body of a request that may be asked.
    let hidden = format!("GET /api/claims HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\n\r\n");
    let length = hidden.len();
    let heads = [
        format!("Content-Length: {length}\r\nContent-Length: 0"),
        "Content-Length: 0\r\nContent-Length: 0, 5".into(),
        format!("Content-Length: +{length}"),
        format!("Content-Length: 0x{length:x}"),
        "Content-Length: -1".into(),
        "Content-Length : 0".into(),
        "Transfer-Encoding: chunked, identity".into(),
        "Transfer-Encoding: identity".into(),
        "Transfer-Encoding: xchunked".into(),
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity".into(),
        " Folded: line".into(),
        "No-Colon".into(),
        "Nul: a\0b".into(),
    ];
    for head in heads {
        let request = format!("POST /livez HTTP/1.1\r\nHost: localhost\r\n{head}\r\n\r\n{hidden}");
        let answer = told(&server, request.as_bytes()).await;
        assert_eq!(status(&answer), 400, "{head:?}: {answer}");
        assert!(!answer.contains(&claim), "{head:?}: the second request was answered: {answer}");
    }
    // Both at once: the standard lets a server read the chunks, if nothing behind them is read as a request.
    for order in ["Transfer-Encoding: chunked\r\nContent-Length: 5", "Content-Length: 5\r\nTransfer-Encoding: chunked"]
    {
        let request = format!("POST /livez HTTP/1.1\r\nHost: localhost\r\n{order}\r\n\r\n0\r\n\r\n{hidden}");
        let answer = told(&server, request.as_bytes()).await;
        assert!(!answer.contains(&claim), "{order:?}: the second request was answered: {answer}");
    }
    for chunk in ["g\r\n", "-1\r\n", "ffffffffffffffffff\r\n", "1;\u{0}\r\nx\r\n0\r\n\r\n", "5\r\nab"] {
        let request = format!(
            "POST /api/claims HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}"
        );
        let answer = told(&server, request.as_bytes()).await;
        assert!(answer.is_empty() || status(&answer) >= 400, "{chunk:?}: {answer}");
    }
    assert_eq!(server.get("/api/claims").await.1["claims"].as_array().unwrap().len(), 1, "nothing was done");
}

#[tokio::test]
async fn bytes_that_are_no_http_are_answered_or_closed_and_cost_nobody_anything() {
    let (server, _) = with_a_secret().await;
    let noise: Vec<u8> = (0..4096_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 13) as u8).collect();
    let tls_hello = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";
    let http2 = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
    let smuggled = b"GET /api/claims HTTP/1.1\nHost: localhost\n\n";
    let spaces = [b' '; 4096];
    for bytes in [&noise[..], tls_hello, http2, smuggled, b"\r\n\r\n\r\n", b"GET", b"\0", &spaces] {
        let answer = told(&server, bytes).await;
        assert!(answer.is_empty() || (400..500).contains(&status(&answer)), "{bytes:?}: {answer}");
    }
    assert_eq!(server.get("/api/claims").await.0, 200, "it goes on");
}

#[tokio::test]
async fn an_agent_that_names_another_changes_nothing_of_the_others() {
    let server = Server::over(config(), &[issue(1, &[]), issue(2, &[])]).await;
    let claimed = json!({ "agent_id": "owner", "repo": "acme/small", "issue_number": 1 });
    let (_, body) = server.post("/api/claims", claimed).await;
    let claim = body["claim"]["claim_id"].as_str().unwrap();
    let made = server.post("/api/admin/tokens", json!({ "agent_id": "thief", "scope": "claim" })).await.1;
    let thief = made["token"].as_str().unwrap();
    let path = format!("/api/claims/{claim}");
    let named = [
        json!("owner"),
        json!("OWNER"),
        json!(" owner"),
        json!("owner\u{200b}"),
        json!(["owner"]),
        json!({}),
        json!(null),
        json!("thief"),
    ];
    for name in named {
        for (method, path, body) in [
            (Method::DELETE, path.clone(), json!({ "agent_id": name })),
            (Method::PATCH, path.clone(), json!({ "agent_id": name, "status": "released" })),
            (Method::PATCH, path.clone(), json!({ "agent_id": name, "status": "in_progress" })),
            (Method::POST, "/api/claims".into(), json!({ "agent_id": name, "repo": "acme/small", "issue_number": 1 })),
        ] {
            for (query, header) in [("", None), ("?agent_id=owner", None), ("", Some("owner"))] {
                let mut request = server.bare(method.clone(), &format!("{path}{query}")).bearer_auth(thief);
                if let Some(header) = header {
                    request = request.header("x-agent-id", header);
                }
                let response = request.json(&body).send().await.unwrap();
                assert!(response.status().is_client_error(), "{method} {path}{query} {header:?} {body}");
            }
        }
    }
    // The same field twice, and one body said to be another kind.
    for body in [r#"{"agent_id":"thief","agent_id":"owner"}"#, r#"{"agent_id":"owner","agent_id":"thief"}"#] {
        for kind in ["application/json", "text/plain", "application/x-www-form-urlencoded"] {
            let request = server.bare(Method::DELETE, &path).bearer_auth(thief).header("content-type", kind);
            let response = request.body(body).send().await.unwrap();
            assert!(response.status().is_client_error(), "{kind} {body}");
        }
    }
    let held: Value = server.get("/api/claims").await.1;
    assert_eq!((&held["claims"][0]["agent_id"], &held["claims"][0]["status"]), (&json!("owner"), &json!("claimed")));
    assert_eq!(held["claims"].as_array().unwrap().len(), 1);
}
