//! Review feedback as work, from its queue to its end.

use std::time::{Duration, Instant};

use issuecommand::api::{Call, Caller, Identity};
use issuecommand::domain::Skills;
use serde_json::{Value, json};

use crate::deliveries::{comment_event, configured, deliver, review_event};
use crate::server::{DEADLINE, Server, issue};

async fn server() -> Server {
    Server::over(configured(), &[issue(1, &[]), issue(2, &[])]).await
}

/// A claim of `agent` whose pull request is `number`.
async fn submitted(server: &Server, agent: &str, number: u64) -> Value {
    let (_, body) = server.post("/api/next", json!({ "agent_id": agent })).await;
    let path = format!("/api/claims/{}", body["claim"]["claim_id"].as_str().unwrap());
    server.patch(&path, json!({ "agent_id": agent, "status": "in_progress" })).await;
    let pr_url = format!("https://github.com/acme/small/pull/{number}");
    server.patch(&path, json!({ "agent_id": agent, "status": "pr_submitted", "pr_url": pr_url })).await.1
}

async fn next_work(server: &Server, agent: &str) -> (u16, Value) {
    server.post("/api/next-work", json!({ "agent_id": agent })).await
}

async fn update(server: &Server, item: &Value, agent: &str, status: &str) -> (u16, Value) {
    let path = format!("/api/followups/{}", item["work_item_id"].as_str().unwrap());
    server.patch(&path, json!({ "agent_id": agent, "status": status, "note": "so" })).await
}

#[tokio::test]
async fn next_work_gives_feedback_first_most_urgent_first_then_an_issue() {
    let server = server().await;
    deliver(&server, "d1", "issue_comment", &comment_event(1, 9, "ann", "Docs?")).await;
    deliver(&server, "d2", "pull_request_review", &review_event(2, 9, "changes_requested")).await;
    let mut kinds = Vec::new();
    for _ in 0..4 {
        let (status, body) = next_work(&server, "a1").await;
        assert_eq!(status, 200, "{body}");
        let what = body["work_item"]["source_event_type"].as_str().or(body["issue"]["title"].as_str());
        kinds.push(format!("{} {}", body["kind"].as_str().unwrap(), what.unwrap()));
    }
    let expected = ["pr_followup review_changes_requested", "pr_followup pr_comment", "issue Issue 1", "issue Issue 2"];
    assert_eq!(kinds, expected);
    let (status, body) = next_work(&server, "a1").await;
    assert_eq!((status, &body["reason"]), (409, &json!("invalid_issue")));
    let (_, body) = server.get("/api/my-work?agent_id=a1").await;
    let count = |kind: &str| body["work"][kind].as_array().unwrap().len();
    assert_eq!((count("claims"), count("followups")), (2, 2), "{body}");
}

#[tokio::test]
async fn feedback_goes_first_to_the_agent_whose_pull_request_it_is() {
    let server = server().await;
    submitted(&server, "owner", 9).await;
    deliver(&server, "d1", "issue_comment", &comment_event(1, 9, "ann", "Docs?")).await;
    let (_, body) = next_work(&server, "other").await;
    assert_eq!(body["kind"], "issue", "kept for its owner at first: {body}");
    let (_, body) = next_work(&server, "owner").await;
    assert_eq!(body["work_item"]["claimed_by_agent_id"], "owner", "{body}");
    deliver(&server, "d2", "issue_comment", &comment_event(2, 9, "ann", "And tests?")).await;
    server.pass(61);
    let (_, body) = next_work(&server, "other").await;
    assert_eq!(body["work_item"]["claimed_by_agent_id"], "other", "the grace is over: {body}");
}

#[tokio::test]
async fn feedback_that_came_before_its_agent_named_the_pull_request_is_kept_for_it_from_then_on() {
    let server = server().await;
    deliver(&server, "d1", "issue_comment", &comment_event(1, 9, "ann", "Docs?")).await;
    let item = server.get("/api/followups").await.1["followups"][0].clone();
    assert_eq!((item.get("claim_id"), item.get("reserved")), (None, None), "nobody's yet: {item}");
    server.pass(90);
    let claim_id = submitted(&server, "owner", 9).await["claim"]["claim_id"].clone();
    let (begun, mut item) = (Instant::now(), item);
    while item.get("claim_id").is_none() {
        assert!(begun.elapsed() < DEADLINE, "it was never linked: {item}");
        tokio::time::sleep(Duration::from_millis(5)).await;
        item = server.get("/api/followups").await.1["followups"][0].clone();
    }
    assert_eq!((&item["claim_id"], &item["reserved"]["agent_id"]), (&claim_id, &json!("owner")));
    server.pass(59);
    assert_eq!(next_work(&server, "other").await.1["kind"], "issue", "kept for its owner");
    let (_, body) = next_work(&server, "owner").await;
    assert_eq!(body["work_item"]["work_item_id"], item["work_item_id"], "{body}");
}

#[tokio::test]
async fn the_answer_says_in_a_line_why_this_feedback_and_why_now() {
    let server = server().await;
    submitted(&server, "owner", 9).await;
    deliver(&server, "d1", "pull_request_review", &review_event(1, 9, "changes_requested")).await;
    deliver(&server, "d2", "issue_comment", &comment_event(2, 8, "ann", "Docs?")).await;
    let ask = || server.post("/api/next-work", json!({ "agent_id": "owner", "request_id": "r1" }));
    let (_, own) = ask().await;
    assert_eq!(own["why"], "changes requested on your pull request; feedback comes before new issues", "{own}");
    let (_, again) = ask().await;
    assert_eq!((&again["idempotent"], again.get("why")), (&json!(true), None), "it was picked before: {again}");
    let (_, other) = next_work(&server, "owner").await;
    assert_eq!(other["why"], "comment on a pull request; feedback comes before new issues", "{other}");
}

#[tokio::test]
async fn an_agents_own_pull_requests_come_before_more_urgent_ones_of_others() {
    let server = server().await;
    submitted(&server, "owner", 9).await;
    deliver(&server, "d1", "pull_request_review", &review_event(1, 8, "changes_requested")).await;
    deliver(&server, "d2", "issue_comment", &comment_event(2, 9, "ann", "Docs?")).await;
    let (_, body) = next_work(&server, "owner").await;
    assert_eq!(body["work_item"]["pr_number"], 9, "{body}");
}

#[tokio::test]
async fn the_same_request_gets_the_same_work() {
    let server = server().await;
    deliver(&server, "d1", "issue_comment", &comment_event(1, 9, "ann", "Docs?")).await;
    let ask = |id: &'static str| server.post("/api/next-work", json!({ "agent_id": "a1", "request_id": id }));
    let (_, first) = ask("r1").await;
    let (_, second) = ask("r2").await;
    assert_eq!((&first["kind"], &second["kind"]), (&json!("pr_followup"), &json!("issue")));
    deliver(&server, "d2", "issue_comment", &comment_event(2, 9, "ann", "And?")).await;
    let (_, again) = ask("r1").await;
    assert_eq!(again["work_item"]["work_item_id"], first["work_item"]["work_item_id"]);
    assert_eq!(again["idempotent"], true);
    let (_, again) = ask("r2").await;
    assert_eq!(again["claim"]["claim_id"], second["claim"]["claim_id"], "though feedback waits now: {again}");
}

#[tokio::test]
async fn a_follow_up_is_taken_answered_and_gone() {
    let server = server().await;
    deliver(&server, "d1", "issue_comment", &comment_event(1, 9, "ann", "Docs?")).await;
    let item = server.get("/api/followups?pr_number=9&status=queued").await.1["followups"][0].clone();
    let (status, body) = update(&server, &item, "a1", "done").await;
    assert_eq!((status, &body["reason"]), (409, &json!("agent_mismatch")), "it must be taken first: {body}");
    let (status, body) = update(&server, &item, "a1", "in_progress").await;
    assert_eq!((status, &body["idempotent"]), (200, &json!(false)), "{body}");
    let (status, body) = update(&server, &item, "a1", "in_progress").await;
    assert_eq!((status, &body["idempotent"]), (200, &json!(true)), "{body}");
    let (status, body) = update(&server, &item, "a2", "done").await;
    assert_eq!((status, &body["owner_agent_id"]), (409, &json!("a1")), "{body}");
    let (status, body) = update(&server, &item, "a1", "queued").await;
    assert_eq!((status, &body["reason"]), (409, &json!("invalid_transition")), "{body}");
    let (status, body) = update(&server, &item, "a1", "dismissed").await;
    assert_eq!((status, &body["work_item"]["dismiss_reason"]), (200, &json!("so")), "{body}");
    let (status, body) = update(&server, &item, "a1", "done").await;
    assert_eq!((status, &body["reason"]), (404, &json!("not_found")), "{body}");
    let (status, body) = update(&server, &item, "a1", "finished").await;
    assert_eq!(status, 400);
    assert!(body["message"].as_str().unwrap().starts_with("Invalid follow-up status: finished"), "{body}");
}

#[tokio::test]
async fn one_that_nobody_moves_is_stale_and_on_offer_again() {
    let server = server().await;
    deliver(&server, "d1", "issue_comment", &comment_event(1, 9, "ann", "Docs?")).await;
    let (_, body) = next_work(&server, "a1").await;
    assert_eq!(body["kind"], "pr_followup");
    let manager = server.inside.api.manager();
    server.pass(1439);
    manager.sweep().await.unwrap();
    assert_eq!(server.get("/api/followups").await.1["followups"][0]["status"], "claimed");
    server.pass(1);
    manager.sweep().await.unwrap();
    assert_eq!(server.get("/api/followups").await.1["followups"][0]["status"], "stale");
    let (_, body) = next_work(&server, "a2").await;
    assert_eq!(body["work_item"]["claimed_by_agent_id"], "a2", "{body}");
}

#[tokio::test]
async fn what_was_settled_before_its_answer_was_lost_is_answered_as_done_to_its_agent_alone() {
    let server = server().await;
    deliver(&server, "d1", "issue_comment", &comment_event(1, 9, "ann", "Docs?")).await;
    let item = next_work(&server, "a1").await.1["work_item"].clone();
    assert_eq!(update(&server, &item, "a1", "done").await.0, 200);
    let again = async |agent: &str, status: &str| {
        let agent = Some(agent.parse().unwrap());
        let caller = Caller { identity: Identity::local(), agent, skills: Skills::default(), list_count_default: None };
        let fields = json!({ "work_item_id": item["work_item_id"], "status": status });
        let fields = fields.as_object().unwrap().clone();
        server.inside.api.answer_again(Call::UpdateFollowUp, &caller, fields).await
    };
    let done = again("a1", "done").await;
    assert_eq!((done.status, &done.body["idempotent"]), (200, &json!(true)), "{}", done.body);
    assert_eq!(done.body["work_item"]["work_item_id"], item["work_item_id"]);
    for (agent, status) in [("a1", "dismissed"), ("a2", "done")] {
        assert_eq!(again(agent, status).await.status, 404, "{agent} {status}");
    }
    assert_eq!(update(&server, &item, "a1", "done").await.0, 404, "who does not ask again is told that it ended");
}
