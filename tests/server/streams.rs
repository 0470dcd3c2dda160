//! A hundred readers of the event stream, one of which takes nothing.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::harness::{Home, PATIENCE, Server};

const READER_COUNT: usize = 100;
/// Claims, each given back: two events each, about 1 KB together. The stalled reader's share is far more
/// than all buffers between it and the server hold.
const CLAIM_COUNT: usize = 800;
/// Claims before, after which nothing grows that is not for the readers.
const WARM_UP_COUNT: usize = 200;
/// What the server may grow by, in KB: it grew by 3 MB in 4,000 claims where this was written. A queue for
/// each reader would take 80 MB.
const GROWTH_KB_MAX: u64 = 30_000;

fn open(server: &Server) -> TcpStream {
    let address = server.url.strip_prefix("http://").unwrap();
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    write!(stream, "GET /sse HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    stream
}

/// Reads until it has seen so many claims given back; false when it was told that it fell behind, as one may on a busy
/// machine. Pings go on for ever, so that a reader which misses something must not wait for it.
fn read(mut stream: TcpStream, count: usize) -> bool {
    let (mut seen, mut text, begun) = (0, String::new(), Instant::now());
    let mut bytes = [0; 65_536];
    while seen < count {
        assert!(begun.elapsed() < PATIENCE * 5, "{seen} of {count} events came");
        let length = stream.read(&mut bytes).expect("the stream goes on");
        assert_ne!(length, 0, "the stream ended after {seen} events");
        text.push_str(&String::from_utf8_lossy(&bytes[..length]));
        let whole = text.rfind('\n').map_or(0, |end| end + 1);
        if text[..whole].lines().any(|line| line == "event: gap") {
            return false;
        }
        seen += text[..whole].lines().filter(|line| *line == "event: claim.released").count();
        text.drain(..whole);
    }
    true
}

fn resident_kb(server: &Server) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.child.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

async fn claim_and_release(server: &Server, count: usize) {
    let issue = json!({ "agent_id": "a", "repo": "acme/small", "issue_number": 1 });
    for _ in 0..count {
        let (_, body) = server.send("POST", "/api/claims", issue.clone()).await;
        let path = format!("/api/claims/{}", body["claim"]["claim_id"].as_str().unwrap());
        let (status, body) = server.send("DELETE", &path, json!({ "agent_id": "a" })).await;
        assert_eq!(status, 200, "{body}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_stalled_reader_among_a_hundred_delays_nobody_and_costs_no_memory() {
    if !std::path::Path::new("/proc/self/status").exists() {
        eprintln!("skipped: this system does not tell a process's memory in /proc");
        return;
    }
    let backlog: Value =
        json!({ "repo": "acme/small", "number": 1, "title": "One", "created_at": "2026-01-01T00:00:00Z" });
    let home = Home::new(&[backlog], "");
    let server = home.serve();
    let begun = Instant::now();
    while server.get("/api/health").await["health"]["open_issues"] != 1 {
        assert!(begun.elapsed() < PATIENCE, "the backlog was not synced");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // What any server grows by at first: caches, statements, connections.
    let _stalled = open(&server);
    let streams: Vec<_> = (1..READER_COUNT).map(|_| open(&server)).collect();
    let readers: Vec<_> = streams
        .into_iter()
        .map(|stream| std::thread::spawn(move || read(stream, WARM_UP_COUNT + CLAIM_COUNT)))
        .collect();
    claim_and_release(&server, WARM_UP_COUNT).await;
    let before = resident_kb(&server);
    claim_and_release(&server, CLAIM_COUNT).await;
    let mut kept_up = 0;
    for reader in readers {
        kept_up += usize::from(tokio::task::spawn_blocking(|| reader.join().unwrap()).await.unwrap());
    }
    assert!(kept_up >= READER_COUNT / 2, "only {kept_up} readers were told everything");
    let after = resident_kb(&server);
    assert!(after < before + GROWTH_KB_MAX, "the server grew from {before} KB to {after} KB");
    eprintln!("resident: {before} KB before, {after} KB after {CLAIM_COUNT} claims with {READER_COUNT} readers");
}
