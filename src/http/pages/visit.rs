//! One look at one page: who looks, and what they are told.

use std::convert::Infallible;

use axum::extract::FromRequestParts;
use axum::http::StatusCode;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use maud::Markup;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::document::{self, Frame};
use crate::api::{Answer, Call, Caller, Fields, Identity, Principal};
use crate::domain::{AccessScope, IssueRef, Skills, is_visible};
use crate::http::session;
use crate::http::state::HttpState;

/// Only what this server gives is loaded and run, forms go nowhere else, and nobody puts the page into a frame.
const CONTENT_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
     connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// A look at a page that the gate let through.
#[derive(Clone)]
pub(super) struct Visit {
    pub(super) state: HttpState,
    identity: Identity,
    path: String,
    query: String,
    has_session: bool,
}

impl FromRequestParts<HttpState> for Visit {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, state: &HttpState) -> Result<Self, Infallible> {
        let identity = parts.extensions.get::<Identity>().cloned();
        // The gate lets nobody in without one; a page that it did not guard would tell nothing.
        let nobody = || Identity { scope: AccessScope::Read, ..Identity::local() };
        Ok(Self::by(identity.unwrap_or_else(nobody), state, parts))
    }
}

impl Visit {
    fn by(identity: Identity, state: &HttpState, parts: &Parts) -> Self {
        let (path, query) = (parts.uri.path().to_owned(), parts.uri.query().unwrap_or_default().to_owned());
        let has_session = identity.principal != Principal::Local && session::identity(state, &parts.headers).is_some();
        Self { state: state.clone(), identity, path, query, has_session }
    }

    /// A look at a path that the gate may not guard, by somebody who is in all the same; `None` where nobody is.
    pub(super) fn beside_the_gate(state: &HttpState, parts: &Parts) -> Option<Self> {
        let let_in = parts.extensions.get::<Identity>().cloned();
        let local = || state.server.api_key.is_empty().then(Identity::local);
        let identity = let_in.or_else(|| session::identity(state, &parts.headers)).or_else(local)?;
        Some(Self::by(identity, state, parts))
    }

    /// Whether who looks may do what operators do.
    pub(super) fn may_act(&self) -> bool {
        self.identity.scope == AccessScope::Admin
    }

    /// Whether who looks may say which policies decide: the server's key, or a token of scope admin that is no agent's.
    pub(super) fn may_rule(&self) -> bool {
        self.may_act() && self.identity.agent.is_none()
    }

    /// Whose credential it is, as events call it.
    pub(super) fn who(&self) -> &str {
        &self.identity.name
    }

    /// An issue's own page on GitHub, where its repository has one.
    pub(super) fn on_github(&self, issue: &IssueRef) -> Option<String> {
        let repos = self.state.api.manager().repos();
        let url = repos.into_iter().find(|entry| entry.repo.full_name == issue.repo)?.repo.url;
        url.starts_with("http").then(|| format!("{}/issues/{}", url.trim_end_matches('/'), issue.number))
    }

    /// Asks a call of the API, as anybody else does.
    pub(super) async fn ask(&self, call: Call, fields: Value) -> Answer {
        let identity = self.identity.clone();
        let caller = Caller { identity, agent: None, skills: Skills::default(), list_count_default: None };
        let fields = if let Value::Object(fields) = fields { fields } else { Fields::new() };
        self.state.api.answer(call, &caller, fields).await
    }

    /// Asks a call; what stands in `field` of its answer, or the page that says why nothing does.
    pub(super) async fn found<T: DeserializeOwned>(
        &self,
        call: Call,
        fields: Value,
        field: &str,
    ) -> Result<T, Box<Response>> {
        let mut answer = self.ask(call, fields).await;
        let found = answer.body[field].take();
        match serde_json::from_value(found) {
            Ok(found) if answer.status == 200 => Ok(found),
            _ => Err(Box::new(self.trouble(&answer))),
        }
    }

    /// A part of a page that everybody sees alike who may do as much: rendered once for all who look now.
    pub(super) async fn shared(&self, render: impl Future<Output = Markup>) -> Markup {
        let name = format!("{}?{} {}", self.path, self.query, self.may_act());
        self.state.renderings.of(name, render).await
    }

    /// A page.
    pub(super) fn page(&self, title: &str, body: &Markup) -> Response {
        self.page_with(200, title, body, false)
    }

    /// A page that answers something that was typed: it stays as it is.
    pub(super) fn still_page(&self, title: &str, body: &Markup) -> Response {
        self.page_with(200, title, body, true)
    }

    /// The page that says why there is nothing to show.
    pub(super) fn trouble(&self, answer: &Answer) -> Response {
        self.refused(answer.status, told(answer))
    }

    /// The page that says why something was not done, and where to go on.
    pub(super) fn not_done(&self, why: &str, (place, name): (&str, &str)) -> Response {
        let body = maud::html! {
            h1 { "Not done" }
            p .why role="alert" { (why) }
            p { a href=(place) { "To " (name) } }
        };
        self.page_with(409, "Not done", &body, true)
    }

    /// The same, in these words.
    pub(super) fn refused(&self, status: u16, why: &str) -> Response {
        self.page_with(status, "Not shown", &document::trouble(why), true)
    }

    /// A page with this status; `is_still`: it stays as it is.
    pub(super) fn page_with(&self, status: u16, title: &str, body: &Markup, is_still: bool) -> Response {
        let (who, path, has_session) = (self.identity.name.as_str(), self.path.as_str(), self.has_session);
        respond(status, &document::whole(&Frame { title, path, who, has_session, is_still }, body))
    }
}

/// What an answer says of why it holds nothing.
pub(super) fn told(answer: &Answer) -> &str {
    let told = ["message", "error"].iter().find_map(|field| answer.body[field].as_str());
    told.unwrap_or("the server could not answer")
}

/// A whole page as a response.
pub(super) fn respond(status: u16, page: &Markup) -> Response {
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    // Marks that hide words or turn their direction are no markup, and no template would notice them.
    let text = page.0.replace(|c| !is_visible(c), "");
    // No other host learns who was looked at. Without any referrer a browser would keep its own origin from forms.
    let headers = [
        (CONTENT_TYPE, "text/html; charset=utf-8"),
        (CONTENT_SECURITY_POLICY, CONTENT_POLICY),
        (REFERRER_POLICY, "same-origin"),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (status, headers, text).into_response()
}
