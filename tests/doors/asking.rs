//! What a ranker is told of the agent that asks, and of the work beside, over every door; and when that
//! agent is to ask again.

use issuecommand::config::Config;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::server::{Server, config, issue};
use crate::tools::{body, client_of};
use crate::workshop::{self, Variant};

/// A ranker that gives nobody anything and says what it sees, as the reason; asking again makes sense in
/// 90.5 seconds.
const TELLING: Variant = Variant {
    name: "faulty_telling",
    guest: "faulty",
    replacements: &[(
        "    fn choose(now: u64) -> Result<ranker::Choice, String> {\n",
        "    fn choose(now: u64) -> Result<ranker::Choice, String> {
        use issuecommand::policy::live_claims;
        if setting(\"telling\") == \"facts\" && request::agent() != \"worker\" {
            let (numbers, blockers, approvals) = (candidates::numbers(), candidates::open_blockers(), candidates::approvals());
            let told = |row: usize| {
                let ids = &blockers.ids[blockers.starts[row] as usize..blockers.starts[row + 1] as usize];
                let open: Vec<&str> = ids.iter().map(|id| blockers.names[*id as usize].as_str()).collect();
                let approval = &approvals.names[approvals.ids[row] as usize];
                skip(row as u32, format!(\"#{} {open:?} {approval}\", numbers[row]))
            };
            return Ok(ranker::Choice { order: Vec::new(), skipped: (0..numbers.len()).map(told).collect() });
        }
        if !setting(\"telling\").is_empty() && request::agent() != \"worker\" {
            request::retry_after(3_600_000);
            request::retry_after(90_500);
            let (agents, statuses) = (live_claims::agents(), live_claims::statuses());
            let live: Vec<String> = (0..live_claims::count() as usize)
                .map(|row| {
                    let name = |column: &issuecommand::policy::types::TextColumn| {
                        column.names[column.ids[row] as usize].clone()
                    };
                    format!(\"{} {} {}\", name(&agents), live_claims::numbers()[row], name(&statuses))
                })
                .collect();
            let told = format!(
                \"{:?} {:?} {} {:?} {:?}\",
                request::skills(), request::groups(), request::agent_review_count(), request::repo_review_counts(), live
            );
            let skipped = (0..candidates::count()).map(|row| skip(row, told.clone())).collect();
            return Ok(ranker::Choice { order: Vec::new(), skipped });
        }
",
    )],
};

/// What the ranker is told of each open issue that nobody holds: `#1 [open blockers] approval`, by number.
pub async fn facts_shown(server: &Server) -> Vec<String> {
    let (_, nothing) = server.post("/api/next", json!({ "agent_id": "looker" })).await;
    let reasons = nothing["counts"]["skip_reasons"].as_array().cloned().unwrap_or_default();
    let mut shown: Vec<_> = reasons.iter().map(|reason| reason[0].as_str().unwrap().to_owned()).collect();
    shown.sort();
    shown
}

/// A ranker that tells the facts of every issue to everybody but `worker`, who gets any.
pub fn telling_facts(mut config: Config) -> (Config, TempDir) {
    let (telling, dir) = telling();
    config.policies = telling.policies;
    config.policies.ranker.settings = json!({ "telling": "facts" }).as_object().unwrap().clone();
    (config, dir)
}

fn telling() -> (Config, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ranker.wasm");
    std::fs::write(&file, workshop::component(&TELLING)).unwrap();
    let mut config = config();
    config.policies.ranker.source = file.display().to_string();
    config.policies.ranker.settings = json!({ "telling": "yes" }).as_object().unwrap().clone();
    config.agent_groups = toml::from_str("night = [\"night-*\"]\nall = [\"*\"]").unwrap();
    (config, dir)
}

/// What the ranker said it saw.
fn seen(answer: &Value) -> &str {
    answer["counts"]["skip_reasons"][0][0].as_str().unwrap_or_else(|| panic!("no reason in {answer}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_ranker_sees_skills_groups_and_the_work_beside() {
    let (config, _dir) = telling();
    let server = Server::over(config, &[issue(1, &[]), issue(2, &[]), issue(3, &[])]).await;
    let alone = json!({ "agent_id": "night-1", "skills": [" Rust", "c++", "rust"] });
    let (_, nothing) = server.post("/api/next", alone).await;
    assert_eq!(seen(&nothing), r#"["c++", "rust"] ["all", "night"] 0 [0, 0, 0] []"#);

    let (_, held) = server.post("/api/next", json!({ "agent_id": "worker" })).await;
    let path = format!("/api/claims/{}", held["claim"]["claim_id"].as_str().unwrap());
    let begun = json!({ "agent_id": "worker", "status": "in_progress" });
    assert_eq!(server.patch(&path, begun).await.0, 200);
    let submitted =
        json!({ "agent_id": "worker", "status": "pr_submitted", "pr_url": "https://github.com/a/b/pull/1" });
    let number = held["claim"]["issue_number"].clone();
    assert_eq!(server.patch(&path, submitted).await.0, 200);
    let (_, nothing) = server.post("/api/next", json!({ "agent_id": "day-1" })).await;
    assert_eq!(seen(&nothing), format!(r#"[] ["all"] 0 [1, 1] ["worker {number} pr_submitted"]"#));

    let merged = json!({ "agent_id": "worker", "status": "pr_merged" });
    assert_eq!(server.patch(&path, merged).await.0, 200);
    let (_, nothing) = server.post("/api/next", json!({ "agent_id": "day-1" })).await;
    assert_eq!(seen(&nothing), format!(r#"[] ["all"] 0 [0, 0] ["worker {number} pr_merged"]"#));
}

#[tokio::test(flavor = "multi_thread")]
async fn skills_come_in_a_header_or_in_a_query_too_and_what_is_no_skill_is_refused_by_name() {
    let (config, _dir) = telling();
    let server = Server::over(config, &[issue(1, &[])]).await;
    let asked = |query: &str, skills: &'static str, fields: Value| {
        let request = server.request(reqwest::Method::POST, &format!("/api/next{query}"));
        let request = request.header("X-Agent-Id", "a1").header("X-Agent-Skills", skills).json(&fields);
        async move { request.send().await.unwrap().json::<Value>().await.unwrap() }
    };
    assert!(seen(&asked("", "Web, rust", json!({})).await).starts_with(r#"["rust", "web"] "#));
    assert!(seen(&asked("", "web", json!({ "skills": ["c"] })).await).starts_with(r#"["c"] "#), "the field wins");
    assert!(seen(&asked("", "web", json!({ "skills": [] })).await).starts_with("[] "), "none is said, too");
    assert!(seen(&asked("?skills=c,d", "", json!({})).await).starts_with(r#"["c", "d"] "#));
    let two_words = [("web dev", json!({}), "X-Agent-Skills"), ("", json!({ "skills": ["web dev"] }), "skills")];
    for (skills, fields, field) in two_words.into_iter().chain([("", json!({ "skills": "c, web dev" }), "skills")]) {
        let refused = asked("", skills, fields).await;
        let why = "\"web dev\" is no skill: a skill is one word, as in machine-learning";
        assert_eq!(refused["message"], format!("Missing or invalid field: {field} ({why})"), "{refused}");
    }
    let refused = asked("", "", json!({ "skills": ["c,d"] })).await["message"].as_str().unwrap().to_owned();
    assert!(refused.contains("\"c,d\" is no skill: a skill is one word"), "{refused}");
    let client = client_of(&server.inside.api, Some("a1")).await;
    let refused = body(&client.call("next_issue", json!({ "skills": ["web dev"] })).await);
    assert!(refused["message"].as_str().unwrap().contains("a skill is one word"), "{refused}");
    let long: &'static str = "12345678901234567890123456789012345678901";
    for (skills, fields, field) in [(long, json!({}), "X-Agent-Skills"), ("", json!({ "skills": [long] }), "skills")] {
        let refused = asked("", skills, fields).await["message"].as_str().unwrap().to_owned();
        assert!(refused.starts_with(&format!("Missing or invalid field: {field}")), "{refused}");
        assert!(refused.contains("longer than 40 bytes"), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_gets_nothing_hears_when_to_ask_again_where_the_policy_says_so() {
    let (config, _dir) = telling();
    let server = Server::over(config, &[issue(1, &[])]).await;
    let response = server.request(reqwest::Method::POST, "/api/next-work").json(&json!({ "agent_id": "a1" }));
    let response = response.send().await.unwrap();
    assert_eq!(response.headers()["retry-after"], "91");
    let answer: Value = response.json().await.unwrap();
    assert_eq!(answer["retry_after_seconds"], 91, "the soonest of all that was said: {answer}");
    assert_eq!(answer["counts"].get("retry_after_seconds"), None, "{answer}");
    for tool in ["next_work", "next_issue"] {
        let told = body(&client_of(&server.inside.api, Some("a1")).await.call(tool, json!({ "skills": ["x"] })).await);
        assert_eq!(told["retry_after_seconds"], 91, "{told}");
    }
    let (_, got) = server.post("/api/next", json!({ "agent_id": "worker" })).await;
    assert_eq!(got.get("retry_after_seconds"), None, "who got something has no reason to wait: {got}");
    let (_, nothing) = server.post("/api/next", json!({ "agent_id": "worker" })).await;
    assert_eq!(nothing.get("retry_after_seconds"), None, "nobody said when: {nothing}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_of_the_groups_holds_from_the_next_call_on() {
    let (mut config, _dir) = telling();
    let server = Server::over(config.clone(), &[issue(1, &[])]).await;
    let asked = || server.post("/api/next", json!({ "agent_id": "day-1" }));
    assert!(seen(&asked().await.1).starts_with(r#"[] ["all"]"#));
    config.agent_groups = toml::from_str("day = [\"day-?\", \"*-1\"]").unwrap();
    server.inside.api.manager().apply_config(config, std::path::Path::new("/")).await.unwrap();
    assert!(seen(&asked().await.1).starts_with(r#"[] ["day"]"#));
}
