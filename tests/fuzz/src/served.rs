//! A server with a small backlog, asked within this process; and what comes to it over HTTP.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, header};
use hmac::{Hmac, KeyInit, Mac};
use http_body_util::BodyExt;
use issuecommand::api::Api;
use issuecommand::config::{ConfigSource, Secret, load};
use issuecommand::domain::SystemClock;
use issuecommand::http::{HttpState, router};
use issuecommand::server::{Server, Start};
use serde_json::Value;
use sha2::Sha256;
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

const SECRET: &str = "a-secret-for-tests";
/// Longest time for an answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// GitHub's events; the first byte of a delivery says which.
const EVENTS: [&str; 12] = [
    "issues",
    "issue_comment",
    "pull_request",
    "pull_request_review",
    "pull_request_review_comment",
    "check_run",
    "check_suite",
    "status",
    "label",
    "repository",
    "ping",
    "sub_issues",
];
const SETTINGS: &str = r#"
[server]
port = 0
[log]
level = "off"
[store]
path = "claims.db"
history_max_entries = 200
event_max_entries = 500
decision_max_entries = 200
follow_up_max_entries = 200
delivery_max_entries = 200
[github]
issues_file = "backlog.jsonl"
[rate_limits]
enabled = false
[webhooks]
secret = "a-secret-for-tests"
[containers]
runtime = "no-such-runtime"
"#;

/// A server, and the ways to it that need no network.
pub struct Served {
    pub runtime: Runtime,
    pub shutdown: CancellationToken,
    server: Server,
    router: Router,
    /// What it says of itself at `/openapi.json`.
    description: Value,
    delivery_count: AtomicU64,
    _folder: TempDir,
}

/// One for all inputs: what one leaves behind, the next must bear.
pub static SERVED: LazyLock<Served> = LazyLock::new(Served::start);

impl Served {
    fn start() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let backlog: String = (1..=5)
            .map(|n| format!("{{\"repo\":\"acme/small\",\"number\":{n},\"title\":\"Issue {n}\",\"labels\":[\"bug\"],\"created_at\":\"2026-01-0{n}T00:00:00Z\"}}\n"))
            .collect();
        fs::write(folder.path().join("backlog.jsonl"), backlog).unwrap();
        let file = folder.path().join("issuecommand.toml");
        fs::write(&file, SETTINGS).unwrap();
        let source = ConfigSource { file: Some(file), env: BTreeMap::new(), dotenv: None };
        let loaded = load(&source).unwrap();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let (server, router, shutdown, description) = runtime.block_on(async {
            let config = loaded.config.clone();
            let start = Start { loaded, source: None, local: None, only: None };
            let server = Server::start(start).await.unwrap();
            while server.manager().health().open_issues != 5 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let shutdown = CancellationToken::new();
            let clock = std::sync::Arc::new(SystemClock);
            let router = router(&HttpState::new(server.api().clone(), &config, clock, shutdown.clone()));
            let asked = Request::get("/openapi.json").body(Body::empty()).unwrap();
            let (_, body) = answered(&router, asked).await.unwrap();
            (server, router, shutdown, serde_json::from_slice(&body).unwrap())
        });
        Self { runtime, shutdown, server, router, description, delivery_count: AtomicU64::new(0), _folder: folder }
    }

    pub fn api(&self) -> Api {
        self.server.api().clone()
    }

    /// Asks, and holds the answer to what every answer must be.
    fn ask(&self, request: Request<Body>) {
        let (method, path) = (request.method().as_str().to_ascii_lowercase(), request.uri().path().to_owned());
        let Some((status, body)) = self.runtime.block_on(answered(&self.router, request)) else { return };
        // 502 and 503 say that what the server needs is away: GitHub, podman.
        assert!(status < 500 || matches!(status, 502 | 503), "{method} {path}: {status} {}", text(&body));
        let Some(operation) = self.operation(&method, &path) else { return };
        assert!(operation["responses"].get(status.to_string()).is_some(), "{method} {path}: {status} is not described");
    }

    fn operation(&self, method: &str, path: &str) -> Option<&Value> {
        let parts: Vec<&str> = path.split('/').collect();
        let fits = |template: &str| {
            let own: Vec<&str> = template.split('/').collect();
            own.len() == parts.len() && own.iter().zip(&parts).all(|(own, part)| own.starts_with('{') || own == part)
        };
        let paths = self.description["paths"].as_object()?;
        // What is spelled out comes before what a variable stands for.
        let found =
            paths.keys().filter(|template| fits(template)).min_by_key(|template| template.matches('{').count())?;
        paths[found].get(method)
    }
}

/// The status and the body of an answer; of a stream nothing, for it has no end.
async fn answered(router: &Router, mut request: Request<Body>) -> Option<(u16, Vec<u8>)> {
    request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 999))));
    let answer = timeout(PATIENCE, router.clone().oneshot(request)).await.expect("an answer comes").unwrap();
    let status = answer.status().as_u16();
    let kind = answer.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let is_json = kind.starts_with("application/json");
    if kind.starts_with("text/event-stream") {
        return None;
    }
    let body = timeout(PATIENCE, answer.into_body().collect()).await.expect("it ends").unwrap().to_bytes().to_vec();
    if is_json {
        let _: Value = serde_json::from_slice(&body).unwrap_or_else(|error| panic!("{error}: {}", text(&body)));
    }
    Some((status, body))
}

fn text(body: &[u8]) -> String {
    String::from_utf8_lossy(body).chars().take(300).collect()
}

/// A request: its first line is method and path, the rest its body.
///
/// # Panics
/// When the answer is none that is described, or the server's own fault.
pub fn http(data: &[u8]) {
    let mut lines = data.splitn(2, |byte| *byte == b'\n');
    let (head, body) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let Some((method, path)) = std::str::from_utf8(head).ok().and_then(|head| head.split_once(' ')) else { return };
    // Waiting for work is not what is looked for.
    if data.windows(12).any(|part| part == b"wait_seconds") {
        return;
    }
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header(header::HOST, "localhost")
        .header(header::ACCEPT, "application/json, text/event-stream")
        .header(header::CONTENT_TYPE, "application/json");
    if let Ok(request) = request.body(Body::from(body.to_vec())) {
        SERVED.ask(request);
    }
}

/// A delivery of GitHub's, signed as it must be: the first byte says of which event.
///
/// # Panics
/// When the answer is none that is described, or the server's own fault.
pub fn webhook(data: &[u8]) {
    let Some((event, body)) = data.split_first() else { return };
    let mut mac = Hmac::<Sha256>::new_from_slice(Secret::new(SECRET).expose().as_bytes()).unwrap();
    mac.update(body);
    let delivery = SERVED.delivery_count.fetch_add(1, Ordering::Relaxed);
    let request = Request::post("/api/webhooks/github")
        .header(header::HOST, "localhost")
        .header(header::CONTENT_TYPE, "application/json")
        .header("x-github-event", EVENTS[usize::from(*event) % EVENTS.len()])
        .header("x-github-delivery", format!("fuzz-{delivery}"))
        .header("x-hub-signature-256", format!("sha256={}", hex::encode(mac.finalize().into_bytes())))
        .body(Body::from(body.to_vec()));
    SERVED.ask(request.unwrap());
}
