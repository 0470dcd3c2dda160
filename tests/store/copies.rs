//! Backups, the way back, and the way from SQLite to PostgreSQL and back: nothing is lost, and counting goes on.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use issuecommand::config::{Secret, StoreConfig};
use issuecommand::domain::{Actor, ClaimStatus, Step};
use issuecommand::store::{CommitObserver, Snapshot, SqlStore, Store, StoreError, backup, migrate, restore};
use tokio::task::spawn_blocking;

use crate::bed::{Recorder, change, decision_on, exactly, granted, issue, named};
use crate::postgres::Postgres;

struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn sqlite(&self, name: &str) -> StoreConfig {
        StoreConfig { path: self.path(name), ..StoreConfig::default() }
    }
}

async fn open(config: &StoreConfig) -> Arc<SqlStore> {
    let config = config.clone();
    let opening =
        spawn_blocking(move || SqlStore::open(&config, Arc::new(Recorder::default()) as Arc<dyn CommitObserver>));
    Arc::new(opening.await.unwrap().unwrap())
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    spawn_blocking(work).await.unwrap()
}

/// A store with something of most kinds in it.
async fn fill(config: &StoreConfig) -> Arc<SqlStore> {
    let store = open(config).await;
    let issues: Vec<_> = (1..=5).map(issue).collect();
    let batch = issuecommand::store::IssueBatch {
        repo: crate::bed::repo(),
        issues: issues.clone(),
        cursor: None,
        now: crate::bed::at(0),
    };
    store.issue_apply(batch).await.unwrap();
    let mut wish = named(exactly("a1", 1), "r1");
    wish.decision = Some(decision_on("a1", &issues));
    granted(store.claim_insert(wish).await.unwrap());
    let past = granted(store.claim_insert(exactly("a2", 2)).await.unwrap()).claim;
    store.claim_advance(change(&past, Step::to(ClaimStatus::Released, Actor::Owner), 1)).await.unwrap();
    store.policy_component_keep("d".into(), vec![0, 159, 146, 150]).await.unwrap();
    store.agent_heard(vec![("a1".parse().unwrap(), crate::bed::at(3))]).await.unwrap();
    store
}

/// Everything that can be read of a store, as text.
async fn contents(store: &SqlStore) -> String {
    // Which commit of which fleet it was is nothing that is kept.
    let snapshot = Snapshot { commit_seq: 0, ..store.snapshot_load().await.unwrap() };
    let events = store.event_list_after(issuecommand::domain::EventSeq(0), 1000).await.unwrap();
    let history = store.claim_history(Default::default(), None, 100).await.unwrap();
    let decisions = store.decision_list(Default::default(), 100).await.unwrap();
    let component = store.policy_component_piece("d".into(), 0).await.unwrap();
    let details = store.decision_get(decisions[0].decision_id).await.unwrap();
    format!("{snapshot:#?}\n{events:#?}\n{history:#?}\n{decisions:#?}\n{component:?}\n{details:#?}")
}

fn nothing(_: u64, _: u64) {}

#[tokio::test]
async fn a_backup_is_written_while_a_server_writes_and_restored_whole() {
    let folder = Folder::new();
    let store = fill(&folder.sqlite("claims.db")).await;
    let (config, file) = (folder.sqlite("claims.db"), folder.path("backup.db"));
    let before = contents(&store).await;
    let mut shown = Vec::new();
    let (rows, shown) = blocking(move || {
        let rows = backup(&config, &file, &mut |done, total| shown.push((done, total))).unwrap();
        (rows, shown)
    })
    .await;
    assert_eq!(shown.last(), Some(&(rows, rows)));
    // What comes after it is not in it.
    granted(store.claim_insert(exactly("a3", 3)).await.unwrap());
    is_one_private_file(&folder.path("backup.db"));

    let (config, file) = (folder.sqlite("restored.db"), folder.path("backup.db"));
    assert_eq!(blocking(move || restore(&config, &file, &mut nothing)).await.unwrap(), rows);
    let restored = open(&folder.sqlite("restored.db")).await;
    assert_eq!(contents(&restored).await, before);
    assert_eq!(restored.check().await.unwrap(), Vec::<String>::new());
    // Numbers go on behind those that were given.
    let claim = granted(restored.claim_insert(exactly("a9", 2)).await.unwrap()).claim;
    assert_eq!(claim.lease.epoch, 2);
    let last = restored.event_list_after(issuecommand::domain::EventSeq(0), 1000).await.unwrap().pop().unwrap();
    assert_eq!(last.event_id.0, 4);
}

fn is_one_private_file(file: &Path) {
    use std::os::unix::fs::PermissionsExt as _;
    assert_eq!(std::fs::metadata(file).unwrap().permissions().mode() & 0o777, 0o600);
    let beside = std::fs::read_dir(file.parent().unwrap()).unwrap();
    let names: Vec<_> = beside.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    assert!(!names.iter().any(|name| name.starts_with("backup.db.") || name.starts_with("backup.db-")), "{names:?}");
}

#[tokio::test]
async fn a_backup_overwrites_nothing_and_is_restored_over_nothing() {
    let folder = Folder::new();
    drop(fill(&folder.sqlite("claims.db")).await);
    let refused = |result: Result<u64, StoreError>, why: &str| {
        let error = result.unwrap_err();
        let told = format!("{error}: {}", std::error::Error::source(&error).unwrap());
        assert!(told.contains(why), "{told}");
    };
    let (config, file) = (folder.sqlite("claims.db"), folder.path("backup.db"));
    blocking(move || backup(&config, &file, &mut nothing)).await.unwrap();
    let (config, file) = (folder.sqlite("claims.db"), folder.path("backup.db"));
    let (twice, over) =
        blocking(move || (backup(&config, &file, &mut nothing), restore(&config, &file, &mut nothing))).await;
    refused(twice, "is there already");
    refused(over, "holds something already");
    std::fs::write(folder.path("text.db"), "no database at all, whatever its name says").unwrap();
    let (config, file) = (folder.sqlite("new.db"), folder.path("text.db"));
    refused(blocking(move || restore(&config, &file, &mut nothing)).await, "is no database of issuecommand");
}

#[tokio::test]
async fn a_store_moves_to_postgres_and_back_and_loses_nothing() {
    let Some(url) = blocking(|| Postgres::of_this_process().map(|server| server.database())).await else { return };
    let folder = Folder::new();
    let store = fill(&folder.sqlite("claims.db")).await;
    let before = contents(&store).await;
    drop(store);
    let both = StoreConfig { url: Secret::new(url), ..folder.sqlite("claims.db") };
    let config = both.clone();
    blocking(move || migrate(&config, true, &mut nothing)).await.unwrap();
    let moved = open(&both).await;
    assert_eq!(contents(&moved).await, before);
    assert_eq!(moved.check().await.unwrap(), Vec::<String>::new());
    granted(moved.claim_insert(exactly("a4", 4)).await.unwrap());
    let grown = contents(&moved).await;
    let back = StoreConfig { path: folder.path("back.db"), ..both.clone() };
    blocking(move || migrate(&back, false, &mut nothing)).await.unwrap();
    let back = open(&folder.sqlite("back.db")).await;
    assert_eq!(contents(&back).await, grown);
    let again = blocking(move || migrate(&both, true, &mut nothing)).await;
    assert!(again.is_err(), "it holds something already");
}

#[tokio::test]
async fn damage_is_found_and_named() {
    let folder = Folder::new();
    drop(fill(&folder.sqlite("claims.db")).await);
    let file = rusqlite::Connection::open(folder.path("claims.db")).unwrap();
    file.execute_batch("UPDATE claims SET ended_at_ms = NULL; DELETE FROM lease_epochs WHERE number = 1").unwrap();
    file.execute_batch("UPDATE repos SET record = 'no JSON'; UPDATE claims SET record = '{}' WHERE active = 1")
        .unwrap();
    drop(file);
    let found = open(&folder.sqlite("claims.db")).await.check().await.unwrap().join("\n");
    for fault in ["an ended claim without", "never had such an epoch", "cannot be read"] {
        assert!(found.contains(fault), "{found}");
    }
}
