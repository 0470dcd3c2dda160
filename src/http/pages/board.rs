//! The board: what needs somebody, and every claim under way by how far it is.

use axum::extract::Query;
use axum::response::Response;
use chrono::TimeDelta;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::json;

use super::visit::Visit;
use super::words::{claim_at, claim_status, counted, issue_link, length, since};
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
        Ok(filter) => filter,
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
        ending: manager.ending_before(now + LEASE_SOON),
        // Without a dispatcher nothing runs, and the board is none the worse.
        runs: asking.unwrap_or_default(),
        health: manager.health(),
        repos: manager.repos().into_iter().map(|entry| entry.repo.full_name).collect(),
        narrowed,
        now,
    })
}

struct Board<'a> {
    columns: Vec<ClaimColumn>,
    ending: Vec<Claim>,
    runs: Vec<Run>,
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
        (narrowing("/", board.narrowed, &board.repos))
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
    let asking: Vec<_> = board.runs.iter().filter(|run| run.status() == RunStatus::WaitingHuman).collect();
    let is_quiet = board.health.degraded.is_empty()
        && stale.is_none_or(|column| column.count == 0)
        && asking.is_empty()
        && board.ending.is_empty();
    html! {
        section .notices aria-labelledby="notices" aria-live="polite" {
            h2 #notices { "Needs somebody" }
            @if is_quiet { p .soft { "Nothing." } } @else {
                ul {
                    @for trouble in &board.health.degraded { li .trouble { a href="/health" { "Health" } ": " (trouble) } }
                    @for run in &asking {
                        li { a href=(format!("/runs/{}", run.run_id)) { (run.issue_ref()) } " asks: "
                            (run.question.as_ref().map_or("", |question| question.text.as_str())) }
                    }
                    @if let Some(stale) = stale.filter(|column| column.count > 0) {
                        @for claim in stale.claims.iter().take(NOTICE_COUNT_MAX) {
                            li { a href=(claim_at(claim)) { (claim.issue_ref()) } " lapsed " (since(claim.status_since(), board.now))
                                " ago: " (claim.agent_id) " was not heard of" }
                        }
                        (more(stale.count, "/claims?status=stale", "lapsed"))
                    }
                    @for claim in board.ending.iter().take(NOTICE_COUNT_MAX) {
                        li { a href=(claim_at(claim)) { (claim.issue_ref()) } " lapses in "
                            (length(claim.lease.expires_at - board.now)) " unless " (claim.agent_id) " calls" }
                    }
                    (more(board.ending.len(), "/claims", "will lapse soon"))
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

/// A form that narrows a page to a repository and an agent.
pub(super) fn narrowing(path: &str, narrowed: &Narrowed, repos: &[RepoName]) -> Markup {
    html! {
        form .narrow role="search" action=(path) {
            label { "Repository " select name="repo" {
                option value="" { "all" }
                @for repo in repos { option value=(repo) selected[repo.as_str() == narrowed.repo.trim()] { (repo) } }
            } }
            label { "Agent " input name="agent_id" value=(narrowed.agent_id) placeholder="all" autocomplete="off"; }
            @if !narrowed.status.is_empty() { input type="hidden" name="status" value=(narrowed.status); }
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

/// Links to an issue and its claim, for tables.
pub(super) fn of_claim(claim: &Claim) -> Markup {
    html! { (issue_link(&claim.issue_ref())) div .soft { (claim.issue_title) } }
}
