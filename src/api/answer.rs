//! What an agent hears: an answer, a rejection, or a failure from the one table.

use std::error::Error;
use std::time::Duration;

use serde::Serialize;
use serde_json::{Value, json};

use super::{FieldError, Limited};
use crate::claims::ManagerError;
use crate::domain::{AccessScope, AgentId, Claim, TokenEnd};
use crate::github::SourceError;
use crate::store::StoreError;

/// When to ask again after GitHub gave no usable answer and no time of its own, in seconds. Ours:
/// long enough for a broken connection to mend, short enough for an agent to wait.
const GITHUB_RETRY_SECONDS: u64 = 30;

/// The answer to one call, for any transport.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The JSON body: an object.
    pub body: Value,
    /// When to ask again, in seconds: HTTP's `Retry-After`.
    pub retry_after_seconds: Option<u64>,
    /// Whether the call failed. A rejection did not fail: MCP gives it as a normal result.
    pub is_error: bool,
}

impl Answer {
    /// What was asked for.
    pub(super) fn found(body: Value) -> Self {
        Self { status: 200, body, retry_after_seconds: None, is_error: false }
    }

    /// A rightful "no", with its reason in a word and in a sentence.
    pub(super) fn rejected(status: u16, reason: &'static str, message: String) -> Self {
        let body = json!({ "ok": false, "reason": reason, "message": message });
        Self { status, body, retry_after_seconds: None, is_error: false }
    }

    /// The same answer, saying who holds the issue.
    pub(super) fn with_owner(self, claim: &Claim) -> Self {
        let owner = json!(claim.agent_id);
        self.with("claim", claim).with("owner_agent_id", owner)
    }

    /// The same answer with one more field.
    pub(super) fn with(mut self, field: &str, value: impl Serialize) -> Self {
        self.body[field] = json!(value);
        self
    }

    /// The same answer with one more field, if there is a value for it: absent fields are omitted.
    pub(super) fn with_some(self, field: &str, value: Option<impl Serialize>) -> Self {
        match value {
            Some(value) => self.with(field, value),
            None => self,
        }
    }
}

/// Why a call failed, for any transport.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// No key, or a wrong one.
    #[error("send the server's key, or a token, as: Authorization: Bearer <key>")]
    Unauthorized,
    /// A token that was good once.
    #[error("this token {0}; ask an operator for a new one (issuecommand token create)")]
    TokenEnded(TokenEnd),
    /// A token that speaks for another agent.
    #[error("this token speaks for {own}, not for {named}: leave agent_id out, or use the token of {named}")]
    AgentForbidden {
        /// The agent of the token.
        own: AgentId,
        /// The agent that the call names.
        named: AgentId,
    },
    /// A token that may not ask so much.
    #[error("this token has scope {has}, and the call needs {needs}: ask an operator for a token of that scope")]
    ScopeTooNarrow {
        /// The scope of the token.
        has: AccessScope,
        /// The narrowest scope that may ask this.
        needs: AccessScope,
    },
    /// Without a key only programs of this machine may call, not web pages in its browsers.
    #[error("{0} may not call this server; name it in server.allowed_hosts or server.allowed_origins, or set a key")]
    NotFromHere(String),
    /// A form that no page of this server sent, as far as can be seen: a proxy may have put another host in its place.
    #[error(
        "{0} is not taken here: let the proxy before this server pass Host on, or name the origin in server.allowed_origins"
    )]
    FormNotFromHere(String),
    /// There is no such path, or not with this method.
    #[error("there is no such path, or not with this method")]
    NoSuchPath,
    /// The fields are not what the call needs.
    #[error(transparent)]
    Fields(#[from] FieldError),
    /// A delivery of GitHub's is not what it should be.
    #[error("{0}")]
    WebhookPayload(String),
    /// As much is under way as may be.
    #[error("too many deliveries are under way; send it again")]
    Busy,
    /// The body is larger than the server takes.
    #[error("the body is larger than {bytes_max} bytes")]
    BodyTooLarge {
        /// How large it may be.
        bytes_max: usize,
    },
    /// The body did not arrive whole in time.
    #[error("the body did not arrive whole in time")]
    BodyIncomplete,
    /// Too much was asked.
    #[error(transparent)]
    Limited(#[from] Limited),
    /// The claim manager could not answer.
    #[error(transparent)]
    Manager(#[from] ManagerError),
    /// The server has a defect.
    #[error("the server failed; its log says more")]
    Defect,
}

/// One row of the table of failures.
struct Row {
    status: u16,
    error: &'static str,
    message: Option<String>,
    retry_after_seconds: Option<u64>,
}

impl Failure {
    /// The table: what each failure is to a client.
    fn row(&self) -> Row {
        let message = self.to_string();
        let row = |status, error| Row { status, error, message: Some(message.clone()), retry_after_seconds: None };
        match self {
            Self::Unauthorized => Row { message: None, ..row(401, "unauthorized") },
            Self::TokenEnded(_) => row(401, "unauthorized"),
            Self::AgentForbidden { .. } => row(403, "agent_forbidden"),
            Self::ScopeTooNarrow { .. } => row(403, "scope_too_narrow"),
            Self::NotFromHere(_) | Self::FormNotFromHere(_) => row(403, "not_from_here"),
            Self::NoSuchPath => Row { message: None, ..row(404, "not_found") },
            Self::Fields(_) => row(400, "request_failed"),
            Self::WebhookPayload(_) => row(400, "invalid_webhook_payload"),
            Self::Busy => Row { retry_after_seconds: Some(1), ..row(503, "busy") },
            Self::BodyTooLarge { .. } => row(413, "request_failed"),
            Self::BodyIncomplete => row(408, "request_failed"),
            Self::Limited(limited) => Row {
                message: None,
                retry_after_seconds: Some(limited.retry_after_seconds),
                ..row(429, "rate_limited")
            },
            Self::Manager(ManagerError::RepoNotAllowed { .. }) => row(403, "repo_not_allowed"),
            Self::Manager(ManagerError::NotFound { .. }) => row(404, "not_found"),
            Self::Manager(ManagerError::Source(error)) => source_row(error, row),
            Self::Manager(ManagerError::Store(StoreError::Closed)) => {
                Row { retry_after_seconds: Some(1), ..row(503, "shutting_down") }
            }
            Self::Manager(ManagerError::Store(_)) => {
                let message = "the store failed and nothing was changed; try again, the server's log says more";
                Row { message: Some(message.into()), ..row(500, "internal_error") }
            }
            Self::Defect => row(500, "internal_error"),
        }
    }

    /// The answer that tells of it; the log has it too, when it is the server's own.
    pub(super) fn told(self) -> Answer {
        self.log();
        self.into()
    }

    /// Writes the failure to the log, with its causes, when it is the server's own.
    pub(super) fn log(&self) {
        if self.row().status < 500 {
            return;
        }
        let mut causes = self.to_string();
        let mut next = self.source();
        while let Some(cause) = next {
            causes.push_str(": ");
            causes.push_str(&cause.to_string());
            next = cause.source();
        }
        tracing::error!("could not answer: {causes}");
    }
}

fn source_row(error: &SourceError, row: impl Fn(u16, &'static str) -> Row) -> Row {
    match error {
        SourceError::NotFound { .. } => row(404, "not_found"),
        SourceError::Denied { .. } => row(502, "github_denied"),
        SourceError::Paused { retry_after } => {
            Row { retry_after_seconds: Some(seconds_up(*retry_after)), ..row(503, "github_unavailable") }
        }
        SourceError::Unavailable { .. } => {
            Row { retry_after_seconds: Some(GITHUB_RETRY_SECONDS), ..row(503, "github_unavailable") }
        }
        SourceError::Unsupported { .. } => row(501, "unsupported"),
    }
}

impl From<Failure> for Answer {
    fn from(failure: Failure) -> Self {
        let row = failure.row();
        let mut body = json!({ "ok": false, "error": row.error });
        if let Some(message) = row.message {
            body["message"] = message.into();
        }
        if let Some(seconds) = row.retry_after_seconds {
            body["retry_after_seconds"] = seconds.into();
        }
        if let Failure::Limited(limited) = &failure {
            body["scope"] = limited.scope.as_str().into();
            // A request is refused only when its bucket has not one whole token left.
            body["remaining_tokens"] = 0.into();
        }
        Self { status: row.status, body, retry_after_seconds: row.retry_after_seconds, is_error: true }
    }
}

/// Whole seconds, rounded up, at least one: what a client can wait.
pub(super) fn seconds_up(duration: Duration) -> u64 {
    (duration.as_secs() + u64::from(duration.subsec_nanos() > 0)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(error: impl Into<ManagerError>) -> Answer {
        Failure::Manager(error.into()).into()
    }

    fn what() -> String {
        "issue acme/small#1".into()
    }

    #[test]
    fn a_store_failure_shows_nothing_of_its_inside() {
        let source = "disk I/O error in /var/lib/secret.db".into();
        let answer = answer(StoreError::Failed { attempt: "insert claim", source });
        assert_eq!((answer.status, answer.is_error), (500, true));
        assert_eq!(answer.body["error"], "internal_error");
        let text = answer.body.to_string();
        assert!(!text.contains("secret") && !text.contains("insert claim"), "{text}");
    }

    #[test]
    fn every_answer_of_github_has_its_own_row() {
        let why = || "connection refused".to_owned();
        let rows = [
            (SourceError::NotFound { what: what() }, 404, "not_found", None),
            (SourceError::Denied { what: what(), status: 401 }, 502, "github_denied", None),
            (SourceError::Paused { retry_after: Duration::from_millis(7100) }, 503, "github_unavailable", Some(8)),
            (SourceError::Unavailable { what: what(), why: why() }, 503, "github_unavailable", Some(30)),
            (SourceError::Unsupported { what: what(), why: why() }, 501, "unsupported", None),
        ];
        for (error, status, word, retry) in rows {
            let answer = answer(error.clone());
            assert_eq!((answer.status, answer.retry_after_seconds), (status, retry), "{error}");
            assert_eq!((answer.body["ok"].clone(), answer.body["error"].clone()), (json!(false), json!(word)));
            assert_eq!(answer.body["message"], error.to_string());
            assert_eq!(answer.body.get("retry_after_seconds").and_then(Value::as_u64), retry);
        }
    }

    #[test]
    fn a_repository_outside_the_allowed_set_comes_with_the_filters_reason() {
        let answer = answer(ManagerError::RepoNotAllowed { repo: "a/b".parse().unwrap(), reason: "is a fork".into() });
        assert_eq!((answer.status, answer.body["error"].clone()), (403, json!("repo_not_allowed")));
        assert_eq!(answer.body["message"], "a/b is not an allowed repository: is a fork");
    }

    #[test]
    fn a_limit_says_which_and_how_long() {
        let limited = Limited { scope: super::super::Scope::AgentMutation, retry_after_seconds: 3 };
        let answer = Answer::from(Failure::from(limited));
        assert_eq!((answer.status, answer.retry_after_seconds), (429, Some(3)));
        let body = json!({ "ok": false, "error": "rate_limited", "scope": "agent_mutation", "retry_after_seconds": 3,
            "remaining_tokens": 0 });
        assert_eq!(answer.body, body);
    }

    #[test]
    fn the_bodies_that_clients_compare_are_exact() {
        assert_eq!(Answer::from(Failure::Unauthorized).body, json!({ "ok": false, "error": "unauthorized" }));
        assert_eq!(Answer::from(Failure::NoSuchPath).body, json!({ "ok": false, "error": "not_found" }));
        let failure = Failure::from(FieldError::field("agent_id", "it is required"));
        let message = "Missing or invalid field: agent_id (it is required)";
        let body = json!({ "ok": false, "error": "request_failed", "message": message });
        assert_eq!(Answer::from(failure).body, body);
    }
}
