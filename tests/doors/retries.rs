//! Requests sent again, because the answer to the first was lost.

use reqwest::Method;
use serde_json::json;

use crate::server::{Server, config, issue, sent};
use crate::tools::{body, client_of};

#[tokio::test]
async fn a_request_sent_again_after_its_claim_ended_learns_how_it_ended_at_both_doors() {
    let server = Server::over(config(), &[issue(1, &[]), issue(2, &[])]).await;
    let client = client_of(&server.inside.api, Some("a")).await;
    for (tool, last, status) in [
        ("release_issue", json!({}), "released"),
        ("update_claim_status", json!({ "status": "closed", "note": "all done" }), "closed"),
    ] {
        let short = body(&client.call("next_work", json!({})).await)["claim"]["claim_id"].clone();
        let steps: &[&str] = if status == "closed" { &["in_progress", "pr_submitted", "pr_merged"] } else { &[] };
        for step in steps {
            let page = "https://github.com/acme/small/pull/9";
            let step = json!({ "claim_id": short, "status": step, "pr_url": page });
            assert_eq!(body(&client.call("update_claim_status", step).await)["ok"], true);
        }
        let mut last = last;
        last["claim_id"] = short.clone();
        assert_eq!(body(&client.call(tool, last.clone()).await)["claim"]["status"], status);

        // The answer was lost, and the request is sent again.
        let again = client.call(tool, last.clone()).await;
        assert_ne!(again.is_error, Some(true));
        let again = body(&again);
        assert_eq!((&again["reason"], &again["claim"]["status"]), (&json!("claim_not_found"), &json!(status)));
        assert_eq!(again["claim"]["claim_id"], short);
        let note = if status == "closed" { " (all done)" } else { "" };
        let message = format!(
            "this claim ended as {status} at 2026-11-01T00:00:00Z{note}: if that is what you asked for, it is done"
        );
        assert_eq!(again["message"], message);

        let history = server.get("/api/claims/history").await.1["items"][0].clone();
        let path = format!("/api/claims/{}", history["claim_id"].as_str().unwrap());
        let (code, again) = match status {
            "closed" => server.patch(&path, json!({ "agent_id": "a", "status": "closed" })).await,
            _ => sent(server.request(Method::DELETE, &path).json(&json!({ "agent_id": "a" }))).await,
        };
        assert_eq!((code, &again["reason"], &again["claim"]), (404, &json!("claim_not_found"), &history), "{again}");
    }
    // Of a claim that never was nothing is said.
    let never = json!({ "agent_id": "a", "status": "closed" });
    let (code, body) = server.patch("/api/claims/0190a5d2-7e1c-7000-8000-000000000001", never).await;
    assert_eq!((code, &body["reason"], body.get("claim")), (404, &json!("claim_not_found"), None));
}
