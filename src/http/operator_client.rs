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

use super::query::query;
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
    match call {
        Call::OperatorRelease => (Method::POST, format!("/api/admin/claims/{}/release", part(fields, "claim_id"))),
        Call::OperatorReassign => (Method::POST, format!("/api/admin/claims/{}/reassign", part(fields, "claim_id"))),
        Call::OperatorApprove => (
            Method::POST,
            format!("/api/admin/issues/{}/{}/approve", part(fields, "repo"), part(fields, "issue_number")),
        ),
        Call::TokenCreate => (Method::POST, "/api/admin/tokens".into()),
        Call::TokenList => (Method::GET, "/api/admin/tokens".into()),
        Call::TokenRevoke => (Method::DELETE, format!("/api/admin/tokens/{}", part(fields, "token_id"))),
        Call::Export => (Method::GET, "/api/admin/export".into()),
        Call::Import => (Method::POST, "/api/admin/import".into()),
        Call::Explain => (Method::GET, "/api/explain".into()),
        Call::Decisions => (Method::GET, "/api/decisions".into()),
        Call::Decision => (Method::GET, format!("/api/decisions/{}", part(fields, "decision_id"))),
        Call::Claims => (Method::GET, format!("/api/claims?repo={}", part(fields, "repo"))),
        Call::PolicyEffective => (Method::GET, format!("/api/policies/effective{}", query(std::mem::take(fields)))),
        Call::PolicyCandidate => (Method::GET, "/api/policies/candidate".into()),
        Call::PolicyHistory => (Method::GET, "/api/policies/history".into()),
        Call::PolicyComponent => {
            (Method::GET, format!("/api/admin/policies/component{}", query(std::mem::take(fields))))
        }
        Call::DispatchStatus => (Method::GET, "/api/dispatch".into()),
        Call::DispatchIssue => (Method::POST, "/api/dispatch/runs".into()),
        Call::DispatchQueue if fields.contains_key("run") => (Method::POST, "/api/dispatch/queue".into()),
        Call::DispatchQueue => (Method::GET, "/api/dispatch/queue".into()),
        Call::DispatchRuns => (Method::GET, format!("/api/dispatch/runs{}", query(std::mem::take(fields)))),
        Call::DispatchRun => (Method::GET, format!("/api/dispatch/runs/{}", part(fields, "run"))),
        Call::DispatchCancel => (Method::DELETE, format!("/api/dispatch/runs/{}", part(fields, "run"))),
        Call::DispatchLogs => {
            let run = part(fields, "run");
            (Method::GET, format!("/api/dispatch/runs/{run}/logs{}", query(std::mem::take(fields))))
        }
        Call::DispatchAnswer => (Method::POST, format!("/api/dispatch/runs/{}/answer", part(fields, "run"))),
        Call::DispatchPause => (Method::POST, "/api/dispatch/pause".into()),
        Call::DispatchResume => (Method::POST, "/api/dispatch/resume".into()),
        Call::DispatchConfig if fields.contains_key("value") => (Method::PATCH, "/api/dispatch/config".into()),
        Call::DispatchConfig => (Method::GET, format!("/api/dispatch/config{}", query(std::mem::take(fields)))),
        Call::DispatchRepos if fields.is_empty() => (Method::GET, "/api/dispatch/repos".into()),
        Call::DispatchRepos => (Method::PATCH, "/api/dispatch/repos".into()),
        Call::PolicyAudit => (Method::POST, "/api/admin/policies/audit".into()),
        other => unreachable!("{other:?} is no call of an operator's command"),
    }
}

/// Takes a field out, as text.
fn part(fields: &mut Fields, name: &str) -> String {
    match fields.remove(name) {
        Some(Value::String(text)) => text,
        other => other.unwrap_or_default().to_string(),
    }
}

#[cfg(test)]
mod tests {
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
}
