//! The other end of the operators' routes: a command that asks a running server.

use std::fmt;
use std::time::Duration;

use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST};
use axum::http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::net::TcpStream;

use super::query::{encoded, query};
use super::table::{ROUTES, Route};
use crate::api::{Call, Fields};
use crate::config::Secret;

/// Longest wait for one answer. An export of everything takes the longest.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// Where a server is, and what it is shown.
#[derive(Debug, Clone)]
pub struct OperatorClient {
    authority: String,
    key: Secret,
}

/// Why a server did not answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The address is none that can be called.
    #[error("{0:?} is no address of a server: expected http://host:port")]
    Address(String),
    /// Nobody answered there.
    #[error("failed to reach the server at http://{authority}: {why}")]
    Unreachable {
        /// Host and port.
        authority: String,
        /// What went wrong.
        why: String,
    },
}

impl fmt::Display for OperatorClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.authority)
    }
}

impl OperatorClient {
    /// A client of the server at `url`, with the key or token that it asks for.
    ///
    /// # Errors
    /// [`ClientError::Address`] unless it is `http://host:port`. The server itself speaks plain HTTP;
    /// what stands before it to add TLS is for browsers and agents.
    pub fn new(url: &str, key: Secret) -> Result<Self, ClientError> {
        let error = || ClientError::Address(url.to_owned());
        let authority = url.trim().trim_end_matches('/').strip_prefix("http://").ok_or_else(error)?;
        let (host, port) = authority.rsplit_once(':').ok_or_else(error)?;
        if host.is_empty() || authority.contains(['/', '@', ' ']) || port.parse::<u16>().is_err() {
            return Err(error());
        }
        Ok(Self { authority: authority.to_owned(), key })
    }

    /// Whether it calls the server at `url`, as far as addresses say: this machine has many names for itself.
    pub fn is_at(&self, url: &str) -> bool {
        let Ok(other) = Self::new(url, Secret::default()) else { return false };
        let parts = |authority: &str| {
            let (host, port) = authority.rsplit_once(':').unwrap_or((authority, ""));
            let is_here = host == "localhost" || host == "0.0.0.0" || host == "[::1]" || host.starts_with("127.");
            (if is_here { "here".to_owned() } else { host.to_lowercase() }, port.to_owned())
        };
        parts(&self.authority) == parts(&other.authority)
    }

    /// Asks one call; its status and body.
    ///
    /// # Errors
    /// When nobody answers, or not in JSON.
    pub async fn ask(&self, call: Call, fields: Fields) -> Result<(u16, Value), ClientError> {
        let unreachable = |why: String| ClientError::Unreachable { authority: self.authority.clone(), why };
        let answered = tokio::time::timeout(ANSWER_TIMEOUT, self.send(call, fields)).await;
        answered
            .map_err(|_| unreachable(format!("no answer within {} seconds", ANSWER_TIMEOUT.as_secs())))?
            .map_err(|error| unreachable(error.to_string()))
    }

    async fn send(&self, call: Call, mut fields: Fields) -> anyhow::Result<(u16, Value)> {
        let (method, path) = route(call, &mut fields);
        let body = if fields.is_empty() { Vec::new() } else { serde_json::to_vec(&fields)? };
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, &self.authority)
            .header(AUTHORIZATION, format!("Bearer {}", self.key.expose()))
            .header(CONTENT_TYPE, "application/json")
            .body(Full::new(Bytes::from(body)))?;
        let stream = TcpStream::connect(&self.authority).await?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let connection = tokio::spawn(connection);
        let response = sender.send_request(request).await?;
        let status = response.status().as_u16();
        let body = response.into_body().collect().await?.to_bytes();
        connection.abort();
        Ok((status, serde_json::from_slice(&body)?))
    }
}

/// The route of a call, taking from the fields what stands in its path or query.
fn route(call: Call, fields: &mut Fields) -> (Method, String) {
    // Some calls show, and change what they are told to: by another method.
    let changes = call.changing_fields().iter().any(|name| fields.contains_key(*name));
    let fits = |route: &&Route| route.call == call && !(changes && (route.method)() == Method::GET);
    let Some(route) = ROUTES.iter().find(fits) else { unreachable!("{call:?} has no route") };
    let method = (route.method)();
    let path = route.path.replace("{owner}/{repo}", "{repo}").replace("{number}", "{issue_number}");
    let parts = path.split('/').map(|part| match part.strip_prefix('{').and_then(|name| name.strip_suffix('}')) {
        // Names of repositories have no letter that would need another form.
        Some("repo") => text_of(fields, "repo"),
        Some(name) => encoded(&text_of(fields, name)),
        None => part.to_owned(),
    });
    let path = parts.collect::<Vec<_>>().join("/");
    let query = if method == Method::GET { query(std::mem::take(fields)) } else { String::new() };
    (method, path + &query)
}

/// Takes a field out, as text.
fn text_of(fields: &mut Fields, name: &str) -> String {
    match fields.remove(name) {
        Some(Value::String(text)) => text,
        other => other.unwrap_or_default().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_addresses_of_plain_http_servers_are_called() {
        let authority = |url: &str| OperatorClient::new(url, Secret::default()).map(|client| client.authority);
        assert_eq!(authority("http://127.0.0.1:3100/").unwrap(), "127.0.0.1:3100");
        assert_eq!(authority("http://[::1]:3100").unwrap(), "[::1]:3100");
        for wrong in ["", "127.0.0.1:3100", "https://a:1", "http://a", "http://:1", "http://a:1/x", "http://u@a:1"] {
            assert!(authority(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_call_goes_the_way_that_the_table_of_routes_says() {
        let asked = |call, fields: Value| {
            let Value::Object(mut fields) = fields else { panic!("{fields}") };
            let (method, path) = route(call, &mut fields);
            (method.to_string(), path, fields.len())
        };
        let of = |method: &str, path: &str, left| (method.to_owned(), path.to_owned(), left);
        let issue = json!({ "repo": "acme/small", "issue_number": 7, "by": "ann" });
        assert_eq!(asked(Call::OperatorApprove, issue), of("POST", "/api/admin/issues/acme/small/7/approve", 1));
        let list = json!({ "repo": "acme/small", "label": "good first" });
        assert_eq!(asked(Call::OpenIssues, list), of("GET", "/api/repos/acme/small/issues?label=good%20first", 0));
        let release = json!({ "claim_id": "1f2e", "agent_id": "a" });
        assert_eq!(asked(Call::Release, release), of("DELETE", "/api/claims/1f2e", 1));
        assert_eq!(asked(Call::DispatchQueue, json!({})), of("GET", "/api/dispatch/queue", 0));
        assert_eq!(asked(Call::DispatchQueue, json!({ "run": "1", "place": 1 })), of("POST", "/api/dispatch/queue", 2));
        assert_eq!(asked(Call::DispatchRun, json!({ "run": "a/../b" })), of("GET", "/api/dispatch/runs/a%2F..%2Fb", 0));
    }
}
