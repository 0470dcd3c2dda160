//! Dispatch by several servers of one PostgreSQL database. Skipped, and said so, where the machine has none.

use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use crate::fleet::{Fleet, Server};
use crate::patience::until;
use crate::postgres::Postgres;

/// Runs a statement on the database, as its administrator might.
pub async fn administer(url: &str, sql: String) {
    let url = url.to_owned();
    let run = move || postgres::Client::connect(&url, postgres::NoTls).unwrap().batch_execute(&sql).unwrap();
    spawn_blocking(run).await.unwrap();
}

/// The one number that a query comes to.
async fn count(url: &str, query: &'static str) -> i64 {
    let url = url.to_owned();
    let ask = move || {
        let mut client = postgres::Client::connect(&url, postgres::NoTls).unwrap();
        client.query_one(query, &[]).unwrap().get::<_, i64>(0)
    };
    spawn_blocking(ask).await.unwrap()
}

/// Words that runs were told to make way, ever.
const MADE_WAY: &str = "SELECT count(*) FROM events WHERE record::jsonb @> \
    '{\"type\": \"run.told\", \"details\": {\"word\": \"make_way\"}}'";
/// Words that nobody has obeyed yet.
const UNHEARD: &str = "SELECT count(*) FROM run_words";

#[tokio::test(flavor = "multi_thread")]
async fn a_run_stays_with_the_server_that_began_it_when_the_role_moves() {
    let Some(url) = spawn_blocking(|| Postgres::of_this_process().map(|server| server.database())).await.unwrap()
    else {
        return;
    };
    let Some(fleet) = Fleet::on_host("").await else { return };
    let one = fleet.serve(&["watch"], &[("DATABASE_URL", &url)]).await;
    let other = fleet.serve_elsewhere("watch", "elsewhere", "issuecommand.toml", &url).await;
    let has_roles = async |server: &Server, count: usize| {
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

    // What is new begins where a slot is free; what a server sees to is left to it.
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

/// A server that queues and has no slots of its own, and workers with some.
pub struct Crew {
    pub fleet: Fleet,
    pub database: String,
    pub foreman: Server,
}

impl Crew {
    /// The foreman; workers are asked for by name. `None` where something is missing.
    pub async fn assembled(slots: u32) -> Option<Self> {
        Self::under(slots, |text| text).await
    }

    /// One whose foreman has other settings than its workers.
    pub async fn under(slots: u32, foremans: fn(String) -> String) -> Option<Self> {
        let database = spawn_blocking(|| Postgres::of_this_process().map(|server| server.database())).await.unwrap()?;
        let fleet = Fleet::on_host("containers = { max_concurrent = 0 }").await?;
        let place = fleet.home().join("issuecommand.toml");
        let text = std::fs::read_to_string(&place).unwrap();
        let workers = text.replace("max_concurrent = 0", &format!("max_concurrent = {slots}"));
        assert_ne!(workers, text, "the foreman's file has its slots");
        std::fs::write(fleet.home().join("worker.toml"), workers).unwrap();
        std::fs::write(&place, foremans(text)).unwrap();
        let foreman = fleet.serve(&["watch"], &[("DATABASE_URL", &database)]).await;
        let in_charge = async || {
            let health = foreman.call("GET", "/api/health", Value::Null).await;
            (health["health"]["roles"].as_array()?.len() == 3).then_some(())
        };
        until("the roles", in_charge).await;
        Some(Self { fleet, database, foreman })
    }

    pub async fn worker(&self, name: &str) -> Server {
        self.fleet.serve_elsewhere("worker", name, "worker.toml", &self.database).await
    }

    /// A minute of silence of a server that says nothing any more, in no time.
    pub async fn fall_silent(&self, url: &str) {
        let silence = format!("UPDATE servers SET seen_at_ms = seen_at_ms - 120000 WHERE url = '{url}'");
        administer(&self.database, silence).await;
    }

    /// What the log of the run on an issue says, asked of the foreman.
    pub async fn log_of(&self, number: u64) -> String {
        let run = self.foreman.run_on(number).await.unwrap();
        let path = format!("/api/dispatch/runs/{}/logs?limit=1000", run["id"].as_str().unwrap());
        self.foreman.call("GET", &path, Value::Null).await["lines"].to_string()
    }

    pub async fn say(&self, number: u64, method: &str, what: &str, body: Value) -> Value {
        let run = self.foreman.run_on(number).await.unwrap();
        self.foreman.call(method, &format!("/api/dispatch/runs/{}{what}", run["id"].as_str().unwrap()), body).await
    }
}

pub fn driver(run: &Value) -> String {
    run["driver"]["dispatcher"].as_str().unwrap_or_else(|| panic!("{run}")).to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_take_what_another_server_queues_and_every_run_is_one_workers() {
    let Some(crew) = Crew::assembled(2).await else { return };
    let mut issues = Vec::new();
    // The first four keep the first worker's slots until the second is there.
    for what in ["slow", "slow", "slow", "slow", "commit", "commit", "commit"] {
        issues.push(crew.fleet.open_issue(what, &["agent"]).await);
    }
    crew.foreman.until_run_is(issues[6], &["queued"]).await;
    let (one, two) = tokio::join!(crew.worker("one"), crew.worker("two"));
    for worker in [&one, &two] {
        let health = worker.call("GET", "/api/health", Value::Null).await;
        assert_eq!(health["health"]["roles"], json!([]), "a worker does nothing for others: {health}");
    }
    let mut drivers = Vec::new();
    for number in &issues {
        let run = crew.foreman.until_run_is(*number, &["completed", "failed"]).await;
        assert_eq!((&run["status"], &run["attempts"]), (&"completed".into(), &1.into()), "{run}");
        assert_eq!(crew.fleet.pulls_for(*number).await.len(), 1);
        let log = crew.log_of(*number).await;
        assert!(log.contains("I read the issue.") && log.contains("done: http"), "the foreman shows it: {log}");
        drivers.push(driver(&run));
    }
    drivers.sort();
    drivers.dedup();
    assert_eq!(drivers.len(), 2, "both worked");
    // Slots of all servers are told by each of them.
    let full = async || {
        let status = two.call("GET", "/api/dispatch", Value::Null).await;
        (status["status"]["slots"] == 4 && status["status"]["slots_used"] == 0).then_some(())
    };
    until("four slots in all", full).await;
    for server in [one, two, crew.foreman] {
        server.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_a_worker_is_answered_stopped_and_displaced_from_elsewhere_and_outlives_it() {
    let Some(crew) = Crew::assembled(1).await else { return };
    let worker = crew.worker("one").await;

    let asks = crew.fleet.open_issue("ask", &["agent"]).await;
    crew.foreman.until_run_is(asks, &["waiting_human"]).await;
    let shown = crew.foreman.call("GET", "/api/dispatch", Value::Null).await;
    assert_eq!(shown["status"]["active"][0]["server"], worker.url(), "where it is worked on: {shown}");
    let answered = crew.say(asks, "POST", "/answer", json!({ "answer": crate::fleet::ANSWER })).await;
    assert_eq!(answered["ok"], true, "{answered}");
    crew.foreman.until_run_is(asks, &["completed"]).await;
    assert!(crew.log_of(asks).await.contains("answered: Blue it is"), "{}", crew.log_of(asks).await);

    let long = crew.fleet.open_issue("long", &["agent"]).await;
    crew.foreman.until_run_is(long, &["running"]).await;
    let critical = crew.fleet.open_issue("commit", &["agent", "priority/critical"]).await;
    crew.foreman.until_run_is(critical, &["completed"]).await;
    let run = crew.foreman.until_run_is(long, &["running"]).await;
    assert_eq!((&run["attempts"], &run["failures"]), (&2.into(), &0.into()), "it made way, and began again: {run}");

    let cancelled = crew.say(long, "DELETE", "", json!({})).await;
    assert_eq!(cancelled["run"]["status"], "failed", "{cancelled}");
    assert!(cancelled["run"]["reason"].as_str().unwrap().contains("cancelled by"), "{cancelled}");

    // A worker that ends properly goes on with its run at its next start, once the agent is at work.
    let patient = crew.fleet.open_issue("slow", &["agent"]).await;
    crew.foreman.until_run_is(patient, &["running"]).await;
    until("its first line", async || crew.log_of(patient).await.contains("I read the issue.").then_some(())).await;
    worker.stop().await;
    let worker = crew.worker("one").await;
    let run = crew.foreman.until_run_is(patient, &["completed", "failed"]).await;
    assert_eq!((&run["status"], &run["attempts"]), (&"completed".into(), &1.into()), "{run}");

    // One that dies has lost it.
    let slow = crew.fleet.open_issue("slow", &["agent"]).await;
    let run = crew.foreman.until_run_is(slow, &["running"]).await;
    let first = driver(&run);
    let url = worker.url().to_owned();
    worker.kill();
    let other = crew.worker("two").await;
    crew.fall_silent(&url).await;
    let run = crew.foreman.until_run_is(slow, &["completed", "failed"]).await;
    assert_eq!((&run["status"], &run["attempts"]), (&"completed".into(), &2.into()), "{run}");
    assert_ne!(driver(&run), first);
    assert_eq!(crew.fleet.pulls_for(slow).await.len(), 1);
    other.stop().await;
    crew.foreman.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_critical_run_displaces_one_run_of_all_servers_and_none_where_a_slot_is_free() {
    let Some(crew) = Crew::assembled(1).await else { return };
    let (one, two) = tokio::join!(crew.worker("one"), crew.worker("two"));
    let mut long = Vec::new();
    for _ in 0..2 {
        long.push(crew.fleet.open_issue("long", &["agent"]).await);
    }
    for number in &long {
        crew.foreman.until_run_is(*number, &["running"]).await;
    }
    // Until the foreman knows that both are full.
    let full = async || {
        let status = crew.foreman.call("GET", "/api/dispatch", Value::Null).await;
        (status["status"]["slots"] == 2 && status["status"]["slots_used"] == 2).then_some(())
    };
    until("no slot free", full).await;
    let critical = crew.fleet.open_issue("commit", &["agent", "priority/critical"]).await;
    crew.foreman.until_run_is(critical, &["completed"]).await;
    for number in &long {
        crew.foreman.until_run_is(*number, &["running"]).await;
    }
    // The one word goes once it was obeyed, and with nobody waiting there is no cause for another.
    until("no word left", async || (count(&crew.database, UNHEARD).await == 0).then_some(())).await;
    assert_eq!(count(&crew.database, MADE_WAY).await, 1, "one was told");
    let mut attempts = Vec::new();
    for number in &long {
        attempts.push(crew.foreman.run_on(*number).await.unwrap()["attempts"].as_u64().unwrap());
    }
    attempts.sort_unstable();
    assert_eq!(attempts, [1, 2], "one of the two made way");

    // With a third worker there is room.
    let three = crew.worker("three").await;
    let room = async || {
        let status = crew.foreman.call("GET", "/api/dispatch", Value::Null).await;
        (status["status"]["slots"] == 3).then_some(())
    };
    until("a third slot", room).await;
    let other = crew.fleet.open_issue("commit", &["agent", "priority/critical"]).await;
    crew.foreman.until_run_is(other, &["completed"]).await;
    let mut after = Vec::new();
    for number in &long {
        after.push(crew.foreman.run_on(*number).await.unwrap()["attempts"].as_u64().unwrap());
    }
    after.sort_unstable();
    assert_eq!((after, count(&crew.database, MADE_WAY).await), (attempts, 1), "nobody made way");
    for server in [one, two, three, crew.foreman] {
        server.kill();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_without_a_database_to_share_says_what_it_needs() {
    let Some(fleet) = Fleet::on_host("").await else { return };
    let refused = fleet.command(&["worker"]).output().unwrap();
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && told.contains("PostgreSQL") && told.contains("store.url"), "{told}");
}
