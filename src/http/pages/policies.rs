//! The page of policies: what decides now, how the candidate's trial goes, and what was in force before.

use axum::extract::Query;
use axum::response::Response;
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

use super::visit::Visit;
use super::words::{explained_at, minute, short, signed, stamp};
use super::{hours, ruling};
use crate::api::{Answer, Call, Fields};
use crate::claims::{TrialReport, points};
use crate::config::CandidateMode;
use crate::domain::{Disagreement, PolicyStamp, Preference};
use crate::policy::{Effective, Part};
use crate::store::PolicySetKept;

/// For whom policies are shown: for all that have nothing of their own, unless said.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ForWhom {
    repo: Option<String>,
    agent_id: Option<String>,
}

/// The policies in force, the candidate's trial, and what was in force before.
pub(super) async fn show(visit: Visit, Query(ForWhom { repo, agent_id }): Query<ForWhom>) -> Response {
    let fields = [("repo", repo), ("agent_id", agent_id)];
    let asked: Fields = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into()))).collect();
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
        Ok(policies) => visit.page("Policies", &page(&policies, &Beside::of(&visit))),
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
    /// What forms bring back of what they were shown with; `None` where there are none.
    seen: Option<String>,
    /// Whether that is for want of a file.
    lacks_file: bool,
}

impl Beside {
    fn of(visit: &Visit) -> Self {
        let candidate = visit.state.api.manager().policies_in_force().0.candidate;
        let parts = candidate.iter().flat_map(|it| it.ranker.parts());
        Self {
            candidate_settings: parts.map(|part| Value::Object(part.settings.clone())).collect(),
            seen: ruling::seen(visit),
            lacks_file: visit.may_rule() && visit.state.config_file.is_none(),
        }
    }
}

fn page(policies: &Policies, beside: &Beside) -> Markup {
    let Policies { policy, rejected, trial, sets, repo, agent_id } = policies;
    html! {
        h1 { "Policies" }
        p { a href="/playground" { "Try other settings" } " on the live backlog, without effect; "
            a href="/replays" { "replay" } " what was decided under what decides now." }
        @if beside.lacks_file {
            p .soft { "The server runs without an issuecommand.toml, so nothing is put in force or back from here." }
        }
        p .soft {
            "For " @match repo { Some(repo) => (repo), None => "every repository without a ranker of its own" }
            ", " @match agent_id { Some(agent) => { "agent " (agent) }, None => "every agent without a view of its own" }
            ": the view " em { (policy.view) }
        }
        @if let Some(overridden) = &policy.overridden {
            p .soft {
                "By an override"
                @if !overridden.repos.is_empty() { " for repositories " (overridden.repos.join(", ")) }
                @if !overridden.groups.is_empty() { " for groups " (overridden.groups.join(", ")) }
            }
        }
        @if let Some(why) = rejected { p .why { "The newest edit is not in force: " (why) } }
        h2 { "In force" }
        @if let Some(set) = sets.first() { (since(set)) }
        (in_force(policy))
        @if let Some(trial) = trial { (trial_of(trial, beside)) }
        @if !sets.is_empty() {
            h2 { "What was in force, newest first" }
            @if beside.seen.is_some() { p .soft { "The page of a set says what it was told, and puts its ranker back." } }
            (past(sets))
        }
    }
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
        div .wide tabindex="0" { table {
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
        } }
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
        @if let Some(seen) = &beside.seen {
            div .acts data-key="trial-acts" {
                (ruling::form("/policies/promote", seen, html! { button { "Promote it" } }))
                (ruling::form("/policies/give-up", seen, html! { button .danger { "Give it up" } }))
            }
        }
        @if !disagreements.is_empty() {
            h2 { "Where it did not agree, newest first" }
            div .wide tabindex="0" { table {
                thead { tr { th { "When" } th { "Agent" } th { "Picked" } th { "Would have picked" } } }
                tbody { @for it in disagreements { (disagreement(it)) } }
            } }
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
        div .wide tabindex="0" { table {
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
        } }
    }
}
