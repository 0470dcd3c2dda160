//! What MCP answers of what the API answers: the same fields in the same places, fewer of them.
//!
//! HTTP gives whole records. A model pays for every word it reads, and some clients show it only the
//! text of a result, others only the structured content: each is this one compact form. A reader of
//! the whole form finds everything it still finds here at the same path.

use serde_json::{Map, Value};

use crate::api::Call;

/// Fields of the claim that an agent just got, moved or gave back.
const CLAIM_OWN: &[&str] = &["claim_id", "status"];
/// Fields of a claim that stands in the way.
const CLAIM_OF_OTHERS: &[&str] = &["claim_id", "agent_id", "repo", "issue_number", "status"];
/// Fields of a claim in a list, and of one just granted where there is room.
const CLAIM_LISTED: &[&str] =
    &["claim_id", "agent_id", "repo", "issue_number", "issue_title", "status", "last_updated", "pr_url", "decision_id"];
/// Fields of the issue to work on.
const ISSUE_TO_DO: &[&str] = &["repo", "number", "title", "body", "labels"];
/// Fields of an issue in a list: its repository is what was asked for, its text one call away.
const ISSUE_LISTED: &[&str] = &["number", "title", "labels", "assignees", "milestone"];
/// Fields of an issue in full.
const ISSUE_DETAILS: &[&str] =
    &["repo", "number", "title", "body", "state", "labels", "assignees", "milestone", "comments", "url"];
const COMMENT: &[&str] = &["author", "body", "created_at"];
const REPO: &[&str] = &["full_name", "description", "open_issue_count"];
/// Fields of a follow-up.
const WORK_ITEM: &[&str] = &[
    "work_item_id",
    "repo",
    "pr_number",
    "pr_title",
    "source_event_type",
    "requested_by",
    "summary",
    "actionable_comments",
    "status",
];
/// Fields of a candidate of a decision.
const DECISION_ROW: &[&str] = &["repo", "number", "score", "passed_over", "reasons"];
const WORK_ITEM_MOVED: &[&str] = &["work_item_id", "status"];
/// Fields of a run: neither its journal nor the text of its issue.
const RUN: &[&str] = &[
    "id",
    "repo",
    "issue_number",
    "title",
    "priority",
    "status",
    "attempts",
    "agent",
    "pr_url",
    "question",
    "reason",
    "memory_bytes",
];
/// Fields of a place in the queue.
const QUEUE_PLACE: &[&str] = &["place", "run", "issue", "title", "priority", "not_before", "reason"];
const LOG_LINE: &[&str] = &["seq", "kind", "text"];

/// Longest word on why there is no work, in bytes. Ours: how many issues there are, and why not one of them.
const WHY_BYTES_MAX: usize = 80;
/// Longest line of a run's log, in bytes. Ours: enough to see what an agent is at.
const LOG_TEXT_BYTES_MAX: usize = 300;

/// The compact form of the answer to `call`.
pub(super) fn compact(call: Call, mut body: Value) -> Value {
    let Some(fields) = body.as_object_mut() else { return body };
    if fields.get("ok") == Some(&Value::Bool(false)) {
        compact_rejection(fields);
    }
    match call {
        Call::Next => {
            keep(fields.get_mut("claim"), CLAIM_LISTED);
            keep(fields.get_mut("issue"), ISSUE_DETAILS);
        }
        Call::NextWork => {
            keep(fields.get_mut("claim"), &["claim_id"]);
            keep(fields.get_mut("issue"), ISSUE_TO_DO);
            keep(fields.get_mut("work_item"), WORK_ITEM);
            if fields.get("ok") == Some(&Value::Bool(true)) {
                // `next_issue` says it, and so does the claim's decision.
                fields.remove("why");
                fields.retain(|name, value| name != "idempotent" || *value == true);
            }
        }
        Call::Claim => keep(fields.get_mut("claim"), CLAIM_LISTED),
        Call::Update | Call::Release => keep(fields.get_mut("claim"), CLAIM_OWN),
        Call::UpdateFollowUp => keep(fields.get_mut("work_item"), WORK_ITEM_MOVED),
        Call::MyClaims | Call::Claims => keep_each(fields.get_mut("claims"), CLAIM_LISTED),
        Call::ClaimHistory => keep_each(fields.get_mut("items"), CLAIM_LISTED),
        Call::FollowUps => keep_each(fields.get_mut("followups"), WORK_ITEM),
        Call::MyWork => {
            let work = fields.get_mut("work").and_then(Value::as_object_mut);
            for (name, list) in work.into_iter().flatten() {
                keep_each(Some(list), if name == "claims" { CLAIM_LISTED } else { WORK_ITEM });
            }
        }
        Call::OpenIssues => keep_each(fields.get_mut("issues"), ISSUE_LISTED),
        Call::IssueDetails => {
            keep_each(fields.get_mut("issue").and_then(|issue| issue.get_mut("comments")), COMMENT);
            keep(fields.get_mut("issue"), ISSUE_DETAILS);
        }
        Call::Repos => keep_each(fields.get_mut("repos"), REPO),
        Call::OperatorRelease | Call::OperatorReassign => keep(fields.get_mut("claim"), CLAIM_LISTED),
        Call::Explain => keep(fields.get_mut("explanation"), &["standing", "why", "held_by", "rank"]),
        Call::Decision => compact_decision(fields),
        Call::DispatchStatus
        | Call::DispatchQueue
        | Call::DispatchIssue
        | Call::DispatchRuns
        | Call::DispatchRun
        | Call::DispatchCancel
        | Call::DispatchAnswer
        | Call::DispatchLogs => compact_dispatch(fields),
        Call::DispatchPause
        | Call::DispatchResume
        | Call::DispatchConfig
        | Call::DispatchRepos
        | Call::ClaimDetails
        | Call::Decisions
        | Call::Health
        | Call::OperatorApprove
        | Call::TokenCreate
        | Call::TokenList
        | Call::TokenRevoke
        | Call::Export
        | Call::PolicyEffective
        | Call::PolicyCandidate
        | Call::PolicyHistory
        | Call::PolicyComponent
        | Call::PolicyAudit
        | Call::Import => {}
    }
    shorten_claim_ids(&mut body);
    body
}

/// What the policy saw is for replaying it, not for reading.
fn compact_decision(fields: &mut Map<String, Value>) {
    let mut decision = fields.get_mut("decision");
    keep_each(decision.as_mut().and_then(|decision| decision.get_mut("considered")), DECISION_ROW);
    if let Some(decision) = decision.and_then(Value::as_object_mut) {
        decision.remove("pages");
    }
    fields.remove("states");
}

/// Whatever of runs, queue and log an answer holds: their names say the same in all of them.
fn compact_dispatch(fields: &mut Map<String, Value>) {
    let each = |list: Option<&mut Value>, compact: fn(&mut Value)| {
        list.and_then(Value::as_array_mut).into_iter().flatten().for_each(compact);
    };
    each(fields.get_mut("status").and_then(|status| status.get_mut("active")), compact_run);
    each(fields.get_mut("runs"), compact_run);
    fields.get_mut("run").into_iter().for_each(compact_run);
    keep_each(fields.get_mut("queue"), QUEUE_PLACE);
    keep_each(fields.get_mut("lines"), LOG_LINE);
    each(fields.get_mut("lines"), |line| {
        if let Value::String(text) = &mut line["text"] {
            shorten(text, LOG_TEXT_BYTES_MAX);
        }
    });
}

/// Of the claim in the way a rejection says whose it is.
fn compact_rejection(fields: &mut Map<String, Value>) {
    keep(fields.get_mut("claim"), CLAIM_OF_OTHERS);
    fields.remove("counts");
    if let Some(Value::String(why)) = fields.get_mut("why") {
        why.truncate(why.floor_char_boundary(WHY_BYTES_MAX));
    }
}

/// A run with the end of its id, by which every call takes it too.
fn compact_run(run: &mut Value) {
    keep(Some(run), RUN);
    if let Some(whole) = run["id"].as_str().and_then(|id| id.parse::<crate::domain::RunId>().ok()) {
        run["id"] = whole.short().into();
    }
}

/// Cuts a text that is longer than `bytes_max`, and shows that it was.
fn shorten(text: &mut String, bytes_max: usize) {
    if text.len() > bytes_max {
        text.truncate(text.floor_char_boundary(bytes_max));
        text.push('…');
    }
}

fn keep(record: Option<&mut Value>, names: &[&str]) {
    if let Some(Value::Object(record)) = record {
        record.retain(|name, value| names.contains(&name.as_str()) && !is_empty_list(value));
    }
}

fn keep_each(list: Option<&mut Value>, names: &[&str]) {
    let records = list.and_then(Value::as_array_mut);
    records.into_iter().flatten().for_each(|record| keep(Some(record), names));
}

fn is_empty_list(value: &Value) -> bool {
    value.as_array().is_some_and(Vec::is_empty)
}

/// Writes every claim's id in its short form, which every door takes as well.
fn shorten_claim_ids(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(id) if name == "claim_id" => {
                        if let Ok(whole) = id.parse::<crate::domain::ClaimId>() {
                            *id = whole.short();
                        }
                    }
                    value => shorten_claim_ids(value),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(shorten_claim_ids),
        _ => {}
    }
}
