//! The page of health: what works only in part, what this server does for all of its database, and GitHub's budget.

use axum::response::Response;
use chrono::TimeDelta;
use maud::html;

use super::visit::Visit;
use super::words::{counted, length, since};
use crate::build_info::VERSION_AND_BUILD;
use crate::claims::HealthState;
use crate::metrics::metrics;

/// How the server is doing.
pub(super) async fn show(visit: Visit) -> Response {
    let manager = visit.state.api.manager();
    let (health, now) = (manager.health(), manager.now());
    let state = match health.state {
        HealthState::Ready => "ready",
        HealthState::Degraded => "degraded",
        HealthState::Live => "its store does not answer",
    };
    let uptime = TimeDelta::seconds(i64::try_from(health.uptime_seconds).unwrap_or(i64::MAX / 1000));
    let body = html! {
        h1 { "Health" }
        p { span .badge .(if health.state == HealthState::Ready { "closed" } else { "stale" }) { (state) }
            " · version " (VERSION_AND_BUILD) ", up for " (length(uptime)) }
        @if health.degraded.is_empty() { p .why { "All is well." } } @else {
            h2 { "What works only in part" }
            ul { @for trouble in &health.degraded { li .trouble { (trouble) } } }
        }
        @if !health.needs_restart.is_empty() {
            p { "Edited, and waiting for a restart: " code { (health.needs_restart.join(", ")) } }
        }
        h2 { "Facts" }
        dl .facts {
            dt { "Does for all servers of its database" }
            dd { @if health.roles.is_empty() { "nothing now" }
                @for (nth, role) in health.roles.iter().enumerate() { @if nth > 0 { ", " } (role.as_str()) } }
            dt { "Last sync with GitHub" }
            dd { @match health.last_github_sync_at { Some(at) => { (since(at, now)) " ago" }, None => "none since it started" } }
            dt { "Requests left in GitHub's hour" }
            dd {
                @let left = metrics().github_requests_left();
                @if left.is_empty() { "not known: GitHub was not asked yet" }
                @for (nth, (resource, left)) in left.iter().enumerate() { @if nth > 0 { ", " } (resource) " " (left) }
            }
            dt { "Claims" } dd { (health.total_claims) " granted, " (health.active_claims) " under way by " (counted(health.active_agents, "agent")) }
            dt { "Open issues known" } dd { (health.open_issues) }
            @for (name, policy) in [("Ranker", &health.policies.ranker), ("Stale rule", &health.policies.stale_rule),
                ("Repository filter", &health.policies.repo_filter)] { dt { (name) } dd { code { (policy) } } }
        }
        p .soft { "For Prometheus: " code { "/metrics" } " · the API: " a href="/docs" { "/docs" } }
    };
    visit.page("Health", &body)
}
