//! What an operator does from a page: each a form, answered by the page that shows what became of it.

use axum::Form;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use serde_json::{Value, json};

use super::visit::Visit;
use crate::api::Call;

/// Why.
#[derive(Debug, Deserialize)]
pub(super) struct Noted {
    #[serde(default)]
    note: String,
}

/// To whom, and why.
#[derive(Debug, Deserialize)]
pub(super) struct ToAgent {
    agent_id: String,
    #[serde(default)]
    note: String,
}

/// Why nothing more is to begin.
#[derive(Debug, Deserialize)]
pub(super) struct Reason {
    #[serde(default)]
    reason: String,
}

/// What a run is told.
#[derive(Debug, Deserialize)]
pub(super) struct Answered {
    answer: String,
}

/// Takes a claim back.
pub(super) async fn release(visit: Visit, Path(claim_id): Path<String>, Form(form): Form<Noted>) -> Response {
    let fields = with_text(json!({ "claim_id": claim_id }), "note", &form.note);
    done(&visit, Call::OperatorRelease, fields, claim_at).await
}

/// Gives a claim to another agent.
pub(super) async fn reassign(visit: Visit, Path(claim_id): Path<String>, Form(form): Form<ToAgent>) -> Response {
    let fields = with_text(json!({ "claim_id": claim_id, "agent_id": form.agent_id }), "note", &form.note);
    done(&visit, Call::OperatorReassign, fields, claim_at).await
}

/// Ends a run.
pub(super) async fn cancel(visit: Visit, Path(run): Path<String>) -> Response {
    done(&visit, Call::DispatchCancel, json!({ "run": run }), run_at).await
}

/// Answers the question of a run.
pub(super) async fn answer(visit: Visit, Path(run): Path<String>, Form(form): Form<Answered>) -> Response {
    let fields = json!({ "run": run, "answer": form.answer });
    done(&visit, Call::DispatchAnswer, fields, run_at).await
}

/// Begins no more runs.
pub(super) async fn pause(visit: Visit, Form(form): Form<Reason>) -> Response {
    done(&visit, Call::DispatchPause, with_text(json!({}), "reason", &form.reason), run_at).await
}

/// Begins runs again.
pub(super) async fn resume(visit: Visit) -> Response {
    done(&visit, Call::DispatchResume, json!({}), run_at).await
}

fn claim_at(answer: &Value) -> String {
    format!("/claims/{}", answer["claim"]["claim_id"].as_str().unwrap_or_default())
}

/// The page of the run that an answer is about, or that of all runs.
fn run_at(answer: &Value) -> String {
    answer["run"]["id"].as_str().map_or_else(|| "/runs".to_owned(), |run| format!("/runs/{run}"))
}

/// Asks a call, which judges for itself who may ask it, and sends the browser on to where its answer shows.
async fn done(visit: &Visit, call: Call, fields: Value, next: fn(&Value) -> String) -> Response {
    let answer = visit.ask(call, fields).await;
    if answer.status != 200 {
        return visit.trouble(&answer);
    }
    (StatusCode::SEE_OTHER, [(LOCATION, next(&answer.body))]).into_response()
}

/// The same fields with a text, unless it is empty.
fn with_text(mut fields: Value, name: &str, text: &str) -> Value {
    if !text.trim().is_empty() {
        fields[name] = text.trim().into();
    }
    fields
}
