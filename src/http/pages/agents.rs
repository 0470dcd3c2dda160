//! The page of agents: who is at work, with what, and when each was last heard of.

use axum::response::Response;
use maud::{Markup, html};

use super::tables::wide;
use super::visit::Visit;
use super::words::{claim_at, claim_badge, counted, since};
use crate::claims::{BusyAgent, ClaimManager};
use crate::domain::Timestamp;

/// Agents that the page shows.
const AGENT_COUNT_MAX: usize = 200;
/// Claims of one agent that its row shows.
const CLAIM_COUNT_MAX: usize = 8;

/// Agents that hold claims.
pub(super) async fn show(visit: Visit) -> Response {
    let body = visit.shared(async { page(visit.state.api.manager()) }).await;
    visit.page("Agents", &body)
}

fn page(manager: &ClaimManager) -> Markup {
    let (agents, now) = (manager.busy_agents(), manager.now());
    html! {
        h1 { "Agents" }
        p .soft { (counted(agents.len(), "agent")) " at work. Every call of an agent renews the leases of what it holds." }
        @if agents.is_empty() {
            p .why { "No agent holds a claim. Agents connect with " code { "issuecommand mcp install" } ", or over HTTP." }
        } @else {
            (wide("Agents at work", html! { table {
                thead { tr { th { "Agent" } th { "Last heard of" } th .number { "Claims" } th { "What it holds" } } }
                tbody { @for agent in agents.iter().take(AGENT_COUNT_MAX) { (row(agent, now)) } }
            } }))
            @if agents.len() > AGENT_COUNT_MAX { p .soft { "The first " (AGENT_COUNT_MAX) ", by name." } }
        }
    }
}

fn row(agent: &BusyAgent, now: Timestamp) -> Markup {
    let more = agent.claims.len().saturating_sub(CLAIM_COUNT_MAX);
    html! {
        tr data-key=(agent.agent_id) {
            td { strong { (agent.agent_id) } }
            td { @match agent.last_call { Some(at) => { (since(at, now)) " ago" }, None => span .soft { "not since it got its claims" } } }
            td .number { (agent.claims.len()) }
            td {
                @for claim in agent.claims.iter().take(CLAIM_COUNT_MAX) {
                    div { a href=(claim_at(claim)) { (claim.issue_ref()) } " " (claim_badge(claim.status())) " " (claim.issue_title) }
                }
                @if more > 0 { div .soft { "and " (more) " more" } }
            }
        }
    }
}
