//! Coding agents, each through turns with the scripted model.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use issuecommand::config::{AgentConfig, Secret};
use issuecommand::dispatch::agent::{
    self, AgentEvent, AgentRuntime, AgentSession, Ground, Question, SessionRecord, TokenUsage, TurnEnd,
};
use issuecommand::dispatch::container::{ContainerRuntime, ContainerSpec, ContainerState, Exec, HostProcess, Limits};
use serde_json::json;
use tempfile::TempDir;
use tokio::sync::SemaphorePermit;
use tokio::time::timeout;

use crate::kit::{FakeModel, agents, turn_to_run};

/// Longest time for one turn; agents take half a minute to start while others do.
const TURN_SECONDS_MAX: u64 = 150;

/// An agent on its ground, with a repository of one commit.
struct Stage {
    runtime: Arc<dyn AgentRuntime>,
    ground: Ground,
    model: FakeModel,
    folder: TempDir,
    _turn: SemaphorePermit<'static>,
}

impl Stage {
    /// Where an agent of this kind works, if what it needs is here.
    async fn set(kind: &str) -> Option<Self> {
        Self::set_with(kind, |_| {}).await
    }

    async fn set_with(kind: &str, change: impl FnOnce(&mut Ground)) -> Option<Self> {
        let (model, programs) = (FakeModel::start()?, agents()?);
        let turn = turn_to_run().await;
        let folder = tempfile::tempdir().unwrap();
        let containers = Arc::new(HostProcess::new(folder.path().join("containers")));
        let config = config_of(kind, &programs, &model.url("127.0.0.1"));
        let runtime = agent::of(kind, &config).unwrap();
        let container = containers.start(&spec(runtime.port())).await.unwrap();
        let secrets = ["FAKE_LLM_KEY", "ANTHROPIC_API_KEY"].map(|name| (name.into(), Secret::new("sk-scripted")));
        let mut ground = Ground {
            runtime: containers,
            container,
            environment: Vec::new(),
            env: BTreeMap::new(),
            secrets: secrets.into(),
            password: Secret::new("door-password"),
            model: model_of(kind),
            trusts_repository: false,
        };
        change(&mut ground);
        let stage = Self { runtime, ground, model, folder, _turn: turn };
        stage.run("git init -q -b main && git -c user.name=a -c user.email=a@b commit -q --allow-empty -m first").await;
        if kind == "pi" {
            stage.run(&format!("mkdir -p ~/.pi/agent && echo '{}' > ~/.pi/agent/models.json", stage.pi_models())).await;
        }
        Some(stage)
    }

    /// Runs a script where the agent works, and answers what it printed.
    async fn run(&self, script: &str) -> String {
        let exec = Exec::script(script, &[]);
        let output = self.ground.runtime.command(&self.ground.container, &exec).output().await.unwrap();
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    async fn start(&self) -> Box<dyn AgentSession> {
        self.runtime.start(&self.ground).await.unwrap()
    }

    async fn attach(&self, record: &SessionRecord) -> Box<dyn AgentSession> {
        self.runtime.attach(&self.ground, record).await.unwrap()
    }

    fn prompt(&self, scenario: &str) -> String {
        let workspace = self.ground.runtime.places(&self.ground.container).workspace;
        format!("[[scenario:{scenario}]] [[dir:{workspace}]] do it")
    }

    fn pi_models(&self) -> String {
        let models = json!([{"id": "scripted", "contextWindow": 128_000, "maxTokens": 8192}]);
        let provider = json!({
            "baseUrl": self.model.url("127.0.0.1") + "/v1",
            "api": "openai-completions",
            "apiKey": "FAKE_LLM_KEY",
            "models": models,
        });
        json!({"providers": {"fake": provider}}).to_string()
    }

    async fn leave(self) {
        self.ground.runtime.remove(&self.ground.container).await.unwrap();
        let state = self.ground.runtime.state(&self.ground.container).await.unwrap();
        assert_eq!(state, ContainerState::Absent);
        let left = processes_in(self.folder.path());
        assert!(left.is_empty(), "still running: {left:?}");
    }
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
    ContainerSpec {
        name: "issuecommand-1-1".into(),
        server: "test".into(),
        run: "1".into(),
        epoch: 1,
        image: String::new(),
        limits: Limits { cpus: 1.0, memory_bytes: 1 << 30, pids: 512 },
        network: "none".into(),
        port,
        mounts: Vec::new(),
        env: BTreeMap::new(),
    }
}

fn model_of(kind: &str) -> Option<String> {
    let model = match kind {
        "opencode" | "pi" => "fake/scripted",
        "claude" => "claude-sonnet-4-5",
        "codex" => "scripted",
        _ => return None,
    };
    Some(model.to_owned())
}

/// How each agent is told of the scripted model.
fn config_of(kind: &str, programs: &Path, url: &str) -> AgentConfig {
    let program = |path: &str| programs.join(path).to_string_lossy().into_owned();
    let opencode = || program("opencode-linux-x64/bin/opencode");
    let (command, env) = match kind {
        "opencode" => (vec![opencode()], vec![("OPENCODE_CONFIG_CONTENT", opencode_config(url))]),
        _ => panic!("{kind} is unknown to the tests"),
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

/// All that happens until the turn ends or asks.
async fn hear(session: &mut Box<dyn AgentSession>) -> Vec<AgentEvent> {
    let all = async {
        let mut events = Vec::new();
        loop {
            events.push(session.next().await.unwrap());
            if matches!(events.last(), Some(AgentEvent::Ended(_) | AgentEvent::Question(_))) {
                return events;
            }
        }
    };
    timeout(Duration::from_secs(TURN_SECONDS_MAX), all).await.expect("the turn ends")
}

/// Waits for an event that is as wanted, and answers those before it too.
async fn hear_until(session: &mut Box<dyn AgentSession>, is_wanted: impl Fn(&AgentEvent) -> bool) -> Vec<AgentEvent> {
    let all = async {
        let mut events = Vec::new();
        loop {
            events.push(session.next().await.unwrap());
            if events.last().is_some_and(&is_wanted) {
                return events;
            }
        }
    };
    timeout(Duration::from_secs(TURN_SECONDS_MAX), all).await.expect("it comes")
}

fn end_of(events: &[AgentEvent]) -> &TurnEnd {
    match events.last() {
        Some(AgentEvent::Ended(end)) => end,
        other => panic!("not an end: {other:?}"),
    }
}

fn question_of(events: &[AgentEvent]) -> &Question {
    match events.last() {
        Some(AgentEvent::Question(question)) => question,
        other => panic!("not a question: {other:?}"),
    }
}

fn calls_of(events: &[AgentEvent]) -> Vec<&str> {
    let call = |event| match event {
        &AgentEvent::Tool { ref call, .. } => Some(call.as_str()),
        _ => None,
    };
    events.iter().filter_map(call).collect()
}

fn text_of(events: &[AgentEvent]) -> String {
    let text = |event: &AgentEvent| match event {
        AgentEvent::Text(text) => Some(text.clone()),
        _ => None,
    };
    events.iter().filter_map(text).collect()
}

fn usage_of(events: &[AgentEvent]) -> TokenUsage {
    let usage = |event: &AgentEvent| match event {
        AgentEvent::Usage(usage) => Some(*usage),
        _ => None,
    };
    events.iter().rev().find_map(usage).expect("usage is told")
}

async fn commits_a_change_and_says_what_it_used(kind: &str) {
    let Some(stage) = Stage::set(kind).await else { return };
    let mut session = stage.start().await;
    session.prompt(&stage.prompt("commit")).await.unwrap();
    let events = hear(&mut session).await;
    assert!(
        matches!(end_of(&events), TurnEnd::Finished(text) if text.contains("Done: committed hello.txt.")),
        "{events:?}"
    );
    assert!(text_of(&events).contains("Writing the file."), "{events:?}");
    assert!(calls_of(&events).iter().any(|call| call.contains("git add -A")), "{events:?}");
    assert_eq!(stage.run("git log --format=%s -1").await, "Add hello.txt\n");
    assert_eq!(stage.run("git show HEAD:hello.txt").await, "hello world\n");
    let usage = usage_of(&events);
    assert!(usage.input > 1000 && (7..100).contains(&usage.output), "{usage:?}");
    stage.leave().await;
}

async fn asks_by_its_tool_and_goes_on_with_the_answer(kind: &str) {
    let Some(stage) = Stage::set(kind).await else { return };
    let mut session = stage.start().await;
    session.prompt(&stage.prompt("question")).await.unwrap();
    let events = hear(&mut session).await;
    let question = question_of(&events).clone();
    assert_eq!(question.text, "Which greeting should hello.txt contain?");
    assert_eq!(question.options, ["hello", "hola"]);
    // As after a restart of the server: the question is there again, and takes the answer.
    let record = session.record();
    drop(session);
    let mut session = stage.attach(&record).await;
    if kind == "opencode" {
        assert_eq!(question_of(&hear(&mut session).await), &question);
    }
    session.answer(&question, "hola, gladly").await.unwrap();
    let events = hear(&mut session).await;
    assert!(
        matches!(end_of(&events), TurnEnd::Finished(text) if text.contains("The answer was recorded.")),
        "{events:?}"
    );
    assert!(stage.run("cat answer.txt").await.contains("hola, gladly"));
    stage.leave().await;
}

async fn a_bad_request_fails_and_is_not_the_providers_refusal(kind: &str) {
    let Some(stage) = Stage::set(kind).await else { return };
    let mut session = stage.start().await;
    session.prompt(&stage.prompt("error400")).await.unwrap();
    let events = hear(&mut session).await;
    let end = end_of(&events);
    assert!(matches!(end, TurnEnd::Failed { why, provider: false } if why.contains("400")), "{events:?}");
    stage.leave().await;
}

async fn a_provider_that_is_out_of_budget_is_told_apart(kind: &str) {
    let Some(stage) = Stage::set(kind).await else { return };
    let mut session = stage.start().await;
    session.prompt(&stage.prompt("error429")).await.unwrap();
    let events = hear(&mut session).await;
    assert!(matches!(end_of(&events), TurnEnd::Failed { provider: true, .. }), "{events:?}");
    stage.leave().await;
}

async fn a_silent_model_is_only_a_sign_of_life_until_it_is_aborted(kind: &str) {
    let Some(stage) = Stage::set(kind).await else { return };
    let mut session = stage.start().await;
    session.prompt(&stage.prompt("stall")).await.unwrap();
    let events = hear_until(&mut session, |event| *event == AgentEvent::Alive).await;
    let is_work = |event: &AgentEvent| matches!(event, AgentEvent::Text(_) | AgentEvent::Tool { .. });
    assert!(!events.iter().any(is_work), "{events:?}");
    session.abort().await.unwrap();
    let events = hear(&mut session).await;
    assert_eq!(end_of(&events), &TurnEnd::Aborted, "{events:?}");
    stage.leave().await;
}

async fn calls_are_equal_exactly_when_they_repeat(kind: &str) {
    let Some(stage) = Stage::set(kind).await else { return };
    let mut session = stage.start().await;
    session.prompt(&stage.prompt("doom")).await.unwrap();
    let events = hear(&mut session).await;
    let calls = calls_of(&events);
    assert!(calls.len() == 8 && calls.iter().all(|call| call == &calls[0]), "{calls:?}");
    stage.leave().await;
}

async fn an_endless_agent_is_seen_to_do_ever_new_things(kind: &str) {
    let Some(stage) = Stage::set(kind).await else { return };
    let mut session = stage.start().await;
    session.prompt(&stage.prompt("loop")).await.unwrap();
    let is_third = |event: &AgentEvent| matches!(event, AgentEvent::Tool { call, .. } if call.contains("echo turn 3"));
    let events = hear_until(&mut session, is_third).await;
    let mut calls = calls_of(&events);
    calls.dedup();
    assert!(calls.len() >= 4, "{calls:?}");
    session.abort().await.unwrap();
    assert_eq!(end_of(&hear(&mut session).await), &TurnEnd::Aborted);
    stage.leave().await;
}

async fn a_session_goes_on_after_its_server_died_in_the_middle(kind: &str) {
    let Some(stage) = Stage::set(kind).await else { return };
    let mut session = stage.start().await;
    session.prompt(&stage.prompt("commit")).await.unwrap();
    // The first sign of work; nobody listens from then on, and the turn goes on.
    let is_work = |event: &AgentEvent| matches!(event, AgentEvent::Text(_) | AgentEvent::Tool { .. });
    hear_until(&mut session, is_work).await;
    let record = session.record();
    drop(session);
    let kept = serde_json::to_string(&record).unwrap();
    assert!(!kept.contains("sk-scripted") && !kept.contains("door-password"), "{kept}");
    let mut session = stage.attach(&serde_json::from_str(&kept).unwrap()).await;
    let events = hear(&mut session).await;
    assert!(matches!(end_of(&events), TurnEnd::Finished(text) if text.contains("Done:")), "{events:?}");
    assert_eq!(stage.run("git log --format=%s -1").await, "Add hello.txt\n");
    stage.leave().await;
}

mod opencode {
    use super::*;
    const KIND: &str = "opencode";

    #[tokio::test]
    async fn opencode_commits_a_change_and_says_what_it_used() {
        commits_a_change_and_says_what_it_used(KIND).await;
    }
    #[tokio::test]
    async fn opencode_asks_and_goes_on_with_the_answer_after_a_restart() {
        asks_by_its_tool_and_goes_on_with_the_answer(KIND).await;
    }
    #[tokio::test]
    async fn opencode_fails_on_a_bad_request() {
        a_bad_request_fails_and_is_not_the_providers_refusal(KIND).await;
    }
    #[tokio::test]
    async fn opencode_tells_that_its_provider_is_out_of_budget() {
        a_provider_that_is_out_of_budget_is_told_apart(KIND).await;
    }
    #[tokio::test]
    async fn opencode_with_a_silent_model_is_only_alive_until_it_is_aborted() {
        a_silent_model_is_only_a_sign_of_life_until_it_is_aborted(KIND).await;
    }
    #[tokio::test]
    async fn opencode_repeats_itself_visibly() {
        calls_are_equal_exactly_when_they_repeat(KIND).await;
    }
    #[tokio::test]
    async fn opencode_without_end_does_ever_new_things() {
        an_endless_agent_is_seen_to_do_ever_new_things(KIND).await;
    }
    #[tokio::test]
    async fn opencode_goes_on_after_its_server_died_in_the_middle() {
        a_session_goes_on_after_its_server_died_in_the_middle(KIND).await;
    }
}
