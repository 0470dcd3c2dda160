//! Thirty-two agents drain a repository of real issues, half over MCP stdio and half over HTTP.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rmcp::model::CallToolRequestParams;
use rmcp::service::{RoleClient, RunningService};
use rmcp::{ServiceExt, transport::TokioChildProcess};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::task::spawn_blocking;

use super::harness::{Home, PATIENCE};
use crate::standin::{Standin, TOKEN};

const AGENTS: usize = 32;
/// Issues taken one by one first, where the order must be exact.
const ONE_BY_ONE: usize = 20;
const TIERS: &str = "[policies.ranker.settings]\ntiers = [[\"bug\"], [\"feature\"]]\n";

type McpClient = RunningService<RoleClient, ()>;
/// An issue by its repository and number.
type Place = (String, u64);

/// The issue that a record names; `number` is the field with its number.
fn place(record: &Value, number: &str) -> Place {
    (record["repo"].as_str().unwrap().to_lowercase(), record[number].as_u64().unwrap())
}

/// A server with both doors open: MCP on its stdin and stdout, HTTP at `url`.
struct BothDoors {
    mcp: McpClient,
    url: String,
    http: reqwest::Client,
}

impl BothDoors {
    async fn open(home: &Home, env: &[(&str, &str)]) -> Self {
        let mut command = home.command();
        command.arg("--stdio").envs(env.iter().copied());
        let command = tokio::process::Command::from(command);
        let builder = TokioChildProcess::builder(command).stderr(std::process::Stdio::piped());
        let (transport, stderr) = builder.spawn().unwrap();
        let url =
            tokio::time::timeout(PATIENCE, address(stderr.unwrap())).await.expect("the server says where it listens");
        let mcp = ().serve(transport).await.unwrap();
        Self { mcp, url, http: reqwest::Client::new() }
    }

    async fn get(&self, path: &str) -> Value {
        self.http.get(format!("{}{path}", self.url)).send().await.unwrap().json().await.unwrap()
    }

    async fn next_by_http(&self, agent: &str) -> Value {
        let request = self.http.post(format!("{}/api/next", self.url)).json(&json!({ "agent_id": agent }));
        request.send().await.unwrap().json().await.unwrap()
    }

    async fn next_by_mcp(&self, agent: &str) -> Value {
        let arguments = json!({ "agent_id": agent }).as_object().unwrap().clone();
        let params = CallToolRequestParams::new("next_issue").with_arguments(arguments);
        let answer = self.mcp.call_tool(params).await.unwrap();
        assert_ne!(answer.is_error, Some(true), "{answer:?}");
        answer.structured_content.unwrap()
    }

    async fn wait_for_backlog(&self, count: usize) {
        let deadline = std::time::Instant::now() + PATIENCE;
        loop {
            let body = self.get("/api/health").await;
            if body["health"]["open_issues"] == count && body["health"]["last_github_sync_at"].is_string() {
                return;
            }
            assert!(std::time::Instant::now() < deadline, "the backlog never came in: {body}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

async fn address(stderr: tokio::process::ChildStderr) -> String {
    let mut lines = BufReader::new(stderr).lines();
    while let Some(line) = lines.next_line().await.unwrap() {
        if let Some((_, address)) = line.split_once("listening on ") {
            let url = address.split_whitespace().next().unwrap().trim_end_matches('/').to_owned();
            tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
            return url;
        }
    }
    panic!("the server ended without saying where it listens");
}

/// The issues of a JSON-lines backlog that are open, in the order of [`TIERS`]: bugs, then features,
/// then the rest; oldest first, then the lower number.
fn expected_order(lines: &str) -> Vec<Place> {
    let rows = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let open = rows.filter(|row| {
        row["kind"].as_str().unwrap_or("issue") == "issue" && row["state"].as_str().unwrap_or("open") == "open"
    });
    let mut order: Vec<_> = open
        .map(|row| {
            let labels: Vec<_> =
                row["labels"].as_array().unwrap().iter().map(|label| label.as_str().unwrap().to_lowercase()).collect();
            let has = |wanted: &str| labels.iter().any(|label| label == wanted);
            let tier = if has("bug") {
                0
            } else if has("feature") {
                1
            } else {
                2
            };
            (tier, row["created_at"].as_str().unwrap().to_owned(), place(&row, "number"))
        })
        .collect();
    order.sort();
    order.into_iter().map(|(_, _, issue)| issue).collect()
}

/// Drains everything and checks exclusivity and order. `expected` is the order the policy gives.
async fn drain(doors: BothDoors, expected: &[Place]) {
    doors.wait_for_backlog(expected.len()).await;
    let one_by_one = ONE_BY_ONE.min(expected.len() / 2);
    let mut got = Vec::new();
    for turn in 0..one_by_one {
        let answer = if turn % 2 == 0 { doors.next_by_http("solo").await } else { doors.next_by_mcp("solo").await };
        got.push(place(&answer["issue"], "number"));
    }
    assert_eq!(got, expected[..one_by_one], "alone, an agent gets exactly the policy's order");

    let doors = Arc::new(doors);
    let agents = (0..AGENTS).map(|n| {
        let doors = Arc::clone(&doors);
        tokio::spawn(async move {
            let (name, mut got) = (format!("agent-{n}"), Vec::new());
            loop {
                let answer = if n % 2 == 0 { doors.next_by_http(&name).await } else { doors.next_by_mcp(&name).await };
                if answer["ok"] == false {
                    let message = answer["message"].as_str().unwrap();
                    assert!(message.starts_with("No eligible unclaimed issues found"), "{answer}");
                    // What MCP gives a model does not repeat the agent's own name: the server's list does.
                    let held = doors.get(&format!("/api/claims?agent_id={name}")).await;
                    let held = held["claims"].as_array().unwrap().iter();
                    let held: HashSet<_> = held.map(|claim| place(claim, "issue_number")).collect();
                    assert_eq!(held, got.iter().cloned().collect());
                    return got;
                }
                got.push(place(&answer["issue"], "number"));
            }
        })
    });
    let mut taken: HashSet<Place> = got.into_iter().collect();
    let mut takers = [0_usize; 2];
    for (n, agent) in agents.collect::<Vec<_>>().into_iter().enumerate() {
        for issue in agent.await.unwrap() {
            assert!(taken.insert(issue.clone()), "issue {issue:?} was handed out twice");
            takers[n % 2] += 1;
        }
    }
    assert_eq!(taken.len(), expected.len(), "every issue was handed out");
    assert!(takers.iter().all(|count| *count > 0), "both doors were used: {takers:?}");

    check_order(&doors.get("/api/claims").await, expected);
    let doors = Arc::into_inner(doors).unwrap();
    doors.mcp.cancel().await.unwrap();
}

/// In a crowd an agent may be granted an issue while a few better ones are on their way to others:
/// an issue can be off its place by as many as ask at once, and no more.
fn check_order(claims: &Value, expected: &[Place]) {
    let turns: BTreeMap<&Place, usize> = expected.iter().enumerate().map(|(turn, issue)| (issue, turn)).collect();
    let claims = claims["claims"].as_array().unwrap();
    assert_eq!(claims.len(), expected.len());
    for (turn, claim) in claims.iter().enumerate() {
        let wanted = turns[&place(claim, "issue_number")];
        assert!(
            turn.abs_diff(wanted) <= AGENTS,
            "issue {} of place {wanted} was granted as number {turn}",
            claim["issue_number"]
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn thirty_two_agents_drain_a_real_backlog_through_both_doors() {
    let Some(standin) = spawn_blocking(standin_with_history).await.unwrap() else {
        eprintln!("draining the project's own sample from a file instead");
        let sample = include_str!("../../examples/demo/backlog.jsonl");
        let home = Home::new(&[], TIERS);
        std::fs::write(home.path("backlog.jsonl"), sample).unwrap();
        drain(BothDoors::open(&home, &[]).await, &expected_order(sample)).await;
        return;
    };
    let home = Home::new(&[], "");
    std::fs::write(
        home.path("issuecommand.toml"),
        // Owners and past pull requests are read in the background, which would count here.
        format!(
            "[server]\nport = 0\n\n[rate_limits]\nenabled = false\n\n[areas]\nread_owners = false\n\
             read_pull_files = false\n\n{TIERS}"
        ),
    )
    .unwrap();
    let env = [
        ("GITHUB_TOKEN", TOKEN),
        ("GITHUB_API_URL", standin.url()),
        ("SQLITE_PATH", "claims.db"),
        ("ALLOWED_REPOS", "alice/gui"),
    ];
    let backlog = open_issues(&standin).await;
    assert!(backlog.lines().count() > AGENTS * 3, "enough real issues for everybody");
    let doors = BothDoors::open(&home, &env).await;
    doors.wait_for_backlog(backlog.lines().count()).await;
    standin.reset_stats().await;
    drain(doors, &expected_order(&backlog)).await;
    assert_eq!(standin.stats().await["requests"], 0, "no claim and no `next` asked GitHub anything");
}

/// A GitHub with the real issues of a recorded history in `alice/gui`.
fn standin_with_history() -> Option<Standin> {
    let recorded = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/github-history-gui.jsonl");
    if !recorded.exists() {
        eprintln!("skipped: no recorded history at {}", recorded.display());
        return None;
    }
    let standin = Standin::start()?;
    standin.load_history("alice/gui");
    Some(standin)
}

/// What that GitHub says is open, read as any client would; one issue a line.
async fn open_issues(standin: &Standin) -> String {
    let mut lines = String::new();
    for page in 1.. {
        let path = format!("/repos/alice/gui/issues?state=open&per_page=100&page={page}");
        let answer = standin.call("GET", &path, &Value::Null).await;
        let issues = answer.as_array().unwrap();
        for issue in issues {
            let labels: Vec<_> = issue["labels"].as_array().unwrap().iter().map(|label| &label["name"]).collect();
            let row = json!({ "repo": "alice/gui", "number": issue["number"], "labels": labels, "created_at": issue["created_at"] });
            lines = format!("{lines}{row}\n");
        }
        if issues.len() < 100 {
            break;
        }
    }
    lines
}
