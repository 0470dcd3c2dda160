//! What the tests of dispatch stand on: agents, a scripted model, git over HTTP.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use base64::prelude::{BASE64_STANDARD, Engine};
use tokio::io::AsyncWriteExt;
use tokio::sync::{Semaphore, SemaphorePermit, watch};

/// The folder with coding agents that tests use; they are installed with npm where it is not set.
const AGENTS_VARIABLE: &str = "ISSUECOMMAND_TEST_AGENTS";
/// The agents, in the versions that the adapters were tried with.
const PACKAGES: [&str; 4] = [
    "opencode-ai@1.18.33",
    "@mariozechner/pi-coding-agent@0.73.1",
    "@anthropic-ai/claude-code@2.1.197",
    "@openai/codex@0.169.0",
];
/// Longest time for the scripted model to come up.
const READY_SECONDS_MAX: u64 = 30;
/// Largest push that the git server takes.
const PUSH_BYTES_MAX: usize = 64 << 20;
/// How many agents run at once: each takes a processor while it starts.
const AGENT_COUNT_MAX: usize = 2;

/// What others made for this: the scripted model, and how agents are told of it.
pub fn shared() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/agents-kit")
}

/// Leave to run an agent.
pub async fn turn_to_run() -> SemaphorePermit<'static> {
    static TURNS: Semaphore = Semaphore::const_new(AGENT_COUNT_MAX);
    TURNS.acquire().await.expect("nobody closes it")
}

/// A model that answers by a script, for all agents; it ends when dropped.
#[derive(Debug)]
pub struct FakeModel {
    port: u16,
    child: Child,
}

impl FakeModel {
    /// Starts one, where containers reach it too. `None`, after a line that says why, where it cannot be had.
    pub fn start() -> Option<Self> {
        match Self::try_start() {
            Ok(model) => Some(model),
            Err(why) => {
                eprintln!("skipped: {why}");
                None
            }
        }
    }

    fn try_start() -> Result<Self, String> {
        let script = shared().join("fake_llm.py");
        if !script.exists() {
            return Err(format!("no scripted model at {}", script.display()));
        }
        let port = free_port();
        let mut command = Command::new("python3");
        command.arg(&script).args(["--host", "0.0.0.0", "--port", &port.to_string()]);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(|error| format!("python3 does not run: {error}"))?;
        let printed = child.stdout.take().expect("stdout is piped");
        let model = Self { port, child };
        let (tell, told) = mpsc::channel();
        std::thread::spawn(move || {
            let first = BufReader::new(printed).lines().next();
            let _ = tell.send(first);
        });
        let ready = told.recv_timeout(Duration::from_secs(READY_SECONDS_MAX));
        match ready {
            Ok(Some(Ok(_))) => Ok(model),
            _ => Err("the scripted model did not come up".into()),
        }
    }

    /// Its root for those who reach it at `host`: `127.0.0.1`, or the host's address on a container network.
    pub fn url(&self, host: &str) -> String {
        format!("http://{host}:{}", self.port)
    }
}

impl Drop for FakeModel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The `node_modules` with the coding agents. `None`, after a line that says why, where they cannot be had.
pub fn agents() -> Option<PathBuf> {
    let found = match std::env::var_os(AGENTS_VARIABLE) {
        Some(folder) => Ok(PathBuf::from(folder)).and_then(|folder| match folder.is_dir() {
            true => Ok(folder),
            false => Err(format!("{AGENTS_VARIABLE} names {}, which is no folder", folder.display())),
        }),
        None => install_agents(),
    };
    found.inspect_err(|why| eprintln!("skipped: {why}")).ok()
}

/// Installs the agents below the target directory, once for all tests.
fn install_agents() -> Result<PathBuf, String> {
    let said = |error: std::io::Error| format!("coding agents cannot be installed: {error}");
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("agents");
    fs::create_dir_all(&home).map_err(said)?;
    let lock = File::create(home.join(".lock")).map_err(said)?;
    lock.lock().map_err(said)?;
    let done = home.join("installed");
    let wanted = PACKAGES.join(" ");
    if fs::read_to_string(&done).unwrap_or_default() != wanted {
        let mut npm = Command::new("npm");
        npm.args(["install", "--ignore-scripts", "--no-audit", "--no-fund"]).args(PACKAGES).current_dir(&home);
        let output = npm.output().map_err(|error| format!("npm does not run: {error}"))?;
        if !output.status.success() {
            return Err("npm could not install the coding agents".into());
        }
        fs::write(&done, &wanted).map_err(said)?;
    }
    Ok(home.join("node_modules"))
}

/// Repositories over HTTP, for those who have the token; it ends with the test.
#[derive(Debug)]
pub struct GitServer {
    address: SocketAddr,
    pushes: Arc<AtomicU64>,
    gate: watch::Sender<Gate>,
}

/// What a git server lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gate {
    /// All.
    Open,
    /// Pushes wait until it is another.
    HoldsPushes,
    /// No pushes.
    RefusesPushes,
    /// Nothing.
    Shut,
}

#[derive(Clone)]
struct Served {
    root: PathBuf,
    authorization: String,
    pushes: Arc<AtomicU64>,
    gate: watch::Receiver<Gate>,
}

impl GitServer {
    /// Serves the bare repositories below `root`, to read and to write, to the user `x-access-token` with `token`.
    pub async fn start(root: &Path, token: &str) -> Self {
        let pushes = Arc::new(AtomicU64::new(0));
        let authorization = format!("Basic {}", BASE64_STANDARD.encode(format!("x-access-token:{token}")));
        let (gate, watched) = watch::channel(Gate::Open);
        let served = Served { root: root.to_owned(), authorization, pushes: Arc::clone(&pushes), gate: watched };
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound address");
        let router = Router::new().fallback(answer).with_state(served);
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, pushes, gate }
    }

    /// Lets through what `gate` says, from now on.
    pub fn set_gate(&self, gate: Gate) {
        self.gate.send_replace(gate);
    }

    /// Where the repository at `path` below the root is.
    pub fn url(&self, path: &str) -> String {
        format!("http://{}/{path}", self.address)
    }

    /// How often somebody pushed, let in or refused by the repository itself.
    pub fn push_count(&self) -> u64 {
        self.pushes.load(Ordering::SeqCst)
    }
}

async fn answer(State(served): State<Served>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let authorization = head.headers.get("authorization").and_then(|value| value.to_str().ok());
    if authorization != Some(&served.authorization) {
        let refusal = Response::builder().status(StatusCode::UNAUTHORIZED);
        return refusal.header("www-authenticate", "Basic realm=\"git\"").body(Body::empty()).expect("a response");
    }
    let is_push = head.method == "POST" && head.uri.path().ends_with("/git-receive-pack");
    if is_push {
        served.pushes.fetch_add(1, Ordering::SeqCst);
    }
    let mut gate = served.gate.clone();
    let gate = *gate.wait_for(|gate| !is_push || *gate != Gate::HoldsPushes).await.expect("the server is there");
    if gate == Gate::Shut || (is_push && gate == Gate::RefusesPushes) {
        return Response::builder().status(StatusCode::FORBIDDEN).body(Body::empty()).expect("a response");
    }
    let body = to_bytes(body, PUSH_BYTES_MAX).await.expect("a push of bounded size");
    let header = |name: &str| text_of(&head.headers, name);
    let mut command = tokio::process::Command::new("git");
    command.arg("http-backend").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    command.env("GIT_PROJECT_ROOT", &served.root).env("GIT_HTTP_EXPORT_ALL", "1").env("REMOTE_USER", "x-access-token");
    command.env("PATH_INFO", head.uri.path()).env("QUERY_STRING", head.uri.query().unwrap_or_default());
    command.env("REQUEST_METHOD", head.method.as_str()).env("CONTENT_LENGTH", body.len().to_string());
    command.env("CONTENT_TYPE", header("content-type")).env("GIT_PROTOCOL", header("git-protocol"));
    command.env("HTTP_CONTENT_ENCODING", header("content-encoding"));
    let mut child = command.spawn().expect("git runs");
    let mut stdin = child.stdin.take().expect("stdin is piped");
    // Beside the reading: git answers large requests before it has read them all.
    tokio::spawn(async move { stdin.write_all(&body).await });
    let output = child.wait_with_output().await.expect("git ends");
    from_cgi(&output.stdout)
}

fn text_of(headers: &HeaderMap, name: &str) -> String {
    headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
}

/// What a CGI program printed: headers, one of which may be the status, an empty line, and the body.
fn from_cgi(printed: &[u8]) -> Response {
    let head_end = printed.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
    let head = std::str::from_utf8(&printed[..head_end]).expect("a head in ASCII");
    let mut response = Response::builder();
    for (name, value) in head.lines().filter_map(|line| line.split_once(": ")) {
        response = match name {
            "Status" => response.status(value[..3].parse::<u16>().expect("a status")),
            _ => response.header(name, value),
        };
    }
    response.body(Body::from(Bytes::copy_from_slice(&printed[head_end + 4..]))).expect("a response")
}

fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("a bound address").port()
}

#[tokio::test]
async fn git_over_http_takes_pushes_of_those_with_the_token_alone() {
    let folder = tempfile::tempdir().unwrap();
    let server = GitServer::start(folder.path(), "ghs_right").await;
    let git = |arguments: &str| {
        let mut git = tokio::process::Command::new("git");
        git.args(arguments.split(' ')).current_dir(folder.path()).env("GIT_TERMINAL_PROMPT", "0");
        async move { git.output().await.unwrap().status.success() }
    };
    assert!(git("init -q --bare -b main acme/small.git").await);
    assert!(git("init -q -b main tree").await);
    assert!(git("-C tree -c user.name=a -c user.email=a@b commit -q --allow-empty -m first").await);
    let url = |token: &str| server.url("acme/small.git").replace("http://", &format!("http://x-access-token:{token}@"));
    assert!(!git(&format!("-C tree push -q {} main", url("ghs_wrong"))).await);
    assert_eq!(server.push_count(), 0);
    assert!(git(&format!("-C tree push -q {} main", url("ghs_right"))).await);
    assert_eq!(server.push_count(), 1);
    assert!(git(&format!("clone -q {} again", url("ghs_right"))).await);
    assert!(git("-C again rev-parse --verify -q origin/main").await);
}
