//! The reference of MCP, from what a server lists to a client.

use std::fmt::Write;

use serde_json::{Value, json};

use super::fields;
use crate::documents::{cell, hold_reference};
use crate::harness::{Home, Server, issue};

const PROFILES: [&str; 3] = ["minimal", "standard", "full"];

const HEAD: &str = "\
# MCP tools

What a client is shown, at `/mcp` and by `issuecommand mcp`. Each profile lists what the smaller ones do; a tool that is not
listed still answers by name, and takes the fields that the [HTTP route](http.md) of the same call takes. `agent_id` may be
left out where the connection or its token names the agent. [For authors of agents](../agents.md) says how to connect, and
what answers look like.

";

/// Asks a server as a client of one profile.
async fn asked(server: &Server, profile: &str, method: &str, params: Value) -> Value {
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params });
    let request = server.client.post(format!("{}/mcp", server.url)).json(&body);
    let request = request.header("Accept", "application/json, text/event-stream");
    let response = request.header("X-Issuecommand-Profile", profile).send().await.unwrap();
    let text = response.text().await.unwrap();
    // A greeting is answered as a stream of one event.
    let answer = text.lines().filter_map(|line| line.strip_prefix("data: ")).find(|data| data.starts_with('{'));
    let answer: Value = serde_json::from_str(answer.unwrap_or(&text)).unwrap();
    assert!(answer["result"].is_object(), "{answer}");
    answer["result"].clone()
}

fn tool(page: &mut String, tool: &Value) {
    let reads = if tool["annotations"]["readOnlyHint"] == true { " It only reads." } else { "" };
    let (name, description) = (tool["name"].as_str().unwrap(), tool["description"].as_str().unwrap());
    write!(page, "### `{name}`\n\n{description}{reads}\n\n").unwrap();
    let rows = fields(&tool["inputSchema"], str::to_owned);
    if !rows.is_empty() {
        write!(page, "| field | what | needed | meaning |\n|---|---|---|---|\n{rows}\n").unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_reference_of_mcp_is_what_a_client_is_shown() {
    let home = Home::new(&[issue("acme/small", 1, &[])], "");
    let server = home.serve();
    let mut page = HEAD.to_owned();
    let greeting =
        json!({ "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } });
    let greeted = asked(&server, "full", "initialize", greeting).await;
    let told = greeted["instructions"].as_str().unwrap();
    write!(page, "A client is told this once, for its model:\n\n```text\n{told}\n```\n\n").unwrap();
    let mut known: Vec<Value> = Vec::new();
    for profile in PROFILES {
        write!(page, "## Profile `{profile}`\n\n").unwrap();
        let listed = asked(&server, profile, "tools/list", json!({})).await["tools"].as_array().unwrap().clone();
        assert!(known.iter().all(|tool| listed.contains(tool)), "{profile} lists what smaller profiles list");
        listed.iter().filter(|one| !known.contains(one)).for_each(|one| tool(&mut page, one));
        known = listed;
    }
    page.push_str("## Resources\n\n| address | what it is |\n|---|---|\n");
    let lists =
        [("resources/list", "resources", "uri"), ("resources/templates/list", "resourceTemplates", "uriTemplate")];
    for (method, list, address) in lists {
        let answer = asked(&server, "full", method, json!({})).await;
        for one in answer[list].as_array().unwrap() {
            let meaning = one["description"].as_str().or(one["name"].as_str()).unwrap();
            writeln!(page, "| `{}` | {} |", one[address].as_str().unwrap(), cell(meaning)).unwrap();
        }
    }
    hold_reference("docs/reference/mcp.md", &page);
}
