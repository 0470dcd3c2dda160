//! What people say on pull requests, as GitHub tells of it: which of it becomes work, and what ends it.

use issuecommand::config::OnPush;
use serde_json::json;

use crate::deliveries::{
    comment_event, configured, deliver, follow_ups, line_event, pull, pull_event, repository, review_event, server,
    submitted,
};
use crate::server::{Server, issue};

#[tokio::test]
async fn each_kind_of_feedback_becomes_a_follow_up_with_its_key() {
    let server = server().await;
    let rows = [
        ("pull_request_review", review_event(11, 9, "changes_requested"), "review_changes_requested", "review:11"),
        ("pull_request_review", review_event(12, 9, "CHANGES_REQUESTED"), "review_changes_requested", "review:12"),
        ("pull_request_review_comment", line_event(13, 9), "review_comment", "review_comment:13"),
        ("issue_comment", comment_event(14, 9, "ann", "And the docs?"), "pr_comment", "issue_comment:14"),
    ];
    for (index, (event, payload, kind, _)) in rows.iter().enumerate() {
        let (status, body) = deliver(&server, &format!("d{index}"), event, payload).await;
        assert_eq!(status, 202, "{body}");
        assert_eq!((&body["ok"], &body["processed"], &body["created"]), (&json!(true), &json!(true), &json!(true)));
        assert_eq!((&body["event_type"], &body["source_event_type"]), (&json!(event), &json!(kind)));
        assert_eq!((&body["repo"], &body["pr_number"]), (&json!("acme/small"), &json!(9)));
        assert_eq!(body["idempotent"], json!(false));
        assert!(body["work_item_id"].is_string());
    }
    let items = follow_ups(&server).await;
    let keys: Vec<_> = items.iter().map(|item| item["source_event_id"].as_str().unwrap()).collect();
    assert_eq!(keys, rows.map(|row| row.3));
    assert_eq!(items[2]["actionable_comments"], json!(["src/a.rs:7: A constant?"]));
    assert_eq!((&items[0]["requested_by"], &items[0]["status"]), (&json!("ann"), &json!("queued")));
}

#[tokio::test]
async fn feedback_that_settings_leave_out_makes_no_follow_up() {
    let mut config = configured();
    config.follow_ups.ignore_authors = vec!["ci-*".into()];
    config.follow_ups.ignore_pull_author = true;
    let server = Server::over(config, &[issue(1, &[])]).await;
    let rows = [
        (comment_event(1, 9, "helper[bot]", "x"), "author_is_a_bot"),
        (comment_event(2, 9, "CI-lint", "x"), "author_is_ignored"),
        (comment_event(3, 9, "Agent-Account", "x"), "author_opened_the_pull_request"),
    ];
    for (index, (payload, reason)) in rows.iter().enumerate() {
        let (status, body) = deliver(&server, &format!("d{index}"), "issue_comment", payload).await;
        assert_eq!((status, &body["reason"]), (202, &json!(reason)), "{body}");
    }
    let (_, body) = deliver(&server, "d8", "pull_request_review", &review_event(4, 9, "approved")).await;
    assert_eq!(body["reason"], "no_changes_requested");
    let mut elsewhere = comment_event(5, 9, "ann", "x");
    elsewhere["repository"] = json!({ "full_name": "other/repo" });
    let (_, body) = deliver(&server, "d9", "issue_comment", &elsewhere).await;
    assert_eq!(body["reason"], "repo_not_allowed");
    let mut on_issue = comment_event(6, 9, "ann", "x");
    on_issue["issue"].as_object_mut().unwrap().remove("pull_request");
    assert_eq!(deliver(&server, "d10", "issue_comment", &on_issue).await.1["reason"], "not_a_pull_request");
    assert!(follow_ups(&server).await.is_empty());
}

#[tokio::test]
async fn a_push_resolves_only_what_an_agent_was_answering() {
    for (setting, resolved) in [(OnPush::Resolve, 1), (OnPush::Mark, 0)] {
        let mut config = configured();
        config.follow_ups.on_push = setting;
        let server = Server::over(config, &[issue(1, &[])]).await;
        submitted(&server, "a1", 1, 9).await;
        deliver(&server, "d1", "issue_comment", &comment_event(1, 9, "ann", "One")).await;
        deliver(&server, "d2", "issue_comment", &comment_event(2, 9, "ann", "Two")).await;
        let (_, body) = server.post("/api/next-work", json!({ "agent_id": "a1" })).await;
        assert_eq!(body["kind"], "pr_followup", "{body}");
        let path = format!("/api/followups/{}", body["work_item"]["work_item_id"].as_str().unwrap());
        server.patch(&path, json!({ "agent_id": "a1", "status": "in_progress" })).await;
        server.pass(1);
        let pushed = pull(9, 30, &json!({ "head": { "ref": "fix", "sha": "b2" } }));
        let (_, body) = deliver(&server, "d3", "pull_request", &pull_event("synchronize", &pushed)).await;
        assert_eq!(body["resolved_followups"], resolved, "{body}");
        let left = follow_ups(&server).await;
        assert_eq!(left.len(), 2 - resolved);
        assert!(left.iter().all(|item| item["pushed_at"].is_string()), "those left are marked for a look: {left:?}");
    }
}

#[tokio::test]
async fn what_a_push_ends_is_ended_at_the_next_reading_where_the_first_broke_off() {
    let server = server().await;
    submitted(&server, "a1", 1, 9).await;
    deliver(&server, "d1", "pull_request", &pull_event("edited", &pull(9, 10, &json!({})))).await;
    deliver(&server, "d2", "issue_comment", &comment_event(1, 9, "ann", "One")).await;
    assert_eq!(server.post("/api/next-work", json!({ "agent_id": "a1" })).await.1["kind"], "pr_followup");
    // As a sync reads it: the commit is another, and nobody says when it came.
    let pushed = pull_event("edited", &pull(9, 30, &json!({ "head": { "ref": "fix", "sha": "b2" } })));
    let full = "CREATE TRIGGER full BEFORE UPDATE ON follow_ups BEGIN SELECT RAISE(ABORT, 'disk is full'); END";
    server.inside.database().execute_batch(full).unwrap();
    assert_eq!(deliver(&server, "d3", "pull_request", &pushed).await.0, 500);
    assert_eq!(follow_ups(&server).await.len(), 1);
    server.inside.database().execute_batch("DROP TRIGGER full").unwrap();
    assert_eq!(deliver(&server, "d3", "pull_request", &pushed).await.1["resolved_followups"], 1);
    assert!(follow_ups(&server).await.is_empty());
}

#[tokio::test]
async fn feedback_that_is_taken_back_or_resolved_needs_no_answer() {
    let server = server().await;
    deliver(&server, "d1", "pull_request_review_comment", &line_event(1, 9)).await;
    deliver(&server, "d2", "pull_request_review_comment", &line_event(2, 9)).await;
    deliver(&server, "d3", "pull_request_review", &review_event(3, 9, "changes_requested")).await;
    let mut deleted = line_event(1, 9);
    deleted["action"] = json!("deleted");
    assert_eq!(deliver(&server, "d4", "pull_request_review_comment", &deleted).await.1["resolved_followups"], 1);
    let thread = json!({
        "action": "resolved", "repository": repository(), "pull_request": pull(9, 1, &json!({})),
        "thread": { "comments": [{ "id": 2 }, { "id": 77 }] },
    });
    assert_eq!(deliver(&server, "d5", "pull_request_review_thread", &thread).await.1["resolved_followups"], 1);
    let mut dismissed = review_event(3, 9, "dismissed");
    dismissed["action"] = json!("dismissed");
    assert_eq!(deliver(&server, "d6", "pull_request_review", &dismissed).await.1["resolved_followups"], 1);
    assert!(follow_ups(&server).await.is_empty());
}

#[tokio::test]
async fn a_comment_below_a_closed_pull_request_is_no_work() {
    let server = server().await;
    let mut late = comment_event(1, 9, "ann", "Thanks!");
    late["issue"]["state"] = json!("closed");
    let (_, body) = deliver(&server, "d1", "issue_comment", &late).await;
    assert_eq!(body["reason"], "pull_request_closed");
}
