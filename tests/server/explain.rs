//! `issuecommand policy explain`, while a server runs and while none does.

use std::path::PathBuf;

use serde_json::{Value, json};

use super::commands::{complaint, run, told};
use super::harness::{Home, issue};

const SETTINGS: &str = r#"
[policies.ranker.settings]
tiers = []
rules = [{ field = "label", op = "is", value = "bug", weight = 7.5 }]
skip = [{ field = "label", op = "is", value = "wontfix" }]
max_claims_per_agent = 1
"#;

#[tokio::test(flavor = "multi_thread")]
async fn an_issue_and_the_last_decision_are_explained_with_and_without_a_server() {
    let backlog = [
        issue("acme/small", 1, &["bug"]),
        issue("acme/small", 2, &["wontfix"]),
        issue("acme/small", 3, &[]),
        issue("acme/small", 4, &["bug"]),
    ];
    let home = Home::new(&backlog, SETTINGS);
    let cache = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cache");
    let env = [("XDG_CACHE_HOME", cache.to_str().unwrap())];
    let explain = |args: &[&str]| told(&home, &[&["policy", "explain"], args].concat(), &env);
    let server = home.serve();
    server.wait_for_backlog(4).await;
    assert_eq!(server.next("a").await.0, 200);
    assert_eq!(server.next("a").await.0, 409, "at its cap");
    let questions: [&[&str]; 6] = [
        &["acme/small#1"],
        &["acme/small#2"],
        &["acme/small#3", "--agent", "b"],
        &["acme/small#3", "--agent", "a"],
        &["--last"],
        &["--last", "--agent", "a", "--json"],
    ];
    let served: Vec<_> = questions.iter().map(|question| explain(question)).collect();
    assert!(served[0].starts_with("acme/small#1 Issue 1\nheld by a since "), "{}", served[0]);
    assert!(served[1].contains("\nskipped by the policy: label is wontfix\nunder builtin:rules "), "{}", served[1]);
    assert!(!served[1].contains("  score"), "a skipped issue has none: {}", served[1]);
    assert!(served[2].contains("2nd of 2 on offer; 7.5 points more would make it the next"), "{}", served[2]);
    assert!(served[2].contains("  1.  acme/small#4  7.5  Issue 4\n"), "{}", served[2]);
    assert!(served[3].contains("on offer, but not to a now: "), "{}", served[3]);
    assert!(served[4].starts_with("a got nothing\n4 open, 1 claimed, 3 skipped by policy ("), "{}", served[4]);
    assert!(served[4].contains("  -  acme/small#4  7.5  passed over: "), "{}", served[4]);
    assert!(served.iter().all(|text| !text.contains('\u{1b}')), "no colours but on a terminal");
    let last: Value = serde_json::from_str(&served[5]).unwrap();
    assert_eq!((&last["agent_id"], last["considered"].as_array().unwrap().len()), (&"a".into(), 2));
    assert!(server.stop());

    for (question, before) in questions.iter().zip(&served) {
        assert_eq!(explain(question), *before, "{question:?} asked of the database alone");
    }
    assert!(complaint(&home, &["policy", "explain", "--last", "--agent", "z"], &env).contains("no decision about z"));
    assert!(
        complaint(&home, &["policy", "explain", "--last", "--url", "http://127.0.0.1:1"], &env)
            .contains("failed to reach")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn before_the_first_sync_is_done_nothing_is_said_to_take_no_part() {
    let home = Home::new(&[issue("acme/small", 1, &[])], "");
    let cache = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cache");
    let env = [("XDG_CACHE_HOME", cache.to_str().unwrap())];
    let line = |issue: &str| {
        let output = run(&home, &["policy", "explain", issue], &env);
        let is_here = !["acme/new#1", "acme/small#2"].contains(&issue);
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success() == is_here || text.contains("not known here yet"), "{issue}: {text}");
        text.lines().nth(1).unwrap().to_owned()
    };
    let not_yet = "not known here yet: the first sync is not done";
    // A database in which no sync has left anything.
    std::fs::write(home.path("nothing.json"), r#"{ "claims": [] }"#).unwrap();
    told(&home, &["import", "nothing.json"], &env);
    assert_eq!(line("acme/small#1"), not_yet);
    let server = home.serve();
    server.wait_for_backlog(1).await;
    assert_eq!(line("acme/small#1"), "the next to be given out, of 1 on offer");
    let no_part = "its repository takes no part: it is not among the synced repositories";
    assert_eq!((line("acme/new#1").as_str(), line("acme/small#2").starts_with("not known here: ")), (no_part, true));
    assert!(server.stop());

    // A server whose first sync does not come to an end knows what the last one left, and that there may be more.
    std::fs::remove_file(home.path("backlog.jsonl")).unwrap();
    let server = home.serve();
    assert_eq!(line("acme/small#1"), "the next to be given out, of 1 on offer");
    assert_eq!([line("acme/new#1"), line("acme/small#2")], [not_yet, not_yet]);
    let asked = json!({ "agent_id": "a", "repo": "acme/new" });
    let (status, refused) = server.send("POST", "/api/next", asked).await;
    assert!(status == 403 && refused.to_string().contains("the first sync is not done yet"), "{status} {refused}");
    assert!(server.stop());
    assert_eq!(line("acme/new#1"), no_part, "nobody is reading");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_while_the_first_sync_is_reading_is_told_to_ask_again() {
    let home = Home::new(&[], "");
    std::fs::remove_file(home.path("backlog.jsonl")).unwrap();
    let server = home.serve();
    let (status, body) = server.send("POST", "/api/next", json!({ "agent_id": "a" })).await;
    let told = (status, body["why"].as_str(), body["retry_after_seconds"].as_u64());
    assert_eq!(told, (409, Some("the first sync is still reading"), Some(5)), "{body}");
    assert!(server.stop());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_under_a_stand_in_says_that_the_configured_policy_was_refused() {
    let home = Home::new(&[issue("acme/small", 1, &["bug"])], SETTINGS);
    let cache = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cache");
    let env = [("XDG_CACHE_HOME", cache.to_str().unwrap())];
    let explain = || told(&home, &["policy", "explain", "acme/small#1"], &env);
    let server = home.serve();
    server.wait_for_backlog(1).await;
    assert!(!explain().contains("refused"));
    let told_so = |text: String, instead: &str, score: &str| {
        let line = format!("the configured policy was refused, and {instead}: ");
        let note = text.lines().find(|text| text.starts_with(&line)).unwrap_or_else(|| panic!("no note: {text}"));
        assert!(note.contains("ranker") && note.contains("missing.wasm"), "{note}");
        assert!(text.contains(score), "{text}");
    };
    home.configure("[policies.ranker]\nsource = \"missing.wasm\"\n");
    server.wait_until("/api/health", |body| body["health"]["degraded"][0].is_string()).await;
    told_so(explain(), "the last good one decides", "  score          7.5");
    assert!(server.stop());
    let instead = "another stands in for it";
    told_so(explain(), instead, "under builtin:rules ");
    assert!(explain().contains("  score  0"), "the built-in one knows nothing of bugs");
    // A server that starts on it has no last good one either, whatever edit is refused after that.
    let server = home.serve();
    server.wait_for_backlog(1).await;
    told_so(explain(), instead, "under builtin:rules ");
    let page = server.client.get(format!("{}/explain/acme/small/1", server.url)).send().await.unwrap();
    let page = page.text().await.unwrap();
    assert!(page.contains(&format!("The configured policy was refused, and {instead}: ")), "{page}");
    assert!(server.stop());

    home.configure("[policies]\n[log]\n");
    let off = std::fs::read_to_string(home.path("issuecommand.toml")).unwrap();
    let off = off.replace("[store]\n", "[store]\ndecision_max_entries = 0\n");
    std::fs::write(home.path("issuecommand.toml"), off).unwrap();
    for command in [&["policy", "explain", "--last"][..], &["policy", "replay", "--decisions"]] {
        let told = complaint(&home, command, &env);
        assert!(told.contains("decisions are not recorded: store.decision_max_entries is 0"), "{told}");
    }

    // Nobody starts a server here.
    home.configure("[policies.repo_filter]\nsource = \"missing.wasm\"\n");
    let refused = complaint(&home, &["policy", "explain", "acme/small#1"], &env);
    assert!(refused.contains("[policies.repo_filter] \"missing.wasm\" was not loaded"), "{refused}");
    assert!(!refused.contains("does not start"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn recorded_decisions_replay_on_the_command_line_with_and_without_a_server() {
    let home = Home::new(&[issue("acme/small", 1, &["bug"]), issue("acme/small", 2, &[])], SETTINGS);
    let cache = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("cache");
    let env = [("XDG_CACHE_HOME", cache.to_str().unwrap())];
    let server = home.serve();
    server.wait_for_backlog(2).await;
    for agent in ["a", "b"] {
        assert_eq!(server.next(agent).await.0, 200);
    }
    let replay = || -> Value {
        serde_json::from_str(&told(&home, &["policy", "replay", "--decisions", "--json"], &env)).unwrap()
    };
    let served = replay();
    assert_eq!((&served["decisions"], &served["replayed"]), (&2.into(), &2.into()), "{served}");
    let outcome = &served["outcomes"][0];
    assert_eq!(
        (&outcome["own"], &outcome["own_same"]),
        (&2.into(), &2.into()),
        "by the policy of the folder: {served}"
    );
    assert!(server.stop());
    assert_eq!(replay(), served, "of the database alone");
}
