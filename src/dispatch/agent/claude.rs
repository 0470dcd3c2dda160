//! Claude Code: JSON lines in both directions (`claude -p` with `stream-json`). It asks by text.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::detached::{Detached, Input, Program};
use super::hearing::{Dialect, Heard};
use super::refusal::{is_of_provider, sounds_of_provider};
use super::talking::{Speech, Talk};
use super::{AgentError, AgentEvent, AgentRuntime, AgentSession, Ground, Question, SessionRecord, TokenUsage, TurnEnd};
use crate::config::AgentConfig;

/// The agent's name.
const AGENT: &str = "claude";
/// Both directions in lines of JSON. The container is what bounds it, so it need not ask before each command.
const FLAGS: [&str; 8] = [
    "-p",
    "--input-format",
    "stream-json",
    "--output-format",
    "stream-json",
    "--verbose",
    "--permission-mode",
    "bypassPermissions",
];
/// What keeps it from updating and from calling anybody but its model; and how often it asks that again, which is
/// ten times by default, for minutes.
const QUIET: [(&str, &str); 3] =
    [("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1"), ("CLAUDE_CODE_MAX_RETRIES", "4"), ("DISABLE_AUTOUPDATER", "1")];

/// The adapter. Tested with 2.1.197. As root it works only where `IS_SANDBOX=1` is set for it.
#[derive(Debug, Clone)]
pub struct Claude {
    command: Vec<String>,
    env: BTreeMap<String, String>,
}

impl Claude {
    /// As configured; `claude` on the container's path if no command is.
    pub fn new(config: &AgentConfig) -> Self {
        let command = if config.command.is_empty() { vec![AGENT.to_owned()] } else { config.command.clone() };
        Self { command, env: config.env.clone() }
    }

    fn program(&self, ground: &Ground) -> Program {
        let mut argv = self.command.clone();
        argv.extend(FLAGS.map(str::to_owned));
        let trust: &[&str] = match ground.trusts_repository {
            true => &["--settings", r#"{"enableAllProjectMcpServers":true}"#],
            // Hooks and MCP commands of the repository are settings and servers of its "project" source.
            false => &["--setting-sources", "user", "--strict-mcp-config"],
        };
        argv.extend(trust.iter().map(|&flag| flag.to_owned()));
        if let Some(model) = &ground.model {
            argv.extend(["--model".to_owned(), model.clone()]);
        }
        let mut env: BTreeMap<_, _> = QUIET.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        env.extend(self.env.clone());
        Program { argv, env, input: Input::Said, filter: "" }
    }
}

#[async_trait]
impl AgentRuntime for Claude {
    fn name(&self) -> &'static str {
        AGENT
    }

    fn asks_by_text(&self) -> bool {
        true
    }

    async fn start(&self, ground: &Ground) -> Result<Box<dyn AgentSession>, AgentError> {
        let detached = Detached::start(AGENT, ground, &self.program(ground)).await?;
        Talk::<ClaudeDialect>::open(detached, &[control("hello", "initialize")]).await
    }

    async fn attach(&self, ground: &Ground, record: &SessionRecord) -> Result<Box<dyn AgentSession>, AgentError> {
        Talk::<ClaudeDialect>::attach(ground, record).await
    }
}

/// What is known from Claude Code's lines.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct ClaudeDialect {
    is_ready: bool,
    is_aborting: bool,
    /// What all turns before this one used.
    before: TokenUsage,
    /// What went into each message of this turn; the end of the turn says it for certain.
    inputs: BTreeMap<String, u64>,
}

impl Dialect for ClaudeDialect {
    const AGENT: &'static str = AGENT;

    fn begin_turn(&mut self) {
        self.is_aborting = false;
    }

    fn read(&mut self, line: &str, heard: &mut Heard) {
        let Ok(line) = serde_json::from_str::<Value>(line) else { return };
        match line["type"].as_str().unwrap_or_default() {
            "control_response" if !self.is_ready => {
                self.is_ready = true;
                heard.tell(AgentEvent::Alive);
            }
            "assistant" => self.read_message(&line["message"], heard),
            "result" => self.read_result(&line, heard),
            // It asks its provider again, or makes room in its context.
            "system" => heard.tell(AgentEvent::Alive),
            _ => {}
        }
    }

    fn read_end(&mut self, _code: i32, _last_words: &str, _heard: &mut Heard) -> bool {
        false
    }
}

impl ClaudeDialect {
    fn read_message(&mut self, message: &Value, heard: &mut Heard) {
        for part in message["content"].as_array().into_iter().flatten() {
            match part["type"].as_str().unwrap_or_default() {
                "tool_use" => heard.tell_tool(part["name"].as_str().unwrap_or("?"), &part["input"]),
                kind @ ("text" | "thinking") => {
                    heard.tell(AgentEvent::Text(part[kind].as_str().unwrap_or_default().to_owned()));
                }
                _ => {}
            }
        }
        let (Some(id), input) = (message["id"].as_str(), input_of(&message["usage"])) else { return };
        if input > 0 && self.inputs.insert(id.to_owned(), input) != Some(input) {
            let input = self.before.input + self.inputs.values().sum::<u64>();
            heard.tell(AgentEvent::Usage(TokenUsage { input, ..self.before }));
        }
    }

    fn read_result(&mut self, result: &Value, heard: &mut Heard) {
        self.inputs.clear();
        self.before.input += input_of(&result["usage"]);
        self.before.output += result["usage"]["output_tokens"].as_u64().unwrap_or_default();
        // Unlike the tokens, the cost is that of the whole session.
        self.before.cost_usd = result["total_cost_usd"].as_f64().unwrap_or(self.before.cost_usd);
        heard.tell(AgentEvent::Usage(self.before));
        let (subtype, text) = (result["subtype"].as_str().unwrap_or_default(), result["result"].as_str());
        match (result["is_error"] == true, subtype) {
            (_, "error_during_execution") if self.is_aborting => heard.tell(AgentEvent::Ended(TurnEnd::Aborted)),
            (_, "error_max_turns") => heard.tell(AgentEvent::Ended(TurnEnd::Idle(subtype.to_owned()))),
            // A failed call of the model says "success", too.
            (false, "success") => heard.tell_finished(text.unwrap_or_default(), true),
            _ => {
                let why = text.map_or_else(|| format!("{subtype} {}", result["errors"]), str::to_owned);
                let status = result["api_error_status"].as_u64();
                let provider = status.map_or_else(|| sounds_of_provider(&why), is_of_provider);
                heard.tell_failed(&why, provider);
            }
        }
    }
}

impl Speech for ClaudeDialect {
    fn is_ready(&self) -> bool {
        self.is_ready
    }

    fn prompt_line(&mut self, text: &str) -> String {
        let message = json!({"role": "user", "content": [{"type": "text", "text": text}]});
        json!({"type": "user", "message": message}).to_string()
    }

    fn answer_line(&self, _question: &Question, _text: &str) -> Option<String> {
        None
    }

    fn abort_line(&mut self) -> String {
        self.is_aborting = true;
        control("abort", "interrupt")
    }
}

fn control(id: &str, subtype: &str) -> String {
    json!({"type": "control_request", "request_id": id, "request": {"subtype": subtype}}).to_string()
}

fn input_of(usage: &Value) -> u64 {
    let names = ["input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens"];
    names.iter().filter_map(|name| usage[name].as_u64()).sum()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(lines: &[Value]) -> Heard {
        let (mut dialect, mut heard) = (ClaudeDialect::default(), Heard::default());
        lines.iter().for_each(|line| dialect.read(&line.to_string(), &mut heard));
        heard
    }

    fn result(is_error: bool, status: Value, text: &str, cost: f64) -> Value {
        let usage = json!({"input_tokens": 10, "cache_read_input_tokens": 5, "output_tokens": 7});
        json!({"type": "result", "subtype": "success", "is_error": is_error, "api_error_status": status,
            "result": text, "total_cost_usd": cost, "usage": usage})
    }

    #[test]
    fn a_failure_that_says_success_is_a_failure() {
        let heard = read(&[result(true, json!(429), "API Error: 429", 0.0)]);
        let failed = TurnEnd::Failed { why: "API Error: 429".into(), provider: true };
        assert_eq!(heard.events.back(), Some(&AgentEvent::Ended(failed)));
        let heard = read(&[result(true, json!(400), "API Error: 400", 0.0)]);
        assert!(matches!(heard.events.back(), Some(AgentEvent::Ended(TurnEnd::Failed { provider: false, .. }))));
    }

    #[test]
    fn tokens_add_up_over_turns_and_cost_is_told_as_a_sum() {
        let heard = read(&[result(false, Value::Null, "one", 0.5), result(false, Value::Null, "two", 0.75)]);
        let sum = TokenUsage { input: 30, output: 14, cost_usd: 0.75 };
        assert_eq!(heard.events[2], AgentEvent::Usage(sum));
        assert_eq!(heard.events[3], AgentEvent::Ended(TurnEnd::Finished("two".into())));
    }

    #[test]
    fn a_turn_that_ends_with_the_mark_asks() {
        let heard = read(&[result(false, Value::Null, "NEEDS-INPUT: which?", 0.0)]);
        let question = Question { id: String::new(), text: "which?".into(), options: Vec::new() };
        assert_eq!(heard.events.back(), Some(&AgentEvent::Question(question)));
    }
}
