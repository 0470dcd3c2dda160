//! The pages themselves.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use serde_json::Value;

use super::bars::{Bar, chart};
use crate::claims::{DecisionSummary, Explanation, NotChosen, nth, points};
use crate::domain::{Decision, DecisionRow, IssueRef, PolicyStamp, Reason, Timestamp};
use crate::http::query::query;

/// Candidates of a decision that have a bar.
const BAR_COUNT: usize = 8;
/// Digits of a digest that tell it from others.
const DIGEST_DIGIT_COUNT: usize = 12;

/// The whole page around `body`. `nonce` lets its own style apply, and no other.
pub(super) fn document(nonce: &str, body: &Markup) -> Markup {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { "IssueCommand" }
                style nonce=(nonce) { (PreEscaped(include_str!("style.css"))) }
            }
            body { nav { a href="/decisions" { "Decisions" } " " a href="/policies" { "Policies" } } main { (body) } }
        }
    }
}

/// Why there is nothing to show.
pub(super) fn trouble(message: &str) -> Markup {
    html! { h1 { "IssueCommand" } p .why { (message) } }
}

/// One issue: where it stands, the terms of its score beside those of the first on offer, and what was decided.
pub(super) fn issue(explanation: &Explanation) -> Markup {
    let issue = IssueRef::new(explanation.repo.clone(), explanation.number);
    html! {
        h1 { (issue) @if let Some(title) = &explanation.title { " · " (title) } }
        p .soft {
            @if let Some(agent) = &explanation.agent_id { "For " (agent) ", " } @else { "As of " }
            (minute(explanation.explained_at)) " · " (stamp(&explanation.ranker))
        }
        p .why { (explanation.why) }
        @if let Some(why) = &explanation.rejected {
            p .why { "The configured policy was refused, and " (explanation.instead()) ": " (why) }
        }
        @if explanation.score.is_some() {
            h2 { "Its score" @if let Some(rank) = explanation.rank { ", " (nth(rank)) " of " (explanation.ready_count) } }
            (terms(&explanation.reasons, explanation.score))
        }
        @if explanation.skip_reasons.len() > 1 {
            h2 { "Every reason for which it is skipped" }
            ul { @for reason in &explanation.skip_reasons { li { (reason) } } }
        }
        @let bars = bars_of(explanation, &issue);
        @if !bars.is_empty() { h2 { "Beside the first on offer" } (chart(&bars)) }
        @if let Some(decision) = &explanation.given_out {
            h2 { "Last given out" }
            p { (summary(decision)) }
        }
        @if !explanation.not_chosen.is_empty() { h2 { "Considered, and not given out" } (not_chosen(&explanation.not_chosen)) }
        p .soft { a href=(all_about(&issue)) { "All decisions that considered it" } }
    }
}

fn all_about(issue: &IssueRef) -> String {
    let fields = [("issue_number", Value::from(issue.number.get())), ("repo", issue.repo.as_str().into())];
    format!("/decisions{}", query(fields.map(|(name, value)| (name.to_owned(), value)).into_iter().collect()))
}

/// The first on offer, and the issue itself behind them where it is none of those.
fn bars_of<'a>(explanation: &'a Explanation, issue: &IssueRef) -> Vec<Bar<'a>> {
    let is_own = |repo, number| issue.repo == repo && issue.number == number;
    let mut bars: Vec<_> = explanation
        .first
        .iter()
        .map(|rival| Bar {
            name: format!("{}#{}", rival.repo, rival.number),
            score: rival.score,
            reasons: &rival.reasons,
            is_marked: is_own(rival.repo.clone(), rival.number),
        })
        .collect();
    if let Some(score) = explanation.score
        && !bars.iter().any(|bar| bar.is_marked)
    {
        bars.push(Bar { name: issue.to_string(), score, reasons: &explanation.reasons, is_marked: true });
    }
    bars
}

fn terms(reasons: &[Reason], score: Option<f64>) -> Markup {
    html! {
        div .wide { table {
            thead { tr { th { "Rule" } th .number { "Points" } th { "What it saw" } } }
            tbody {
                @for reason in reasons {
                    tr { td { (reason.rule) } td .number { (signed(reason.amount)) } td { (reason.text) } }
                }
                @if let Some(score) = score {
                    tr .marked { td { "Score" } td .number { (points(score)) } td {} }
                }
            }
        } }
    }
}

fn not_chosen(decisions: &[NotChosen]) -> Markup {
    html! {
        div .wide { table {
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
        } }
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

/// One recorded decision: what was given out, every candidate, and why not the others.
pub(super) fn decision(decision: &Decision) -> Markup {
    let summary = DecisionSummary::of(decision);
    let chosen = |row: &DecisionRow| decision.chosen == Some(row.issue().to_string());
    let bars: Vec<_> = decision
        .considered
        .iter()
        .filter(|row| row.passed_over.is_none())
        .take(BAR_COUNT)
        .map(|row| Bar {
            name: row.issue().to_string(),
            score: row.score,
            reasons: &row.reasons,
            is_marked: chosen(row),
        })
        .collect();
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
        @if !bars.is_empty() { h2 { "The first candidates" } (chart(&bars)) }
        @if !decision.considered.is_empty() { h2 { (summary.considered_count) " considered" } (candidates(decision, chosen)) }
        @if decision.left_out_count > 0 { p .soft { (decision.left_out_count) " of them were too many to be recorded." } }
    }
}

fn candidates(decision: &Decision, chosen: impl Fn(&DecisionRow) -> bool) -> Markup {
    html! {
        div .wide { table {
            thead { tr { th .number { "Place" } th { "Issue" } th .number { "Score" } th { "Terms" } } }
            tbody {
                @for (place, row) in decision.considered.iter().enumerate() {
                    tr .marked[chosen(row)] {
                        td .number { @if row.passed_over.is_none() { (place + 1) } @else { "–" } }
                        td {
                            a href=(format!("/explain/{}/{}", row.repo, row.number)) { (row.issue()) }
                        }
                        td .number { (points(row.score)) }
                        td {
                            @if let Some(reason) = &row.passed_over { "passed over: " (reason) }
                            @else if !row.reasons.is_empty() { (row.why()) }
                        }
                    }
                }
            }
        } }
    }
}

pub(super) fn stamp(stamp: &PolicyStamp) -> Markup {
    html! {
        (stamp.source) " " code title="SHA-256 of the component" { (short(&stamp.digest)) }
        " settings " code title="SHA-256 of its settings" { (short(&stamp.settings_digest)) }
    }
}

/// Enough of a digest to tell it from others.
pub(super) fn short(digest: &str) -> &str {
    digest.get(..DIGEST_DIGIT_COUNT).unwrap_or(digest)
}

pub(super) fn signed(amount: f64) -> String {
    let text = points(amount);
    if amount > 0.0 { format!("+{text}") } else { text }
}

pub(super) fn minute(at: Timestamp) -> String {
    at.format("%Y-%m-%d %H:%M UTC").to_string()
}
