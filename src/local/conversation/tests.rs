//! What a new server and the client hear when a conversation goes on.

#![allow(clippy::unwrap_used)]

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
    assert_eq!((&said[0]["method"], &said[1]["method"]), (&json!("initialize"), &json!("notifications/initialized")));
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

#[test]
fn what_is_no_json_is_answered_by_nobody_but_us() {
    let mut talk = Conversation::default();
    for line in [&b"hello"[..], b"{\"jsonrpc\":", b"\xff"] {
        let Next::Answer(answer) = talk.hear_client(line.to_vec(), true) else { panic!("{line:?}") };
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        assert_eq!((&answer["id"], &answer["error"]["code"]), (&Value::Null, &json!(-32700)), "{answer}");
    }
    assert!(!talk.needs_server());
}
