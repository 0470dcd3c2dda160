//! The board: what needs somebody, and every claim under way by how far it is.

use axum::extract::Query;
use axum::response::Response;
use chrono::TimeDelta;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

use super::visit::Visit;
use super::words::{claim_at, claim_status, counted, length, since};
use crate::api::Call;
use crate::claims::{ClaimColumn, Health};
use crate::domain::{AgentId, Claim, ClaimStatus, RepoName, Run, RunStatus, Timestamp};
use crate::http::query::query;
use crate::store::ClaimFilter;

/// Cards of one status: what a person takes in; the page of claims has them all.
const CARD_COUNT_MAX: usize = 24;
/// Entries of one kind under "needs somebody".
const NOTICE_COUNT_MAX: usize = 5;
/// A lease that ends so soon is told: its agent has not been heard of for long.
const LEASE_SOON: TimeDelta = TimeDelta::minutes(10);

/// Which claims a page shows; an empty field, as a form sends it, narrows nothing.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Narrowed {
    #[serde(default)]
    pub(super) repo: String,
    #[serde(default)]
    pub(super) agent_id: String,
    #[serde(default)]
    pub(super) status: String,
}

impl Narrowed {
    /// As a filter, or what is wrong with it.
    pub(super) fn filter(&self) -> Result<ClaimFilter, String> {
        let status = match self.status.trim() {
            "" => None,
            word => Some(
                ClaimStatus::ALL
                    .into_iter()
                    .find(|status| status.as_str() == word)
                    .ok_or_else(|| format!("{word:?} is no status of a claim"))?,
            ),
        };
        Ok(ClaimFilter { agent: self.agent()?, repo: self.repo()?, status })
    }

    /// The repository, if one is named.
    pub(super) fn repo(&self) -> Result<Option<RepoName>, String> {
        let text = self.repo.trim();
        if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(|error| format!("repo: {error}")) }
    }

    /// The agent, if one is named.
    pub(super) fn agent(&self) -> Result<Option<AgentId>, String> {
        let text = self.agent_id.trim();
        if text.is_empty() { Ok(None) } else { text.parse().map(Some).map_err(|error| format!("agent: {error}")) }
    }

    /// As a query, with this status.
    fn query_with(&self, status: ClaimStatus) -> String {
        let fields = [("agent_id", self.agent_id.trim()), ("repo", self.repo.trim()), ("status", status.as_str())];
        let fields = fields.into_iter().filter(|(_, value)| !value.is_empty());
        query(fields.map(|(name, value)| (name.to_owned(), value.into())).collect())
    }
}

/// The board.
pub(super) async fn show(visit: Visit, Query(narrowed): Query<Narrowed>) -> Response {
    let filter = match narrowed.filter() {
        // Its columns are the statuses.
        Ok(filter) => ClaimFilter { status: None, ..filter },
        Err(why) => return visit.refused(400, &why),
    };
    let body = visit.shared(rendered(&visit, &narrowed, &filter)).await;
    visit.page("Board", &body)
}

async fn rendered(visit: &Visit, narrowed: &Narrowed, filter: &ClaimFilter) -> Markup {
    let manager = visit.state.api.manager();
    let now = manager.now();
    let asking = visit.found::<Vec<Run>>(Call::DispatchRuns, json!({ "limit": 1000 }), "runs").await;
    page(&Board {
        columns: manager.columns(filter, CARD_COUNT_MAX),
        ending: manager.ending_within(LEASE_SOON, filter),
        // Without a dispatcher nothing runs, and the board is none the worse.
        asking: asking.unwrap_or_default().into_iter().filter(|run| is_asked_for(run, filter)).collect(),
        health: manager.health(),
        repos: manager.repos().into_iter().map(|entry| entry.repo.full_name).collect(),
        narrowed,
        now,
    })
}

struct Board<'a> {
    columns: Vec<ClaimColumn>,
    ending: Vec<Claim>,
    /// Runs that wait for people.
    asking: Vec<Run>,
    health: Health,
    repos: Vec<RepoName>,
    narrowed: &'a Narrowed,
    now: Timestamp,
}

fn page(board: &Board<'_>) -> Markup {
    let Health { open_issues, active_claims, active_agents, .. } = &board.health;
    html! {
        h1 { "Board" }
        p .soft {
            (counted(*open_issues, "open issue")) " known, " (counted(*active_claims, "claim")) " under way by "
            (counted(*active_agents, "agent"))
        }
        (needs_somebody(board))
        (narrowing("/", board.narrowed, &board.repos, html! {}))
        div .columns {
            @for column in &board.columns {
                section aria-label=(claim_status(column.status)) data-key=(column.status.as_str()) {
                    h2 { span .dot .(column.status.as_str()) {} (claim_status(column.status)) " " span .count { (column.count) } }
                    ol .cards { @for claim in &column.claims { (card(claim, board.now)) } }
                    @if column.count > column.claims.len() {
                        p { a href={ "/claims" (board.narrowed.query_with(column.status)) } {
                            "All " (column.count)
                        } }
                    }
                }
            }
        }
    }
}

/// What somebody should look at; says so where there is nothing.
fn needs_somebody(board: &Board<'_>) -> Markup {
    let stale = board.columns.iter().find(|column| column.status == ClaimStatus::Stale);
    let stale_count = stale.map_or(0, |column| column.count);
    let count = board.health.degraded.len() + stale_count + board.asking.len() + board.ending.len();
    html! {
        section .notices aria-labelledby="notices" {
            h2 #notices { "Needs somebody " span .count role="status" { (count) } }
            @if count == 0 { p .soft { "Nothing." } } @else {
                ul {
                    @for trouble in &board.health.degraded { li .trouble { a href="/health" { "Health" } ": " (trouble) } }
                    @for run in &board.asking {
                        li { a href=(format!("/runs/{}", run.run_id)) { (run.issue_ref()) } " asks: "
                            (run.question.as_ref().map_or("", |question| question.text.as_str())) }
                    }
                    @if let Some(stale) = stale.filter(|column| column.count > 0) {
                        @for claim in stale.claims.iter().take(NOTICE_COUNT_MAX) {
                            li { a href=(claim_at(claim)) { (claim.issue_ref()) } " lapsed " (since(claim.status_since(), board.now))
                                " ago: " (claim.agent_id) " was not heard of" }
                        }
                        (more(stale.count, &format!("/claims{}", board.narrowed.query_with(ClaimStatus::Stale)), "lapsed"))
                    }
                    @for claim in board.ending.iter().take(NOTICE_COUNT_MAX) {
                        li { a href=(claim_at(claim)) { (claim.issue_ref()) } " lapses in "
                            (length(claim.lease.expires_at - board.now)) " unless " (claim.agent_id) " calls" }
                    }
                    @if board.ending.len() > NOTICE_COUNT_MAX { li { "and " (board.ending.len() - NOTICE_COUNT_MAX) " more" } }
                }
            }
        }
    }
}

fn more(count: usize, path: &str, what: &str) -> Markup {
    html! {
        @if count > NOTICE_COUNT_MAX { li { a href=(path) { (count - NOTICE_COUNT_MAX) " more" } " " (what) } }
    }
}

/// Whether a run waits for people, and passes the filter.
fn is_asked_for(run: &Run, filter: &ClaimFilter) -> bool {
    let holder = run.hold.as_ref().map(|hold| &hold.agent_id);
    run.status() == RunStatus::WaitingHuman
        && filter.repo.as_ref().is_none_or(|repo| *repo == run.repo)
        && filter.agent.as_ref().is_none_or(|agent| holder == Some(agent))
}

/// A form that narrows a page to a repository and an agent, and by what is in `more`.
pub(super) fn narrowing(path: &str, narrowed: &Narrowed, repos: &[RepoName], more: Markup) -> Markup {
    let asked = narrowed.repo.trim();
    html! {
        form .narrow role="search" action=(path) {
            label { "Repository " select name="repo" {
                option value="" { "all" }
                @for repo in repos { option value=(repo) selected[repo.as_str() == asked] { (repo) } }
                // One that takes part no more, or never did.
                @if !asked.is_empty() && !repos.iter().any(|repo| repo.as_str() == asked) { option value=(asked) selected { (asked) } }
            } }
            label { "Agent " input name="agent_id" value=(narrowed.agent_id) placeholder="all" autocomplete="off"; }
            (more)
            button { "Show" }
        }
    }
}

fn card(claim: &Claim, now: Timestamp) -> Markup {
    html! {
        li data-key=(claim.claim_id) {
            a href=(claim_at(claim)) { (claim.repo) "#" (claim.issue_number) }
            div .title { (claim.issue_title) }
            div .soft { (claim.agent_id) " · " (since(claim.status_since(), now)) }
        }
    }
}
