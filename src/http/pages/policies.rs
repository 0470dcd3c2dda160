//! The page of policies: what decides now, how the candidate's trial goes, and what was in force before.

use axum::extract::Query;
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

use super::tables::wide;
use super::visit::Visit;
use super::words::{explained_at, minute, short, signed, stamp};
use super::{board, hours, ruling};
use crate::api::{Answer, Call, Fields};
use crate::claims::{TrialReport, points};
use crate::config::{CandidateMode, OverrideConfig};
use crate::domain::{Disagreement, PolicyStamp, Preference, RepoName};
use crate::policy::{Effective, Part};
use crate::store::PolicySetKept;

/// For whom policies are shown: for all that have nothing of their own, unless said. An empty field, as a form sends it,
/// says nothing.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ForWhom {
    #[serde(default)]
    repo: String,
    #[serde(default)]
    agent_id: String,
}

/// The policies in force, the candidate's trial, and what was in force before.
pub(super) async fn show(visit: Visit, Query(ForWhom { repo, agent_id }): Query<ForWhom>) -> Response {
    let fields = [("repo", repo.trim()), ("agent_id", agent_id.trim())];
    let said = fields.into_iter().filter(|(_, value)| !value.is_empty());
    let asked: Fields = said.map(|(name, value)| (name.to_owned(), value.into())).collect();
    let mut told = asked.clone();
    let questions =
        [(Call::PolicyEffective, asked), (Call::PolicyCandidate, Fields::new()), (Call::PolicyHistory, Fields::new())];
    for (call, fields) in questions {
        match visit.ask(call, Value::Object(fields)).await {
            Answer { status: 200, body: Value::Object(found), .. } => told.extend(found),
            failed => return visit.trouble(&failed),
        }
    }
    match serde_json::from_value(Value::Object(told)) {
        Ok(policies) => visit.page("Policies", &page(&policies, &Beside::of(&visit).await)),
        Err(error) => visit.refused(500, &format!("the policies have no form that can be shown: {error}")),
    }
}

/// What the page tells of.
#[derive(Debug, Deserialize)]
struct Policies {
    policy: Effective,
    rejected: Option<String>,
    trial: Option<TrialReport>,
    sets: Vec<PolicySetKept>,
    /// The repository and the agent that were asked about, if any were.
    repo: Option<String>,
    agent_id: Option<String>,
}

/// What stands on the page beside what the API tells.
struct Beside {
    /// What the candidate's ranker is told, part by part.
    candidate_settings: Vec<Value>,
    offer: ruling::Offer,
    /// Repositories for which one may ask what decides.
    repos: Vec<RepoName>,
    /// For whom something else decides.
    overrides: Vec<OverrideConfig>,
}

impl Beside {
    async fn of(visit: &Visit) -> Self {
        let offer = ruling::Offer::to(visit).await;
        let manager = visit.state.api.manager();
        let (in_force, _) = manager.policies_in_force();
        let parts = in_force.candidate.iter().flat_map(|it| it.ranker.parts());
        Self {
            candidate_settings: parts.map(|part| Value::Object(part.settings.clone())).collect(),
            offer,
            repos: manager.repos().into_iter().map(|entry| entry.repo.full_name).collect(),
            overrides: in_force.overrides.clone(),
        }
    }
}

fn page(policies: &Policies, beside: &Beside) -> Markup {
    let Policies { policy, rejected, trial, sets, repo, agent_id } = policies;
    let told = |field: &Option<String>| field.clone().unwrap_or_default();
    let narrowed = board::Narrowed { repo: told(repo), agent_id: told(agent_id), ..board::Narrowed::default() };
    html! {
        h1 { "Policies" }
        p { a href="/playground" { "Try other settings" } " on the live backlog, without effect; "
            a href="/replays" { "replay" } " what was decided under what decides now." }
        (beside.offer.note())
        (board::narrowing("/policies", &narrowed, &beside.repos, html! {}))
        p .soft {
            "For " @match repo { Some(repo) => (repo), None => "every repository without a ranker of its own" }
            ", " @match agent_id { Some(agent) => { "agent " (agent) }, None => "every agent without a view of its own" }
            ": the view " em { (policy.view) }
        }
        @if let Some(overridden) = &policy.overridden {
            p .soft { "By an override" (for_whom(&overridden.repos, &overridden.groups)) }
        } @else if !beside.overrides.is_empty() {
            p .soft { "Something else decides by overrides; name a repository and an agent to see what:" }
            ul .soft { @for it in &beside.overrides { li { "an override" (for_whom(&it.repos, &it.groups)) } } }
        }
        @if let Some(why) = rejected { p .why { "The newest edit is not in force: " (why) } }
        h2 { "In force" }
        @if let Some(set) = begun(sets) { (since(set)) }
        (in_force(policy))
        @if let Some(trial) = trial { (trial_of(trial, beside)) }
        @if !sets.is_empty() {
            h2 { "What was in force, newest first" }
            @if beside.offer.seen.is_some() { p .soft { "The page of a set says what it was told, and puts its ranker back." } }
            (past(sets))
        }
    }
}

/// For whom an override is.
fn for_whom(repos: &[String], groups: &[String]) -> Markup {
    html! {
        @if !repos.is_empty() { " for repositories " (repos.join(", ")) }
        @if !groups.is_empty() { " for groups " (groups.join(", ")) }
    }
}

/// The set by which the policies came in force that are so now: a trial that began or ended since then changed none.
fn begun(sets: &[PolicySetKept]) -> Option<&PolicySetKept> {
    let now = sets.first()?;
    sets.iter().take_while(|set| set.record.serves_as(&now.record)).last()
}

/// Since when the policies are as they are, and by whose word.
fn since(set: &PolicySetKept) -> Markup {
    html! {
        p .soft #since {
            "Since " (minute(set.at)) ": " (set.why)
            @if let Some(by) = &set.by { ", by " (by) }
        }
    }
}

fn in_force(policy: &Effective) -> Markup {
    html! {
        (wide("Policies in force", html! { table {
            thead { tr { th { "What" } th { "Role" } th .number { "Weight" } th { "Component" } th { "Settings" } } }
            tbody {
                @for part in &policy.stages { (row_of(part)) }
                @for (name, rule) in [("stale rule", &policy.stale_rule), ("repository filter", &policy.repo_filter)] {
                    tr { td { (name) } td {} td {} td { (component(&rule.stamp)) } td .settings { (settings_of(&rule.settings)) } }
                }
                @if !policy.allowed_repos.is_empty() {
                    tr { td { "and" } td {} td {} td { "ALLOWED_REPOS" } td .settings { code { (policy.allowed_repos.join(", ")) } } }
                }
            }
        } }))
        @for unchecked in &policy.settings_unchecked { p .soft { (unchecked) } }
    }
}

fn row_of(part: &Part) -> Markup {
    html! {
        tr {
            td { (part.name) }
            td { (part.role) }
            td .number { @if part.role == "score" { "×" (points(part.weight)) } }
            td { (component(&part.stamp)) }
            td .settings { (settings_of(&part.settings)) }
        }
    }
}

pub(super) fn settings_of(settings: &Value) -> Markup {
    let is_told = settings.as_object().is_some_and(|settings| !settings.is_empty());
    let as_typed = || toml::to_string(settings).unwrap_or_else(|_| settings.to_string());
    html! { @if is_told { pre { (as_typed().trim_end()) } } @else { span .soft { "as it comes" } } }
}

pub(super) fn component(stamp: &PolicyStamp) -> Markup {
    html! { (stamp.source) " " code title=(stamp.digest) { (short(&stamp.digest)) } }
}

fn trial_of(trial: &TrialReport, beside: &Beside) -> Markup {
    let TrialReport { candidate, is_well, counts, agreement, hours, disagreements } = trial;
    html! {
        h2 { "The candidate" }
        p .soft {
            (stamp(&candidate.ranker)) " · "
            @match candidate.mode {
                CandidateMode::Shadow => "in shadow: asked behind every answer, served to nobody",
                CandidateMode::Canary => {
                    "canary: serves " (points(candidate.share * 100.0)) " % of agents, and the ranker in force is asked behind"
                }
            }
        }
        @for settings in &beside.candidate_settings { p { "Told:" } (settings_of(settings)) }
        @if !is_well { p .why { "It failed over and over and is left alone until the next edit; the log says why." } }
        p .why {
            @match agreement {
                Some(agreement) => {
                    "Agreed on " (counts.agreed) " of " (counts.agreed + counts.disagreed) " requests ("
                    (format!("{:.1} %)", agreement * 100.0))
                }
                None => "No request has been compared yet"
            }
            @for (count, what) in [(counts.undecided, "undecided"), (counts.failed, "failed"), (counts.dropped, "not looked at")] {
                @if count > 0 { "; " (count) " " (what) }
            }
        }
        (hours::chart(hours))
        @if let Some(seen) = &beside.offer.seen {
            div .acts data-key="trial-acts" {
                (ruling::form("/policies/promote", seen, html! { button { "Promote it" } }))
                (ruling::form("/policies/give-up", seen, html! { button .danger { "Give it up" } }))
            }
        }
        @if !disagreements.is_empty() {
            h2 { "Where it did not agree, newest first" }
            (wide("Where it did not agree", html! { table {
                thead { tr { th { "When" } th { "Agent" } th { "Picked" } th { "Would have picked" } } }
                tbody { @for it in disagreements { (disagreement(it)) } }
            } }))
        }
    }
}

fn disagreement(it: &Disagreement) -> Markup {
    html! {
        tr {
            td { (minute(it.at)) }
            td { (it.agent_id) }
            td { (preference(it.picked.as_ref())) @if it.by_candidate { div .soft { "by the candidate" } } }
            td { (preference(it.would_have_picked.as_ref())) }
        }
    }
}

fn preference(preference: Option<&Preference>) -> Markup {
    let Some(Preference { repo, number, score, reasons }) = preference else { return html! { "nothing" } };
    html! {
        a href=(explained_at(repo, *number)) { (repo) "#" (number) }
        " " (points(*score))
        @if !reasons.is_empty() {
            div .soft {
                @for (place, reason) in reasons.iter().enumerate() {
                    @if place > 0 { ", " } (reason.rule) " " (signed(reason.amount))
                }
            }
        }
    }
}

fn past(sets: &[PolicySetKept]) -> Markup {
    html! {
        (wide("What was in force", html! { table {
            thead { tr { th .number { "Set" } th { "Since" } th { "Ranker" } th { "Why" } th { "By" } } }
            tbody {
                @for set in sets {
                    tr data-key=(set.set_id) {
                        td .number { a href=(format!("/policies/sets/{}", set.set_id)) { (set.set_id) } }
                        td { (minute(set.at)) }
                        td { (stamp(&set.record.ranker_stamp)) }
                        td { (set.why) @if set.record.candidate.is_some() { span .soft { " · with a candidate" } } }
                        td { (set.by.as_deref().unwrap_or_default()) }
                    }
                }
            }
        } }))
    }
}
