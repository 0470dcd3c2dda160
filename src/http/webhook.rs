//! GitHub's calls. They prove themselves by a signature over the body, so they come past the gate and are
//! judged here.

use std::sync::Arc;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Extension, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, post};
use tokio::sync::Semaphore;

use super::answer::body_failure;
use super::gate::{ClientAddress, has_key};
use super::state::HttpState;
use crate::api::{Answer, Failure, WebhookCall};

/// Most deliveries read at once: bounds the memory that strangers can make us use.
const DELIVERIES_AT_ONCE_MAX: usize = 8;

/// The route, with its own limits of size and number.
pub(super) fn route(bytes_max: usize) -> MethodRouter<HttpState> {
    let slots = Arc::new(Semaphore::new(DELIVERIES_AT_ONCE_MAX));
    post(take_in).layer(DefaultBodyLimit::max(bytes_max)).layer(axum::middleware::from_fn(
        move |request: axum::extract::Request, next: axum::middleware::Next| {
            let slots = Arc::clone(&slots);
            async move {
                let _slot = slots.acquire_owned().await.expect("the semaphore is never closed");
                next.run(request).await
            }
        },
    ))
}

async fn take_in(
    State(state): State<HttpState>,
    Extension(ClientAddress(address)): Extension<ClientAddress>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(rejection) => {
            return Answer::from(body_failure(&rejection, state.webhooks.body_bytes_max)).into_response();
        }
    };
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let call = WebhookCall {
        event: text("x-github-event"),
        delivery_id: text("x-github-delivery"),
        signature: text("x-hub-signature-256"),
        content_type: text("content-type"),
        has_key: has_key(&state, &headers),
        body: &body,
    };
    let answer = state.api.webhook(&state.webhooks.secret, call).await;
    // As at the gate: only calls that prove nothing are counted by address.
    if answer.status == StatusCode::UNAUTHORIZED.as_u16()
        && let Err(limited) = state.api.limits().ip(address)
    {
        return Answer::from(Failure::from(limited)).into_response();
    }
    answer.into_response()
}
