//! Policies over HTTP: what decides for whom, how a candidate's trial goes, and the page on which people look.

use issuecommand::config::Config;
use reqwest::Method;
use serde_json::{Value, json};

use crate::server::{KEY, Server, config, issue};

/// Settings as they stand in a configuration's `[policies]`.
fn with_policies(policies: &str) -> Config {
    let mut config = config();
    config.policies = toml::from_str(policies).unwrap();
    config.agent_groups = toml::from_str("night = [\"nightly-*\"]").unwrap();
    config
}

const COMPOSED: &str = r#"
[ranker]
source = "builtin:rules"
[[ranker.stage]]
role = "score"
name = "bugs"
weight = 2.5
source = "builtin:rules"
settings = { tiers = [], rules = [{ field = "label", op = "is", value = "bug", weight = 10, name = "<i>bug" }] }

[[override]]
repos = ["acme/big-*"]
groups = ["night"]
ranker = { settings = { tiers = [] } }

[candidate]
mode = "shadow"
ranker = { settings = { tiers = [["urgent"]] } }
"#;

async fn page(server: &Server, path: &str, key: Option<&str>) -> (u16, String) {
    let request = server.bare(Method::GET, path);
    let request = if let Some(key) = key { request.basic_auth("me", Some(key)) } else { request };
    let response = request.send().await.unwrap();
    let policy = response.headers().get("content-security-policy").map(|value| value.to_str().unwrap().to_owned());
    assert!(policy.is_none_or(|policy| policy.starts_with("default-src 'none'; script-src 'self'; ")));
    (response.status().as_u16(), response.text().await.unwrap())
}

/// What came of requests by now, once so many were looked at.
async fn tried(server: &Server, count: u64) -> Value {
    let is_tried = |body: &Value| {
        let counts = &body["trial"]["counts"];
        counts["agreed"].as_u64().unwrap() + counts["disagreed"].as_u64().unwrap() >= count
    };
    server.wait_until("/api/policies/candidate", is_tried).await["trial"].clone()
}

#[tokio::test]
async fn the_one_policy_for_a_repository_and_an_agent_is_told() {
    let server = Server::over(with_policies(COMPOSED), &[issue(1, &[])]).await;
    let policy = async |query: &str| {
        let (status, body) = server.get(&format!("/api/policies/effective{query}")).await;
        assert_eq!(status, 200, "{body}");
        body["policy"].clone()
    };
    let stages = |policy: &Value| -> Vec<(String, String)> {
        let stages = policy["stages"].as_array().unwrap();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        stages.iter().map(|stage| (text(&stage["role"]), text(&stage["name"]))).collect()
    };
    let pair = |role: &str, name: &str| (role.to_owned(), name.to_owned());

    let all = policy("").await;
    assert_eq!((&all["view"], all.get("override")), (&json!("default"), None));
    assert_eq!(stages(&all), [pair("base", "rules"), pair("score", "bugs")]);
    assert_eq!((&all["stages"][1]["weight"], &all["candidate"]["mode"]), (&json!(2.5), &json!("shadow")));
    let night = policy("?agent_id=nightly-1&repo=acme/big-one").await;
    assert_eq!(night["view"], "groups night");
    assert_eq!(night["override"], json!({ "repos": ["acme/big-*"], "groups": ["night"] }));
    assert_eq!(stages(&night), [pair("base", "rules")]);
    assert_ne!(night["ranker"]["digest"], all["ranker"]["digest"]);
    let elsewhere = policy("?agent_id=nightly-1&repo=acme/small").await;
    assert_eq!((stages(&elsewhere), elsewhere.get("override")), (stages(&all), None));
    assert_eq!(policy("?agent_id=a&repo=acme/big-one").await["stages"], all["stages"], "not of the group");
    let explained = async |agent: &str, repo: &str| {
        let query = format!("/api/explain?agent_id={agent}&repo={repo}&issue_number=1");
        let (status, body) = server.get(&query).await;
        assert_eq!(status, 200, "{body}");
        body["explanation"]["ranker"].clone()
    };
    assert_eq!(explained("nightly-1", "acme/big-one").await, night["ranker"], "an explanation names what ranks there");
    assert_eq!(explained("nightly-1", "acme/small").await, all["ranker"]);
    assert_eq!(all["stale_rule"]["settings"]["claim_timeout_minutes"], 120, "what each component is told: {all:#}");
    assert_eq!(all["repo_filter"]["settings"], json!({}));
    assert_eq!(server.get("/api/policies/effective?repo=acme").await.0, 400);
}

#[tokio::test]
async fn people_see_policies_and_the_trial_as_a_page_on_which_names_are_text() {
    let server = Server::over(with_policies(COMPOSED), &[issue(1, &["bug"]), issue(2, &["urgent"])]).await;
    // Where neither has anything to give they do not agree: nothing was compared.
    assert_eq!(server.post("/api/next", json!({ "agent_id": "idle", "label": "none" })).await.0, 409);
    let (status, body) = server.post("/api/next", json!({ "agent_id": "<b>a" })).await;
    assert_eq!((status, &body["issue"]["number"]), (200, &json!(1)), "{body}");
    let counts = tried(&server, 1).await["counts"].clone();
    assert_eq!((&counts["agreed"], &counts["disagreed"]), (&json!(0), &json!(1)));

    let (status, text) = page(&server, "/policies", Some(KEY)).await;
    assert_eq!(status, 200);
    for told in [
        "<td>bugs</td><td>score</td><td class=\"number\">×2.5</td>",
        "<td>stale rule</td>",
        "<pre>auto_release_minutes = 0\nclaim_timeout_minutes = 120</pre>",
        "in shadow: asked behind every answer",
        "Agreed on 0 of 1 requests (0.0 %)",
        "2026-11-01 00:00 UTC: 1 disagreed",
        "<a href=\"/explain/acme/small/1\">acme/small#1</a> 25",
        "bugs: &lt;i&gt;bug +25",
        "<a href=\"/explain/acme/small/2\">acme/small#2</a>",
        "&lt;b&gt;a",
        "the server started",
    ] {
        assert!(text.contains(told), "{told:?} is missing: {text}");
    }
    assert!(!text.contains("<b>a") && !text.contains("<i>") && text.matches("<script").count() == 1, "{text}");

    let (_, text) = page(&server, "/policies?repo=acme/big-one&agent_id=nightly-7", Some(KEY)).await;
    assert!(text.contains("For acme/big-one, agent nightly-7: the view <em>groups night</em>"), "{text}");
    assert!(text.contains("By an override for repositories acme/big-* for groups night"), "{text}");
    assert!(!text.contains("<td>bugs</td>"), "{text}");
    let (_, text) = page(&server, "/explain/acme/small/1", Some(KEY)).await;
    assert!(text.contains("<a href=\"/policies\">"), "{text}");

    let (status, text) = page(&server, "/policies?repo=acme", Some(KEY)).await;
    assert_eq!(status, 400);
    assert!(text.contains("repo"), "{text}");
    assert_eq!(page(&server, "/policies", None).await.0, 401);
    assert_eq!(page(&server, "/policies", Some("wrong")).await.0, 401);
}

#[tokio::test]
async fn the_history_says_what_was_on_trial_and_how_it_was_configured() {
    let server = Server::over(with_policies(COMPOSED), &[issue(1, &[])]).await;
    let told = |body: &Value| body["sets"][0]["on_trial"].is_object();
    let body = server.wait_until("/api/policies/history", told).await;
    let (candidate, on_trial) = (&body["sets"][0]["candidate"], &body["sets"][0]["on_trial"]);
    assert_eq!(on_trial["config"]["mode"], "shadow", "{body}");
    assert_eq!((on_trial["parts"].as_array().unwrap().len(), &on_trial["parts"][0]), (1, candidate));
}

#[tokio::test]
async fn a_component_that_was_never_in_force_is_not_found() {
    let server = Server::start(config()).await;
    let digest = "a".repeat(64);
    let (status, body) = server.get(&format!("/api/admin/policies/component?digest={digest}&piece=0")).await;
    assert_eq!((status, body["ok"].as_bool()), (404, Some(false)), "{body}");
    let (_, body) = server.get("/api/policies/candidate").await;
    assert_eq!(body.get("trial"), None, "nothing is on trial: {body}");
}
