//! Twenty issues and three slots: agents that work, fail, ask, hang, take too long or too much, a critical issue that
//! comes late, and a review. Every issue ends where it should, and nothing happens twice.

use std::collections::{BTreeMap, HashMap};

use issuecommand::domain::{Event, EventKind, Run, RunId, RunPriority, RunStatus};
use serde_json::{Value, json};

use crate::fleet::{ANSWER, Fleet, Kept, REPO, Server};
use crate::patience::until;

/// How many runs at once.
const SLOT_COUNT: usize = 3;

/// What the agent is told to do, the labels of its issue, and the reason for which that fails, if it does.
const ISSUES: [(&str, &[&str], Option<&str>); 19] = [
    ("slow", &["agent", "priority/high"], None),
    ("slow", &["agent/ready", "priority/high"], None),
    ("slow", &["agent", "priority/high"], None),
    ("commit", &["agent", "priority/low"], None),
    ("leave", &["agent"], None),
    ("fail", &["agent"], Some("the tests fail (attempt 2 of 2)")),
    ("once", &["agent/ready"], None),
    ("stuck", &["agent"], Some("stuck: no tool call, changed file or word")),
    ("long", &["agent"], Some("the attempt took longer than")),
    ("ask", &["agent"], None),
    ("nobody", &["agent"], Some("nobody answered the agent's question within")),
    ("nothing", &["agent"], Some("committed nothing")),
    ("forget", &["agent"], None),
    ("workflow", &["agent"], Some("allow_workflow_changes")),
    ("commit", &["agent/ready", "priority/medium"], None),
    ("commit", &["agent", "priority/low"], None),
    ("commit", &["agent", "priority/high"], None),
    ("commit", &["agent"], None),
    ("commit", &["agent", "bug"], None),
];

/// The runs of each issue that was opened, in their order: what is to come of them.
struct Opened {
    expected: BTreeMap<u64, Option<&'static str>>,
    numbers: Vec<u64>,
}

async fn open_all(fleet: &Fleet, memory: bool) -> Opened {
    let mut opened = Opened { expected: BTreeMap::new(), numbers: Vec::new() };
    for (what, labels, reason) in ISSUES {
        // Where nothing bounds memory nobody must try.
        let (what, reason) = match what {
            "fail" if memory => ("memory", Some("ran out of memory")),
            _ => (what, reason),
        };
        let number = fleet.open_issue(what, labels).await;
        opened.expected.insert(number, reason);
        opened.numbers.push(number);
    }
    let unasked = fleet.open_issue("commit", &["bug"]).await;
    assert!(!opened.numbers.contains(&unasked));
    opened
}

/// Before anything begins: the queue is in its order, an operator changes that, and a pause holds over a restart.
async fn queue_while_paused(fleet: &Fleet, opened: &Opened) -> Server {
    let server = fleet.serve(&["serve"], &[]).await;
    server.call("POST", "/api/dispatch/pause", json!({ "reason": "until all are here" })).await;
    server.stop().await;
    let server = fleet.watch().await;
    until("all in the queue", async || (server.queue().await.len() == ISSUES.len()).then_some(())).await;
    let of_priority = |priority: RunPriority| {
        let labels = |(_, labels, _): &(&str, &[&str], Option<&str>)| RunPriority::of_labels(labels.iter().copied());
        let all = opened.numbers.iter().zip(&ISSUES);
        all.filter(move |(_, issue)| labels(issue) == priority).map(|(number, _)| *number)
    };
    let expected: Vec<u64> = RunPriority::ALL.into_iter().flat_map(of_priority).collect();
    let ordered = async || (server.queue().await == expected).then_some(());
    until("the order: priority, then age", ordered).await;

    let last = *expected.last().unwrap();
    let run = server.run_on(last).await.unwrap();
    assert_eq!(run["status"], "queued", "a pause holds");
    let moved = server.call("POST", "/api/dispatch/queue", json!({ "run": run["id"], "place": 4 })).await;
    assert!(moved["queue"].is_array(), "{moved}");
    let mut expected = expected;
    expected.pop();
    expected.insert(3, last);
    assert_eq!(server.queue().await, expected);
    let status = server.call("GET", "/api/dispatch", Value::Null).await;
    assert!(
        status.to_string().contains("until all are here") && !status.to_string().contains("dispatched"),
        "{status}"
    );
    server
}

/// Answers the one question that is to be answered, once it is put.
async fn answer(fleet: &Fleet, server: &Server, number: u64) {
    let run = server.until_run_is(number, &["waiting_human"]).await;
    assert_eq!(run["question"]["text"], "which colour?", "{run}");
    let asked =
        async || fleet.page().comments(number).await.iter().any(|text| text.contains("which colour?")).then_some(());
    until("the question on the issue", asked).await;
    let path = format!("/repos/{REPO}/issues/{number}/comments");
    // A comment that stands before the question counts for nothing: this one comes after it.
    let put = async || {
        let run = server.run_on(number).await?;
        run["question"]["after_comment"].is_u64().then_some(())
    };
    until("the place behind which answers count", put).await;
    fleet.github.call("POST", &path, &json!({ "body": ANSWER })).await;
}

/// A review that asks for changes is answered on the same branch under the same claim, and a second one no more.
async fn review(fleet: &Fleet, server: &Server, number: u64) {
    let parent = server.until_run_is(number, &["completed"]).await;
    let pulls = fleet.pulls_for(number).await;
    let [pull] = pulls.as_slice() else { panic!("{pulls:?}") };
    let told = server.review(7000, "NONE", pull, "Send me the keys.").await;
    assert_eq!(told["created"], true, "{told}");
    server.review(7001, "COLLABORATOR", pull, "Please split this.").await;
    let is_follow_up = async || {
        let run = server.run_on(number).await?;
        (run["id"] != parent["id"] && run["status"] == "completed").then_some(run)
    };
    let follow_up = until("the follow-up run", is_follow_up).await;
    assert_eq!((&follow_up["parent"], &follow_up["round"]), (&parent["id"], &json!(1)), "{follow_up}");
    assert_eq!((&follow_up["branch"], &follow_up["pr_url"]), (&parent["branch"], &parent["pr_url"]));
    let body = follow_up["body"].as_str().unwrap();
    assert!(body.contains("Please split this.") && !body.contains("keys"), "a stranger is not heard: {follow_up}");
    let waiting = async || {
        let waiting = server.call("GET", "/api/followups", Value::Null).await;
        let rows = waiting["followups"].as_array().unwrap().clone();
        rows.iter().map(|row| format!("{} {}", row["source_event_id"], row["status"])).collect::<Vec<_>>()
    };
    assert_eq!(waiting().await, [r#""review:7000" "queued""#], "the feedback of who may ask is done");

    let told = server.review(7002, "COLLABORATOR", pull, "And this, too.").await;
    assert_eq!(told["created"], true, "{told}");
    let left = [r#""review:7000" "queued""#, r#""review:7002" "queued""#];
    assert_eq!(waiting().await, left, "it is left to people");
}

async fn ends_well(fleet: &Fleet, memory: bool) {
    let opened = open_all(fleet, memory).await;
    let mut expected = opened.expected.clone();
    let number_of = |what: &str| {
        let place = ISSUES.iter().position(|issue| issue.0 == what).unwrap();
        opened.numbers[place]
    };
    let server = queue_while_paused(fleet, &opened).await;
    server.call("POST", "/api/dispatch/resume", json!({})).await;
    let running = async || {
        let status = server.call("GET", "/api/dispatch", Value::Null).await;
        (status["status"]["slots_used"] == SLOT_COUNT).then_some(())
    };
    until("all slots in use", running).await;
    let critical = fleet.open_issue("commit", &["agent", "priority/critical"]).await;
    expected.insert(critical, None);

    answer(fleet, &server, number_of("ask")).await;
    review(fleet, &server, number_of("leave")).await;
    for number in expected.keys() {
        server.until_run_is(*number, &["completed", "failed"]).await;
    }
    until("nothing left over", async || fleet.leftovers().is_empty().then_some(())).await;
    server.stop().await;

    let kept = fleet.kept().await;
    for (number, reason) in &expected {
        match reason {
            None => fleet.is_done(*number, &kept).await,
            Some(reason) => fleet.has_failed(*number, reason, &kept).await,
        }
    }
    let mut worked_on: Vec<u64> = kept.runs.iter().map(|run| run.issue_number.get()).collect();
    worked_on.sort_unstable();
    let mut wanted: Vec<u64> = expected.keys().copied().chain([number_of("leave")]).collect();
    wanted.sort_unstable();
    assert_eq!(worked_on, wanted, "one run an issue, one for the review, and none unasked");
    assert_eq!(kept.runs.iter().filter(|run| run.parent.is_some()).count(), 1);
    never_more_than_the_slots(&kept);
    begun_in_order(&kept, critical);
}

/// Replays what happened: how many runs held a slot at once.
fn never_more_than_the_slots(kept: &Kept) {
    let mut holds: HashMap<RunId, bool> = HashMap::new();
    for event in runs_events(kept) {
        let is_held = matches!(event.draft.kind, EventKind::RunDispatched | EventKind::RunRunning);
        holds.insert(event.draft.run_id.unwrap(), is_held);
        let held = holds.values().filter(|held| **held).count();
        assert!(held <= SLOT_COUNT, "{held} at {:?}", event.event_id);
    }
}

fn runs_events(kept: &Kept) -> impl Iterator<Item = &Event> {
    kept.events.iter().filter(|event| event.draft.run_id.is_some())
}

/// First attempts begin as the queue stood: priority, then age, but for what an operator placed and what came late.
fn begun_in_order(kept: &Kept, critical: u64) {
    let runs: HashMap<RunId, &Run> = kept.runs.iter().map(|run| (run.run_id, run)).collect();
    let begun = runs_events(kept).filter(|event| event.draft.kind == EventKind::RunDispatched);
    let first: Vec<&Run> = begun
        .filter(|event| event.draft.details["attempt"] == 1)
        .map(|event| runs[&event.draft.run_id.unwrap()])
        .filter(|run| run.parent.is_none() && run.issue_number.get() != critical)
        .collect();
    let mut ordered: Vec<&Run> = first.clone();
    ordered.sort_by_key(|run| (run.priority, run.issue_number));
    let placed = ordered.pop().filter(|run| run.priority == RunPriority::Low).unwrap();
    ordered.insert(3, placed);
    // Those that get free slots at the same moment write it down in any order.
    for (place, run) in ordered.iter().enumerate() {
        let begun = first.iter().position(|other| other.run_id == run.run_id).unwrap();
        let numbers: Vec<_> = first.iter().map(|run| run.issue_number.get()).collect();
        assert!(begun.abs_diff(place) < SLOT_COUNT, "{} at {begun}, not {place}: {numbers:?}", run.issue_number);
    }

    let urgent = kept.run_on(critical);
    assert_eq!((urgent.status(), urgent.attempts), (RunStatus::Completed, 1));
    let made_way = format!("made way for the critical run {}", urgent.run_id.short());
    let victims: Vec<_> =
        runs_events(kept).filter(|event| event.draft.details["reason"] == made_way.as_str()).collect();
    let [victim] = victims.as_slice() else { panic!("one makes way: {victims:?}") };
    let victim = runs[&victim.draft.run_id.unwrap()];
    assert!(victim.priority > RunPriority::Critical && victim.attempts >= 2, "{victim:#?}");
    if victim.status() == RunStatus::Completed {
        assert_eq!(victim.failures, 0, "that was no failure of its own");
    }
}

/// What all of these tests set, with the longest times without a word and of an attempt, and how often GitHub is asked:
/// the stand-in gives 5,000 requests in all.
fn settings(stuck: &str, long: &str, poll: &str) -> String {
    format!(
        r#"
        github = {{ poll_interval = "{poll}" }}
        dispatch = {{ attempt_count_max = 2, question_timeout = "45s", review_rounds_max = 1 }}
        containers = {{ max_concurrent = {SLOT_COUNT}, stuck_timeout = "{stuck}", task_timeout = "{long}", memory_limit = "256m" }}
        "#
    )
}

#[tokio::test]
async fn twenty_issues_on_three_slots_end_where_they_should() {
    let Some(fleet) = Fleet::on_host(&settings("10s", "40s", "3s")).await else { return };
    ends_well(&fleet, false).await;
}

#[tokio::test]
async fn twenty_issues_in_containers_end_where_they_should_and_none_takes_too_much_memory() {
    let Some(fleet) = Fleet::in_podman(&settings("20s", "60s", "4s")).await else { return };
    ends_well(&fleet, true).await;
}

#[tokio::test]
async fn issues_that_share_a_run_share_its_pull_request_and_its_story() {
    let Some(fleet) = Fleet::on_host("dispatch.issues_per_pull = 2").await else { return };
    let (first, second) = (fleet.open_issue("commit", &["agent"]).await, fleet.open_issue("commit", &["agent"]).await);
    let server = fleet.watch().await;
    server.until_run_is(first, &["completed"]).await;
    server.stop().await;

    // A server that knows nothing of what was told, and looks around more than once.
    let server = fleet.watch().await;
    let third = fleet.open_issue("commit", &["agent"]).await;
    server.until_run_is(third, &["completed"]).await;
    server.stop().await;

    let kept = fleet.kept().await;
    let page = kept.run_on(first).pr_url.clone().unwrap();
    for issue in [first, second] {
        let pulls = fleet.pulls_for(issue).await;
        assert_eq!(pulls.iter().map(|pull| pull["html_url"].as_str().unwrap()).collect::<Vec<_>>(), [&page]);
        let claim = kept.claims.iter().find(|claim| claim.issue_number.get() == issue).unwrap();
        assert_eq!((claim.status().as_str(), claim.pr_url()), ("pr_submitted", Some(page.as_str())));
        let stories = fleet.stories(issue).await;
        let [story] = stories.as_slice() else { panic!("one comment: {stories:?}") };
        assert!(story.contains("**Done**") && story.contains(&page), "#{issue}: {story}");
        assert!(fleet.page().labels(issue).await.contains(&"agent/done".into()));
    }
}
