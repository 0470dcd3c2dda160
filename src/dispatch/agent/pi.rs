//! pi: JSON lines in both directions (`--mode rpc`), and an extension of ours by which it asks.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::detached::{Detached, Input, Program, write_file};
use super::hearing::{Dialect, Heard, append_bounded};
use super::refusal::sounds_of_provider;
use super::talking::{Speech, Talk};
use super::{AgentError, AgentEvent, AgentRuntime, AgentSession, Ground, Question, SessionRecord, TokenUsage, TurnEnd};
use crate::config::AgentConfig;

/// The agent's name.
const AGENT: &str = "pi";
/// The extension: a tool for questions, which pi has not.
const QUESTION_TOOL: &str = include_str!("pi_question.ts");
/// With each piece of a message pi repeats all of it so far, twice.
const WITHOUT_REPETITION: &str = r#"/^{"type":"message_update"/s/,"partial":{.*$/}}/"#;
/// The name of a request whose answer shows that nothing else comes of a failure.
const SETTLED: &str = "settled";

/// The adapter. Tested with 0.73.1.
#[derive(Debug, Clone)]
pub struct Pi {
    command: Vec<String>,
    env: BTreeMap<String, String>,
}

impl Pi {
    /// As configured; `pi` on the container's path if no command is.
    pub fn new(config: &AgentConfig) -> Self {
        let command = if config.command.is_empty() { vec![AGENT.to_owned()] } else { config.command.clone() };
        Self { command, env: config.env.clone() }
    }

    fn program(&self, ground: &Ground, extension: &str) -> Program {
        let mut argv = self.command.clone();
        argv.extend(["--mode", "rpc", "--extension", extension].map(str::to_owned));
        if !ground.trusts_repository {
            // Extensions are code, and the others may bring some.
            let none = ["--no-extensions", "--no-skills", "--no-prompt-templates", "--no-themes"];
            argv.extend(none.map(str::to_owned));
        }
        if let Some(model) = &ground.model {
            argv.extend(["--model".to_owned(), model.clone()]);
        }
        let mut env = self.env.clone();
        env.insert("PI_OFFLINE".into(), "1".into());
        Program { argv, env, input: Input::Said, filter: WITHOUT_REPETITION }
    }
}

#[async_trait]
impl AgentRuntime for Pi {
    fn name(&self) -> &'static str {
        AGENT
    }

    async fn start(&self, ground: &Ground) -> Result<Box<dyn AgentSession>, AgentError> {
        let extension = format!("{}/pi-question.ts", ground.runtime.places(&ground.container).run);
        write_file(AGENT, ground, &extension, QUESTION_TOOL).await?;
        let detached = Detached::start(AGENT, ground, &self.program(ground, &extension)).await?;
        let hello = [json!({"id": "hello", "type": "get_state"}).to_string()];
        Talk::<PiDialect>::open(detached, &hello).await
    }

    async fn attach(&self, ground: &Ground, record: &SessionRecord) -> Result<Box<dyn AgentSession>, AgentError> {
        Talk::<PiDialect>::attach(ground, record).await
    }
}

/// What is known from pi's lines.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct PiDialect {
    is_ready: bool,
    is_aborting: bool,
    usage: TokenUsage,
    /// What the last message said, and why it stopped.
    text: String,
    stop_reason: String,
    error: String,
}

impl Dialect for PiDialect {
    const AGENT: &'static str = AGENT;

    fn begin_turn(&mut self) {
        *self = Self { is_ready: self.is_ready, usage: self.usage, ..Self::default() };
    }

    fn read(&mut self, line: &str, heard: &mut Heard) {
        let Ok(line) = serde_json::from_str::<Value>(line) else { return };
        match line["type"].as_str().unwrap_or_default() {
            "message_update" => read_delta(&line["assistantMessageEvent"], heard),
            "message_end" => self.read_message(&line["message"], heard),
            "tool_execution_start" => heard.tell_tool(line["toolName"].as_str().unwrap_or("?"), &line["args"]),
            "extension_ui_request" => read_dialog(&line, heard),
            "agent_end" => self.read_agent_end(heard),
            // Both follow a failure that pi tried to mend, in vain.
            "auto_retry_end" if line["success"] == false => self.settle(heard),
            "compaction_end" if line["willRetry"] == false && self.stop_reason == "error" => self.settle(heard),
            "agent_start" | "auto_retry_start" | "compaction_start" => self.stop_reason.clear(),
            "response" => self.read_response(&line, heard),
            _ => {}
        }
    }

    /// It repeats all that was said in this line; what matters came before.
    fn read_head(&mut self, head: &str, heard: &mut Heard) {
        if head.starts_with(r#"{"type":"agent_end""#) {
            self.read_agent_end(heard);
        }
    }

    fn read_end(&mut self, _code: i32, _last_words: &str, _heard: &mut Heard) -> bool {
        false
    }
}

impl PiDialect {
    fn read_message(&mut self, message: &Value, heard: &mut Heard) {
        if message["role"] != "assistant" {
            return;
        }
        self.text.clear();
        for part in message["content"].as_array().into_iter().flatten() {
            append_bounded(&mut self.text, part["text"].as_str().unwrap_or_default());
        }
        self.stop_reason = message["stopReason"].as_str().unwrap_or_default().to_owned();
        self.error = message["errorMessage"].as_str().unwrap_or_default().to_owned();
        let usage = &message["usage"];
        let count = |name: &str| usage[name].as_u64().unwrap_or_default();
        self.usage.input += count("input") + count("cacheRead") + count("cacheWrite");
        self.usage.output += count("output");
        self.usage.cost_usd += usage["cost"]["total"].as_f64().unwrap_or_default();
        heard.tell(AgentEvent::Usage(self.usage));
    }

    fn read_agent_end(&mut self, heard: &mut Heard) {
        match self.stop_reason.as_str() {
            "stop" => heard.tell_finished(&self.text, false),
            "aborted" => heard.tell(AgentEvent::Ended(TurnEnd::Aborted)),
            "error" => self.settle(heard),
            _ => heard.tell(AgentEvent::Ended(TurnEnd::Idle(self.text.clone()))),
        }
    }

    /// It may try again by itself, and says so only after the end: it is asked something to know that it does not.
    fn settle(&mut self, heard: &mut Heard) {
        self.stop_reason = "error".to_owned();
        heard.replies.push_back(json!({"id": SETTLED, "type": "get_state"}).to_string());
    }

    fn read_response(&mut self, line: &Value, heard: &mut Heard) {
        match line["command"].as_str().unwrap_or_default() {
            "get_state" if line["id"] == SETTLED && self.stop_reason == "error" => {
                self.stop_reason.clear();
                match self.is_aborting {
                    true => heard.tell(AgentEvent::Ended(TurnEnd::Aborted)),
                    false => heard.tell_failed(&self.error, sounds_of_provider(&self.error)),
                }
            }
            "get_state" if !self.is_ready => {
                self.is_ready = true;
                heard.tell(AgentEvent::Alive);
            }
            "prompt" if line["success"] == false => {
                let why = line["error"].as_str().unwrap_or("it refused the prompt");
                heard.tell_failed(why, sounds_of_provider(why));
            }
            _ => {}
        }
    }
}

impl Speech for PiDialect {
    fn is_ready(&self) -> bool {
        self.is_ready
    }

    fn prompt_line(&mut self, text: &str) -> String {
        json!({"id": "prompt", "type": "prompt", "message": text}).to_string()
    }

    fn answer_line(&self, question: &Question, text: &str) -> Option<String> {
        Some(json!({"type": "extension_ui_response", "id": question.id, "value": text}).to_string())
    }

    fn abort_line(&mut self) -> String {
        self.is_aborting = true;
        json!({"id": "abort", "type": "abort"}).to_string()
    }
}

fn read_delta(delta: &Value, heard: &mut Heard) {
    if matches!(delta["type"].as_str(), Some("text_delta" | "thinking_delta")) {
        heard.tell(AgentEvent::Text(delta["delta"].as_str().unwrap_or_default().to_owned()));
    }
}

/// Our own tool asks by `input`, with the answers that it offers as JSON where a person would see a hint. The
/// dialogs of other extensions are cancelled, as nobody is there for them.
fn read_dialog(dialog: &Value, heard: &mut Heard) {
    let Some(id) = dialog["id"].as_str() else { return };
    match dialog["method"].as_str().unwrap_or_default() {
        "input" => {
            let options = dialog["placeholder"].as_str().and_then(|hint| serde_json::from_str(hint).ok());
            let text = dialog["title"].as_str().unwrap_or_default().to_owned();
            heard.tell(AgentEvent::Question(Question {
                id: id.to_owned(),
                text,
                options: options.unwrap_or_default(),
            }));
        }
        "select" | "confirm" | "editor" => {
            let reply = json!({"type": "extension_ui_response", "id": id, "cancelled": true});
            heard.replies.push_back(reply.to_string());
        }
        _ => {}
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(dialect: &mut PiDialect, lines: &[Value]) -> Heard {
        let mut heard = Heard::default();
        lines.iter().for_each(|line| dialect.read(&line.to_string(), &mut heard));
        heard
    }

    fn message(stop_reason: &str) -> Value {
        let usage = json!({"input": 5, "output": 2, "cacheRead": 1, "cacheWrite": 0, "cost": {"total": 0.25}});
        let content = json!([{"type": "text", "text": "so"}]);
        let message = json!({"role": "assistant", "content": content, "usage": usage, "stopReason": stop_reason,
            "errorMessage": "429 slow down"});
        json!({"type": "message_end", "message": message})
    }

    #[test]
    fn a_failure_ends_the_turn_only_if_pi_does_not_try_again() {
        let (end, retry) = (json!({"type": "agent_end"}), json!({"type": "auto_retry_start"}));
        let settled = json!({"type": "response", "command": "get_state", "id": SETTLED, "success": true});
        let mut dialect = PiDialect::default();
        let heard = read(&mut dialect, &[message("error"), end.clone(), retry, settled.clone()]);
        assert!(!heard.events.iter().any(|event| matches!(event, AgentEvent::Ended(_))), "{heard:?}");
        assert_eq!(heard.replies.len(), 1);
        let heard = read(&mut dialect, &[message("error"), end, settled]);
        let failed = TurnEnd::Failed { why: "429 slow down".into(), provider: true };
        assert_eq!(heard.events.back(), Some(&AgentEvent::Ended(failed)));
    }

    #[test]
    fn usage_is_the_sum_of_all_messages() {
        let heard = read(&mut PiDialect::default(), &[message("toolUse"), message("stop")]);
        let sum = TokenUsage { input: 12, output: 4, cost_usd: 0.5 };
        assert_eq!(heard.events.back(), Some(&AgentEvent::Usage(sum)));
    }

    #[test]
    fn the_dialogs_of_other_extensions_are_cancelled() {
        let dialog = json!({"type": "extension_ui_request", "id": "d1", "method": "confirm"});
        let heard = read(&mut PiDialect::default(), &[dialog]);
        assert!(heard.replies[0].contains(r#""cancelled":true"#) && heard.events.is_empty());
    }
}
