//! The tools, as MCP clients meet them: over a byte stream and over HTTP.

use issuecommand::api::Api;
use issuecommand::config::ToolProfile;
use issuecommand::mcp::{self, Connection};
use reqwest::{Method, RequestBuilder};
use rmcp::model::{CallToolRequestParams, CallToolResult, Tool};
use rmcp::service::RunningService;
use rmcp::{RoleClient, ServiceExt};
use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::server::{Inside, Server, config, issue, sent};

pub struct Client {
    pub client: RunningService<RoleClient, ()>,
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
pub async fn client_of(api: &Api, agent: Option<&str>) -> Client {
    client_shown(api, agent, ToolProfile::default()).await
}

/// A client on a pipe that is shown the tools of a profile.
pub async fn client_shown(api: &Api, agent: Option<&str>, profile: ToolProfile) -> Client {
    let (near, far) = tokio::io::duplex(64 * 1024);
    let (reader, writer) = tokio::io::split(far);
    let shutdown = CancellationToken::new();
    let connection = Connection { agent: agent.map(|name| name.parse().unwrap()), profile };
    let served = tokio::spawn(mcp::serve_io(api.clone(), connection, reader, writer, shutdown.clone()));
    let client = ().serve(near).await.unwrap();
    Client { client, shutdown, served, _inside: None }
}

impl Client {
    pub async fn call(&self, tool: &'static str, arguments: Value) -> CallToolResult {
        let arguments = arguments.as_object().unwrap().clone();
        self.client.call_tool(CallToolRequestParams::new(tool).with_arguments(arguments)).await.unwrap()
    }
}

/// The one body of a result: the same in both of its forms.
pub fn body(result: &CallToolResult) -> Value {
    let structured = result.structured_content.clone().unwrap();
    assert_eq!(result.content.len(), 1);
    let text = &result.content[0].as_text().unwrap().text;
    assert_eq!(serde_json::from_str::<Value>(text).unwrap(), structured);
    assert!(!text.contains('\n'), "compact: {text}");
    structured
}

/// The five that an agent needs, then the rest of the contract's fifteen, then what operators need.
const NAMES: [&str; 27] = [
    "next_work",
    "update_claim_status",
    "claim_issue",
    "get_issue_details",
    "list_open_issues",
    "next_issue",
    "release_issue",
    "get_followups",
    "update_followup_status",
    "get_my_work",
    "get_my_claims",
    "get_all_claims",
    "get_claim_history",
    "list_repos",
    "system_health",
    "release_any_claim",
    "reassign_claim",
    "explain_issue",
    "explain_decision",
    "commander_status",
    "commander_dispatch",
    "commander_queue",
    "commander_pause",
    "commander_resume",
    "commander_logs",
    "commander_config",
    "commander_repos",
];

#[tokio::test]
async fn each_profile_lists_its_tools_in_one_order() {
    let inside = Inside::open(&config(), &[]).await;
    for (profile, count) in ToolProfile::ALL.into_iter().zip([5, 15, NAMES.len()]) {
        let client = client_shown(&inside.api, None, profile).await;
        let tools = client.client.list_all_tools().await.unwrap();
        let names: Vec<_> = tools.iter().map(|tool| tool.name.as_ref()).collect();
        assert_eq!(names, NAMES[..count], "{profile}");
        assert_eq!(client.client.list_all_tools().await.unwrap(), tools, "the same each time");
        let reads = |tool: &Tool| tool.annotations.as_ref().and_then(|hints| hints.read_only_hint).unwrap();
        let writes: Vec<_> = tools.iter().filter(|tool| !reads(tool)).map(|tool| tool.name.as_ref()).collect();
        let expected = [
            "next_work",
            "update_claim_status",
            "claim_issue",
            "next_issue",
            "release_issue",
            "update_followup_status",
            "release_any_claim",
            "reassign_claim",
            "commander_dispatch",
            "commander_queue",
            "commander_pause",
            "commander_resume",
            "commander_config",
            "commander_repos",
        ];
        let count = match profile {
            ToolProfile::Minimal => 3,
            ToolProfile::Standard => 6,
            ToolProfile::Full => 14,
        };
        assert_eq!(writes, expected[..count]);
    }
}

#[tokio::test]
async fn a_tool_outside_the_profile_still_answers_by_name() {
    let inside = Inside::open(&config(), &[]).await;
    let client = client_shown(&inside.api, Some("a"), ToolProfile::Minimal).await;
    assert_eq!(body(&client.call("system_health", json!({})).await)["health"]["active_claims"], 0);
    let decision = json!({ "decision_id": "0190a5d2-7e1c-7000-8000-000000000001" });
    let missing = client.call("explain_decision", decision).await;
    assert_eq!((missing.is_error, body(&missing)["error"].clone()), (Some(true), json!("not_found")));
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
    mcp::serve_io(inside.api.clone(), Connection::default(), reader, writer, CancellationToken::new()).await.unwrap();
}

#[tokio::test]
async fn an_agent_works_an_issue_from_claim_to_release() {
    let client = client(Some("a")).await;
    let granted = body(&client.call("next_issue", json!({})).await);
    let (claim, claim_id) = (&granted["claim"], granted["claim"]["claim_id"].clone());
    assert_eq!((&granted["ok"], &claim["agent_id"], &claim["status"]), (&json!(true), &json!("a"), &json!("claimed")));
    assert_eq!((&granted["issue"]["number"], &granted["issue"]["body"]), (&json!(2), &json!("Text 2")), "{granted}");
    assert!(claim.get("status_history").is_none() && granted["why"].is_string(), "{granted}");
    let step = json!({ "claim_id": claim_id, "status": "in_progress" });
    let moved = body(&client.call("update_claim_status", step).await);
    let expected =
        json!({ "ok": true, "idempotent": false, "claim": { "claim_id": claim_id, "status": "in_progress" } });
    assert_eq!(moved, expected);
    let mine = body(&client.call("get_my_claims", json!({})).await)["claims"][0].clone();
    assert_eq!((&mine["claim_id"], &mine["issue_title"]), (&claim_id, &json!("Issue 2")));
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
    for unknown in ["0190a5d2-7e1c-7000-8000-000000000001", "00000001"] {
        let missing = client.call("release_issue", json!({ "claim_id": unknown, "agent_id": "b" })).await;
        assert_ne!(missing.is_error, Some(true));
        assert_eq!(body(&missing)["reason"], "claim_not_found");
    }
}

#[tokio::test]
async fn next_work_says_what_kind_it_is_and_why_there_is_none() {
    let client = client(Some("a")).await;
    for number in [2, 1, 3] {
        let work = body(&client.call("next_work", json!({})).await);
        let labels = if number == 2 { json!(["p0"]) } else { json!(null) };
        let (title, text) = (format!("Issue {number}"), format!("Text {number}"));
        let mut issue =
            json!({ "repo": "acme/small", "number": number, "title": title, "body": text, "labels": labels });
        issue.as_object_mut().unwrap().retain(|_, value| !value.is_null());
        let claim = json!({ "claim_id": work["claim"]["claim_id"] });
        let expected = json!({ "ok": true, "kind": "issue", "claim": claim, "issue": issue });
        assert_eq!(work, expected);
    }
    let none = client.call("next_work", json!({})).await;
    assert_ne!(none.is_error, Some(true));
    let (message, why) = ("No eligible unclaimed issues found", "3 open, 3 claimed");
    assert_eq!(body(&none), json!({ "ok": false, "reason": "invalid_issue", "message": message, "why": why }));
}

#[tokio::test]
async fn a_short_claim_id_is_good_at_both_doors_for_its_owner_only() {
    let server = Server::over(config(), &[issue(1, &[])]).await;
    let client = client_of(&server.inside.api, Some("a")).await;
    let short = body(&client.call("next_work", json!({})).await)["claim"]["claim_id"].as_str().unwrap().to_owned();
    let (_, listed) = server.get("/api/claims").await;
    let whole = listed["claims"][0]["claim_id"].as_str().unwrap();
    assert!(short.len() == 8 && whole.ends_with(&short), "{short} of {whole}");
    let path = format!("/api/claims/{short}");
    let (status, refused) = server.patch(&path, json!({ "agent_id": "b", "status": "in_progress" })).await;
    assert_eq!((status, &refused["owner_agent_id"]), (409, &json!("a")));
    let (status, moved) = server.patch(&path, json!({ "agent_id": "a", "status": "in_progress" })).await;
    assert_eq!((status, &moved["claim"]["claim_id"]), (200, &json!(whole)));
    let moved = client.call("update_claim_status", json!({ "claim_id": whole, "status": "released" })).await;
    assert_eq!(body(&moved)["claim"], json!({ "claim_id": short, "status": "released" }));
    let ended = client.call("update_claim_status", json!({ "claim_id": short, "status": "in_progress" })).await;
    assert_eq!(body(&ended)["reason"], "claim_not_found");
}

#[tokio::test]
async fn an_argument_wins_over_the_agent_named_once() {
    let client = client(Some("a")).await;
    client.call("next_issue", json!({ "agent_id": "b" })).await;
    assert_eq!(body(&client.call("get_all_claims", json!({})).await)["claims"][0]["agent_id"], "b");
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
    post_to(server, "/mcp", body)
}

fn post_to(server: &Server, path: &str, body: &Value) -> RequestBuilder {
    let accept = "application/json, text/event-stream";
    server.request(Method::POST, path).header("Accept", accept).json(body)
}

fn list() -> Value {
    json!({ "jsonrpc": "2.0", "id": 1, "method": "tools/list" })
}

#[tokio::test]
async fn over_http_every_request_is_complete_alone() {
    let server = Server::start(config()).await;
    let (status, listed) = sent(post(&server, &list())).await;
    assert_eq!((status, listed["result"]["tools"].as_array().unwrap().len()), (200, 15));
    // A session that a server before this one gave.
    let (status, listed) = sent(post(&server, &list()).header("Mcp-Session-Id", "of-another-life")).await;
    assert_eq!((status, listed["result"]["tools"].as_array().unwrap().len()), (200, 15));
}

#[tokio::test]
async fn over_http_a_header_or_the_query_names_the_profile() {
    let server = Server::start(config()).await;
    let count = async |request: RequestBuilder| sent(request).await.1["result"]["tools"].as_array().unwrap().len();
    assert_eq!(count(post(&server, &list()).header("X-Issuecommand-Profile", "minimal")).await, 5);
    assert_eq!(count(post_to(&server, "/mcp?profile=Full", &list())).await, NAMES.len());
    let (_, refused) = sent(post(&server, &list()).header("X-Issuecommand-Profile", "tiny")).await;
    assert!(refused["error"]["message"].as_str().unwrap().contains("minimal, standard or full"), "{refused}");
    let mut config = config();
    config.mcp.profile = ToolProfile::Minimal;
    assert_eq!(count(post(&Server::start(config).await, &list())).await, 5);
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
    // A page of this very server, as a browser on this machine loads it.
    assert_eq!(status("Origin", &server.base).await, 200);
}
