//! Settings that do not fit a policy's own schema, as a running server meets them.

use rusqlite::Connection;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use super::commands::{complaint, told};
use super::harness::{Home, Server, issue};
use crate::workshop::{CLOSED, PLAIN, Variant, component};

const BOUNDS: &str = "[policies]\ncall_ms_max = 5000\nchoose_ms_max = 1000\n";
const TABLE: &str =
    "[policies.ranker.settings]\nrules = [{ field = \"label\", op = \"is\", value = \"urgent\", weight = 9 }]\n";

/// A folder with two issues, the second one urgent, and a component.
async fn home(variant: &'static Variant, extra: &str) -> Home {
    let bytes = spawn_blocking(move || component(variant)).await.unwrap();
    let home = Home::new(&[issue("acme/small", 1, &[]), issue("acme/small", 2, &["urgent"])], extra);
    std::fs::write(home.path("mine.wasm"), bytes).unwrap();
    home
}

async fn sets(server: &Server, count: usize) -> Value {
    let are_there = |body: &Value| body["sets"].as_array().is_some_and(|sets| sets.len() >= count);
    server.wait_until("/api/policies/history", are_there).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_left_over_for_another_policy_is_refused_and_the_set_in_force_stays() {
    let home = home(&CLOSED, &format!("{BOUNDS}{TABLE}")).await;
    let server = home.serve();
    server.wait_for_backlog(2).await;
    home.configure(&format!("{BOUNDS}[policies.ranker]\nsource = \"mine.wasm\"\n{TABLE}"));
    let body = server.wait_until("/api/policies/effective", |body| body["rejected"].is_string()).await;
    let why = body["rejected"].as_str().unwrap();
    assert!(why.contains("[policies.ranker] \"mine.wasm\"") && why.contains("`settings.rules` is no key"), "{why}");
    let inspect = format!("`issuecommand policy inspect {}`", home.path("mine.wasm").display());
    assert!(why.contains(&inspect), "a path for whatever folder the reader is in: {why}");
    assert_eq!(body["policy"]["ranker"]["source"], "builtin:rules");
    let (_, body) = server.next("a").await;
    assert_eq!(body["issue"]["number"], 2, "by the table that is in force: {body}");

    home.configure(&format!("{BOUNDS}[policies.ranker]\nsource = \"mine.wasm\"\n"));
    let is_in_force = |body: &Value| body["policy"]["ranker"]["source"] == "mine.wasm" && body["rejected"].is_null();
    server.wait_until("/api/policies/effective", is_in_force).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn settings_that_no_schema_describes_are_taken_and_log_and_show_say_so() {
    let home = home(&PLAIN, &format!("{BOUNDS}[policies.ranker]\nsource = \"mine.wasm\"\n{TABLE}")).await;
    let words = "mine.wasm: it declares no schema of its settings, so they are not checked";
    let without_server = told(&home, &["policy", "show"], &[]);
    assert!(without_server.contains(words), "{without_server}");
    let server = home.serve_with(&[("LOG_FILE", "log.txt")]);
    server.wait_for_backlog(2).await;
    let shown = told(&home, &["policy", "show"], &[]);
    assert!(shown.contains(words), "{shown}");
    let log = std::fs::read_to_string(home.path("log.txt")).unwrap();
    assert!(log.contains(words), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_of_old_whose_settings_the_schema_refuses_is_not_put_back_and_says_why() {
    let home = home(&CLOSED, &format!("{BOUNDS}[policies.ranker]\nsource = \"mine.wasm\"\n")).await;
    let server = home.serve();
    sets(&server, 1).await;
    home.configure(&format!("{BOUNDS}{TABLE}"));
    sets(&server, 2).await;
    assert!(server.stop());
    // As a server put it in force that did not look at schemas yet.
    let database = Connection::open(home.path("claims.db")).unwrap();
    let change = "UPDATE policy_sets SET record = json_set(record, '$.ranker.settings', json(?1)) WHERE set_id = 1";
    assert_eq!(database.execute(change, [json!({ "rules": [] }).to_string()]).unwrap(), 1);
    drop(database);

    let file = || std::fs::read_to_string(home.path("issuecommand.toml")).unwrap();
    let before = file();
    let server = home.serve();
    let why = complaint(&home, &["policy", "rollback"], &[]);
    assert!(why.contains("set 1 cannot be put back, nothing was changed"), "{why}");
    assert!(why.contains("`settings.rules` is no key that it knows (it knows at, deny, do, from)"), "{why}");
    assert_eq!(file(), before);
    assert!(server.stop());
}

#[tokio::test(flavor = "multi_thread")]
async fn unchecked_settings_are_told_in_the_log_where_a_policy_fails_on_the_backlog_too() {
    let home = home(&PLAIN, BOUNDS).await;
    let server = home.serve();
    server.wait_for_backlog(2).await;
    assert!(server.stop());
    // Later than the moment of the trial, and long ago.
    let failing = "settings = { at = \"score\", do = \"trap\", from = 1780000000000 }\n";
    home.configure(&format!("{BOUNDS}[policies.ranker]\nsource = \"mine.wasm\"\n{failing}"));
    let server = home.serve_with(&[("LOG_FILE", "log.txt")]);
    server.wait_for_backlog(2).await;
    let log = std::fs::read_to_string(home.path("log.txt")).unwrap();
    assert!(log.contains("policies failed on the backlog"), "{log}");
    assert!(log.contains("mine.wasm: it declares no schema of its settings, so they are not checked"), "{log}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_environment_allows_holds_beside_a_filter_that_does_not_know_it_and_pages_say_so() {
    let bytes = spawn_blocking(|| component(&PLAIN)).await.unwrap();
    let issues = [issue("acme/small", 1, &[]), issue("other/out", 2, &[])];
    let home = Home::new(&issues, &format!("{BOUNDS}[policies.repo_filter]\nsource = \"mine.wasm\"\n"));
    std::fs::write(home.path("mine.wasm"), bytes).unwrap();
    let allowed = [("ALLOWED_REPOS", "acme/small")];
    let server = home.serve_with(&allowed);
    server.wait_for_backlog(1).await;
    let (_, body) = server.next("a").await;
    assert_eq!(body["issue"]["repo"], "acme/small", "{body}");
    let (_, body) = server.next("b").await;
    assert_eq!(body["issue"], Value::Null, "the other one is shut out: {body}");
    let body = server.wait_until("/api/policies/effective", |body| body["policy"].is_object()).await;
    assert_eq!(body["policy"]["allowed_repos"], json!(["acme/small"]));
    assert_eq!(body["policy"]["repo_filter"]["settings"], json!({}), "as the operator wrote them");
    let shown = told(&home, &["policy", "show"], &[]);
    assert!(shown.contains("and ALLOWED_REPOS acme/small"), "{shown}");
    let page = server.client.get(format!("{}/policies", server.url)).send().await.unwrap().text().await.unwrap();
    assert!(page.contains("<td>ALLOWED_REPOS</td><td class=\"settings\"><code>acme/small</code></td>"), "{page}");
    let checked = told(&home, &["config", "check"], &allowed);
    assert!(checked.contains("ALLOWED_REPOS holds beside the filter mine.wasm"), "{checked}");
    assert!(server.stop());

    let server = home.serve_with(&[("ALLOWED_REPOS", "")]);
    server.wait_for_backlog(2).await;
}
