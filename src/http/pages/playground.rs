//! The playground: a person edits what the ranker is told, and sees how the live backlog would be ordered then.

use axum::Form;
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::bars::{Bar, Rows};
use super::keys;
use super::ruling::Offer;
use super::tables::wide;
use super::visit::Visit;
use super::words::{counted, explained_at};
use crate::claims::{Tried, points};

/// Lines of the field of settings, at least and at most.
const LINE_COUNT_MIN: usize = 8;
const LINE_COUNT_MAX: usize = 24;

/// Settings as they are typed: TOML, as below `[policies.ranker.settings]`.
#[derive(Debug, Deserialize)]
pub(super) struct Typed {
    settings: String,
}

/// The settings in force, to be edited.
pub(super) async fn show(visit: Visit) -> Response {
    let (source, settings) = visit.state.api.manager().ranker_settings();
    let text = toml::to_string_pretty(&settings).unwrap_or_default();
    visit.page("Playground", &page(&visit, &source, &text, html! {}, html! {}))
}

/// The same, with what would come of the settings that were typed.
pub(super) async fn try_out(visit: Visit, Form(Typed { settings }): Form<Typed>) -> Response {
    if !visit.may_act() {
        return visit.refused(
            403,
            "Settings are tried with the key, or with a token of scope admin: it takes the server's time.",
        );
    }
    let offer = Offer::to(&visit).await;
    let manager = visit.state.api.manager();
    let (source, _) = manager.ranker_settings();
    let (verdict, orders) = match read_settings(&settings).and_then(|settings| manager.try_settings(settings)) {
        Ok(tried) => {
            (html! { (told(&tried)) (in_force(&visit, &offer, &settings)) }, html! { (first(&tried)) (behind(&tried)) })
        }
        Err(why) => (refused(&why), html! {}),
    };
    visit.still_page("Playground", &page(&visit, &source, &settings, verdict, orders))
}

/// Settings as a browser sends them, which ends lines in its own way.
pub(super) fn read_settings(typed: &str) -> Result<Map<String, Value>, String> {
    toml::from_str(&typed.replace("\r\n", "\n")).map_err(|error| error.to_string())
}

/// Why settings were not tried.
fn refused(why: &str) -> Markup {
    html! { div .why role="alert" { strong .trouble { "Nothing was tried" } pre { (why.trim_end()) } } }
}

/// What can be done with settings that were tried.
fn in_force(visit: &Visit, offer: &Offer, settings: &str) -> Markup {
    let Some(seen) = &offer.seen else { return offer.note() };
    let (policies, _) = visit.state.api.manager().policies_in_force();
    html! {
        (offer.note())
        div .acts { form method="post" action="/playground/candidate" {
            input type="hidden" name="settings" value=(settings);
            input type="hidden" name="seen" value=(seen);
            label { "Why " input name="note" maxlength="200" autocomplete="off"; }
            button { "Put them on trial" }
            button .danger formaction="/playground/in-force" { "Put them in force" }
        } }
        p .soft {
            "These are the settings that were tried, whatever was edited since. On trial they are asked behind every answer and serve nobody; the page of policies tells how that goes, and "
            "promotes them. In force they decide for the next agent that asks. Either is an edit of issuecommand.toml."
            @if let Some(candidate) = &policies.candidate {
                " " (candidate.ranker.source) " is on trial now, and gives way to them if these are put on trial."
            }
        }
    }
}

/// The page; `verdict` and `orders`: what came of trying, in short and in tables.
fn page(visit: &Visit, source: &str, settings: &str, verdict: Markup, orders: Markup) -> Markup {
    let schema = visit.state.api.manager().ranker_schema();
    let example = schema.as_ref().and_then(keys::first);
    let example = example.map(|example| format!("# For example:\n{example}"));
    let line_count = (settings.lines().count() + 2).clamp(LINE_COUNT_MIN, LINE_COUNT_MAX);
    html! {
        h1 { "Playground" }
        p .soft {
            "What " code { (source) } " is told, as below " code { "[policies.ranker.settings]" } " in issuecommand.toml. "
            "Try other settings on the live backlog: nobody is served by them, and nothing of them is kept unless you say so."
        }
        @if visit.may_act() {
            form .playground method="post" action="/playground" {
                label for="settings" { "Settings of the ranker" }
                textarea #settings name="settings" rows=(line_count) placeholder=[example] spellcheck="false" autocapitalize="off" {
                    "\n" (settings)
                }
                button { "Try them" }
            }
        } @else {
            @if settings.is_empty() { p .why { "Nothing is set: it ranks as it comes." } } @else { pre { code { (settings) } } }
            p .soft { "With a token of scope admin they can be edited and tried here." }
        }
        (verdict)
        (keys::all(schema.as_ref()))
        (orders)
    }
}

/// What would come of it, in a sentence.
fn told(tried: &Tried) -> Markup {
    let moved = (1..).zip(&tried.first).filter(|(place, row)| row.place_before != Some(*place)).count();
    html! {
        h2 #result { "What would come of them" }
        p {
            (counted(tried.ready_after, "issue")) " on offer; now " (tried.ready_before) " are. "
            @if !tried.first.is_empty() {
                @if moved == 0 { "None" } @else { (moved) } " of the first " (counted(tried.first.len(), "place"))
                " would go to another issue than now."
            }
        }
    }
}

fn first(tried: &Tried) -> Markup {
    let bars: Vec<_> = tried.first.iter().map(|row| Bar::of(&row.issue)).collect();
    let rows = Rows::of(&bars);
    html! {
        h2 { "What would come first" }
        @if tried.first.is_empty() { p .why { "Nothing would be on offer." } } @else {
            (rows.legend())
            (wide("What would come first", html! { table .queue {
                thead { tr { th .number { "Place" } th .number { "Now" } th { "Issue" } th { "Its score, by terms" } th .number { "Score" } } }
                tbody {
                    @for ((place, row), bar) in (1..).zip(&tried.first).zip(&bars) {
                        tr {
                            td .number { (place) }
                            td .number { (moved(place, row.place_before)) }
                            td { a href=(explained_at(&row.issue.repo, row.issue.number)) { (bar.name) } div .soft { (row.issue.title) } }
                            td .bar { (rows.drawn(bar)) }
                            td .number { (points(row.issue.score)) }
                        }
                    }
                }
            } }))
        }
    }
}

fn behind(tried: &Tried) -> Markup {
    html! {
        @if !tried.behind.is_empty() {
            h2 { "What comes first now, and would not" }
            (wide("What comes first now, and would not", html! { table {
                thead { tr { th .number { "Now" } th { "Issue" } th { "Then" } } }
                tbody {
                    @for row in &tried.behind {
                        tr {
                            td .number { (row.place_before) }
                            td { a href=(explained_at(&row.issue.repo, row.issue.number)) { (row.issue.repo) "#" (row.issue.number) }
                                div .soft { (row.issue.title) } }
                            td { @match &row.then { Ok(place) => { "place " (place) }, Err(why) => (why) } }
                        }
                    }
                }
            } }))
        }
    }
}

/// Where it stands now, with an arrow towards where it would stand.
fn moved(place: usize, before: Option<usize>) -> Markup {
    html! {
        @match before {
            None => span title="not on offer now" { "new" },
            Some(before) if before > place => span .up { (before) " ↑" },
            Some(before) if before < place => span .down { (before) " ↓" },
            Some(before) => (before),
        }
    }
}
