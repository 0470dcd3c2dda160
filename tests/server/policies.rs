//! Policies on trial, and such that fail, while a server runs and agents work.

use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use super::commands::told;
use super::harness::{Home, Server, issue};
use crate::workshop::{PLAIN, component};

/// Issues 1 to 3 are the oldest, 4 to 6 are urgent.
pub fn backlog() -> Vec<Value> {
    (1..=6).map(|number| issue("acme/small", number, if number > 3 { &["urgent"] } else { &[] })).collect()
}

pub const URGENT_FIRST: &str = r#"ranker = { settings = { tiers = [["urgent"]] } }"#;

pub fn candidate(mode: &str, ranker: &str) -> String {
    format!(
        "# Kept.\n[policies]\ncall_ms_max = 5000\nchoose_ms_max = 1000\ncandidate = {{ mode = \"{mode}\", share = 0.5, {ranker} }}\n"
    )
}

/// The number that an agent gets; given back at once.
pub async fn head(server: &Server, agent: &str) -> u64 {
    let (status, body) = server.next(agent).await;
    assert_eq!(status, 200, "{body}");
    let path = format!("/api/claims/{}", body["claim"]["claim_id"].as_str().unwrap());
    let (status, answer) = server.send("DELETE", &path, json!({ "agent_id": agent })).await;
    assert_eq!(status, 200, "{answer}");
    body["issue"]["number"].as_u64().unwrap()
}

pub async fn started(home: &Home) -> Server {
    let server = home.serve();
    server.wait_for_backlog(6).await;
    server
}

/// Waits until so many requests were looked at.
pub async fn tried(server: &Server, count: u64) -> Value {
    let looked_at = |body: &Value| {
        let counts = &body["trial"]["counts"];
        ["agreed", "disagreed", "undecided", "failed"].iter().filter_map(|name| counts[name].as_u64()).sum::<u64>()
            >= count
    };
    server.wait_until("/api/policies/candidate", looked_at).await["trial"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_shadow_serves_nobody_and_its_disagreements_are_counted_and_listed() {
    let home = Home::new(&backlog(), &candidate("shadow", URGENT_FIRST));
    let server = started(&home).await;
    assert_eq!(head(&server, "a").await, 1, "the ranker in force decides");
    let trial = tried(&server, 1).await;
    assert_eq!(trial["counts"]["disagreed"], 1, "{trial:#}");
    let first = &trial["disagreements"][0];
    assert_eq!(
        (&first["picked"]["number"], &first["would_have_picked"]["number"]),
        (&json!(1), &json!(4)),
        "{trial:#}"
    );
    assert_eq!(first["agent_id"], "a");
    assert!(first["would_have_picked"]["reasons"][0]["rule"].is_string(), "{trial:#}");
    assert_eq!(trial["hours"][0]["disagreed"], 1);

    // Where only urgent ones are asked for both agree.
    let (_, body) = server.send("POST", "/api/next", json!({ "agent_id": "a", "label": "urgent" })).await;
    assert_eq!(body["issue"]["number"], 4);
    let trial = tried(&server, 2).await;
    assert_eq!((&trial["counts"]["agreed"], &trial["agreement"]), (&json!(1), &json!(0.5)), "{trial:#}");

    let printed = told(&home, &["policy", "candidate"], &[]);
    assert!(printed.contains("shadow\nagreed on 1 of 2 requests (50.0 %)"), "{printed}");
    assert!(printed.contains("acme/small#1") && printed.contains("acme/small#4"), "{printed}");
    let again = started_again(server, &home).await;
    assert_eq!(tried(&again, 2).await["counts"]["disagreed"], 1, "the counts outlive the server");
}

async fn started_again(server: Server, home: &Home) -> Server {
    assert!(server.stop());
    started(home).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_candidate_that_was_refused_is_told_with_why() {
    let home = Home::new(&backlog(), "");
    let server = started(&home).await;
    assert!(told(&home, &["policy", "candidate"], &[]).contains("There is no candidate: set [policies.candidate]"));
    home.configure(&candidate("shadow", r#"ranker = { settings = { tears = [] } }"#));
    server.wait_until("/api/health", |body| body["health"]["policies"]["rejected"].is_string()).await;
    let printed = told(&home, &["policy", "candidate"], &[]);
    assert!(printed.starts_with("No candidate is on trial.\nThe newest edit is not in force: "), "{printed}");
    assert!(printed.contains("candidate.ranker") && printed.contains("tears"), "{printed}");
    for (command, field) in [("candidate", "trial"), ("show", "policy")] {
        let whole: Value = serde_json::from_str(&told(&home, &["policy", command, "--json"], &[])).unwrap();
        assert!(whole["rejected"].as_str().is_some_and(|why| why.contains("tears")), "{command}: {whole:#}");
        assert_eq!(whole[field].is_object(), command == "show", "{whole:#}");
    }
    // One that is on trial stays while a worse edit is refused, and both are told.
    home.configure(&candidate("shadow", URGENT_FIRST));
    server.wait_until("/api/policies/candidate", |body| body["trial"].is_object()).await;
    home.configure(&candidate("shadow", r#"ranker = { settings = { tiers = 1 } }"#));
    server.wait_until("/api/health", |body| body["health"]["policies"]["rejected"].is_string()).await;
    let printed = told(&home, &["policy", "candidate"], &[]);
    assert!(
        printed.contains("  shadow\n") && printed.contains("not in force: [policies.candidate.ranker]"),
        "{printed}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_candidate_that_fails_touches_nobody() {
    let bytes = spawn_blocking(|| component(&PLAIN)).await.unwrap();
    let fault =
        r#"ranker = { source = "faulty.wasm", settings = { at = "choose", do = "panic", from = "1767225600000" } }"#;
    let home = Home::new(&backlog(), "");
    std::fs::write(home.path("faulty.wasm"), bytes).unwrap();
    home.configure(&candidate("shadow", fault));
    let server = started(&home).await;
    for _ in 0..4 {
        assert_eq!(head(&server, "a").await, 1);
    }
    let trial = tried(&server, 4).await;
    assert_eq!((&trial["counts"]["failed"], &trial["counts"]["disagreed"]), (&json!(4), &json!(0)), "{trial:#}");
    let health = server.get("/api/health").await;
    assert!(health["health"]["degraded"][0].as_str().unwrap().starts_with("candidate.choose: "), "{health}");

    home.configure(&candidate("canary", fault));
    server.wait_until("/api/policies/effective", |body| body["policy"]["candidate"]["mode"] == "canary").await;
    for n in 0..8 {
        // The guest scores by comments, of which there are none: its order is by age too.
        assert_eq!(head(&server, &format!("agent-{n}")).await, 1, "the ranker in force stands in");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stage_that_fails_on_the_issues_that_there_are_is_named_to_who_edits_and_to_who_asks_why() {
    let bytes = spawn_blocking(|| component(&PLAIN)).await.unwrap();
    let home = Home::new(&backlog(), "");
    std::fs::write(home.path("faulty.wasm"), bytes).unwrap();
    let server = started(&home).await;
    let explained =
        async |server: &Server| server.get("/api/explain?repo=acme/small&issue_number=1").await["explanation"].clone();
    assert_eq!(explained(&server).await.get("policy_fault"), None);
    home.configure(
        "[policies]\ncall_ms_max = 5000\nchoose_ms_max = 1000\n[[policies.ranker.stage]]\nname = \"loud\"\nrole = \
         \"score\"\nsource = \"faulty.wasm\"\nsettings = { at = \"score\", do = \"panic\", from = \"1767225600000\" }\n",
    );
    let refused = server.wait_until("/api/policies/effective", |body| body["rejected"].is_string()).await;
    let why = refused["rejected"].as_str().unwrap();
    assert!(why.contains("failed on the live backlog: stage loud: `score` failed"), "{why}");
    assert_eq!(explained(&server).await.get("policy_fault"), None, "the last good set decides");
    let server = started_again(server, &home).await;
    let explained = explained(&server).await;
    assert!(explained["policy_fault"].as_str().unwrap().starts_with("stage loud: `score` failed"), "{explained:#}");
    assert!(explained["why"].as_str().unwrap().contains("; the policy fails on it, so this is not its word: "));
    assert_eq!(server.next("a").await.1["issue"]["number"], 1, "something stands in");
    let held = server.get("/api/explain?repo=acme/small&issue_number=1").await["explanation"].clone();
    assert_eq!((&held["standing"], held.get("policy_fault")), (&json!("held"), None), "that is no word of a policy");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_serves_the_same_agents_every_time_and_decisions_name_it() {
    let home = Home::new(&backlog(), &candidate("canary", URGENT_FIRST));
    let server = started(&home).await;
    let mut served = 0;
    for n in 0..12 {
        let agent = format!("agent-{n}");
        let policy = server.get(&format!("/api/policies/effective?agent_id={agent}")).await["policy"].clone();
        let is_canary = policy["view"] == "candidate";
        served += usize::from(is_canary);
        for _ in 0..2 {
            assert_eq!(head(&server, &agent).await, if is_canary { 4 } else { 1 }, "{agent}");
        }
        let past = server.get(&format!("/api/claims/history?agent_id={agent}&limit=1")).await;
        let decision = format!("/api/decisions/{}", past["items"][0]["decision_id"].as_str().unwrap());
        let decision = server.get(&decision).await["decision"].clone();
        assert_eq!(decision["ranker"]["settings_digest"], policy["ranker"]["settings_digest"], "{decision:#}");
    }
    assert!((1..12).contains(&served), "{served} of 12");
    // Behind each pick for one of its agents the ranker in force was asked, for nobody else's.
    let trial = tried(&server, served as u64 * 2).await;
    assert_eq!(trial["counts"]["disagreed"], served * 2, "{trial:#}");
    let first = &trial["disagreements"][0];
    let (picked, would) = (&first["picked"], &first["would_have_picked"]);
    assert_eq!((&first["by_candidate"], &picked["number"], &would["number"]), (&json!(true), &json!(4), &json!(1)));
    let printed = told(&home, &["policy", "candidate"], &[]);
    assert!(printed.contains(&format!("agreed on 0 of {} requests (0.0 %)", served * 2)), "{printed}");
    assert!(printed.contains(") by the candidate  acme/small#1 ("), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_starts_on_a_broken_override_does_without_that_and_nothing_else() {
    let policies = r#"
[policies.ranker.settings]
tiers = [["urgent"]]
[[policies.override]]
repos = ["acme/other"]
ranker = { settings = { tiers = 5 } }
[[policies.override]]
repos = ["acme/third"]
ranker = { settings = { tiers = [["slow"]] } }
"#;
    let home = Home::new(&backlog(), policies);
    let server = started(&home).await;
    assert_eq!(head(&server, "a").await, 4, "the ranker of everything else is as it was configured");
    let effective = async |repo: &str| {
        let body = server.get(&format!("/api/policies/effective?repo={repo}")).await;
        (body["policy"]["stages"][0]["settings"].clone(), body["rejected"].clone())
    };
    let (settings, rejected) = effective("acme/other").await;
    assert_eq!(settings, json!({}), "the built-in as it comes");
    assert!(rejected.as_str().unwrap().contains("override.ranker"), "{rejected}");
    assert_eq!(effective("acme/third").await.0, json!({ "tiers": [["slow"]] }));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ranker_beside_overrides_has_one_digest_wherever_it_is_told() {
    let policies = r#"
[policies.ranker]
source = "builtin:rules"
[[policies.ranker.stage]]
role = "choose"
source = "builtin:conflict-aware"
[[policies.override]]
repos = ["acme/other"]
ranker = { settings = { tiers = [["slow"]] } }
stale_rule = { settings = { claim_timeout_minutes = 7 } }
"#;
    let home = Home::new(&backlog(), policies);
    let server = started(&home).await;
    let sets = server.wait_until("/api/policies/history", |body| body["sets"][0].is_object()).await;
    let (digest, settings) =
        (&sets["sets"][0]["ranker_stamp"]["digest"], &sets["sets"][0]["ranker_stamp"]["settings_digest"]);
    let [short, short_settings] = [digest, settings].map(|digest| &digest.as_str().unwrap()[..12]);
    let listed = told(&home, &["policy", "rollback", "--list"], &[]);
    assert!(listed.contains(&format!("  {short}  {short_settings}  ")), "{listed}");
    let checked = told(&home, &["config", "check"], &[]);
    assert!(checked.contains(&format!("builtin:conflict-aware (sha256 {short})")), "{checked}");
    let health = server.get("/api/health").await["health"]["policies"].clone();
    assert!(health["ranker"].as_str().unwrap().ends_with(&format!("@{short}")), "{health}");
    let effective = server.get("/api/policies/effective").await["policy"].clone();
    assert_eq!((&effective["ranker"]["digest"], &effective["ranker"]["settings_digest"]), (digest, settings));
    let rule = &effective["stale_rule"]["digest"].as_str().unwrap()[..12];
    assert!(health["stale_rule"].as_str().unwrap().ends_with(&format!("@{rule}")), "{health}");
}
