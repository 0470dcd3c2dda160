//! Policies that fail over and over, and are left alone for a while.

use issuecommand::config::{Config, PoliciesConfig};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::pages::Browser;
use crate::server::{KEY, Server, config, issue};
use crate::workshop::{self, PLAIN};

/// A policy configuration in which `faulty.wasm` is the tests' own guest, that panics at every door; with the folder
/// that it lies in.
fn with_guest(policies: &str) -> (Config, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("faulty.wasm");
    std::fs::write(&file, workshop::component(&PLAIN)).unwrap();
    // It behaves on the samples that it is shown when it is loaded, which are older.
    let guest = format!(
        "source = {:?}, settings = {{ at = \"choose\", do = \"panic\", from = \"1767225600000\" }}",
        file.display().to_string()
    );
    let mut config = config();
    let policies: PoliciesConfig = toml::from_str(&policies.replace("FAULTY", &guest)).unwrap();
    // A machine that is busy with other tests is slow, and an honest call must not fail for it.
    config.policies = PoliciesConfig { call_ms_max: 2_000, choose_ms_max: 1_000, ..policies };
    (config, dir)
}

async fn next(server: &Server, agent: &str) -> (u16, Value) {
    server.post("/api/next", json!({ "agent_id": agent })).await
}

/// How many issues the ranker was shown for the newest decision about an agent.
async fn shown_count(server: &Server, agent: &str) -> u64 {
    let (_, body) = server.get(&format!("/api/decisions?agent_id={agent}&limit=1")).await;
    body["decisions"][0]["considered_count"].as_u64().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_failing_filter_is_left_alone_nobody_walks_the_backlog_and_all_hear_why() {
    let (config, _dir) = with_guest("[ranker]\nstage = [{ role = \"filter\", name = \"trust\", FAULTY }]");
    let backlog: Vec<Value> = (1..=40)
        .map(|number| {
            let mut issue = issue(number, &[]);
            issue["created_at"] = json!("2026-01-01T00:00:00Z");
            issue
        })
        .collect();
    let server = Server::over(config, &backlog).await;
    let why = "trust: this filter fails, so nothing passes until it answers";
    let told = |answer: &Value| {
        assert_eq!(answer["counts"]["skip_reasons"], json!([[why, 40]]), "{answer}");
        assert_eq!(answer["counts"]["skipped"], 40, "{answer}");
        answer["retry_after_seconds"].as_u64()
    };
    // Two pages, and two failures.
    assert_eq!(told(&next(&server, "a").await.1), None);
    assert_eq!(shown_count(&server, "a").await, 40);
    // The third, on the first page: the second is not looked at.
    assert_eq!(told(&next(&server, "b").await.1), Some(60));
    assert_eq!(shown_count(&server, "b").await, 32);
    let (status, answer) = next(&server, "c").await;
    assert_eq!((status, told(&answer)), (409, Some(60)));
    assert_eq!(shown_count(&server, "c").await, 0, "nothing is shown to a ranker that lets nothing pass");
    // Asked again after a minute, and left alone again.
    server.pass(2);
    told(&next(&server, "d").await.1);
    assert_eq!(shown_count(&server, "d").await, 32);
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_of_a_canary_that_rests_get_what_the_ranker_in_force_gives_within_its_caps() {
    let (config, _dir) = with_guest(
        "[ranker.settings]\nmax_claims_per_agent = 1\ntiers = [[\"urgent\"]]\n[candidate]\nmode = \"canary\"\nshare = 1.0\nranker = { FAULTY }",
    );
    let server = Server::over(config, &[issue(1, &[]), issue(2, &[]), issue(3, &["urgent"])]).await;
    let view = async || {
        let (_, body) = server.get("/api/policies/effective?agent_id=a").await;
        body["policy"]["view"].clone()
    };
    assert_eq!(view().await, "candidate");
    let (_, got) = next(&server, "a").await;
    assert_eq!(got["issue"]["number"], 3, "the candidate knows nothing of urgency: {got}");
    let decision = format!("/api/decisions/{}", got["claim"]["decision_id"].as_str().unwrap());
    let (_, told) = server.get(&decision).await;
    assert_eq!(told["decision"]["ranker"]["source"], "builtin:rules", "who decided is who is named");
    assert_eq!(got["why"], "tier +1 (tier 0: label urgent)");
    for failure_count in 2..=6 {
        // The candidate knows no cap: that there is one shows who was asked.
        let (status, answer) = next(&server, "a").await;
        assert_eq!(status, 409, "request {failure_count}: {answer}");
        let reasons = &answer["counts"]["skip_reasons"];
        assert_eq!(*reasons, json!([["agent holds 1 of at most 1 claims", 2]]), "request {failure_count}");
    }
    assert_eq!(next(&server, "b").await.0, 200, "others are served");
    let (_, health) = server.get("/api/health").await;
    assert!(health["health"]["degraded"][0].as_str().unwrap().starts_with("candidate.choose: "), "{health}");
    server.wait_until("/api/policies/candidate", |body| body["trial"]["counts"]["failed"] == 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_whose_terms_the_policy_does_not_tell_says_so() {
    let (mut config, _dir) = with_guest("ranker = { FAULTY }");
    config.policies.ranker.settings.insert("at".into(), json!("explain"));
    let server = Server::over(config, &[issue(1, &[]), issue(2, &[])]).await;
    let mut browser = Browser::new(&server);
    browser.log_in(KEY).await;
    let (status, text) = browser.get("/queue").await;
    assert!(status == 200 && text.contains("acme/small#2") && text.contains("terms not told: "), "{text}");
    assert_eq!(next(&server, "a").await.0, 200, "work is given out all the same");
}
