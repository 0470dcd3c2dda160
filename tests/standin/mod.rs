//! A stateful GitHub that nobody here wrote, started from ../shared/github-standin beside the
//! repository; tests that use it say "skipped" where it, or npm, is absent.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;

/// A token that the stand-in knows: of the account `alice`.
pub const TOKEN: &str = "tok_alice";
/// Another: of `bob`, who has no rights in alice's repositories.
pub const STRANGERS_TOKEN: &str = "tok_bob";

/// Longest time for the stand-in to come up.
const READY_SECONDS_MAX: u64 = 30;

/// The folder in which the stand-in's packages are installed. `None`, after a line that says why, where
/// they cannot be had.
pub fn packages() -> Option<PathBuf> {
    match install(&shared().join("github-standin")) {
        Ok(home) => Some(home.join("node_modules")),
        Err(why) => {
            eprintln!("skipped: {why}");
            None
        }
    }
}

/// A running stand-in; it ends when dropped.
#[derive(Debug)]
pub struct Standin {
    url: String,
    backend_port: u16,
    home: PathBuf,
    /// By which it knows `alice`.
    token: String,
    children: Vec<Child>,
}

impl Standin {
    /// Starts one on free ports. `None`, after a line that says why, where it cannot be had.
    pub fn start() -> Option<Self> {
        Self::start_with_token(TOKEN)
    }

    /// Starts one that knows `alice` by a token of the test's own.
    pub fn start_with_token(token: &str) -> Option<Self> {
        match Self::try_start(token) {
            Ok(standin) => Some(standin),
            Err(why) => {
                eprintln!("skipped: {why}");
                None
            }
        }
    }

    fn try_start(token: &str) -> Result<Self, String> {
        let home = install(&shared().join("github-standin"))?;
        let (backend_port, port) = free_ports();
        let url = format!("http://127.0.0.1:{port}");
        let mut standin = Self { url, backend_port, home, token: token.to_owned(), children: Vec::new() };
        let seed = standin.write_seed().map_err(|error| format!("the stand-in's seed cannot be written: {error}"))?;
        standin.run("start-emulate.mjs", &[&backend_port.to_string(), &seed], "ready")?;
        standin.run("gh-front.mjs", &[&port.to_string(), &standin.backend_url(), &seed], "gh-front on")?;
        Ok(standin)
    }

    /// Writes what it knows at first, with the token in it; says which file.
    fn write_seed(&self) -> std::io::Result<String> {
        // Of the original: another test may be copying it just now.
        let seed = fs::read_to_string(shared().join("github-standin/seed.yaml"))?.replace(TOKEN, &self.token);
        let name = format!("seed-{}.yaml", self.backend_port);
        fs::write(self.home.join(&name), seed)?;
        Ok(name)
    }

    /// The root of its API.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The file with the private key of the application it plays.
    pub fn app_key_file(&self) -> PathBuf {
        let ending = format!("-{}.pem", self.backend_port);
        let files = fs::read_dir(&self.home).expect("the stand-in's folder").flatten();
        let found = files.map(|file| file.path()).find(|path| path.to_string_lossy().ends_with(&ending));
        found.expect("the stand-in writes its application's key")
    }

    fn backend_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.backend_port)
    }

    /// Loads the open issues of the recorded history into `repo` (`alice/<name>`), and says how many.
    pub fn load_history(&self, repo: &str) -> usize {
        let history = shared().join("data/github-history-gui.jsonl");
        let mut command = node(&self.home);
        command.args(["load-history.mjs", &self.backend_url(), &self.token]).arg(&history).arg(repo);
        let output = command.output().expect("node runs, it has started the stand-in");
        assert!(output.status.success(), "load-history: {}", String::from_utf8_lossy(&output.stderr));
        let told: Value = serde_json::from_slice(&output.stdout).expect("load-history tells what it loaded");
        usize::try_from(told["loaded"].as_u64().expect("a number")).expect("a small number")
    }

    /// Makes `repos` repositories of alice's (`bulk-0001` ...) with `issues` open issues each.
    pub fn load_bulk(&self, repos: usize, issues: usize) {
        let mut command = node(&self.home);
        command.args(["seed-bulk.mjs", &self.backend_url(), "alice", &repos.to_string(), &issues.to_string()]);
        let output = command.output().expect("node runs, it has started the stand-in");
        assert!(output.status.success(), "seed-bulk: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// What it was asked so far: `requests`, `metered`, `notModified`, `byRoute`, `maxInFlight`.
    pub async fn stats(&self) -> Value {
        let answer = reqwest::get(format!("{}/__front/stats", self.url)).await.expect("the stand-in answers");
        answer.json().await.expect("JSON")
    }

    /// Forgets what it was asked, and what it was told to do wrong.
    pub async fn reset_stats(&self) {
        self.post("/__front/reset", &Value::Null).await;
    }

    /// Makes it do something wrong: `{"path":"^/repos","status":403,"headers":{"retry-after":"1"}}`.
    pub async fn fault(&self, fault: &Value) {
        self.post("/__front/fault", fault).await;
    }

    /// A call of GitHub's API with the token, as a person would make it; returns the answer.
    pub async fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        self.call_as(&self.token, method, path, body).await
    }

    /// The same, by whoever has `token`.
    pub async fn call_as(&self, token: &str, method: &str, path: &str, body: &Value) -> Value {
        let method = method.parse().expect("a method");
        let request = reqwest::Client::new().request(method, format!("{}{path}", self.url)).bearer_auth(token);
        let answer = request.json(body).send().await.expect("the stand-in answers");
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
        answer.json().await.expect("JSON")
    }

    async fn post(&self, path: &str, body: &Value) {
        let request = reqwest::Client::new().post(format!("{}{path}", self.url)).json(body);
        let answer = request.send().await.expect("the stand-in answers");
        assert!(answer.status().is_success(), "{path}: {}", answer.status());
    }

    /// Starts a script and waits until it prints a line that begins with `ready`.
    fn run(&mut self, script: &str, arguments: &[&str], ready: &'static str) -> Result<(), String> {
        let mut command = node(&self.home);
        command.arg(script).args(arguments).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().map_err(|error| format!("node does not run: {error}"))?;
        let printed = child.stdout.take().expect("stdout is piped");
        self.children.push(child);
        let (tell, told) = mpsc::channel();
        // Reads on after that line, so that the script never waits for a reader.
        std::thread::spawn(move || {
            for line in BufReader::new(printed).lines().map_while(Result::ok) {
                if line.starts_with(ready) {
                    let _ = tell.send(());
                }
            }
        });
        told.recv_timeout(Duration::from_secs(READY_SECONDS_MAX)).map_err(|_| format!("{script} did not come up"))
    }
}

impl Drop for Standin {
    fn drop(&mut self) {
        for child in &mut self.children {
            let _ = child.kill();
            let _ = child.wait();
        }
        // It leaves its seed, and a key for each application it plays, named by its port.
        let endings = ["pem", "yaml"].map(|kind| format!("-{}.{kind}", self.backend_port));
        for file in fs::read_dir(&self.home).into_iter().flatten().flatten() {
            let name = file.file_name().to_string_lossy().into_owned();
            if endings.iter().any(|ending| name.ends_with(ending)) {
                let _ = fs::remove_file(file.path());
            }
        }
    }
}

fn shared() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared")
}

fn node(home: &Path) -> Command {
    let mut command = Command::new("node");
    command.current_dir(home).stdin(Stdio::null());
    command
}

/// Copies the stand-in below the target directory and installs its packages there, once for all
/// tests: a lock keeps test binaries that run at the same time apart.
fn install(original: &Path) -> Result<PathBuf, String> {
    let files = fs::read_dir(original).map_err(|_| format!("no GitHub stand-in at {}", original.display()))?;
    let said = |error: std::io::Error| format!("the GitHub stand-in cannot be copied: {error}");
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("github-standin");
    fs::create_dir_all(&home).map_err(said)?;
    let lock = File::create(home.join(".lock")).map_err(said)?;
    lock.lock().map_err(said)?;
    for file in files {
        let file = file.map_err(said)?;
        // Contents only: the original may be read-only, and the copy must not be.
        fs::write(home.join(file.file_name()), fs::read(file.path()).map_err(said)?).map_err(said)?;
    }
    if !home.join("node_modules/emulate").exists() {
        let npm = Command::new("npm").args(["install", "--ignore-scripts", "--no-audit"]).current_dir(&home).output();
        if !npm.map_err(|error| format!("npm does not run: {error}"))?.status.success() {
            return Err("npm could not install the GitHub stand-in".into());
        }
    }
    Ok(home)
}

fn free_ports() -> (u16, u16) {
    let bind = || TcpListener::bind("127.0.0.1:0").expect("a free port");
    let (a, b) = (bind(), bind());
    let port = |listener: &TcpListener| listener.local_addr().expect("a bound address").port();
    (port(&a), port(&b))
}
