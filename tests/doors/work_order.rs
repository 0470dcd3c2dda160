//! Whether and when review feedback comes is the ranker's to say.

use issuecommand::claims::EventStep;
use issuecommand::config::Config;
use issuecommand::domain::EventKind;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::deliveries::{comment_event, configured, deliver, review_event};
use crate::server::{Server, issue};
use crate::workshop::{self, PLAIN, WITHOUT_WORK_ORDER};

fn with_turn(turn: &str) -> Config {
    let mut config = configured();
    config.policies.ranker.settings.insert("follow_ups".into(), json!(turn));
    config
}

/// A comment, then a review that requests changes, and two issues.
async fn server(config: Config) -> Server {
    let server = Server::over(config, &[issue(1, &[]), issue(2, &[])]).await;
    deliver(&server, "d1", "issue_comment", &comment_event(1, 9, "ann", "Docs?")).await;
    deliver(&server, "d2", "pull_request_review", &review_event(2, 9, "changes_requested")).await;
    server
}

async fn next_work(server: &Server, request_id: Option<&str>) -> (u16, Value) {
    let mut body = json!({ "agent_id": "a1" });
    if let Some(id) = request_id {
        body["request_id"] = id.into();
    }
    server.post("/api/next-work", body).await
}

/// What was given, in a word.
fn what(body: &Value) -> &str {
    match body["work_item"]["source_event_type"].as_str() {
        Some("review_changes_requested") => "review",
        Some(_) => "comment",
        None => body["issue"]["title"].as_str().unwrap_or("nothing"),
    }
}

/// Everything there is, in the order in which it is given.
async fn all_work(server: &Server) -> Vec<String> {
    let mut given = Vec::new();
    for _ in 0..5 {
        given.push(what(&next_work(server, None).await.1).to_owned());
    }
    given
}

#[tokio::test]
async fn the_rules_give_feedback_first_in_part_or_last_as_the_table_says() {
    for (turn, expected) in [
        ("first", ["review", "comment", "Issue 1", "Issue 2", "nothing"]),
        ("urgent_first", ["review", "Issue 1", "Issue 2", "comment", "nothing"]),
        ("last", ["Issue 1", "Issue 2", "review", "comment", "nothing"]),
    ] {
        assert_eq!(all_work(&server(with_turn(turn)).await).await, expected, "{turn}");
    }
}

#[tokio::test]
async fn feedback_that_waited_for_issues_says_so() {
    let server = server(with_turn("last")).await;
    for _ in 0..2 {
        assert_eq!(next_work(&server, None).await.1["kind"], "issue");
    }
    let (_, body) = next_work(&server, None).await;
    assert_eq!(body["why"], "changes requested on a pull request; there is no new issue for you", "{body}");
    let (_, recorded) = server.get("/api/decisions").await;
    assert_eq!(recorded["decisions"].as_array().unwrap().len(), 2, "who got work was not given nothing: {recorded}");
}

#[tokio::test]
async fn feedback_that_is_never_given_is_counted_with_the_reason() {
    let server = server(with_turn("never")).await;
    assert_eq!(all_work(&server).await, ["Issue 1", "Issue 2", "nothing", "nothing", "nothing"]);
    let (status, body) = next_work(&server, None).await;
    assert_eq!((status, &body["reason"]), (409, &json!("invalid_issue")), "{body}");
    let why = "2 open, 2 claimed, 2 follow-ups skipped by policy (follow_ups = \"never\")";
    assert_eq!(body["why"], why, "{body}");
    assert_eq!(body["counts"]["follow_ups_skipped"], 2, "{body}");
    assert_eq!(body["counts"]["follow_up_skip_reasons"], json!([["follow_ups = \"never\"", 2]]), "{body}");
    let waiting = server.get("/api/followups?status=queued").await.1;
    assert_eq!(waiting["followups"].as_array().unwrap().len(), 2, "they wait still: {waiting}");
    let (_, body) = server.post("/api/next", json!({ "agent_id": "a1" })).await;
    assert_eq!(body["counts"].get("follow_ups_skipped"), None, "who asks for an issue reads of issues: {body}");
}

#[tokio::test]
async fn the_same_request_gets_the_same_work_in_every_order() {
    for (turn, given) in [
        ("first", ["review", "comment", "Issue 1", "Issue 2"]),
        ("urgent_first", ["review", "Issue 1", "Issue 2", "comment"]),
        ("last", ["Issue 1", "Issue 2", "review", "comment"]),
    ] {
        let server = server(with_turn(turn)).await;
        let mut first = Vec::new();
        for id in ["r0", "r1", "r2", "r3"] {
            first.push(next_work(&server, Some(id)).await.1);
        }
        assert_eq!(first.iter().map(what).collect::<Vec<_>>(), given, "{turn}");
        // Now there is more of both: each would come to a request that begins anew.
        deliver(&server, "d3", "pull_request_review", &review_event(3, 9, "changes_requested")).await;
        let held = first.iter().find_map(|body| body["claim"]["claim_id"].as_str()).unwrap();
        let other = first.iter().filter_map(|body| body["claim"]["claim_id"].as_str()).nth(1).unwrap();
        server
            .request(reqwest::Method::DELETE, &format!("/api/claims/{other}"))
            .json(&json!({ "agent_id": "a1" }))
            .send()
            .await
            .unwrap();
        for (id, before) in ["r0", "r1", "r2", "r3"].into_iter().zip(&first) {
            let (status, again) = next_work(&server, Some(id)).await;
            if before["claim"]["claim_id"] == other {
                assert_eq!((status, &again["reason"]), (409, &json!("request_id_used")), "{turn} {id}: {again}");
                continue;
            }
            assert_eq!((status, &again["idempotent"]), (200, &json!(true)), "{turn} {id}: {again}");
            assert_eq!(again["work_item"]["work_item_id"], before["work_item"]["work_item_id"], "{turn} {id}");
            assert_eq!(again["claim"]["claim_id"], before["claim"]["claim_id"], "{turn} {id}");
        }
        assert!(first.iter().any(|body| body["claim"]["claim_id"] == held));
    }
}

#[tokio::test]
async fn a_request_sent_many_times_at_once_gets_one_piece_of_work() {
    for turn in ["first", "urgent_first", "last"] {
        let server = server(with_turn(turn)).await;
        for round in 0..4 {
            let id = format!("r{round}");
            let ask = || next_work(&server, Some(&id));
            let (a, b, c, d) = tokio::join!(ask(), ask(), ask(), ask());
            let name = |(_, body): &(u16, Value)| {
                (body["work_item"]["work_item_id"].clone(), body["claim"]["claim_id"].clone())
            };
            let names = [&a, &b, &c, &d].map(name);
            assert!(names.iter().all(|other| *other == names[0]), "{turn} {id}: {names:?}");
        }
        assert_eq!(next_work(&server, None).await.0, 409, "{turn}: four requests took four pieces");
    }
}

/// A server whose ranker is this component, told to misbehave so.
async fn with_ranker(variant: &workshop::Variant, fault: &str) -> (Server, Config, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("ranker.wasm");
    std::fs::write(&file, workshop::component(variant)).unwrap();
    let mut config = configured();
    // A machine that is busy with other tests is slow, and an honest call must not fail for it.
    (config.policies.call_ms_max, config.policies.choose_ms_max) = (2_000, 200);
    config.policies.ranker.source = file.display().to_string();
    // The trial of a policy is in an earlier year.
    let settings = json!({ "at": "choose-work", "do": fault, "from": 1_767_225_600_000_u64 });
    config.policies.ranker.settings = settings.as_object().unwrap().clone();
    (server(config.clone()).await, config, dir)
}

/// How often policies failed so far: counted up to a mark of our own, so that nothing is on its way still.
async fn failures(server: &Server, mark: &str) -> Vec<Value> {
    let manager = server.inside.api.manager();
    let mut events = manager.events_after(Some("0".parse().unwrap()));
    manager.note_rejected_config(mark.into());
    let mut failures = Vec::new();
    loop {
        let step = tokio::time::timeout(crate::server::DEADLINE, events.next()).await.expect("the mark in time");
        let EventStep::Events(step) = step.unwrap() else { continue };
        for event in step {
            match event.draft.kind {
                EventKind::PolicyFailed => failures.push(event.draft.details.clone()),
                EventKind::PolicyRejected if event.draft.details["reason"] == mark => return failures,
                _ => {}
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ranker_that_fails_leaves_feedback_first_and_is_not_asked_again_until_the_next_edit() {
    for fault in ["trap", "loop", "unknown_row_after"] {
        let (server, config, _dir) = with_ranker(&PLAIN, fault).await;
        // The component turns the issues round, in `choose`, which works on.
        assert_eq!(all_work(&server).await, ["review", "comment", "Issue 2", "Issue 1", "nothing"], "{fault}");
        assert_eq!(failures(&server, "mark 1").await.len(), 2, "{fault}: asked where there was feedback only");
        for number in 3..6 {
            let event = comment_event(number, 9, "ann", "And?");
            deliver(&server, &format!("d{number}"), "issue_comment", &event).await;
            assert_eq!(what(&next_work(&server, None).await.1), "comment", "{fault}");
        }
        let seen = failures(&server, "mark 2").await;
        assert_eq!(seen.len(), 3, "{fault}: {seen:?}");
        assert_eq!(seen[0]["part"], "ranker.choose-work", "{fault}");
        assert!(seen[0]["reason"].as_str().unwrap().ends_with("; review feedback comes first"), "{fault}: {seen:?}");
        let degraded = server.get("/api/health").await.1["health"]["degraded"].to_string();
        assert!(degraded.contains("ranker.choose-work: `choose-work`"), "{fault}: {degraded}");

        let mut edited = config;
        edited.policies.ranker.settings.insert("note".into(), json!("an edit"));
        server.inside.api.manager().apply_config(edited, std::path::Path::new("/")).await.unwrap();
        deliver(&server, "d9", "issue_comment", &comment_event(9, 9, "ann", "And?")).await;
        next_work(&server, None).await;
        assert_eq!(failures(&server, "mark 3").await.len(), 4, "{fault}: asked again after an edit");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ranker_that_fails_now_and_then_is_asked_again_and_health_tells_the_present() {
    let (server, ..) = with_ranker(&PLAIN, "trap_alone").await;
    let is_degraded = async || {
        let health = server.get("/api/health").await.1;
        health["health"]["degraded"].to_string().contains("ranker.choose-work")
    };
    assert_eq!(all_work(&server).await[..2], ["Issue 2", "Issue 1"]);
    for round in 1..=4 {
        for number in [10 * round, 10 * round + 1] {
            let event = comment_event(number, 9, "ann", "And?");
            deliver(&server, &format!("d{number}"), "issue_comment", &event).await;
        }
        assert_eq!(what(&next_work(&server, None).await.1), "comment");
        assert!(!is_degraded().await, "of two it can tell");
        assert_eq!(what(&next_work(&server, None).await.1), "comment", "the one that is left comes first");
        assert!(is_degraded().await);
    }
    // Once for the last of the first two, and once a round.
    assert_eq!(failures(&server, "mark").await.len(), 5);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ranker_is_not_asked_about_feedback_when_there_is_none() {
    let (server, ..) = with_ranker(&PLAIN, "trap").await;
    for _ in 0..2 {
        let item = server.get("/api/followups?status=queued").await.1["followups"][0].clone();
        let path = format!("/api/followups/{}", item["work_item_id"].as_str().unwrap());
        let (status, _) = server.patch(&path, json!({ "agent_id": "a2", "status": "in_progress" })).await;
        assert_eq!(status, 200);
    }
    assert_eq!(all_work(&server).await[..3], ["Issue 2", "Issue 1", "nothing"]);
    assert_eq!(failures(&server, "mark").await, [Value::Null; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ranker_built_before_it_could_say_leaves_feedback_first() {
    let (server, ..) = with_ranker(&WITHOUT_WORK_ORDER, "").await;
    assert_eq!(all_work(&server).await, ["review", "comment", "Issue 2", "Issue 1", "nothing"]);
    assert_eq!(failures(&server, "mark").await, [Value::Null; 0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ranker_may_have_strangers_feedback_wait_and_turn_it_round() {
    let (server, ..) = with_ranker(&PLAIN, "").await;
    assert_eq!(all_work(&server).await, ["Issue 2", "Issue 1", "comment", "review", "nothing"]);
}
