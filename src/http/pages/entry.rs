//! The way in and out: a person shows the key or a token once, and the browser keeps a session of it.

use axum::Form;
use axum::extract::{Query, Request, State};
use axum::http::header::{LOCATION, RETRY_AFTER, SET_COOKIE, WWW_AUTHENTICATE};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use maud::{Markup, html};
use serde::Deserialize;

use super::visit::respond;
use super::{document, is_page};
use crate::api::{Answer, Failure};
use crate::http::gate::{client_address, of_credential};
use crate::http::origin::not_our_own;
use crate::http::session;
use crate::http::state::HttpState;

/// Where a person wants to be.
#[derive(Debug, Deserialize)]
pub(super) struct Wanted {
    #[serde(default)]
    next: String,
}

/// What a person shows.
#[derive(Deserialize)]
pub(super) struct Shown {
    key: String,
    #[serde(default)]
    next: String,
}

/// The form.
pub(super) async fn ask(State(state): State<HttpState>, Query(wanted): Query<Wanted>) -> Response {
    if state.server.api_key.is_empty() {
        // Whoever gets here is in.
        return elsewhere("/", None);
    }
    respond(200, &form(&wanted.next, None))
}

/// Begins a session, where the key or token is good. Wrong ones are counted by address, as at every door; a good one is let
/// in all the same.
pub(super) async fn log_in(State(state): State<HttpState>, request: Request) -> Response {
    let (headers, extensions) = (request.headers().clone(), request.extensions().clone());
    if let Some(what) = not_our_own(&headers, &state.server) {
        return refused(Failure::FormNotFromHere(what), "/login");
    }
    let shown = match axum::RequestExt::extract::<Form<Shown>, _>(request).await {
        Ok(Form(shown)) => shown,
        Err(_) => return respond(400, &form("/", Some("Fill in the form."))),
    };
    let path = shown.next.split_once('?').map_or(shown.next.as_str(), |(path, _)| path);
    let next = if is_page(path) { shown.next.as_str() } else { "/" };
    let address = client_address(&headers, &extensions, state.server.trust_proxy);
    match of_credential(&state, shown.key.trim()) {
        Ok(identity) => elsewhere(next, session::begun(&state, &identity, &headers, is_https(&state, &headers))),
        Err(failure) => {
            let failure = state.api.limits().ip(address).map_or_else(Failure::from, |()| failure);
            let why = match &failure {
                Failure::Unauthorized => "That is neither the key nor a token.".to_owned(),
                other => other.to_string(),
            };
            respond(Answer::from(failure).status, &form(next, Some(&why)))
        }
    }
}

/// Ends the session.
pub(super) async fn log_out(State(state): State<HttpState>, headers: HeaderMap) -> Response {
    match not_our_own(&headers, &state.server) {
        Some(what) => refused(Failure::FormNotFromHere(what), "/logout"),
        None => elsewhere("/login", Some(session::ended(&headers, is_https(&state, &headers)))),
    }
}

/// Why somebody does not see the page at `path`: who is not in is asked in.
pub(in crate::http) fn refused(failure: Failure, path: &str) -> Response {
    let asks = matches!(failure, Failure::Unauthorized | Failure::TokenEnded(_));
    let (why, answer) = (failure.to_string(), Answer::from(failure));
    if asks {
        let mut response = respond(answer.status, &form(path, None));
        response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        return response;
    }
    let mut response = respond(answer.status, &document::alone("Not shown", &document::trouble(&why)));
    if let Some(seconds) = answer.retry_after_seconds {
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

fn form(next: &str, why: Option<&str>) -> Markup {
    let body = html! {
        h1 { "IssueCommand" }
        p { "Show the server's key, or a token that an operator made for you (" code { "issuecommand token create" } ")." }
        @if let Some(why) = why { p .why role="alert" { (why) } }
        form method="post" action="/login" {
            input type="hidden" name="next" value=(next);
            // Keepers of passwords look for a name.
            input type="text" name="user" value="issuecommand" autocomplete="username" hidden;
            label { "Key or token " input type="password" name="key" required autofocus autocomplete="current-password"; }
            button { "Log in" }
        }
    };
    document::alone("Log in", &body)
}

/// Sends the browser on, with a cookie where there is one.
fn elsewhere(path: &str, cookie: Option<String>) -> Response {
    let mut response = StatusCode::SEE_OTHER.into_response();
    let headers = response.headers_mut();
    headers.insert(LOCATION, HeaderValue::from_str(path).unwrap_or(HeaderValue::from_static("/")));
    if let Some(cookie) = cookie.and_then(|cookie| HeaderValue::from_str(&cookie).ok()) {
        headers.insert(SET_COOKIE, cookie);
    }
    response
}

/// Whether the browser speaks to a proxy over TLS: a cookie for that is sent over nothing else.
fn is_https(state: &HttpState, headers: &HeaderMap) -> bool {
    state.server.trust_proxy && headers.get("x-forwarded-proto").is_some_and(|proto| proto == "https")
}
