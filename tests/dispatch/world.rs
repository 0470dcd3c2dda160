//! A world in which issues become pull requests: the GitHub stand-in, git over HTTP, podman, a scripted model, and
//! the program itself, which is told of them all.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::{Mutex, MutexGuard};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::agents::stage::{Case, HOST_FROM_CONTAINERS, config_of, model_of, pi_models};
use crate::git::git;
use crate::image::{AGENT_IMAGE, podman_with_agents};
use crate::kit::{FakeModel, GitServer};
use crate::page::Page;
use crate::patience::until;
use crate::peek;
use crate::standin::Standin;

/// The repository, which has the topic that lets the dispatcher in.
pub const REPO: &str = "alice/widget";
/// What GitHub and git let the program in by; nothing else on this machine holds it.
pub const TOKEN: &str = "ghp_0nlyInThisW0rld";
/// What the agent is let in by at its model.
pub const MODEL_KEY: &str = "sk-0nly-in-this-w0rld";

/// Longest time for one command; agents take half a minute to start while others do.
const COMMAND_SECONDS_MAX: u64 = 300;

/// pi has no variable for its models, only a file.
const PI_WITH_MODELS: &str =
    r#"mkdir -p ~/.pi/agent && printf %s "$PI_MODELS" > ~/.pi/agent/models.json && exec pi "$@""#;

/// All of it. One at a time: each has an agent in a container.
pub struct World {
    pub github: Standin,
    pub podman: String,
    folder: TempDir,
    model: FakeModel,
    git: GitServer,
    _turn: MutexGuard<'static, ()>,
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

/// A command that is under way.
pub struct UnderWay {
    id: u32,
    ended: JoinHandle<Ended>,
}

impl World {
    /// One in which `agent` works, if what it needs is here.
    pub async fn with(agent: &str) -> Option<Self> {
        let world = Self::empty(&[]).await?;
        world.configure(agent, "");
        Some(world)
    }

    /// One with more files in its repository, and nothing configured.
    pub async fn empty(files: &[(&str, &str)]) -> Option<Self> {
        static TURN: Mutex<()> = Mutex::const_new(());
        let turn = TURN.lock().await;
        let (podman, model) = (podman_with_agents()?, FakeModel::start()?);
        let github = Standin::start_with_token(TOKEN)?;
        let folder = tempfile::tempdir().unwrap();
        seed(folder.path(), files);
        let git = GitServer::start(&folder.path().join("git"), TOKEN).await;
        fs::create_dir(folder.path().join("home")).unwrap();
        Some(Self { github, podman, folder, model, git, _turn: turn })
    }

    /// Writes the configuration: what every test needs, and `more` on top of it.
    pub fn configure(&self, agent: &str, more: &str) {
        let essentials = format!(
            r#"
            server = {{ port = 0 }}
            store = {{ path = "claims.db" }}
            rate_limits = {{ enabled = false }}
            github = {{ api_url = "{}", poll_interval = "1s" }}
            dispatch = {{ agent = "{agent}", git_url = "{}", attempt_count_max = 1 }}
            containers = {{ runtime = "{}", base_image = "{AGENT_IMAGE}", heartbeat = "1s" }}
            secrets = {{ variables = {{ FAKE_LLM_KEY = "env:MODEL_KEY", ANTHROPIC_API_KEY = "env:MODEL_KEY" }} }}
            "#,
            self.github.url(),
            self.git.url("{repo}.git"),
            self.podman,
        );
        let mut settings: toml::Table = essentials.parse().unwrap();
        let agents = toml::Table::from_iter([(agent.to_owned(), self.agent(agent))]);
        settings.insert("agents".into(), agents.into());
        merge(&mut settings, more.parse().unwrap());
        fs::write(self.home().join("issuecommand.toml"), settings.to_string()).unwrap();
    }

    fn agent(&self, agent: &str) -> toml::Value {
        // One that is configured by a name of its own speaks the common protocol.
        let kind = ["opencode", "pi", "claude", "codex"].into_iter().find(|kind| *kind == agent).unwrap_or("acp");
        let url = self.model.url(HOST_FROM_CONTAINERS);
        let mut config = config_of(Case { kind, is_contained: true }, Path::new(""), &url);
        (config.kind, config.model) = (Some(kind.to_owned()), model_of(kind));
        if kind == "pi" {
            config.command = ["sh", "-c", PI_WITH_MODELS, "pi"].map(str::to_owned).into();
            config.env.insert("PI_MODELS".into(), pi_models(&url));
        }
        toml::Value::try_from(config).unwrap()
    }

    /// Where the program is run.
    pub fn home(&self) -> PathBuf {
        self.folder.path().join("home")
    }

    /// The folder of all of it but the containers.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The repository that stands for GitHub's.
    pub fn upstream(&self) -> PathBuf {
        self.folder.path().join("git").join(REPO).with_extension("git")
    }

    /// The branches beside `main`.
    pub fn branches(&self) -> Vec<String> {
        let all = git(&self.upstream(), &["for-each-ref", "--format=%(refname:short)", "refs/heads"]);
        all.lines().filter(|branch| *branch != "main").map(str::to_owned).collect()
    }

    /// The program in its folder, with nothing inherited from the environment of the test.
    pub fn command(&self, arguments: &[&str]) -> tokio::process::Command {
        let mut command = tokio::process::Command::new(env!("CARGO_BIN_EXE_issuecommand"));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.env("HOME", self.home()).env("XDG_CACHE_HOME", concat!(env!("CARGO_TARGET_TMPDIR"), "/cache"));
        if let Some(settings) = std::env::var_os("CONTAINERS_CONF") {
            command.env("CONTAINERS_CONF", settings);
        }
        command.env("GITHUB_TOKEN", TOKEN).env("MODEL_KEY", MODEL_KEY).env("USER", "ann");
        command.current_dir(self.home()).args(arguments).kill_on_drop(true);
        command
    }

    /// Runs the program to its end.
    pub async fn ask(&self, arguments: &[&str]) -> Ended {
        start(self.command(arguments)).end().await
    }

    /// Runs `issuecommand run` for an issue of the repository.
    pub async fn run(&self, number: u64) -> Ended {
        self.ask(&["run", &format!("{REPO}#{number}")]).await
    }

    /// Starts `issuecommand run`.
    pub fn start_run(&self, number: u64) -> UnderWay {
        start(self.command(&["run", &format!("{REPO}#{number}")]))
    }

    /// Opens an issue that makes the model follow one of its scenarios.
    pub async fn open_issue(&self, scenario: &str) -> u64 {
        self.open_issue_that_says("A greeting is missing", &script(scenario)).await
    }

    pub async fn open_issue_that_says(&self, title: &str, body: &str) -> u64 {
        self.page().open_issue(title, body, &["agent"]).await
    }

    /// The repository on GitHub.
    pub fn page(&self) -> Page<'_> {
        Page { github: &self.github, repo: REPO }
    }

    /// Every claim that was ever made: who holds it, how it stands, and its pull request.
    pub async fn claims(&self) -> Vec<Value> {
        let exported = self.ask(&["export"]).await;
        let state: Value = serde_json::from_str(&exported.out).unwrap_or_else(|_| panic!("{exported:?}"));
        ["claims", "history"].iter().flat_map(|list| state[list].as_array().cloned().unwrap_or_default()).collect()
    }

    /// The runs of this world, by their short ids.
    pub fn runs(&self) -> Vec<String> {
        peek::runs(&self.home().join("claims.db"))
    }

    /// What the runs' logs say.
    pub fn logs(&self) -> String {
        peek::logs(&self.home().join("claims.db"))
    }

    /// The containers of this world, by name.
    pub fn containers(&self) -> Vec<String> {
        let names = self.call_podman(&["ps", "--all", "--filter", "label=issuecommand.server", "--format={{.Names}}"]);
        let runs = self.runs();
        let is_ours = |name: &str| runs.iter().any(|run| name.contains(run.as_str()));
        names.lines().filter(|name| is_ours(name)).map(str::to_owned).collect()
    }

    /// What podman prints, on both of its outputs.
    pub fn call_podman(&self, arguments: &[&str]) -> String {
        let output = Command::new(&self.podman).args(arguments).stdin(Stdio::null()).output().unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }

    /// What a script prints in the one container there is, as the agent's own user.
    pub fn within(&self, script: &str) -> String {
        self.within_on(script, "")
    }

    /// The same, with something to read that no command line may hold.
    pub fn within_on(&self, script: &str, input: &str) -> String {
        let containers = self.containers();
        let [container] = containers.as_slice() else { panic!("not one container: {containers:?}") };
        let mut exec = Command::new(&self.podman);
        exec.args(["exec", "--interactive", "--workdir=/workspace", container, "sh", "-c", script]);
        let mut exec = exec.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        exec.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
        let output = exec.wait_with_output().unwrap();
        String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
    }

    /// Waits until an issue has a label.
    pub async fn until_labelled(&self, number: u64, label: &str) {
        let is_labelled = async || self.page().labels(number).await.iter().any(|found| found == label).then_some(());
        until(&format!("the label {label}, after {}", self.logs()), is_labelled).await;
    }

    /// Waits until a run's log says something.
    pub async fn until_logged(&self, words: &str) {
        until(words, async || self.logs().contains(words).then_some(())).await;
    }
}

impl Drop for World {
    /// Also of a test that failed, no container is left.
    fn drop(&mut self) {
        for container in self.containers() {
            self.call_podman(&["rm", "--force", "--time=0", &container]);
        }
    }
}

/// The words by which the model knows what to do, in the work tree.
pub fn script(scenario: &str) -> String {
    format!("[[scenario:{scenario}]] [[dir:/workspace]] Please.")
}

/// Starts a command, whose output is kept.
pub fn start(mut command: tokio::process::Command) -> UnderWay {
    let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let id = child.id().unwrap();
    let ended = tokio::spawn(async move {
        let output = child.wait_with_output().await.unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Ended { code: output.status.code(), out: text(output.stdout), err: text(output.stderr) }
    });
    UnderWay { id, ended }
}

impl UnderWay {
    /// As Ctrl-C does.
    pub fn interrupt(&self) {
        assert!(Command::new("kill").args(["-INT", &self.id.to_string()]).status().unwrap().success());
    }

    pub async fn end(self) -> Ended {
        timeout(Duration::from_secs(COMMAND_SECONDS_MAX), self.ended).await.expect("the command ends").unwrap()
    }
}

/// A bare repository with one commit.
fn seed(folder: &Path, files: &[(&str, &str)]) {
    let tree = folder.join("seed");
    for (path, text) in [("README.md", "# widget\n")].iter().chain(files) {
        let path = tree.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    git(&tree, &["init", "--quiet"]);
    git(&tree, &["add", "--all"]);
    git(&tree, &["commit", "--quiet", "--message=first"]);
    git(folder, &["clone", "--quiet", "--bare", "seed", &format!("git/{REPO}.git")]);
    git(&folder.join("git").join(REPO).with_extension("git"), &["config", "http.receivepack", "true"]);
}

fn merge(settings: &mut toml::Table, more: toml::Table) {
    for (key, value) in more {
        match (settings.get_mut(&key), value) {
            (Some(toml::Value::Table(known)), toml::Value::Table(value)) => merge(known, value),
            (_, value) => drop(settings.insert(key, value)),
        }
    }
}
