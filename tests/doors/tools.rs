//! The tools, as MCP clients meet them: over a byte stream and over HTTP.

use issuecommand::api::Api;
use issuecommand::mcp;
use reqwest::{Method, RequestBuilder};
use rmcp::model::{CallToolRequestParams, CallToolResult, Tool};
use rmcp::service::RunningService;
use rmcp::{RoleClient, ServiceExt};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::server::{Inside, Server, config, issue, sent};

struct Client {
    client: RunningService<RoleClient, ()>,
    shutdown: CancellationToken,
    served: JoinHandle<std::io::Result<()>>,
    /// Kept for as long as the client.
    _inside: Option<Inside>,
}

/// A client on a pipe to a server of its own, whose connection may have named its agent.
async fn client(agent: Option<&str>) -> Client {
    let inside = Inside::open(&config(), &[issue(1, &[]), issue(2, &["p0"]), issue(3, &[])]).await;
    let client = client_of(&inside.api, agent).await;
    Client { _inside: Some(inside), ..client }
}

/// A client on a pipe.
async fn client_of(api: &Api, agent: Option<&str>) -> Client {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let (reader, writer) = tokio::io::split(far);
    let shutdown = CancellationToken::new();
    let agent = agent.map(|name| name.parse().unwrap());
    let served = tokio::spawn(mcp::serve_io(api.clone(), agent, reader, writer, shutdown.clone()));
    let client = ().serve(near).await.unwrap();
    Client { client, shutdown, served, _inside: None }
}

impl Client {
    async fn call(&self, tool: &'static str, arguments: Value) -> CallToolResult {
        let arguments = arguments.as_object().unwrap().clone();
        self.client.call_tool(CallToolRequestParams::new(tool).with_arguments(arguments)).await.unwrap()
    }
}

/// The one body of a result: the same in both of its forms.
fn body(result: &CallToolResult) -> Value {
    let structured = result.structured_content.clone().unwrap();
    assert_eq!(result.content.len(), 1);
    let text = &result.content[0].as_text().unwrap().text;
    assert_eq!(serde_json::from_str::<Value>(text).unwrap(), structured);
    assert!(!text.contains('\n'), "compact: {text}");
    structured
}

#[tokio::test]
async fn the_tools_are_those_of_the_contract_in_few_words() {
    let client = client(None).await;
    let tools = client.client.list_all_tools().await.unwrap();
    let mut names: Vec<_> = tools.iter().map(|tool| tool.name.as_ref()).collect();
    names.sort_unstable();
    let expected = [
        "claim_issue",
        "get_all_claims",
        "get_issue_details",
        "get_my_claims",
        "list_open_issues",
        "list_repos",
        "next_issue",
        "release_issue",
        "system_health",
        "update_claim_status",
    ];
    assert_eq!(names, expected);
    let bytes = serde_json::to_string(&tools).unwrap().len();
    assert!(bytes < 5500, "the tools take {bytes} bytes of every conversation");
    let reads = |tool: &Tool| tool.annotations.as_ref().and_then(|hints| hints.read_only_hint).unwrap();
    for tool in &tools {
        let expected = ["claim_issue", "next_issue", "release_issue", "update_claim_status"];
        assert_eq!(reads(tool), !expected.contains(&tool.name.as_ref()), "{}", tool.name);
    }
}

#[tokio::test]
async fn the_server_introduces_itself_in_two_lines() {
    let client = client(None).await;
    let info = client.client.peer_info().unwrap().clone();
    assert_eq!(info.instructions.as_deref().unwrap().lines().count(), 2);
    assert_eq!(info.server_info.as_ref().unwrap().name, "issuecommand");
}

#[tokio::test]
async fn an_agent_named_once_need_not_be_named_again() {
    let required = |tools: &[Tool]| {
        let next = tools.iter().find(|tool| tool.name == "next_issue").unwrap();
        next.input_schema.get("required").cloned()
    };
    assert_eq!(required(&client(None).await.client.list_all_tools().await.unwrap()), Some(json!(["agent_id"])));
    assert_eq!(required(&client(Some("a")).await.client.list_all_tools().await.unwrap()), None);
}

#[tokio::test]
async fn bad_arguments_are_an_error_that_names_the_field() {
    let client = client(None).await;
    let wrong = [
        ("next_issue", json!({}), "Missing or invalid field: agent_id"),
        ("next_issue", json!({ "agent_id": "a", "priority": 1 }), "Missing or invalid field: priority"),
        (
            "claim_issue",
            json!({ "agent_id": "a", "repo": "acme", "issue_number": 1 }),
            "Missing or invalid field: repo",
        ),
        ("get_issue_details", json!({ "repo": "a/b", "issue_number": "x" }), "Missing or invalid field: issue_number"),
        ("get_all_claims", json!({ "status": "x" }), "Invalid claim status: x"),
    ];
    for (tool, arguments, message) in wrong {
        let result = client.call(tool, arguments).await;
        assert_eq!(result.is_error, Some(true), "{tool}");
        let body = body(&result);
        assert_eq!(body["error"], "request_failed");
        assert!(body["message"].as_str().unwrap().starts_with(message), "{body}");
    }
}

#[tokio::test]
async fn an_unknown_tool_is_a_protocol_error() {
    let client = client(None).await;
    let error = client.client.call_tool(CallToolRequestParams::new("next_isue")).await.unwrap_err();
    assert!(error.to_string().contains("unknown tool: next_isue"), "{error}");
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_service_and_so_does_shutdown() {
    let left = client(None).await;
    left.client.cancel().await.unwrap();
    left.served.await.unwrap().unwrap();
    let stopped = client(None).await;
    stopped.shutdown.cancel();
    stopped.served.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_pipe_that_closes_before_a_word_is_no_error() {
    let inside = Inside::open(&config(), &[]).await;
    let (near, far) = tokio::io::duplex(1024);
    drop(near);
    let (reader, writer) = tokio::io::split(far);
    mcp::serve_io(inside.api.clone(), None, reader, writer, CancellationToken::new()).await.unwrap();
}

#[tokio::test]
async fn an_agent_works_an_issue_from_claim_to_release() {
    let client = client(Some("a")).await;
    let granted = body(&client.call("next_issue", json!({})).await);
    assert_eq!((&granted["ok"], &granted["claim"]["agent_id"]), (&json!(true), &json!("a")));
    assert_eq!((&granted["issue"]["number"], &granted["issue"]["body"]), (&json!(2), &json!("Text 2")));
    let claim_id = &granted["claim"]["claim_id"];
    let step = json!({ "claim_id": claim_id, "status": "in_progress" });
    assert_eq!(body(&client.call("update_claim_status", step).await)["claim"]["status"], "in_progress");
    assert_eq!(body(&client.call("get_my_claims", json!({})).await)["claims"][0]["claim_id"], *claim_id);
    let details = body(&client.call("get_issue_details", json!({ "repo": "acme/small", "issue_number": 2 })).await);
    assert_eq!((&details["issue"]["title"], &details["claimed_by"]), (&json!("Issue 2"), &json!("a")));
    let given_back = body(&client.call("release_issue", json!({ "claim_id": claim_id, "reason": "no time" })).await);
    assert_eq!(given_back["claim"]["status"], "released");
    assert_eq!(body(&client.call("get_all_claims", json!({})).await), json!({ "claims": [] }));
    assert_eq!(body(&client.call("system_health", json!({})).await)["health"]["total_claims"], 1);
    assert_eq!(body(&client.call("list_repos", json!({})).await)["repos"][0]["open_issue_count"], 3);
}

#[tokio::test]
async fn a_rejection_is_a_normal_result() {
    let client = client(None).await;
    let claim = |agent: &str| json!({ "agent_id": agent, "repo": "acme/small", "issue_number": 1 });
    client.call("claim_issue", claim("a")).await;
    let rejected = client.call("claim_issue", claim("b")).await;
    assert_ne!(rejected.is_error, Some(true));
    let rejection = body(&rejected);
    assert_eq!((&rejection["ok"], &rejection["reason"]), (&json!(false), &json!("already_claimed")));
    assert_eq!((&rejection["owner_agent_id"], &rejection["claim"]["agent_id"]), (&json!("a"), &json!("a")));
    let unknown = json!({ "claim_id": "0190a5d2-7e1c-7000-8000-000000000001", "agent_id": "b" });
    let missing = client.call("release_issue", unknown).await;
    assert_ne!(missing.is_error, Some(true));
    assert_eq!(body(&missing)["reason"], "claim_not_found");
}

#[tokio::test]
async fn an_argument_wins_over_the_agent_named_once() {
    let client = client(Some("a")).await;
    let granted = body(&client.call("next_issue", json!({ "agent_id": "b" })).await);
    assert_eq!(granted["claim"]["agent_id"], "b");
}

#[tokio::test]
async fn a_list_for_a_model_is_short_and_says_how_many_are_left() {
    let backlog: Vec<_> = (1..=31).map(|number| issue(number, &[])).collect();
    let inside = Inside::open(&config(), &backlog).await;
    let client = client_of(&inside.api, None).await;
    let listed = body(&client.call("list_open_issues", json!({ "repo": "acme/small" })).await);
    assert_eq!((listed["issues"].as_array().unwrap().len(), &listed["more"]), (30, &json!(1)));
    let listed = body(&client.call("list_open_issues", json!({ "repo": "acme/small", "limit": 31 })).await);
    assert_eq!((listed["issues"].as_array().unwrap().len(), listed.get("more")), (31, None));
}

#[tokio::test]
async fn fifty_agents_at_both_doors_never_get_the_same_issue() {
    let backlog: Vec<_> = (1..=31).map(|number| issue(number, &[])).collect();
    let server = std::sync::Arc::new(Server::over(config(), &backlog).await);
    let mut agents = tokio::task::JoinSet::new();
    for number in 0..50 {
        let server = std::sync::Arc::clone(&server);
        agents.spawn(async move {
            let ask = json!({ "agent_id": format!("agent-{number}") });
            if number % 2 == 0 {
                server.post("/api/next", ask).await.1
            } else {
                body(&client_of(&server.inside.api, None).await.call("next_issue", ask).await)
            }
        });
    }
    let answers = agents.join_all().await;
    let mut granted: Vec<_> = answers.iter().filter_map(|answer| answer["issue"]["number"].as_u64()).collect();
    granted.sort_unstable();
    assert_eq!(granted, (1..=31).collect::<Vec<_>>(), "every issue once");
    let empty = answers.iter().filter(|answer| answer["reason"] == "invalid_issue").count();
    assert_eq!(empty, 50 - 31);
}

fn post(server: &Server, body: &Value) -> RequestBuilder {
    let accept = "application/json, text/event-stream";
    server.request(Method::POST, "/mcp").header("Accept", accept).json(body)
}

fn list() -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" })
}

#[tokio::test]
async fn over_http_every_request_is_complete_alone() {
    let server = Server::start(config()).await;
    let (status, listed) = sent(post(&server, &list())).await;
    assert_eq!((status, listed["result"]["tools"].as_array().unwrap().len()), (200, 10));
    let initialize = json!({ "jsonrpc": "2.0", "id": 1, "method": "initialize", "params": {
        "protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": { "name": "t", "version": "1" } } });
    let (_, greeted) = sent(post(&server, &initialize)).await;
    assert_eq!(greeted["result"]["protocolVersion"], "2025-06-18");
}

#[tokio::test]
async fn over_http_the_newest_protocol_is_spoken_too() {
    let server = Server::start(config()).await;
    let call = json!({ "jsonrpc": "2.0", "id": 2, "method": "tools/call", "params": {
        "name": "next_issue", "arguments": {}, "_meta": {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": { "name": "t", "version": "1" },
            "io.modelcontextprotocol/clientCapabilities": {} } } });
    let request = post(&server, &call)
        .header("MCP-Protocol-Version", "2026-07-28")
        .header("Mcp-Method", "tools/call")
        .header("Mcp-Name", "next_issue");
    let (status, answer) = sent(request).await;
    assert_eq!((status, answer["result"]["isError"].as_bool()), (200, Some(true)), "{answer}");
    assert_eq!(answer["result"]["resultType"], "complete");
}

#[tokio::test]
async fn over_http_a_header_names_the_agent() {
    let server = Server::start(config()).await;
    let (_, listed) = sent(post(&server, &list()).header("X-Agent-Id", "a")).await;
    let next = listed["result"]["tools"].as_array().unwrap().iter().find(|tool| tool["name"] == "next_issue").unwrap();
    assert_eq!(next["inputSchema"].get("required"), None);
}

#[tokio::test]
async fn over_http_foreign_origins_and_hosts_are_forbidden() {
    let mut config = config();
    config.server.allowed_origins = vec!["https://board.example:443".into()];
    let server = Server::start(config).await;
    let status =
        async |name: &str, value: &str| post(&server, &list()).header(name, value).send().await.unwrap().status();
    assert_eq!(status("Origin", "https://evil.example").await, 403);
    assert_eq!(status("Origin", "null").await, 403);
    assert_eq!(status("Host", "evil.example").await, 403);
    assert_eq!(status("Origin", "https://board.example").await, 200);
}
