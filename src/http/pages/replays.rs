//! The page of replays: what the policies make of what agents were given lately.

use axum::Form;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde::Deserialize;

use super::tables::wide;
use super::visit::Visit;
use super::words::{minute, named_issue, stamp};
use crate::replay::{ChangedPick, DecisionsOutcome, OWN_DECISION_COUNT_MAX, OwnReplay};

/// Decisions that a replay looks at unless somebody says: seconds of work.
const COUNT_DEFAULT: usize = 200;
/// Differing picks that are shown of each policy.
const SHOWN_COUNT: usize = 10;
/// Widths of a bar, in units of the drawing.
const BAR_WIDTH: f64 = 200.0;
const BAR_HEIGHT: f64 = 10.0;

/// How many decisions.
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    count: usize,
}

/// The last reports.
pub(super) async fn list(visit: Visit) -> Response {
    let reports = visit.state.replays.kept();
    let body = html! {
        h1 { "Replays" }
        p .soft {
            "What agents were given lately, asked again: the newest recorded decisions under the ranker in force now and, if there is "
            "one, the ranker on trial. Nothing is claimed, and nobody is served by it. Where another policy decided, a policy chooses "
            "among the issues that decision considered, scored anew."
        }
        p .soft {
            "The last reports stay here until the server ends. A repository's whole history is replayed by "
            code { "issuecommand policy replay --history" } ", as a page of its own."
        }
        @if visit.may_act() {
            div .acts data-key="acts" { form method="post" action="/replays" {
                label { "Decisions " input type="number" name="count" value=(COUNT_DEFAULT) min="1" max=(OWN_DECISION_COUNT_MAX) required; }
                button { "Replay them" }
            } }
        }
        @if reports.is_empty() { p .why { "Nothing was replayed since the server started." } }
        @for (it, nth) in reports.iter().zip(1..) { (report(it, nth)) }
    };
    visit.page("Replays", &body)
}

/// Makes one more.
pub(super) async fn make(visit: Visit, Form(Wanted { count }): Form<Wanted>) -> Response {
    if !visit.may_act() {
        return visit.refused(
            403,
            "Replays are made with the key, or with a token of scope admin: they take the server's time.",
        );
    }
    if !(1..=OWN_DECISION_COUNT_MAX).contains(&count) {
        return visit.refused(400, &format!("A replay is of 1 to {OWN_DECISION_COUNT_MAX} decisions."));
    }
    let (state, by) = (visit.state.clone(), visit.who().to_owned());
    // Whoever goes away meanwhile finds the report later.
    let work = tokio::spawn(async move { state.replays.make(state.api.manager(), count, by).await });
    match work.await.unwrap_or_else(|_| Err("the replay failed; the server's log says where".into())) {
        Ok(()) => (StatusCode::SEE_OTHER, [(LOCATION, "/replays")]).into_response(),
        Err(why) => visit.not_done(&why, ("/replays", "the replays")),
    }
}

/// One report; `nth`: its place on the page.
fn report(it: &OwnReplay, nth: usize) -> Markup {
    let OwnReplay { at, by, wanted, report } = it;
    html! {
        section data-key=(at.to_rfc3339()) {
            h2 { "Replay of " (minute(*at)) ", by " (by) }
            p {
                (report.replayed) " of " (report.decisions) " recorded decisions can be made again."
                @if report.decisions < *wanted { " Its time was over before the other " (wanted - report.decisions) "." }
            }
            @if !report.left_out.is_empty() {
                ul { @for (why, count) in &report.left_out { li { (count) " cannot: " (why) } } }
            }
            (wide(&format!("Report {nth}: how often each policy picks another issue"), html! { table {
                thead { tr {
                    th { "Policy" } th { "Picks another issue" } th .number { "How often" } th .number { "Made by itself" } th .number { "Of these, the same again" }
                } }
                tbody { @for outcome in &report.outcomes { (row(outcome, report.replayed)) } }
            } }))
            @for outcome in report.outcomes.iter().filter(|outcome| outcome.differing > 0) { (differing(outcome, nth)) }
        }
    }
}

fn row(outcome: &DecisionsOutcome, replayed: usize) -> Markup {
    let share = outcome.differing as f64 / replayed.max(1) as f64;
    let percent = format!("{:.1} %", share * 100.0);
    html! {
        tr {
            td { (outcome.name) div .soft { (stamp(&outcome.ranker)) } }
            td .bar {
                svg viewBox=(format!("0 0 {BAR_WIDTH} {BAR_HEIGHT}")) role="img" aria-label=(percent) preserveAspectRatio="none" {
                    rect .c0 width=(format!("{:.1}", share * BAR_WIDTH)) height=(BAR_HEIGHT) {}
                    rect .track width=(BAR_WIDTH) height=(BAR_HEIGHT) {}
                }
            }
            td .number { (outcome.differing) " (" (percent) ")" }
            td .number { (outcome.own) }
            td .number { (outcome.own_same) }
        }
    }
}

fn differing(outcome: &DecisionsOutcome, nth: usize) -> Markup {
    let more = outcome.differing.saturating_sub(SHOWN_COUNT);
    html! {
        h3 { "Picked otherwise by " (outcome.name) }
        (wide(&format!("Report {nth}: picked otherwise by {}", outcome.name), html! { table {
            thead { tr { th { "When" } th { "Agent" } th { "Got" } th { "Instead" } } }
            tbody { @for pick in outcome.first.iter().take(SHOWN_COUNT) { (changed(pick)) } }
        } }))
        @if more > 0 { p .soft { "and " (more) " more" } }
    }
}

fn changed(pick: &ChangedPick) -> Markup {
    html! {
        tr {
            td { (minute(pick.at)) }
            td { (pick.agent) }
            td { (named_issue(&pick.picked)) div .soft { (pick.why) } }
            td { (named_issue(pick.other.as_deref().unwrap_or("nothing"))) div .soft { (pick.why_other) } }
        }
    }
}
