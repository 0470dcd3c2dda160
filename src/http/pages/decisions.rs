//! The page of the last decisions: who got what, when, and why.

use std::collections::BTreeMap;

use axum::extract::Query;
use axum::response::Response;
use maud::{Markup, html};
use serde_json::Value;

use super::board::{Narrowed, narrowing};
use super::tables::wide;
use super::visit::{Visit, told};
use super::words::{minute, named_issue, stamp};
use crate::api::{Call, DECISION_COUNT_DEFAULT, DECISION_COUNT_MAX, Fields};
use crate::claims::{ClaimManager, DecisionSummary};
use crate::http::query::query;

/// How many times as many the link at the end shows.
const MORE_TIMES: usize = 5;

/// The last decisions, narrowed by the fields that the API narrows them by.
pub(super) async fn list(visit: Visit, Query(asked): Query<BTreeMap<String, String>>) -> Response {
    // An empty field, as a form sends it, narrows nothing; people write a number as they say it.
    let read = |(name, value): (String, String)| (name, value.trim().trim_start_matches('#').to_owned());
    let asked = asked.into_iter().map(read).filter(|(_, value)| !value.is_empty());
    let asked: Fields = asked.map(|(name, value)| (name, value.into())).collect();
    if asked.contains_key("issue_number") && !asked.contains_key("repo") {
        return refused(&visit, &asked, "Choose the repository of the issue, too: each has its own numbers.");
    }
    let mut answer = visit.ask(Call::Decisions, Value::Object(asked.clone())).await;
    let is_recording = answer.body["is_recording"] != false;
    match serde_json::from_value::<Vec<DecisionSummary>>(answer.body["decisions"].take()) {
        Ok(found) if answer.status == 200 => {
            visit.page("Decisions", &page(visit.state.api.manager(), &asked, &found, is_recording))
        }
        _ if answer.status == 400 => refused(&visit, &asked, told(&answer)),
        _ => visit.trouble(&answer),
    }
}

/// The form once more, with what is wrong with what was typed.
fn refused(visit: &Visit, asked: &Fields, why: &str) -> Response {
    let body = html! {
        h1 { "Decisions" }
        p .why role="alert" { (why) }
        (narrowing_of(visit.state.api.manager(), asked))
    };
    visit.page_with(400, "Decisions", &body, true)
}

/// The decisions that were found by `asked`, newest first; `is_recording`: whether there will be more.
fn page(manager: &ClaimManager, asked: &Fields, decisions: &[DecisionSummary], is_recording: bool) -> Markup {
    let narrowed: Vec<_> = asked.iter().filter(|(name, _)| *name != "limit").collect();
    html! {
        h1 { "Decisions" }
        p .soft {
            "What agents got when they asked, newest first"
            @for (name, value) in &narrowed { ", " (in_words(name)) " " em { (value.as_str().unwrap_or_default()) } }
            @if !narrowed.is_empty() { " · " a href="/decisions" { "all" } }
        }
        (narrowing_of(manager, asked))
        @if decisions.is_empty() { p .why { (nothing(narrowed.is_empty(), is_recording)) } } @else { (table(asked, decisions)) }
        @if let Some(count) = more(asked, decisions.len()) {
            p { a href=(with(asked, "limit", &count.to_string())) { "Show up to " (count) } }
        }
    }
}

/// The form that narrows them.
fn narrowing_of(manager: &ClaimManager, asked: &Fields) -> Markup {
    let repos: Vec<_> = manager.repos().into_iter().map(|entry| entry.repo.full_name).collect();
    let told = |name: &str| asked.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let narrowed = Narrowed { repo: told("repo"), agent_id: told("agent_id"), ..Narrowed::default() };
    let number = html! {
        label { "Issue number " input name="issue_number" value=(told("issue_number")) inputmode="numeric" size="8" placeholder="any" autocomplete="off"; }
    };
    narrowing("/decisions", &narrowed, &repos, number)
}

fn in_words(name: &str) -> &str {
    match name {
        "agent_id" => "of agent",
        "repo" => "of repository",
        "issue_number" | "number" => "that considered issue",
        other => other,
    }
}

fn nothing(all: bool, is_recording: bool) -> &'static str {
    match (all, is_recording) {
        (_, false) => "Decisions are not recorded: store.decision_max_entries is 0.",
        (true, true) => "No decision is recorded yet: agents that ask for work leave them.",
        (false, true) => "No such decision is recorded.",
    }
}

fn table(asked: &Fields, decisions: &[DecisionSummary]) -> Markup {
    html! {
        (wide("Decisions", html! { table {
            thead { tr {
                th { "When" } th { "Agent" } th { "Got" } th { "Why" } th .number { "Considered" } th { "Under" }
            } }
            tbody { @for it in decisions { (row(asked, it)) } }
        } }))
    }
}

fn row(asked: &Fields, it: &DecisionSummary) -> Markup {
    let DecisionSummary { decision_id, agent_id, decided_at, ranker, asked_for, chosen, why, considered_count, .. } =
        it;
    html! {
        tr {
            td { a href=(format!("/decisions/{decision_id}")) { (minute(*decided_at)) } }
            td { a href=(with(asked, "agent_id", agent_id.as_str())) { (agent_id) } }
            td { (got(chosen.as_deref())) }
            td {
                (why)
                @for (what, name) in [("repository", asked_for.repo.as_ref().map(ToString::to_string)),
                    ("label", asked_for.label.clone()), ("milestone", asked_for.milestone.clone())] {
                    @if let Some(name) = name { div .soft { "asked for " (what) " " (name) } }
                }
            }
            td .number { (considered_count) }
            td { (stamp(ranker)) }
        }
    }
}

/// The issue that was given out, and the way to why and to all decisions about it.
fn got(chosen: Option<&str>) -> Markup {
    named_issue(chosen.unwrap_or("nothing"))
}

/// The same page with one field more, or another.
fn with(asked: &Fields, name: &str, value: &str) -> String {
    let mut fields = asked.clone();
    fields.insert(name.to_owned(), value.into());
    format!("/decisions{}", query(fields))
}

/// How many the link at the end shows, where there may be more than the `shown_count` that are.
fn more(asked: &Fields, shown_count: usize) -> Option<usize> {
    let limit = asked.get("limit").and_then(|limit| limit.as_str()?.trim().parse().ok());
    let limit = limit.unwrap_or(DECISION_COUNT_DEFAULT);
    (shown_count >= limit && limit < DECISION_COUNT_MAX).then(|| (limit * MORE_TIMES).min(DECISION_COUNT_MAX))
}
