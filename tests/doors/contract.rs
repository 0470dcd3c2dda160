//! The contract of the HTTP routes, over a real claim manager, store and policy.

use reqwest::Method;
use serde_json::{Value, json};

use crate::server::{Server, config, issue, narrow, sent};

/// Three issues: the policy's order is 2 (p0), 1, 3.
fn backlog() -> Vec<Value> {
    vec![issue(1, &["bug"]), issue(2, &["P0"]), issue(3, &[])]
}

async fn server() -> Server {
    Server::over(config(), &backlog()).await
}

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<_> = value.as_object().unwrap().keys().map(String::as_str).collect();
    keys.sort_unstable();
    keys
}

fn path_of(body: &Value) -> String {
    format!("/api/claims/{}", body["claim"]["claim_id"].as_str().unwrap())
}

#[tokio::test]
async fn an_agent_gets_its_next_issue_in_one_call() {
    let server = server().await;
    let (status, body) = server.post("/api/next", json!({ "agent_id": "a" })).await;
    assert_eq!((status, &body["ok"], &body["idempotent"]), (200, &json!(true), &json!(false)), "{body}");
    let (claim, issue) = (&body["claim"], &body["issue"]);
    assert_eq!(
        (&claim["repo"], &claim["issue_number"], &claim["agent_id"]),
        (&json!("acme/small"), &json!(2), &json!("a"))
    );
    assert_eq!((&claim["status"], &claim["status_history"][0]["status"]), (&json!("claimed"), &json!("claimed")));
    let claim_keys = [
        "agent_id",
        "claim_id",
        "claimed_at",
        "decision_id",
        "issue_assignees",
        "issue_labels",
        "issue_number",
        "issue_title",
        "last_updated",
        "lease",
        "repo",
        "status",
        "status_history",
    ];
    assert_eq!(keys(claim), claim_keys);
    assert_eq!(keys(&claim["lease"]), ["epoch", "expires_at"]);
    assert_eq!((&issue["number"], &issue["title"], &issue["body"]), (&json!(2), &json!("Issue 2"), &json!("Text 2")));
    for field in ["repo", "state", "labels", "assignees", "comments", "created_at", "updated_at", "url"] {
        assert!(issue.get(field).is_some(), "{field} is missing: {issue}");
    }
}

#[tokio::test]
async fn a_retry_gets_the_same_claim_by_field_and_by_header() {
    let server = server().await;
    let ask = json!({ "agent_id": "a", "request_id": "r-1" });
    let (_, first) = server.post("/api/next", ask.clone()).await;
    let (_, again) = server.post("/api/next", ask).await;
    assert_eq!((&again["idempotent"], &again["claim"]), (&json!(true), &first["claim"]));
    let by_header =
        || server.request(Method::POST, "/api/next").header("Idempotency-Key", "r-2").json(&json!({ "agent_id": "a" }));
    let (_, second) = sent(by_header()).await;
    let (_, again) = sent(by_header()).await;
    assert_ne!(second["claim"]["claim_id"], first["claim"]["claim_id"]);
    assert_eq!((&again["idempotent"], &again["claim"]["claim_id"]), (&json!(true), &second["claim"]["claim_id"]));
}

#[tokio::test]
async fn second_agent_learns_who_holds_the_issue_however_it_spells_it() {
    let server = server().await;
    let claim = |agent: &str, repo: &str| json!({ "agent_id": agent, "repo": repo, "issue_number": 1 });
    let (status, first) = server.post("/api/claims", claim("a", "Acme/Small")).await;
    assert_eq!((status, &first["idempotent"]), (200, &json!(false)), "{first}");
    for repo in ["acme/small", "ACME/small/", " acme / small "] {
        let (status, body) = server.post("/api/claims", claim("b", repo)).await;
        assert_eq!((status, &body["ok"], &body["reason"]), (409, &json!(false), &json!("already_claimed")), "{body}");
        assert_eq!((&body["owner_agent_id"], &body["claim"]["claim_id"]), (&json!("a"), &first["claim"]["claim_id"]));
        assert_eq!(body["message"], "acme/small#1 is held by a");
    }
    let (status, own) = server.post("/api/claims", claim("a", "acme/small")).await;
    assert_eq!((status, &own["idempotent"]), (200, &json!(true)));
}

#[tokio::test]
async fn an_issue_that_is_not_there_is_a_rejection() {
    let server = server().await;
    let (status, body) =
        server.post("/api/claims", json!({ "agent_id": "a", "repo": "acme/small", "issue_number": 99 })).await;
    assert_eq!((status, &body["ok"], &body["reason"]), (409, &json!(false), &json!("invalid_issue")), "{body}");
}

#[tokio::test]
async fn an_agent_without_work_is_told_why() {
    let server = server().await;
    for _ in 0..3 {
        assert_eq!(server.post("/api/next", json!({ "agent_id": "a" })).await.0, 200);
    }
    let (status, body) = server.post("/api/next", json!({ "agent_id": "b" })).await;
    assert_eq!((status, &body["ok"], &body["reason"]), (409, &json!(false), &json!("invalid_issue")));
    assert_eq!(body["message"], "No eligible unclaimed issues found");
    assert_eq!((&body["why"], &body["counts"]["claimed"]), (&json!("3 open, 3 claimed"), &json!(3)));
}

#[tokio::test]
async fn a_repository_that_was_never_synced_cannot_be_read_or_claimed_through_the_servers_token() {
    let server = server().await;
    let ask = json!({ "agent_id": "a", "repo": "evil/secret", "issue_number": 7 });
    for (status, body) in [server.post("/api/claims", ask).await, server.get("/api/issues/evil/secret/7").await] {
        assert_eq!((status, &body["error"]), (403, &json!("repo_not_allowed")), "{body}");
        assert!(body["message"].as_str().unwrap().contains("not among the synced repositories"), "{body}");
    }
}

#[tokio::test]
async fn a_request_id_that_got_another_issue_gets_no_second_one() {
    let server = server().await;
    let ask =
        |number: u64| json!({ "agent_id": "a", "repo": "acme/small", "issue_number": number, "request_id": "r1" });
    let (_, first) = server.post("/api/claims", ask(1)).await;
    let (status, other) = server.post("/api/claims", ask(3)).await;
    assert_eq!((status, &other["ok"], &other["reason"]), (409, &json!(false), &json!("request_id_used")), "{other}");
    assert_eq!(other["claim"]["claim_id"], first["claim"]["claim_id"]);
    sent(server.request(Method::DELETE, &path_of(&first)).json(&json!({ "agent_id": "a" }))).await;
    let (status, ended) = server.post("/api/next", json!({ "agent_id": "a", "request_id": "r1" })).await;
    assert_eq!((status, &ended["reason"]), (409, &json!("request_id_used")), "{ended}");
}

#[tokio::test]
async fn a_full_repository_does_not_hide_work_in_another() {
    let mut backlog: Vec<Value> = (1..=28).map(|number| issue(number, &["p0"])).collect();
    for number in 29..=400 {
        let mut more = issue(1, &["p0"]);
        more["number"] = json!(number);
        backlog.push(more);
    }
    let mut elsewhere = issue(1, &[]);
    elsewhere["repo"] = json!("acme/other");
    backlog.push(elsewhere);
    let mut config = config();
    config.policies.ranker.settings.insert("max_claims_per_repo".into(), json!(1));
    let server = Server::over(config, &backlog).await;
    let next = async |agent: &str| server.post("/api/next", json!({ "agent_id": agent })).await;
    assert_eq!(next("a").await.1["claim"]["repo"], "acme/small");
    assert_eq!(next("b").await.1["claim"]["repo"], "acme/other", "400 better ones are passed over");
    let (status, body) = next("c").await;
    assert_eq!(status, 409);
    assert!(body["why"].as_str().unwrap().contains("of at most 1 claims"), "{body}");
}

#[tokio::test]
async fn next_keeps_to_repository_label_and_milestone() {
    let mut backlog = backlog();
    backlog[2]["milestone"] = json!("v1");
    let server = Server::over(config(), &backlog).await;
    let next = async |more: Value| {
        let mut ask = json!({ "agent_id": "a" });
        ask.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let (status, body) = server.post("/api/next", ask).await;
        (status, body["issue"]["number"].clone())
    };
    assert_eq!(next(json!({ "label": " BUG " })).await, (200, json!(1)));
    assert_eq!(next(json!({ "milestone": "V1" })).await, (200, json!(3)));
    assert_eq!(next(json!({ "label": "nothing" })).await.0, 409);
    assert_eq!(next(json!({ "repo": "acme/other" })).await.0, 403, "a repository that is not synced takes no part");
    assert_eq!(next(json!({ "repo": "Acme/Small", "label": "", "milestone": null })).await, (200, json!(2)));
}

#[tokio::test]
async fn a_claim_goes_its_way_and_then_leaves() {
    let server = server().await;
    let (_, body) = server.post("/api/next", json!({ "agent_id": "a" })).await;
    let claim = path_of(&body);
    let step = |status: &str| json!({ "agent_id": "a", "status": status });

    let (status, body) = server.patch(&claim, json!({ "agent_id": "b", "status": "in_progress" })).await;
    assert_eq!((status, &body["reason"], &body["owner_agent_id"]), (409, &json!("agent_mismatch"), &json!("a")));
    assert_eq!(body["claim"]["status"], "claimed");
    let (status, body) =
        server.patch(&claim, json!({ "agent_id": "a", "status": "in_progress", "note": "on it" })).await;
    assert_eq!((status, &body["ok"], &body["idempotent"]), (200, &json!(true), &json!(false)));
    assert_eq!(body["claim"]["status_history"][1]["note"], "on it");
    assert_eq!(server.patch(&claim, step("in_progress")).await.1["idempotent"], true);
    let (status, body) = server.patch(&claim, step("pr_submitted")).await;
    assert_eq!(
        (status, &body["reason"], &body["message"]),
        (409, &json!("invalid_transition"), &json!("pr_submitted needs a pr_url"))
    );
    let pr_url = "https://github.com/acme/small/pull/9";
    let (status, body) =
        server.patch(&claim, json!({ "agent_id": "a", "status": "pr_submitted", "pr_url": pr_url })).await;
    assert_eq!((status, &body["claim"]["pr_url"]), (200, &json!(pr_url)));
    let (status, body) = server.patch(&claim, step("claimed")).await;
    assert_eq!(
        (status, &body["reason"], &body["claim"]["status"]),
        (409, &json!("invalid_transition"), &json!("pr_submitted"))
    );
    assert_eq!(server.patch(&claim, step("pr_merged")).await.0, 200);
    assert_eq!(server.patch(&claim, step("closed")).await.1["claim"]["status"], "closed");

    let (status, body) = server.patch(&claim, step("in_progress")).await;
    assert_eq!((status, &body["ok"], &body["reason"]), (404, &json!(false), &json!("claim_not_found")));
    assert_eq!(server.get("/api/claims").await.1, json!({ "claims": [] }));
}

#[tokio::test]
async fn a_claim_is_given_back_by_body_or_by_query() {
    let server = server().await;
    let (_, first) = server.post("/api/next", json!({ "agent_id": "a" })).await;
    let by_body =
        server.request(Method::DELETE, &path_of(&first)).json(&json!({ "agent_id": "a", "reason": "too hard" }));
    let (status, body) = sent(by_body).await;
    assert_eq!(
        (status, &body["claim"]["status"], &body["claim"]["status_history"][1]["note"]),
        (200, &json!("released"), &json!("too hard"))
    );
    let (_, second) = server.post("/api/next", json!({ "agent_id": "b" })).await;
    assert_eq!(second["issue"]["number"], first["issue"]["number"], "free again");
    let (status, body) = sent(server.request(Method::DELETE, &format!("{}?agent_id=b", path_of(&second)))).await;
    assert_eq!((status, &body["claim"]["status"]), (200, &json!("released")));
    let (status, body) = sent(server.request(Method::DELETE, &format!("{}?agent_id=b", path_of(&second)))).await;
    assert_eq!((status, &body["reason"]), (404, &json!("claim_not_found")));
}

#[tokio::test]
async fn claims_are_listed_by_agent_repository_and_status() {
    let server = server().await;
    let (_, first) = server.post("/api/next", json!({ "agent_id": "a" })).await;
    server.post("/api/next", json!({ "agent_id": "b" })).await;
    server.patch(&path_of(&first), json!({ "agent_id": "a", "status": "in_progress" })).await;
    let holders = async |query: &str| {
        let (status, body) = server.get(&format!("/api/claims{query}")).await;
        assert_eq!(status, 200);
        body["claims"]
            .as_array()
            .unwrap()
            .iter()
            .map(|claim| claim["agent_id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(holders("").await, ["a", "b"]);
    assert_eq!(holders("?agent_id=b").await, ["b"]);
    assert_eq!(holders("?status=in_progress").await, ["a"]);
    assert_eq!(holders("?repo=Acme%2FSmall&agent_id=a").await, ["a"]);
    assert!(holders("?repo=acme/other").await.is_empty());
}

#[tokio::test]
async fn a_call_of_its_own_renews_an_agents_lease_and_a_look_of_others_does_not() {
    let server = server().await;
    let (_, body) = server.post("/api/next", json!({ "agent_id": "a" })).await;
    let granted = body["claim"]["lease"]["expires_at"].clone();
    server.pass(10);
    let expiry = async |agent: Option<&str>| {
        let mut request = server.request(Method::GET, "/api/claims?agent_id=a");
        if let Some(agent) = agent {
            request = request.header("X-Agent-Id", agent);
        }
        sent(request).await.1["claims"][0]["lease"]["expires_at"].clone()
    };
    assert_eq!(expiry(None).await, granted);
    assert_eq!(expiry(Some("b")).await, granted);
    assert_eq!(
        (granted.as_str().unwrap(), expiry(Some("a")).await.as_str().unwrap()),
        ("2026-11-01T02:00:00Z", "2026-11-01T02:10:00Z")
    );
}

#[tokio::test]
async fn repositories_and_issues_are_listed() {
    let server = server().await;
    let (_, body) = server.get("/api/repos").await;
    let record = json!({ "full_name": "acme/small", "owner": "acme", "name": "small", "private": false,
        "url": "https://github.com/acme/small", "open_issue_count": 3 });
    assert_eq!(body, json!({ "repos": [record] }));
    assert!(server.get("/api/repos?include_counts=false").await.1["repos"][0].get("open_issue_count").is_none());

    server.post("/api/next", json!({ "agent_id": "a" })).await;
    let numbers = async |query: &str| {
        let (status, body) = server.get(&format!("/api/repos/Acme/Small/issues{query}")).await;
        assert_eq!(status, 200, "{body}");
        let numbers = body["issues"].as_array().unwrap().iter().map(|issue| issue["number"].as_u64().unwrap());
        (numbers.collect::<Vec<_>>(), body.get("more").cloned())
    };
    assert_eq!(numbers("").await, (vec![1, 3], None), "number 2 is claimed");
    assert_eq!(numbers("?label=BUG").await, (vec![1], None));
    assert_eq!(numbers("?limit=1").await, (vec![1], Some(json!(1))));
}

#[tokio::test]
async fn an_issue_is_shown_with_its_holder_and_a_missing_one_is_not_found() {
    let server = server().await;
    server.post("/api/next", json!({ "agent_id": "a" })).await;
    let (status, body) = server.get("/api/issues/Acme/Small/2").await;
    assert_eq!((status, &body["issue"]["title"], &body["claimed_by"]), (200, &json!("Issue 2"), &json!("a")));
    assert!(server.get("/api/issues/acme/small/1").await.1.get("claimed_by").is_none());
    let (status, body) = server.get("/api/issues/acme/small/77").await;
    assert_eq!((status, &body["ok"], &body["error"]), (404, &json!(false), &json!("not_found")), "{body}");
}

#[tokio::test]
async fn a_repository_that_is_not_allowed_is_refused_with_the_reason() {
    let mut config = config();
    config.policies.repo_filter.settings.insert("allow".into(), json!(["acme/*"]));
    let mut backlog = backlog();
    backlog.push(json!({ "repo": "other/thing", "number": 1, "title": "x", "created_at": "2026-01-01T00:00:00Z" }));
    let server = Server::over(config, &backlog).await;
    let claim = json!({ "agent_id": "a", "repo": "other/thing", "issue_number": 1 });
    for (status, body) in [server.post("/api/claims", claim).await, server.get("/api/repos/other/thing/issues").await] {
        assert_eq!((status, &body["ok"], &body["error"]), (403, &json!(false), &json!("repo_not_allowed")));
        assert!(body["message"].as_str().unwrap().starts_with("other/thing is not an allowed repository: "), "{body}");
    }
    assert_eq!(server.get("/api/repos").await.1["repos"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn the_reasons_of_a_pick_can_be_read() {
    let server = server().await;
    let (_, body) = server.post("/api/next", json!({ "agent_id": "a" })).await;
    let decision_id = body["claim"]["decision_id"].as_str().unwrap();
    let (status, body) = server.get(&format!("/api/decisions/{decision_id}")).await;
    assert_eq!(
        (status, &body["decision"]["chosen"], &body["decision"]["agent_id"]),
        (200, &json!("acme/small#2"), &json!("a"))
    );
    assert_eq!(body["decision"]["considered"].as_array().unwrap().len(), 3);
    let (status, body) = server.get("/api/decisions/0190a5d2-7e1c-7000-8000-000000000001").await;
    assert_eq!((status, &body["error"]), (404, &json!("not_found")));
}

#[tokio::test]
async fn an_agent_that_asks_too_often_is_held_back_and_others_are_not() {
    let mut config = config();
    config.rate_limits = narrow();
    config.rate_limits.principal.burst = 100;
    let server = Server::over(config, &backlog()).await;
    let next = async |agent: &str| server.post("/api/next", json!({ "agent_id": agent })).await;
    assert_eq!(next("a").await.0, 200);
    let (status, body) = next("a").await;
    assert_eq!((status, &body["scope"], &body["error"]), (429, &json!("agent_mutation"), &json!("rate_limited")));
    assert_eq!(next("b").await.0, 200);
    assert_eq!(server.get("/api/claims").await.1["claims"].as_array().unwrap().len(), 2, "reading goes on");
}

#[tokio::test]
async fn health_counts_what_there_is() {
    let server = server().await;
    server.post("/api/next", json!({ "agent_id": "a" })).await;
    let (status, body) = server.get("/api/health").await;
    let health = &body["health"];
    assert_eq!((status, &health["active_claims"], &health["active_agents"]), (200, &json!(1), &json!(1)));
    assert_eq!(
        (&health["total_claims"], &health["stale_claims"], &health["open_issues"]),
        (&json!(1), &json!(0), &json!(3))
    );
    assert!(health["last_github_sync_at"].is_string() && health["uptime_seconds"].is_u64(), "{health}");
}
