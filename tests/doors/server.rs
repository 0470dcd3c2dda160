//! A whole server on a port of its own, over a backlog of its own.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use issuecommand::api::Api;
use issuecommand::claims::{ClaimManager, EventStep, Index, Parts};
use issuecommand::config::{Config, ConfigSource, LiveConfig, RateLimitConfig, Secret, load};
use issuecommand::dispatch::{Dispatcher, DispatcherParts};
use issuecommand::domain::{Clock, EventSeq, ManualClock};
use issuecommand::github::FileSource;
use issuecommand::http::{HttpState, ServeLimits, router, serve};
use issuecommand::policy::PolicyHost;
use issuecommand::store::SqlStore;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use crate::described;

/// The key of every test server.
pub const KEY: &str = "a-key-for-tests";
/// Longest wait for what must happen.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// A server's configuration: with a key, without limits on callers, and with such on policies as a busy machine does not
/// reach: work is given out without a policy that is late.
pub fn config() -> Config {
    let mut config = Config::default();
    config.server.api_key = Secret::new(KEY);
    config.rate_limits.enabled = false;
    (config.policies.call_ms_max, config.policies.choose_ms_max) = (5000, 1000);
    config
}

/// Limits as small as they can be, refilled once a minute.
pub fn narrow() -> RateLimitConfig {
    let one = issuecommand::config::RateLimit { per_minute: 1, burst: 1 };
    RateLimitConfig { enabled: true, ip: one, principal: one, agent_mutations: one, sse_connect: one }
}

/// An open issue of acme/small, opened on the day of its number.
pub fn issue(number: u64, labels: &[&str]) -> Value {
    json!({
        "repo": "acme/small", "number": number, "title": format!("Issue {number}"), "body": format!("Text {number}"),
        "labels": labels, "created_at": format!("2026-01-{number:02}T00:00:00Z"),
    })
}

/// A claim manager over a new store, and what keeps it alive.
pub struct Inside {
    pub api: Api,
    pub store: Arc<SqlStore>,
    pub clock: Arc<ManualClock>,
    pub shutdown: CancellationToken,
    _ends_with_it: DropGuard,
    dir: TempDir,
}

impl Inside {
    /// With these settings, once this backlog is synced: what of it is not in repositories of `other`.
    pub async fn open(config: &Config, backlog: &[Value]) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("issuecommand.toml"), "").unwrap();
        let file = Some(dir.path().join("issuecommand.toml"));
        let mut loaded = load(&ConfigSource { file, env: BTreeMap::new(), dotenv: None }).unwrap();
        loaded.config = config.clone();
        loaded.config.store.path = dir.path().join("claims.db");

        let index = Index::empty();
        let store = SqlStore::open(&loaded.config.store, Arc::clone(&index) as _).unwrap();
        let lines: String = backlog.iter().map(|issue| format!("{issue}\n")).collect();
        let clock = Arc::new(ManualClock::at("2026-11-01T00:00:00Z".parse().unwrap()));
        let (store, live) = (Arc::new(store), LiveConfig::new(&loaded));
        let parts = Parts {
            store: Arc::clone(&store) as _,
            source: Arc::new(FileSource::from_text(&lines).unwrap()),
            index,
            // Compiled once for all tests.
            host: PolicyHost::new(Some(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("components"))).unwrap(),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            config: live.clone(),
            base_dir: dir.path().to_path_buf(),
        };
        let (manager, background) = ClaimManager::open(parts).await.unwrap();
        let shutdown = CancellationToken::new();
        background.start(&TaskTracker::new(), &shutdown);
        let admitted =
            backlog.iter().filter(|issue| issue["repo"].as_str().is_none_or(|repo| !repo.starts_with("other/")));
        synced(&manager, admitted.count()).await;
        let ends_with_it = shutdown.clone().drop_guard();
        let dispatcher = Dispatcher::open(DispatcherParts {
            manager: Arc::clone(&manager),
            store: Arc::clone(&store) as _,
            forge: None,
            config: live,
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            folder: dir.path().join("dispatch"),
            base_dir: dir.path().to_path_buf(),
            only: None,
            config_file: Some(dir.path().join("issuecommand.toml")),
        })
        .unwrap();
        let api = Api::new(manager, config).with_dispatcher(dispatcher);
        Self { api, store, clock, shutdown, _ends_with_it: ends_with_it, dir }
    }
}

impl Inside {
    /// The configuration file.
    pub fn config_file(&self) -> PathBuf {
        self.dir.path().join("issuecommand.toml")
    }

    /// The database, past the server.
    pub fn database(&self) -> rusqlite::Connection {
        rusqlite::Connection::open(self.dir.path().join("claims.db")).unwrap()
    }

    /// What the configuration file says.
    pub fn config_text(&self) -> String {
        std::fs::read_to_string(self.config_file()).unwrap()
    }

    /// The kinds of all events so far.
    pub async fn events(&self) -> Vec<&'static str> {
        let mut cursor = self.api.manager().events_after(Some(EventSeq(0)));
        let mut kinds = Vec::new();
        while let Ok(Ok(EventStep::Events(events))) = tokio::time::timeout(Duration::ZERO, cursor.next()).await {
            kinds.extend(events.iter().map(|event| event.draft.kind.as_str()));
        }
        kinds
    }
}

async fn synced(manager: &ClaimManager, count: usize) {
    let begun = Instant::now();
    while manager.health().open_issues != count || manager.health().last_github_sync_at.is_none() {
        assert!(begun.elapsed() < DEADLINE, "the backlog was not synced: {:?}", manager.health());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// A running server.
pub struct Server {
    pub inside: Inside,
    pub state: HttpState,
    pub base: String,
    client: reqwest::Client,
}

impl Server {
    /// With these settings and an empty backlog.
    pub async fn start(config: Config) -> Self {
        Self::over(config, &[]).await
    }

    /// With these settings, once this backlog is synced.
    pub async fn over(config: Config, backlog: &[Value]) -> Self {
        let inside = Inside::open(&config, backlog).await;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let clock = Arc::clone(&inside.clock) as Arc<dyn Clock>;
        let state = HttpState::new(inside.api.clone(), &config, clock, inside.shutdown.clone())
            .with_config_file(Some(inside.config_file()))
            .with_ping_interval(Duration::from_millis(50));
        let limits = ServeLimits::from(&config.server);
        tokio::spawn(serve(listener, router(&state), limits, inside.shutdown.clone()));
        Self { inside, state, base, client: reqwest::Client::new() }
    }

    /// A request without a key.
    pub fn bare(&self, method: Method, path: &str) -> RequestBuilder {
        self.client.request(method, format!("{}{path}", self.base))
    }

    /// A request with the key.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        self.bare(method, path).bearer_auth(KEY)
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        sent(self.request(Method::GET, path)).await
    }

    /// What is told there, once `is_so` holds of it.
    pub async fn wait_until(&self, path: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let begun = Instant::now();
        loop {
            let (_, body) = self.get(path).await;
            if is_so(&body) {
                return body;
            }
            assert!(begun.elapsed() < DEADLINE, "it never came to be, {path} tells {body}");
            // What is told there changes behind the answers, and no event says so.
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub async fn post(&self, path: &str, body: Value) -> (u16, Value) {
        sent(self.request(Method::POST, path).json(&body)).await
    }

    pub async fn patch(&self, path: &str, body: Value) -> (u16, Value) {
        sent(self.request(Method::PATCH, path).json(&body)).await
    }

    /// Lets time pass.
    pub fn pass(&self, minutes: i64) {
        self.inside.clock.advance(TimeDelta::minutes(minutes));
    }
}

/// Sends a request; its status and body, in which nothing is null, and which is as the description of the
/// API says.
pub async fn sent(request: RequestBuilder) -> (u16, Value) {
    let request = request.timeout(DEADLINE).build().unwrap();
    let (method, url) = (request.method().clone(), request.url().clone());
    let response = reqwest::Client::new().execute(request).await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    let body = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{status} {text:?} is no JSON: {error}"));
    assert!(!holds_null(&body), "absent fields are omitted, never null: {text}");
    described::hold(&method, &url, status, &body).await;
    (status, body)
}

fn holds_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(items) => items.iter().any(holds_null),
        Value::Object(fields) => fields.values().any(holds_null),
        _ => false,
    }
}
