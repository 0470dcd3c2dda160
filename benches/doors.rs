//! Load on the HTTP door of the real binary: how long `next` and `claim` take, how many the server
//! grants a second, and what a grant costs it in CPU and memory.
//!
//! `cargo bench --bench doors` prints one Markdown table; `-- --help` lists what can be set. Clients run
//! in this process and share the machine with the server, so compare rows of one run, not of two.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use clap::Parser;
use hdrhistogram::Histogram;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

#[derive(Debug, Parser)]
struct Args {
    /// Sizes of the backlog, in open issues
    #[arg(long, value_delimiter = ',', default_value = "100,1000,10000,100000")]
    issues: Vec<u64>,
    /// Numbers of agents that ask at once, each on a connection of its own
    #[arg(long, value_delimiter = ',', default_value = "1,32")]
    clients: Vec<usize>,
    /// Grants measured for each row
    #[arg(long, default_value_t = 6_000)]
    grants: usize,
    /// Also measure an idle server with this many issues, and how fast it starts
    #[arg(long, default_value_t = 31_100)]
    idle: u64,
    /// Which build of the program is measured
    #[arg(long, default_value = env!("CARGO_BIN_EXE_issuecommand"))]
    program: PathBuf,
    /// What cargo passes to every benchmark
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        println!("| open issues | agents | call | p50 ms | p99 ms | grants/s | durable writes/s | server CPU ms/write | resident MB |");
        println!("|---|---|---|---|---|---|---|---|---|");
        for &issues in &args.issues {
            for calls in [&[Call::Next, Call::Claim][..], &[Call::NextUnrecorded]] {
                let home = tempfile::tempdir().unwrap();
                write_home(home.path(), issues);
                if calls == [Call::NextUnrecorded] {
                    configure(home.path(), "decision_max_entries = 0", "issues_file = \"backlog.jsonl\"");
                }
                let server = Server::start(&args.program, home.path());
                server.wait_for(issues).await;
                for &clients in &args.clients {
                    for &call in calls {
                        row(&server, issues, clients, call, args.grants).await;
                    }
                }
            }
        }
        idle(&args.program, args.idle).await;
    });
}

/// Any free port, a store beside the configuration, no limits.
fn configure(home: &Path, store: &str, github: &str) {
    let config = format!(
        "[server]\nport = 0\n[rate_limits]\nenabled = false\n[store]\npath = \"claims.db\"\n{store}\n[github]\n{github}\n"
    );
    std::fs::write(home.join("issuecommand.toml"), config).unwrap();
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Call {
    Next,
    Claim,
    /// `Next` by a server that does not record what its policies saw and said.
    NextUnrecorded,
}

async fn row(server: &Server, issues: u64, clients: usize, call: Call, grants: usize) {
    // Connections, caches and the write-ahead log warm up outside the measurement.
    load(server, issues, clients, call, (grants / 10).max(clients)).await;
    let (cpu, start) = (server.cpu(), Instant::now());
    let latency = load(server, issues, clients, call, grants).await;
    let (elapsed, cpu) = (start.elapsed(), server.cpu() - cpu);
    let granted = latency.len();
    let per_second = granted as f64 / elapsed.as_secs_f64();
    let ms = |quantile| latency.value_at_quantile(quantile) as f64 / 1e6;
    let name = match call {
        Call::Next => "next",
        Call::Claim => "claim",
        Call::NextUnrecorded => "next, not recorded",
    };
    println!(
        "| {issues} | {clients} | {name} | {:.2} | {:.2} | {per_second:.0} | {:.0} | {:.3} | {:.0} |",
        ms(0.5),
        ms(0.99),
        per_second * 2.0,
        cpu.as_secs_f64() * 1e3 / (granted * 2) as f64,
        server.resident_mb(),
    );
    std::io::stdout().flush().unwrap();
}

/// Every agent is granted an issue and gives it back, over and over; the grants are timed.
async fn load(server: &Server, issues: u64, clients: usize, call: Call, grants: usize) -> Histogram<u64> {
    let agents = (0..clients).map(|n| {
        let address = server.address.clone();
        tokio::spawn(async move {
            let (mut door, agent) = (Door::open(&address).await, format!("agent-{n}"));
            let mut latency = Histogram::<u64>::new(3).unwrap();
            for turn in 0..grants / clients {
                // Agents claim far apart, so that each finds its issue free.
                let number = (n as u64 * (issues / clients as u64).max(1)
                    + turn as u64 % (issues / clients as u64).max(1))
                    % issues
                    + 1;
                let (path, body) = match call {
                    Call::Next | Call::NextUnrecorded => ("/api/next", json!({ "agent_id": agent })),
                    Call::Claim => {
                        ("/api/claims", json!({ "agent_id": agent, "repo": "load/test", "issue_number": number }))
                    }
                };
                let asked = Instant::now();
                let (status, answer) = door.send(Method::POST, path, &body).await;
                latency.record(u64::try_from(asked.elapsed().as_nanos()).unwrap()).unwrap();
                assert_eq!(status, 200, "{answer}");
                let claim = format!("/api/claims/{}", answer["claim"]["claim_id"].as_str().unwrap());
                let (status, answer) = door.send(Method::DELETE, &claim, &json!({ "agent_id": agent })).await;
                assert_eq!(status, 200, "{answer}");
            }
            latency
        })
    });
    let mut all = Histogram::new(3).unwrap();
    for agent in agents.collect::<Vec<_>>() {
        all.add(agent.await.unwrap()).unwrap();
    }
    all
}

/// An idle server's memory, and the time from start to the first answer, on a store that exists. GitHub
/// does not answer then: a backlog file would be held in memory besides.
async fn idle(program: &Path, issues: u64) {
    let home = tempfile::tempdir().unwrap();
    write_home(home.path(), issues);
    let server = Server::start(program, home.path());
    server.wait_for(issues).await;
    drop(server);
    configure(home.path(), "", "api_url = \"http://127.0.0.1:1\"");
    let mut starts = Vec::new();
    let mut resident = 0.0;
    for _ in 0..7 {
        let start = Instant::now();
        let server = Server::start(program, home.path());
        Door::open(&server.address).await.send(Method::GET, "/api/health", &Value::Null).await;
        starts.push(start.elapsed());
        resident = server.resident_mb();
    }
    starts.sort();
    println!(
        "\nIdle with {issues} open issues: {resident:.0} MB resident; start to first answer {} ms (median of 7).",
        starts[3].as_millis()
    );
}

fn write_home(home: &Path, issues: u64) {
    let mut backlog = std::io::BufWriter::new(std::fs::File::create(home.join("backlog.jsonl")).unwrap());
    let labels = ["bug", "p0", "p1", "docs", "ux", "performance", "security", "tests"];
    for number in 1..=issues {
        let label = labels[usize::try_from(number * 7 % 8).unwrap()];
        let issue = json!({
            "repo": "load/test", "number": number, "title": format!("Something is not as it should be, number {number}"),
            "body": "What happened, what was expected, and how to see it. ".repeat(8),
            "labels": [label, "triaged"],
            "created_at": format!("2025-{:02}-{:02}T{:02}:00:00Z", number % 12 + 1, number % 28 + 1, number % 24),
        });
        writeln!(backlog, "{issue}").unwrap();
    }
    configure(home, "", "issues_file = \"backlog.jsonl\"");
}

struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(program: &Path, home: &Path) -> Self {
        let mut command = Command::new(program);
        command.arg("serve").current_dir(home).env_remove("GITHUB_TOKEN").env("XDG_CACHE_HOME", home.join("cache"));
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let address = lines
            .by_ref()
            .map_while(Result::ok)
            .find_map(|line| Some(line.split_once("listening on http://")?.1.split_whitespace().next()?.to_owned()))
            .expect("the server says where it listens");
        std::thread::spawn(move || lines.for_each(drop));
        Self { child, address }
    }

    async fn wait_for(&self, issues: u64) {
        let mut door = Door::open(&self.address).await;
        loop {
            let (_, body) = door.send(Method::GET, "/api/health", &Value::Null).await;
            if body["health"]["open_issues"] == issues && body["health"]["last_github_sync_at"].is_string() {
                // Scores come right behind; a question is the way to know that they are there.
                let (status, answer) = door.send(Method::POST, "/api/next", &json!({ "agent_id": "probe" })).await;
                if status == 200 {
                    let claim = format!("/api/claims/{}", answer["claim"]["claim_id"].as_str().unwrap());
                    door.send(Method::DELETE, &claim, &json!({ "agent_id": "probe" })).await;
                    return;
                }
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// CPU that the server has used so far, user and system.
    fn cpu(&self) -> Duration {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap();
        let fields: Vec<&str> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
        // Linux counts in hundredths of a second (USER_HZ).
        Duration::from_millis(ticks * 10)
    }

    fn resident_mb(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One kept connection.
struct Door(SendRequest<Full<Bytes>>);

impl Door {
    async fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (door, connection) = handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection);
        Self(door)
    }

    async fn send(&mut self, method: Method, path: &str, body: &Value) -> (u16, Value) {
        let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
        let request = Request::builder().method(method).uri(path).header("host", "localhost");
        let request = request.header("content-type", "application/json").body(Full::new(body)).unwrap();
        let response = self.0.send_request(request).await.unwrap();
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        (status, serde_json::from_slice(&body).unwrap())
    }
}
