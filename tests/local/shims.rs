//! Many clients, one server.

use std::collections::HashSet;

use serde_json::json;

use super::harness::{Client, Home, eventually, signal};

const CLIENTS: usize = 12;

#[test]
fn twelve_clients_at_once_start_one_server_and_get_twelve_issues_under_twelve_names() {
    let home = Home::new(40, "");
    let mut clients: Vec<_> = (0..CLIENTS).map(|_| Client::start(home.command(&["mcp"]))).collect();
    let asked: Vec<_> = clients.iter_mut().map(|client| client.ask_greeting("Codex MCP Client")).collect();
    clients.iter_mut().zip(asked).for_each(|(client, asked)| client.take_greeting(asked));
    let server = home.server().unwrap();
    let issues: HashSet<u64> = clients.iter_mut().map(Client::claim).collect();
    assert_eq!(issues.len(), CLIENTS);

    let claims = clients[0].call("get_all_claims", json!({}));
    let agents: HashSet<_> =
        claims["claims"].as_array().unwrap().iter().map(|claim| claim["agent_id"].clone()).collect();
    let expected: HashSet<_> = (1..=CLIENTS).map(|number| json!(format!("codex-mcp-client.{number}"))).collect();
    assert_eq!(agents, expected);
    assert_eq!(home.server(), Some(server));
    home.assert_started(1);
    assert!(!home.log().contains("in use"), "nobody tried to start a second one:\n{}", home.log());
}

#[test]
fn a_client_that_goes_takes_its_answers_and_its_process_with_it_and_leaves_the_server_and_its_name() {
    let home = Home::new(3, "");
    let mut client = home.client("cursor");
    let issue = client.claim();
    let server = home.server();
    let asked = client.ask_tool("get_my_claims", json!({}));
    assert!(client.leave());
    let claims = client.answer(asked)["result"]["structuredContent"].clone();
    assert_eq!(claims["claims"].as_array().unwrap().len(), 1);
    assert!(server.is_some());
    assert_eq!(home.server(), server);

    let mut back = home.client("cursor");
    let mine = back.call("get_my_claims", json!({}));
    assert_eq!(
        (&mine["claims"][0]["agent_id"], &mine["claims"][0]["issue_number"]),
        (&json!("cursor.1"), &json!(issue))
    );
}

#[test]
fn a_client_that_comes_back_gets_the_number_and_the_claims_that_it_had_and_not_anothers() {
    let home = Home::new(5, "");
    let folders = ["a", "b", "c"].map(|name| home.path(name));
    folders.iter().for_each(|folder| std::fs::create_dir(folder).unwrap());
    let come = |folder: &std::path::Path| {
        let mut command = home.command(&["mcp"]);
        command.current_dir(folder);
        let mut client = Client::start(command);
        client.greet("codex");
        client
    };
    let mut clients = [come(&folders[0]), come(&folders[1])];
    let held = clients.each_mut().map(Client::claim);
    clients.iter_mut().for_each(|client| assert!(client.leave()));
    // The second comes back first, then one that was never here, then the first.
    for (folder, name, issue) in [(1, "codex.2", Some(held[1])), (2, "codex.3", None), (0, "codex.1", Some(held[0]))] {
        let mut back = come(&folders[folder]);
        let mine = back.call("get_my_claims", json!({}));
        let issues: Vec<_> =
            mine["claims"].as_array().unwrap().iter().map(|one| one["issue_number"].as_u64()).collect();
        assert_eq!(issues, issue.map(Some).into_iter().collect::<Vec<_>>(), "{mine}");
        back.claim();
        let claims = back.call("get_all_claims", json!({}));
        assert!(claims["claims"].as_array().unwrap().iter().any(|claim| claim["agent_id"] == name), "{claims}");
    }
}

#[test]
fn two_clients_that_were_given_one_name_hold_no_issue_together() {
    let home = Home::new(5, "");
    let come = || {
        let mut client = Client::start(home.command(&["mcp", "--agent", "same/1"]));
        client.greet("codex");
        client
    };
    let (mut first, mut second) = (come(), come());
    let wish = json!({ "repo": "acme/small", "issue_number": 1 });
    eventually("the claim", || (first.call("claim_issue", wish.clone())["ok"] == true).then_some(()));
    let refused = second.call("claim_issue", wish.clone());
    assert_eq!((&refused["reason"], &refused["owner_agent_id"]), (&json!("already_claimed"), &json!("same/1")));
    second.claim();
    let mine = second.call("get_my_claims", json!({}));
    assert_eq!(mine["claims"][0]["agent_id"], "same/1.2");
    let said = second.end();
    assert!(said.contains("another client goes by same/1") && said.contains("same/1.2"), "{said}");
    assert!(first.leave());
    assert_eq!(come().call("claim_issue", wish)["idempotent"], true, "the name is free again");
}

#[test]
fn several_messages_in_one_line_are_each_answered() {
    let home = Home::new(3, "");
    let mut client = home.client("codex");
    let list = |id: u64| json!({ "jsonrpc": "2.0", "id": id, "method": "tools/list" });
    client.say(&json!([list(71), { "jsonrpc": "2.0", "method": "notifications/initialized" }, list(72)]));
    for id in [72, 71] {
        assert!(client.answer(id)["result"]["tools"].is_array());
    }
}

#[test]
fn a_client_that_goes_before_it_says_a_word_starts_nothing() {
    let home = Home::new(1, "");
    let mut client = Client::start(home.command(&["mcp"]));
    assert!(client.leave());
    assert_eq!(home.server(), None);
    assert!(!home.path("claims.db").exists());
}

#[test]
fn the_agent_is_named_by_the_command_line_then_by_the_environment_and_the_profile_says_what_is_listed() {
    let home = Home::new(3, "");
    let mut command = home.command(&["mcp", "--agent", "ada", "--profile", "minimal"]);
    command.env("ISSUECOMMAND_AGENT_ID", "bob");
    let mut ada = Client::start(command);
    ada.greet("codex");
    let listed = ada.request("tools/list", json!({}));
    let tools = listed["result"]["tools"].as_array().unwrap();
    assert_eq!(tools.len(), 5, "{listed}");
    let update = tools.iter().find(|tool| tool["name"] == "update_claim_status").unwrap();
    assert_eq!(update["inputSchema"]["required"], json!(["claim_id", "status"]), "agent_id may be left out");
    ada.claim();

    let mut command = home.command(&["mcp"]);
    command.env("ISSUECOMMAND_AGENT_ID", "bob");
    let mut bob = Client::start(command);
    bob.greet("codex");
    assert!(bob.request("tools/list", json!({}))["result"]["tools"].as_array().unwrap().len() > 5);
    bob.claim();
    let claims = bob.call("get_all_claims", json!({}));
    let agents: HashSet<_> =
        claims["claims"].as_array().unwrap().iter().map(|claim| claim["agent_id"].clone()).collect();
    assert_eq!(agents, HashSet::from([json!("ada"), json!("bob")]));
}

#[test]
fn a_second_serve_stdio_hands_its_client_to_the_first_and_outlives_it() {
    let home = Home::new(5, "");
    let mut first = Client::start(home.command(&["serve", "--stdio"]));
    first.greet("claude");
    let server = home.server();
    assert_eq!(server, Some(first.child.id()));
    let mut second = Client::start(home.command(&["serve", "--stdio"]));
    second.greet("claude");
    let claim = |client: &mut Client, agent: &str| {
        eventually("an issue", || super::harness::number_of(&client.call("next_issue", json!({ "agent_id": agent }))))
    };
    assert_ne!(claim(&mut first, "one"), claim(&mut second, "two"));
    assert_eq!(home.server(), server);

    assert!(first.leave());
    assert_eq!(second.call("get_all_claims", json!({}))["claims"].as_array().unwrap().len(), 2);
    assert_ne!(home.server(), server);
}

#[test]
fn clients_that_start_their_own_servers_at_the_same_moment_share_one_and_can_be_told_to_end() {
    let home = Home::new(20, "");
    let mut clients: Vec<_> = (0..4).map(|_| Client::start(home.command(&["serve", "--stdio"]))).collect();
    let asked: Vec<_> = clients.iter_mut().map(|client| client.ask_greeting("claude")).collect();
    clients.iter_mut().zip(asked).for_each(|(client, asked)| client.take_greeting(asked));
    let server = home.server().unwrap();
    let (servers, handed_over): (Vec<_>, Vec<_>) = clients.into_iter().partition(|client| client.child.id() == server);
    assert_eq!((servers.len(), handed_over.len()), (1, 3));
    for mut client in handed_over {
        signal(client.child.id(), "TERM");
        eventually("its end", || client.child.try_wait().unwrap());
    }
    assert_eq!(home.server(), Some(server));
}

#[test]
fn two_databases_have_two_servers_though_their_configurations_name_one_port() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let homes = [Home::new(3, ""), Home::new(3, "")];
    homes.iter().for_each(|home| home.configure(&format!("port = {port}"), ""));
    let mut clients: Vec<_> = homes.iter().map(|home| home.client("codex")).collect();
    assert_eq!([clients[0].claim(), clients[1].claim()], [1, 1], "neither knows of the other's claims");
    let servers = homes.each_ref().map(|home| home.server().unwrap());
    assert_ne!(servers[0], servers[1]);
}
