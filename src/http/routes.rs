//! The routes: each carries its fields to one call of the API.

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{FromRequest, Path, Query, Request, State};
use axum::http::HeaderMap;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, patch, post};
use serde_json::{Value, json};

use super::answer::body_failure;
use super::state::HttpState;
use super::{gate, sse};
use crate::api::{Answer, Call, Caller, Failure, FieldError, Fields, fields_from_json};
use crate::mcp::{self, McpDoor};

/// Every route of the server, behind the gate.
pub fn router(state: &HttpState) -> Router {
    let mcp = McpDoor::new(state.api.clone(), &state.server, state.profile, state.shutdown.clone());
    let mcp = move |request: Request| async move { mcp.answer(request).await };
    Router::new()
        .route("/api/repos", get(repos))
        .route("/api/repos/{owner}/{repo}/issues", get(open_issues))
        .route("/api/issues/{owner}/{repo}/{number}", get(issue_details))
        .route("/api/next", post(next))
        .route("/api/claims", get(claims).post(claim))
        .route("/api/claims/{claim_id}", patch(update).delete(release))
        .route("/api/decisions/{decision_id}", get(decision))
        .route("/api/health", get(health))
        .route("/sse", get(sse::stream))
        .fallback(no_such_path)
        .method_not_allowed_fallback(no_such_path)
        .with_state(state.clone())
        .route("/mcp", any(mcp))
        .layer(middleware::from_fn_with_state(state.clone(), gate::gate))
}

async fn no_such_path() -> Answer {
    Failure::NoSuchPath.into()
}

async fn next(State(state): State<HttpState>, asked: Asked) -> Response {
    asked.of(&state, Call::Next, []).await
}

async fn claim(State(state): State<HttpState>, asked: Asked) -> Response {
    asked.of(&state, Call::Claim, []).await
}

async fn update(State(state): State<HttpState>, path: OnePart, asked: Asked) -> Response {
    match path {
        Ok(Path(claim_id)) => asked.of(&state, Call::Update, [("claim_id", claim_id)]).await,
        Err(_) => no_such_path().await.into_response(),
    }
}

async fn release(State(state): State<HttpState>, path: OnePart, asked: Asked) -> Response {
    match path {
        Ok(Path(claim_id)) => asked.of(&state, Call::Release, [("claim_id", claim_id)]).await,
        Err(_) => no_such_path().await.into_response(),
    }
}

async fn claims(State(state): State<HttpState>, asked: Asked) -> Response {
    asked.of(&state, Call::Claims, []).await
}

async fn repos(State(state): State<HttpState>, asked: Asked) -> Response {
    asked.of(&state, Call::Repos, []).await
}

async fn open_issues(
    State(state): State<HttpState>,
    path: Result<Path<(String, String)>, PathRejection>,
    asked: Asked,
) -> Response {
    match path {
        Ok(Path((owner, repo))) => asked.of(&state, Call::OpenIssues, [("repo", format!("{owner}/{repo}"))]).await,
        Err(_) => no_such_path().await.into_response(),
    }
}

async fn issue_details(
    State(state): State<HttpState>,
    path: Result<Path<(String, String, String)>, PathRejection>,
    asked: Asked,
) -> Response {
    match path {
        Ok(Path((owner, repo, number))) => {
            let parts = [("repo", format!("{owner}/{repo}")), ("issue_number", number)];
            asked.of(&state, Call::IssueDetails, parts).await
        }
        Err(_) => no_such_path().await.into_response(),
    }
}

async fn decision(State(state): State<HttpState>, path: OnePart, asked: Asked) -> Response {
    match path {
        Ok(Path(decision_id)) => asked.of(&state, Call::Decision, [("decision_id", decision_id)]).await,
        Err(_) => no_such_path().await.into_response(),
    }
}

async fn health(State(state): State<HttpState>, asked: Asked) -> Response {
    asked.of(&state, Call::Health, []).await
}

type OnePart = Result<Path<String>, PathRejection>;

/// What a request asks: the fields of its query and its body, and who says so.
struct Asked(Result<(Fields, Caller), Failure>);

impl Asked {
    /// Asks `call` with these fields and those of the path.
    async fn of<const N: usize>(self, state: &HttpState, call: Call, path: [(&str, String); N]) -> Response {
        let answer = match self.0 {
            Ok((mut fields, caller)) => {
                let mut refused = None;
                for (name, part) in path {
                    if fields.insert(name.to_owned(), part.into()).is_some() {
                        refused = Some(twice(name));
                    }
                }
                match refused {
                    None => state.api.answer(call, &caller, fields).await,
                    Some(failure) => failure.into(),
                }
            }
            Err(failure) => failure.into(),
        };
        answer.into_response()
    }
}

impl FromRequest<HttpState> for Asked {
    type Rejection = std::convert::Infallible;

    async fn from_request(request: Request, state: &HttpState) -> Result<Self, Self::Rejection> {
        let is_post = request.method() == axum::http::Method::POST;
        let headers = request.headers().clone();
        let query = Query::<Vec<(String, String)>>::try_from_uri(request.uri());
        let body = Bytes::from_request(request, state).await;
        let bytes_max = state.server.body_bytes_max;
        Ok(Self(fields(query.map(|Query(pairs)| pairs).ok(), body, bytes_max).and_then(|mut fields| {
            if is_post {
                add_idempotency_key(&mut fields, &headers)?;
            }
            Ok((fields, caller(&headers)?))
        })))
    }
}

fn fields(
    query: Option<Vec<(String, String)>>,
    body: Result<Bytes, BytesRejection>,
    bytes_max: usize,
) -> Result<Fields, Failure> {
    let body = body.map_err(|rejection| body_failure(&rejection, bytes_max))?;
    let mut fields = fields_from_json(&body)?;
    let query = query.ok_or_else(|| invalid("query", "it is no valid query string"))?;
    for (name, value) in query {
        if fields.insert(name.clone(), value.into()).is_some() {
            return Err(twice(&name));
        }
    }
    Ok(fields)
}

/// `Idempotency-Key` stands in for an absent `request_id`.
fn add_idempotency_key(fields: &mut Fields, headers: &HeaderMap) -> Result<(), Failure> {
    let Some(key) = headers.get("idempotency-key") else { return Ok(()) };
    let key = key.to_str().map_err(|_| invalid("Idempotency-Key", "expected visible ASCII characters"))?;
    if fields.get("request_id").is_none_or(Value::is_null) {
        fields.insert("request_id".into(), json!(key));
    }
    Ok(())
}

/// Who `X-Agent-Id` says is asking, if it is there.
fn caller(headers: &HeaderMap) -> Result<Caller, Failure> {
    let agent = mcp::agent_in(headers).map_err(|why| invalid("X-Agent-Id", &why))?;
    Ok(Caller { agent, list_count_default: None })
}

fn twice(name: &str) -> Failure {
    invalid(name, "it is given twice")
}

fn invalid(field: &str, why: &str) -> Failure {
    FieldError::Field { field: field.into(), why: why.into() }.into()
}
