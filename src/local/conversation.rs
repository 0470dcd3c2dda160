//! What a client and a server have said to each other, as far as it must be said again to a new server.
//!
//! Pure: lines go in, lines come out. Requests without an answer, the greeting and the subscriptions are
//! kept; a new server hears them again, and the client notices nothing. Asking twice is safe: a claim is
//! asked for with a `request_id`, to which the server gives the same claim again, and every call that goes
//! out again says so, that the server may know the end of a claim for the one that was asked for.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, HashSet, VecDeque};

use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::mcp::RESENT_KEY;

/// Tools that take a claim, and a `request_id` that makes it safe to ask again.
const CLAIMING_TOOLS: [&str; 3] = ["next_issue", "next_work", "claim_issue"];
/// How often one request is sent. A request that ends every server it meets must not end them for ever.
const SEND_COUNT_MAX: u32 = 5;
/// Begins the ids of requests that only we know of.
const OWN_ID: &str = "issuecommand-again-";
/// JSON-RPC's code for errors that an implementation defines.
const ERROR_CODE: i32 = -32000;
/// JSON-RPC's code for what is no JSON.
const PARSE_ERROR_CODE: i32 = -32700;

const LISTEN: &str = "subscriptions/listen";
const CALL: &str = "tools/call";

/// A request that has no answer yet.
#[derive(Debug)]
struct Open {
    id: Value,
    method: String,
    /// The resource, where there is one.
    uri: Option<String>,
    line: Vec<u8>,
    sent_count: u32,
}

impl Open {
    /// The request, saying of itself that it was sent before.
    fn as_resent(&self) -> Vec<u8> {
        let Ok(Value::Object(mut message)) = serde_json::from_slice(&self.line) else { return self.line.clone() };
        let Some(Value::Object(params)) = message.get_mut("params").filter(|_| self.method == CALL) else {
            return self.line.clone();
        };
        if let Value::Object(meta) = params.entry("_meta").or_insert_with(|| Value::Object(Map::new())) {
            meta.insert(RESENT_KEY.into(), Value::Bool(true));
        }
        bytes(&message)
    }
}

/// Both sides of one client's conversation.
#[derive(Debug, Default)]
pub(super) struct Conversation {
    /// `initialize` as it was sent, once it was answered.
    greeting: Option<Value>,
    /// `notifications/initialized`.
    greeted: Option<Vec<u8>>,
    /// In the order in which they were sent.
    open: VecDeque<Open>,
    /// Resources subscribed to, each with its request.
    subscriptions: BTreeMap<String, Value>,
    /// Ids of `subscriptions/listen` that were acknowledged once.
    acknowledged: HashSet<String>,
    /// Ids of ours whose answers concern nobody.
    own: HashSet<String>,
    own_count: u64,
    /// Whether this server has heard a request: before that a notification would offend it.
    begun: bool,
}

/// What to do with a client's line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// A request: send it to the server; if there is none, one is needed.
    Ask(Vec<u8>),
    /// Anything else: send it, if a server is there.
    Tell(Vec<u8>),
    /// It concerns no server: say this to the client.
    Answer(Vec<u8>),
    /// It concerns nobody.
    Drop,
}

/// What to say to a new server, and to the client in its stead.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Again {
    pub(super) to_server: Vec<Vec<u8>>,
    pub(super) to_client: Vec<Vec<u8>>,
}

impl Conversation {
    /// Takes a line from the client. `is_heard`: a server is there, which may hear it.
    pub(super) fn hear_client(&mut self, line: Vec<u8>, is_heard: bool) -> Next {
        let mut message = match serde_json::from_slice(&line) {
            Ok(Value::Object(message)) => message,
            // Not for us to judge: the server answers what it makes of it.
            Ok(_) => return self.tell(line),
            Err(error) => {
                let why = format!("a line is no JSON ({error}): each message is one line of JSON-RPC 2.0");
                return Next::Answer(refusal(&Value::Null, PARSE_ERROR_CODE, &why));
            }
        };
        let method = message.get("method").and_then(Value::as_str).unwrap_or_default().to_owned();
        match message.get("id") {
            Some(id) if !method.is_empty() => {
                let id = id.clone();
                let line = if add_request_id(&method, &mut message) { bytes(&message) } else { line };
                let uri = message.get("params").and_then(|params| params["uri"].as_str()).map(str::to_owned);
                self.begun |= !matches!(method.as_str(), "ping" | "server/discover");
                self.open.push_back(Open { id, method, uri, line: line.clone(), sent_count: u32::from(is_heard) });
                Next::Ask(line)
            }
            _ => {
                match method.as_str() {
                    "notifications/initialized" => self.greeted = Some(line.clone()),
                    "notifications/cancelled" => self.forget(&message["params"]["requestId"]),
                    _ => {}
                }
                self.tell(line)
            }
        }
    }

    fn tell(&self, line: Vec<u8>) -> Next {
        if self.begun { Next::Tell(line) } else { Next::Drop }
    }

    /// Takes a line from the server; the answer is for the client.
    pub(super) fn hear_server(&mut self, line: Vec<u8>) -> Option<Vec<u8>> {
        let Ok(Value::Object(message)) = serde_json::from_slice(&line) else { return Some(line) };
        if let Some(method) = message.get("method").and_then(Value::as_str) {
            let twice = method == "notifications/subscriptions/acknowledged" && !self.acknowledge(&message);
            return (!twice).then_some(line);
        }
        let Some(id) = message.get("id") else { return Some(line) };
        if id.as_str().is_some_and(|id| self.own.remove(id)) {
            return None;
        }
        self.acknowledged.remove(&id.to_string());
        let Some(at) = self.open.iter().position(|open| open.id == *id) else { return Some(line) };
        if let Some(open) = self.open.remove(at)
            && message.contains_key("result")
        {
            self.settle(open);
        }
        Some(line)
    }

    /// Keeps what outlives its answer.
    fn settle(&mut self, open: Open) {
        let request = || serde_json::from_slice(&open.line).unwrap_or_default();
        match (open.method.as_str(), open.uri) {
            ("initialize", _) => self.greeting = Some(request()),
            ("resources/subscribe", Some(uri)) => {
                self.subscriptions.insert(uri, request());
            }
            ("resources/unsubscribe", Some(uri)) => {
                self.subscriptions.remove(&uri);
            }
            _ => {}
        }
    }

    /// Notes an acknowledgement; answers whether it is the first of its subscription.
    fn acknowledge(&mut self, message: &Map<String, Value>) -> bool {
        let id = &message["params"]["_meta"]["io.modelcontextprotocol/subscriptionId"];
        id.is_null() || self.acknowledged.insert(id.to_string())
    }

    fn forget(&mut self, id: &Value) {
        self.open.retain(|open| open.id != *id);
        self.acknowledged.remove(&id.to_string());
    }

    /// Whether the client waits for something that a server will say without being asked again.
    pub(super) fn needs_server(&self) -> bool {
        !self.open.is_empty() || !self.subscriptions.is_empty()
    }

    /// Whether the client waits for answers. Subscriptions have none.
    pub(super) fn awaits_answers(&self) -> bool {
        self.open.iter().any(|open| open.method != LISTEN)
    }

    /// What a new server has to hear: the greeting, the subscriptions, and everything without an answer.
    pub(super) fn again(&mut self) -> Again {
        self.own.clear();
        let mut again = Again::default();
        if let Some(mut greeting) = self.greeting.clone() {
            again.to_server.push(self.as_own(&mut greeting));
            again.to_server.extend(self.greeted.clone());
        }
        let subscriptions: Vec<Value> = self.subscriptions.values().cloned().collect();
        again.to_server.extend(subscriptions.into_iter().map(|mut request| self.as_own(&mut request)));
        let (sent, spent): (VecDeque<_>, _) = std::mem::take(&mut self.open)
            .into_iter()
            .partition(|open| open.method == LISTEN || open.sent_count < SEND_COUNT_MAX);
        self.open = sent;
        for open in &mut self.open {
            let line = if open.sent_count == 0 { open.line.clone() } else { open.as_resent() };
            again.to_server.push(line);
            open.sent_count += 1;
        }
        let why = format!("every server that got this request ended before it answered ({SEND_COUNT_MAX} times)");
        again.to_client = spent.iter().map(|open| refusal(&open.id, ERROR_CODE, &why)).collect();
        self.begun = self.greeting.is_some() || self.open.iter().any(|open| open.method != "server/discover");
        again
    }

    /// Answers every open request, since no server can: `why`.
    pub(super) fn give_up(&mut self, why: &str) -> Vec<Vec<u8>> {
        self.open.drain(..).map(|open| refusal(&open.id, ERROR_CODE, why)).collect()
    }

    /// The request under an id of ours, so that its answer can be told from those the client waits for.
    fn as_own(&mut self, request: &mut Value) -> Vec<u8> {
        self.own_count += 1;
        let id = format!("{OWN_ID}{}", self.own_count);
        request["id"] = json!(id);
        self.own.insert(id);
        request.to_string().into_bytes()
    }
}

/// Gives a request for a claim a `request_id`, unless it has one; answers whether it did.
fn add_request_id(method: &str, message: &mut Map<String, Value>) -> bool {
    let Some(Value::Object(params)) = message.get_mut("params").filter(|_| method == CALL) else {
        return false;
    };
    let claims = params.get("name").and_then(Value::as_str).is_some_and(|name| CLAIMING_TOOLS.contains(&name));
    if !claims {
        return false;
    }
    match params.entry("arguments").or_insert_with(|| Value::Object(Map::new())) {
        Value::Object(arguments) if !arguments.contains_key("request_id") => {
            arguments.insert("request_id".into(), json!(Uuid::new_v4()));
            true
        }
        _ => false,
    }
}

fn refusal(id: &Value, code: i32, why: &str) -> Vec<u8> {
    json!({ "jsonrpc": "2.0", "id": id, "error": { "code": code, "message": why } }).to_string().into_bytes()
}

fn bytes(message: &Map<String, Value>) -> Vec<u8> {
    serde_json::to_vec(message).expect("what was read as JSON can be written as such")
}
