//! Claims in a table, and the page of one: its life so far, what belongs to it, and what an operator may do with it.

use axum::extract::{Path, Query};
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

use super::board::{Narrowed, narrowing};
use super::tables::wide;
use super::visit::Visit;
use super::words::{
    claim_at, claim_badge, claim_status, counted, issue_link, length, minute, outside, run_badge, since,
};
use crate::api::Call;
use crate::claims::{Belongings, ClaimManager, UNDER_WAY};
use crate::domain::{Claim, FollowUp, Run, Timestamp};
use crate::http::query::query;
use crate::store::ClaimFilter;

/// Rows of the table of claims under way.
const ROW_COUNT_MAX: usize = 200;
/// Claims that ended, on one page.
const PAST_COUNT: usize = 100;

/// Which claims the table shows.
#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    /// Those that ended.
    ended: Option<String>,
    /// Those behind this place of them.
    cursor: Option<String>,
    #[serde(flatten)]
    narrowed: Narrowed,
}

/// The table of claims.
pub(super) async fn list(visit: Visit, Query(asked): Query<Asked>) -> Response {
    if asked.ended.is_some() {
        return past(&visit, asked.cursor).await;
    }
    let filter = match asked.narrowed.filter() {
        Ok(filter) => filter,
        Err(why) => return visit.refused(400, &why),
    };
    let body = visit.shared(async { under_way(visit.state.api.manager(), &asked.narrowed, &filter) }).await;
    visit.page("Claims", &body)
}

fn under_way(manager: &ClaimManager, narrowed: &Narrowed, filter: &ClaimFilter) -> Markup {
    let columns = manager.columns(filter, ROW_COUNT_MAX);
    let repos: Vec<_> = manager.repos().into_iter().map(|entry| entry.repo.full_name).collect();
    let count: usize = columns.iter().map(|column| column.count).sum();
    let claims: Vec<Claim> = columns.into_iter().flat_map(|column| column.claims).take(ROW_COUNT_MAX).collect();
    html! {
        h1 { "Claims" @if let Some(status) = filter.status { ": " (claim_status(status)) } }
        p .soft {
            (counted(count, "claim")) " under way"
            @if claims.len() < count { ", of which the first " (claims.len()) " stand here" }
            " · " a href="/claims?ended=1" { "those that ended" }
            @if filter.status.is_some() { " · " a href="/claims" { "all under way" } }
        }
        (narrowing("/claims", narrowed, &repos, by_status(&narrowed.status)))
        @if claims.is_empty() { p .why { "No such claim is under way." } } @else { (table(&claims, manager.now(), "Lease ends in")) }
    }
}

fn by_status(asked: &str) -> Markup {
    html! {
        label { "Stands " select name="status" {
            option value="" { "anywhere" }
            @for status in UNDER_WAY {
                option value=(status.as_str()) selected[status.as_str() == asked.trim()] { (claim_status(status)) }
            }
        } }
    }
}

async fn past(visit: &Visit, cursor: Option<String>) -> Response {
    let mut fields = json!({ "limit": PAST_COUNT });
    if let Some(cursor) = cursor {
        fields["cursor"] = cursor.into();
    }
    let mut answer = visit.ask(Call::ClaimHistory, fields).await;
    let claims = match serde_json::from_value::<Vec<Claim>>(answer.body["items"].take()) {
        Ok(claims) if answer.status == 200 => claims,
        _ => return visit.trouble(&answer),
    };
    let next = answer.body["next_cursor"].as_str().map(|cursor| {
        let fields = [("cursor", cursor), ("ended", "1")];
        format!("/claims{}", query(fields.map(|(name, value)| (name.to_owned(), value.into())).into_iter().collect()))
    });
    let body = html! {
        h1 { "Claims that ended" }
        p .soft { "Newest first · " a href="/claims" { "those under way" } }
        @if claims.is_empty() { p .why { "No claim has ended yet." } } @else {
            (table(&claims, visit.state.api.manager().now(), ""))
        }
        @if let Some(next) = next { p { a href=(next) { "Older ones" } } }
    };
    visit.page("Claims that ended", &body)
}

/// Claims in rows; the last column has their leases, where it has a name.
fn table(claims: &[Claim], now: Timestamp, lease: &str) -> Markup {
    html! {
        (wide("Claims", html! { table {
            thead { tr {
                th { "Claim" } th { "Issue" } th { "Agent" } th { "Stands" } th { "Since" } th { "Pull request" }
                @if !lease.is_empty() { th .number { (lease) } }
            } }
            tbody {
                @for claim in claims {
                    tr data-key=(claim.claim_id) {
                        td { a href=(claim_at(claim)) { code { (claim.claim_id.short()) } } }
                        td { (issue_link(&claim.issue_ref())) div .soft { (claim.issue_title) } }
                        td { (claim.agent_id) }
                        td { (claim_badge(claim.status())) }
                        td { (since(claim.status_since(), now)) }
                        td { (pull(claim)) }
                        @if !lease.is_empty() { td .number { (lease_left(claim, now)) } }
                    }
                }
            }
        } }))
    }
}

fn lease_left(claim: &Claim, now: Timestamp) -> String {
    if claim.lease.expires_at > now { length(claim.lease.expires_at - now) } else { "over".to_owned() }
}

fn pull(claim: &Claim) -> Markup {
    let Some(address) = claim.pr_url() else { return html! {} };
    let number = address.rsplit_once("/pull/").map_or("page", |(_, number)| number);
    html! { (outside(address, &format!("#{number}"))) @if claim.pr_found() { span .soft { " found" } } }
}

/// One claim.
pub(super) async fn show(visit: Visit, Path(claim_id): Path<String>) -> Response {
    let claim: Claim = match visit.found(Call::ClaimDetails, json!({ "claim_id": claim_id }), "claim").await {
        Ok(claim) => claim,
        Err(trouble) => return *trouble,
    };
    let belongings = match visit.state.api.manager().belongings(&claim).await {
        Ok(belongings) => belongings,
        Err(error) => return visit.refused(500, &format!("its runs and its feedback could not be read: {error}")),
    };
    let whole = Whole {
        belongings,
        on_github: visit.on_github(&claim.issue_ref()),
        may_act: visit.may_act() && !claim.status().is_terminal(),
        now: visit.state.api.manager().now(),
        claim,
    };
    visit.page(&format!("Claim {}", whole.claim.claim_id.short()), &page(&whole))
}

/// A claim with what belongs to it.
struct Whole {
    claim: Claim,
    belongings: Belongings,
    on_github: Option<String>,
    may_act: bool,
    now: Timestamp,
}

fn page(whole: &Whole) -> Markup {
    let Whole { claim, now, .. } = whole;
    html! {
        h1 { (claim.issue_ref()) " · " (claim.issue_title) }
        p { (claim_badge(claim.status())) " by " strong { (claim.agent_id) } " since " (since(claim.status_since(), *now)) }
        dl .facts {
            dt { "Why it was given out" }
            dd {
                @match claim.decision_id {
                    Some(decision) => a href=(format!("/decisions/{decision}")) { "the recorded decision" },
                    None => "its agent named it",
                }
                " · " (issue_link(&claim.issue_ref())) " as it stands now"
                @if let Some(page) = &whole.on_github { " · " (outside(page, "on GitHub")) }
            }
            dt { "Pull request" }
            dd { @match claim.pr_url() { Some(address) => (outside(address, address)), None => "none yet" } }
            dt { "Lease" }
            dd {
                @if claim.status().is_terminal() { "ended" } @else if claim.lease.expires_at > *now {
                    "ends in " (length(claim.lease.expires_at - *now)) " unless its agent calls"
                } @else { "over for " (since(claim.lease.expires_at, *now)) "; the stale rule says when that ends the claim" }
                ", epoch " (claim.lease.epoch)
            }
            dt { "Claim" } dd { code { (claim.claim_id) } }
        }
        h2 { "Its life so far" }
        ol .timeline data-key="life" {
            @for entry in claim.status_history() {
                li { span .dot .(entry.status.as_str()) {} strong { (claim_status(entry.status)) } " "
                    time .soft datetime=(entry.timestamp.to_rfc3339()) { (minute(entry.timestamp)) }
                    @if let Some(note) = &entry.note { div { (note) } } }
            }
        }
        @let Belongings { runs, follow_ups } = &whole.belongings;
        @if !runs.is_empty() { (worked_on(runs)) }
        @let (over, waiting): (Vec<_>, Vec<_>) = follow_ups.iter().partition(|item| item.status().is_terminal());
        @if !waiting.is_empty() { (feedback("reviews", "Feedback that waits", &waiting)) }
        @if !over.is_empty() { (feedback("reviews-over", "Feedback that is over", &over)) }
        @if whole.may_act { (acts(claim)) }
    }
}

fn worked_on(runs: &[Run]) -> Markup {
    html! {
        section data-key="runs" { h2 { "Worked on here, newest first" }
        ul { @for run in runs {
            li { a href=(format!("/runs/{}", run.run_id)) { "Run " (run.run_id.short()) } " " (run_badge(run.status()))
                @if let Some(why) = &run.reason { " " (why) } }
        } } }
    }
}

fn feedback(key: &str, name: &str, items: &[&FollowUp]) -> Markup {
    html! {
        section data-key=(key) { h2 { (name) }
        ul { @for item in items {
            li data-key=(item.work_item_id) {
                (item.summary) " " span .soft { (item.status().to_string()) ", of " (minute(item.created_at)) }
            }
        } } }
    }
}

/// What an operator may do.
fn acts(claim: &Claim) -> Markup {
    html! {
        section data-key="acts" { h2 { "Overrule" }
        div .acts {
            form method="post" action={ (claim_at(claim)) "/release" } {
                label { "Why " input name="note" maxlength="200" autocomplete="off"; }
                button .danger { "Take it back" }
            }
            form method="post" action={ (claim_at(claim)) "/reassign" } {
                label { "To agent " input name="agent_id" required autocomplete="off"; }
                label { "Why " input name="note" maxlength="200" autocomplete="off"; }
                button { "Give it to another" }
            }
        } }
    }
}
