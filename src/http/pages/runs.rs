//! Runs of the dispatcher: what works and waits, and the page of one with its log.

use axum::extract::Path;
use axum::response::Response;
use maud::{Markup, html};
use serde_json::json;

use super::tables::wide;
use super::visit::Visit;
use super::words::{counted, issue_link, minute, outside, run_badge, since};
use crate::api::Call;
use crate::dispatch::DispatchStatus;
use crate::domain::{LogKind, LogLine, PhaseMark, Run, RunStatus, Timestamp};

/// Runs that ended, on the page of all.
const ENDED_COUNT: usize = 50;
/// Last lines of a log.
const LINE_COUNT: usize = 300;

/// All runs: under way, waiting, ended.
pub(super) async fn list(visit: Visit) -> Response {
    let status: DispatchStatus = match visit.found(Call::DispatchStatus, json!({}), "status").await {
        Ok(status) => status,
        Err(trouble) => return *trouble,
    };
    let wish = json!({ "ended": true, "limit": ENDED_COUNT });
    let runs: Vec<Run> = match visit.found(Call::DispatchRuns, wish, "runs").await {
        Ok(runs) => runs,
        Err(trouble) => return *trouble,
    };
    let now = visit.state.api.manager().now();
    let (mut ended, active): (Vec<_>, Vec<_>) = runs.iter().partition(|run| run.status().is_terminal());
    ended.sort_by_key(|run| std::cmp::Reverse(run.ended_at));
    let (queued, working): (Vec<_>, Vec<_>) = active.into_iter().partition(|run| run.status() == RunStatus::Queued);
    let body = html! {
        h1 { "Runs" }
        (head(&status))
        @if visit.may_act() { (pausing(&status)) }
        @for (title, runs) in [("Under way", &working), ("Waiting for a slot", &queued), ("Ended, newest first", &ended)] {
            @if !runs.is_empty() { h2 { (title) } (table(title, runs, now)) }
        }
        @if runs.is_empty() {
            p .why { "Nothing was worked on here yet. Label an issue " code { "agent" } ", or run " code { "issuecommand run OWNER/REPO#N" } "." }
        }
    };
    visit.page("Runs", &body)
}

fn head(status: &DispatchStatus) -> Markup {
    let taking = match status {
        DispatchStatus { worker: true, .. } => "This server works on what others queue",
        DispatchStatus { enabled: true, .. } => "Labelled issues are taken up",
        DispatchStatus { .. } => "Only what somebody asks for is worked on",
    };
    html! {
        p .soft {
            (taking) "; " (status.slots_used) " of " (counted(status.slots, "slot")) " taken, " (status.queued) " queued. Today "
            (status.used_today.tokens()) " tokens, " (format!("{:.2}", status.used_today.cost_usd)) " USD. Containers by " (status.runtime)
            @if status.limits_enforced == Some(false) { ", without enforced limits" }
            "."
        }
        @if let Some(why) = &status.paused { p .why { "Paused: " (why) } }
    }
}

fn pausing(status: &DispatchStatus) -> Markup {
    html! {
        div .acts {
            @if status.paused.is_some() {
                form method="post" action="/dispatch/resume" { button { "Begin runs again" } }
            } @else {
                form method="post" action="/dispatch/pause" {
                    label { "Why " input name="reason" maxlength="200" autocomplete="off"; }
                    button { "Begin no more runs" }
                }
            }
        }
    }
}

fn table(name: &str, runs: &[&Run], now: Timestamp) -> Markup {
    html! {
        (wide(name, html! { table {
            thead { tr { th { "Run" } th { "Issue" } th { "Stands" } th { "Priority" } th .number { "Attempt" } th { "Changed" } th { "What" } } }
            tbody {
                @for run in runs {
                    tr data-key=(run.run_id) {
                        td { a href=(format!("/runs/{}", run.run_id)) { code { (run.run_id.short()) } } }
                        td { (issue_link(&run.issue_ref())) div .soft { (run.title) } }
                        td { (run_badge(run.status())) }
                        td { (run.priority) }
                        td .number { (run.attempts) }
                        td { (since(run.updated_at, now)) " ago" }
                        td { (what(run)) }
                    }
                }
            }
        } }))
    }
}

/// What there is to say of a run in a line.
fn what(run: &Run) -> Markup {
    html! {
        @if let Some(question) = &run.question { "asks: " (question.text) }
        @else if let Some(address) = &run.pr_url { (outside(address, "pull request")) }
        @else if let Some(why) = &run.reason { (why) }
        @else if let Some(entry) = run.journal.last().filter(|_| !run.status().is_terminal()) { (entry.phase.doing()) }
    }
}

/// One run.
pub(super) async fn show(visit: Visit, Path(run): Path<String>) -> Response {
    let run: Run = match visit.found(Call::DispatchRun, json!({ "run": run }), "run").await {
        Ok(run) => run,
        Err(trouble) => return *trouble,
    };
    let wish = json!({ "run": run.run_id, "limit": LINE_COUNT });
    let lines: Vec<LogLine> = visit.found(Call::DispatchLogs, wish, "lines").await.unwrap_or_default();
    let (may_act, now) = (visit.may_act(), visit.state.api.manager().now());
    visit.page(&format!("Run {}", run.run_id.short()), &page(&run, &lines, may_act, now))
}

fn page(run: &Run, lines: &[LogLine], may_act: bool, now: Timestamp) -> Markup {
    html! {
        h1 { (run.issue_ref()) " · " (run.title) }
        p { (run_badge(run.status())) " attempt " (run.attempts) ", priority " (run.priority) ", asked for by " (run.requested_by)
            " " (since(run.created_at, now)) " ago" }
        @if let Some(why) = &run.reason { p .why data-key="why" { (why) } }
        @if let Some(question) = &run.question { (asked(run, question, may_act)) }
        dl .facts data-key="facts" {
            @if let Some(agent) = &run.agent { dt { "Agent" } dd { (agent) } }
            @if let Some(hold) = &run.hold {
                dt { "Claim" } dd { a href=(format!("/claims/{}", hold.claim_id)) { (hold.agent_id) } ", epoch " (hold.epoch) }
            }
            @if let Some(branch) = &run.branch { dt { "Branch" } dd { code { (branch) } } }
            @if let Some(address) = &run.pr_url { dt { "Pull request" } dd { (outside(address, address)) } }
            @if let Some(parent) = run.parent { dt { "Answers a review of" } dd { a href=(format!("/runs/{parent}")) { (parent.short()) } } }
            dt { "Used" } dd { (run.usage.tokens()) " tokens, " (format!("{:.2}", run.usage.cost_usd)) " USD" }
        }
        @if may_act && !run.status().is_terminal() {
            div .acts data-key="acts" { form method="post" action=(format!("/runs/{}/cancel", run.run_id)) { button .danger { "End it" } } }
        }
        h2 { "Steps" }
        ol .timeline data-key="steps" {
            @for entry in &run.journal {
                li { span .dot .(if entry.mark == PhaseMark::Doing { "in_progress" } else { "closed" }) {}
                    (entry.phase.doing()) " " span .soft { (mark(entry.mark)) ", attempt " (entry.attempt) ", " (minute(entry.at)) } }
            }
        }
        h2 data-key="log-head" { "Log" @if lines.len() == LINE_COUNT { ", its last " (LINE_COUNT) " lines" } }
        @if lines.is_empty() { p .soft { "Nothing yet." } }
        ol .log data-key="log" tabindex="0" aria-label="Log" { @for line in lines { (logged(line)) } }
    }
}

fn mark(mark: PhaseMark) -> &'static str {
    match mark {
        PhaseMark::Doing => "begun",
        PhaseMark::Done => "done",
        PhaseMark::Undoing => "being undone",
        PhaseMark::Undone => "undone",
    }
}

/// A question, and the field for its answer.
fn asked(run: &Run, question: &crate::domain::RunQuestion, may_act: bool) -> Markup {
    html! {
        section .notices data-key="question" aria-labelledby="question" {
            h2 #question { "It asks" }
            p { (question.text) }
            @if !question.options.is_empty() { ul { @for option in &question.options { li { (option) } } } }
            @if may_act {
                form .acts method="post" action=(format!("/runs/{}/answer", run.run_id)) {
                    label { "Answer " textarea name="answer" rows="3" required {} }
                    button { "Answer" }
                }
            }
        }
    }
}

fn logged(line: &LogLine) -> Markup {
    let kind = match line.kind {
        LogKind::Step => "step",
        LogKind::Text => "text",
        LogKind::Tool => "tool",
        LogKind::Question => "question",
        LogKind::Trouble => "trouble",
    };
    html! {
        li .(kind) data-key=(line.seq) {
            time datetime=(line.at.to_rfc3339()) { (line.at.format("%H:%M:%S")) } " " span { (line.text) }
        }
    }
}
