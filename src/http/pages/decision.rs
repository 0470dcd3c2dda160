//! The page of one recorded decision: what was given out, every candidate, and why not the others.

use axum::extract::Path;
use axum::response::Response;
use maud::{Markup, html};
use serde_json::json;

use super::bars::{Bar, Rows};
use super::tables::wide;
use super::visit::Visit;
use super::words::{issue_link, minute, stamp};
use crate::api::Call;
use crate::claims::{DecisionSummary, points};
use crate::domain::{Decision, DecisionRow};

/// One recorded decision.
pub(super) async fn show(visit: Visit, Path(decision_id): Path<String>) -> Response {
    match visit.found::<Decision>(Call::Decision, json!({ "decision_id": decision_id }), "decision").await {
        Ok(decision) => visit.page("Decision", &page(&decision)),
        Err(trouble) => *trouble,
    }
}

fn page(decision: &Decision) -> Markup {
    let summary = DecisionSummary::of(decision);
    html! {
        h1 { (decision.agent_id) " got " (decision.chosen.as_deref().unwrap_or("nothing")) }
        p .soft { (minute(decision.decided_at)) " · " (stamp(&decision.ranker)) }
        @let asked = &decision.asked_for;
        @if !asked.is_empty() {
            p .soft {
                "Asked for"
                @if let Some(repo) = &asked.repo { " repository " (repo) }
                @if let Some(label) = &asked.label { " label " (label) }
                @if let Some(milestone) = &asked.milestone { " milestone " (milestone) }
            }
        }
        p .why { (summary.why) }
        @if !decision.considered.is_empty() {
            h2 { (summary.considered_count) " considered" }
            @if decision.explained_count < decision.considered.len() {
                p .soft { "The terms of a score are recorded of the first " (decision.explained_count) "." }
            }
            (candidates(decision))
        }
        @if decision.left_out_count > 0 { p .soft { (decision.left_out_count) " of them were too many to be recorded." } }
    }
}

/// What the bars stand for that have no colours.
fn without_terms(decision: &Decision) -> Markup {
    let others = decision.considered.iter().skip(decision.explained_count);
    html! {
        @if others.filter(|row| row.passed_over.is_none()).any(|row| row.score != 0.0) {
            (Rows::legend_without_terms("terms not recorded"))
        }
    }
}

fn candidates(decision: &Decision) -> Markup {
    let bars: Vec<_> = decision.considered.iter().filter(|row| row.passed_over.is_none()).map(bar_of).collect();
    let rows = Rows::of(&bars);
    html! {
        (rows.legend())
        (without_terms(decision))
        (wide("Candidates", html! { table .queue {
            thead { tr { th .number { "Place" } th { "Issue" } th { "Its score, by terms" } th .number { "Score" } } }
            tbody {
                @for (place, row) in (1..).zip(&decision.considered) {
                    tr .marked[decision.chosen == Some(row.issue().to_string())] {
                        td .number { @if row.passed_over.is_none() { (place) } @else { "–" } }
                        td { (issue_link(&row.issue())) }
                        td .bar {
                            @if let Some(reason) = &row.passed_over { "passed over: " (reason) } @else {
                                // The words stand below it.
                                div aria-hidden="true" { (rows.drawn(&bar_of(row))) }
                                @if !row.reasons.is_empty() { div .soft { (row.why()) } }
                            }
                        }
                        td .number { (points(row.score)) }
                    }
                }
            }
        } }))
    }
}

fn bar_of(row: &DecisionRow) -> Bar<'_> {
    Bar { name: row.issue().to_string(), score: row.score, reasons: &row.reasons }
}
