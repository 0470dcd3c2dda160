//! Any agent that speaks the Agent Client Protocol: JSON-RPC in lines, in both directions.
//!
//! Written by hand, since the protocol's own library wants to hold both ends of a stream, and here one is a file
//! that is read again after a restart. It asks by text: the protocol has no questions but for permissions.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::detached::{Detached, Input, Program};
use super::hearing::{Dialect, Heard, append_bounded};
use super::refusal::sounds_of_provider;
use super::talking::{Speech, Talk};
use super::{AgentError, AgentEvent, AgentRuntime, AgentSession, Ground, Question, SessionRecord, TokenUsage, TurnEnd};
use crate::config::AgentConfig;

/// The agent's name.
const AGENT: &str = "acp";
/// The protocol's version.
const PROTOCOL_VERSION: u32 = 1;
/// JSON-RPC's code for a method that is not there.
const METHOD_NOT_FOUND: i32 = -32601;
/// The ids of our requests; prompts count on from the last.
const INITIALIZE_ID: u64 = 1;
const SESSION_ID: u64 = 2;
const MODEL_ID: u64 = 3;
const PROMPT_ID: u64 = 4;

/// The adapter. Tested with `opencode acp` 1.18.33. What an agent reads of a repository's configuration is its
/// own affair: only opencode is told here to leave it alone, others by their `env` in `[agents]`.
#[derive(Debug, Clone)]
pub struct Acp {
    command: Vec<String>,
    env: BTreeMap<String, String>,
}

impl Acp {
    /// As configured, with the command, which has no default.
    pub fn new(config: &AgentConfig) -> Self {
        Self { command: config.command.clone(), env: config.env.clone() }
    }
}

#[async_trait]
impl AgentRuntime for Acp {
    fn name(&self) -> &'static str {
        AGENT
    }

    fn asks_by_text(&self) -> bool {
        true
    }

    async fn start(&self, ground: &Ground) -> Result<Box<dyn AgentSession>, AgentError> {
        if self.command.is_empty() {
            let why = "no command: set command in its [agents] table, as in [\"opencode\", \"acp\"]".to_owned();
            return Err(AgentError::NotStarted { agent: AGENT, why });
        }
        let mut env = self.env.clone();
        if !ground.trusts_repository {
            env.insert("OPENCODE_DISABLE_PROJECT_CONFIG".into(), "1".into());
        }
        let program = Program { argv: self.command.clone(), env, input: Input::Said, filter: "" };
        let detached = Detached::start(AGENT, ground, &program).await?;
        let workspace = ground.runtime.places(&ground.container).workspace;
        let dialect = AcpDialect { workspace, model: ground.model.clone(), ..AcpDialect::default() };
        let files = json!({"readTextFile": false, "writeTextFile": false});
        let client = json!({"name": "issuecommand", "version": crate::build_info::VERSION});
        let abilities = json!({"fs": files, "terminal": false});
        let hello = json!({"protocolVersion": PROTOCOL_VERSION, "clientCapabilities": abilities, "clientInfo": client});
        Talk::open_with(detached, dialect, &[request(INITIALIZE_ID, "initialize", hello)]).await
    }

    async fn attach(&self, ground: &Ground, record: &SessionRecord) -> Result<Box<dyn AgentSession>, AgentError> {
        Talk::<AcpDialect>::attach(ground, record).await
    }
}

/// What is known from the agent's lines.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct AcpDialect {
    workspace: String,
    model: Option<String>,
    session: String,
    is_ready: bool,
    prompt_count: u64,
    /// What it said since its last call of a tool.
    text: String,
    /// Calls whose input may still come, or that were told: by id, with the name.
    calls: BTreeMap<String, Call>,
    usage: TokenUsage,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Call {
    name: String,
    input: Value,
    is_told: bool,
}

impl Dialect for AcpDialect {
    const AGENT: &'static str = AGENT;

    fn begin_turn(&mut self) {
        self.text.clear();
        self.calls.clear();
    }

    fn read(&mut self, line: &str, heard: &mut Heard) {
        let Ok(line) = serde_json::from_str::<Value>(line) else { return };
        match (line["method"].as_str(), line.get("id")) {
            (Some("session/update"), _) => self.read_update(&line["params"]["update"], heard),
            (Some("session/request_permission"), Some(id)) => heard.replies.push_back(permission(id, &line["params"])),
            (Some(method), Some(id)) => heard.replies.push_back(unknown(id, method)),
            (None, Some(id)) => self.read_answer(id.as_u64().unwrap_or_default(), &line, heard),
            _ => {}
        }
    }

    fn read_end(&mut self, _code: i32, _last_words: &str, _heard: &mut Heard) -> bool {
        false
    }
}

impl AcpDialect {
    fn read_answer(&mut self, id: u64, line: &Value, heard: &mut Heard) {
        if line["error"].is_object() {
            let why = format!("{} {}", line["error"]["message"].as_str().unwrap_or_default(), line["error"]["data"]);
            heard.tell_failed(&why, sounds_of_provider(&why));
            return;
        }
        let result = &line["result"];
        match id {
            INITIALIZE_ID => {
                let place = json!({"cwd": self.workspace, "mcpServers": []});
                heard.replies.push_back(request(SESSION_ID, "session/new", place));
            }
            SESSION_ID => {
                self.session = result["sessionId"].as_str().unwrap_or_default().to_owned();
                match self.model_choice(&result["configOptions"]) {
                    Some(choice) => heard.replies.push_back(choice),
                    None => self.become_ready(heard),
                }
            }
            MODEL_ID => self.become_ready(heard),
            _ => self.read_turn_end(result, heard),
        }
    }

    fn become_ready(&mut self, heard: &mut Heard) {
        self.is_ready = true;
        heard.tell(AgentEvent::Alive);
    }

    /// The model that is wanted is set, where the agent offers a choice of models.
    fn model_choice(&self, options: &Value) -> Option<String> {
        let model = self.model.as_ref()?;
        let is_of_model = |option: &&Value| option["category"] == "model" || option["id"] == "model";
        let option = options.as_array()?.iter().find(is_of_model)?["id"].as_str()?;
        let choice = json!({"sessionId": self.session, "configId": option, "value": model});
        Some(request(MODEL_ID, "session/set_config_option", choice))
    }

    fn read_turn_end(&mut self, result: &Value, heard: &mut Heard) {
        self.usage.input += result["usage"]["inputTokens"].as_u64().unwrap_or_default();
        self.usage.output += result["usage"]["outputTokens"].as_u64().unwrap_or_default();
        heard.tell(AgentEvent::Usage(self.usage));
        match result["stopReason"].as_str().unwrap_or_default() {
            "end_turn" => heard.tell_finished(&self.text, true),
            "cancelled" => heard.tell(AgentEvent::Ended(TurnEnd::Aborted)),
            _ => heard.tell(AgentEvent::Ended(TurnEnd::Idle(self.text.clone()))),
        }
    }

    fn read_update(&mut self, update: &Value, heard: &mut Heard) {
        let text = || update["content"]["text"].as_str().unwrap_or_default().to_owned();
        match update["sessionUpdate"].as_str().unwrap_or_default() {
            "agent_message_chunk" => {
                append_bounded(&mut self.text, &text());
                heard.tell(AgentEvent::Text(text()));
            }
            "agent_thought_chunk" => heard.tell(AgentEvent::Text(text())),
            "tool_call" | "tool_call_update" => self.read_call(update, heard),
            "usage_update" => {
                self.usage.cost_usd = update["cost"]["amount"].as_f64().unwrap_or(self.usage.cost_usd);
            }
            _ => {}
        }
    }

    /// A call may come first without its input, and again with each step that it makes.
    fn read_call(&mut self, update: &Value, heard: &mut Heard) {
        let Some(id) = update["toolCallId"].as_str() else { return };
        self.text.clear();
        let call = self.calls.entry(id.to_owned()).or_default();
        if let Some(title) = update["title"].as_str().filter(|_| call.name.is_empty()) {
            call.name = title.to_owned();
        }
        if let Some(input) = update.get("rawInput").filter(|_| !call.is_told) {
            call.input = input.clone();
        }
        let is_pending = matches!(update["status"].as_str(), None | Some("pending"));
        if !is_pending && !std::mem::replace(&mut call.is_told, true) {
            heard.tell_tool(&call.name, &call.input);
            call.input = Value::Null;
        }
    }
}

impl Speech for AcpDialect {
    fn is_ready(&self) -> bool {
        self.is_ready
    }

    fn prompt_line(&mut self, text: &str) -> String {
        let prompt = json!({"sessionId": self.session, "prompt": [{"type": "text", "text": text}]});
        self.prompt_count += 1;
        request(PROMPT_ID + self.prompt_count, "session/prompt", prompt)
    }

    fn answer_line(&self, _question: &Question, _text: &str) -> Option<String> {
        None
    }

    fn abort_line(&mut self) -> String {
        let session = json!({"sessionId": self.session});
        json!({"jsonrpc": "2.0", "method": "session/cancel", "params": session}).to_string()
    }
}

fn request(id: u64, method: &str, params: Value) -> String {
    json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params}).to_string()
}

/// Within the container it may do what it asks for, each time anew.
fn permission(id: &Value, params: &Value) -> String {
    let options = || params["options"].as_array().into_iter().flatten();
    let of_kind = |kind: &str| options().find(|option| option["kind"] == kind);
    let chosen = of_kind("allow_once").or_else(|| of_kind("allow_always"));
    let outcome = match chosen {
        Some(option) => json!({"outcome": "selected", "optionId": option["optionId"]}),
        None => json!({"outcome": "cancelled"}),
    };
    json!({"jsonrpc": "2.0", "id": id, "result": {"outcome": outcome}}).to_string()
}

/// It was told that there are no files and no terminals to be had from here: it has its own.
fn unknown(id: &Value, method: &str) -> String {
    let error = json!({"code": METHOD_NOT_FOUND, "message": format!("{method} is not offered")});
    json!({"jsonrpc": "2.0", "id": id, "error": error}).to_string()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn read(dialect: &mut AcpDialect, lines: &[Value]) -> Heard {
        let mut heard = Heard::default();
        lines.iter().for_each(|line| dialect.read(&line.to_string(), &mut heard));
        heard
    }

    fn update(update: Value) -> Value {
        json!({"method": "session/update", "params": {"update": update}})
    }

    #[test]
    fn a_call_is_told_once_with_the_input_that_came_later() {
        let call = |status: &str, input: Value| {
            update(json!({"sessionUpdate": "tool_call_update", "toolCallId": "c", "title": "bash", "status": status,
                "rawInput": input}))
        };
        let lines =
            [call("pending", json!({})), call("in_progress", json!({"command": "ls"})), call("completed", json!({}))];
        let heard = read(&mut AcpDialect::default(), &lines);
        let told = AgentEvent::Tool { name: "bash".into(), call: r#"{"command":"ls"}"#.into() };
        assert_eq!(Vec::from(heard.events), [told]);
    }

    #[test]
    fn files_are_refused_and_permissions_given_once() {
        let file = json!({"id": 7, "method": "fs/read_text_file", "params": {"path": "/etc/passwd"}});
        let options = json!([{"optionId": "a", "kind": "allow_always"}, {"optionId": "o", "kind": "allow_once"}]);
        let ask = json!({"id": "x", "method": "session/request_permission", "params": {"options": options}});
        let heard = read(&mut AcpDialect::default(), &[file, ask]);
        let reply = |n: usize| serde_json::from_str::<Value>(&heard.replies[n]).unwrap();
        assert_eq!((reply(0)["id"].clone(), reply(0)["error"]["code"].clone()), (json!(7), json!(METHOD_NOT_FOUND)));
        assert_eq!(
            (reply(1)["id"].clone(), reply(1)["result"]["outcome"]["optionId"].clone()),
            (json!("x"), json!("o"))
        );
    }

    #[test]
    fn a_wanted_model_is_set_before_the_first_prompt() {
        let mut dialect = AcpDialect { model: Some("fake/scripted".into()), ..AcpDialect::default() };
        let options = json!([{"id": "mode", "category": "mode"}, {"id": "m", "category": "model"}]);
        let heard = read(&mut dialect, &[json!({"id": 2, "result": {"sessionId": "s", "configOptions": options}})]);
        assert!(heard.replies[0].contains("session/set_config_option") && !dialect.is_ready);
        read(&mut dialect, &[json!({"id": 3, "result": {}})]);
        assert!(dialect.is_ready);
    }
}
