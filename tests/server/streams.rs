//! A hundred readers of the event stream, one of which takes nothing.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::harness::{Home, PATIENCE, Server};

const READER_COUNT: usize = 100;
/// Claims, each given back: two events each, about 1 KB together. The stalled reader's share is far more
/// than all buffers between it and the server hold.
const CLAIM_COUNT: usize = 1_500;
/// Claims before, after which nothing grows that is not for the readers.
const WARM_UP_COUNT: usize = 500;
/// What the server may grow by, in KB: it grew by 3 MB in 4,000 claims where this was written. A queue for
/// each reader would take 150 MB.
const GROWTH_KB_MAX: u64 = 30_000;

struct Reader {
    stream: TcpStream,
    /// What came and was not looked at yet.
    text: String,
}

impl Reader {
    /// Once the stream has begun: what happens from now on comes, and what happened before does not.
    fn connected(server: &Server) -> Self {
        let address = server.url.strip_prefix("http://").unwrap();
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        write!(stream, "GET /sse HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
        let mut reader = Self { stream, text: String::new() };
        while !reader.whole_lines().any(|line| line == "event: connected") {
            reader.read_more();
        }
        reader
    }

    fn read_more(&mut self) {
        let mut bytes = [0; 65_536];
        let length = self.stream.read(&mut bytes).expect("the stream goes on");
        assert_ne!(length, 0, "the stream ended after {:?}", self.text);
        self.text.push_str(&String::from_utf8_lossy(&bytes[..length]));
    }

    fn whole_lines(&self) -> impl Iterator<Item = &str> {
        let end = self.text.rfind('\n').map_or(0, |end| end + 1);
        self.text[..end].lines()
    }

    /// Reads until it has seen so many claims given back. Pings go on for ever: waiting for an event that does not
    /// come has an end of its own.
    fn see_released(mut self, count: usize) {
        let (mut seen, begun) = (0, Instant::now());
        loop {
            assert!(!self.whole_lines().any(|line| line == "event: gap"), "it lost events after {seen} of {count}");
            seen += self.whole_lines().filter(|line| *line == "event: claim.released").count();
            if seen >= count {
                return;
            }
            assert!(begun.elapsed() < PATIENCE * 5, "{seen} of {count} events came");
            let end = self.text.rfind('\n').map_or(0, |end| end + 1);
            self.text.drain(..end);
            self.read_more();
        }
    }
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
    let _stalled = Reader::connected(&server);
    let readers: Vec<_> = (1..READER_COUNT).map(|_| Reader::connected(&server)).collect();
    let readers: Vec<_> = readers
        .into_iter()
        .map(|reader| std::thread::spawn(move || reader.see_released(WARM_UP_COUNT + CLAIM_COUNT)))
        .collect();
    // What any server grows by at first: caches, statements, connections.
    claim_and_release(&server, WARM_UP_COUNT).await;
    let before = resident_kb(&server);
    claim_and_release(&server, CLAIM_COUNT).await;
    for reader in readers {
        tokio::task::spawn_blocking(|| reader.join().unwrap()).await.unwrap();
    }
    let after = resident_kb(&server);
    assert!(after < before + GROWTH_KB_MAX, "the server grew from {before} KB to {after} KB");
    eprintln!("resident: {before} KB before, {after} KB after {CLAIM_COUNT} claims with {READER_COUNT} readers");
}
