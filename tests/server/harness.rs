//! Starts the real binary in a folder of its own and speaks to it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

/// How long anything may take before a test gives up; generous, since machines are shared.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// The folder of one test: configuration, backlog and store.
#[derive(Debug)]
pub struct Home {
    dir: tempfile::TempDir,
}

impl Home {
    /// A folder with a backlog of `issues` and a configuration of the essentials and `extra`.
    pub fn new(issues: &[Value], extra: &str) -> Self {
        let home = Self { dir: tempfile::tempdir().unwrap() };
        let lines: String = issues.iter().map(|issue| format!("{issue}\n")).collect();
        std::fs::write(home.path("backlog.jsonl"), lines).unwrap();
        home.configure(extra);
        home
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn root(&self) -> &Path {
        self.dir.path()
    }

    /// Writes the configuration anew: the essentials, and `extra`.
    pub fn configure(&self, extra: &str) {
        let essentials = "[server]\nport = 0\n\n[store]\npath = \"claims.db\"\n\n[github]\nissues_file = \"backlog.jsonl\"\n\n[rate_limits]\nenabled = false\n\n";
        std::fs::write(self.path("issuecommand.toml"), format!("{essentials}{extra}\n")).unwrap();
    }

    /// The command that serves this folder, with nothing inherited from the environment of the test.
    pub fn command(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_issuecommand"));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.root()).env("XDG_CACHE_HOME", shared_cache());
        command.current_dir(self.root()).arg("serve");
        command
    }

    /// Starts the server and waits until it listens.
    pub fn serve(&self) -> Server {
        self.serve_with(&[])
    }

    /// Starts the server with more environment and waits until it listens.
    pub fn serve_with(&self, env: &[(&str, &str)]) -> Server {
        let mut command = self.command();
        command.envs(env.iter().copied()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let url = wait_for_address(&mut child);
        Server { child, url, client: reqwest::Client::new() }
    }
}

/// Compiled policies are shared between the tests of one run, as they are between runs for users.
pub fn shared_cache() -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cache")
}

/// Reads the log until it names the address; goes on reading so that the server never blocks on it.
pub fn wait_for_address(child: &mut Child) -> String {
    let stderr = BufReader::new(child.stderr.take().unwrap());
    let (sender, log) = mpsc::channel();
    std::thread::spawn(move || {
        for line in stderr.lines().map_while(Result::ok) {
            let _ = sender.send(line);
        }
    });
    let (deadline, mut seen) = (Instant::now() + PATIENCE, String::new());
    while let Ok(line) = log.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
        if let Some((_, address)) = line.split_once("listening on http://") {
            let address = address.split_whitespace().next().unwrap().trim_end_matches('/');
            return format!("http://{address}");
        }
        seen = format!("{seen}{line}\n");
    }
    panic!("the server did not say where it listens:\n{seen}");
}

/// A running server.
#[derive(Debug)]
pub struct Server {
    pub child: Child,
    pub url: String,
    pub client: reqwest::Client,
}

impl Server {
    /// Sends one request with a JSON body; answers status and body.
    pub async fn send(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        self.try_send(method, path, body).await.unwrap()
    }

    /// The same, where the server may die in between.
    pub async fn try_send(&self, method: &str, path: &str, body: Value) -> reqwest::Result<(u16, Value)> {
        let request = self.client.request(method.parse().unwrap(), format!("{}{path}", self.url));
        let request = if body.is_null() { request } else { request.json(&body) };
        let response = request.timeout(PATIENCE).send().await?;
        Ok((response.status().as_u16(), response.json().await?))
    }

    pub async fn get(&self, path: &str) -> Value {
        let (status, body) = self.send("GET", path, Value::Null).await;
        assert_eq!(status, 200, "{path}: {body}");
        body
    }

    /// Asks for the agent's next issue.
    pub async fn next(&self, agent: &str) -> (u16, Value) {
        self.send("POST", "/api/next", json!({ "agent_id": agent })).await
    }

    /// Waits until `condition` holds of what `path` answers.
    pub async fn wait_until(&self, path: &str, condition: impl Fn(&Value) -> bool) -> Value {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let body = self.get(path).await;
            if condition(&body) {
                return body;
            }
            assert!(Instant::now() < deadline, "{path} never came to hold: {body}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Waits until the backlog is synced and `count` issues are known.
    pub async fn wait_for_backlog(&self, count: usize) {
        self.wait_until("/api/health", |body| {
            body["health"]["open_issues"] == count && body["health"]["last_github_sync_at"].is_string()
        })
        .await;
    }

    /// Ends it as `kill -9` does.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end and waits until it has; answers whether it said that all was well.
    pub fn stop(mut self) -> bool {
        interrupt(&self.child);
        self.child.wait().unwrap().success()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn interrupt(child: &Child) {
    let killed = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
}

/// An issue of the simple backlog form, opened `number` days into 2026.
pub fn issue(repo: &str, number: u64, labels: &[&str]) -> Value {
    let opened = format!("2026-{:02}-{:02}T00:00:00Z", (number - 1) / 28 % 12 + 1, (number - 1) % 28 + 1);
    json!({ "repo": repo, "number": number, "title": format!("Issue {number}"), "labels": labels, "created_at": opened })
}
