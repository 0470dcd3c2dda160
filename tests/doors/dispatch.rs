//! Dispatch at the doors: what is worked on here, in which order, and what people say of it.

use issuecommand::config::ToolProfile;
use issuecommand::domain::{LogKind, LogLine, RunId};
use issuecommand::store::RunLogStore;
use reqwest::Method;
use serde_json::{Value, json};

use crate::events::Stream;
use crate::server::{DEADLINE, Server, config, issue, sent};
use crate::tools::{body, client_shown};

/// A server with four issues, of which none is worked on.
async fn server() -> Server {
    let backlog: Vec<Value> = [&[][..], &["priority/high"], &[], &["priority/critical"]]
        .into_iter()
        .zip(1..)
        .map(|(labels, number)| issue(number, labels))
        .collect();
    Server::over(config(), &backlog).await
}

/// Asks for an issue to be worked on; its run.
async fn dispatch(server: &Server, number: u64) -> Value {
    let wish = json!({ "repo": "acme/small", "issue_number": number, "by": "ada" });
    let (status, mut body) = server.post("/api/dispatch/runs", wish).await;
    assert_eq!((status, &body["ok"]), (200, &json!(true)), "{body}");
    body["run"].take()
}

fn id(run: &Value) -> &str {
    run["id"].as_str().unwrap()
}

/// The end of a run's id, of so many digits.
fn last_digits(run: &Value, count: usize) -> String {
    let digits: String = id(run).chars().filter(char::is_ascii_hexdigit).collect();
    digits[digits.len() - count..].to_owned()
}

async fn queue(server: &Server) -> Vec<String> {
    let (status, body) = server.get("/api/dispatch/queue").await;
    assert_eq!(status, 200, "{body}");
    let rows = body["queue"].as_array().unwrap();
    assert!(rows.iter().zip(1..).all(|(row, place)| row["place"] == place), "{body}");
    rows.iter().map(|row| row["issue"].as_str().unwrap().trim_start_matches("acme/small").to_owned()).collect()
}

/// Lines of a run's log, as whatever works on it writes them.
async fn write(server: &Server, run_id: RunId, lines: impl IntoIterator<Item = (LogKind, String)>) {
    let at = "2026-11-01T00:00:00Z".parse().unwrap();
    let lines = lines.into_iter().map(|(kind, text)| (run_id, LogLine::new(kind, &text, at)));
    server.inside.store.run_log_append(lines.collect(), 1 << 20).await.unwrap();
}

#[tokio::test]
async fn an_issue_is_queued_once_and_its_run_is_found_by_its_last_digits() {
    let server = server().await;
    let run = dispatch(&server, 1).await;
    assert_eq!(
        (&run["status"], &run["title"], &run["priority"]),
        (&json!("queued"), &json!("Issue 1"), &json!("medium"))
    );
    assert!(run["requested_by"].as_str().unwrap().starts_with("ada"), "{run}");
    let again = server.post("/api/dispatch/runs", json!({ "repo": "Acme/Small", "number": 1 })).await.1;
    assert_eq!((&again["idempotent"], &again["run"]["id"]), (&json!(true), &run["id"]));
    for digits in [4, 8, 12] {
        let (status, body) =
            server.get(&format!("/api/dispatch/runs/{}", last_digits(&run, digits).to_uppercase())).await;
        assert_eq!((status, &body["run"]["id"]), (200, &run["id"]), "{digits}: {body}");
    }
    for stranger in ["123", "zzzz", "00000000-0000-7000-8000-000000000000"] {
        let (status, body) = server.get(&format!("/api/dispatch/runs/{stranger}")).await;
        assert_eq!((status, &body["error"]), (404, &json!("not_found")), "{body}");
    }
    let listed = server.get("/api/dispatch/runs").await.1;
    assert_eq!((listed["runs"].as_array().unwrap().len(), &listed["runs"][0]["id"]), (1, &run["id"]));
    let unknown = server.post("/api/dispatch/runs", json!({ "repo": "acme/small", "issue_number": 77 })).await;
    assert_eq!(unknown.0, 404, "{}", unknown.1);
}

#[tokio::test]
async fn an_issue_that_an_agent_holds_is_not_worked_on_and_the_answer_says_whose_it_is() {
    let server = server().await;
    server.post("/api/claims", json!({ "agent_id": "a", "repo": "acme/small", "issue_number": 3 })).await;
    let (status, body) = server.post("/api/dispatch/runs", json!({ "repo": "acme/small", "issue_number": 3 })).await;
    assert_eq!(
        (status, &body["reason"], &body["owner_agent_id"]),
        (409, &json!("already_claimed"), &json!("a")),
        "{body}"
    );
    assert_eq!(queue(&server).await.len(), 0);
}

#[tokio::test]
async fn the_queue_goes_by_urgency_until_somebody_puts_a_run_elsewhere() {
    let server = server().await;
    let first = dispatch(&server, 1).await;
    for number in [3, 4] {
        dispatch(&server, number).await;
    }
    assert_eq!(queue(&server).await, ["#4", "#1", "#3"], "critical first, then the oldest");
    let wish = json!({ "run": last_digits(&first, 6), "place": 1 });
    let (status, body) = server.post("/api/dispatch/queue", wish).await;
    assert_eq!((status, &body["queue"][0]["issue"]), (200, &json!("acme/small#1")), "{body}");
    assert_eq!(queue(&server).await, ["#1", "#4", "#3"]);
    server.post("/api/dispatch/queue", json!({ "run": id(&first), "place": 99 })).await;
    assert_eq!(queue(&server).await, ["#4", "#3", "#1"], "behind the last is last");
    for (wrong, field) in [
        (json!({ "run": id(&first) }), "place"),
        (json!({ "run": id(&first), "place": 0 }), "place"),
        (json!({ "place": 1 }), "run"),
        (json!({ "runs": id(&first) }), "runs"),
    ] {
        let (status, body) = server.post("/api/dispatch/queue", wrong).await;
        assert_eq!(status, 400, "{body}");
        assert!(body["message"].as_str().unwrap().contains(field), "{body}");
    }
    let (status, status_body) = server.get("/api/dispatch").await;
    let told = &status_body["status"];
    assert_eq!((status, &told["queued"], &told["slots"], &told["slots_used"]), (200, &json!(3), &json!(4), &json!(0)));
}

#[tokio::test]
async fn a_cancelled_run_leaves_the_queue_and_nothing_can_be_said_of_it_any_more() {
    let server = server().await;
    let run = dispatch(&server, 1).await;
    let path = format!("/api/dispatch/runs/{}", last_digits(&run, 8));
    let (status, body) = server.post(&format!("{path}/answer"), json!({ "answer": "yes" })).await;
    assert_eq!((status, &body["reason"], &body["run"]["id"]), (409, &json!("invalid_transition"), &run["id"]));
    assert!(body["message"].as_str().unwrap().contains("asks nothing"), "{body}");
    assert_eq!(server.post(&format!("{path}/answer"), json!({})).await.0, 400);

    let (status, body) = sent(server.request(Method::DELETE, &path)).await;
    assert_eq!((status, &body["run"]["status"]), (200, &json!("failed")), "{body}");
    assert_eq!(body["run"]["reason"], "cancelled by api key");
    assert_eq!(queue(&server).await.len(), 0);
    let (status, body) = sent(server.request(Method::DELETE, &path)).await;
    assert_eq!((status, &body["reason"]), (409, &json!("invalid_transition")), "{body}");
    let (status, body) = server.post("/api/dispatch/queue", json!({ "run": id(&run), "place": 1 })).await;
    assert_eq!((status, &body["reason"]), (409, &json!("invalid_transition")), "{body}");
    assert_eq!(server.get("/api/dispatch/runs").await.1["runs"], json!([]));
    let ended = server.get("/api/dispatch/runs?ended=true&repo=ACME/small&limit=5").await.1;
    assert_eq!(ended["runs"][0]["id"], run["id"]);
    assert_eq!(server.get("/api/dispatch/runs?ended=true&repo=acme/other").await.1["runs"], json!([]));
    assert_eq!(server.get("/api/dispatch/runs?limit=0").await.0, 400);
    assert_ne!(dispatch(&server, 1).await["id"], run["id"], "it may be asked for again");
}

#[tokio::test]
async fn a_pause_is_told_by_status_health_and_events_until_work_begins_again() {
    let server = server().await;
    let mut stream = Stream::open(&server, None).await;
    assert_eq!(stream.event().await.event, "connected");
    let (status, body) = server.post("/api/dispatch/pause", json!({ "reason": "the model is down" })).await;
    assert_eq!((status, &body["paused"]), (200, &json!(true)), "{body}");
    let paused = stream.event().await;
    assert_eq!(paused.event, "dispatch.paused");
    assert_eq!(paused.data["details"], json!({ "by": "api key", "reason": "the model is down" }));
    assert_eq!(server.get("/api/dispatch").await.1["status"]["paused"], "the model is down");
    let degraded = async || server.get("/api/health").await.1["health"]["degraded"].clone();
    assert_eq!(degraded().await, json!(["dispatch: paused: the model is down"]));

    assert_eq!(server.post("/api/dispatch/resume", json!({})).await.1["paused"], false);
    let resumed = stream.event().await;
    assert_eq!((resumed.event.as_str(), &resumed.data["details"]), ("dispatch.resumed", &json!({ "by": "api key" })));
    assert!(server.get("/api/dispatch").await.1["status"].get("paused").is_none());
    assert!(degraded().await.as_array().is_none_or(Vec::is_empty));
    assert_eq!(server.post("/api/dispatch/pause", json!({ "why": "x" })).await.0, 400);
}

#[tokio::test]
async fn every_step_of_a_run_is_an_event_with_the_run_and_its_issue() {
    let server = server().await;
    let mut stream = Stream::open(&server, None).await;
    assert_eq!(stream.event().await.event, "connected");
    let run = dispatch(&server, 2).await;
    let queued = stream.event().await;
    assert_eq!((queued.event.as_str(), &queued.data["run_id"]), ("run.queued", &run["id"]));
    assert_eq!((&queued.data["repo"], &queued.data["issue_number"]), (&json!("acme/small"), &json!(2)));
    assert_eq!(queued.data["details"], json!({ "status": "queued", "attempt": 0, "priority": "high" }));
    sent(server.request(Method::DELETE, &format!("/api/dispatch/runs/{}", id(&run)))).await;
    let failed = stream.event().await;
    assert_eq!((failed.event.as_str(), &failed.data["run_id"]), ("run.failed", &run["id"]));
    assert_eq!(failed.data["details"]["reason"], "cancelled by api key");
}

#[tokio::test]
async fn a_log_is_read_from_its_end_or_from_a_line_and_is_waited_for() {
    let server = server().await;
    let run = dispatch(&server, 1).await;
    let run_id: RunId = id(&run).parse().unwrap();
    write(&server, run_id, (1..=5).map(|line| (LogKind::Text, format!("line {line}")))).await;
    let path = format!("/api/dispatch/runs/{}/logs", last_digits(&run, 8));
    let seqs = |page: &Value| {
        page["lines"].as_array().unwrap().iter().map(|line| line["seq"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    let (status, page) = server.get(&format!("{path}?limit=2")).await;
    assert_eq!((status, seqs(&page), &page["run_status"]), (200, vec![4, 5], &json!("queued")), "{page}");
    assert_eq!(seqs(&server.get(&format!("{path}?after=1&limit=2")).await.1), [2, 3]);
    assert_eq!(seqs(&server.get(&format!("{path}?after=5")).await.1), [0; 0], "nobody waits unasked");
    for wrong in ["limit=0", "limit=2001", "wait_seconds=26", "after=x", "follow=true"] {
        assert_eq!(server.get(&format!("{path}?{wrong}")).await.0, 400, "{wrong}");
    }
    // Who waits is answered by the line, not by the end of the wait.
    let waiting = server.request(Method::GET, &format!("{path}?after=5&wait_seconds=25"));
    let waiting = tokio::spawn(sent(waiting));
    write(&server, run_id, [(LogKind::Tool, "cargo test".into())]).await;
    let page = tokio::time::timeout(DEADLINE, waiting).await.unwrap().unwrap().1;
    assert_eq!((seqs(&page), &page["lines"][0]["kind"]), (vec![6], &json!("tool")));
}

#[tokio::test]
async fn settings_are_shown_and_what_names_programs_is_never_changed_from_afar() {
    let server = server().await;
    let (status, body) = server.get("/api/dispatch/config").await;
    assert_eq!((status, &body["config"]["containers.max_concurrent"]), (200, &json!(4)), "{body}");
    assert!(body["config"].as_object().unwrap().keys().all(|key| !key.starts_with("server.")), "{body}");
    let only = server.get("/api/dispatch/config?key=dispatch.budget").await.1;
    assert!(only["config"].as_object().unwrap().keys().all(|key| key.starts_with("dispatch.budget.")), "{only}");
    let before = server.inside.config_text();
    for (key, value, told) in [
        ("containers.runtime", "\"host\"", "is not changed from afar"),
        ("secrets.command", "[\"cat\", \"/etc/shadow\"]", "is not changed from afar"),
        ("server.api_key", "\"\"", "is not changed from afar"),
        ("containers.max_concurrent", "\"many\"", "containers.max_concurrent"),
        ("containers.max_concurrent", "999", "999"),
        ("containers.max_concurrent", "1]\n[server]\nport = 1", ""),
        ("containers.priority.", "1", ""),
    ] {
        let (status, body) = server.patch("/api/dispatch/config", json!({ "key": key, "value": value })).await;
        assert_eq!((status, &body["reason"]), (409, &json!("config_refused")), "{key} = {value}: {body}");
        assert!(body["message"].as_str().unwrap().contains(told), "{key} = {value}: {body}");
        assert_eq!(server.inside.config_text(), before, "{key} = {value}");
    }
    let (status, body) = server.patch("/api/dispatch/config", json!({ "value": "1" })).await;
    assert_eq!(status, 400, "{body}");
}

#[tokio::test]
async fn repositories_are_listed_and_topics_cannot_be_set_without_github() {
    let server = server().await;
    assert_eq!(server.get("/api/dispatch/repos").await, (200, json!({ "ok": true, "repos": [] })));
    let (status, body) = server.patch("/api/dispatch/repos", json!({ "add": "acme/small" })).await;
    assert_eq!((status, &body["error"]), (501, &json!("unsupported")), "{body}");
    assert_eq!(server.patch("/api/dispatch/repos", json!({ "add": "small" })).await.0, 400);
}

#[tokio::test]
async fn who_may_read_may_look_and_only_an_admin_changes_anything() {
    let server = server().await;
    let run = dispatch(&server, 1).await;
    let path = format!("/api/dispatch/runs/{}", id(&run));
    let mut tokens = Vec::new();
    for scope in ["read", "claim"] {
        let made = server.post("/api/admin/tokens", json!({ "scope": scope })).await.1;
        tokens.push(made["token"].as_str().unwrap().to_owned());
    }
    let looks = [
        "/api/dispatch",
        "/api/dispatch/queue",
        "/api/dispatch/runs",
        &path,
        &format!("{path}/logs"),
        "/api/dispatch/config",
        "/api/dispatch/repos",
    ];
    let changes = [
        (Method::POST, "/api/dispatch/runs", json!({ "repo": "acme/small", "issue_number": 3 })),
        (Method::POST, "/api/dispatch/queue", json!({ "run": id(&run), "place": 1 })),
        (Method::DELETE, &path, json!({})),
        (Method::POST, &format!("{path}/answer"), json!({ "answer": "x" })),
        (Method::POST, "/api/dispatch/pause", json!({})),
        (Method::POST, "/api/dispatch/resume", json!({})),
        (Method::PATCH, "/api/dispatch/config", json!({ "key": "dispatch.draft", "value": "true" })),
        (Method::PATCH, "/api/dispatch/repos", json!({ "add": "acme/small" })),
        (Method::PATCH, "/api/dispatch/repos", json!({ "remove": "acme/small" })),
    ];
    for token in &tokens {
        for look in looks {
            let (status, body) = sent(server.bare(Method::GET, look).bearer_auth(token)).await;
            assert_eq!(status, 200, "{look}: {body}");
        }
        for (method, change, fields) in &changes {
            let (status, body) = sent(server.bare(method.clone(), change).bearer_auth(token).json(fields)).await;
            assert_eq!((status, &body["error"]), (403, &json!("scope_too_narrow")), "{method} {change}: {body}");
        }
    }
    assert_eq!(queue(&server).await, ["#1"]);
}

#[tokio::test]
async fn no_get_changes_anything() {
    let server = server().await;
    let run = dispatch(&server, 1).await;
    for change in [
        format!("queue?run={}&place=1", id(&run)),
        "config?key=dispatch.draft&value=true".into(),
        "repos?add=acme/small".into(),
        "repos?remove=acme/small".into(),
    ] {
        let (status, body) = server.get(&format!("/api/dispatch/{change}")).await;
        assert_eq!(status, 400, "{change}: {body}");
        assert!(body["message"].as_str().unwrap().contains("GET changes nothing"), "{body}");
    }
}

#[tokio::test]
async fn models_get_the_same_in_short_and_a_refusal_is_a_normal_answer() {
    let server = server().await;
    let client = client_shown(&server.inside.api, Some("a"), ToolProfile::Full).await;
    let ask = async |tool: &'static str, fields: Value| {
        let result = client.call(tool, fields).await;
        (result.is_error == Some(true), body(&result))
    };
    let (_, made) = ask("commander_dispatch", json!({ "repo": "acme/small", "issue_number": 1 })).await;
    let run = made["run"]["id"].as_str().unwrap().to_owned();
    assert_eq!((made["ok"].as_bool(), run.len()), (Some(true), 12), "{made}");
    assert!(made["run"].get("journal").is_none() && made["run"].get("body").is_none(), "{made}");
    ask("commander_dispatch", json!({ "repo": "acme/small", "issue_number": 4 })).await;
    let (_, moved) = ask("commander_queue", json!({ "run": run, "place": 1 })).await;
    assert_eq!(moved["queue"][0]["run"], json!(run), "{moved}");
    assert_eq!(ask("commander_queue", json!({})).await.1, moved);
    let (_, status) = ask("commander_status", json!({})).await;
    assert_eq!(status["status"]["queued"], 2, "{status}");
    assert_eq!(ask("commander_pause", json!({ "reason": "lunch" })).await.1["paused"], true);
    assert_eq!(ask("commander_resume", json!({})).await.1["paused"], false);
    let (failed, refused) = ask("commander_config", json!({ "key": "containers.runtime", "value": "\"host\"" })).await;
    assert_eq!((failed, &refused["ok"], &refused["reason"]), (false, &json!(false), &json!("config_refused")));
    let (_, shown) = ask("commander_config", json!({ "key": "containers.max_concurrent" })).await;
    assert_eq!(shown["config"], json!({ "containers.max_concurrent": 4 }));
    assert_eq!(ask("commander_repos", json!({})).await.1["repos"], json!([]));

    let whole = server.get(&format!("/api/dispatch/runs/{run}")).await.1["run"]["id"].as_str().unwrap().to_owned();
    let lines = (1..=60).map(|line| (LogKind::Text, format!("{line} {}", "é".repeat(400))));
    write(&server, whole.parse().unwrap(), lines).await;
    let (_, page) = ask("commander_logs", json!({ "run": run })).await;
    let lines = page["lines"].as_array().unwrap();
    assert_eq!((lines.len(), &lines[29]["seq"]), (30, &json!(60)), "the last ones, as many as a model can read");
    assert!(lines.iter().all(|line| line["text"].as_str().unwrap().len() <= 303), "{page}");
    let (failed, gone) = ask("commander_logs", json!({ "run": "ffffffff" })).await;
    assert_eq!((failed, &gone["error"]), (true, &json!("not_found")), "{gone}");
}
