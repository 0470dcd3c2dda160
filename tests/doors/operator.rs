//! Operators at the door: any claim, the history, state in and out.

use reqwest::Method;
use serde_json::{Value, json};

use crate::server::{Server, config, issue, sent};

async fn backlog() -> Server {
    let issues: Vec<_> = (1..=9).map(|number| issue(number, &[])).collect();
    Server::over(config(), &issues).await
}

async fn claim(server: &Server, agent: &str, number: u64) -> Value {
    let wish = json!({ "agent_id": agent, "repo": "acme/small", "issue_number": number });
    let (status, mut body) = server.post("/api/claims", wish).await;
    assert_eq!(status, 200, "{body}");
    body["claim"].take()
}

fn path(claim: &Value) -> String {
    format!("/api/claims/{}", claim["claim_id"].as_str().unwrap())
}

async fn operate(server: &Server, claim: &Value, what: &str, body: Value) -> (u16, Value) {
    server.post(&format!("/api/admin/claims/{}/{what}", claim["claim_id"].as_str().unwrap()), body).await
}

#[tokio::test]
async fn a_reassigned_claim_answers_its_former_owner_with_who_has_it_now() {
    let server = backlog().await;
    let held = claim(&server, "a", 1).await;
    let (status, body) = operate(&server, &held, "reassign", json!({ "agent_id": "b", "note": "a is gone" })).await;
    assert_eq!((status, &body["claim"]["agent_id"], &body["claim"]["lease"]["epoch"]), (200, &json!("b"), &json!(2)));
    let late = server.patch(&path(&held), json!({ "agent_id": "a", "status": "in_progress" })).await;
    assert_eq!((late.0, &late.1["reason"], &late.1["owner_agent_id"]), (409, &json!("agent_mismatch"), &json!("b")));
    let own = server.patch(&path(&held), json!({ "agent_id": "b", "status": "in_progress" })).await;
    assert_eq!(own.0, 200, "{}", own.1);
    let of = async |agent: &str| server.get(&format!("/api/claims?agent_id={agent}")).await.1["claims"].clone();
    assert_eq!((of("a").await, of("b").await.as_array().unwrap().len()), (json!([]), 1));
    let health = server.get("/api/health").await.1;
    assert_eq!((&health["health"]["active_agents"], &health["health"]["active_claims"]), (&json!(1), &json!(1)));
    let again = operate(&server, &held, "reassign", json!({ "agent_id": "b" })).await;
    assert_eq!((again.0, &again.1["idempotent"]), (200, &json!(true)));
}

#[tokio::test]
async fn a_claim_that_came_back_to_its_agent_is_moved_under_its_present_epoch_alone() {
    let server = backlog().await;
    let held = claim(&server, "a", 1).await;
    for agent in ["b", "a"] {
        assert_eq!(operate(&server, &held, "reassign", json!({ "agent_id": agent })).await.0, 200);
    }
    let word = |epoch: u64| json!({ "agent_id": "a", "epoch": epoch, "status": "in_progress" });
    let give_back = |epoch: u64| {
        let word = json!({ "agent_id": "a", "epoch": epoch, "reason": "an earlier process ends" });
        sent(server.request(Method::DELETE, &path(&held)).json(&word))
    };
    for (status, late) in [server.patch(&path(&held), word(1)).await, give_back(2).await] {
        assert_eq!((status, &late["reason"], &late["owner_agent_id"]), (409, &json!("agent_mismatch"), &json!("a")));
        assert_eq!(late["message"], "acme/small#1 is held by a under epoch 3: stop working on it");
        assert_eq!((&late["claim"]["status"], &late["claim"]["lease"]["epoch"]), (&json!("claimed"), &json!(3)));
    }
    assert_eq!(server.patch(&path(&held), word(3)).await.0, 200);
    assert_eq!(server.patch(&path(&held), word(0)).await.0, 409, "an epoch that never was");
    assert_eq!(give_back(3).await.0, 200);
}

#[tokio::test]
async fn who_held_a_claim_that_ended_learns_who_has_the_issue_now() {
    let server = backlog().await;
    let held = claim(&server, "a", 1).await;
    assert_eq!(operate(&server, &held, "release", json!({ "note": "stuck" })).await.0, 200);
    let late = async || server.patch(&path(&held), json!({ "agent_id": "a", "status": "in_progress" })).await.1;
    assert_eq!(late().await.get("owner_agent_id"), None, "nobody has it");
    claim(&server, "b", 1).await;
    let told = late().await;
    assert_eq!((&told["reason"], &told["owner_agent_id"]), (&json!("claim_not_found"), &json!("b")));
    let message = told["message"].as_str().unwrap();
    assert!(message.ends_with("it is done; acme/small#1 is held by b now"), "{message}");
}

#[tokio::test]
async fn an_operator_takes_any_claim_back_and_its_issue_is_free() {
    let server = backlog().await;
    let held = claim(&server, "a", 1).await;
    let (status, body) = operate(&server, &held, "release", json!({ "note": "stuck" })).await;
    assert_eq!((status, &body["claim"]["status"]), (200, &json!("released")));
    assert_eq!(body["claim"]["status_history"][1]["note"], "stuck");
    assert_eq!(claim(&server, "b", 1).await["agent_id"], "b");
    let gone = operate(&server, &held, "release", json!({})).await;
    assert_eq!((gone.0, &gone.1["reason"]), (404, &json!("claim_not_found")));
    let unknown = server.post("/api/admin/claims/x/release", json!({})).await;
    assert_eq!((unknown.0, &unknown.1["error"]), (400, &json!("request_failed")));
}

#[tokio::test]
async fn the_history_is_paged_by_a_cursor_and_filtered() {
    let server = backlog().await;
    for number in 1..=5 {
        let held = claim(&server, if number % 2 == 0 { "even" } else { "odd" }, number).await;
        server.pass(1);
        let release = server.request(Method::DELETE, &path(&held)).json(&json!({ "agent_id": held["agent_id"] }));
        assert_eq!(sent(release).await.0, 200);
    }
    let numbers = |page: &Value| -> Vec<u64> {
        page["items"].as_array().unwrap().iter().map(|claim| claim["issue_number"].as_u64().unwrap()).collect()
    };
    let whole = server.get("/api/claims/history").await.1;
    assert_eq!((numbers(&whole), whole.get("next_cursor")), (vec![5, 4, 3, 2, 1], None));
    let first = server.get("/api/claims/history?limit=2").await.1;
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = server.get(&format!("/api/claims/history?limit=2&cursor={cursor}")).await.1;
    let cursor = second["next_cursor"].as_str().unwrap();
    let third = server.get(&format!("/api/claims/history?limit=2&cursor={cursor}")).await.1;
    assert_eq!((numbers(&first), numbers(&second), numbers(&third)), (vec![5, 4], vec![3, 2], vec![1]));
    assert_eq!(third.get("next_cursor"), None);
    assert_eq!(numbers(&server.get("/api/claims/history?agent_id=even").await.1), [4, 2]);
    assert_eq!(numbers(&server.get("/api/claims/history?repo=ACME/Small&limit=1").await.1), [5]);
    for wrong in ["limit=0", "limit=201", "cursor=x", "agent=a"] {
        assert_eq!(server.get(&format!("/api/claims/history?{wrong}")).await.0, 400, "{wrong}");
    }
}

#[tokio::test]
async fn an_export_imported_elsewhere_is_the_same_and_twice_is_once() {
    let server = backlog().await;
    let done = claim(&server, "a", 1).await;
    for (status, more) in [
        ("in_progress", json!({})),
        ("pr_submitted", json!({ "pr_url": "https://x/pull/1" })),
        ("pr_merged", json!({})),
        ("closed", json!({})),
    ] {
        let mut body = json!({ "agent_id": "a", "status": status });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        assert_eq!(server.patch(&path(&done), body).await.0, 200);
    }
    let held = claim(&server, "b", 2).await;
    let export = server.get("/api/admin/export").await.1;
    assert_eq!((&export["format"], &export["version"]), (&json!("issuecommand.state"), &json!(2)));
    assert_eq!((&export["claims"], &export["followups"]), (&json!([held]), &json!([])));
    assert_eq!(export["history"][0]["status"], "closed");

    let other = backlog().await;
    let mut trial = export.clone();
    trial["dry_run"] = json!(true);
    let (status, body) = other.post("/api/admin/import", trial).await;
    assert_eq!((status, &body["report"]["taken"]), (200, &json!(2)), "{body}");
    assert_eq!(other.get("/api/claims").await.1["claims"], json!([]), "a trial changes nothing");
    let (_, body) = other.post("/api/admin/import", export.clone()).await;
    assert_eq!((&body["report"]["taken"], &body["report"]["refused"]), (&json!(2), &json!([])));
    let (_, body) = other.post("/api/admin/import", export.clone()).await;
    let again = json!({ "taken": 0, "already_here": 2, "skipped": [], "refused": [] });
    assert_eq!(body["report"], again);
    let copy = other.get("/api/admin/export").await.1;
    assert_eq!((&copy["claims"], &copy["history"]), (&export["claims"], &export["history"]));
    // The claim is exclusive here too, and finished work is not handed out.
    let rival = json!({ "agent_id": "c", "repo": "acme/small", "issue_number": 2 });
    assert_eq!(other.post("/api/claims", rival).await.1["owner_agent_id"], "b");
    assert_eq!(other.post("/api/next", json!({ "agent_id": "c" })).await.1["claim"]["issue_number"], 3);
}

#[tokio::test]
async fn a_bad_record_is_told_by_place_and_reason_and_keeps_no_other_out() {
    let server = backlog().await;
    claim(&server, "owner", 3).await;
    let good = |id: u64, number: u64| {
        json!({ "claim_id": format!("6a1b7c5e-1f7f-4a65-9f0e-{id:012}"), "agent_id": "a", "repo": "acme/small",
            "issue_number": number, "status": "claimed", "claimed_at": "2026-10-01T00:00:00Z",
            "last_updated": "2026-10-01T00:00:00Z" })
    };
    let mut nobody = good(3, 2);
    nobody["agent_id"] = json!("");
    let records = json!({ "claims": [good(1, 1), 7, nobody, good(4, 3), good(5, 1)] });
    let (status, body) = server.post("/api/admin/import", records).await;
    assert_eq!((status, &body["report"]["taken"]), (200, &json!(1)), "{body}");
    let places = |list: &str| -> Vec<(String, String)> {
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        body["report"][list].as_array().unwrap().iter().map(|told| (text(&told["place"]), text(&told["why"]))).collect()
    };
    let expected = [
        ("claims[1]", "it is no JSON object"),
        ("claims[2]", "agent_id: \"\" is no agent id: it is empty"),
        ("claims[4]", "acme/small#1 is held by the earlier claim at claims[0]"),
    ];
    let refused = places("refused");
    for ((place, why), (at, told)) in expected.iter().zip(&refused) {
        assert_eq!(place, at);
        assert!(told.contains(why), "{told}");
    }
    assert_eq!(refused.len(), 3);
    assert_eq!(places("skipped"), [("claims[3]".into(), "acme/small#3 is held here by owner".into())]);
    let later = server.post("/api/admin/import", json!({ "format": "issuecommand.state", "version": 3 })).await;
    assert_eq!(later.0, 400);
    assert!(later.1["message"].as_str().unwrap().contains("upgrade issuecommand"), "{}", later.1);
}
