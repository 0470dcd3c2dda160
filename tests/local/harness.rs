//! Starts clients' processes in a folder of their own, and ends whatever they started.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long anything may take before a test gives up; generous, since machines are shared.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Looks until there is something to see.
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(seen) = look() {
            return seen;
        }
        assert!(Instant::now() < deadline, "it never came: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The folder of one test: configuration, backlog and store. Its server ends with it.
#[derive(Debug)]
pub struct Home {
    dir: tempfile::TempDir,
}

impl Home {
    /// A folder with a backlog of `count` issues and a configuration of the essentials and `extra`.
    pub fn new(count: u64, extra: &str) -> Self {
        let home = Self { dir: tempfile::tempdir().unwrap() };
        let issue = |number| {
            let created = format!("2026-01-01T00:{:02}:{:02}Z", number / 60, number % 60);
            json!({ "repo": "acme/small", "number": number, "title": format!("Issue {number}"), "created_at": created })
        };
        let lines: String = (1..=count).map(|number| format!("{}\n", issue(number))).collect();
        std::fs::write(home.path("backlog.jsonl"), lines).unwrap();
        home.configure("port = 0", extra);
        home
    }

    /// Writes the configuration anew: `server` into `[server]`, the essentials, and `extra`.
    pub fn configure(&self, server: &str, extra: &str) {
        let text = format!(
            "[server]\n{server}\n\n[store]\npath = \"claims.db\"\n\n[github]\nissues_file = \"backlog.jsonl\"\n\n\
             [rate_limits]\nenabled = false\n\n{extra}\n"
        );
        std::fs::write(self.config(), text).unwrap();
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn config(&self) -> PathBuf {
        self.path("issuecommand.toml")
    }

    pub fn socket(&self) -> PathBuf {
        self.path("claims.db.run/mcp.sock")
    }

    /// What the servers that nobody watched have written.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.path("claims.db.run/server.log")).unwrap_or_default()
    }

    /// A command on this folder's configuration, run elsewhere, with nothing inherited from the test.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_issuecommand"));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.dir.path()).env("XDG_CACHE_HOME", shared_cache()).current_dir("/");
        command.args(words).arg("--config").arg(self.config());
        command
    }

    /// A client that calls itself `name` and has greeted in the manner of 2025.
    pub fn client(&self, name: &str) -> Client {
        let mut client = Client::start(self.command(&["mcp"]));
        client.greet(name);
        client
    }

    /// The server's process, if one answers.
    pub fn server(&self) -> Option<u32> {
        self.server_on(&self.socket())
    }

    /// The same, on a socket of the test's choice.
    pub fn server_on(&self, socket: &Path) -> Option<u32> {
        let database = std::fs::canonicalize(self.path("claims.db")).ok()?;
        let probe = json!({ "issuecommand": 1, "version": "test", "database": database, "probe": true });
        let reply = knock(socket, &probe.to_string()).filter(|reply| reply["ok"] == true)?;
        reply["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok())
    }

    /// That so many servers ever came to listen in the background. Each says so in the log before it answers anybody.
    #[track_caller]
    pub fn assert_started(&self, count: usize) {
        let log = self.log();
        assert_eq!(log.matches("listening on http://").count(), count, "{log}");
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        // Clients are gone by now: they were made after us. A server still on its way carries our name.
        let ours = self.config().display().to_string();
        let found = Command::new("pgrep").args(["-f", "--", &ours]).output().unwrap();
        for pid in String::from_utf8_lossy(&found.stdout).lines().filter_map(|line| line.parse().ok()) {
            signal(pid, "KILL");
        }
    }
}

/// Compiled policies are shared between the tests of one run, as they are between runs for users.
fn shared_cache() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cache")
}

pub fn signal(pid: u32, name: &str) {
    let _ = Command::new("kill").args([&format!("-{name}"), &pid.to_string()]).stderr(Stdio::null()).status();
}

/// Says one line on a socket and takes one.
pub fn knock(socket: &Path, line: &str) -> Option<Value> {
    let mut stream = UnixStream::connect(socket).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    writeln!(stream, "{line}").ok()?;
    let mut reply = String::new();
    BufReader::new(stream).read_line(&mut reply).ok()?;
    serde_json::from_str(&reply).ok()
}

/// An MCP client's process, and the client's side of it.
#[derive(Debug)]
pub struct Client {
    pub child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<Value>,
    /// What came while something else was waited for.
    aside: Vec<Value>,
    last_id: u64,
    /// Said with every request, in the manner of 2026.
    meta: Option<Value>,
}

impl Client {
    pub fn start(mut command: Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let (sender, lines) = mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                let message = serde_json::from_str(&line).unwrap_or_else(|_| panic!("not JSON: {line}"));
                if sender.send(message).is_err() {
                    break;
                }
            }
        });
        let stdin = child.stdin.take();
        Self { child, stdin, lines, aside: Vec::new(), last_id: 0, meta: None }
    }

    pub fn greet(&mut self, name: &str) {
        let asked = self.ask_greeting(name);
        self.take_greeting(asked);
    }

    /// Greets without waiting for the answer.
    pub fn ask_greeting(&mut self, name: &str) -> u64 {
        let client = json!({ "name": name, "version": "1" });
        self.ask("initialize", json!({ "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client }))
    }

    pub fn take_greeting(&mut self, asked: u64) {
        let answer = self.answer(asked);
        assert_eq!(answer["result"]["serverInfo"]["name"], "issuecommand", "{answer}");
        self.say(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" }));
    }

    /// From now on every request says who asks, as it is done since 2026.
    pub fn speak_2026(&mut self, name: &str) {
        self.meta = Some(json!({
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": { "name": name, "version": "1" },
            "io.modelcontextprotocol/clientCapabilities": {},
        }));
    }

    pub fn say(&mut self, message: &Value) {
        let stdin = self.stdin.as_mut().unwrap();
        writeln!(stdin, "{message}").unwrap();
        stdin.flush().unwrap();
    }

    /// Sends a request without waiting for its answer.
    pub fn ask(&mut self, method: &str, mut params: Value) -> u64 {
        self.last_id += 1;
        if let Some(meta) = &self.meta {
            params["_meta"] = meta.clone();
        }
        let id = self.last_id;
        self.say(&json!({ "jsonrpc": "2.0", "id": id, "method": method, "params": params }));
        id
    }

    pub fn ask_tool(&mut self, tool: &str, arguments: Value) -> u64 {
        self.ask("tools/call", json!({ "name": tool, "arguments": arguments }))
    }

    /// Waits for the first message that fits.
    pub fn wait_for(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        if let Some(at) = self.aside.iter().position(&fits) {
            return self.aside.remove(at);
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let Ok(message) = self.lines.recv_timeout(left) else {
                let stderr = self.last_words();
                panic!("no {what} came; aside: {:?}; standard error: {stderr}", self.aside);
            };
            if fits(&message) {
                return message;
            }
            self.aside.push(message);
        }
    }

    pub fn answer(&mut self, id: u64) -> Value {
        self.wait_for("answer", |message| message["id"] == id && message.get("method").is_none())
    }

    pub fn request(&mut self, method: &str, params: Value) -> Value {
        let id = self.ask(method, params);
        self.answer(id)
    }

    /// Calls a tool; answers its structured content.
    pub fn call(&mut self, tool: &str, arguments: Value) -> Value {
        let id = self.ask_tool(tool, arguments);
        structured(self.answer(id))
    }

    /// Asks for the next issue until the backlog is read; answers the issue's number.
    pub fn claim(&mut self) -> u64 {
        eventually("an issue", || number_of(&self.call("next_issue", json!({}))))
    }

    /// Whether a message that fits is here already.
    pub fn has_heard(&mut self, fits: impl Fn(&Value) -> bool) -> bool {
        self.aside.extend(self.lines.try_iter());
        self.aside.iter().any(fits)
    }

    /// Messages that nothing has waited for.
    pub fn unexpected(&mut self) -> Vec<Value> {
        self.aside.extend(self.lines.try_iter());
        std::mem::take(&mut self.aside)
    }

    /// Closes standard input, as a client does that goes, and waits for the end.
    pub fn leave(&mut self) -> bool {
        self.stdin = None;
        eventually("the end of the client's process", || self.child.try_wait().unwrap()).success()
    }

    fn last_words(&mut self) -> String {
        let _ = self.child.kill();
        let mut text = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut text).unwrap();
        text
    }

    /// Ends the process and answers what it wrote to standard error.
    pub fn end(mut self) -> String {
        self.leave();
        self.last_words()
    }
}

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn structured(answer: Value) -> Value {
    let body = answer["result"]["structuredContent"].clone();
    assert!(body.is_object(), "{answer}");
    body
}

/// The number of the issue in an answer that grants one, in the full form or the compact.
pub fn number_of(body: &Value) -> Option<u64> {
    let numbers = [&body["claim"]["issue_number"], &body["issue"]["number"], &body["issue_number"], &body["number"]];
    numbers.into_iter().find_map(Value::as_u64).filter(|_| body["ok"] == true)
}

/// A wire from `near` to the socket `far` that is cut once it has swallowed `count` answers to calls of tools;
/// whoever comes after that gets through.
pub fn cut_wire(near: &Path, far: PathBuf, count: usize) {
    let listener = std::os::unix::net::UnixListener::bind(near).unwrap();
    std::thread::spawn(move || {
        let mut left = count;
        for client in listener.incoming().map_while(Result::ok) {
            let Ok(server) = UnixStream::connect(&far) else { continue };
            let swallowing = left > 0;
            let (mut to_server, mut from_client) = (server.try_clone().unwrap(), client.try_clone().unwrap());
            std::thread::spawn(move || {
                let _ = std::io::copy(&mut from_client, &mut to_server);
                let _ = to_server.shutdown(std::net::Shutdown::Write);
            });
            let carry = move |mut client: UnixStream, left: &mut usize| {
                for line in BufReader::new(server.try_clone().unwrap()).lines().map_while(Result::ok) {
                    if swallowing && line.contains("structuredContent") {
                        *left = left.saturating_sub(1);
                    } else if writeln!(client, "{line}").is_err() {
                        break;
                    }
                    if swallowing && *left == 0 {
                        break;
                    }
                }
                let _ = server.shutdown(std::net::Shutdown::Both);
                let _ = client.shutdown(std::net::Shutdown::Both);
            };
            if swallowing {
                carry(client, &mut left);
            } else {
                std::thread::spawn(move || carry(client, &mut 0));
            }
        }
    });
}
