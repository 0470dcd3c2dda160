//! Dispatch by several servers of one PostgreSQL database. Skipped, and said so, where the machine has none.

use serde_json::Value;
use tokio::task::spawn_blocking;

use crate::fleet::{Fleet, until};
use crate::postgres::Postgres;

/// Runs a statement on the database, as its administrator might.
async fn administer(url: &str, sql: String) {
    let url = url.to_owned();
    let run = move || postgres::Client::connect(&url, postgres::NoTls).unwrap().batch_execute(&sql).unwrap();
    spawn_blocking(run).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_stays_with_the_server_that_began_it_when_the_role_moves() {
    let Some(url) = spawn_blocking(|| Postgres::of_this_process().map(|server| server.database())).await.unwrap()
    else {
        return;
    };
    let Some(fleet) = Fleet::on_host("").await else { return };
    let one = fleet.serve(&["watch"], &[("DATABASE_URL", &url)]).await;
    let other = fleet.watch_elsewhere(&url).await;
    let has_roles = async |server: &crate::fleet::Server, count: usize| {
        let health = server.call("GET", "/api/health", Value::Null).await;
        (health["health"]["roles"].as_array()?.len() == count).then_some(())
    };
    until("roles of the first", async || has_roles(&one, 3).await).await;

    let slow = fleet.open_issue("slow", &["agent"]).await;
    one.until_run_is(slow, &["running"]).await;
    let moved = format!(
        "UPDATE roles SET server = (SELECT server FROM servers WHERE url = '{}'), until_ms = until_ms + 60000",
        other.url()
    );
    administer(&url, moved).await;
    until("roles of the other", async || has_roles(&other, 3).await).await;
    let run = other.run_on(slow).await.unwrap();
    assert_eq!(run["status"], "running", "the role came too late to show anything");

    // Who has the role begins what is new, and leaves alone what another server sees to.
    let quick = fleet.open_issue("commit", &["agent"]).await;
    other.until_run_is(quick, &["completed"]).await;
    let run = other.until_run_is(slow, &["completed", "failed"]).await;
    assert_eq!((&run["status"], &run["attempts"]), (&"completed".into(), &1.into()), "{run}");
    for number in [slow, quick] {
        assert_eq!(fleet.pulls_for(number).await.len(), 1);
    }
    one.stop().await;
    other.stop().await;
}
