//! The calls of opencode's HTTP interface that are needed here.

use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, Response};
use serde_json::{Value, json};

use super::{AGENT, Model};
use crate::config::Secret;
use crate::dispatch::agent::hearing::{bounded, refused};
use crate::dispatch::agent::{AgentError, Ground};

/// Longest time for one call, in seconds; the event stream has none.
const CALL_SECONDS_MAX: u64 = 30;
/// Longest wait for a word on its health while it starts, in seconds: answered in 30 ms once it is there.
const HEALTH_SECONDS_MAX: u64 = 1;
/// Most bytes of a refusal that are told.
const REFUSAL_BYTES_MAX: usize = 500;

/// Where an opencode server is, and how it lets in.
#[derive(Debug, Clone)]
pub struct Door {
    client: Client,
    root: String,
    password: Secret,
}

impl Door {
    /// The server in a container.
    pub async fn new(ground: &Ground, port: u16) -> Result<Self, AgentError> {
        let address = ground.runtime.address(&ground.container, port).await?;
        // It is on this machine: no proxy is between.
        let client = Client::builder().no_proxy().build();
        let client = client.map_err(|why| refused(AGENT, "be spoken to", &why.to_string()))?;
        Ok(Self { client, root: format!("http://{address}"), password: ground.password.clone() })
    }

    /// Its version. A server that is just starting takes a connection and never answers it: the next try gets one.
    pub async fn version(&self) -> Result<String, AgentError> {
        let what = "tell its health";
        let asked = tokio::time::timeout(Duration::from_secs(HEALTH_SECONDS_MAX), self.get("/global/health", what));
        let health = asked.await.map_err(|_| refused(AGENT, what, "it did not answer"))??;
        Ok(health["version"].as_str().unwrap_or_default().to_owned())
    }

    /// Opens a session and answers its id.
    pub async fn session_create(&self) -> Result<String, AgentError> {
        let what = "open a session";
        let session = self.post("/session", &json!({}), what).await?;
        session["id"].as_str().map(str::to_owned).ok_or_else(|| refused(AGENT, what, "it named none"))
    }

    /// Every message of a session, oldest first, as `{info, parts}`.
    pub async fn messages(&self, session: &str) -> Result<Vec<Value>, AgentError> {
        list(self.get(&format!("/session/{session}/message"), "tell what was said").await?)
    }

    /// Whether a session does nothing now; those are not listed.
    pub async fn is_idle(&self, session: &str) -> Result<bool, AgentError> {
        let all = self.get("/session/status", "tell what it does").await?;
        Ok(matches!(all[session]["type"].as_str(), None | Some("idle")))
    }

    /// Questions that wait.
    pub async fn questions(&self) -> Result<Vec<Value>, AgentError> {
        list(self.get("/question", "tell its questions").await?)
    }

    /// Permissions that it waits for.
    pub async fn permissions(&self) -> Result<Vec<Value>, AgentError> {
        list(self.get("/permission", "tell what it wants to be allowed").await?)
    }

    /// Begins a turn.
    pub async fn prompt(&self, session: &str, text: &str, model: &Model) -> Result<(), AgentError> {
        let mut body = json!({"parts": [{"type": "text", "text": text}]});
        if let Some((provider, model)) = model {
            body["model"] = json!({"providerID": provider, "modelID": model});
        }
        self.post(&format!("/session/{session}/prompt_async"), &body, "take a prompt").await.map(drop)
    }

    /// Ends the turn under way.
    pub async fn abort(&self, session: &str) -> Result<(), AgentError> {
        self.post(&format!("/session/{session}/abort"), &json!({}), "be aborted").await.map(drop)
    }

    /// Answers a question of several parts.
    pub async fn question_reply(&self, id: &str, answers: &[Vec<&str>]) -> Result<(), AgentError> {
        let body = json!({"answers": answers});
        self.post(&format!("/question/{id}/reply"), &body, "take an answer").await.map(drop)
    }

    /// Allows something once, or does not.
    pub async fn permission_reply(&self, id: &str, allow: bool) -> Result<(), AgentError> {
        let body = json!({"reply": if allow { "once" } else { "reject" }});
        self.post(&format!("/permission/{id}/reply"), &body, "be told what it may").await.map(drop)
    }

    /// The stream of what happens from now on.
    pub async fn events(&self) -> Result<Response, AgentError> {
        let what = "tell what happens";
        let sent =
            tokio::time::timeout(Duration::from_secs(CALL_SECONDS_MAX), self.request(Method::GET, "/event").send());
        let answer = sent.await.map_err(|_| refused(AGENT, what, "it did not answer"))?;
        accepted(answer.map_err(|why| refused(AGENT, what, &why.to_string()))?, what).await
    }

    async fn get(&self, path: &str, what: &str) -> Result<Value, AgentError> {
        self.answer(self.request(Method::GET, path), what).await
    }

    async fn post(&self, path: &str, body: &Value, what: &str) -> Result<Value, AgentError> {
        self.answer(self.request(Method::POST, path).json(body), what).await
    }

    fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.root)).basic_auth(AGENT, Some(self.password.expose()))
    }

    async fn answer(&self, request: RequestBuilder, what: &str) -> Result<Value, AgentError> {
        let sent = request.timeout(Duration::from_secs(CALL_SECONDS_MAX)).send().await;
        let answer = accepted(sent.map_err(|why| refused(AGENT, what, &why.to_string()))?, what).await?;
        let text = answer.bytes().await.map_err(|why| refused(AGENT, what, &why.to_string()))?;
        if text.is_empty() {
            return Ok(Value::Null);
        }
        serde_json::from_slice(&text).map_err(|why| refused(AGENT, what, &format!("its answer is no JSON: {why}")))
    }
}

async fn accepted(answer: Response, what: &str) -> Result<Response, AgentError> {
    let status = answer.status();
    if status.is_success() {
        return Ok(answer);
    }
    let said = answer.text().await.unwrap_or_default();
    Err(refused(AGENT, what, &format!("{status}: {}", bounded(&said, REFUSAL_BYTES_MAX))))
}

fn list(value: Value) -> Result<Vec<Value>, AgentError> {
    match value {
        Value::Array(items) => Ok(items),
        other => Err(refused(AGENT, "be understood", &format!("not a list: {}", bounded(&other.to_string(), 80)))),
    }
}
