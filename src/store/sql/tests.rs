//! What only SQLite promises: its files, its lock, its refusals, its query plans (`plans.rs`). What every store
//! promises is tested by the conformance suite, tests/store.

#![allow(clippy::unwrap_used)]

mod plans;

use std::path::Path;
use std::sync::Mutex;

use chrono::TimeDelta;
use futures_util::future::join_all;
use rusqlite::Connection;

use super::super::{Change, ClaimFilter, ClaimWish, InsertOutcome, IssueBatch, Store, Wanted};
use super::*;
use crate::domain::{Issue, IssueNumber, IssueState, from_unix_ms};

/// Remembers the changes of each commit.
#[derive(Debug, Default)]
struct Recorder(Mutex<Vec<Vec<Change>>>);

impl CommitObserver for Recorder {
    fn committed(&self, changes: Vec<Change>) {
        self.0.lock().unwrap().push(changes);
    }
}

impl Recorder {
    fn commits(&self) -> Vec<Vec<Change>> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

fn config(directory: &Path) -> StoreConfig {
    StoreConfig { path: directory.join("claims.db"), ..StoreConfig::default() }
}

fn open(config: &StoreConfig) -> Result<SqlStore, StoreError> {
    SqlStore::open(config, Arc::new(Recorder::default()))
}

/// The whole chain of an error, as it is logged.
fn story(error: &StoreError) -> String {
    let mut text = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(error) = source {
        text.push_str(&format!(": {error}"));
        source = error.source();
    }
    text
}

fn refusal(config: &StoreConfig) -> String {
    story(&open(config).expect_err("it should be refused"))
}

fn issue(number: u64) -> Issue {
    Issue {
        repo: "acme/small".parse().unwrap(),
        number: IssueNumber::new(number).unwrap(),
        title: format!("Issue {number}"),
        body: "b".repeat(2000),
        state: IssueState::Open,
        labels: vec!["bug".into()],
        assignees: Vec::new(),
        milestone: None,
        comments: Vec::new(),
        created_at: from_unix_ms(0),
        updated_at: from_unix_ms(0),
        url: String::new(),
        author: "ann".into(),
        author_association: "MEMBER".into(),
        comment_count: 0,
        reaction_count: 0,
        open_blocker_count: None,
    }
}

fn batch(numbers: impl IntoIterator<Item = u64>) -> IssueBatch {
    let issues = numbers.into_iter().map(issue).collect();
    IssueBatch { repo: "acme/small".parse().unwrap(), issues, cursor: None, now: from_unix_ms(0) }
}

fn wish(number: u64) -> ClaimWish {
    ClaimWish {
        agent: "a1".parse().unwrap(),
        wanted: Wanted::Exactly(issue(number).issue_ref()),
        request_id: None,
        lease: TimeDelta::minutes(1),
        decision: None,
        now: from_unix_ms(0),
    }
}

#[test]
fn a_server_waits_for_a_command_that_has_the_database_for_a_moment() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path());
    let command = SqlStore::open_for_command(&config, Arc::new(Recorder::default())).unwrap();
    let begins = std::thread::spawn({
        let config = config.clone();
        move || open(&config)
    });
    assert!(SqlStore::open_for_command(&config, Arc::new(Recorder::default())).is_err(), "it has the database still");
    command.close();
    drop(begins.join().unwrap().unwrap());
}

#[test]
fn a_second_server_is_refused_by_whatever_name_it_calls_the_database() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path());
    let first = open(&config).unwrap();
    first.note_address(&config, "http://127.0.0.1:3100").unwrap();
    assert!(matches!(open(&config), Err(StoreError::InUse { .. })));
    let link = directory.path().join("other.db");
    std::os::unix::fs::symlink(&config.path, &link).unwrap();
    let by_link = StoreConfig { path: link, ..config.clone() };
    let error = open(&by_link).unwrap_err();
    assert!(matches!(&error, StoreError::InUse { path } if path.ends_with("claims.db")), "{error}");
    first.close();
    drop(open(&by_link).unwrap());
    drop(open(&config).unwrap());
}

#[test]
fn a_new_database_is_its_owners_alone() {
    use std::os::unix::fs::PermissionsExt;
    let directory = tempfile::tempdir().unwrap();
    let _store = open(&config(directory.path())).unwrap();
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", entry.file_name());
    }
}

#[test]
fn durability_rests_on_settings_that_took_effect() {
    let directory = tempfile::tempdir().unwrap();
    let opened = sqlite::open(&config(directory.path())).unwrap();
    let pragma = |name| opened.connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0)).unwrap();
    let journal: String = opened.connection.pragma_query_value(None, "journal_mode", |row| row.get(0)).unwrap();
    assert_eq!((journal.as_str(), pragma("synchronous"), pragma("foreign_keys")), ("wal", 2, 1));
    assert_eq!(pragma("busy_timeout"), 5000);
    let reader = sqlite::reading_connection(&opened.path, opened.busy_timeout).unwrap();
    assert!(reader.execute("DELETE FROM agents", []).is_err(), "a reader cannot write");
}

#[test]
fn a_journal_that_a_crash_would_lose_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    for mode in ["OFF", "memory", "", "wal; DROP TABLE claims"] {
        let config = StoreConfig { journal_mode: mode.into(), ..config(directory.path()) };
        let text = refusal(&config);
        assert!(text.contains("use WAL, DELETE, TRUNCATE or PERSIST"), "{text}");
    }
}

#[tokio::test]
async fn every_permitted_journal_mode_works_with_reads_beside_writes() {
    for mode in ["WAL", "delete", "Truncate", "persist"] {
        let directory = tempfile::tempdir().unwrap();
        let store = open(&StoreConfig { journal_mode: mode.into(), ..config(directory.path()) }).unwrap();
        store.issue_apply(batch(1..=20)).await.unwrap();
        let work = (1..=20).map(async |number| {
            store.claim_insert(wish(number)).await.unwrap();
            store.claim_list(ClaimFilter::default()).await.unwrap().len()
        });
        let most = join_all(work).await.into_iter().max();
        assert_eq!(most, Some(20), "{mode}");
    }
}

#[test]
fn a_database_of_a_newer_version_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path());
    drop(open(&config).unwrap());
    let newer = "INSERT INTO refinery_schema_history VALUES (999, 'later', '2030-01-01T00:00:00Z', '1')";
    Connection::open(&config.path).unwrap().execute(newer, []).unwrap();
    let text = refusal(&config);
    assert!(text.contains("newer issuecommand (schema 999"), "{text}");
}

#[test]
fn the_database_of_another_program_is_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    let config = config(directory.path());
    Connection::open(&config.path).unwrap().execute("CREATE TABLE claims (id TEXT)", []).unwrap();
    let text = refusal(&config);
    assert!(text.contains("another program"), "{text}");
}

#[test]
fn a_missing_directory_is_named() {
    let text = refusal(&StoreConfig { path: "/nowhere/at/all/claims.db".into(), ..StoreConfig::default() });
    assert!(text.starts_with("failed to open the database: /nowhere/at/all/claims.db"), "{text}");
}

#[tokio::test]
async fn a_closed_store_says_so_and_closing_twice_is_harmless() {
    let directory = tempfile::tempdir().unwrap();
    let store = open(&config(directory.path())).unwrap();
    store.close();
    store.close();
    assert!(matches!(store.claim_insert(wish(1)).await, Err(StoreError::Closed)));
    assert!(matches!(store.snapshot_load().await, Err(StoreError::Closed)));
}

#[tokio::test]
async fn waiting_writes_share_commits() {
    let directory = tempfile::tempdir().unwrap();
    let seen = Arc::new(Recorder::default());
    let store = SqlStore::open(&config(directory.path()), seen.clone()).unwrap();
    store.issue_apply(batch(1..=200)).await.unwrap();
    seen.commits();
    // All are queued before the first is answered: the writer is held up by the first commit.
    join_all((1..=200).map(|number| store.claim_insert(wish(number)))).await;
    let commits = seen.commits();
    assert_eq!(commits.iter().map(Vec::len).sum::<usize>(), 400);
    assert!(commits.len() <= 100, "{} commits for 200 claims", commits.len());
}

#[tokio::test]
async fn a_full_disk_refuses_loses_nothing_and_goes_on_when_space_returns() {
    let directory = tempfile::tempdir().unwrap();
    let seen = Arc::new(Recorder::default());
    let store = SqlStore::open(&config(directory.path()), seen.clone()).unwrap();
    store.issue_apply(batch([1, 2])).await.unwrap();
    let pages = async |count_max: i64| {
        let sql = format!("PRAGMA max_page_count = {count_max}");
        let set = move |txn: &mut writer::WriteTxn<'_>| txn.connection.query_row(&sql, (), |row| row.get::<i64>(0));
        store.writer.write("limit pages", set).await.unwrap();
    };
    assert!(matches!(store.claim_insert(wish(1)).await.unwrap(), InsertOutcome::Granted(_)));
    seen.commits();

    pages(1).await; // SQLite takes the present size instead: not one page more.
    let error = store.issue_apply(batch(10..=200)).await.unwrap_err();
    assert!(story(&error).contains("full"), "{}", story(&error));
    assert!(seen.commits().is_empty(), "nothing is announced");
    assert_eq!(store.snapshot_load().await.unwrap().issues.len(), 2);
    assert!(matches!(store.claim_insert(wish(1)).await.unwrap(), InsertOutcome::Already(_)));

    pages(1_000_000).await;
    assert_eq!(store.issue_apply(batch(10..=200)).await.unwrap().newly_opened, 191);
    assert!(matches!(store.claim_insert(wish(10)).await.unwrap(), InsertOutcome::Granted(_)));
    assert_eq!(store.claim_list(ClaimFilter::default()).await.unwrap().len(), 2);
}

/// A foreign key that is checked at COMMIT only: the one refusal that no write of the batch meets.
#[tokio::test]
async fn a_refused_commit_fails_its_whole_batch_and_announces_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let seen = Arc::new(Recorder::default());
    let store = SqlStore::open(&config(directory.path()), seen.clone()).unwrap();
    store.issue_apply(batch(1..=3)).await.unwrap();
    seen.commits();
    let orphan = |txn: &mut writer::WriteTxn<'_>| {
        txn.connection.run("PRAGMA defer_foreign_keys = true")?;
        txn.connection.execute("INSERT INTO issue_bodies VALUES ('acme/none', 1, '')", ())
    };
    // The first write holds the writer until the two others wait together, for the next commit.
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let (release, go_on) = std::sync::mpsc::channel();
    let first = store.writer.write("wait", move |_| {
        let _ = begun.send(());
        let _ = go_on.recv();
        Ok(())
    });
    let others = async {
        has_begun.await.unwrap();
        tokio::join!(store.claim_insert(wish(2)), store.writer.write("orphan", orphan), async {
            tokio::task::yield_now().await;
            release.send(()).unwrap();
        })
    };
    let (first, (claim, orphaned, ())) = tokio::join!(first, others);
    first.unwrap();
    let (claim, orphaned) = (claim.unwrap_err(), orphaned.unwrap_err());
    assert!(story(&claim).starts_with("failed to insert a claim: FOREIGN KEY"), "{}", story(&claim));
    assert!(story(&orphaned).starts_with("failed to orphan: FOREIGN KEY"), "{}", story(&orphaned));
    assert!(seen.commits().is_empty(), "nothing is announced");
    assert!(store.claim_list(ClaimFilter::default()).await.unwrap().is_empty());
    assert!(matches!(store.claim_insert(wish(2)).await.unwrap(), InsertOutcome::Granted(_)));
}
