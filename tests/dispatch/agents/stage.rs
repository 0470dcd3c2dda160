//! An agent on its ground: a container, or a folder of this machine, with a repository and the scripted model.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use issuecommand::config::{AgentConfig, Secret};
use issuecommand::dispatch::agent::{self, AgentRuntime, AgentSession, Ground, SessionRecord};
use issuecommand::dispatch::container::{
    ContainerRuntime, ContainerSpec, ContainerState, Exec, HostProcess, Limits, Podman,
};
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::SemaphorePermit;

use crate::image::{AGENT_IMAGE, podman_with_agents};
use crate::kit::{FakeModel, agents, turn_to_run};

/// Where containers reach this machine on podman's own network.
pub const HOST_FROM_CONTAINERS: &str = "10.88.0.1";
/// What nobody but the agent may see.
pub const MODEL_KEY: &str = "sk-scripted-and-secret";
pub const DOOR_PASSWORD: &str = "door-password-and-secret";

/// Which agent, and where it works.
#[derive(Debug, Clone, Copy)]
pub struct Case {
    pub kind: &'static str,
    pub is_contained: bool,
}

/// An agent on its ground, with a repository of one commit.
pub struct Stage {
    pub runtime: Arc<dyn AgentRuntime>,
    ground: Ground,
    pub folder: TempDir,
    _model: FakeModel,
    _turn: SemaphorePermit<'static>,
}

impl Stage {
    /// Where the agent works, if what it needs is here.
    pub async fn set(case: Case) -> Option<Self> {
        Self::set_with(case, |_| {}).await
    }

    pub async fn set_with(case: Case, change: impl FnOnce(&mut Ground)) -> Option<Self> {
        let model = FakeModel::start()?;
        let (programs, podman) = match case.is_contained {
            true => (PathBuf::new(), Some(podman_with_agents()?)),
            false => (agents()?, None),
        };
        let turn = turn_to_run().await;
        let folder = tempfile::tempdir().unwrap();
        let url = model.url(if case.is_contained { HOST_FROM_CONTAINERS } else { "127.0.0.1" });
        let containers: Arc<dyn ContainerRuntime> = match podman {
            Some(program) => Arc::new(Podman::new(program, None)),
            None => Arc::new(HostProcess::new(folder.path().join("containers"))),
        };
        let runtime = agent::of(case.kind, &config_of(case, &programs, &url)).unwrap();
        let container = containers.start(&spec(runtime.port())).await.unwrap();
        let secrets = ["FAKE_LLM_KEY", "ANTHROPIC_API_KEY"].map(|name| (name.into(), Secret::new(MODEL_KEY)));
        let mut ground = Ground {
            runtime: containers,
            container,
            environment: Vec::new(),
            env: BTreeMap::new(),
            secrets: secrets.into(),
            password: Secret::new(DOOR_PASSWORD),
            model: model_of(case.kind),
            trusts_repository: false,
        };
        change(&mut ground);
        let stage = Self { runtime, ground, folder, _model: model, _turn: turn };
        stage.run("git init -q -b main && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m first").await;
        if case.kind == "pi" {
            let models = pi_models(&url);
            stage.run(&format!("mkdir -p ~/.pi/agent && echo '{models}' > ~/.pi/agent/models.json")).await;
        }
        Some(stage)
    }

    /// Runs a script where the agent works, and answers what it printed.
    pub async fn run(&self, script: &str) -> String {
        let exec = Exec::script(script, &[]).within(&self.workspace());
        let output = self.ground.runtime.command(&self.ground.container, &exec).output().await.unwrap();
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    pub async fn start(&self) -> Box<dyn AgentSession> {
        self.runtime.start(&self.ground).await.unwrap()
    }

    pub async fn attach(&self, record: &SessionRecord) -> Box<dyn AgentSession> {
        self.runtime.attach(&self.ground, record).await.unwrap()
    }

    pub fn workspace(&self) -> String {
        self.ground.runtime.places(&self.ground.container).workspace
    }

    pub fn prompt(&self, scenario: &str) -> String {
        format!("[[scenario:{scenario}]] [[dir:{}]] do it", self.workspace())
    }

    pub async fn leave(self) {
        self.ground.runtime.remove(&self.ground.container).await.unwrap();
        let state = self.ground.runtime.state(&self.ground.container).await.unwrap();
        assert_eq!(state, ContainerState::Absent);
        let left = processes_in(self.folder.path());
        assert!(left.is_empty(), "still running: {left:?}");
    }
}

impl Drop for Stage {
    /// Also of a test that failed, nothing is left.
    fn drop(&mut self) {
        let (runtime, container) = (self.ground.runtime.clone(), self.ground.container.clone());
        let removal = std::thread::spawn(move || {
            let waiting = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            waiting.block_on(runtime.remove(&container))
        });
        let _ = removal.join();
    }
}

/// What every program of this machine was started with, those in containers too.
pub fn command_lines() -> String {
    let processes = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    processes.map(|path| std::fs::read_to_string(path.join("cmdline")).unwrap_or_default()).collect()
}

/// Programs that were started in a folder of the host's, and are still there.
fn processes_in(folder: &Path) -> Vec<String> {
    let mark = folder.to_string_lossy().into_owned();
    let processes = std::fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let marked = processes.filter(|path| {
        let environment = std::fs::read(path.join("environ")).unwrap_or_default();
        String::from_utf8_lossy(&environment).contains(&mark)
    });
    marked.map(|path| std::fs::read_to_string(path.join("cmdline")).unwrap_or_default()).collect()
}

fn spec(port: Option<u16>) -> ContainerSpec {
    static COUNT: AtomicU64 = AtomicU64::new(1);
    let server = format!("test-agents-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
    ContainerSpec {
        name: format!("issuecommand-{server}-1"),
        server,
        run: "1".into(),
        epoch: 1,
        image: AGENT_IMAGE.into(),
        limits: Limits { cpus: 2.0, memory_bytes: 2 << 30, pids: 512 },
        network: "bridge".into(),
        port,
        mounts: Vec::new(),
        env: BTreeMap::new(),
    }
}

pub fn pi_models(url: &str) -> String {
    let models = json!([{"id": "scripted", "contextWindow": 128_000, "maxTokens": 8192}]);
    let provider = json!({
        "baseUrl": format!("{url}/v1"),
        "api": "openai-completions",
        "apiKey": "FAKE_LLM_KEY",
        "models": models,
    });
    json!({"providers": {"fake": provider}}).to_string()
}

pub fn model_of(kind: &str) -> Option<String> {
    let model = match kind {
        "opencode" | "pi" => "fake/scripted",
        "claude" => "claude-sonnet-4-5",
        "codex" => "scripted",
        _ => return None,
    };
    Some(model.to_owned())
}

/// A script that does as the scenario of its prompt says.
const PLAIN_AGENT: &str = r#"
prompt=$(cat)
[ "$prompt" = "$(cat "$ISSUECOMMAND_PROMPT_FILE")" ] || exit 9
case $prompt in
  *scenario:commit*)
    echo "Writing the file."
    sleep 1
    echo hello world > hello.txt
    git add -A && git -c user.name=a -c user.email=a@b commit -q -m "Add hello.txt"
    echo "Done: committed hello.txt." ;;
  *scenario:question2*hola*) echo "Thanks: hola" ;;
  *scenario:question2*) echo "NEEDS-INPUT: which greeting?" ;;
  *scenario:error400*) echo "scripted 400" >&2; exit 1 ;;
  *scenario:error429*) echo "429 Too Many Requests" >&2; exit 1 ;;
  *scenario:stall*) sleep 600 ;;
  *scenario:killed*) kill -KILL $$ ;;
esac
"#;

/// How each agent is told of the scripted model.
pub fn config_of(case: Case, programs: &Path, url: &str) -> AgentConfig {
    // In its image each agent is on the path, by its name.
    let program = |path: &str| match case.is_contained {
        true => Path::new(path).file_name().unwrap().to_string_lossy().into_owned(),
        false => programs.join(path).to_string_lossy().into_owned(),
    };
    let opencode = || program("opencode-linux-x64/bin/opencode");
    let (command, env) = match case.kind {
        "opencode" => (vec![opencode()], vec![("OPENCODE_CONFIG_CONTENT", opencode_config(url))]),
        "acp" => (vec![opencode(), "acp".into()], vec![("OPENCODE_CONFIG_CONTENT", opencode_config(url))]),
        "pi" => (vec![program(".bin/pi")], Vec::new()),
        "claude" => {
            let env = vec![("ANTHROPIC_BASE_URL", url.to_owned()), ("IS_SANDBOX", "1".to_owned())];
            (vec![program("@anthropic-ai/claude-code-linux-x64/claude")], env)
        }
        "codex" => {
            let provider =
                format!("{{name=\"fake\",base_url=\"{url}/v1\",wire_api=\"responses\",env_key=\"FAKE_LLM_KEY\"}}");
            let flags =
                ["-c", "model_provider=fake", "-c", &format!("model_providers.fake={provider}")].map(str::to_owned);
            ([vec![program(".bin/codex")], flags.to_vec()].concat(), Vec::new())
        }
        "command" => (vec!["sh".into(), "-c".into(), PLAIN_AGENT.into()], Vec::new()),
        kind => panic!("{kind} is unknown to the tests"),
    };
    let env = env.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    AgentConfig { command, env, ..AgentConfig::default() }
}

fn opencode_config(url: &str) -> String {
    let models = json!({"scripted": {"tool_call": true, "limit": {"context": 128_000, "output": 8192}}});
    let options = json!({"baseURL": format!("{url}/v1"), "apiKey": "{env:FAKE_LLM_KEY}"});
    let provider = json!({"npm": "@ai-sdk/openai-compatible", "options": options, "models": models});
    json!({"enabled_providers": ["fake"], "small_model": "fake/scripted", "model": "fake/scripted", "provider": {"fake": provider}}).to_string()
}
