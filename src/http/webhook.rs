//! GitHub's calls. They prove themselves by a signature over the body, so they come past the gate and are
//! judged here: by their head first, so that a stranger's body is not read; strangers are counted by
//! address before anything is written down.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, Extension, FromRequest, Request, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, post};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::answer::body_failure;
use super::gate::{ClientAddress, has_key};
use super::state::HttpState;
use crate::api::{Answer, Failure, WebhookCall};

/// Most bodies read at once: bounds the memory that somebody who makes signatures up can make us use.
const BODIES_AT_ONCE_MAX: usize = 64;
/// Longest time for a whole body. GitHub gives up after 10 s.
const BODY_TIME_MAX: Duration = Duration::from_secs(10);

/// The route, with its own limits of size, time and number.
pub(super) fn route(bytes_max: usize) -> MethodRouter<HttpState> {
    let slots = Arc::new(Semaphore::new(BODIES_AT_ONCE_MAX));
    let routed: MethodRouter<HttpState> = post(take_in).layer(Extension(slots));
    routed.layer(DefaultBodyLimit::max(bytes_max))
}

async fn take_in(
    State(state): State<HttpState>,
    Extension(ClientAddress(address)): Extension<ClientAddress>,
    Extension(slots): Extension<Arc<Semaphore>>,
    request: Request,
) -> Response {
    let headers = request.headers().clone();
    let has_key = has_key(&state, &headers);
    let head = call(&headers, has_key, &[]);
    if let Some(reason) = head.turned_away_by_head(&state.webhooks.secret) {
        return turn_away(&state, address, reason, &head).await;
    }
    let Ok(_slot) = slots.try_acquire() else {
        return Answer::from(Failure::Busy).into_response();
    };
    let body = match timeout(BODY_TIME_MAX, Bytes::from_request(request, &state)).await {
        Ok(Ok(body)) => body,
        Ok(Err(rejection)) => {
            return Answer::from(body_failure(&rejection, state.webhooks.body_bytes_max)).into_response();
        }
        Err(_) => return Answer::from(Failure::BodyIncomplete).into_response(),
    };
    let call = call(&headers, has_key, &body);
    match call.turned_away(&state.webhooks.secret) {
        Some(reason) => turn_away(&state, address, reason, &call).await,
        None => state.api.webhook(&call).await.into_response(),
    }
}

async fn turn_away(state: &HttpState, address: IpAddr, reason: &'static str, call: &WebhookCall<'_>) -> Response {
    match state.api.limits().ip(address) {
        Ok(()) => state.api.webhook_turned_away(reason, call).await.into_response(),
        Err(limited) => Answer::from(Failure::from(limited)).into_response(),
    }
}

fn call<'c>(headers: &'c HeaderMap, has_key: bool, body: &'c [u8]) -> WebhookCall<'c> {
    // What is there and no text is not absent: it is wrong.
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    WebhookCall {
        event: text("x-github-event"),
        delivery_id: text("x-github-delivery"),
        signature: text("x-hub-signature-256"),
        content_type: text("content-type"),
        has_key,
        body,
    }
}
