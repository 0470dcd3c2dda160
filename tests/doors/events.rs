//! The event stream.

use reqwest::{Method, Response};
use serde_json::{Value, json};

use crate::server::{DEADLINE, Server, config, issue, narrow};

/// One frame: its fields by name.
#[derive(Debug, Default, PartialEq)]
pub struct Frame {
    pub id: Option<String>,
    pub event: String,
    pub data: Value,
}

pub struct Stream {
    response: Response,
    text: String,
}

impl Stream {
    pub async fn open(server: &Server, last_event_id: Option<&str>) -> Self {
        let mut request = server.request(Method::GET, "/sse");
        if let Some(id) = last_event_id {
            request = request.header("Last-Event-ID", id);
        }
        let response = request.send().await.unwrap();
        assert_eq!(response.status(), 200);
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        Self { response, text: String::new() }
    }

    /// The next frame; `None` at the end of the stream.
    async fn next(&mut self) -> Option<Frame> {
        loop {
            if let Some((frame, rest)) = self.text.split_once("\n\n") {
                let frame = parse(frame);
                self.text = rest.to_owned();
                return Some(frame);
            }
            let chunk = tokio::time::timeout(DEADLINE, self.response.chunk()).await.expect("a frame in time");
            // A stream that is cut instead of ended is an error here.
            self.text.push_str(std::str::from_utf8(&chunk.unwrap()?).unwrap());
        }
    }

    /// The next frame that is no ping.
    pub async fn event(&mut self) -> Frame {
        let not_a_ping = async {
            loop {
                let frame = self.next().await.expect("the stream goes on");
                if frame.event != "ping" {
                    return frame;
                }
            }
        };
        tokio::time::timeout(DEADLINE, not_a_ping).await.expect("an event in time")
    }
}

fn parse(text: &str) -> Frame {
    let mut frame = Frame::default();
    for line in text.lines() {
        match line.split_once(": ").unwrap() {
            ("id", id) => frame.id = Some(id.to_owned()),
            ("event", event) => frame.event = event.to_owned(),
            ("data", data) => frame.data = serde_json::from_str(data).unwrap(),
            other => panic!("unknown field {other:?}"),
        }
    }
    frame
}

async fn server() -> Server {
    Server::over(config(), &[issue(1, &[]), issue(2, &[]), issue(3, &[])]).await
}

async fn next(server: &Server) -> Value {
    server.post("/api/next", json!({ "agent_id": "a" })).await.1
}

#[tokio::test]
async fn a_stream_says_hello_and_then_what_happens() {
    let server = server().await;
    let mut stream = Stream::open(&server, None).await;
    let hello = stream.next().await.unwrap();
    assert_eq!(hello.event, "connected");
    assert_eq!(hello.data["event_id"].as_str(), hello.id.as_deref());
    assert!(hello.data["timestamp"].is_string());

    let claim = next(&server).await["claim"].clone();
    let created = stream.event().await;
    assert_eq!((created.event.as_str(), created.data["event_id"].as_str()), ("claim.created", created.id.as_deref()));
    assert_eq!((&created.data["type"], &created.data["claim_id"]), (&json!("claim.created"), &claim["claim_id"]));
    assert_eq!((&created.data["repo"], &created.data["issue_number"]), (&claim["repo"], &claim["issue_number"]));
    assert_eq!((&created.data["agent_id"], &created.data["details"]["status"]), (&json!("a"), &json!("claimed")));
}

#[tokio::test]
async fn pings_come_without_an_id() {
    let server = server().await;
    let mut stream = Stream::open(&server, None).await;
    stream.next().await.unwrap();
    for _ in 0..2 {
        let ping = stream.next().await.unwrap();
        assert_eq!((ping.event.as_str(), ping.id), ("ping", None));
    }
}

#[tokio::test]
async fn a_reader_that_comes_back_misses_nothing() {
    let server = server().await;
    let mut stream = Stream::open(&server, None).await;
    let hello = stream.next().await.unwrap();
    next(&server).await;
    let seen = stream.event().await;
    drop(stream);
    let missed = [next(&server).await, next(&server).await];
    let mut back = Stream::open(&server, seen.id.as_deref()).await;
    assert_eq!(back.event().await.event, "connected");
    for missed in &missed {
        assert_eq!(back.event().await.data["claim_id"], missed["claim"]["claim_id"]);
    }
    // One that was cut before its first event comes back to where it stood, here by the query.
    let path = format!("/sse?last_event_id={}", hello.id.unwrap());
    let response = server.request(Method::GET, &path).send().await.unwrap();
    let mut back = Stream { response, text: String::new() };
    assert_eq!(back.event().await.event, "connected");
    assert_eq!(back.event().await.id, seen.id);
}

#[tokio::test]
async fn a_reader_with_an_id_of_another_order_is_told() {
    let server = server().await;
    for id in ["4711-from-elsewhere", "999999999"] {
        let mut stream = Stream::open(&server, Some(id)).await;
        let hello = stream.event().await;
        let gap = stream.event().await;
        assert_eq!((gap.event.as_str(), &gap.data["after"], &gap.id), ("gap", &json!(id), &hello.id));
    }
}

#[tokio::test]
async fn many_readers_see_the_same_events_in_the_same_order() {
    let server = server().await;
    let mut streams = Vec::new();
    for _ in 0..20 {
        let mut stream = Stream::open(&server, None).await;
        stream.next().await.unwrap();
        streams.push(stream);
    }
    let granted = [next(&server).await, next(&server).await, next(&server).await];
    for mut stream in streams {
        for body in &granted {
            assert_eq!(stream.event().await.data["claim_id"], body["claim"]["claim_id"]);
        }
    }
}

/// The clock of timers stands still unless nothing else is left to do: an hour passes in a moment.
#[tokio::test]
async fn an_idle_stream_lives_for_an_hour() {
    let server = server().await;
    let mut stream = Stream::open(&server, None).await;
    stream.next().await.unwrap();
    tokio::time::pause();
    let begun = tokio::time::Instant::now();
    let mut pings = 0;
    while begun.elapsed() < std::time::Duration::from_secs(3600) {
        let frame = stream.next().await.expect("the stream goes on");
        pings += usize::from(frame.event == "ping");
    }
    // One each 50 ms in this test's server; some may come together where reading lags.
    assert!(pings >= 3600, "{pings} pings in an hour");
    tokio::time::resume();
    let granted = next(&server).await;
    assert_eq!(stream.event().await.data["claim_id"], granted["claim"]["claim_id"], "and still tells what happens");
}

#[tokio::test]
async fn shutdown_ends_open_streams() {
    let server = server().await;
    let mut stream = Stream::open(&server, None).await;
    stream.next().await.unwrap();
    server.inside.shutdown.cancel();
    let end = async { while stream.next().await.is_some() {} };
    tokio::time::timeout(DEADLINE, end).await.expect("the stream ends");
}

#[tokio::test]
async fn an_agent_opens_only_so_many_streams_and_a_fleet_behind_one_address_is_not_held_up() {
    let mut config = config();
    config.rate_limits = narrow();
    config.rate_limits.principal.burst = 100;
    let server = Server::start(config).await;
    let open = |agent: String| server.request(Method::GET, "/sse").header("X-Agent-Id", agent).send();
    for agent in 0..50 {
        assert_eq!(open(format!("agent-{agent}")).await.unwrap().status(), 200);
    }
    let again = open("agent-7".into()).await.unwrap();
    assert_eq!(again.status(), 429);
    assert_eq!(again.json::<Value>().await.unwrap()["scope"], "sse_connect");
    for _ in 0..3 {
        drop(Stream::open(&server, None).await);
    }
}
