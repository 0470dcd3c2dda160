//! `/metrics`: what was counted, and how everything stands now, for Prometheus. It needs the key, where there is one.

use std::sync::atomic::AtomicU64;

use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::{ConstGauge, Gauge};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;

use super::state::HttpState;
use crate::build_info::{BUILD, VERSION};
use crate::claims::{Health, HealthState};
use crate::dispatch::RunCounts;
use crate::domain::{ClaimStatus, Timestamp};
use crate::metrics::{PREFIX, metrics};
use crate::store::Role;

/// What text of OpenMetrics is called.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

pub(super) async fn told(State(state): State<HttpState>) -> Response {
    // A store that fails is told by the rest.
    let runs = state.api.run_counts().await;
    let manager = state.api.manager();
    let present = present(&manager.health(), &manager.claims_by_status(), runs.as_ref(), state.clock.now());
    let mut text = String::new();
    let written = metrics().encode(&mut text).and_then(|()| encode_registry(&mut text, &present));
    written.and_then(|()| encode_eof(&mut text)).expect("text takes everything");
    ([(CONTENT_TYPE, OPEN_METRICS)], text).into_response()
}

/// How everything stands, as one scrape sees it.
fn present(health: &Health, claims: &[(ClaimStatus, u64)], runs: Option<&RunCounts>, now: Timestamp) -> Registry {
    let mut registry = Registry::with_prefix(PREFIX);
    let version = vec![("version", VERSION), ("build", BUILD)];
    registry.register("build", "Which version this is", Info::new(version));
    let mut gauge = |name: &str, about: &str, value: u64| registry.register(name, about, ConstGauge::new(value));
    gauge("uptime_seconds", "Seconds since the start", health.uptime_seconds);
    gauge("claims_active", "Claims that hold an issue", health.active_claims as u64);
    gauge("claims_stale", "Of these, such as the stale rule suspects", health.stale_claims as u64);
    gauge("claims_granted", "Claims ever granted in this database", health.total_claims);
    gauge("agents_active", "Agents that hold a claim", health.active_agents as u64);
    gauge("open_issues", "Open issues of repositories that take part", health.open_issues as u64);
    if let Some(at) = health.last_github_sync_at {
        let age = u64::try_from((now - at).num_seconds()).unwrap_or(0);
        gauge("sync_age_seconds", "Seconds since the last sync in which nothing failed", age);
    }
    let by_status = claims.iter().map(|(status, count)| (status.as_str(), *count));
    family(&mut registry, "claims", "Claims that hold an issue, by status", "status", by_status);
    if let Some(runs) = runs {
        let mut gauge = |name: &str, about: &str, value: u64| registry.register(name, about, ConstGauge::new(value));
        gauge("dispatch_slots", "Runs that may be under way here at once", runs.slots);
        gauge("dispatch_slots_used", "Of these, taken", runs.slots_used);
        gauge("dispatch_paused", "1 while dispatch is paused", u64::from(runs.is_paused));
        let by_status = runs.by_status.iter().map(|(status, count)| (status.as_str(), *count));
        family(&mut registry, "dispatch_runs", "Runs that have not ended, by status", "status", by_status);
    }
    let states = [HealthState::Ready, HealthState::Degraded, HealthState::Live];
    let states = states.map(|state| (state.as_str(), u64::from(state == health.state)));
    family(
        &mut registry,
        "state",
        "1 for the state that it is in: ready, degraded, or live and no more",
        "state",
        states,
    );
    let roles = Role::ALL.map(|role| (role.as_str(), u64::from(health.roles.contains(&role))));
    family(&mut registry, "role", "1 for what this server does for all servers of its database", "role", roles);
    // `part: what is wrong with it`.
    let parts = health.degraded.iter().map(|why| (why.split(": ").next().unwrap_or_default(), 1));
    family(
        &mut registry,
        "degraded",
        "1 for each part that works in part, or not at all; see /api/health",
        "part",
        parts,
    );
    registry
}

fn family<'l>(
    registry: &mut Registry,
    name: &str,
    about: &str,
    label: &'static str,
    values: impl IntoIterator<Item = (&'l str, u64)>,
) {
    let family = Family::<Vec<(&'static str, String)>, Gauge<u64, AtomicU64>>::default();
    for (value, count) in values {
        family.get_or_create(&vec![(label, value.to_owned())]).set(count);
    }
    registry.register(name, about, family);
}
