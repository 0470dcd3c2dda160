//! Codex: one `codex exec --json` for each turn, each after the first a `resume`. It asks by text.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::detached::{Input, Program};
use super::hearing::{Dialect, Heard, end_of};
use super::refusal::sounds_of_provider;
use super::turning::{Abortable, Starter, Turns};
use super::{AgentError, AgentEvent, AgentRuntime, AgentSession, Ground, SessionRecord, TokenUsage, TurnEnd};
use crate::config::AgentConfig;

/// The agent's name.
const AGENT: &str = "codex";
/// Lines of JSON. The container is the sandbox: its own would need what a container may not do.
const FLAGS: [&str; 3] = ["--json", "--dangerously-bypass-approvals-and-sandbox", "--skip-git-repo-check"];

/// The adapter. Tested with 0.169.0.
#[derive(Debug, Clone)]
pub struct Codex {
    command: Vec<String>,
    env: BTreeMap<String, String>,
}

/// How each turn is started.
#[derive(Debug)]
struct CodexStarter {
    codex: Codex,
    model: Option<String>,
    /// Its own word on whether the repository's configuration is read.
    trust: String,
}

impl Codex {
    /// As configured; `codex` on the container's path if no command is.
    pub fn new(config: &AgentConfig) -> Self {
        let command = if config.command.is_empty() { vec![AGENT.to_owned()] } else { config.command.clone() };
        Self { command, env: config.env.clone() }
    }

    fn starter(&self, ground: &Ground) -> CodexStarter {
        let workspace = ground.runtime.places(&ground.container).workspace;
        let level = if ground.trusts_repository { "trusted" } else { "untrusted" };
        // JSON's strings are TOML's, too.
        let trust = format!("projects={{{}={{trust_level=\"{level}\"}}}}", json!(workspace));
        CodexStarter { codex: self.clone(), model: ground.model.clone(), trust }
    }
}

#[async_trait]
impl AgentRuntime for Codex {
    fn name(&self) -> &'static str {
        AGENT
    }

    fn asks_by_text(&self) -> bool {
        true
    }

    async fn start(&self, ground: &Ground) -> Result<Box<dyn AgentSession>, AgentError> {
        Turns::<CodexDialect, _>::open(ground, self.starter(ground)).await
    }

    async fn attach(&self, ground: &Ground, record: &SessionRecord) -> Result<Box<dyn AgentSession>, AgentError> {
        Turns::<CodexDialect, _>::attach(ground, record, self.starter(ground)).await
    }
}

impl Starter<CodexDialect> for CodexStarter {
    fn program(&self, dialect: &CodexDialect, prompt_file: &str) -> Program {
        let mut argv = self.codex.command.clone();
        argv.extend(["-c", &self.trust, "exec"].map(str::to_owned));
        argv.extend(dialect.thread.iter().map(|_| "resume".to_owned()));
        argv.extend(FLAGS.map(str::to_owned));
        if let Some(model) = &self.model {
            argv.extend(["--model".to_owned(), model.clone()]);
        }
        argv.extend(dialect.thread.clone());
        argv.push("-".to_owned());
        Program { argv, env: self.codex.env.clone(), input: Input::File(prompt_file.to_owned()), filter: "" }
    }

    fn repeats_prompts(&self) -> bool {
        false
    }
}

/// What is known from Codex' lines.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct CodexDialect {
    /// The conversation, which each turn resumes.
    thread: Option<String>,
    is_aborting: bool,
    has_ended: bool,
    text: String,
}

impl Dialect for CodexDialect {
    const AGENT: &'static str = AGENT;
    const ENDS_WITH_TURN: bool = true;

    fn begin_turn(&mut self) {
        *self = Self { thread: self.thread.take(), ..Self::default() };
    }

    fn read(&mut self, line: &str, heard: &mut Heard) {
        let Ok(line) = serde_json::from_str::<Value>(line) else { return };
        match line["type"].as_str().unwrap_or_default() {
            "thread.started" => self.thread = line["thread_id"].as_str().map(str::to_owned),
            "item.started" => read_call(&line["item"], heard),
            "item.completed" => self.read_item(&line["item"], heard),
            "turn.completed" => self.read_turn(&line["usage"], heard),
            "turn.failed" => self.fail(line["error"]["message"].as_str().unwrap_or("it does not say why"), heard),
            // It tries again; if that is in vain, the turn fails.
            "error" => heard.tell(AgentEvent::Alive),
            _ => {}
        }
    }

    /// The program ends with each turn. One that ended before its turn did failed, or was aborted.
    fn read_end(&mut self, code: i32, last_words: &str, heard: &mut Heard) -> bool {
        match self.has_ended {
            true => {}
            false if self.is_aborting => heard.tell(AgentEvent::Ended(TurnEnd::Aborted)),
            false if code == 137 => return false,
            false => self.fail(&format!("it ended with code {code}: {last_words}"), heard),
        }
        true
    }
}

impl Abortable for CodexDialect {
    fn note_abort(&mut self) {
        self.is_aborting = true;
    }
}

impl CodexDialect {
    fn read_item(&mut self, item: &Value, heard: &mut Heard) {
        match item["type"].as_str().unwrap_or_default() {
            kind @ ("agent_message" | "reasoning") => {
                let text = item["text"].as_str().unwrap_or_default();
                heard.tell(AgentEvent::Text(text.to_owned()));
                if kind == "agent_message" {
                    self.text = end_of(text);
                }
            }
            // These are told only when they are done.
            "file_change" => heard.tell_tool("file_change", &item["changes"]),
            _ => {}
        }
    }

    fn read_turn(&mut self, usage: &Value, heard: &mut Heard) {
        let count = |name: &str| usage[name].as_u64().unwrap_or_default();
        // The whole thread's. Cached tokens are within the first, reasoning within the second.
        let (input, output) = (count("input_tokens"), count("output_tokens"));
        heard.tell(AgentEvent::Usage(TokenUsage { input, output, cost_usd: 0.0 }));
        self.has_ended = true;
        heard.tell_finished(&self.text, true);
    }

    fn fail(&mut self, why: &str, heard: &mut Heard) {
        self.has_ended = true;
        match self.is_aborting {
            true => heard.tell(AgentEvent::Ended(TurnEnd::Aborted)),
            false => heard.tell_failed(why, sounds_of_provider(why)),
        }
    }
}

fn read_call(item: &Value, heard: &mut Heard) {
    match item["type"].as_str().unwrap_or_default() {
        "command_execution" => heard.tell_tool("command", &item["command"]),
        "mcp_tool_call" => heard.tell_tool(item["tool"].as_str().unwrap_or("?"), &item["arguments"]),
        "web_search" => heard.tell_tool("web_search", &item["query"]),
        _ => {}
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(dialect: &mut CodexDialect, lines: &[Value]) -> Heard {
        let mut heard = Heard::default();
        lines.iter().for_each(|line| dialect.read(&line.to_string(), &mut heard));
        heard
    }

    #[test]
    fn a_second_turn_resumes_the_thread_of_the_first() {
        let mut dialect = CodexDialect::default();
        read(&mut dialect, &[json!({"type": "thread.started", "thread_id": "t-1"})]);
        dialect.begin_turn();
        let codex = Codex::new(&AgentConfig::default());
        let starter = CodexStarter { codex, model: Some("m".into()), trust: "projects={}".into() };
        let program = starter.program(&dialect, "/run/prompt");
        let line = program.argv.join(" ");
        assert!(
            line.starts_with("codex -c projects={} exec resume --json") && line.ends_with("--model m t-1 -"),
            "{line}"
        );
        assert_eq!(program.input, Input::File("/run/prompt".into()));
    }

    #[test]
    fn a_program_that_ends_before_its_turn_failed() {
        let mut heard = Heard::default();
        assert!(CodexDialect::default().read_end(1, "no such model", &mut heard));
        let failed = TurnEnd::Failed { why: "it ended with code 1: no such model".into(), provider: false };
        assert_eq!(Vec::from(heard.events), [AgentEvent::Ended(failed)]);
    }

    #[test]
    fn a_program_that_ends_after_its_turn_says_nothing_more() {
        let mut dialect = CodexDialect::default();
        read(&mut dialect, &[json!({"type": "turn.completed", "usage": {"input_tokens": 5, "output_tokens": 1}})]);
        let mut heard = Heard::default();
        assert!(dialect.read_end(0, "", &mut heard) && heard.events.is_empty());
    }
}
