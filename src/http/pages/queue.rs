//! The queue: what agents will be offered, in the order of the policies in force, with the terms of each score.

use axum::extract::Query;
use axum::response::Response;
use maud::{Markup, html};

use super::bars::{Bar, Rows};
use super::board::{Narrowed, narrowing};
use super::issues::asking;
use super::tables::wide;
use super::visit::Visit;
use super::words::{counted, explained_at};
use crate::claims::{Ahead, ClaimManager, points};
use crate::domain::{AgentId, RepoName};

/// Issues of one page: their terms are asked of the policy at each look.
const ISSUE_COUNT_MAX: usize = 50;

/// The first issues on offer.
pub(super) async fn show(visit: Visit, Query(narrowed): Query<Narrowed>) -> Response {
    let asked = narrowed.repo().and_then(|repo| Ok((repo, narrowed.agent()?)));
    let (repo, agent) = match asked {
        Ok(asked) => asked,
        Err(why) => return visit.refused(400, &why),
    };
    let body = visit.shared(async { page(visit.state.api.manager(), &narrowed, repo.as_ref(), agent.as_ref()) }).await;
    visit.page("Queue", &body)
}

fn page(manager: &ClaimManager, narrowed: &Narrowed, repo: Option<&RepoName>, agent: Option<&AgentId>) -> Markup {
    let ahead = manager.ahead(agent, repo, ISSUE_COUNT_MAX);
    let repos: Vec<_> = manager.repos().into_iter().map(|entry| entry.repo.full_name).collect();
    html! {
        h1 { "Queue" }
        p .soft {
            (counted(ahead.ready_count, "issue")) " on offer, in the order of the policies in force"
            @if agent.is_some() { ", in the view " em { (ahead.view) } }
            @if ahead.ready_count > ahead.first.len() { "; the first " (ahead.first.len()) " stand here" }
            ". An agent may be kept from one, by a cap for example: each issue's page says so for an agent that is named."
        }
        (narrowing("/queue", narrowed, &repos, html! {}))
        (asking("", &narrowed.agent_id))
        @if ahead.first.is_empty() { p .why { "Nothing is on offer. The page of an issue says why it is not." } } @else { (table(&ahead)) }
    }
}

fn table(ahead: &Ahead) -> Markup {
    let bars: Vec<_> = ahead.first.iter().map(Bar::of).collect();
    let rows = Rows::of(&bars);
    html! {
        (rows.legend())
        (wide("Issues on offer", html! { table .queue {
            thead { tr { th .number { "Place" } th { "Issue" } th { "Its score, by terms" } th .number { "Score" } } }
            tbody {
                @for (place, (rival, bar)) in ahead.first.iter().zip(&bars).enumerate() {
                    tr data-key=(bar.name) {
                        td .number { (place + 1) }
                        td { a href=(explained_at(&rival.repo, rival.number)) { (bar.name) } div .soft { (rival.title) } }
                        td .bar { (rows.drawn(bar)) }
                        td .number { (points(rival.score)) }
                    }
                }
            }
        } }))
    }
}
