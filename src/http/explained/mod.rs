//! Pages for people: why an issue was given out, or was not, and which policies decide, as tables and as bars.
//! Plain HTML without scripts; whatever comes from GitHub or a policy is text, never markup.

mod bars;
mod decisions;
mod hours;
mod page;
mod policies;

use std::collections::BTreeMap;

use axum::Router;
use axum::extract::{Extension, Path, Query, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, REFERRER_POLICY};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::middleware::map_response;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::get;
use maud::Markup;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use uuid::Uuid;

use super::state::HttpState;
use crate::api::{Answer, Call, Caller, Fields, Identity};
use crate::claims::{DecisionSummary, Explanation};
use crate::domain::{Decision, Skills, is_visible};

/// The first parts of the pages' paths: the gate guards them as it guards the API.
pub(super) const PATHS: [&str; 3] = ["/explain", "/decisions", "/policies"];

/// The pages. The gate stands before them.
pub(super) fn pages() -> Router<HttpState> {
    Router::new()
        .route("/explain/{owner}/{repo}/{number}", get(issue))
        .route("/decisions", get(last_decisions))
        .route("/decisions/{decision_id}", get(decision))
        .route("/policies", get(policies_in_force))
        .layer(map_response(async |mut response: Response| {
            for (name, value) in [(CACHE_CONTROL, "no-store"), (REFERRER_POLICY, "no-referrer")] {
                response.headers_mut().insert(name, HeaderValue::from_static(value));
            }
            response
                .headers_mut()
                .insert(HeaderName::from_static("x-content-type-options"), HeaderValue::from_static("nosniff"));
            response
        }))
}

/// Whom a page is about, besides the issue.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ForAgent {
    agent_id: Option<String>,
}

/// One issue.
async fn issue(
    State(state): State<HttpState>,
    Extension(identity): Extension<Identity>,
    Path((owner, repo, number)): Path<(String, String, String)>,
    Query(ForAgent { agent_id }): Query<ForAgent>,
) -> Response {
    let mut fields = json!({ "repo": format!("{owner}/{repo}"), "issue_number": number });
    if let Some(agent) = agent_id {
        fields["agent_id"] = agent.into();
    }
    let answer = ask(&state, identity, Call::Explain, fields).await;
    shown(answer, "explanation", |explanation: &Explanation| page::issue(explanation))
}

/// The last decisions, narrowed by the fields that the API narrows them by.
async fn last_decisions(
    State(state): State<HttpState>,
    Extension(identity): Extension<Identity>,
    Query(asked): Query<BTreeMap<String, String>>,
) -> Response {
    let asked: Fields = asked.into_iter().map(|(name, value)| (name, value.into())).collect();
    let answer = ask(&state, identity, Call::Decisions, Value::Object(asked.clone())).await;
    let is_recording = answer.body["is_recording"] != false;
    shown(answer, "decisions", |found: &Vec<DecisionSummary>| decisions::page(&asked, found, is_recording))
}

/// One recorded decision.
async fn decision(
    State(state): State<HttpState>,
    Extension(identity): Extension<Identity>,
    Path(decision_id): Path<String>,
) -> Response {
    let answer = ask(&state, identity, Call::Decision, json!({ "decision_id": decision_id })).await;
    shown(answer, "decision", |decision: &Decision| page::decision(decision))
}

/// For whom policies are shown: for all that have nothing of their own, unless said.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct ForWhom {
    repo: Option<String>,
    agent_id: Option<String>,
}

/// The policies in force, the candidate's trial, and what was in force before.
async fn policies_in_force(
    State(state): State<HttpState>,
    Extension(identity): Extension<Identity>,
    Query(ForWhom { repo, agent_id }): Query<ForWhom>,
) -> Response {
    let fields = [("repo", repo), ("agent_id", agent_id)];
    let asked: Fields = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?.into()))).collect();
    let mut told = asked.clone();
    let questions =
        [(Call::PolicyEffective, asked), (Call::PolicyCandidate, Fields::new()), (Call::PolicyHistory, Fields::new())];
    for (call, fields) in questions {
        let answer = ask(&state, identity.clone(), call, Value::Object(fields)).await;
        match answer {
            Answer { status: 200, body: Value::Object(found), .. } => told.extend(found),
            failed => return response(failed.status, &trouble(&failed)),
        }
    }
    match serde_json::from_value(Value::Object(told)) {
        Ok(policies) => response(200, &policies::page(&policies)),
        Err(error) => response(500, &page::trouble(&format!("the policies have no form that can be shown: {error}"))),
    }
}

async fn ask(state: &HttpState, identity: Identity, call: Call, fields: Value) -> Answer {
    let caller = Caller { identity, agent: None, skills: Skills::default(), list_count_default: None };
    let fields = if let Value::Object(fields) = fields { fields } else { Fields::new() };
    state.api.answer(call, &caller, fields).await
}

/// Shows what was found in the field of this name, or why nothing was.
fn shown<T: DeserializeOwned>(mut answer: Answer, field: &str, show: impl Fn(&T) -> Markup) -> Response {
    let found = serde_json::from_value(answer.body[field].take());
    let body = match (answer.status, found) {
        (200, Ok(found)) => show(&found),
        _ => trouble(&answer),
    };
    response(answer.status, &body)
}

/// Why there is nothing to show.
fn trouble(answer: &Answer) -> Markup {
    let told = ["message", "error"].iter().find_map(|field| answer.body[field].as_str());
    page::trouble(told.unwrap_or("the server could not answer"))
}

/// A whole page around `body`.
fn response(status: u16, body: &Markup) -> Response {
    // Only this page's own style applies, and nothing is loaded or run.
    let nonce = Uuid::new_v4().simple().to_string();
    let policy = format!(
        "default-src 'none'; style-src 'nonce-{nonce}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    // Marks that hide words or turn their direction are no markup, and no template would notice them.
    let page = page::document(&nonce, body).into_string().replace(|c| !is_visible(c), "");
    let mut response = (status, Html(page)).into_response();
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, policy);
    }
    response
}
