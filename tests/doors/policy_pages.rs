//! The pages that say which policies decide: who may, and when a server refuses to edit its file. What comes of an edit
//! is walked in a browser, at a server that takes edits up.

use issuecommand::config::{CandidateConfig, Config, PolicyConfig};
use issuecommand::domain::{Clock, Run, RunHold, RunPriority, RunStep, RunWish};
use issuecommand::replay::OwnReplays;
use issuecommand::store::{RunInserted, RunSaved, RunStore};
use reqwest::Method;
use serde_json::{Value, json};

use crate::deliveries::{comment_event, configured, deliver, follow_ups, submitted};
use crate::pages::{Browser, claimed};
use crate::server::{KEY, Server, config, issue};

const FORMS: [&str; 5] = [
    "/policies/promote",
    "/policies/give-up",
    "/policies/sets/1/roll-back",
    "/playground/candidate",
    "/playground/in-force",
];

/// A ranker on trial that is told something.
fn on_trial(tier: &str) -> CandidateConfig {
    let Value::Object(settings) = json!({ "tiers": [[tier]] }) else { unreachable!() };
    CandidateConfig::in_shadow(PolicyConfig { settings, ..PolicyConfig::builtin("rules") }.into())
}

fn with_candidate() -> Config {
    let mut config = config();
    config.policies.candidate = Some(on_trial("urgent"));
    config
}

/// What a form of the page has to bring back.
fn seen(page: &str) -> String {
    let (_, rest) = page.split_once("name=\"seen\" value=\"").unwrap_or_else(|| panic!("no form: {page}"));
    rest.split_once('"').unwrap().0.to_owned()
}

async fn token(server: &Server, wish: Value) -> String {
    let (status, made) = server.post("/api/admin/tokens", wish).await;
    assert_eq!(status, 200, "{made}");
    made["token"].as_str().unwrap().to_owned()
}

#[tokio::test]
async fn which_policies_decide_is_said_by_no_agent_and_by_nobody_who_may_only_look() {
    let server = Server::over(with_candidate(), &[issue(1, &[])]).await;
    let before = server.inside.config_text();
    server.wait_until("/api/policies/history", |body| body["sets"][0].is_object()).await;
    let agents_own = json!({ "scope": "admin", "agent_id": "agent-a" });
    for wish in [json!({ "scope": "read" }), json!({ "scope": "claim" }), agents_own] {
        let mut browser = Browser::new(&server);
        browser.log_in(&token(&server, wish.clone()).await).await;
        for path in ["/policies", "/policies/sets/1", "/playground"] {
            let (status, text) = browser.get(path).await;
            assert!(status == 200 && !text.contains("name=\"seen\""), "{wish} is offered nothing by {path}: {text}");
        }
        for path in FORMS {
            let (status, _, text) = browser.post(path, &[("seen", "x"), ("settings", "")]).await;
            assert!(status == 403 && text.contains("scope admin that is no agent's"), "{wish} {path} {status}: {text}");
        }
    }
    let mut browser = Browser::new(&server);
    browser.log_in(&token(&server, json!({ "scope": "admin" })).await).await;
    let (_, text) = browser.get("/policies").await;
    assert!(text.contains("Promote it") && text.contains("Give it up"), "an operator's token may: {text}");
    assert!(browser.get("/policies/sets/1").await.1.contains("This ranker is in force now."));
    assert_eq!(browser.get("/policies/sets/7").await.0, 404);
    assert_eq!(server.inside.config_text(), before);
}

#[tokio::test]
async fn a_trial_that_ends_puts_no_other_policies_in_force() {
    let server = Server::over(with_candidate(), &[issue(1, &[])]).await;
    server.wait_until("/api/policies/history", |body| body["sets"][0].is_object()).await;
    server.pass(60);
    server.inside.api.manager().apply_config(config(), std::path::Path::new("/")).await.unwrap();
    server.wait_until("/api/policies/history", |body| body["sets"][1].is_object()).await;
    let mut browser = Browser::new(&server);
    browser.log_in(KEY).await;
    let (_, text) = browser.get("/policies").await;
    assert!(text.contains("id=\"since\">Since 2026-11-01 00:00 UTC"), "{text}");
    assert!(text.contains("<td>2026-11-01 01:00 UTC</td>"), "the end of the trial is among what was: {text}");
}

#[tokio::test]
async fn a_file_that_is_not_what_the_page_showed_is_left_alone_and_that_is_said() {
    let server = Server::over(with_candidate(), &[issue(1, &[])]).await;
    let file = server.inside.config_file();
    let mut browser = Browser::new(&server);
    browser.log_in(KEY).await;
    let seen = seen(&browser.get("/policies").await.1);
    let refused = async |path: &str, seen: &str, why: &str| {
        let before = std::fs::read(&file).ok();
        let form = [("note", ""), ("seen", seen), ("settings", "tiers%20%3D%20%5B%5B%22slow%22%5D%5D")];
        let (status, _, text) = browser.post(path, &form).await;
        assert!(status == 409 && text.contains("Not done") && text.contains(why), "{path} {status}: {text}");
        assert_eq!(std::fs::read(&file).ok(), before, "{path}");
    };
    for path in FORMS {
        refused(path, "0123456789ab", "other policies have come in force").await;
    }
    // The file names no candidate: its edit is on the way, or was refused.
    for path in ["/policies/promote", "/policies/give-up"] {
        refused(path, &seen, "says something else than what is in force").await;
    }
    std::fs::write(&file, "[policies.ranker.settings]\ntiers = [[\"other\"]]\n").unwrap();
    refused("/playground/in-force", &seen, "says something else than what is in force").await;
    std::fs::write(&file, "[policies\n").unwrap();
    refused("/playground/candidate", &seen, "mend the file first").await;
    std::fs::write(&file, "# Managed elsewhere.\n").unwrap();
    let mut permissions = std::fs::metadata(&file).unwrap().permissions();
    permissions.set_readonly(true);
    std::fs::set_permissions(&file, permissions).unwrap();
    refused("/playground/in-force", &seen, "is read-only: nothing was changed").await;
    refused("/policies/sets/9/roll-back", &seen, "there is no set 9 in the history").await;
    std::fs::remove_file(&file).unwrap();
    refused("/playground/in-force", &seen, "does not exist").await;
    assert_eq!(browser.post("/policies/sets/x/roll-back", &[("seen", &seen)]).await.0, 400, "no number");
}

#[tokio::test]
async fn settings_that_are_none_or_that_the_ranker_refuses_are_never_written() {
    let server = Server::over(config(), &[issue(1, &[])]).await;
    std::fs::write(server.inside.config_file(), "# Kept.\n").unwrap();
    let mut browser = Browser::new(&server);
    browser.log_in(KEY).await;
    let tried = browser.post("/playground", &[("settings", "tiers%20%3D%20%5B%5B%22slow%22%5D%5D")]).await.2;
    let seen = seen(&tried);
    assert!(tried.contains("Put them on trial") && tried.contains("Put them in force"), "{tried}");
    for (settings, why) in
        [("tiers%20%3D", "TOML"), ("tears%20%3D%20%5B%5D", "tears"), ("", "is told these settings already")]
    {
        for path in ["/playground/candidate", "/playground/in-force"] {
            let (status, _, text) = browser.post(path, &[("settings", settings), ("seen", &seen)]).await;
            assert!(status == 409 && text.contains(why), "{settings} {path} {status}: {text}");
        }
    }
    assert_eq!(server.inside.config_text(), "# Kept.\n");
}

#[tokio::test]
async fn the_playground_says_what_can_be_set_and_what_would_come_of_it_before_the_long_tables() {
    let issues: Vec<Value> = (1..=14).map(|number| issue(number, if number > 12 { &["slow"] } else { &[] })).collect();
    let server = Server::over(config(), &issues).await;
    std::fs::write(server.inside.config_file(), "").unwrap();
    let mut browser = Browser::new(&server);
    browser.log_in(KEY).await;
    let (_, empty) = browser.get("/playground").await;
    let example = "placeholder=\"# For example:\n[[rules]]\nfield = &quot;label&quot;\nop = &quot;is&quot;";
    assert!(empty.contains(example), "{empty}");
    for told in ["What can be set", "<code>rules[].half_life_days</code>", "<code>follow_ups</code>", "[aging]\n"] {
        assert!(empty.contains(told), "{told}: {empty}");
    }
    let (_, _, tried) = browser.post("/playground", &[("settings", "tiers%20%3D%20%5B%5B%22slow%22%5D%5D")]).await;
    let place = |told: &str| tried.find(told).unwrap_or_else(|| panic!("{told}: {tried}"));
    assert!(tried.contains("14 issues on offer; now 14 are. 10 of the first 10 places would"), "{tried}");
    assert!(place("would go to another issue") < place("Put them in force"), "{tried}");
    assert!(place("Put them in force") < place("What can be set"), "{tried}");
    let (_, orders) = tried.split_once("What would come first").unwrap();
    let (then, now) = orders.split_once("What comes first now, and would not").unwrap();
    assert_eq!((then.matches("<tr>").count(), now.matches("<tr>").count()), (1 + 10, 1 + 2), "{orders}");

    for (typed, told) in [
        (
            "rules%20%3D%20%5B%7B%20wieght%20%3D%201%20%7D%5D",
            "builtin:rules does not take them: rules[0].wieght: unknown field",
        ),
        ("rules%20%3D", "TOML parse error at line 1"),
    ] {
        let (status, _, text) = browser.post("/playground", &[("settings", typed)]).await;
        let (_, alert) = text.split_once("role=\"alert\"").unwrap_or_else(|| panic!("{text}"));
        assert!(
            status == 200 && alert.contains("Nothing was tried") && alert.contains(told),
            "{typed} {status}: {text}"
        );
        assert!(!text.contains("was not loaded") && !text.contains("configure"), "{text}");
        assert!(!text.contains("Put them in force"), "{text}");
    }
}

#[tokio::test]
async fn what_agents_were_given_is_replayed_under_the_ranker_in_force_and_the_one_on_trial() {
    let issues: Vec<Value> = (1..=6).map(|number| issue(number, if number > 3 { &["urgent"] } else { &[] })).collect();
    let server = Server::over(with_candidate(), &issues).await;
    let mut browser = Browser::new(&server);
    browser.log_in(KEY).await;
    let nothing = browser.post("/replays", &[("count", "10")]).await;
    assert!(nothing.0 == 409 && nothing.2.contains("no decision is recorded"), "{nothing:?}");
    for agent in ["a", "b", "c"] {
        claimed(&server, agent).await;
    }
    let done = browser.post("/replays", &[("count", "10")]).await;
    assert_eq!((done.0, done.1.as_deref()), (303, Some("/replays")), "{}", done.2);
    let (_, text) = browser.get("/replays").await;
    assert!(text.contains("3 of 3 recorded decisions can be made again") && text.contains("by api key"), "{text}");
    assert!(text.contains("builtin:rules (in force)") && text.contains("0 (0.0 %)"), "{text}");
    assert!(text.contains("builtin:rules (on trial)") && text.contains("3 (100.0 %)"), "{text}");
    assert!(text.contains("/explain/acme/small/4"), "what it would have been instead: {text}");
    let (_, last) = (browser.post("/replays", &[("count", "1")]).await, browser.get("/replays").await.1);
    assert!(last.contains("1 of 1 recorded decisions") && last.contains("3 of 3"), "both stay: {last}");
    for count in ["0", "1001"] {
        let (status, _, text) = browser.post("/replays", &[("count", count)]).await;
        assert!(status == 400 && text.contains("1 to 1000 decisions"), "{status}: {text}");
    }
    let mut looking = Browser::new(&server);
    looking.log_in(&token(&server, json!({ "scope": "read" })).await).await;
    assert!(!looking.get("/replays").await.1.contains("Replay them"));
    assert_eq!(looking.post("/replays", &[("count", "10")]).await.0, 403);
    assert_eq!(server.get("/api/claims").await.1["claims"].as_array().unwrap().len(), 3, "nothing was claimed");
}

#[tokio::test]
async fn one_replay_is_made_at_a_time() {
    let server = Server::over(config(), &[issue(1, &[])]).await;
    claimed(&server, "a").await;
    let (replays, manager) = (OwnReplays::default(), server.inside.api.manager());
    let (first, second) = tokio::join!(replays.make(manager, 5, "ann".into()), replays.make(manager, 5, "bob".into()));
    assert_eq!((first, second.unwrap_err().contains("another replay is under way")), (Ok(()), true));
    replays.make(manager, 5, "bob".into()).await.unwrap();
    for _ in 0..5 {
        replays.make(manager, 1, "eve".into()).await.unwrap();
    }
    let kept: Vec<String> = replays.kept().iter().map(|replay| replay.by.clone()).collect();
    assert_eq!(kept, ["eve"; 5], "the last few");
}

#[tokio::test]
async fn a_claim_shows_feedback_that_is_over_and_its_own_runs_whatever_else_ran() {
    let server = Server::over(configured(), &[issue(1, &[])]).await;
    let at = submitted(&server, "a", 1, 9).await;
    deliver(&server, "d1", "issue_comment", &comment_event(1, 9, "ann", "Say it in the docs")).await;
    deliver(&server, "d2", "issue_comment", &comment_event(2, 9, "bob", "Name it better")).await;
    for item in follow_ups(&server).await.iter().filter(|item| item["summary"].to_string().contains("docs")) {
        let path = format!("/api/followups/{}", item["work_item_id"].as_str().unwrap());
        for status in ["claimed", "done"] {
            let (code, body) = server.patch(&path, json!({ "agent_id": "a", "status": status })).await;
            assert_eq!(code, 200, "{body}");
        }
    }
    let claim = server.get("/api/claims").await.1["claims"][0].clone();
    let run = |claim_id: Value| {
        let wish = RunWish {
            issue: "acme/small#1".parse().unwrap(),
            url: "https://github.com/acme/small/issues/1".into(),
            title: "Issue 1".into(),
            body: String::new(),
            priority: RunPriority::High,
            requested_by: "label".into(),
        };
        let mut run = Run::queued(wish, "2026-11-01T00:00:00Z".parse().unwrap());
        let claim_id = serde_json::from_value(claim_id).unwrap();
        run.hold = Some(RunHold { claim_id, agent_id: "a".parse().unwrap(), epoch: 1 });
        run
    };
    let store = &server.inside.store;
    let (own, mut others) = (run(claim["claim_id"].clone()), run(json!("018f0000-0000-7000-8000-000000000000")));
    assert_eq!(store.run_insert(others.clone(), 9).await.unwrap(), RunInserted::Inserted);
    others.advance(RunStep::Fail { why: "the tests fail".into() }, server.inside.clock.now()).unwrap();
    assert_eq!(store.run_save(others.clone(), server.inside.clock.now()).await.unwrap(), RunSaved::Saved(1));
    assert_eq!(store.run_insert(own.clone(), 9).await.unwrap(), RunInserted::Inserted, "one at a time");
    let page =
        server.request(Method::GET, at.strip_prefix("/api").unwrap()).send().await.unwrap().text().await.unwrap();
    let (waiting, over) = page.split_once("Feedback that is over").expect("what is over is shown");
    assert!(waiting.contains("Feedback that waits") && waiting.contains("Name it better"), "{page}");
    assert!(over.contains("Say it in the docs") && over.contains("done"), "{page}");
    assert!(page.contains(&format!("/runs/{}", own.run_id)), "{page}");
    assert!(!page.contains(&format!("/runs/{}", others.run_id)), "another claim's: {page}");
}
