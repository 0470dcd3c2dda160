//! The same against a stateful GitHub that nobody here wrote, with 133 real open issues.

use std::sync::Arc;
use std::time::Duration;

use issuecommand::config::{GithubConfig, Secret};
use issuecommand::github::{GithubSource, IssueSource, SourceError};
use serde_json::json;

use crate::hand_made::{issue, source_of};
use crate::standin::{Standin, TOKEN};
use crate::world::World;

const REPO: &str = "alice/gui";

fn source(standin: &Standin, api_path: &str) -> GithubSource {
    let api_url = format!("{}{api_path}", standin.url());
    let token = Secret::new(TOKEN);
    source_of(&GithubConfig { token, api_url, requests_per_minute_max: 0, ..GithubConfig::default() }).unwrap()
}

async fn started() -> Option<Standin> {
    tokio::task::spawn_blocking(Standin::start).await.unwrap()
}

/// A repository with `count` open issues, 1 up to `count`.
async fn with_issues(standin: &Standin, count: u32) {
    standin.call("POST", "/user/repos", &json!({ "name": "gui" })).await;
    for number in 1..=count {
        standin.call("POST", "/repos/alice/gui/issues", &json!({ "title": format!("Issue {number}") })).await;
    }
}

#[tokio::test]
async fn a_real_backlog_is_synced_and_then_costs_nothing_until_it_changes() {
    let Some(standin) = started().await else { return };
    let (standin, loaded) = tokio::task::spawn_blocking(move || {
        let loaded = standin.load_history(REPO);
        (standin, loaded)
    })
    .await
    .unwrap();
    standin.reset_stats().await;
    let world = World::new(Arc::new(source(&standin, "")));
    let report = world.sync().await;
    assert!(report.went_through(), "{report:?}");
    assert_eq!((world.open(REPO).await.len(), loaded), (133, 133));

    // The second sync tags, if the backlog's own second was over when the first one read it.
    let mut costs = Vec::new();
    for _ in 0..4 {
        let before = standin.stats().await;
        let report = world.sync().await;
        let after = standin.stats().await;
        assert_eq!((report.newly_opened_issues, report.metadata_updates), (0, 0));
        let more = |key: &str| after[key].as_u64().unwrap() - before[key].as_u64().unwrap();
        costs.push((more("metered"), more("notModified"), report.repos_scanned as u64 + 1));
        if costs.last().is_some_and(|(metered, unmetered, lists)| *metered == 0 && unmetered == lists) {
            break;
        }
    }
    let last = costs.last().unwrap();
    assert_eq!((last.0, last.1), (0, last.2), "a 304 for the list, and one for each: {costs:?}");

    // Times have no finer grain than a second: what changes in that of a hundred others need not be among
    // the first hundred of the list.
    tokio::time::sleep(Duration::from_millis(1100)).await;
    world.claim("alice/gui#5").await;
    standin.call("PATCH", "/repos/alice/gui/issues/5", &json!({ "state": "closed" })).await;
    standin.call("PATCH", "/repos/alice/gui/issues/6", &json!({ "title": "Another title" })).await;
    standin.call("POST", "/repos/alice/gui/issues", &json!({ "title": "A new one" })).await;
    let report = world.sync().await;
    assert!(report.went_through(), "{report:?}");
    assert_eq!((report.newly_opened_issues, report.metadata_updates, report.externally_closed_claims), (1, 1, 1));
    assert_eq!(world.claimed().await, []);
    assert_eq!(world.store.issue_get(issue("alice/gui#6")).await.unwrap().unwrap().title, "Another title");
}

#[tokio::test]
async fn single_issues_are_read_commented_and_closed() {
    let Some(standin) = started().await else { return };
    with_issues(&standin, 1).await;
    let (source, first) = (source(&standin, "/api/v3"), issue("alice/gui#1"));
    standin.call("POST", "/repos/alice/gui/issues/1/comments", &json!({ "body": "Hm" })).await;
    let comments = source.comment_list(&first).await.unwrap();
    assert_eq!(comments.iter().map(|c| (c.author.as_str(), c.body.as_str())).collect::<Vec<_>>(), [("alice", "Hm")]);
    source.issue_close(&first).await.unwrap();
    let closed = source.issue_get(&first).await.unwrap().unwrap();
    assert_eq!(closed.state, issuecommand::domain::IssueState::Closed);
    assert_eq!(source.issue_get(&issue("alice/gui#9999")).await.unwrap(), None);
}

#[tokio::test]
async fn a_broken_read_is_repeated_and_a_limit_ends_the_run() {
    let Some(standin) = started().await else { return };
    with_issues(&standin, 2).await;
    let world = World::new(Arc::new(source(&standin, "")));
    standin.fault(&json!({ "path": "^/repos/alice/gui/issues", "reset": true })).await;
    let report = world.sync().await;
    assert!(report.went_through(), "{report:?}");

    standin.fault(&json!({ "path": "^/repos", "status": 403, "headers": { "retry-after": "60" } })).await;
    let report = world.sync().await;
    assert!(report.paused_until.is_some() && report.failures.is_empty(), "{report:?}");
    let requests = standin.stats().await["requests"].clone();
    assert!(world.sync().await.paused_until.is_some());
    assert_eq!(standin.stats().await["requests"], requests, "nothing is sent while the pause lasts");
}

#[tokio::test]
async fn a_wrong_token_is_denied() {
    let Some(standin) = started().await else { return };
    let config =
        GithubConfig { token: Secret::new("tok_nobody"), api_url: standin.url().into(), ..GithubConfig::default() };
    let error = source_of(&config).unwrap().repo_list().await.unwrap_err();
    assert!(matches!(error, SourceError::Denied { status: 401, .. }), "{error:?}");
    assert!(error.to_string().contains("check the token"));
    tokio::time::timeout(Duration::from_secs(5), standin.stats()).await.unwrap();
}

/// `cargo test --test github -- --ignored --nocapture two_hundred` prints what the stand-in counted. It has
/// no list across repositories, so each is asked by itself, as for a GitHub App.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a minute: a measurement"]
async fn two_hundred_idle_repositories_cost_nothing_and_a_changed_one_costs_its_own() {
    let Some(standin) = started().await else { return };
    const REPO_COUNT: u64 = 200;
    const CHANGED_COUNT: u64 = 2;
    let loading = tokio::task::spawn_blocking(move || {
        standin.load_bulk(200, 20);
        standin
    });
    let standin = loading.await.unwrap();
    // Its list of repositories ends at a hundred: the others are named.
    let repositories = (1..=REPO_COUNT).map(|number| format!("alice/bulk-{number:04}")).collect();
    let (token, api_url) = (Secret::new(TOKEN), standin.url().to_owned());
    let config = GithubConfig { token, api_url, repositories, requests_per_minute_max: 0, ..GithubConfig::default() };
    let world = World::new(Arc::new(source_of(&config).unwrap()));
    let mut rounds = Vec::new();
    for round in ["first", "second, which tags", "idle", "idle", "1% changed"] {
        if round == "1% changed" {
            for number in 1..=CHANGED_COUNT {
                let issue = format!("/repos/alice/bulk-000{number}/issues/1");
                standin.call("PATCH", &issue, &json!({ "title": "Another title" })).await;
            }
        }
        standin.reset_stats().await;
        let report = world.sync().await;
        assert!(report.went_through(), "{report:?}");
        let stats = standin.stats().await;
        let counted = (stats["requests"].as_u64().unwrap(), stats["metered"].as_u64().unwrap());
        eprintln!("{round}: {} requests, {} metered", counted.0, counted.1);
        rounds.push(counted);
    }
    assert!(rounds[2].0 >= REPO_COUNT, "each was asked: {rounds:?}");
    assert_eq!((rounds[2].1, rounds[3].1), (0, 0), "{rounds:?}");
    // Each changed repository; at most its own description and a page of the list with it.
    assert!((CHANGED_COUNT..=3 * CHANGED_COUNT).contains(&rounds[4].1), "{rounds:?}");
}
