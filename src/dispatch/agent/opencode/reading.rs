//! What opencode's events and messages mean. Pure: what must be done about them is left to the session.

use std::collections::{BTreeMap, HashSet, VecDeque};

use serde_json::Value;

use crate::dispatch::agent::hearing::{Heard, append_bounded};
use crate::dispatch::agent::refusal::{is_of_provider, sounds_of_provider};
use crate::dispatch::agent::{AgentEvent, Question, TokenUsage, TurnEnd};

/// How often opencode itself asks a provider again before it counts as refused: after 2, 4 and 8 seconds.
const RETRY_COUNT_MAX: u64 = 4;
/// Most calls of tools that are remembered, so that each is told once.
const CALL_MAX_ENTRIES: usize = 100_000;

/// What is known of a session from its events.
#[derive(Debug, Default)]
pub struct Reading {
    session: String,
    heard: Heard,
    /// Calls of tools that were told.
    calls: HashSet<String>,
    /// What each message used.
    usage: BTreeMap<String, TokenUsage>,
    /// Questions that were told.
    questions: HashSet<String>,
    /// What it wants to be allowed, and whether it may.
    pub permissions: VecDeque<(String, bool)>,
    /// Whether it does nothing now.
    pub is_idle: bool,
    /// How the turn went wrong, if it did.
    pub failure: Option<TurnEnd>,
    /// Whether it asks a provider again and again.
    pub must_give_up: bool,
}

impl Reading {
    /// Nothing is known yet.
    pub fn new(session: &str) -> Self {
        Self { session: session.to_owned(), ..Self::default() }
    }

    /// The next thing to tell.
    pub fn pop(&mut self) -> Option<AgentEvent> {
        self.heard.events.pop_front()
    }

    /// Something to tell.
    pub fn tell(&mut self, event: AgentEvent) {
        self.heard.tell(event);
    }

    /// A turn begins.
    pub fn begin_turn(&mut self) {
        self.is_idle = false;
        self.failure = None;
        self.must_give_up = false;
    }

    /// Reads one event. Those of sub-agents' sessions count too, but for their ends.
    pub fn read(&mut self, event: &Value) {
        let properties = &event["properties"];
        let is_own = properties["sessionID"].as_str() == Some(&self.session);
        match event["type"].as_str().unwrap_or_default() {
            "server.heartbeat" => self.tell(AgentEvent::Alive),
            "message.part.delta" => {
                let delta = properties["delta"].as_str().unwrap_or_default();
                self.tell(AgentEvent::Text(delta.to_owned()));
            }
            "message.part.updated" => self.read_part(&properties["part"]),
            "message.updated" => self.read_usage(&properties["info"]),
            "question.asked" => self.read_question(properties),
            "permission.asked" => self.read_permission(properties),
            "session.status" if is_own => self.read_status(&properties["status"]),
            "session.idle" if is_own => self.is_idle = true,
            "session.error" if is_own && !self.must_give_up => {
                self.failure = Some(end_of_error(&properties["error"]));
            }
            _ => {}
        }
    }

    /// Reads a message that was listed.
    pub fn read_message(&mut self, message: &Value) {
        self.read_usage(&message["info"]);
        for part in message["parts"].as_array().into_iter().flatten() {
            self.read_part(part);
        }
    }

    /// Reads a question that waits.
    pub fn read_question(&mut self, question: &Value) {
        let Some(id) = question["id"].as_str() else { return };
        if !self.questions.insert(id.to_owned()) {
            return;
        }
        let parts = || question["questions"].as_array().into_iter().flatten();
        let texts: Vec<&str> = parts().filter_map(|part| part["question"].as_str()).collect();
        let labels = parts().flat_map(|part| part["options"].as_array().into_iter().flatten());
        let options = labels.filter_map(|option| option["label"].as_str().map(str::to_owned)).collect();
        self.tell(AgentEvent::Question(Question { id: id.to_owned(), text: texts.join("\n"), options }));
    }

    /// Reads a permission that it waits for. Within the container it may do all but leave the work tree.
    pub fn read_permission(&mut self, permission: &Value) {
        let Some(id) = permission["id"].as_str() else { return };
        let allow = permission["permission"].as_str() != Some("external_directory");
        if self.permissions.iter().all(|(known, _)| known != id) {
            self.permissions.push_back((id.to_owned(), allow));
        }
    }

    fn read_part(&mut self, part: &Value) {
        // While it is pending, its input is not there yet.
        let begun = matches!(part["state"]["status"].as_str(), Some("running" | "completed" | "error"));
        let Some(id) = part["callID"].as_str().filter(|_| begun) else { return };
        if self.calls.len() < CALL_MAX_ENTRIES && self.calls.insert(id.to_owned()) {
            self.heard.tell_tool(part["tool"].as_str().unwrap_or("?"), &part["state"]["input"]);
        }
    }

    fn read_usage(&mut self, info: &Value) {
        let Some(id) = info["id"].as_str().filter(|_| info["role"] == "assistant") else { return };
        let tokens = &info["tokens"];
        let count = |value: &Value| value.as_u64().unwrap_or_default();
        let used = TokenUsage {
            input: count(&tokens["input"]) + count(&tokens["cache"]["read"]) + count(&tokens["cache"]["write"]),
            output: count(&tokens["output"]) + count(&tokens["reasoning"]),
            cost_usd: info["cost"].as_f64().unwrap_or_default(),
        };
        if used != TokenUsage::default() && self.usage.insert(id.to_owned(), used) != Some(used) {
            let sum = self.usage.values().fold(TokenUsage::default(), |sum, used| TokenUsage {
                input: sum.input + used.input,
                output: sum.output + used.output,
                cost_usd: sum.cost_usd + used.cost_usd,
            });
            self.tell(AgentEvent::Usage(sum));
        }
    }

    fn read_status(&mut self, status: &Value) {
        self.is_idle = status["type"] == "idle";
        let tries = status["attempt"].as_u64().unwrap_or_default();
        if status["type"] == "retry" && tries >= RETRY_COUNT_MAX && !self.must_give_up {
            let why = status["message"].as_str().unwrap_or("the provider refused again and again").to_owned();
            self.failure = Some(TurnEnd::Failed { why, provider: true });
            self.must_give_up = true;
        }
    }
}

/// How a turn ended, by its last message; `None` while that is not through.
pub fn end_of_message(message: &Value) -> Option<TurnEnd> {
    let info = &message["info"];
    if info["role"] != "assistant" {
        return None;
    }
    if info["error"].is_object() {
        return Some(end_of_error(&info["error"]));
    }
    let mut text = String::new();
    for part in message["parts"].as_array().into_iter().flatten().filter(|part| part["type"] == "text") {
        append_bounded(&mut text, part["text"].as_str().unwrap_or_default());
    }
    match info["finish"].as_str() {
        Some("stop") => Some(TurnEnd::Finished(text)),
        Some(_) => Some(TurnEnd::Idle(text)),
        None => None,
    }
}

fn end_of_error(error: &Value) -> TurnEnd {
    let name = error["name"].as_str().unwrap_or_default();
    if name == "MessageAbortedError" {
        return TurnEnd::Aborted;
    }
    let why = error["data"]["message"].as_str().unwrap_or(name).to_owned();
    let provider = match error["data"]["statusCode"].as_u64() {
        Some(status) => is_of_provider(status),
        None => name == "ProviderAuthError" || name == "ProviderModelNotFoundError" || sounds_of_provider(&why),
    };
    TurnEnd::Failed { why, provider }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(events: &[Value]) -> Reading {
        let mut reading = Reading::new("ses_1");
        events.iter().for_each(|event| reading.read(event));
        reading
    }

    fn tool(call: &str, status: &str) -> Value {
        let state = json!({"status": status, "input": {"command": "ls"}});
        let part = json!({"type": "tool", "tool": "bash", "callID": call, "state": state});
        json!({"type": "message.part.updated", "properties": {"sessionID": "ses_1", "part": part}})
    }

    #[test]
    fn a_call_is_told_once_and_not_before_its_input_is_there() {
        let mut reading = read(&[tool("c1", "pending"), tool("c1", "running"), tool("c1", "completed")]);
        let told = AgentEvent::Tool { name: "bash".into(), call: r#"{"command":"ls"}"#.into() };
        assert_eq!(reading.pop(), Some(told));
        assert_eq!(reading.pop(), None);
    }

    #[test]
    fn usage_is_the_sum_of_the_messages_as_they_are_last_told() {
        let used = |id: &str, input: u64| {
            let tokens = json!({"input": input, "output": 7, "reasoning": 0, "cache": {"read": 1, "write": 0}});
            let info = json!({"id": id, "role": "assistant", "cost": 0.5, "tokens": tokens});
            json!({"type": "message.updated", "properties": {"sessionID": "ses_1", "info": info}})
        };
        let mut reading = read(&[used("m1", 10), used("m1", 20), used("m2", 30), used("m2", 30)]);
        let told: Vec<_> = std::iter::from_fn(|| reading.pop()).collect();
        let last = AgentEvent::Usage(TokenUsage { input: 52, output: 14, cost_usd: 1.0 });
        assert_eq!((told.len(), told.last()), (3, Some(&last)));
    }

    #[test]
    fn only_work_within_the_tree_is_allowed() {
        let asked =
            |id: &str, what: &str| json!({"type": "permission.asked", "properties": {"id": id, "permission": what}});
        let reading = read(&[asked("p1", "external_directory"), asked("p2", "bash"), asked("p2", "bash")]);
        assert_eq!(Vec::from(reading.permissions), [("p1".to_owned(), false), ("p2".to_owned(), true)]);
    }

    #[test]
    fn idle_is_success_only_with_the_agents_word() {
        let message = |info: Value| json!({"info": info, "parts": [{"type": "text", "text": "so"}]});
        let end = |info: Value| end_of_message(&message(info));
        assert_eq!(end(json!({"role": "assistant", "finish": "stop"})), Some(TurnEnd::Finished("so".into())));
        assert_eq!(end(json!({"role": "assistant", "finish": "tool-calls"})), Some(TurnEnd::Idle("so".into())));
        assert_eq!(end(json!({"role": "assistant"})), None);
        assert_eq!(end(json!({"role": "user"})), None);
        let error = json!({"name": "APIError", "data": {"message": "no", "statusCode": 401}});
        let failed = TurnEnd::Failed { why: "no".into(), provider: true };
        assert_eq!(end(json!({"role": "assistant", "error": error})), Some(failed));
    }

    #[test]
    fn a_provider_that_refuses_again_and_again_is_given_up() {
        let status = |attempt: u64| {
            let status = json!({"type": "retry", "attempt": attempt, "message": "slow down"});
            json!({"type": "session.status", "properties": {"sessionID": "ses_1", "status": status}})
        };
        assert!(!read(&[status(1)]).must_give_up);
        let reading = read(&[status(RETRY_COUNT_MAX)]);
        assert_eq!(reading.failure, Some(TurnEnd::Failed { why: "slow down".into(), provider: true }));
    }
}
