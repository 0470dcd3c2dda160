//! Policies on trial, promoted and put back, while a server runs and agents work.

use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use super::commands::{complaint, told};
use super::harness::{Home, Server, issue};
use crate::cosign::Team;
use crate::workshop::{PLAIN, WITHOUT_WORK_ORDER, component};

/// Issues 1 to 3 are the oldest, 4 to 6 are urgent.
fn backlog() -> Vec<Value> {
    (1..=6).map(|number| issue("acme/small", number, if number > 3 { &["urgent"] } else { &[] })).collect()
}

const URGENT_FIRST: &str = r#"ranker = { settings = { tiers = [["urgent"]] } }"#;

fn candidate(mode: &str, ranker: &str) -> String {
    format!(
        "# Kept.\n[policies]\ncall_ms_max = 5000\nchoose_ms_max = 1000\ncandidate = {{ mode = \"{mode}\", share = 0.5, {ranker} }}\n"
    )
}

/// The number that an agent gets; given back at once.
async fn head(server: &Server, agent: &str) -> u64 {
    let (status, body) = server.next(agent).await;
    assert_eq!(status, 200, "{body}");
    let path = format!("/api/claims/{}", body["claim"]["claim_id"].as_str().unwrap());
    let (status, answer) = server.send("DELETE", &path, json!({ "agent_id": agent })).await;
    assert_eq!(status, 200, "{answer}");
    body["issue"]["number"].as_u64().unwrap()
}

async fn started(home: &Home) -> Server {
    let server = home.serve();
    server.wait_for_backlog(6).await;
    server
}

/// Waits until so many requests were looked at.
async fn tried(server: &Server, count: u64) -> Value {
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
    assert!(listed.contains(&format!("  {short}  settings {short_settings}  ")), "{listed}");
    let checked = told(&home, &["config", "check"], &[]);
    assert!(checked.contains(&format!("builtin:conflict-aware (sha256 {short})")), "{checked}");
    let health = server.get("/api/health").await["health"]["policies"].clone();
    assert!(health["ranker"].as_str().unwrap().ends_with(&format!("@{short}")), "{health}");
    let effective = server.get("/api/policies/effective").await["policy"].clone();
    assert_eq!((&effective["ranker"]["digest"], &effective["ranker"]["settings_digest"]), (digest, settings));
    let rule = &effective["stale_rule"]["digest"].as_str().unwrap()[..12];
    assert!(health["stale_rule"].as_str().unwrap().ends_with(&format!("@{rule}")), "{health}");
}

#[tokio::test(flavor = "multi_thread")]
async fn promote_and_rollback_are_one_command_each_and_say_who_did_it() {
    let home = Home::new(&backlog(), &candidate("shadow", URGENT_FIRST));
    let server = started(&home).await;
    let who = [("USER", "ann")];
    assert_eq!(head(&server, "a").await, 1);
    let shown = told(&home, &["policy", "show", "--agent", "a", "--repo", "acme/small"], &[]);
    assert!(shown.starts_with("for repository acme/small, agent a\nview         default\nranker\n  base "), "{shown}");
    assert!(shown.contains("\ncandidate    builtin:rules"), "{shown}");

    let promoted = told(&home, &["policy", "promote", "--note", "it agreed with us"], &who);
    assert!(promoted.starts_with("promoted builtin:rules (") && promoted.ends_with("): in force now\n"), "{promoted}");
    assert_eq!(head(&server, "a").await, 4, "in force when the command ends");
    let text = std::fs::read_to_string(home.path("issuecommand.toml")).unwrap();
    assert!(text.contains("# Kept.") && !text.contains("candidate"), "{text}");
    let sets = server.get("/api/policies/history").await["sets"].clone();
    assert_eq!(
        (&sets[0]["why"], &sets[0]["by"]),
        (&json!("promoted: it agreed with us"), &json!("ann (local)")),
        "{sets:#}"
    );
    assert!(complaint(&home, &["policy", "promote"], &[]).contains("there is no candidate"));

    let back = told(&home, &["policy", "rollback"], &who);
    assert!(back.starts_with("builtin:rules is on trial again (shadow), as it was then\nrolled back to "), "{back}");
    assert!(back.contains(": in force now\n(once more undoes this"), "{back}");
    // The trial goes on: the candidate is asked behind the very next answer.
    let before = server.get("/api/policies/candidate").await["trial"].clone();
    assert_eq!((&before["candidate"]["mode"], &before["counts"]["disagreed"]), (&json!("shadow"), &json!(1)));
    assert_eq!(head(&server, "a").await, 1);
    assert_eq!(tried(&server, 2).await["counts"]["disagreed"], 2);
    let text = std::fs::read_to_string(home.path("issuecommand.toml")).unwrap();
    assert!(text.contains("# Kept.") && text.contains("[policies.candidate]"), "{text}");

    let over = told(&home, &["policy", "rollback", "--note", "we miss it"], &who);
    assert!(over.starts_with("the candidate is the ranker now, so its trial is over\nrolled back to "), "{over}");
    assert_eq!(head(&server, "a").await, 4, "a second one undoes the first");
    assert!(server.get("/api/policies/candidate").await.get("trial").is_none());
    let list = told(&home, &["policy", "rollback", "--list"], &[]);
    assert_eq!(list.lines().count(), 4, "{list}");
    assert!(list.lines().next().unwrap().contains("rolled back: to set 2; we miss it, by ann (local)"), "{list}");

    assert!(server.stop());
    let back = told(&home, &["policy", "rollback", "--note", "at night"], &who);
    assert!(back.contains("no server runs, so it is in force at the next start\n"), "{back}");
    let at_rest = told(&home, &["policy", "rollback", "--list"], &[]);
    assert_eq!(at_rest, list, "it was not in force yet, and nothing that was written is another");
    let server = started(&home).await;
    assert_eq!(head(&server, "a").await, 1);
    let newest = server.wait_until("/api/policies/history", |body| body["sets"].as_array().unwrap().len() == 5).await;
    let why = newest["sets"][0]["why"].as_str().unwrap();
    assert!(why.starts_with("rolled back: to set ") && why.ends_with("; at night"), "{why}");
    assert!(server.stop());
    told(&home, &["policy", "promote"], &who);
    told(&home, &["policy", "rollback"], &who);
    let server = started(&home).await;
    assert_eq!(head(&server, "a").await, 1, "a rollback undoes what was promoted, be it in force or not");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ranker_is_promoted_at_the_server_that_runs_with_the_file_or_not_at_all() {
    let (home, elsewhere) = (Home::new(&backlog(), &candidate("shadow", URGENT_FIRST)), Home::new(&backlog(), ""));
    let (server, other) = (started(&home).await, started(&elsewhere).await);
    let url = other.url.clone();
    let before = std::fs::read_to_string(home.path("issuecommand.toml")).unwrap();
    for command in [&["policy", "promote", "--url", &url][..], &["policy", "rollback", "--url", &url]] {
        let why = complaint(&home, command, &[]);
        assert!(why.contains("leave --url and ISSUECOMMAND_URL out") || why.contains("no other ranker"), "{why}");
    }
    let why = complaint(&home, &["policy", "promote"], &[("ISSUECOMMAND_URL", &url)]);
    assert!(why.contains("the server that runs with this file is at http://127.0.0.1:"), "{why}");
    assert_eq!(std::fs::read_to_string(home.path("issuecommand.toml")).unwrap(), before);
    assert_eq!(head(&server, "a").await, 1);
    let own = server.url.replace("127.0.0.1", "localhost");
    assert!(told(&home, &["policy", "promote", "--url", &own], &[]).contains("in force now"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_beside_an_override_for_every_repository_ends_as_soon_as_it_is_in_force() {
    let everywhere = "[[policies.override]]\nrepos = [\"*\"]\nranker = { settings = { tiers = [[\"slow\"]] } }\n";
    let home = Home::new(&backlog(), &format!("{}{everywhere}", candidate("shadow", URGENT_FIRST)));
    let server = started(&home).await;
    let promoted = told(&home, &["policy", "promote"], &[]);
    assert!(promoted.ends_with("): in force now\n"), "{promoted}");
    let sets = server.get("/api/policies/history").await["sets"].clone();
    assert!(sets[0]["ranker"]["settings"].to_string().contains("urgent"), "{sets:#}");
    let back = told(&home, &["policy", "rollback"], &[]);
    assert!(back.ends_with(": in force now\n"), "{back}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_candidate_whose_file_is_gone_is_on_trial_again_from_the_history_and_a_newer_one_stays() {
    let bytes = spawn_blocking(|| component(&PLAIN)).await.unwrap();
    let home = Home::new(&backlog(), "");
    std::fs::write(home.path("mine.wasm"), &bytes).unwrap();
    home.configure(&candidate("shadow", "ranker = { source = \"mine.wasm\" }"));
    let server = started(&home).await;
    let sets = |count: usize| move |body: &Value| body["sets"].as_array().is_some_and(|sets| sets.len() >= count);
    server.wait_until("/api/policies/history", sets(1)).await;
    told(&home, &["policy", "promote"], &[]);
    std::fs::remove_file(home.path("mine.wasm")).unwrap();
    let back = told(&home, &["policy", "rollback"], &[]);
    assert!(back.contains("mine.wasm is another file now; the one of then is policies/"), "{back}");
    assert!(back.contains(".wasm is on trial again (shadow), as it was then\nrolled back to builtin:rules"), "{back}");
    let trial = server.get("/api/policies/candidate").await["trial"].clone();
    assert_eq!(std::fs::read(home.path(trial["candidate"]["ranker"]["source"].as_str().unwrap())).unwrap(), bytes);

    // A trial that was given up is only told of when the ranker that came later is taken back.
    let essentials = "[policies]\ncall_ms_max = 5000\nchoose_ms_max = 1000\n";
    home.configure(&format!("{essentials}ranker = {{ settings = {{ tiers = [[\"urgent\"]] }} }}\n"));
    server.wait_until("/api/policies/history", sets(4)).await;
    let back = told(&home, &["policy", "rollback"], &[]);
    let line = ".wasm was on trial then and is not now; set [policies.candidate] to try it again\nrolled back to builtin:rules";
    assert!(back.contains(line), "{back}");
    assert!(server.get("/api/policies/candidate").await.get("trial").is_none(), "nobody asked for it");

    // Who tries something else meanwhile goes on trying it.
    let other = "candidate = { mode = \"canary\", ranker = { settings = { tiers = [[\"slow\"]] } } }\n";
    home.configure(&format!("{essentials}ranker = {{ settings = {{ tiers = [[\"urgent\"]] }} }}\n{other}"));
    server.wait_until("/api/policies/candidate", |body| body["trial"]["candidate"]["mode"] == "canary").await;
    let back = told(&home, &["policy", "rollback"], &[]);
    assert!(back.starts_with("rolled back to builtin:rules"), "{back}");
    assert_eq!(server.get("/api/policies/candidate").await["trial"]["candidate"]["mode"], "canary");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_signed_ranker_is_put_back_with_its_signature() {
    let (one, other) = spawn_blocking(|| (component(&PLAIN), component(&WITHOUT_WORK_ORDER))).await.unwrap();
    let (home, team) = (Home::new(&backlog(), ""), Team::new());
    std::fs::write(home.path("team.pub"), team.public_key()).unwrap();
    let put = |bytes: &[u8]| {
        std::fs::write(home.path("mine.wasm.sigstore.json"), team.sign_blob(bytes)).unwrap();
        std::fs::write(home.path("mine.wasm"), bytes).unwrap();
    };
    put(&one);
    let ranker = "[policies.ranker]\nsource = \"mine.wasm\"\nsigned_by = { key = \"team.pub\" }\n";
    home.configure(&format!("[policies]\ncall_ms_max = 5000\n{ranker}"));
    let server = started(&home).await;
    let digest = |body: &Value| body["sets"][0]["ranker_stamp"]["digest"].clone();
    let first = server.wait_until("/api/policies/history", |body| digest(body).is_string()).await;
    put(&other);
    server.wait_until("/api/policies/history", |body| digest(body) != digest(&first)).await;

    let back = told(&home, &["policy", "rollback"], &[]);
    assert!(back.contains(": in force now\n(once more undoes this"), "{back}");
    let policy = server.get("/api/policies/effective").await["policy"].clone();
    assert_eq!(policy["ranker"]["digest"], digest(&first));
    let text = std::fs::read_to_string(home.path("issuecommand.toml")).unwrap();
    assert!(text.contains("signed_by"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ranker_whose_file_is_another_now_is_put_back_from_the_history_and_pinned() {
    let (one, other) = spawn_blocking(|| (component(&PLAIN), component(&WITHOUT_WORK_ORDER))).await.unwrap();
    let home = Home::new(&backlog(), "");
    std::fs::write(home.path("mine.wasm"), &one).unwrap();
    home.configure("[policies]\ncall_ms_max = 5000\n[policies.ranker]\nsource = \"mine.wasm\"\n");
    let server = started(&home).await;
    let digest = |body: &Value| body["sets"][0]["ranker_stamp"]["digest"].clone();
    let first = server.wait_until("/api/policies/history", |body| digest(body).is_string()).await;
    std::fs::write(home.path("mine.wasm"), &other).unwrap();
    server.wait_until("/api/policies/history", |body| digest(body) != digest(&first)).await;

    let back = told(&home, &["policy", "rollback"], &[]);
    let name = format!("policies/{}.wasm", &digest(&first).as_str().unwrap()[..12]);
    assert!(back.contains(&format!("mine.wasm is another file now; the one of then is {name}")), "{back}");
    assert_eq!(std::fs::read(home.path(&name)).unwrap(), one);
    let policy = server.get("/api/policies/effective").await["policy"].clone();
    assert_eq!((&policy["ranker"]["source"], &policy["ranker"]["digest"]), (&json!(name), &digest(&first)));
    let text = std::fs::read_to_string(home.path("issuecommand.toml")).unwrap();
    assert!(text.contains(&format!("sha256 = {}", digest(&first))), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_that_is_refused_leaves_the_file_as_it_was() {
    let bytes = spawn_blocking(|| component(&PLAIN)).await.unwrap();
    let home = Home::new(&backlog(), "");
    std::fs::write(home.path("faulty.wasm"), &bytes).unwrap();
    // It loads, and works on the samples that are shown to it then, which are older; it fails on the live backlog.
    let fault =
        r#"ranker = { source = "faulty.wasm", settings = { at = "score", do = "panic", from = "1767225600000" } }"#;
    home.configure(&candidate("shadow", fault));
    let server = started(&home).await;
    let file = || std::fs::read_to_string(home.path("issuecommand.toml")).unwrap();
    let before = file();

    let why = complaint(&home, &["policy", "promote"], &[]);
    assert!(why.contains("the server refused it, the file is as it was: "), "{why}");
    assert!(why.contains("faulty.wasm") && why.contains("full of bees"), "{why}");
    assert_eq!(file(), before);
    assert_eq!(head(&server, "a").await, 1, "the ranker in force serves on");

    // What does not even load never comes near the server.
    std::fs::write(home.path("faulty.wasm"), &bytes[..bytes.len() / 2]).unwrap();
    let why = complaint(&home, &["policy", "promote"], &[]);
    assert!(why.contains("faulty.wasm") && !why.contains("the server refused it"), "{why}");
    assert_eq!(file(), before);
    let sets = server.get("/api/policies/history").await["sets"].clone();
    assert!(sets.as_array().unwrap().iter().all(|set| set["ranker_stamp"]["source"] == "builtin:rules"), "{sets:#}");
}
