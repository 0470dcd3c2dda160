//! What only a store of several servers promises: one order of commits for all of them, whatever happens to one of
//! them or to their connections. Skipped, and said so, where the machine has no PostgreSQL.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use issuecommand::domain::{Actor, ClaimStatus, Step};
use issuecommand::store::{
    Change, CommitObserver, InsertOutcome, KeptToken, Role, ServerBeat, Snapshot, Store, StoreError,
};
use tokio::task::spawn_blocking;

use crate::bed::{Engine as _, Keep, OnPostgres, Recorder, change, exactly, first_free, issue};
use crate::postgres::Postgres;

const PATIENCE: Duration = Duration::from_secs(30);

/// One server of a database.
struct Server {
    store: Arc<dyn Store>,
    seen: Arc<Recorder>,
}

impl Server {
    async fn of(database: &OnPostgres) -> Self {
        let seen = Arc::new(Recorder::default());
        Self { store: database.open(Keep::default(), seen.clone()).await, seen }
    }

    /// The numbers of the events that it was told of, in order, once there are `count`.
    async fn told(&self, count: usize) -> Vec<u64> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let events = self.seen.events();
            if events.len() >= count {
                return events.iter().map(|event| event.event_id.0).collect();
            }
            assert!(Instant::now() < deadline, "told of {} of {count}", events.len());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

async fn database() -> Option<OnPostgres> {
    spawn_blocking(OnPostgres::fresh).await.unwrap()
}

/// Runs a statement on the database, as its administrator might.
async fn administer(database: &OnPostgres, sql: &'static str) {
    let url = database.url().to_owned();
    let run = move || postgres::Client::connect(&url, postgres::NoTls).unwrap().batch_execute(sql).unwrap();
    spawn_blocking(run).await.unwrap();
}

async fn sync(server: &Server, numbers: std::ops::RangeInclusive<u64>) {
    let batch = issuecommand::store::IssueBatch {
        repo: crate::bed::repo(),
        issues: numbers.map(issue).collect(),
        cursor: None,
        now: crate::bed::at(0),
    };
    server.store.issue_apply(batch).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_server_is_told_of_every_commit_in_one_order() {
    const COUNT: u64 = 300;
    let Some(database) = database().await else { return };
    let servers = [Server::of(&database).await, Server::of(&database).await, Server::of(&database).await];
    sync(&servers[0], 1..=COUNT).await;
    let mut claiming = Vec::new();
    for (n, server) in servers.iter().enumerate() {
        for agent in 0..8 {
            let (store, who) = (Arc::clone(&server.store), format!("a{n}-{agent}"));
            claiming.push(tokio::spawn(async move {
                while let InsertOutcome::Granted(_) = store.claim_insert(first_free(&who, 1..=COUNT)).await.unwrap() {}
            }));
        }
    }
    for agent in claiming {
        agent.await.unwrap();
    }
    for server in &servers {
        let told = server.told(usize::try_from(COUNT).unwrap()).await;
        // In the order of commits, without a gap, its own and those of others.
        assert_eq!(told, (1..=COUNT).collect::<Vec<_>>());
    }
}

#[tokio::test]
async fn a_write_is_answered_when_all_that_was_committed_before_it_was_told() {
    let Some(database) = database().await else { return };
    let (one, two) = (Server::of(&database).await, Server::of(&database).await);
    sync(&one, 1..=50).await;
    for number in 1..=25 {
        one.store.claim_insert(exactly("a", number)).await.unwrap();
        two.store.claim_insert(exactly("b", number + 25)).await.unwrap();
        // No waiting: what one committed came before what two was answered just now.
        assert_eq!(two.seen.events().len() as u64, number * 2);
    }
}

/// Remembers what it was told anew.
#[derive(Debug, Default)]
struct Anew(Mutex<Option<Snapshot>>);

impl CommitObserver for Anew {
    fn committed(&self, _: Vec<Change>) {}

    fn replaced(&self, snapshot: Snapshot, _: Vec<KeptToken>) {
        *self.0.lock().unwrap() = Some(snapshot);
    }
}

impl Anew {
    /// What it was told; forgets it.
    async fn told(&self, why: &str) -> Snapshot {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(seen) = self.0.lock().unwrap().take() {
                return seen;
            }
            assert!(Instant::now() < deadline, "never read anew: {why}");
            // The store's own thread tells it, and rings for nobody here.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

#[tokio::test]
async fn a_server_that_cannot_be_told_one_by_one_reads_everything_anew() {
    let troubles = [
        // As if a thousand commits had come and been forgotten while it was stopped.
        "UPDATE commits SET seq = seq + 1000",
        // What a newer version wrote.
        "INSERT INTO commits (seq, changes) SELECT max(seq) + 1, '[{\"OfANewerVersion\":1}]' FROM commits",
        // A database that was put back: the number of what came last is given again.
        "DELETE FROM commits",
    ];
    for trouble in troubles {
        let Some(database) = database().await else { return };
        let one = Server::of(&database).await;
        let anew = Arc::new(Anew::default());
        let other = database.open(Keep::default(), anew.clone()).await;
        sync(&one, 1..=3).await;
        other.agent_heard(Vec::new()).await.unwrap();
        assert!(anew.0.lock().unwrap().is_none(), "so far it was told one by one");
        administer(&database, trouble).await;
        one.store.claim_insert(exactly("a", 2)).await.unwrap();
        while anew.told(trouble).await.claims.is_empty() {}
        // From there on it is told of each change again, and writes.
        other.claim_insert(exactly("b", 1)).await.unwrap();
        one.store.claim_insert(exactly("a", 3)).await.unwrap();
        other.agent_heard(Vec::new()).await.unwrap();
        assert!(anew.0.lock().unwrap().is_none(), "{trouble}");
    }
}

#[tokio::test]
async fn connections_that_are_cut_are_made_again_and_nothing_is_announced_that_was_not_committed() {
    const CUT: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
         WHERE application_name = 'issuecommand' AND datname = current_database()";
    let Some(database) = database().await else { return };
    let server = Server::of(&database).await;
    sync(&server, 1..=200).await;
    server.seen.take();
    let mut granted = 0;
    for round in 0..10u64 {
        administer(&database, CUT).await;
        for number in round * 20 + 1..=round * 20 + 20 {
            // The first after a cut may fail; the same wish is sent again, as clients do.
            while let Err(error) = server.store.claim_insert(exactly("a", number)).await {
                assert!(!matches!(error, StoreError::Closed), "{error}");
            }
            granted += 1;
        }
        assert_eq!(server.store.claim_list(Default::default()).await.map_or(granted, |claims| claims.len()), granted);
    }
    assert_eq!(server.told(granted).await.len(), granted, "each was announced, and once");
}

#[tokio::test]
async fn a_server_that_stops_inside_a_transaction_keeps_the_others_waiting_for_seconds_only() {
    let Some(database) = database().await else { return };
    let server = Server::of(&database).await;
    sync(&server, 1..=1).await;
    let url = database.url().to_owned();
    let held = spawn_blocking(move || {
        let mut client = postgres::Client::connect(&url, postgres::NoTls).unwrap();
        let stopped = "SET idle_in_transaction_session_timeout = '4s'; BEGIN; \
             SELECT pg_advisory_xact_lock(1229213776, hashtext(current_schema()))";
        client.batch_execute(stopped).unwrap();
        client
    });
    let held = held.await.unwrap();
    assert!(matches!(server.store.claim_insert(exactly("a", 1)).await, Ok(InsertOutcome::Granted(_))));
    spawn_blocking(move || drop(held)).await.unwrap();
}

#[tokio::test]
async fn a_database_that_is_gone_refuses_what_is_asked_and_is_used_again_when_it_is_back() {
    let Some(database) = spawn_blocking(|| Postgres::start().map(OnPostgres::on_its_own)).await.unwrap() else {
        return;
    };
    let server = Server::of(&database).await;
    sync(&server, 1..=9).await;
    server.store.claim_insert(exactly("a", 1)).await.unwrap();
    server.seen.take();
    let own = database.server();
    spawn_blocking(move || own.crash()).await.unwrap();
    let error = server.store.claim_insert(exactly("a", 2)).await.unwrap_err();
    assert!(matches!(error, StoreError::Failed { attempt: "insert a claim", .. }), "{error}");
    let why = std::error::Error::source(&error).unwrap().to_string();
    assert!(why.starts_with("PostgreSQL "), "{why}");
    assert!(server.seen.take().is_empty(), "a failed write is never announced");
    let own = database.server();
    spawn_blocking(move || own.recover()).await.unwrap();
    let deadline = Instant::now() + PATIENCE;
    while server.store.claim_insert(exactly("a", 2)).await.is_err() {
        assert!(Instant::now() < deadline, "it was never used again");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let held = server.store.claim_list(Default::default()).await.unwrap();
    assert_eq!(held.len(), 2, "the claim of before the crash is there");
}

fn beat(lease: Duration) -> ServerBeat {
    ServerBeat { url: "http://127.0.0.1:1".into(), dispatches: true, is_worker: false, slots_free: None, lease }
}

#[tokio::test]
async fn a_role_is_one_servers_until_it_leaves_or_falls_silent() {
    let Some(database) = database().await else { return };
    let (one, two) = (Server::of(&database).await, Server::of(&database).await);
    let minute = Duration::from_secs(60);
    assert_eq!(one.store.server_beat(beat(minute)).await.unwrap().held, Role::ALL);
    assert_eq!(two.store.server_beat(beat(minute)).await.unwrap().held, []);
    let listed = two.store.server_list(TimeDelta::minutes(1)).await.unwrap();
    let roles: Vec<_> = listed.iter().map(|server| (server.server.as_str(), server.roles.len())).collect();
    assert_eq!(roles, [(one.store.server_name(), 3), (two.store.server_name(), 0)]);
    one.store.server_leave().await.unwrap();
    assert_eq!(two.store.server_beat(beat(Duration::from_millis(50))).await.unwrap().held, Role::ALL);
    // Its lease ends: whoever asks first has the roles then, and the one who had them learns it.
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert_eq!(one.store.server_beat(beat(minute)).await.unwrap().held, Role::ALL);
    assert_eq!(two.store.server_beat(beat(minute)).await.unwrap().held, []);
}

#[tokio::test]
async fn a_worker_takes_no_role_and_keeps_none_from_others() {
    let Some(database) = database().await else { return };
    let (worker, server) = (Server::of(&database).await, Server::of(&database).await);
    let minute = Duration::from_secs(60);
    let at_work = ServerBeat { dispatches: false, is_worker: true, slots_free: Some(3), ..beat(minute) };
    assert_eq!(worker.store.server_beat(at_work.clone()).await.unwrap().held, []);
    // One that does not work on issues leaves nothing to a worker, which would not do it.
    let idle = ServerBeat { dispatches: false, ..beat(minute) };
    assert_eq!(server.store.server_beat(idle).await.unwrap().held, Role::ALL);
    let slots = async || {
        let listed = server.store.server_list(TimeDelta::minutes(1)).await.unwrap();
        listed.iter().map(|server| server.slots_free).collect::<Vec<_>>()
    };
    assert_eq!(slots().await, [Some(3), None]);
    // What becomes a worker gives up what it had.
    let reconfigured = ServerBeat { slots_free: Some(1), ..at_work };
    assert_eq!(server.store.server_beat(reconfigured).await.unwrap().held, []);
    assert_eq!(slots().await, [Some(3), Some(1)]);
    assert_eq!(worker.store.server_beat(beat(minute)).await.unwrap().held, Role::ALL);
}

#[tokio::test]
async fn a_late_owner_is_refused_by_whichever_server_it_asks() {
    let Some(database) = database().await else { return };
    let (one, two) = (Server::of(&database).await, Server::of(&database).await);
    sync(&one, 1..=1).await;
    let first = crate::bed::granted(one.store.claim_insert(exactly("a", 1)).await.unwrap()).claim;
    two.store.claim_advance(change(&first, Step::to(ClaimStatus::Released, Actor::Sweep), 1)).await.unwrap();
    let second = crate::bed::granted(two.store.claim_insert(exactly("b", 1)).await.unwrap()).claim;
    assert!(second.lease.epoch > first.lease.epoch);
    let late = change(&first, Step::to(ClaimStatus::InProgress, Actor::Owner), 2);
    assert!(matches!(one.store.claim_advance(late).await.unwrap(), issuecommand::store::AdvanceOutcome::NotFound));
    match one.store.claim_insert(exactly("a", 1)).await.unwrap() {
        InsertOutcome::HeldBy(claim) => assert_eq!(claim.agent_id.as_str(), "b", "told who has it now"),
        other => panic!("{other:?}"),
    }
}
