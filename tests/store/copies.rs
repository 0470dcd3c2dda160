//! Backups, and the way back: nothing is lost, and no number is given out twice.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use issuecommand::config::StoreConfig;
use issuecommand::domain::{Actor, Claim, ClaimStatus, EventSeq, Step};
use issuecommand::store::{
    AdvanceOutcome, ClaimOverrule, CommitObserver, OverruleOutcome, Snapshot, SqlStore, Store, StoreError, backup,
    check, reopen, restore,
};
use tokio::task::spawn_blocking;

use crate::bed::{Recorder, change, decision_on, exactly, granted, issue, named};

pub struct Folder(tempfile::TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn sqlite(&self, name: &str) -> StoreConfig {
        StoreConfig { path: self.path(name), ..StoreConfig::default() }
    }
}

pub async fn open(config: &StoreConfig) -> Arc<SqlStore> {
    let config = config.clone();
    let opening =
        spawn_blocking(move || SqlStore::open(&config, Arc::new(Recorder::default()) as Arc<dyn CommitObserver>));
    Arc::new(opening.await.unwrap().unwrap())
}

pub async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    spawn_blocking(work).await.unwrap()
}

/// A store with something of most kinds in it.
pub async fn fill(config: &StoreConfig) -> Arc<SqlStore> {
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
pub async fn contents(store: &SqlStore) -> String {
    // Which commit of which fleet it was is nothing that is kept, and each copy counts events from elsewhere.
    let snapshot = Snapshot { commit_seq: 0, last_event: EventSeq(0), ..store.snapshot_load().await.unwrap() };
    let events = store.event_list_after(EventSeq(0), 1000).await.unwrap();
    let history = store.claim_history(Default::default(), None, 100).await.unwrap();
    let decisions = store.decision_list(Default::default(), 100).await.unwrap();
    let component = store.policy_component_piece("d".into(), 0).await.unwrap();
    let details = store.decision_get(decisions[0].decision_id).await.unwrap();
    format!("{snapshot:#?}\n{events:#?}\n{history:#?}\n{decisions:#?}\n{component:?}\n{details:#?}")
}

pub fn nothing(_: u64, _: u64) {}

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
    assert!(shown.last().is_some_and(|(done, total)| done == total && *total <= rows), "{shown:?}");
    // What comes after it is not in it.
    granted(store.claim_insert(exactly("a3", 3)).await.unwrap());
    is_one_private_file(&folder.path("backup.db"));

    let (config, file) = (folder.sqlite("restored.db"), folder.path("backup.db"));
    assert_eq!(blocking(move || restore(&config, &file, &mut nothing)).await.unwrap(), rows);
    let restored = open(&folder.sqlite("restored.db")).await;
    assert_eq!(contents(&restored).await, before);
    let config = folder.sqlite("restored.db");
    assert_eq!(blocking(move || check(&config)).await.unwrap(), Vec::<String>::new());
}

/// What is given out on a store once its backup was made: an epoch to another owner of a claim, one on an issue that
/// was free, one on an issue that came since, and the place of the last event.
async fn given_out(store: &Arc<SqlStore>, to: &str) -> [u64; 4] {
    let held = store.claim_list(Default::default()).await.unwrap();
    let claim = held.iter().find(|claim| claim.issue_number.get() == 1).unwrap();
    let again = reassigned(store, claim, to).await.lease.epoch;
    let free = granted(store.claim_insert(exactly(to, 3)).await.unwrap()).claim.lease.epoch;
    let batch = issuecommand::store::IssueBatch {
        repo: crate::bed::repo(),
        issues: vec![issue(77)],
        cursor: None,
        now: crate::bed::at(0),
    };
    store.issue_apply(batch).await.unwrap();
    let new = granted(store.claim_insert(exactly(to, 77)).await.unwrap()).claim.lease.epoch;
    let events = store.event_list_after(EventSeq(0), 1000).await.unwrap();
    [again, free, new, events.last().unwrap().event_id.0]
}

async fn reassigned(store: &Arc<SqlStore>, claim: &Claim, to: &str) -> Claim {
    let wish = ClaimOverrule {
        claim_id: claim.claim_id,
        to: Some(to.parse().unwrap()),
        by: "ann".into(),
        note: None,
        lease: crate::bed::LEASE,
        now: crate::bed::at(5),
    };
    match store.claim_overrule(wish).await.unwrap() {
        OverruleOutcome::Done(claim) => *claim,
        other => panic!("{other:?}"),
    }
}

/// The first event that a reader gets who saw `seen` last.
async fn next_event(store: &Arc<SqlStore>, seen: u64) -> u64 {
    store.event_list_after(EventSeq(seen), 1).await.unwrap()[0].event_id.0
}

#[tokio::test]
async fn no_restored_store_gives_out_an_epoch_or_a_place_that_was_given_out_after_the_backup() {
    let folder = Folder::new();
    let store = fill(&folder.sqlite("claims.db")).await;
    let (config, file) = (folder.sqlite("claims.db"), folder.path("backup.db"));
    blocking(move || backup(&config, &file, &mut nothing)).await.unwrap();
    let (kept, told) = (store.snapshot_load().await.unwrap(), contents(&store).await);
    let mut before = given_out(&store, "gina").await;
    // The same backup twice: what was given out after the first time must not come again either.
    for (name, to) in [("first.db", "hugo"), ("second.db", "ida")] {
        let (config, file) = (folder.sqlite(name), folder.path("backup.db"));
        blocking(move || restore(&config, &file, &mut nothing)).await.unwrap();
        let restored = open(&folder.sqlite(name)).await;
        assert_eq!(contents(&restored).await, told);
        // Whoever has a claim goes on under the epoch that it was told.
        let held = restored.claim_list(Default::default()).await.unwrap();
        let beat = change(&held[0], Step::to(ClaimStatus::Claimed, Actor::Owner), 4);
        assert_eq!(held[0].lease.epoch, 1);
        let moved = restored.claim_advance(issuecommand::store::ClaimChange { epoch: Some(1), ..beat }).await.unwrap();
        assert!(matches!(moved, AdvanceOutcome::Moved(..)), "{moved:?}");
        let after = given_out(&restored, to).await;
        for (later, earlier) in after.iter().zip(before) {
            assert!(*later > earlier, "{after:?} after {before:?}");
        }
        // A reader that saw an event which is undone finds that some are missing, and one that saw less gets all.
        let last_copied = kept.last_event.0;
        assert_eq!(next_event(&restored, last_copied - 1).await, last_copied);
        for undone in [last_copied, before[3]] {
            assert!(next_event(&restored, undone).await > undone + 1);
        }
        assert_eq!(restored.snapshot_load().await.unwrap().granted_count, kept.granted_count + 3);
        let config = folder.sqlite(name);
        assert_eq!(blocking(move || check(&config)).await.unwrap(), Vec::<String>::new());
        before = after;
    }
}

#[tokio::test]
async fn no_two_copies_of_a_backup_count_from_the_same_number() {
    let folder = Folder::new();
    drop(fill(&folder.sqlite("claims.db")).await);
    let (config, file) = (folder.sqlite("claims.db"), folder.path("backup.db"));
    blocking(move || backup(&config, &file, &mut nothing)).await.unwrap();
    let counted_from = |name: &str| counted_from(&folder.path(name));
    let restored = async |name: &str| {
        let (config, file) = (folder.sqlite(name), folder.path("backup.db"));
        blocking(move || restore(&config, &file, &mut nothing)).await.unwrap();
        counted_from(name)
    };
    let first = restored("first.db").await;
    assert!(first > counted_from("backup.db"));
    let second = restored("second.db").await;
    assert!(second > first, "{second} after {first}");
    // A backup of which all numbers of this second were given out.
    let ahead = chrono::Utc::now().timestamp() * 1_000_000;
    let backup = rusqlite::Connection::open(folder.path("backup.db")).unwrap();
    backup.execute("UPDATE lineage SET counted_from = ?1", [ahead]).unwrap();
    drop(backup);
    let third = restored("third.db").await;
    let fourth = restored("fourth.db").await;
    assert!(ahead < third && third < fourth, "{ahead}, {third}, {fourth}");
}

fn counted_from(file: &Path) -> i64 {
    let store = rusqlite::Connection::open(file).unwrap();
    store.query_row("SELECT counted_from FROM lineage", [], |row| row.get(0)).unwrap()
}

#[tokio::test]
async fn events_that_were_copied_stay_until_as_many_came_as_are_kept() {
    let folder = Folder::new();
    drop(fill(&folder.sqlite("claims.db")).await);
    let (config, file) = (folder.sqlite("claims.db"), folder.path("backup.db"));
    let (from, to) = (config.clone(), folder.sqlite("restored.db"));
    blocking(move || backup(&from, &file, &mut nothing).and_then(|_| restore(&to, &file, &mut nothing))).await.unwrap();
    let config = StoreConfig { event_max_entries: 4, ..folder.sqlite("restored.db") };
    let restored = open(&config).await;
    let copied = restored.event_list_after(EventSeq(0), 100).await.unwrap();
    for (came, number) in (3..=5).zip([3, 4, 5]) {
        granted(restored.claim_insert(exactly("a3", number)).await.unwrap());
        let kept = restored.event_list_after(EventSeq(0), 100).await.unwrap();
        assert_eq!(kept.len(), copied.len() + came - 2);
    }
    for _ in 0..2 {
        let held = restored.claim_list(Default::default()).await.unwrap();
        let step = change(held.last().unwrap(), Step::to(ClaimStatus::Released, Actor::Owner), 1);
        restored.claim_advance(step).await.unwrap();
    }
    let kept = restored.event_list_after(EventSeq(0), 100).await.unwrap();
    assert!(kept.len() <= 5 && kept[0].event_id.0 > 1_000_000, "{kept:#?}");
}

#[tokio::test]
async fn a_store_that_was_put_back_by_other_means_counts_anew_once_it_is_reopened() {
    let folder = Folder::new();
    drop(fill(&folder.sqlite("claims.db")).await);
    std::fs::copy(folder.path("claims.db"), folder.path("copied.db")).unwrap();
    let before = given_out(&open(&folder.sqlite("claims.db")).await, "gina").await;
    let config = folder.sqlite("copied.db");
    assert_eq!(blocking(move || reopen(&config)).await.unwrap(), None);
    let after = given_out(&open(&folder.sqlite("copied.db")).await, "hugo").await;
    assert!(after.iter().zip(before).all(|(later, earlier)| *later > earlier), "{after:?} after {before:?}");
    let config = folder.sqlite("nowhere.db");
    assert!(blocking(move || reopen(&config)).await.is_err() && !folder.path("nowhere.db").exists());
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
