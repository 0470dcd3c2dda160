//! `/mcp`: Streamable HTTP, with sessions for those that can use one and without for all others.
//!
//! Each request is complete alone, so any client may come back at any time, to a server that was
//! restarted too. A client of the protocol up to 2025-11-25 also gets a session when it greets: only
//! there can it be told of updates. A session that is gone costs a client those, and nothing else.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::extract::Request;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};
use parking_lot::Mutex;
use rmcp::transport::streamable_http_server::session::local::{LocalSessionManager, SessionConfig};
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use serde::Deserialize;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::batch;
use super::lasting::LastingBody;
use super::sessions::{InSession, SESSION_COUNT_MAX, Sessions};
use super::{Connection, IssueCommandTools};
use crate::api::{Api, Identity};
use crate::config::{ServerConfig, ToolProfile};

/// How long a session without a word from either side is kept. Ours: a working day; a client that
/// ended without saying so leaves little behind.
const SESSION_IDLE_MAX: Duration = Duration::from_secs(8 * 3600);

const SESSION_HEADER: &str = "mcp-session-id";

/// Who answers.
#[cfg(not(feature = "conformance"))]
type Handler = IssueCommandTools;
#[cfg(feature = "conformance")]
type Handler = super::conformance::WithFixtures;

fn handler(tools: IssueCommandTools) -> Handler {
    #[cfg(not(feature = "conformance"))]
    return tools;
    #[cfg(feature = "conformance")]
    return super::conformance::WithFixtures(tools);
}

/// The MCP door of the HTTP server.
#[derive(Clone)]
pub struct McpDoor {
    alone: StreamableHttpService<Handler, NeverSessionManager>,
    in_session: StreamableHttpService<Handler, LocalSessionManager>,
    sessions: Sessions,
    api: Api,
    /// Sessions that their clients ended, the newest last: a call in one of them is a mistake.
    ended: Arc<Mutex<VecDeque<HeaderValue>>>,
    body_bytes_max: usize,
}

impl std::fmt::Debug for McpDoor {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("McpDoor").finish_non_exhaustive()
    }
}

impl McpDoor {
    /// The door to `api`, which lists the tools of `profile` to who asks for no other. Names of hosts
    /// other than this machine, and web pages, must be allowed by the configuration.
    pub fn new(api: Api, server: &ServerConfig, profile: ToolProfile, shutdown: CancellationToken) -> Self {
        let mut hosts = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
        if !server.host.is_unspecified() {
            hosts.push(server.host.to_string());
        }
        hosts.extend(server.allowed_hosts.iter().cloned());
        // Pages that this machine serves; without a key the gate lets only this server's own ones in.
        let own = ["localhost", "127.0.0.1", "[::1]"].map(|host| format!("http://{host}:*"));
        let origins = own.into_iter().chain(server.allowed_origins.iter().cloned());
        let config = StreamableHttpServerConfig::default()
            .with_json_response(true)
            .with_allowed_hosts(hosts)
            .with_allowed_origins(origins)
            .enforce_origin_validation()
            .with_max_request_body_bytes(server.body_bytes_max)
            .with_cancellation_token(shutdown.clone());
        let served = api.clone();
        let tools = move || {
            let connection = Connection { agent: None, profile };
            Ok(handler(IssueCommandTools::new(served.clone(), connection, shutdown.child_token())))
        };
        let mut local = LocalSessionManager::default();
        local.session_config = {
            let mut config = SessionConfig::default();
            config.keep_alive = Some(SESSION_IDLE_MAX);
            config
        };
        let local = Arc::new(local);
        let alone = config.clone().with_legacy_session_mode(false);
        Self {
            alone: StreamableHttpService::new(tools.clone(), Arc::new(NeverSessionManager::default()), alone),
            in_session: StreamableHttpService::new(tools, Arc::clone(&local), config),
            sessions: Sessions::new(local),
            api,
            ended: Arc::default(),
            body_bytes_max: server.body_bytes_max,
        }
    }

    /// Answers one request, or each of those that came in one.
    pub async fn answer(&self, request: Request) -> Response {
        if request.method() != Method::POST {
            return self.answer_one(request).await;
        }
        let (parts, body) = request.into_parts();
        let Ok(bytes) = to_bytes(body, self.body_bytes_max).await else {
            return (StatusCode::PAYLOAD_TOO_LARGE, "the body is too large, or did not arrive").into_response();
        };
        match batch::messages_in(&bytes) {
            Some(messages) => batch::answer_each(parts, messages, |request| self.answer_one(request)).await,
            None => self.answer_one(Request::from_parts(parts, Body::from(bytes))).await,
        }
    }

    async fn answer_one(&self, request: Request) -> Response {
        let identity = request.extensions().get::<Identity>().cloned();
        let (response, session) = match self.way_of(request).await {
            Way::InSession(mut request) => {
                request.extensions_mut().insert(InSession);
                let named = session_in(request.headers());
                let response = self.in_session.handle(request).await;
                let session = named.or_else(|| session_in(response.headers()));
                (response, session)
            }
            Way::Alone(request) => (self.alone.handle(request).await, None),
            Way::Nowhere(response) => return response,
        };
        let open = session.as_deref().map(|session| self.sessions.begin_answer(session));
        let is_stream = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "text/event-stream");
        let Some(identity) = identity.filter(|_| is_stream) else { return response.map(Body::new) };
        let (sessions, runtime) = (self.sessions.clone(), Handle::current());
        response.map(|body| {
            let body = LastingBody::new(Body::new(body), self.api.clone(), identity, open);
            Body::new(body.on_end(move || {
                if let Some(session) = session {
                    runtime.spawn(async move { sessions.end(&session).await });
                }
            }))
        })
    }

    async fn way_of(&self, request: Request) -> Way {
        if let Some(named) = request.headers().get(SESSION_HEADER) {
            return match self.sessions.has(named.to_str().unwrap_or_default()).await {
                true => {
                    if request.method() == Method::DELETE {
                        self.note_ended(named.clone());
                    }
                    Way::InSession(request)
                }
                // A stream can only be had in a session, so its loss is told; a call can do without.
                _ if request.method() != Method::POST || self.ended.lock().contains(named) => {
                    Way::Nowhere(no_such_session())
                }
                _ => Way::Alone(request),
            };
        }
        // The newest protocol names its method in a header, and has no sessions.
        if request.method() != Method::POST || request.headers().contains_key("mcp-method") {
            return Way::Alone(request);
        }
        let (parts, body) = request.into_parts();
        let bytes = to_bytes(body, self.body_bytes_max).await.unwrap_or_default();
        let greets = is_greeting(&bytes) && self.sessions.make_room().await;
        let request = Request::from_parts(parts, Body::from(bytes));
        if greets { Way::InSession(request) } else { Way::Alone(request) }
    }

    fn note_ended(&self, session: HeaderValue) {
        let mut ended = self.ended.lock();
        if ended.len() == SESSION_COUNT_MAX {
            ended.pop_front();
        }
        ended.push_back(session);
    }
}

fn session_in(headers: &HeaderMap) -> Option<String> {
    headers.get(SESSION_HEADER)?.to_str().ok().map(str::to_owned)
}

/// Where a request is served.
enum Way {
    InSession(Request),
    Alone(Request),
    Nowhere(Response),
}

fn no_such_session() -> Response {
    (StatusCode::NOT_FOUND, "there is no such session: it ended, or the server was restarted").into_response()
}

/// Whether a message opens a connection.
fn is_greeting(message: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Message<'m> {
        #[serde(borrow)]
        method: std::borrow::Cow<'m, str>,
    }
    serde_json::from_slice::<Message<'_>>(message).is_ok_and(|message| message.method == "initialize")
}
