//! Where there is nothing: a person who looks with a browser is told so, and where to go on; programs get what the API says.

use axum::extract::{Request, State};
use axum::http::HeaderMap;
use axum::http::header::{ACCEPT, VARY};
use axum::response::{IntoResponse, Response};
use maud::html;

use super::document;
use super::visit::{Visit, respond};
use crate::api::{Answer, Failure};
use crate::http::state::HttpState;

/// Answers a request that leads nowhere.
pub(in crate::http) async fn answer(State(state): State<HttpState>, request: Request) -> Response {
    let answer = Answer::from(Failure::NoSuchPath);
    let status = answer.status;
    let mut response =
        if takes_pages(request.headers()) { page(&state, request, status) } else { answer.into_response() };
    response.headers_mut().insert(VARY, ACCEPT.into());
    response
}

/// Whether pages are asked for by name, as browsers do; programs take anything, or JSON.
fn takes_pages(headers: &HeaderMap) -> bool {
    let kinds =
        headers.get_all(ACCEPT).iter().filter_map(|kinds| kinds.to_str().ok()).flat_map(|kinds| kinds.split(','));
    kinds.filter_map(|kind| kind.split(';').next()).any(|kind| kind.trim().eq_ignore_ascii_case("text/html"))
}

fn page(state: &HttpState, request: Request, status: u16) -> Response {
    let path = request.uri().path().to_owned();
    let body = html! {
        h1 { "Nothing here" }
        p .why { "There is no page at " code { (path) } "." }
        p { a href="/" { "To the board" } ", " a href="/queue" { "to the queue" } ", or "
            a href="/explain" { "to why an issue stands where it does" } "." }
    };
    match Visit::beside_the_gate(state, &request.into_parts().0) {
        Some(visit) => visit.page_with(status, "Nothing here", &body, true),
        None => respond(status, &document::alone("Nothing here", &body)),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn browsers_ask_for_pages_and_programs_do_not() {
        let takes = |kinds: &str| takes_pages(&HeaderMap::from_iter([(ACCEPT, kinds.parse().unwrap())]));
        assert!(takes("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"));
        assert!(takes("application/json, Text/HTML;q=0.5"));
        for kinds in ["*/*", "application/json", "text/event-stream", "text/htmlx", "text/*", ""] {
            assert!(!takes(kinds), "{kinds}");
        }
        assert!(!takes_pages(&HeaderMap::new()));
    }
}
