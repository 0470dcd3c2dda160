//! The queue: what agents will be offered, in the order of the policies in force, with the terms of each score.

use axum::extract::Query;
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;

use super::bars::{Bar, Rows};
use super::board::{Narrowed, narrowing};
use super::issues::asking;
use super::tables::wide;
use super::visit::Visit;
use super::words::{counted, explained_at};
use crate::claims::{Ahead, ClaimManager, points};

/// How many issues the page may show, the fewest by itself: their terms are asked of the policy at each look.
const DEPTHS: [usize; 3] = [50, 200, 500];

/// How far down the queue is looked; an empty field, as a form sends it, is as far as the page goes by itself.
#[derive(Debug, Deserialize)]
pub(super) struct Depth {
    #[serde(default)]
    first: String,
}

impl Depth {
    /// The depth that was asked for, or the next one that is offered.
    fn count(&self) -> usize {
        let asked = self.first.trim().parse().unwrap_or(0);
        DEPTHS.into_iter().find(|depth| *depth >= asked).unwrap_or(DEPTHS[DEPTHS.len() - 1])
    }
}

/// The first issues on offer.
pub(super) async fn show(visit: Visit, Query(narrowed): Query<Narrowed>, Query(depth): Query<Depth>) -> Response {
    let asked = narrowed.repo().and_then(|repo| Ok((repo, narrowed.agent()?)));
    let (repo, agent) = match asked {
        Ok(asked) => asked,
        Err(why) => return visit.refused(400, &why),
    };
    let (manager, depth) = (visit.state.api.manager(), depth.count());
    let looked = async { page(manager, &narrowed, &manager.ahead(agent.as_ref(), repo.as_ref(), depth), depth) };
    visit.page("Queue", &visit.shared(looked).await)
}

fn page(manager: &ClaimManager, narrowed: &Narrowed, ahead: &Ahead, depth: usize) -> Markup {
    let repos: Vec<_> = manager.repos().into_iter().map(|entry| entry.repo.full_name).collect();
    html! {
        h1 { "Queue" }
        p .soft {
            (counted(ahead.ready_count, "issue")) " on offer, in the order of the policies in force"
            @if !narrowed.agent_id.trim().is_empty() { ", in the view " em { (ahead.view) } }
            @if ahead.ready_count > ahead.first.len() { "; the first " (ahead.first.len()) " stand here" }
            ". An agent may be kept from one, by a cap for example: each issue's page says so for an agent that is named."
        }
        (narrowing("/queue", narrowed, &repos, by_depth(depth)))
        (asking("", &narrowed.agent_id))
        @if ahead.first.is_empty() { p .why { "Nothing is on offer. The page of an issue says why it is not." } } @else { (table(ahead)) }
    }
}

fn by_depth(asked: usize) -> Markup {
    html! {
        label { "First " select name="first" {
            @for depth in DEPTHS { option value=(depth) selected[depth == asked] { (depth) } }
        } }
    }
}

fn table(ahead: &Ahead) -> Markup {
    let bars: Vec<_> = ahead.first.iter().map(Bar::of).collect();
    let rows = Rows::of(&bars);
    html! {
        (rows.legend())
        @if ahead.explained_count < ahead.first.len() {
            (Rows::legend_without_terms("terms not told: the policy took longer than policies.choose_ms_max, or failed"))
        }
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
