//! Which words are an address, a path or a level, and what is wrong with those that are none.

use tracing_subscriber::EnvFilter;

use crate::config::keys;

/// Where this server's own routes are.
const OWN_PATHS: [&str; 5] = ["/api", "/sse", "/mcp", "/docs", "/openapi.json"];
/// The levels of the log.
const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];

/// Whether a path is among this server's own, and so cannot be where GitHub calls.
pub(super) fn is_own(path: &str) -> bool {
    let is_below = |own: &str| path.strip_prefix(own).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    OWN_PATHS.into_iter().any(is_below) && !path.starts_with("/api/webhooks/")
}

pub(super) fn list(words: &[&str]) -> String {
    match words {
        [all @ .., last] if !all.is_empty() => format!("{} or {last}", all.join(", ")),
        _ => words.concat(),
    }
}

/// The word that was probably meant.
pub(super) fn nearest_of<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    keys::nearest(word, known.iter().copied())
}

/// Whether a text is a host with or without a port, and nothing else.
pub(super) fn is_authority(text: &str) -> bool {
    text.parse::<http::uri::Authority>().is_ok_and(|authority| !authority.as_str().contains('@'))
}

pub(super) fn is_origin(text: &str) -> bool {
    text.split_once("://").is_some_and(|(scheme, rest)| {
        !scheme.is_empty()
            && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b))
            && is_authority(rest)
    })
}

/// Whether this is an address over HTTP without credentials in it, and without a question.
pub(super) fn is_plain_url(text: &str) -> bool {
    let scheme = |uri: &http::Uri| uri.scheme_str().is_some_and(|scheme| ["http", "https"].contains(&scheme));
    let is_plain =
        |uri: &http::Uri| uri.query().is_none() && uri.authority().is_some_and(|at| is_authority(at.as_str()));
    text.parse::<http::Uri>().is_ok_and(|uri| scheme(&uri) && is_plain(&uri))
}

/// What is wrong with the root of GitHub's API. Never quotes it: it may hold credentials.
pub(super) fn api_url_error(text: &str) -> Option<&'static str> {
    let Ok(uri) = text.parse::<http::Uri>() else { return Some("the value is no address") };
    let (Some("http" | "https"), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Some("expected an address that begins with https:// or http://");
    };
    if authority.as_str().contains('@') {
        return Some("credentials do not belong into the address: use GITHUB_TOKEN or github.token");
    }
    uri.query().map(|_| "expected an address without a query")
}

/// What is wrong with a filter of the log. A word that is no level would be taken for the name of a
/// part of the program and so switch everything else off: it is refused.
pub(super) fn level_error(filter: &str) -> Option<String> {
    if filter.trim().is_empty() {
        return Some("the filter is empty".into());
    }
    if let Err(error) = EnvFilter::builder().parse(filter) {
        return Some(format!("{filter:?} is no filter: {error}"));
    }
    let words = filter.split(',').map(str::trim).filter(|_| !filter.contains('['));
    let stranger = words
        .filter(|part| !part.contains('='))
        .find(|part| !LEVELS.contains(&part.to_ascii_lowercase().as_str()) && part.parse::<u8>().is_err())?;
    let near = keys::nearest(&stranger.to_ascii_lowercase(), LEVELS.into_iter());
    let near = near.map(|level| format!("; did you mean \"{level}\"?")).unwrap_or_default();
    Some(format!("{stranger:?} is no level: expected {}{near}", list(&LEVELS)))
}
