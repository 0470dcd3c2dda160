//! The tools: a name, a line for the model, and the call behind it.

use std::sync::Arc;

use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use serde_json::Value;

use crate::api::{Call, published_schema};
use crate::config::ToolProfile;

/// One tool.
#[derive(Debug)]
pub(super) struct ToolSpec {
    pub(super) name: &'static str,
    pub(super) call: Call,
    description: &'static str,
    /// The smallest profile that lists it.
    profile: ToolProfile,
    /// Whether it only reads.
    reads: bool,
    /// Optional fields that it takes, but does not list: a model can do without.
    unlisted: &'static [&'static str],
}

const fn tool(name: &'static str, call: Call, profile: ToolProfile, description: &'static str) -> ToolSpec {
    ToolSpec { name, call, description, profile, reads: false, unlisted: &[] }
}

impl ToolSpec {
    const fn reads(self) -> Self {
        Self { reads: true, ..self }
    }

    const fn unlisted(self, fields: &'static [&'static str]) -> Self {
        Self { unlisted: fields, ..self }
    }
}

use ToolProfile::{Full, Minimal, Standard};

/// Every tool, in the order in which an agent is likely to need it. Their words are paid for in every
/// conversation: tests/doors/tokens.rs holds each profile to its budget.
const TOOLS: [ToolSpec; 27] = [
    tool(
        "next_work",
        Call::NextWork,
        Minimal,
        "Get your next work: review feedback on your pull requests, else an issue claimed for you alone.",
    )
    .unlisted(&["milestone", "request_id"]),
    tool(
        "update_claim_status",
        Call::Update,
        Minimal,
        "Report progress on your claim; renews it. pr_submitted needs pr_url.",
    )
    .unlisted(&["epoch"]),
    tool("claim_issue", Call::Claim, Minimal, "Claim one named issue.").unlisted(&["request_id"]),
    tool("get_issue_details", Call::IssueDetails, Minimal, "One issue with its comments.").reads(),
    tool("list_open_issues", Call::OpenIssues, Minimal, "Open issues that nobody holds.").reads(),
    tool("next_issue", Call::Next, Standard, "As next_work, without feedback. A retry with its request_id is safe.")
        .unlisted(&["skills"]),
    tool("release_issue", Call::Release, Standard, "Give your claim back.").unlisted(&["epoch"]),
    tool("get_followups", Call::FollowUps, Standard, "Review feedback that waits for an answer.").reads(),
    tool("update_followup_status", Call::UpdateFollowUp, Standard, "Take review feedback, or settle it."),
    tool("get_my_work", Call::MyWork, Standard, "Your claims and follow-ups.").reads(),
    tool("get_my_claims", Call::MyClaims, Standard, "Your claims.").reads(),
    tool("get_all_claims", Call::Claims, Standard, "Claims of all agents.").reads(),
    tool("get_claim_history", Call::ClaimHistory, Standard, "Ended claims, newest first.").reads(),
    tool("list_repos", Call::Repos, Standard, "Repositories with work.").reads().unlisted(&["include_counts"]),
    tool("system_health", Call::Health, Standard, "How the server is doing.").reads(),
    tool("release_any_claim", Call::OperatorRelease, Full, "As operator: take any claim back."),
    tool("reassign_claim", Call::OperatorReassign, Full, "As operator: give any claim to another agent."),
    tool("explain_issue", Call::Explain, Full, "Why an issue was given out or not, and what it would take.").reads(),
    tool("explain_decision", Call::Decision, Full, "Why a claim's issue was picked: every candidate's score.").reads(),
    tool("commander_status", Call::DispatchStatus, Full, "What the server itself works on: slots, runs, usage.")
        .reads(),
    tool("commander_dispatch", Call::DispatchIssue, Full, "Have the server work on an issue.").unlisted(&["by"]),
    tool("commander_queue", Call::DispatchQueue, Full, "Runs that wait, in order; run and place move one."),
    tool("commander_pause", Call::DispatchPause, Full, "Begin no more runs."),
    tool("commander_resume", Call::DispatchResume, Full, "Begin runs again."),
    tool("commander_logs", Call::DispatchLogs, Full, "What a run did; after (a seq) and wait_seconds follow it.")
        .reads(),
    tool("commander_config", Call::DispatchConfig, Full, "Dispatch settings at key; a value, as TOML, changes it."),
    tool("commander_repos", Call::DispatchRepos, Full, "Repositories open to dispatch; add or remove one."),
];

/// The tools that `profile` lists, in an order that never changes: prompts are cached.
pub(super) fn listed(profile: ToolProfile) -> impl Iterator<Item = &'static ToolSpec> {
    TOOLS.iter().filter(move |tool| tool.profile <= profile)
}

/// The tool of this name, listed or not.
pub(super) fn find(name: &str) -> Option<&'static ToolSpec> {
    TOOLS.iter().find(|tool| tool.name == name)
}

impl ToolSpec {
    /// How the tool is published. `agent_known`: `agent_id` may be left out.
    pub(super) fn publish(&self, agent_known: bool) -> Tool {
        let hints = ToolAnnotations::new().open_world(false);
        let hints = if self.reads { hints.read_only(true) } else { hints.read_only(false).destructive(false) };
        Tool::new(self.name, self.description, Arc::new(self.schema(agent_known))).with_annotations(hints)
    }

    /// The schema of the fields, as a model needs it. What the server checks anyway, and says by name
    /// when it is wrong, is left out.
    fn schema(&self, agent_known: bool) -> JsonObject {
        let mut schema = published_schema(self.call, agent_known);
        schema.remove("additionalProperties");
        let required = schema.get("required").cloned().unwrap_or_default();
        let is_required = |name: &str| required.as_array().is_some_and(|names| names.iter().any(|known| known == name));
        if let Some(Value::Object(fields)) = schema.get_mut("properties") {
            fields.retain(|name, _| !self.unlisted.contains(&name.as_str()));
            for (name, field) in fields.iter_mut().filter_map(|(name, field)| Some((name, field.as_object_mut()?))) {
                field.retain(|key, _| matches!(key.as_str(), "type" | "description" | "enum" | "items"));
                if let Some(Value::Object(items)) = field.get_mut("items") {
                    items.retain(|key, _| key == "type");
                }
                // Of all fields only a repository's name has a form that its own name does not tell.
                if name != "repo" || !is_required(name) {
                    field.remove("description");
                }
                if !is_required(name) {
                    field.remove("enum");
                }
            }
        }
        schema
    }
}
