//! What `store check` finds: each fault that is planted, by its place, and nothing else.

use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use issuecommand::config::StoreConfig;
use issuecommand::store::{SqlStore, check};
use rusqlite::Connection;

use crate::bed::Recorder;
use crate::copies::{Folder, blocking, contents, fill, open};

/// A fault, and what is said of it.
const PLANTED: [(&str, &str); 16] = [
    ("UPDATE lease_epochs SET epoch = 0 WHERE number = 1", "a claim whose issue never had such an epoch: "),
    ("DELETE FROM lease_epochs WHERE number = 2", "a claim whose issue never had such an epoch: "),
    ("UPDATE claims SET record = '{broken' WHERE active = 0", "a row of claims whose record cannot be read: "),
    (
        "UPDATE claims SET agent_id = 'x' WHERE active = 1",
        "a row of claims whose agent_id is not what its record says: ",
    ),
    (
        "UPDATE claims SET status = 'stale' WHERE active = 1",
        "a row of claims whose status is not what its record says: ",
    ),
    ("UPDATE claims SET number = 5 WHERE active = 1", "a row of claims whose number is not what its record says: "),
    (
        "UPDATE claims SET ended_at_ms = 7 WHERE active = 0",
        "a row of claims whose ended_at_ms is not what its record says: ",
    ),
    ("UPDATE claims SET ended_at_ms = NULL", "an ended claim without the time of its end: "),
    ("UPDATE events SET record = '{broken' WHERE seq = 2", "a row of events whose record cannot be read: 2 ("),
    (
        "UPDATE sqlite_sequence SET seq = 1 WHERE name = 'events'",
        "an event behind the last that was counted: 3, counted were 1",
    ),
    ("UPDATE decisions SET record = '{}'", "a row of decisions whose record cannot be read: "),
    ("UPDATE issue_versions SET record = '[]'", "a row of issue_versions whose record cannot be read: "),
    (
        "UPDATE issues SET labels = 'bug' WHERE number = 4",
        "a row of issues whose labels cannot be read: acme/small#4 (",
    ),
    ("INSERT INTO repos VALUES ('acme/x', 'no JSON')", "a row of repos whose record cannot be read: acme/x ("),
    (
        "INSERT INTO run_log VALUES ('r', 1, 9, '{\"seq\":2,\"at\":\"2026-01-01T00:00:00Z\",\"kind\":\"text\",\"text\":\"\"}')",
        "a row of run_log whose seq is not what its record says: r 1",
    ),
    (
        "INSERT INTO pulls VALUES ('acme/small', 9, 0, '{}')",
        "a row of pulls whose record cannot be read: acme/small#9 (",
    ),
];

#[tokio::test]
async fn every_fault_is_found_and_named() {
    let folder = Folder::new();
    drop(fill(&folder.sqlite("whole.db")).await);
    assert_eq!(faults(&folder, "").await, Vec::<String>::new());
    for (plant, told) in PLANTED {
        let found = faults(&folder, plant).await;
        assert!(found.iter().any(|fault| fault.starts_with(told)), "{plant}: {found:#?}");
    }
}

/// What is found in a copy of the store after a fault was planted there.
async fn faults(folder: &Folder, plant: &str) -> Vec<String> {
    std::fs::copy(folder.path("whole.db"), folder.path("faulty.db")).unwrap();
    Connection::open(folder.path("faulty.db")).unwrap().execute_batch(plant).unwrap();
    let config = folder.sqlite("faulty.db");
    blocking(move || check(&config)).await.unwrap()
}

#[tokio::test]
async fn many_faults_of_a_kind_are_counted() {
    let folder = Folder::new();
    drop(fill(&folder.sqlite("whole.db")).await);
    let plant = "WITH RECURSIVE n(n) AS (SELECT 1 UNION SELECT n + 1 FROM n WHERE n < 25) \
         INSERT INTO repos SELECT 'acme/' || n, '' FROM n";
    let found = faults(&folder, plant).await;
    let named = found.iter().filter(|fault| fault.starts_with("a row of repos whose record cannot be read: acme/"));
    assert_eq!(named.count(), 10);
    assert!(found.contains(&"a row of repos whose record cannot be read: 15 more".to_owned()), "{found:#?}");
}

#[tokio::test]
async fn who_looks_and_who_asks_takes_nothing_away_whatever_its_configuration_keeps() {
    let folder = Folder::new();
    let store = fill(&folder.sqlite("kept.db")).await;
    let before = contents(&store).await;
    drop(store);
    let bytes = || std::fs::read(folder.path("kept.db")).unwrap();
    let as_kept = bytes();
    let place = folder.sqlite("kept.db");
    let nothing_stays =
        StoreConfig { history_max_entries: 0, event_max_entries: 0, decision_max_entries: 0, ..place.clone() };
    let config = nothing_stays.clone();
    assert_eq!(blocking(move || check(&config)).await.unwrap(), Vec::<String>::new());
    assert!(bytes() == as_kept, "the file is another");
    blocking(move || SqlStore::open_for_command(&nothing_stays, Arc::new(Recorder::default())).map(drop))
        .await
        .unwrap();
    let store = open(&place).await;
    assert_eq!(contents(&store).await, before);
}

#[tokio::test]
async fn a_store_is_checked_while_its_server_runs() {
    let folder = Folder::new();
    let _server = fill(&folder.sqlite("claims.db")).await;
    let config = folder.sqlite("claims.db");
    assert_eq!(blocking(move || check(&config)).await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_damaged_page_is_told_with_all_else_that_is_found() {
    let folder = Folder::new();
    drop(fill(&folder.sqlite("damaged.db")).await);
    let store = Connection::open(folder.path("damaged.db")).unwrap();
    store.execute_batch("UPDATE decisions SET record = '{}'").unwrap();
    let number = |sql: &str| store.query_row(sql, [], |row| row.get::<_, i64>(0)).unwrap().unsigned_abs();
    let page = number("SELECT rootpage FROM sqlite_schema WHERE name = 'events'");
    let page_bytes = number("PRAGMA page_size");
    drop(store);
    let file = std::fs::File::options().write(true).open(folder.path("damaged.db")).unwrap();
    file.write_all_at(&vec![0xA5; usize::try_from(page_bytes).unwrap()], (page - 1) * page_bytes).unwrap();
    let config = folder.sqlite("damaged.db");
    let found = blocking(move || check(&config)).await.unwrap();
    for told in [
        "the file is damaged: ",
        "what cannot be read to its end: events (",
        "what cannot be read to its end: the newest event (",
        "a row of decisions whose record cannot be read: ",
    ] {
        assert!(found.iter().any(|fault| fault.starts_with(told)), "{told}: {found:#?}");
    }
}
