//! A whole server on a port of its own.

use std::sync::Arc;

use issuecommand::api::Api;
use issuecommand::claims::ClaimManager;
use issuecommand::config::{Config, RateLimitConfig, Secret};
use issuecommand::domain::SystemClock;
use issuecommand::http::{HttpState, ServeLimits, router, serve};
use reqwest::{Method, RequestBuilder};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// The key of every test server.
pub const KEY: &str = "a-key-for-tests";

/// A server's configuration: with a key, without limits.
pub fn config() -> Config {
    let mut config = Config::default();
    config.server.api_key = Secret::new(KEY);
    config.rate_limits.enabled = false;
    config
}

/// Limits as small as they can be, refilled once a minute.
pub fn narrow() -> RateLimitConfig {
    let one = issuecommand::config::RateLimit { per_minute: 1, burst: 1 };
    RateLimitConfig { enabled: true, ip: one, principal: one, agent_mutations: one, sse_connect: one }
}

pub fn api(config: &Config) -> Api {
    Api::new(Arc::new(ClaimManager {}), config)
}

/// A running server.
pub struct Server {
    pub state: HttpState,
    pub base: String,
    client: reqwest::Client,
    _shutdown: tokio_util::sync::DropGuard,
    _ended: JoinHandle<()>,
}

impl Server {
    pub async fn start(config: Config) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let shutdown = CancellationToken::new();
        let state = HttpState::new(api(&config), &config, Arc::new(SystemClock), shutdown.clone());
        let limits = ServeLimits::from(&config.server);
        let ended = tokio::spawn(serve(listener, router(&state), limits, shutdown.clone()));
        Self { state, base, client: reqwest::Client::new(), _shutdown: shutdown.drop_guard(), _ended: ended }
    }

    /// A request without a key.
    pub fn bare(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }

    /// A request with the key.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.bare(method, path).bearer_auth(KEY)
    }
}

/// Sends a request; its status and body.
pub async fn sent(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    (status, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{status} {text:?} is no JSON: {error}")))
}
