//! The gate before every route: who asks, then how much they may ask, then the route.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{Extensions, HeaderMap};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;

use super::origin::{not_our_own, stranger};
use super::state::HttpState;
use super::{pages, session};
use crate::api::{Answer, Failure, Identity};
use crate::domain::{AccessScope, looks_like_token};

/// Paths that only a caller with the key may know more of. All others are 404 to everybody.
const GUARDED: [&str; 4] = ["/api", "/sse", "/mcp", "/metrics"];

/// The stream of events, which pages read too.
const STREAM: &str = "/sse";

/// Where a call came from that is not judged here, as far as it can be known.
#[derive(Debug, Clone, Copy)]
pub(super) struct ClientAddress(pub(super) IpAddr);

/// Lets a request through to its route, or answers it.
pub(super) async fn gate(State(state): State<HttpState>, mut request: Request, next: Next) -> Response {
    let address = client_address(request.headers(), request.extensions(), state.server.trust_proxy);
    if is_webhook(&state, request.uri().path()) {
        request.extensions_mut().insert(ClientAddress(address));
    } else if is_guarded(request.uri().path()) {
        match admit(&state, address, &request) {
            // Every door behind asks it how much the caller may.
            Ok(identity) => _ = request.extensions_mut().insert(identity),
            Err(failure) if pages::is_page(request.uri().path()) => {
                // Nobody comes back to what was sent; to a page, with what narrows it.
                let is_look = request.method().is_safe();
                let wanted = request.uri().path_and_query().filter(|_| is_look).map_or("/", |wanted| wanted.as_str());
                return pages::refused(failure, wanted);
            }
            Err(failure) => return Answer::from(failure).into_response(),
        }
    }
    next.run(request).await
}

/// Whether this is where GitHub calls: its calls prove themselves in another way.
fn is_webhook(state: &HttpState, path: &str) -> bool {
    state.webhooks.enabled && path == state.webhooks.path
}

/// Whether a request comes with the server's key, or a token of the same rights. Where there is neither,
/// none has one.
pub(super) fn has_key(state: &HttpState, headers: &HeaderMap) -> bool {
    let Some(sent) = bearer(headers) else { return false };
    let of_token = || Identity::of_token(state.api.manager(), sent).ok().flatten();
    state.server.api_key.matches(sent) || of_token().is_some_and(|identity| identity.scope == AccessScope::Admin)
}

fn is_guarded(path: &str) -> bool {
    is_below(&GUARDED, path) || pages::is_page(path)
}

/// Whether `path` is one of `paths`, or below one.
pub(super) fn is_below(paths: &[&str], path: &str) -> bool {
    paths.iter().any(|guarded| path.strip_prefix(guarded).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

/// Valid credentials are counted each by itself, for a whole fleet of agents may stand behind one address. Failed ones are
/// counted by address, and never keep a right one out, or any stranger there could lock that fleet out. So what is limited
/// is their noise; what keeps a key from being guessed is its length.
fn admit(state: &HttpState, address: IpAddr, request: &Request) -> Result<Identity, Failure> {
    let limits = state.api.limits();
    let identity = match identify(state, request) {
        Ok(identity) => identity,
        Err(failure) => {
            limits.ip(address)?;
            return Err(failure);
        }
    };
    limits.principal(identity.principal)?;
    Ok(identity)
}

fn identify(state: &HttpState, request: &Request) -> Result<Identity, Failure> {
    let (path, headers) = (request.uri().path(), request.headers());
    let (is_page, bearer) = (pages::is_page(path), bearer(headers));
    if is_page
        && !request.method().is_safe()
        && bearer.is_none()
        && let Some(what) = not_our_own(headers, &state.server)
    {
        return Err(Failure::FormNotFromHere(what));
    }
    // What a browser sends by itself opens what a person looks at; where programs ask, only a bearer counts.
    let typed = is_page.then(|| password(headers)).flatten();
    let sent = typed.as_deref().or(bearer);
    if state.server.api_key.is_empty() {
        if let Some(who) = stranger(request.uri(), headers, &state.server) {
            return Err(Failure::NotFromHere(who));
        }
        // Who shows a token wants its bounds, and a revoked one must not open more than none.
        let sent = sent.filter(|sent| looks_like_token(sent));
        return sent.map_or(Ok(Identity::local()), |sent| of_credential(state, sent));
    }
    match sent {
        Some(sent) => of_credential(state, sent),
        None if is_page || path == STREAM => session::identity(state, headers).ok_or(Failure::Unauthorized),
        None => Err(Failure::Unauthorized),
    }
}

/// Who shows this key or token.
pub(super) fn of_credential(state: &HttpState, sent: &str) -> Result<Identity, Failure> {
    if state.server.api_key.matches(sent) {
        return Ok(Identity::of_key());
    }
    Identity::of_token(state.api.manager(), sent)?.ok_or(Failure::Unauthorized)
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The password of basic authentication, by whatever name.
fn password(headers: &HeaderMap) -> Option<String> {
    let (scheme, encoded) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let pair = String::from_utf8(BASE64_STANDARD.decode(encoded.trim()).ok()?).ok()?;
    pair.split_once(':').map(|(_, password)| password.to_owned())
}

/// Behind a proxy that is trusted, the last entry of `X-Forwarded-For`: the one that proxy wrote.
/// Whatever stands before it is what the client claimed.
pub(super) fn client_address(headers: &HeaderMap, extensions: &Extensions, trust_proxy: bool) -> IpAddr {
    let peer = extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip());
    let forwarded = || {
        let last = headers.get_all("x-forwarded-for").iter().next_back()?.to_str().ok()?;
        let entry = last.rsplit(',').next()?.trim();
        entry.parse().ok().or_else(|| entry.parse::<SocketAddr>().ok().map(|address| address.ip()))
    };
    let forwarded = if trust_proxy { forwarded() } else { None };
    forwarded.or(peer).unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(forwarded: &[&str], trust_proxy: bool) -> String {
        let mut headers = HeaderMap::new();
        for value in forwarded {
            headers.append("x-forwarded-for", value.parse().unwrap());
        }
        let mut extensions = Extensions::new();
        extensions.insert(ConnectInfo(SocketAddr::from(([10, 0, 0, 1], 999))));
        client_address(&headers, &extensions, trust_proxy).to_string()
    }

    #[test]
    fn only_the_entry_of_a_trusted_proxy_is_believed() {
        assert_eq!(address(&["6.6.6.6, 203.0.113.9"], false), "10.0.0.1");
        assert_eq!(address(&["6.6.6.6, 203.0.113.9"], true), "203.0.113.9");
        assert_eq!(address(&["6.6.6.6", "203.0.113.9"], true), "203.0.113.9");
        assert_eq!(address(&["203.0.113.9:4711"], true), "203.0.113.9");
        assert_eq!(address(&["unknown"], true), "10.0.0.1");
        assert_eq!(address(&[], true), "10.0.0.1");
    }

    #[test]
    fn what_merely_begins_like_a_guarded_path_is_not_one() {
        for path in ["/", "/claims/x", "/api", "/api/next", "/sse", "/mcp", "/mcp/", "/api//"] {
            assert!(is_guarded(path), "{path}");
        }
        for path in ["/apis", "/ssed", "/mcpx/api", "/claimsx", "/login", "/assets/live.js"] {
            assert!(!is_guarded(path), "{path}");
        }
    }

    #[test]
    fn a_token_is_read_from_a_bearer_header_only() {
        let token = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(AUTHORIZATION, value.parse().unwrap());
            bearer(&headers).map(str::to_owned)
        };
        assert_eq!(token("Bearer abc").unwrap(), "abc");
        assert_eq!(token("bearer  abc ").unwrap(), "abc");
        assert_eq!(token("Basic abc"), None);
        assert_eq!(token("abc"), None);
    }
}
