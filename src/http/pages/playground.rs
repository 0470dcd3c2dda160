//! The playground: a person edits what the ranker is told, and sees how the live backlog would be ordered then.

use axum::Form;
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::bars::{Bar, Rows};
use super::visit::Visit;
use super::words::{counted, explained_at};
use crate::claims::{Tried, points};

/// Settings as they are typed: TOML, as below `[policies.ranker.settings]`.
#[derive(Debug, Deserialize)]
pub(super) struct Typed {
    settings: String,
}

/// The settings in force, to be edited.
pub(super) async fn show(visit: Visit) -> Response {
    let (source, settings) = visit.state.api.manager().ranker_settings();
    let text = toml::to_string_pretty(&settings).unwrap_or_default();
    visit.page("Playground", &page(&visit, &source, &text, html! {}))
}

/// The same, with what would come of the settings that were typed.
pub(super) async fn try_out(visit: Visit, Form(Typed { settings }): Form<Typed>) -> Response {
    if !visit.may_act() {
        return visit.refused(
            403,
            "Settings are tried with the key, or with a token of scope admin: it takes the server's time.",
        );
    }
    let manager = visit.state.api.manager();
    let (source, _) = manager.ranker_settings();
    let read = toml::from_str::<Map<String, Value>>(&settings).map_err(|error| error.to_string());
    let result = match read.and_then(|settings| manager.try_settings(settings)) {
        Ok(tried) => told(&tried),
        Err(why) => html! { div .why role="alert" { pre { (why.trim_end()) } } },
    };
    visit.still_page("Playground", &page(&visit, &source, &settings, result))
}

fn page(visit: &Visit, source: &str, settings: &str, result: Markup) -> Markup {
    html! {
        h1 { "Playground" }
        p .soft {
            "What " code { (source) } " is told, as below " code { "[policies.ranker.settings]" } " in issuecommand.toml. "
            "Try other settings on the live backlog: nobody is served by them, and nothing of them is kept. "
            "To put them in force, write them into the file: an edit is in force as soon as it is saved."
        }
        @if visit.may_act() {
            form .playground method="post" action="/playground" {
                label for="settings" { "Settings of the ranker" }
                textarea #settings name="settings" rows="14" spellcheck="false" autocapitalize="off" { "\n" (settings) }
                button { "Try them" }
            }
        } @else { pre { code { (settings) } } p .soft { "With a token of scope admin they can be edited and tried here." } }
        (result)
    }
}

fn told(tried: &Tried) -> Markup {
    let bars: Vec<_> = tried.first.iter().map(|row| Bar::of(&row.issue)).collect();
    let rows = Rows::of(&bars);
    html! {
        h2 #result { "What would come first" }
        p .soft {
            (counted(tried.ready_after, "issue")) " on offer; now " (tried.ready_before) " are."
        }
        @if tried.first.is_empty() { p .why { "Nothing would be on offer." } } @else {
            (rows.legend())
            div .wide tabindex="0" { table .queue {
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
            } }
        }
        @if !tried.behind.is_empty() {
            h2 { "What comes first now, and would not" }
            div .wide tabindex="0" { table {
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
            } }
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
