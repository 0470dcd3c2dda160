//! Traces, as a collector gets them: over OTLP, from the real binary.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message;
use serde_json::{Value, json};
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::harness::{Home, PATIENCE, issue};

/// A trace that somebody else began.
const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const PARENT: &str = "b7ad6b7169203331";
/// So that tests need not wait for a batch.
const SOON: (&str, &str) = ("OTEL_BSP_SCHEDULE_DELAY", "100");

type Batches = Arc<Mutex<Vec<ExportTraceServiceRequest>>>;

/// Takes traces, and keeps them.
async fn collector() -> (String, Batches) {
    let batches = Batches::default();
    let take = async |State(batches): State<Batches>, body: Bytes| {
        let batch = ExportTraceServiceRequest::decode(body).expect("OTLP as protobuf");
        batches.lock().unwrap().push(batch);
        StatusCode::OK
    };
    let router = Router::new().route("/v1/traces", post(take)).with_state(Arc::clone(&batches));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    (format!("http://{address}"), batches)
}

/// Every span that was taken.
fn spans(batches: &Batches) -> Vec<Span> {
    let batches = batches.lock().unwrap();
    let resources = batches.iter().flat_map(|batch| &batch.resource_spans);
    resources.flat_map(|of| &of.scope_spans).flat_map(|of| of.spans.clone()).collect()
}

/// The spans below one, by name.
fn below<'s>(spans: &'s [Span], parent: &Span) -> BTreeMap<&'s str, &'s Span> {
    let of_parent = spans.iter().filter(|span| span.parent_span_id == parent.span_id);
    of_parent.map(|span| (span.name.as_str(), span)).collect()
}

fn attributes(span: &Span) -> String {
    format!("{:?}", span.attributes)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_for_work_is_a_tree_from_the_request_to_the_commit() {
    let (endpoint, batches) = collector().await;
    let issues: Vec<Value> = (1..=3).map(|number| issue("acme/small", number, &["bug"])).collect();
    let home = Home::new(&issues, "");
    let server = home.serve_with(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint), ("API_KEY", "the-key"), SOON]);
    let deadline = Instant::now() + PATIENCE;
    // Before the backlog is there, there is nothing to give.
    loop {
        let request = server.client.post(format!("{}/api/next", server.url)).bearer_auth("the-key");
        let request = request.header("traceparent", format!("00-{TRACE}-{PARENT}-01"));
        let answer = request.json(&json!({ "agent_id": "an-agent" })).send().await.unwrap();
        if answer.status() == 200 {
            break;
        }
        assert!(Instant::now() < deadline, "{}", answer.text().await.unwrap());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // What was not sent yet is sent at the end.
    assert!(server.stop());

    let spans = spans(&batches);
    let parent = hex::decode(PARENT).unwrap();
    let answered = |span: &&Span| span.parent_span_id == parent && attributes(span).contains("IntValue(200)");
    let request = spans.iter().find(answered).unwrap_or_else(|| panic!("no such request in {spans:#?}"));
    assert_eq!((request.name.as_str(), hex::encode(&request.trace_id).as_str()), ("POST /api/next", TRACE));
    let calls = below(&spans, request);
    let call = calls["next"];
    assert!(attributes(call).contains("call.status"), "{call:?}");
    let steps = below(&spans, call);
    let names: Vec<_> = steps.keys().copied().collect();
    assert!(names.contains(&"ranker choose") && names.contains(&"store.commit"), "{names:?}");
    assert!(steps.values().all(|step| step.trace_id == request.trace_id));
    // The parts lie within the whole.
    for step in steps.values() {
        assert!(step.start_time_unix_nano >= call.start_time_unix_nano, "{step:?} of {call:?}");
        assert!(step.end_time_unix_nano <= call.end_time_unix_nano, "{step:?} of {call:?}");
    }

    // What is known of issues, people and keys is in none of them.
    let told = format!("{:?}", batches.lock().unwrap());
    for word in ["Issue 1", "Issue 2", "acme", "an-agent", "the-key"] {
        assert!(!told.contains(word), "{word} was told to the collector: {told}");
    }
    assert!(told.contains("service.name") && told.contains("issuecommand"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_to_github_is_told_without_what_it_was_for() {
    let (endpoint, batches) = collector().await;
    let github = MockServer::start().await;
    Mock::given(any()).respond_with(ResponseTemplate::new(200).set_body_json(json!([]))).mount(&github).await;
    let home = Home::new(&[], "");
    std::fs::write(home.path("issuecommand.toml"), "[server]\nport = 0\n[store]\npath = \"claims.db\"\n").unwrap();
    let uri = github.uri();
    let env =
        [("GITHUB_TOKEN", "the-token"), ("GITHUB_API_URL", &uri), ("OTEL_EXPORTER_OTLP_ENDPOINT", &endpoint), SOON];
    let server = home.serve_with(&env);
    server.wait_until("/api/health", |body| body["health"]["last_github_sync_at"].is_string()).await;
    assert!(server.stop());
    let spans = spans(&batches);
    let asked: Vec<_> = spans.iter().filter(|span| span.name.starts_with("github ")).collect();
    assert!(!asked.is_empty(), "{spans:?}");
    for span in asked {
        assert_eq!(span.kind(), SpanKind::Client, "{span:?}");
        assert!(attributes(span).contains("IntValue(200)") && attributes(span).contains("GET"), "{span:?}");
    }
    let told = format!("{spans:?}");
    assert!(!told.contains("the-token") && !told.contains(&uri), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_that_is_away_is_told_of_once_and_changes_nothing() {
    // A port on which nobody listens any more.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let home = Home::new(&[issue("acme/small", 1, &[]), issue("acme/small", 2, &[])], "");
    let log = home.path("it.log");
    let env = [("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint.as_str()), ("LOG_FILE", log.to_str().unwrap()), SOON];
    let server = home.serve_with(&env);
    server.wait_for_backlog(2).await;
    assert_eq!(server.next("a").await.0, 200);
    let complaints = || std::fs::read_to_string(&log).unwrap().matches("traces are not taken").count();
    let deadline = Instant::now() + PATIENCE;
    while complaints() == 0 {
        assert!(Instant::now() < deadline, "nothing was said: {}", std::fs::read_to_string(&log).unwrap());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(server.next("b").await.0, 200);
    assert!(server.stop(), "it ends in order");
    assert_eq!(complaints(), 1, "{}", std::fs::read_to_string(&log).unwrap());
}
