//! What a client and a server have said to each other, as far as it must be said again to a new server.
//!
//! Pure: lines go in, lines come out. Requests without an answer, the greeting and the subscriptions are
//! kept; a new server hears them again, and the client notices nothing. Asking twice is safe: a claim is
//! asked for with a `request_id`, to which the server gives the same claim again, and every call that goes
//! out again says so, that the server may know the end of a claim for the one that was asked for.

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
    /// It concerns no server.
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
        let Ok(Value::Object(mut message)) = serde_json::from_slice(&line) else {
            // Not for us to judge: the server answers what it makes of it.
            return self.tell(line);
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
        again.to_client = spent.iter().map(|open| refusal(&open.id, &why)).collect();
        self.begun = self.greeting.is_some() || self.open.iter().any(|open| open.method != "server/discover");
        again
    }

    /// Answers every open request, since no server can: `why`.
    pub(super) fn give_up(&mut self, why: &str) -> Vec<Vec<u8>> {
        self.open.drain(..).map(|open| refusal(&open.id, why)).collect()
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

fn refusal(id: &Value, why: &str) -> Vec<u8> {
    json!({ "jsonrpc": "2.0", "id": id, "error": { "code": ERROR_CODE, "message": why } }).to_string().into_bytes()
}

fn bytes(message: &Map<String, Value>) -> Vec<u8> {
    serde_json::to_vec(message).expect("what was read as JSON can be written as such")
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn text(line: &Value) -> Vec<u8> {
        line.to_string().into_bytes()
    }

    fn asked(talk: &mut Conversation, line: &Value) -> Value {
        match talk.hear_client(text(line), true) {
            Next::Ask(line) => serde_json::from_slice(&line).unwrap(),
            other => panic!("{line} is a request: {other:?}"),
        }
    }

    fn read(lines: &[Vec<u8>]) -> Vec<Value> {
        lines.iter().map(|line| serde_json::from_slice(line).unwrap()).collect()
    }

    fn call(id: u64, tool: &str, arguments: Value) -> Value {
        json!({ "jsonrpc": "2.0", "id": id, "method": "tools/call", "params": { "name": tool, "arguments": arguments } })
    }

    fn result(id: &Value) -> Vec<u8> {
        text(&json!({ "jsonrpc": "2.0", "id": id, "result": {} }))
    }

    /// A client of the 2025 era that has greeted.
    fn greeted() -> Conversation {
        let mut talk = Conversation::default();
        asked(&mut talk, &json!({ "jsonrpc": "2.0", "id": 0, "method": "initialize", "params": { "clientInfo": {} } }));
        assert!(talk.hear_server(result(&json!(0))).is_some());
        talk.hear_client(text(&json!({ "jsonrpc": "2.0", "method": "notifications/initialized" })), true);
        talk
    }

    #[test]
    fn every_wish_for_a_claim_gets_an_id_of_its_own_and_keeps_the_one_it_has() {
        let mut talk = greeted();
        let first = asked(&mut talk, &call(1, "next_issue", json!({ "repo": "acme/small" })));
        let second = asked(&mut talk, &call(2, "next_issue", json!({})));
        let id = |sent: &Value| sent["params"]["arguments"]["request_id"].as_str().map(str::to_owned);
        assert_eq!(first["params"]["arguments"]["repo"], "acme/small");
        assert!(id(&first).is_some() && id(&second).is_some() && id(&first) != id(&second));
        let bare = json!({ "jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": { "name": "next_work" } });
        assert!(id(&asked(&mut talk, &bare)).is_some());
        assert_eq!(id(&asked(&mut talk, &call(4, "claim_issue", json!({ "request_id": "mine" })))).unwrap(), "mine");
        let update = call(5, "update_claim_status", json!({ "status": "closed" }));
        assert_eq!(asked(&mut talk, &update), update);
    }

    #[test]
    fn a_new_server_hears_the_greeting_and_what_has_no_answer_in_order_and_the_client_hears_nothing_of_it() {
        let mut talk = greeted();
        asked(&mut talk, &call(1, "get_my_claims", json!({})));
        assert!(talk.hear_server(result(&json!(1))).is_some());
        let open =
            [asked(&mut talk, &call(2, "next_issue", json!({}))), asked(&mut talk, &call(3, "list_repos", json!({})))];
        let again = talk.again();
        assert!(again.to_client.is_empty());
        let said = read(&again.to_server);
        assert_eq!(
            (&said[0]["method"], &said[1]["method"]),
            (&json!("initialize"), &json!("notifications/initialized"))
        );
        for (said, open) in said[2..].iter().zip(&open) {
            let mut expected = open.clone();
            expected["params"]["_meta"] = json!({ "issuecommand/resent": true });
            assert_eq!(*said, expected);
        }
        assert_eq!(talk.hear_server(result(&said[0]["id"])), None);
        assert_eq!(talk.hear_server(result(&json!(2))), Some(result(&json!(2))));
        assert_eq!(read(&talk.again().to_server).last().unwrap()["id"], 3);
    }

    #[test]
    fn a_call_is_called_resent_only_when_a_server_may_have_heard_it() {
        let mut talk = greeted();
        talk.hear_client(text(&call(1, "release_issue", json!({ "claim_id": "0000000f" }))), false);
        let resent = |said: &[Vec<u8>]| read(said).last().unwrap()["params"]["_meta"]["issuecommand/resent"] == true;
        assert!(!resent(&talk.again().to_server), "nobody was there");
        assert!(resent(&talk.again().to_server));
    }

    #[test]
    fn a_greeting_without_an_answer_is_sent_as_it_was() {
        let mut talk = Conversation::default();
        let greeting = json!({ "jsonrpc": "2.0", "id": "hello", "method": "initialize", "params": {} });
        asked(&mut talk, &greeting);
        assert_eq!(read(&talk.again().to_server), [greeting]);
        assert!(talk.hear_server(result(&json!("hello"))).is_some());
    }

    #[test]
    fn subscriptions_of_both_eras_are_made_again() {
        let mut talk = greeted();
        let subscribe = |id: u64, method: &str, uri: &str| json!({ "jsonrpc": "2.0", "id": id, "method": format!("resources/{method}"), "params": { "uri": uri } });
        for (id, method, uri) in [(1, "subscribe", "a"), (2, "subscribe", "b"), (3, "unsubscribe", "a")] {
            asked(&mut talk, &subscribe(id, method, uri));
            talk.hear_server(result(&json!(id)));
        }
        let listen = json!({ "jsonrpc": "2.0", "id": 9, "method": LISTEN, "params": { "notifications": {} } });
        asked(&mut talk, &listen);
        let acknowledged = text(&json!({
            "jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged",
            "params": { "_meta": { "io.modelcontextprotocol/subscriptionId": 9 } },
        }));
        assert!(talk.hear_server(acknowledged.clone()).is_some());
        assert!(talk.needs_server() && !talk.awaits_answers());
        let said = read(&talk.again().to_server);
        assert_eq!((&said[2]["method"], &said[2]["params"]["uri"]), (&json!("resources/subscribe"), &json!("b")));
        assert_eq!(said[3..], [listen]);
        assert_eq!(talk.hear_server(result(&said[2]["id"])), None);
        assert_eq!(talk.hear_server(acknowledged), None);
    }

    #[test]
    fn without_a_greeting_nothing_but_requests_goes_to_a_new_server() {
        let mut talk = Conversation::default();
        let discover = json!({ "jsonrpc": "2.0", "id": 1, "method": "server/discover", "params": {} });
        asked(&mut talk, &discover);
        talk.hear_server(result(&json!(1)));
        let cancel = |id: u64| {
            text(&json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": id } }))
        };
        assert_eq!(talk.hear_client(cancel(1), true), Next::Drop);
        let list = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/list", "params": {} });
        asked(&mut talk, &list);
        assert_eq!(talk.hear_client(cancel(7), true), Next::Tell(cancel(7)));
        assert_eq!(read(&talk.again().to_server), [list]);
        assert_eq!(talk.hear_client(cancel(2), true), Next::Tell(cancel(2)));
        assert!(!talk.needs_server());
        assert_eq!(talk.again(), Again::default());
        assert_eq!(talk.hear_client(cancel(2), true), Next::Drop);
    }

    #[test]
    fn a_request_that_ends_every_server_is_answered_in_the_end() {
        let mut talk = greeted();
        asked(&mut talk, &call(1, "next_issue", json!({})));
        for _ in 1..SEND_COUNT_MAX {
            assert!(talk.again().to_client.is_empty());
        }
        let answers = read(&talk.again().to_client);
        assert_eq!((answers.len(), &answers[0]["id"]), (1, &json!(1)));
        assert!(!talk.awaits_answers());
    }

    #[test]
    fn when_no_server_comes_every_open_request_gets_the_reason() {
        let mut talk = greeted();
        asked(&mut talk, &call(1, "next_issue", json!({})));
        asked(&mut talk, &call(2, "list_repos", json!({})));
        let answers = read(&talk.give_up("no server"));
        let told: Vec<_> = answers.iter().map(|answer| (&answer["id"], &answer["error"]["message"])).collect();
        assert_eq!(told, [(&json!(1), &json!("no server")), (&json!(2), &json!("no server"))]);
        assert!(!talk.needs_server());
    }
}
