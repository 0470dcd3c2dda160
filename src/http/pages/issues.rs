//! The page of one issue: where it stands and why, the terms of its score, and what was decided.

use axum::extract::{Path, Query};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Value, json};

use super::bars::{Bar, Rows};
use super::tables::wide;
use super::visit::Visit;
use super::words::{explained_at, minute, named_issue, outside, signed, stamp};
use crate::api::Call;
use crate::claims::{DecisionSummary, Explanation, NotChosen, nth, points};
use crate::domain::{IssueRef, Reason};
use crate::http::query::query;

/// Whom a page is about, besides the issue; an empty field, as a form sends it, is nobody.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ForAgent {
    #[serde(default)]
    agent_id: String,
}

/// Which issue somebody asks about, and for whom.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AskedAbout {
    #[serde(default)]
    issue: String,
    #[serde(default)]
    agent_id: String,
}

/// Leads to the page of the issue that was typed; asks for one where there is none.
pub(super) async fn find(visit: Visit, Query(AskedAbout { issue, agent_id }): Query<AskedAbout>) -> Response {
    let (name, agent) = (issue.trim(), agent_id.trim());
    if name.is_empty() {
        let body = html! { h1 { "Why an issue stands where it does" } (asking("", agent)) };
        return visit.page("Explain", &body);
    }
    let issue: IssueRef = match name.parse() {
        Ok(issue) => issue,
        Err(error) => {
            let body = html! {
                h1 { "Why an issue stands where it does" }
                p .why role="alert" { (error) ", as in acme/webshop#7, or the address of its page" }
                (asking(name, agent))
            };
            return visit.page_with(400, "Explain", &body, true);
        }
    };
    let fields = (!agent.is_empty()).then(|| ("agent_id".to_owned(), agent.into()));
    let page = explained_at(&issue.repo, issue.number) + &query(fields.into_iter().collect());
    (StatusCode::SEE_OTHER, [(LOCATION, page)]).into_response()
}

/// A form that leads to why an issue stands where it does, for an agent if one is named.
pub(super) fn asking(issue: &str, agent: &str) -> Markup {
    html! {
        form .narrow action="/explain" {
            label { "Issue " input name="issue" value=(issue) placeholder="owner/name#number" required autocomplete="off"; }
            label { "For agent " input name="agent_id" value=(agent) placeholder="any" autocomplete="off"; }
            button { "Explain" }
        }
    }
}

/// One issue.
pub(super) async fn show(
    visit: Visit,
    Path((owner, repo, number)): Path<(String, String, String)>,
    Query(ForAgent { agent_id }): Query<ForAgent>,
) -> Response {
    let mut fields = json!({ "repo": format!("{owner}/{repo}"), "issue_number": number });
    if !agent_id.trim().is_empty() {
        fields["agent_id"] = agent_id.into();
    }
    match visit.found::<Explanation>(Call::Explain, fields, "explanation").await {
        Ok(explanation) => {
            let issue = IssueRef::new(explanation.repo.clone(), explanation.number);
            let on_github = visit.on_github(&issue);
            visit.page(&issue.to_string(), &page(&explanation, &issue, on_github.as_deref()))
        }
        Err(trouble) => *trouble,
    }
}

/// One issue: where it stands, the terms of its score beside those of the first on offer, and what was decided.
fn page(explanation: &Explanation, issue: &IssueRef, on_github: Option<&str>) -> Markup {
    html! {
        h1 { (issue) @if let Some(title) = &explanation.title { " · " (title) } }
        p .soft {
            @if let Some(agent) = &explanation.agent_id { "For " (agent) ", " } @else { "As of " }
            (minute(explanation.explained_at)) " · " (stamp(&explanation.ranker))
            @if let Some(page) = on_github { " · " (outside(page, "on GitHub")) }
        }
        p .why { (explanation.why) }
        @if let Some(why) = &explanation.rejected {
            p .why { "The configured policy was refused, and " (explanation.instead()) ": " (why) }
        }
        @if explanation.score.is_some() {
            h2 { "Its score" @if let Some(rank) = explanation.rank { ", " (nth(rank)) " of " (explanation.ready_count) } }
            @if explanation.reasons.is_empty() {
                p { (points(explanation.score.unwrap_or_default())) ", without a term: no rule in force says anything of it." }
            } @else { (terms(&explanation.reasons, explanation.score)) }
        }
        @if explanation.skip_reasons.len() > 1 {
            h2 { "Every reason for which it is skipped" }
            ul { @for reason in &explanation.skip_reasons { li { (reason) } } }
        }
        @let bars = bars_of(explanation, issue);
        @if !bars.is_empty() {
            h2 { "Beside the first on offer" }
            @if bars.iter().all(|bar| bar.score == 0.0) {
                p .soft { "Each of them scores 0, so there are no bars to compare." }
            } @else { (beside(&bars, issue)) }
        }
        @if let Some(holder) = &explanation.held_by {
            p { a href=(format!("/claims/{}", holder.claim_id)) { "The claim of " (holder.agent_id) } }
        }
        @if let Some(decision) = &explanation.given_out {
            h2 { "Last given out" }
            p { (summary(decision)) }
        }
        @if !explanation.not_chosen.is_empty() { h2 { "Considered, and not given out" } (not_chosen(&explanation.not_chosen)) }
        p .soft { a href=(all_about(issue)) { "All decisions that considered it" } }
        h2 { "Another issue, or for an agent" }
        (asking(&issue.to_string(), explanation.agent_id.as_ref().map_or("", |agent| agent.as_str())))
    }
}

fn all_about(issue: &IssueRef) -> String {
    let fields = [("issue_number", Value::from(issue.number.get())), ("repo", issue.repo.as_str().into())];
    format!("/decisions{}", query(fields.map(|(name, value)| (name.to_owned(), value)).into_iter().collect()))
}

/// The first on offer, and the issue itself behind them where it is none of those.
fn bars_of<'a>(explanation: &'a Explanation, issue: &IssueRef) -> Vec<Bar<'a>> {
    let mut bars: Vec<_> = explanation.first.iter().map(Bar::of).collect();
    let name = issue.to_string();
    if let Some(score) = explanation.score
        && !bars.iter().any(|bar| bar.name == name)
    {
        bars.push(Bar { name, score, reasons: &explanation.reasons });
    }
    bars
}

/// Scores in rows; the issue's own is marked.
fn beside(bars: &[Bar<'_>], issue: &IssueRef) -> Markup {
    let (rows, own) = (Rows::of(bars), issue.to_string());
    html! {
        (rows.legend())
        (wide("Beside the first on offer", html! { table .queue {
            thead { tr { th { "Issue" } th { "Its score, by terms" } th .number { "Score" } } }
            tbody {
                @for bar in bars {
                    tr .marked[bar.name == own] {
                        td { @if bar.name == own { (bar.name) } @else { (named_issue(&bar.name)) } }
                        td .bar { (rows.drawn(bar)) }
                        td .number { (points(bar.score)) }
                    }
                }
            }
        } }))
    }
}

fn terms(reasons: &[Reason], score: Option<f64>) -> Markup {
    html! {
        (wide("Terms of its score", html! { table {
            thead { tr { th { "Rule" } th .number { "Points" } th { "What it saw" } } }
            tbody {
                @for reason in reasons {
                    tr { td { (reason.rule) } td .number { (signed(reason.amount)) } td { (reason.text) } }
                }
                @if let Some(score) = score {
                    tr .marked { td { "Score" } td .number { (points(score)) } td {} }
                }
            }
        } }))
    }
}

fn not_chosen(decisions: &[NotChosen]) -> Markup {
    html! {
        (wide("Decisions that did not give it out", html! { table {
            thead { tr { th { "When" } th { "Agent" } th .number { "Score" } th { "Why not" } th { "Given out" } } }
            tbody {
                @for not in decisions {
                    tr {
                        td { (to_decision(&not.decision)) }
                        td { (not.decision.agent_id) }
                        td .number { (points(not.score)) }
                        td {
                            @match (&not.passed_over, not.place) {
                                (Some(reason), _) => (reason),
                                (None, Some(place)) => { (nth(place)) " in the policy's order" }
                                (None, None) => {}
                            }
                        }
                        td { (not.decision.chosen.as_deref().unwrap_or("nothing")) }
                    }
                }
            }
        } }))
    }
}

fn summary(decision: &DecisionSummary) -> Markup {
    html! {
        (to_decision(decision)) ": "
        (decision.agent_id) " got " (decision.chosen.as_deref().unwrap_or("nothing")) " (" (decision.why) ")"
    }
}

fn to_decision(decision: &DecisionSummary) -> Markup {
    html! { a href=(format!("/decisions/{}", decision.decision_id)) { (minute(decision.decided_at)) } }
}
