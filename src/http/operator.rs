//! The routes of operators: every one of them needs scope `admin`.

use axum::Router;
use axum::extract::{Path, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post};

use super::routes::{Asked, OnePart, no_such_path};
use super::state::HttpState;
use crate::api::Call;

/// Their table.
pub(super) fn routes() -> Router<HttpState> {
    Router::new()
        .route("/api/admin/claims/{claim_id}/release", post(release))
        .route("/api/admin/claims/{claim_id}/reassign", post(reassign))
        .route("/api/admin/tokens", get(tokens).post(token_create))
        .route("/api/admin/tokens/{token_id}", delete(token_revoke))
        .route("/api/admin/export", get(export))
        .route("/api/admin/import", post(import))
}

async fn release(State(state): State<HttpState>, path: OnePart, asked: Asked) -> Response {
    of_one(&state, Call::OperatorRelease, "claim_id", path, asked).await
}

async fn reassign(State(state): State<HttpState>, path: OnePart, asked: Asked) -> Response {
    of_one(&state, Call::OperatorReassign, "claim_id", path, asked).await
}

async fn token_revoke(State(state): State<HttpState>, path: OnePart, asked: Asked) -> Response {
    of_one(&state, Call::TokenRevoke, "token_id", path, asked).await
}

async fn tokens(State(state): State<HttpState>, asked: Asked) -> Response {
    asked.of(&state, Call::TokenList, []).await
}

async fn token_create(State(state): State<HttpState>, asked: Asked) -> Response {
    asked.of(&state, Call::TokenCreate, []).await
}

async fn export(State(state): State<HttpState>, asked: Asked) -> Response {
    asked.of(&state, Call::Export, []).await
}

async fn import(State(state): State<HttpState>, asked: Asked) -> Response {
    asked.of(&state, Call::Import, []).await
}

async fn of_one(state: &HttpState, call: Call, name: &str, path: OnePart, asked: Asked) -> Response {
    match path {
        Ok(Path(part)) => asked.of(state, call, [(name, part)]).await,
        Err(_) => no_such_path().await.into_response(),
    }
}
