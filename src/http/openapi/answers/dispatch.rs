//! What is worked on here.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde_json::Value;

use crate::dispatch::DispatchStatus;
use crate::domain::{LogLine, RepoName, Run, RunPriority, RunStatus, Timestamp};

#[derive(JsonSchema)]
pub(super) struct StatusAnswer {
    status: DispatchStatus,
}

#[derive(JsonSchema)]
pub(super) struct RunAnswer {
    #[schemars(skip_serializing_if = "Option::is_none")]
    ok: Option<bool>,
    /// Whether the issue had a run before.
    #[schemars(skip_serializing_if = "Option::is_none")]
    idempotent: Option<bool>,
    run: Run,
}

#[derive(JsonSchema)]
pub(super) struct Runs {
    runs: Vec<Run>,
}

#[derive(JsonSchema)]
pub(super) struct Queue {
    queue: Vec<QueuePlace>,
    /// Why nothing begins, where dispatch is paused.
    #[schemars(skip_serializing_if = "Option::is_none")]
    paused: Option<String>,
}

#[derive(JsonSchema)]
pub(super) struct QueuePlace {
    /// From 1.
    place: usize,
    /// The last digits of the run's id.
    run: String,
    /// owner/name#number
    issue: String,
    title: String,
    priority: RunPriority,
    requested_by: String,
    attempts: u32,
    created_at: Timestamp,
    /// It waits until then.
    #[schemars(skip_serializing_if = "Option::is_none")]
    not_before: Option<Timestamp>,
    /// Why it waits, or is in the queue again.
    #[schemars(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

#[derive(JsonSchema)]
pub(super) struct LogPage {
    lines: Vec<LogLine>,
    run_status: RunStatus,
}

#[derive(JsonSchema)]
pub(super) struct Paused {
    ok: bool,
    paused: bool,
}

/// Settings by their dotted keys.
#[derive(JsonSchema)]
pub(super) struct DispatchSettings {
    ok: bool,
    config: BTreeMap<String, Value>,
}

#[derive(JsonSchema)]
pub(super) struct DispatchRepos {
    ok: bool,
    repos: Vec<RepoName>,
}
