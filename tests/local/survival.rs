//! The server dies, or never comes; its clients stay.

use std::collections::HashSet;

use serde_json::{Value, json};

use super::harness::{Home, cut_wire, eventually, number_of, signal, structured};

const CLIENTS: usize = 4;
/// Wishes that each client sends at once, before the server is killed over them.
const WISHES: usize = 20;
const KILLS: usize = 8;

#[test]
fn a_killed_server_costs_no_claim_and_no_client_and_nobody_gets_two_for_one_wish() {
    let home = Home::new(1000, "");
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| home.client("codex")).collect();
    let mut issues: HashSet<u64> = clients.iter_mut().map(|client| client.claim()).collect();

    let mut interrupted = 0;
    for round in 0..KILLS {
        let mut asked: Vec<(usize, u64)> = Vec::new();
        for _ in 0..WISHES {
            asked.extend(clients.iter_mut().map(|client| client.ask_tool("next_issue", json!({}))).enumerate());
        }
        // After a few answers, more in every round, so that the kill falls into another moment each time.
        let unanswered = asked.split_off(round * 3);
        let mut take = |(at, id): (usize, u64)| {
            let body = structured(clients[at].answer(id));
            let number = number_of(&body).unwrap_or_else(|| panic!("no issue: {body}"));
            assert!(issues.insert(number), "issue {number} was handed out twice");
        };
        asked.into_iter().for_each(&mut take);
        let server = home.server().unwrap();
        signal(server, "KILL");
        unanswered.into_iter().for_each(&mut take);
        // Nobody looks for a server who has all answers: if there is one, it was needed for those.
        interrupted += usize::from(home.server().is_some_and(|pid| pid != server));
    }
    assert!(interrupted > 0, "no kill met a request under way");
    assert_eq!(issues.len(), CLIENTS * (1 + WISHES * KILLS));

    let held: Vec<u64> =
        all_claims(&mut clients[0]).iter().map(|claim| claim["issue_number"].as_u64().unwrap()).collect();
    assert_eq!(held.len(), issues.len(), "there is no claim that nobody was told of");
    assert_eq!(held.into_iter().collect::<HashSet<_>>(), issues);
    for client in &mut clients {
        assert_eq!(client.child.try_wait().unwrap(), None, "the client's process is there");
        assert!(client.unexpected().is_empty(), "no answer came twice");
    }
}

#[test]
fn a_wish_whose_answer_was_lost_is_answered_with_the_claim_that_it_got() {
    let home = Home::new(100, "");
    let mut other = home.client("other");
    other.claim();
    // The same database, by way of a wire that loses the first answers.
    let wire = tempfile::tempdir().unwrap();
    std::fs::set_permissions(wire.path(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let near = wire.path().join("wire.sock");
    cut_wire(&near, home.socket(), 7);
    home.configure(&format!("port = 0\nsocket = {:?}", near.to_str().unwrap()), "");

    let mut client = home.client("codex");
    let wishes = [json!({}), json!({ "repo": "acme/small" }), json!({ "request_id": "mine" })];
    let mut asked: Vec<u64> =
        (0..9).map(|at| client.ask_tool("next_issue", wishes[at % wishes.len()].clone())).collect();
    asked.push(client.ask_tool("claim_issue", json!({ "repo": "acme/small", "issue_number": 99 })));
    let issues: HashSet<u64> = asked.into_iter().map(|id| number_of(&structured(client.answer(id))).unwrap()).collect();
    assert_eq!(issues.len(), 8, "six of their own, one for the three that share an id, and the named one");
    let mine = all_claims(&mut other).into_iter().filter(|claim| claim["agent_id"] == "codex.1").count();
    assert_eq!(mine, issues.len(), "no wish took two");
}

#[test]
fn the_end_of_a_claim_whose_answer_was_lost_is_answered_as_done_and_only_to_who_ended_it_so() {
    let home = Home::new(100, "");
    let named = |name: &str| {
        let mut client = super::harness::Client::start(home.command(&["mcp", "--agent", name]));
        client.greet("codex");
        client
    };
    let mut ada = named("ada");
    let claims: Vec<Value> = (0..6).map(|_| claim_id(&mut ada)).collect();
    assert!(ada.leave());
    let wire = tempfile::tempdir().unwrap();
    std::fs::set_permissions(wire.path(), std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    let near = wire.path().join("wire.sock");
    cut_wire(&near, home.socket(), claims.len());
    home.configure(&format!("port = 0\nsocket = {:?}", near.to_str().unwrap()), "");

    let mut ada = named("ada");
    let release = |claim: &Value| ("release_issue", json!({ "claim_id": claim }), "released");
    let update =
        |claim: &Value| ("update_claim_status", json!({ "claim_id": claim, "status": "released" }), "released");
    let ends = claims.iter().enumerate().map(|(at, claim)| if at % 2 == 0 { release(claim) } else { update(claim) });
    let asked: Vec<_> = ends.map(|(tool, fields, status)| (ada.ask_tool(tool, fields), status)).collect();
    for ((id, status), claim) in asked.into_iter().zip(&claims) {
        let body = structured(ada.answer(id));
        assert_eq!((&body["ok"], &body["idempotent"]), (&json!(true), &json!(true)), "{body}");
        assert_eq!((&body["claim"]["claim_id"], &body["claim"]["status"]), (claim, &json!(status)), "{body}");
    }
    // Who asks a second time of its own accord is told, as ever, that the claim is gone.
    let again = ada.call("release_issue", json!({ "claim_id": claims[0] }));
    assert_eq!(again["reason"], "claim_not_found", "{again}");
}

#[test]
fn a_server_killed_over_releases_leaves_each_of_them_answered_as_done() {
    let home = Home::new(1000, "");
    let mut client = home.client("codex");
    for round in 0..KILLS {
        let claims: Vec<Value> = (0..WISHES).map(|_| claim_id(&mut client)).collect();
        let asked = claims.iter().map(|claim| client.ask_tool("release_issue", json!({ "claim_id": claim })));
        let mut asked: Vec<u64> = asked.collect();
        let unanswered = asked.split_off(round);
        let mut take = |id: u64| {
            let body = structured(client.answer(id));
            assert_eq!((&body["ok"], &body["claim"]["status"]), (&json!(true), &json!("released")), "{body}");
        };
        asked.into_iter().for_each(&mut take);
        signal(home.server().unwrap(), "KILL");
        unanswered.into_iter().for_each(&mut take);
    }
    assert!(all_claims(&mut client).is_empty(), "each of them is free");
}

/// The id of one more claim.
fn claim_id(client: &mut super::harness::Client) -> Value {
    eventually("a claim", || {
        let body = client.call("next_issue", json!({}));
        number_of(&body).map(|_| body["claim"]["claim_id"].clone())
    })
}

fn all_claims(client: &mut super::harness::Client) -> Vec<Value> {
    client.call("get_all_claims", json!({}))["claims"].as_array().unwrap().clone()
}

#[test]
fn a_client_of_2026_that_never_greets_survives_the_server_too() {
    let home = Home::new(5, "");
    let mut client = super::harness::Client::start(home.command(&["mcp"]));
    client.speak_2026("codex");
    let discovered = client.request("server/discover", json!({}));
    assert!(discovered["result"]["supportedVersions"].is_array(), "{discovered}");
    client.claim();
    signal(home.server().unwrap(), "KILL");
    client.say(&json!({ "jsonrpc": "2.0", "method": "notifications/cancelled", "params": { "requestId": 1 } }));
    let mine = client.call("get_my_claims", json!({}));
    assert_eq!(mine["claims"][0]["agent_id"], "codex.1");
    home.assert_started(2);
}

#[test]
fn who_watches_a_resource_goes_on_watching_under_the_next_server() {
    let home = Home::new(1000, "");
    let mut watcher = home.client("watcher");
    let mut worker = home.client("worker");
    worker.claim();
    let uri = "issuecommand://claims";
    let subscribed = watcher.request("resources/subscribe", json!({ "uri": uri }));
    assert!(subscribed.get("result").is_some(), "{subscribed}");
    worker.claim();
    let told =
        |message: &Value| message["method"] == "notifications/resources/updated" && message["params"]["uri"] == uri;
    watcher.wait_for("news of a claim", told);

    let server = home.server().unwrap();
    signal(server, "KILL");
    eventually("the next server", || home.server().filter(|pid| *pid != server));
    watcher.unexpected();
    // Its subscription is on the way to the new server: the news of one of the next claims reaches it.
    eventually("news of a claim", || {
        worker.claim();
        watcher.has_heard(told).then_some(())
    });
}

#[test]
fn a_server_told_to_end_rests_until_somebody_asks() {
    let home = Home::new(5, "");
    let mut client = home.client("codex");
    client.claim();
    let server = home.server().unwrap();
    signal(server, "TERM");
    eventually("its end", || home.server().is_none().then_some(()));
    assert!(!home.socket().exists(), "it takes its socket away");
    client.claim();
    home.assert_started(2);
}

#[test]
fn when_no_server_comes_the_client_is_told_why_and_the_next_request_tries_again() {
    let missing = "[policies.repo_filter]\nsource = \"missing.wasm\"";
    let home = Home::new(5, missing);
    let mut client = super::harness::Client::start(home.command(&["mcp"]));
    let refused = client.request("initialize", json!({ "clientInfo": { "name": "codex" } }));
    let why = refused["error"]["message"].as_str().unwrap();
    assert!(why.contains("could not be started") && why.contains("missing.wasm"), "{why}");

    // A slip in the file meanwhile: its line comes along, not the drawing under it.
    home.configure("port = yes", "");
    let refused = client.request("initialize", json!({ "clientInfo": { "name": "codex" } }));
    let why = refused["error"]["message"].as_str().unwrap();
    assert!(why.contains("issuecommand.toml:2:") && !why.contains('^'), "{why}");

    home.configure("port = 0", "");
    client.greet("codex");
    client.claim();
    let written = client.end();
    let lines: Vec<_> = written.lines().collect();
    assert!(lines.len() == 2 && lines[0].contains("missing.wasm"), "one line for each reason: {written}");
}

#[test]
fn a_wrong_line_in_the_file_keeps_no_client_from_the_server_that_runs() {
    let home = Home::new(5, "");
    let mut first = home.client("codex");
    first.claim();
    let server = home.server();
    home.configure("port = \"soon\"", "");
    let mut second = home.client("codex");
    second.claim();
    assert_eq!(home.server(), server, "it has not become another one");
    // Where none runs, none starts with such a file.
    signal(server.unwrap(), "KILL");
    eventually("the server's end", || home.server().is_none().then_some(()));
    drop((first, second));
    let output = home.command(&["mcp"]).stdin(std::process::Stdio::null()).output().unwrap();
    let told = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("server.port: expected a whole number"), "{told}");
}
