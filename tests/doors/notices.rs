//! What an agent hears of claims that it lost while it was away; and when claims are left alone because there is
//! evidence of work, or because the server itself was unwell.

use issuecommand::claims::SweepReport;
use issuecommand::config::Config;
use serde_json::{Value, json};

use crate::deliveries::{configured, deliver, pull, pull_event, review_event};
use crate::server::{Server, issue};
use crate::tools::{body, client_of};

/// Stale after 10 minutes, taken back 5 minutes later.
fn short_leases() -> Config {
    let mut config = configured();
    config.leases.timeout_minutes = 10;
    config.leases.auto_release_minutes = 5;
    config
}

async fn server() -> Server {
    Server::over(short_leases(), &[issue(1, &[]), issue(2, &[])]).await
}

async fn claim(server: &Server, agent: &str, number: u64) -> String {
    let wish = json!({ "agent_id": agent, "repo": "acme/small", "issue_number": number });
    let (status, body) = server.post("/api/claims", wish).await;
    assert_eq!(status, 200, "{body}");
    format!("/api/claims/{}", body["claim"]["claim_id"].as_str().unwrap())
}

/// A claim whose agent reported pull request 9.
async fn submitted(server: &Server, agent: &str) -> String {
    let path = claim(server, agent, 1).await;
    let page = "https://github.com/acme/small/pull/9";
    for status in ["in_progress", "pr_submitted"] {
        let step = json!({ "agent_id": agent, "status": status, "pr_url": page });
        assert_eq!(server.patch(&path, step).await.0, 200);
    }
    path
}

async fn sweep(server: &Server) -> (usize, usize) {
    let SweepReport { stale_marked, auto_released } = server.inside.api.manager().sweep().await.unwrap();
    (stale_marked, auto_released)
}

/// Lets a silent agent's claim lapse and be taken back.
async fn lapse(server: &Server) {
    server.pass(10);
    assert_eq!(sweep(server).await, (1, 0));
    server.pass(5);
    assert_eq!(sweep(server).await, (0, 1));
}

#[tokio::test]
async fn an_agent_is_told_once_what_happened_to_its_claim_with_its_next_answer() {
    let server = server().await;
    let lost = claim(&server, "a", 1).await;
    lapse(&server).await;
    let (_, other) = server.post("/api/next", json!({ "agent_id": "b" })).await;
    assert_eq!(other["notice"], Value::Null, "it is nobody else's business");
    let (status, late) = server.patch(&lost, json!({ "agent_id": "a", "status": "in_progress" })).await;
    let notice = late["notice"].as_str().unwrap();
    assert_eq!(status, 404, "a rejection tells it too");
    assert!(notice.starts_with("acme/small#1 is no longer yours since 2026-11-01 00:15 UTC: "), "{notice}");
    assert!(notice.contains("taken back by the stale rule, last call 2026-11-01 00:00 UTC"), "{notice}");
    assert!(notice.ends_with("Stop work on it, or claim it again."), "{notice}");
    let (_, next) = server.post("/api/next", json!({ "agent_id": "a" })).await;
    assert_eq!((&next["ok"], &next["notice"]), (&json!(true), &Value::Null), "once");
}

#[tokio::test]
async fn a_model_is_told_as_well() {
    let server = server().await;
    claim(&server, "a", 1).await;
    lapse(&server).await;
    let client = client_of(&server.inside.api, Some("a")).await;
    let told = body(&client.call("next_work", json!({})).await);
    assert!(told["notice"].as_str().unwrap().starts_with("acme/small#1 is no longer yours"), "{told}");
    let again = body(&client.call("get_my_work", json!({})).await);
    assert_eq!(again["notice"], Value::Null);
}

#[tokio::test]
async fn an_operator_who_takes_a_claim_is_named_and_several_losses_are_one_line() {
    let server = server().await;
    let held = [claim(&server, "a", 1).await, claim(&server, "a", 2).await];
    for (path, note) in held.iter().zip(["stuck", "wrong branch"]) {
        let path = path.replace("/api/claims", "/api/admin/claims");
        let (status, body) = server.post(&format!("{path}/release"), json!({ "note": note })).await;
        assert_eq!(status, 200, "{body}");
    }
    let (_, body) = server.get("/api/my-work?agent_id=a").await;
    let notice = body["notice"].as_str().unwrap();
    assert!(notice.contains("an operator took it back (stuck)") && notice.contains("(wrong branch)"), "{notice}");
    assert!(!notice.contains('\n'), "{notice}");
}

#[tokio::test]
async fn a_pull_request_that_waits_for_people_is_left_alone_and_one_that_waits_for_its_agent_is_not() {
    let server = server().await;
    submitted(&server, "a").await;
    deliver(&server, "d1", "pull_request", &pull_event("opened", &pull(9, 1, &json!({})))).await;
    server.pass(600);
    assert_eq!(sweep(&server).await, (0, 0), "people are slow");
    let suite = json!({ "head_sha": "a1", "status": "completed", "conclusion": "failure" });
    let failed = json!({ "action": "completed", "check_suite": suite, "repository": { "full_name": "acme/small" } });
    let (_, body) = deliver(&server, "d2", "check_suite", &failed).await;
    assert_eq!(body["processed"], true, "{body}");
    assert_eq!(sweep(&server).await, (1, 0), "checks failed, and its agent is silent");
    // The next commit begins anew.
    deliver(
        &server,
        "d3",
        "pull_request",
        &pull_event("synchronize", &pull(9, 2, &json!({ "head": { "ref": "fix", "sha": "b2" } }))),
    )
    .await;
    server.pass(600);
    assert_eq!(sweep(&server).await, (0, 0));
}

#[tokio::test]
async fn requested_changes_are_the_agents_turn_and_a_review_asked_for_again_is_not() {
    let server = server().await;
    submitted(&server, "a").await;
    deliver(&server, "d1", "pull_request", &pull_event("opened", &pull(9, 1, &json!({})))).await;
    deliver(&server, "d2", "pull_request_review", &review_event(5, 9, "changes_requested")).await;
    server.pass(600);
    assert_eq!(sweep(&server).await, (1, 0));
    let asked = pull(9, 3, &json!({ "requested_reviewers": [{ "login": "ann" }] }));
    deliver(&server, "d3", "pull_request", &pull_event("review_requested", &asked)).await;
    server.pass(600);
    assert_eq!(sweep(&server).await, (0, 0), "it is stale, and not taken back while ann has it");
}

#[tokio::test]
async fn a_push_to_the_claims_branch_is_a_sign_of_life() {
    let server = server().await;
    let path = claim(&server, "a", 1).await;
    let branch = format!("refs/heads/agent/{}", path.rsplit('/').next().unwrap());
    server.pass(9);
    let push = json!({ "ref": branch, "after": "c3", "repository": { "full_name": "acme/small" },
        "head_commit": { "timestamp": "2026-11-01T00:08:00+00:00" } });
    let (_, body) = deliver(&server, "d1", "push", &push).await;
    assert_eq!(body["processed"], true, "{body}");
    server.pass(9);
    assert_eq!(sweep(&server).await, (0, 0), "9 minutes after the push");
    server.pass(1);
    assert_eq!(sweep(&server).await, (1, 0));
    let elsewhere = json!({ "ref": "refs/heads/main", "after": "c4", "repository": { "full_name": "acme/small" } });
    let (_, body) = deliver(&server, "d2", "push", &elsewhere).await;
    assert_eq!(body["reason"], "no_claims_branch");
}

#[tokio::test]
async fn so_is_one_to_the_branch_of_the_pull_request_that_its_agent_reported() {
    // A fork may have a branch of the same name as one of the repository.
    for from in ["Acme/Small", "ann/small"] {
        let server = server().await;
        submitted(&server, "a").await;
        let head = json!({ "ref": "fix", "sha": "a1", "repo": { "full_name": from } });
        let opened = pull(9, 1, &json!({ "head": head }));
        deliver(&server, "d1", "pull_request", &pull_event("opened", &opened)).await;
        for (nth, branch) in ["fix", "fix-2"].into_iter().enumerate() {
            let repository = json!({ "full_name": "acme/small" });
            let push = json!({ "ref": format!("refs/heads/{branch}"), "after": "c3", "repository": repository });
            let (_, body) = deliver(&server, &format!("p{nth}"), "push", &push).await;
            assert_eq!(body["processed"] == true, (from, branch) == ("Acme/Small", "fix"), "{from} {branch}: {body}");
        }
    }
}

#[tokio::test]
async fn nothing_is_taken_back_before_agents_had_a_chance_to_call() {
    let mut config = short_leases();
    config.leases.timeout_minutes = 1;
    let server = Server::over(config, &[issue(1, &[])]).await;
    claim(&server, "a", 1).await;
    server.pass(1);
    assert_eq!(sweep(&server).await, (0, 0), "the server has just started");
    server.pass(1);
    assert_eq!(sweep(&server).await, (1, 0));
}

#[tokio::test]
async fn nothing_is_taken_back_while_the_store_failed_lately() {
    let server = server().await;
    claim(&server, "a", 1).await;
    server.pass(10);
    server.inside.api.manager().note_unwell("the store failed");
    assert_eq!(sweep(&server).await, (0, 0));
    let (_, next) = server.get("/api/my-work?agent_id=a").await;
    assert_eq!(next["work"]["claims"].as_array().unwrap().len(), 1);
    server.pass(9);
    assert_eq!(sweep(&server).await, (0, 0), "it called meanwhile");
    server.pass(1);
    assert_eq!(sweep(&server).await, (1, 0));
}
