//! The routes: each carries its fields to one call of the API.

use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, RawPathParamsRejection};
use axum::extract::{FromRequest, Query, RawPathParams, Request, State};
use axum::http::HeaderMap;
use axum::middleware;
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, MethodRouter, any, get, on};
use serde_json::{Value, json};

use super::answer::body_failure;
use super::state::HttpState;
use super::table::{ROUTES, Route};
use super::{gate, metrics, openapi, pages, probes, sse, webhook};
use crate::api::{Answer, Caller, Failure, FieldError, Fields, Identity, fields_from_json};
use crate::domain::{AgentId, Skills};
use crate::mcp::{self, McpDoor};
use crate::telemetry::request_traced;

/// Every route of the server, behind the gate.
pub fn router(state: &HttpState) -> Router {
    let mcp = McpDoor::new(state.api.clone(), &state.server, state.profile, state.shutdown.clone());
    let mcp = move |request: Request| async move { mcp.answer(request).await };
    let mut routes = Router::new().route("/sse", get(sse::stream)).route("/metrics", get(metrics::told));
    for route in ROUTES {
        routes = routes.route(route.path, carry(route));
    }
    if state.webhooks.enabled {
        routes = routes.route(&state.webhooks.path, webhook::route(state.webhooks.body_bytes_max));
    }
    routes
        .merge(pages::pages())
        .fallback(pages::nothing_here)
        .method_not_allowed_fallback(pages::nothing_here)
        .with_state(state.clone())
        .merge(openapi::page(&state.webhooks))
        .route("/mcp", any(mcp))
        .layer(middleware::from_fn_with_state(state.clone(), gate::gate))
        .layer(middleware::from_fn(request_traced))
        .merge(probes::routes(state))
}

/// Carries the fields of a request to the call of its route.
fn carry(route: &'static Route) -> MethodRouter<HttpState> {
    let handler = move |State(state): State<HttpState>,
                        parts: Result<RawPathParams, RawPathParamsRejection>,
                        asked: Asked| async move {
        match parts {
            Ok(parts) => asked.of(&state, route, &parts).await,
            // What is no text is no path of ours.
            Err(_) => Answer::from(Failure::NoSuchPath).into_response(),
        }
    };
    let method = MethodFilter::try_from((route.method)()).expect("the table names methods that axum knows");
    on(method, handler)
}

/// The fields that the parts of a path are: owner and name are one repository, a number is an issue's.
fn path_fields(parts: &RawPathParams) -> Vec<(&str, String)> {
    let mut fields: Vec<(&str, String)> = Vec::new();
    for (name, part) in parts {
        match (name, fields.last_mut()) {
            ("owner", _) => fields.push(("repo", part.to_owned())),
            ("repo", Some((_, repo))) => *repo = format!("{repo}/{part}"),
            ("number", _) => fields.push(("issue_number", part.to_owned())),
            _ => fields.push((name, part.to_owned())),
        }
    }
    fields
}

/// What a request asks: the fields of its query and its body, and who says so.
struct Asked(Result<(Fields, Caller), Failure>);

impl Asked {
    /// Asks the call of `route` with these fields and those of the path.
    async fn of(self, state: &HttpState, route: &Route, path: &RawPathParams) -> Response {
        let answer = match self.0 {
            Ok((mut fields, caller)) => {
                let mut refused = changed_by_get(route, &fields);
                for (name, part) in path_fields(path) {
                    if fields.insert(name.to_owned(), part.into()).is_some() {
                        refused = Some(twice(name));
                    }
                }
                match refused {
                    None => state.api.answer(route.call, &caller, fields).await,
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
        let identity = request.extensions().get::<Identity>().cloned();
        let query = Query::<Vec<(String, String)>>::try_from_uri(request.uri());
        let body = Bytes::from_request(request, state).await;
        let bytes_max = state.server.body_bytes_max;
        Ok(Self(fields(query.map(|Query(pairs)| pairs).ok(), body, bytes_max).and_then(|mut fields| {
            if is_post {
                add_idempotency_key(&mut fields, &headers)?;
            }
            // The gate lets nobody in without one.
            let identity = identity.ok_or(Failure::Unauthorized)?;
            let (agent, skills) = (agent_named(&headers)?, skills_named(&headers)?);
            Ok((fields, Caller { identity, agent, skills, list_count_default: None }))
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
pub(super) fn agent_named(headers: &HeaderMap) -> Result<Option<AgentId>, Failure> {
    mcp::agent_in(headers).map_err(|why| invalid("X-Agent-Id", &why))
}

/// What `X-Agent-Skills` says that agent can do.
fn skills_named(headers: &HeaderMap) -> Result<Skills, Failure> {
    mcp::skills_in(headers).map_err(|why| invalid("X-Agent-Skills", &why))
}

/// What a GET would change: web pages make browsers send those without asking.
fn changed_by_get(route: &Route, fields: &Fields) -> Option<Failure> {
    let is_get = (route.method)() == axum::http::Method::GET;
    let changing = route.call.changing_fields().iter().find(|name| is_get && fields.contains_key(**name))?;
    Some(invalid(changing, "GET changes nothing: send it with POST or PATCH"))
}

fn twice(name: &str) -> Failure {
    invalid(name, "it is given twice")
}

fn invalid(field: &str, why: &str) -> Failure {
    FieldError::Field { field: field.into(), why: why.into() }.into()
}
