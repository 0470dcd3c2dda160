//! What becomes of pull requests, as GitHub tells of it, and what that does to claims.

use issuecommand::config::OnClosedPull;
use issuecommand::store::ClaimFilter;
use reqwest::Method;
use serde_json::json;

use crate::deliveries::{
    claim_of, claimed, comment_event, configured, deliver, follow_ups, pull, pull_event, review_event, server,
    submitted, user,
};
use crate::server::{Server, issue};

#[tokio::test]
async fn a_merged_pull_request_advances_its_claim_and_settles_its_follow_ups() {
    let server = server().await;
    submitted(&server, "a1", 1, 9).await;
    deliver(&server, "d1", "pull_request_review", &review_event(1, 9, "changes_requested")).await;
    let merged = pull(9, 30, &json!({ "state": "closed", "merged": true }));
    let (status, body) = deliver(&server, "d2", "pull_request", &pull_event("closed", &merged)).await;
    assert_eq!((status, &body["resolved_followups"], &body["action"]), (202, &json!(1), &json!("closed")), "{body}");
    assert_eq!(claim_of(&server, "a1").await.unwrap()["status"], "pr_merged");
    assert!(follow_ups(&server).await.is_empty());
    // GitHub has confirmed the merge, so the agent's word is confirmed too.
    let claim = claim_of(&server, "a1").await.unwrap();
    let path = format!("/api/claims/{}", claim["claim_id"].as_str().unwrap());
    let (status, body) = server.patch(&path, json!({ "agent_id": "a1", "status": "closed" })).await;
    assert_eq!((status, &body["verified"]), (200, &json!("confirmed")), "{body}");
}

#[tokio::test]
async fn feedback_belongs_to_its_claim_however_the_agent_spelt_the_page() {
    let server = server().await;
    let wish = json!({ "agent_id": "a1", "repo": "acme/small", "issue_number": 1 });
    let (_, claimed) = server.post("/api/claims", wish).await;
    let path = format!("/api/claims/{}", claimed["claim"]["claim_id"].as_str().unwrap());
    let page = "https://github.com/acme/small/pull/9/files";
    for step in [json!({ "status": "in_progress" }), json!({ "status": "pr_submitted", "pr_url": page })] {
        let mut step = step;
        step["agent_id"] = json!("a1");
        assert_eq!(server.patch(&path, step).await.0, 200);
    }
    deliver(&server, "d1", "pull_request_review", &review_event(1, 9, "changes_requested")).await;
    let manager = server.inside.api.manager();
    let claim = manager.claims(ClaimFilter::default()).await.unwrap().remove(0);
    assert_eq!(follow_ups(&server).await[0]["claim_id"], claim.claim_id.to_string());
    assert_eq!(manager.belongings(&claim).await.unwrap().follow_ups.len(), 1);
}

#[tokio::test]
async fn a_closed_pull_request_releases_its_claim_unless_the_setting_keeps_it() {
    for (setting, left) in [(OnClosedPull::Release, None), (OnClosedPull::Keep, Some(json!("pr_submitted")))] {
        let mut config = configured();
        config.follow_ups.on_closed_pull = setting;
        let server = Server::over(config, &[issue(1, &[])]).await;
        submitted(&server, "a1", 1, 9).await;
        deliver(&server, "d1", "issue_comment", &comment_event(1, 9, "ann", "No.")).await;
        let closed = pull(9, 30, &json!({ "state": "closed" }));
        let (_, body) = deliver(&server, "d2", "pull_request", &pull_event("closed", &closed)).await;
        assert_eq!(body["resolved_followups"], 1, "{body}");
        assert_eq!(claim_of(&server, "a1").await.map(|claim| claim["status"].clone()), left);
        // An old delivery that comes late, or again, undoes nothing.
        let old = pull(9, 10, &json!({}));
        let (_, body) = deliver(&server, "d3", "pull_request", &pull_event("edited", &old)).await;
        assert_eq!(body["reason"], "something_newer_is_known");
    }
}

#[tokio::test]
async fn an_unclear_end_of_a_pull_request_moves_nothing() {
    let server = server().await;
    submitted(&server, "a1", 1, 9).await;
    let unclear = pull(9, 30, &json!({ "state": "closed", "merged": null }));
    deliver(&server, "d1", "pull_request", &pull_event("closed", &unclear)).await;
    assert_eq!(claim_of(&server, "a1").await.unwrap()["status"], "pr_submitted");
}

#[tokio::test]
async fn a_pull_request_is_linked_by_its_branch_and_by_what_it_closes() {
    let server = server().await;
    for (agent, number) in [("a1", 1), ("a2", 2), ("a3", 3)] {
        let wish = json!({ "agent_id": agent, "repo": "acme/small", "issue_number": number });
        server.post("/api/claims", wish).await;
    }
    let by_branch = pull(11, 1, &json!({ "head": { "ref": "agent/1-fix-it", "sha": "a" } }));
    deliver(&server, "d1", "pull_request", &pull_event("opened", &by_branch)).await;
    let by_word = pull(12, 1, &json!({ "body": "This fixes #2, I think." }));
    deliver(&server, "d2", "pull_request", &pull_event("opened", &by_word)).await;
    // Opened before the claim was granted: somebody else's work.
    let older = pull(13, 1, &json!({ "body": "Fixes #3", "created_at": "2026-10-01T00:00:00Z" }));
    deliver(&server, "d3", "pull_request", &pull_event("edited", &older)).await;
    for (agent, number) in [("a1", 11), ("a2", 12)] {
        let claim = claim_of(&server, agent).await.unwrap();
        assert_eq!(claim["status"], "pr_submitted", "{claim}");
        assert_eq!(claim["pr_url"], format!("https://github.com/Acme/Small/pull/{number}"));
    }
    assert_eq!(claim_of(&server, "a3").await.unwrap()["status"], "claimed");
}

#[tokio::test]
async fn a_strangers_pull_request_takes_nobodys_claim() {
    let server = server().await;
    claimed(&server, "a1", 1).await;
    let stranger = json!({
        "body": "Fixes #1", "user": user("stranger"), "author_association": "NONE",
        "head": { "ref": "1", "sha": "x", "repo": { "full_name": "stranger/small" } },
    });
    deliver(&server, "d1", "pull_request", &pull_event("opened", &pull(66, 1, &stranger))).await;
    let mut closed = pull(66, 9, &stranger);
    closed["state"] = json!("closed");
    deliver(&server, "d2", "pull_request", &pull_event("closed", &closed)).await;
    let claim = claim_of(&server, "a1").await.expect("the claim stands");
    assert_eq!((&claim["status"], claim.get("pr_url")), (&json!("claimed"), None), "{claim}");
}

#[tokio::test]
async fn one_that_was_only_found_does_not_end_a_claim_by_being_closed() {
    let server = server().await;
    claimed(&server, "a1", 1).await;
    let found = pull(66, 1, &json!({ "body": "Fixes #1" }));
    deliver(&server, "d1", "pull_request", &pull_event("opened", &found)).await;
    assert_eq!(claim_of(&server, "a1").await.unwrap()["pr_found"], true);
    let closed = pull(66, 9, &json!({ "body": "Fixes #1", "state": "closed" }));
    deliver(&server, "d2", "pull_request", &pull_event("closed", &closed)).await;
    assert_eq!(claim_of(&server, "a1").await.unwrap()["status"], "pr_submitted");
}

#[tokio::test]
async fn one_pull_request_moves_every_claim_that_it_answers() {
    let server = server().await;
    for (agent, number) in [("a1", 1), ("a2", 2)] {
        claimed(&server, agent, number).await;
    }
    let both = pull(66, 1, &json!({ "body": "Fixes #1, fixes #2" }));
    deliver(&server, "d1", "pull_request", &pull_event("opened", &both)).await;
    let merged = pull(66, 9, &json!({ "body": "Fixes #1, fixes #2", "state": "closed", "merged": true }));
    deliver(&server, "d2", "pull_request", &pull_event("closed", &merged)).await;
    for agent in ["a1", "a2"] {
        assert_eq!(claim_of(&server, agent).await.unwrap()["status"], "pr_merged");
    }
}

#[tokio::test]
async fn a_page_is_the_same_however_it_is_written() {
    let server = server().await;
    let path = claimed(&server, "a1", 1).await;
    server.patch(&path, json!({ "agent_id": "a1", "status": "in_progress" })).await;
    let pr_url = "http://www.github.com/acme/small/pull/9/files?x=1";
    server.patch(&path, json!({ "agent_id": "a1", "status": "pr_submitted", "pr_url": pr_url })).await;
    let merged = pull(9, 30, &json!({ "state": "closed", "merged": true }));
    deliver(&server, "d1", "pull_request", &pull_event("closed", &merged)).await;
    assert_eq!(claim_of(&server, "a1").await.unwrap()["status"], "pr_merged");
}

#[tokio::test]
async fn only_the_claims_own_merged_pull_request_confirms_it_and_only_that_closes_its_issue() {
    let mut config = configured();
    config.github.auto_close_issue = true;
    let server = Server::over(config, &[issue(1, &[]), issue(2, &[]), issue(3, &[])]).await;
    let merged =
        |number, created: &str| pull(number, 30, &json!({ "state": "closed", "merged": true, "created_at": created }));
    deliver(&server, "d1", "pull_request", &pull_event("closed", &merged(70, "2026-10-01T00:00:00Z"))).await;
    deliver(&server, "d2", "pull_request", &pull_event("closed", &merged(71, "2026-11-01T00:00:00Z"))).await;
    let pages = [
        (1, "https://github.com/acme/small/pull/70", "unknown"),
        (2, "https://evil.example/acme/small/pull/71", "unknown"),
        (3, "https://example.org/done", "unknown"),
    ];
    for (number, page, expected) in pages {
        let path = claimed(&server, "a1", number).await;
        for status in ["in_progress", "pr_submitted", "pr_merged", "closed"] {
            let (code, body) = server.patch(&path, json!({ "agent_id": "a1", "status": status, "pr_url": page })).await;
            assert_eq!(code, 200, "{page} {status}: {body}");
            if status == "closed" {
                assert_eq!((&body["verified"], &body["issue_closed"]), (&json!(expected), &json!(false)), "{page}");
                assert!(body["issue_close_error"].as_str().unwrap().contains("did not confirm"), "{body}");
            }
        }
    }
}

#[tokio::test]
async fn what_others_do_on_github_is_no_sign_of_life_of_a_silent_owner() {
    let server = server().await;
    submitted(&server, "a1", 1, 9).await;
    server.pass(120);
    server.inside.api.manager().sweep().await.unwrap();
    assert_eq!(claim_of(&server, "other").await, None);
    let stale = || async { server.get("/api/claims").await.1["claims"][0]["status"].clone() };
    assert_eq!(stale().await, "stale");
    deliver(&server, "d1", "pull_request", &pull_event("labeled", &pull(9, 30, &json!({})))).await;
    assert_eq!(stale().await, "stale");
}

#[tokio::test]
async fn merged_work_is_not_handed_out_again_when_its_claim_ends() {
    let server = server().await;
    let path = submitted(&server, "a1", 1, 9).await;
    let merged = pull(9, 30, &json!({ "state": "closed", "merged": true }));
    deliver(&server, "d1", "pull_request", &pull_event("closed", &merged)).await;
    server.request(Method::DELETE, &path).json(&json!({ "agent_id": "a1" })).send().await.unwrap();
    let mut got = Vec::new();
    while let (200, body) = server.post("/api/next", json!({ "agent_id": "a2" })).await {
        got.push(body["issue"]["number"].as_u64().unwrap());
    }
    assert_eq!(got, [2, 3]);
}
