//! Several messages in one, as the protocol of 2025-03-26 allows: each is answered as if it came alone.

use axum::body::{Body, to_bytes};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

/// Most messages in one. Ours: more than a client has to say at once.
const MESSAGE_COUNT_MAX: usize = 64;
/// JSON-RPC's code for what is no request.
const INVALID_REQUEST: i32 = -32600;

/// The messages of a batch; `None` when `body` is a single message, or none at all.
pub(super) fn messages_in(body: &[u8]) -> Option<Vec<Value>> {
    if body.trim_ascii_start().first() != Some(&b'[') {
        return None;
    }
    serde_json::from_slice::<Vec<Value>>(body).ok()
}

/// Answers each message by `answer`, and all of them with the list of what came.
pub(super) async fn answer_each<F>(parts: Parts, messages: Vec<Value>, answer: impl Fn(Request<Body>) -> F) -> Response
where
    F: Future<Output = Response>,
{
    if messages.is_empty() || messages.len() > MESSAGE_COUNT_MAX {
        let why = format!("expected 1 to {MESSAGE_COUNT_MAX} messages in one");
        return (StatusCode::BAD_REQUEST, axum::Json(refusal(&Value::Null, &why))).into_response();
    }
    let mut answers = Vec::new();
    for message in messages {
        let mut parts = parts.clone();
        parts.headers.remove(CONTENT_LENGTH);
        let response = answer(Request::from_parts(parts, Body::from(message.to_string()))).await;
        match message.get("id") {
            Some(id) if message.get("method").is_some() => answers.push(answer_in(response, id).await),
            // A notification, or an answer to the server: nobody waits.
            _ => {}
        }
    }
    if answers.is_empty() { StatusCode::ACCEPTED.into_response() } else { axum::Json(answers).into_response() }
}

/// The answer to the request `id` in a response, which may be a stream of it alone.
async fn answer_in(response: Response, id: &Value) -> Value {
    let is_stream = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "text/event-stream");
    let Ok(bytes) = to_bytes(response.into_body(), usize::MAX).await else {
        return refusal(id, "the answer was cut");
    };
    let text = String::from_utf8_lossy(&bytes);
    let lines = text.lines().filter_map(|line| if is_stream { line.strip_prefix("data:") } else { None });
    let whole = (!is_stream).then_some(&*text);
    let mut found = lines.chain(whole).filter_map(|text| serde_json::from_str::<Value>(text).ok());
    found.find(|message| message["id"] == *id).unwrap_or_else(|| refusal(id, text.trim()))
}

fn refusal(id: &Value, why: &str) -> Value {
    json!({ "jsonrpc": "2.0", "id": id, "error": { "code": INVALID_REQUEST, "message": why } })
}
