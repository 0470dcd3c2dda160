//! Resources: read and watched over MCP, in both eras of the protocol.

use std::sync::Arc;
use std::time::Duration;

use issuecommand::config::ToolProfile;
use issuecommand::mcp::{self, Connection};
use reqwest::Method;
use rmcp::model::{
    ClientConfig, ReadResourceRequestParams, ResourceContents, ResourceUpdatedNotificationParam, ServerNotification,
    SubscribeRequestParams, SubscriptionFilter, UnsubscribeRequestParams,
};
use rmcp::service::{NotificationContext, RunningService, Subscription, SubscriptionEnd};
use rmcp::transport::StreamableHttpClientTransport;
use rmcp::transport::streamable_http_client::StreamableHttpClientTransportConfig;
use rmcp::{ClientHandler, ClientLifecycleMode, ClientServiceExt, RoleClient, ServiceExt};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::server::{DEADLINE, Inside, KEY, Server, config, issue};
use crate::tools::{body, client_of};

/// How long to watch for what must not come.
const WATCH: Duration = Duration::from_millis(200);

/// A client of the protocol up to 2025-11-25 that passes on the updates it hears of.
#[derive(Clone)]
struct Watcher(mpsc::UnboundedSender<String>);

impl ClientHandler for Watcher {
    async fn on_resource_updated(
        &self,
        update: ResourceUpdatedNotificationParam,
        _context: NotificationContext<RoleClient>,
    ) {
        self.0.send(update.uri).unwrap();
    }
}

struct Watching<H: ClientHandler> {
    client: RunningService<RoleClient, H>,
    updates: mpsc::UnboundedReceiver<String>,
}

impl Watching<Watcher> {
    async fn over_a_pipe(inside: &Inside) -> Self {
        let (near, far) = tokio::io::duplex(64 * 1024);
        let (reader, writer) = tokio::io::split(far);
        let connection = Connection { agent: Some("a".parse().unwrap()), profile: ToolProfile::Standard };
        tokio::spawn(mcp::serve_io(inside.api.clone(), connection, reader, writer, inside.shutdown.clone()));
        let (sender, updates) = mpsc::unbounded_channel();
        Self { client: Watcher(sender).serve(near).await.unwrap(), updates }
    }

    async fn over_http(server: &Server) -> Self {
        let (sender, updates) = mpsc::unbounded_channel();
        Self { client: Watcher(sender).serve(transport(server)).await.unwrap(), updates }
    }

    #[expect(deprecated, reason = "how clients of the older protocol ask")]
    async fn subscribe(&self, uri: &str) {
        self.client.subscribe(SubscribeRequestParams::new(uri)).await.unwrap();
    }

    async fn next(&mut self) -> String {
        tokio::time::timeout(DEADLINE, self.updates.recv()).await.expect("an update").unwrap()
    }

    async fn silence(&mut self) {
        let heard = tokio::time::timeout(WATCH, self.updates.recv()).await;
        assert!(heard.is_err(), "heard of {heard:?}");
    }
}

fn transport(server: &Server) -> StreamableHttpClientTransport<reqwest::Client> {
    let config = StreamableHttpClientTransportConfig::with_uri(format!("{}/mcp", server.base)).auth_header(KEY);
    StreamableHttpClientTransport::from_config(config)
}

async fn read<H: ClientHandler>(client: &RunningService<RoleClient, H>, uri: &str) -> Value {
    let read = client.read_resource(ReadResourceRequestParams::new(uri)).await.unwrap();
    let ResourceContents::TextResourceContents { text, mime_type, .. } = &read.contents[0] else { panic!("no text") };
    assert_eq!(mime_type.as_deref(), Some("application/json"));
    serde_json::from_str(text).unwrap()
}

async fn backlog() -> Inside {
    Inside::open(&config(), &[issue(1, &[]), issue(2, &[])]).await
}

#[tokio::test]
async fn what_can_be_read_is_listed_and_the_rest_found_by_template() {
    let inside = backlog().await;
    let client = client_of(&inside.api, Some("a")).await;
    let uris: Vec<_> = client.client.list_all_resources().await.unwrap().into_iter().map(|one| one.uri).collect();
    assert_eq!(uris, ["issuecommand://claims", "issuecommand://health"]);
    let templates = client.client.list_all_resource_templates().await.unwrap();
    let templates: Vec<_> = templates.into_iter().map(|one| one.uri_template).collect();
    assert_eq!(templates, ["issuecommand://claims/{claim_id}", "issuecommand://issues/{owner}/{repo}/{number}"]);

    let short = body(&client.call("next_work", json!({})).await)["claim"]["claim_id"].clone();
    let claims = read(&client.client, "issuecommand://claims").await;
    let claim = &claims["claims"][0];
    assert_eq!((&claim["agent_id"], &claim["status_history"][0]["status"]), (&json!("a"), &json!("claimed")));
    for id in [&claim["claim_id"], &short] {
        let uri = format!("issuecommand://claims/{}", id.as_str().unwrap());
        assert_eq!(read(&client.client, &uri).await["claim"]["claim_id"], claim["claim_id"]);
    }
    let issue = read(&client.client, "issuecommand://issues/Acme/small/1").await;
    assert_eq!((&issue["issue"]["body"], &issue["claimed_by"]), (&json!("Text 1"), &json!("a")));
    assert_eq!(read(&client.client, "issuecommand://health").await["health"]["active_claims"], 1);
}

#[tokio::test]
async fn a_claim_that_ended_can_still_be_read() {
    let inside = backlog().await;
    let client = client_of(&inside.api, Some("a")).await;
    client.call("next_work", json!({})).await;
    let id = read(&client.client, "issuecommand://claims").await["claims"][0]["claim_id"].clone();
    client.call("release_issue", json!({ "claim_id": id })).await;
    let uri = format!("issuecommand://claims/{}", id.as_str().unwrap());
    assert_eq!(read(&client.client, &uri).await["claim"]["status"], "released");
}

#[tokio::test]
async fn what_is_not_there_is_said_to_be_not_found() {
    let inside = backlog().await;
    let client = client_of(&inside.api, None).await;
    for uri in [
        "issuecommand://nothing",
        "issuecommand://claims/",
        "issuecommand://claims/0190a5d2-7e1c-7000-8000-000000000001",
        "issuecommand://claims/00000001",
        "issuecommand://issues/acme/small/99",
        "issuecommand://issues/acme/../1",
        "file:///etc/passwd",
    ] {
        let error = client.client.read_resource(ReadResourceRequestParams::new(uri)).await.unwrap_err();
        assert!(error.to_string().contains("-32002"), "{uri}: {error}");
    }
}

#[tokio::test]
async fn a_watcher_on_a_pipe_hears_of_what_it_watches_only() {
    let inside = backlog().await;
    let mut watching = Watching::over_a_pipe(&inside).await;
    watching.subscribe("issuecommand://issues/Acme/Small/1").await;
    let other = client_of(&inside.api, Some("b")).await;
    let claim = |number: u64| json!({ "repo": "acme/small", "issue_number": number });
    other.call("claim_issue", claim(2)).await;
    watching.silence().await;
    let id = body(&other.call("claim_issue", claim(1)).await)["claim"]["claim_id"].clone();
    assert_eq!(watching.next().await, "issuecommand://issues/Acme/Small/1", "in the watcher's own spelling");
    watching.subscribe(&format!("issuecommand://claims/{}", id.as_str().unwrap())).await;
    other.call("update_claim_status", json!({ "claim_id": id, "status": "in_progress" })).await;
    let heard = [watching.next().await, watching.next().await];
    assert!(heard.iter().any(|uri| uri.starts_with("issuecommand://claims/")), "{heard:?}");
    #[expect(deprecated, reason = "how clients of the older protocol ask")]
    for uri in &heard {
        watching.client.unsubscribe(UnsubscribeRequestParams::new(uri)).await.unwrap();
    }
    other.call("release_issue", json!({ "claim_id": id })).await;
    watching.silence().await;
}

#[tokio::test]
async fn only_what_there_is_can_be_watched_and_not_without_end() {
    let inside = backlog().await;
    let watching = Watching::over_a_pipe(&inside).await;
    #[expect(deprecated, reason = "how clients of the older protocol ask")]
    let refusal = async |uri: String| watching.client.subscribe(SubscribeRequestParams::new(uri)).await.unwrap_err();
    assert!(refusal("issuecommand://nothing".into()).await.to_string().contains("-32002"));
    for number in 1..=256 {
        watching.subscribe(&format!("issuecommand://issues/acme/small/{number}")).await;
    }
    watching.subscribe("issuecommand://issues/acme/small/256").await;
    assert!(refusal("issuecommand://claims".into()).await.to_string().contains("more than 256"));
}

#[tokio::test]
async fn a_watcher_over_http_hears_in_its_session() {
    let server = Server::over(config(), &[issue(1, &[])]).await;
    let mut watching = Watching::over_http(&server).await;
    watching.subscribe("issuecommand://claims").await;
    server.post("/api/next", json!({ "agent_id": "b" })).await;
    assert_eq!(watching.next().await, "issuecommand://claims");
    assert_eq!(read(&watching.client, "issuecommand://claims").await["claims"][0]["agent_id"], "b");
}

/// A client of the protocol from 2026-07-28 on, over HTTP.
async fn modern(server: &Server) -> RunningService<RoleClient, ClientConfig> {
    let mode = ClientLifecycleMode::Discover { preferred_versions: vec![rmcp::model::ProtocolVersion::V_2026_07_28] };
    ClientConfig::default().serve_with_lifecycle(transport(server), mode).await.unwrap()
}

async fn update(subscription: &mut Subscription) -> String {
    let heard = tokio::time::timeout(DEADLINE, subscription.next()).await.expect("an update").unwrap();
    match heard {
        Some(ServerNotification::ResourceUpdatedNotification(update)) => update.params.uri,
        other => panic!("{other:?} is no update"),
    }
}

fn of(uris: &[&str]) -> SubscriptionFilter {
    SubscriptionFilter::builder().resource_subscriptions(uris.iter().copied()).build()
}

#[tokio::test]
async fn a_listener_of_the_newest_protocol_hears_until_the_server_ends() {
    let server = Server::over(config(), &[issue(1, &[]), issue(2, &[])]).await;
    let client = modern(&server).await;
    let mut listening =
        client.listen(of(&["issuecommand://issues/acme/small/1", "issuecommand://nothing"])).await.unwrap();
    assert_eq!(listening.acknowledged(), &of(&["issuecommand://issues/acme/small/1"]));
    let claim = |number: u64| json!({ "agent_id": "b", "repo": "acme/small", "issue_number": number });
    server.post("/api/claims", claim(2)).await;
    server.post("/api/claims", claim(1)).await;
    assert_eq!(update(&mut listening).await, "issuecommand://issues/acme/small/1");
    server.inside.shutdown.cancel();
    let end = tokio::time::timeout(DEADLINE, listening.next()).await.expect("the end");
    assert!(end.is_err() || end.unwrap().is_none());
    assert!(!matches!(listening.end(), Some(SubscriptionEnd::Cancelled)));
}

/// Messages of the newest protocol, line by line.
fn line(id: u64, method: &str, params: Value) -> String {
    let mut params = params;
    params["_meta"] = json!({
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": { "name": "t", "version": "1" },
        "io.modelcontextprotocol/clientCapabilities": {},
    });
    format!("{}\n", json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }))
}

#[tokio::test]
async fn a_client_on_a_pipe_that_listens_and_leaves_is_not_waited_for() {
    let inside = backlog().await;
    let (near, far) = tokio::io::duplex(64 * 1024);
    let (reader, writer) = tokio::io::split(far);
    let served = mcp::serve_io(inside.api.clone(), Connection::default(), reader, writer, CancellationToken::new());
    let served = tokio::spawn(served);
    let (mut answers, mut requests) = tokio::io::split(near);
    requests.write_all(line(1, "server/discover", json!({})).as_bytes()).await.unwrap();
    let listen = json!({ "notifications": { "resourceSubscriptions": ["issuecommand://claims"] } });
    requests.write_all(line(2, "subscriptions/listen", listen).as_bytes()).await.unwrap();
    let mut heard = String::new();
    while !heard.contains("notifications/subscriptions/acknowledged") {
        let mut bytes = [0; 4096];
        let count = tokio::time::timeout(DEADLINE, answers.read(&mut bytes)).await.expect("an answer").unwrap();
        assert!(count > 0, "ended after {heard}");
        heard.push_str(&String::from_utf8_lossy(&bytes[..count]));
    }
    requests.shutdown().await.unwrap();
    let begun = std::time::Instant::now();
    tokio::time::timeout(DEADLINE, served).await.expect("the end").unwrap().unwrap();
    assert!(begun.elapsed() < Duration::from_secs(2), "waited {:?} for a stream that never ends", begun.elapsed());
}

#[tokio::test]
async fn a_listener_that_reads_nothing_costs_others_nothing() {
    let inside = Arc::new(Inside::open(&config(), &[issue(1, &[])]).await);
    let (near, far) = tokio::io::duplex(1024);
    let (reader, writer) = tokio::io::split(far);
    tokio::spawn(mcp::serve_io(inside.api.clone(), Connection::default(), reader, writer, CancellationToken::new()));
    let (_unread, mut requests) = tokio::io::split(near);
    requests.write_all(line(1, "server/discover", json!({})).as_bytes()).await.unwrap();
    let listen =
        json!({ "notifications": { "resourceSubscriptions": ["issuecommand://claims", "issuecommand://health"] } });
    requests.write_all(line(2, "subscriptions/listen", listen).as_bytes()).await.unwrap();
    let mut watching = Watching::over_a_pipe(&inside).await;
    watching.subscribe("issuecommand://claims").await;
    let worker = client_of(&inside.api, Some("b")).await;
    for _ in 0..200 {
        let got = body(&worker.call("next_work", json!({})).await);
        let id = got["claim"]["claim_id"].as_str().unwrap_or_else(|| panic!("{got}"));
        watching.next().await;
        let released = body(&worker.call("release_issue", json!({ "claim_id": id })).await);
        assert_eq!(released["ok"], true, "{released}");
    }
}

#[tokio::test]
async fn a_session_that_its_client_ended_is_over() {
    let server = Server::over(config(), &[]).await;
    let accept = "application/json, text/event-stream";
    let greeting = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } } });
    let greeted = server.request(Method::POST, "/mcp").header("Accept", accept).json(&greeting).send().await.unwrap();
    let session = greeted.headers()["mcp-session-id"].to_str().unwrap().to_owned();
    assert!(greeted.text().await.unwrap().contains(r#""protocolVersion":"2025-11-25""#));
    let list = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list" });
    let ask = async |method: Method, session: &str| {
        let request = server.request(method, "/mcp").header("Accept", accept).header("Mcp-Session-Id", session);
        let answer = request.header("MCP-Protocol-Version", "2025-11-25").json(&list).send().await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let (status, listed) = ask(Method::POST, &session).await;
    assert!(status == 200 && listed.contains("next_work"), "{listed}");
    assert_eq!(ask(Method::DELETE, &session).await.0, 202);
    for method in [Method::POST, Method::GET, Method::DELETE] {
        assert_eq!(ask(method.clone(), &session).await.0, 404, "{method}");
    }
    // One that a server before this one gave: what needs no session goes on.
    assert_eq!(ask(Method::POST, "of-another-life").await.0, 200);
    assert_eq!(ask(Method::GET, "of-another-life").await.0, 404);
}
