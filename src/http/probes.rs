//! For load balancers and supervisors: `/livez` while the process answers, `/readyz` while it can be asked for work.
//! They need no key: they say nothing but that.

use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;

use super::state::HttpState;
use crate::claims::HealthState;

pub(super) fn routes(state: &HttpState) -> Router {
    Router::new().route("/livez", get(live)).route("/readyz", get(ready)).with_state(state.clone())
}

async fn live() -> &'static str {
    "live\n"
}

/// Degraded is ready: what works in part still gives out work, and every other server may be no better off.
async fn ready(State(state): State<HttpState>) -> (StatusCode, &'static str) {
    match state.api.health_state() {
        HealthState::Ready => (StatusCode::OK, "ready\n"),
        HealthState::Degraded => (StatusCode::OK, "degraded\n"),
        HealthState::Live => (StatusCode::SERVICE_UNAVAILABLE, "the store does not answer\n"),
    }
}
