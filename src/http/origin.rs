//! Where a call without a key may come from: programs of this machine, not the web pages in its
//! browsers, which can reach loopback addresses too (by a plain cross-site request, or by a host name
//! of their own that resolves to 127.0.0.1).

use std::net::IpAddr;

use axum::http::header::{HOST, ORIGIN};
use axum::http::{HeaderMap, Uri};

use crate::config::ServerConfig;

/// Who a request says it comes from, if that is nobody who may call without a key.
pub(super) fn stranger(uri: &Uri, headers: &HeaderMap, server: &ServerConfig) -> Option<String> {
    let host = match (headers.get(HOST), uri.authority()) {
        (Some(host), _) => host.to_str().unwrap_or("?").to_ascii_lowercase(),
        (None, Some(authority)) => authority.as_str().to_ascii_lowercase(),
        (None, None) => return None,
    };
    let named = |names: &[String], name: &str| names.iter().any(|allowed| allowed.eq_ignore_ascii_case(name));
    let host_name = without_port(&host);
    if !is_loopback(host_name) && !named(&server.allowed_hosts, host_name) && !named(&server.allowed_hosts, &host) {
        return Some(format!("host {host}"));
    }
    let origin = headers.get(ORIGIN)?.to_str().unwrap_or("?").to_ascii_lowercase();
    let same_site = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://")) == Some(&host);
    (!same_site && !named(&server.allowed_origins, &origin)).then(|| format!("origin {origin}"))
}

/// Who sends a form, if that is not a page of this server itself, nor of an origin that the configuration names: a browser
/// says where a form is from, and what it sends along by itself is nobody's word. Behind a proxy that puts another `Host` in
/// the place of the browser's, our own forms look like others'.
pub(super) fn not_our_own(headers: &HeaderMap, server: &ServerConfig) -> Option<String> {
    let text = |name| headers.get(name).map(|value| value.to_str().unwrap_or("?").to_ascii_lowercase());
    let Some(origin) = text(ORIGIN) else { return Some("a form without an origin".into()) };
    let bare = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
    let is_own = bare.is_some() && bare == text(HOST).as_deref();
    let is_named = server.allowed_origins.iter().any(|allowed| allowed.eq_ignore_ascii_case(&origin));
    (!is_own && !is_named).then(|| format!("a form of {origin}"))
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judged(host: &str, origin: Option<&str>, server: &ServerConfig) -> Option<String> {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(ORIGIN, origin.parse().unwrap());
        }
        stranger(&Uri::from_static("/api/next"), &headers, server)
    }

    #[test]
    fn programs_of_this_machine_may_call() {
        let server = ServerConfig::default();
        for host in ["localhost:3100", "127.0.0.1:3100", "[::1]:3100", "LOCALHOST", "127.0.0.2"] {
            assert_eq!(judged(host, None, &server), None, "{host}");
        }
        assert_eq!(judged("localhost:3100", Some("http://localhost:3100"), &server), None);
    }

    #[test]
    fn a_form_is_taken_from_a_page_of_this_server_only() {
        let mut server = ServerConfig::default();
        let judged = |origin: Option<&str>, server: &ServerConfig| {
            let mut headers = HeaderMap::new();
            headers.insert(HOST, "box.example:3100".parse().unwrap());
            if let Some(origin) = origin {
                headers.insert(ORIGIN, origin.parse().unwrap());
            }
            not_our_own(&headers, server)
        };
        assert_eq!(judged(Some("https://box.example:3100"), &server), None);
        assert_eq!(judged(Some("http://Box.example:3100"), &server), None);
        for other in ["http://box.example", "http://evil.example:3100", "null", "box.example:3100"] {
            assert_eq!(judged(Some(other), &server).unwrap(), format!("a form of {other}"));
        }
        assert!(judged(None, &server).is_some(), "no browser");
        server.allowed_origins = vec!["https://issues.example".into()];
        assert_eq!(judged(Some("https://issues.example"), &server), None);
    }

    #[test]
    fn web_pages_may_not_unless_they_are_named() {
        let mut server = ServerConfig::default();
        let cross_site = || ("127.0.0.1:3100", Some("https://evil.example"));
        assert_eq!(judged(cross_site().0, cross_site().1, &server).unwrap(), "origin https://evil.example");
        assert_eq!(judged("127.0.0.1:3100", Some("null"), &server).unwrap(), "origin null");
        assert_eq!(
            judged("localhost:3100", Some("http://localhost:8000"), &server).unwrap(),
            "origin http://localhost:8000"
        );
        let rebound = judged("evil.example:3100", Some("http://evil.example:3100"), &server);
        assert_eq!(rebound.unwrap(), "host evil.example:3100");

        server.allowed_origins = vec!["https://evil.example".into()];
        server.allowed_hosts = vec!["Box.example".into()];
        assert_eq!(judged(cross_site().0, cross_site().1, &server), None);
        assert_eq!(judged("box.example:3100", None, &server), None);
    }
}
