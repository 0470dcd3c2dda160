//! The way from SQLite to PostgreSQL and back: nothing is lost, and nobody goes on with what was left. Skipped, and said
//! so, where the machine has no PostgreSQL.

use std::sync::Arc;
use std::time::Duration;

use issuecommand::config::{Secret, StoreConfig};
use issuecommand::store::{
    CommitObserver, InsertOutcome, RoleStore, ServerBeat, SqlStore, Store, StoreError, backup, check, migrate, reopen,
};

use crate::bed::{Recorder, exactly, granted};
use crate::copies::{Folder, blocking, contents, fill, nothing, open};
use crate::postgres::Postgres;

/// A store with something in it, and where it can move to: a file and a database.
pub async fn both(folder: &Folder) -> Option<StoreConfig> {
    let url = blocking(|| Postgres::of_this_process().map(|server| server.database())).await?;
    Some(StoreConfig { url: Secret::new(url), ..folder.sqlite("claims.db") })
}

pub async fn moved(config: &StoreConfig, to_postgres: bool) -> Result<u64, StoreError> {
    let config = config.clone();
    blocking(move || migrate(&config, to_postgres, &mut nothing)).await
}

fn story(error: &StoreError) -> String {
    std::error::Error::source(error).map_or_else(|| error.to_string(), |source| format!("{error}: {source}"))
}

pub fn is_refused<T: std::fmt::Debug>(answer: Result<T, StoreError>, why: &[&str]) {
    let told = story(&answer.unwrap_err());
    assert!(why.iter().all(|why| told.contains(why)), "{told}");
}

#[tokio::test]
async fn a_store_moves_to_postgres_and_back_and_loses_nothing() {
    let folder = Folder::new();
    let Some(both) = both(&folder).await else { return };
    let store = fill(&folder.sqlite("claims.db")).await;
    let before = contents(&store).await;
    drop(store);
    moved(&both, true).await.unwrap();
    let on_postgres = open(&both).await;
    assert_eq!(contents(&on_postgres).await, before);
    let config = both.clone();
    assert_eq!(blocking(move || check(&config)).await.unwrap(), Vec::<String>::new());
    granted(on_postgres.claim_insert(exactly("a4", 4)).await.unwrap());
    let grown = contents(&on_postgres).await;
    // Back into the file that it came from: what that held was moved, and counts no more.
    moved(&both, false).await.unwrap();
    let back = open(&folder.sqlite("claims.db")).await;
    assert_eq!(contents(&back).await, grown);
    let config = folder.sqlite("claims.db");
    assert_eq!(blocking(move || check(&config)).await.unwrap(), Vec::<String>::new());
    granted(back.claim_insert(exactly("a5", 5)).await.unwrap());
    let grown = contents(&back).await;
    drop(back);
    // And once more. The server that is connected still goes on with what came.
    moved(&both, true).await.unwrap();
    let claim = granted(on_postgres.claim_insert(exactly("a6", 3)).await.unwrap()).claim;
    assert!(claim.lease.epoch > 1_000_000);
    on_postgres.claim_advance(crate::bed::change(&claim, released(), 1)).await.unwrap();
    assert_eq!(contents(&on_postgres).await.matches("a5").count(), grown.matches("a5").count());
    is_refused(moved(&StoreConfig { path: folder.path("other.db"), ..both.clone() }, true).await, &["no database at"]);
}

fn released() -> issuecommand::domain::Step {
    issuecommand::domain::Step::to(issuecommand::domain::ClaimStatus::Released, issuecommand::domain::Actor::Owner)
}

#[tokio::test]
async fn a_server_that_was_silent_while_its_store_was_moved_gives_out_nothing_any_more() {
    let folder = Folder::new();
    let Some(both) = both(&folder).await else { return };
    let server = fill(&StoreConfig { path: folder.path("unused.db"), ..both.clone() }).await;
    moved(&both, false).await.unwrap();
    let file = folder.path("claims.db").display().to_string();
    is_refused(server.claim_insert(exactly("late", 4)).await, &["was moved to", &file, "store reopen"]);
    assert!(server.server_beat(beat("http://127.0.0.1:1")).await.is_err());
    let went_on = open(&folder.sqlite("claims.db")).await;
    granted(went_on.claim_insert(exactly("a4", 4)).await.unwrap());
    // Nobody opens it, copies it or moves it again.
    let (config, file) = (both.clone(), folder.path("backup.db"));
    is_refused(blocking(move || backup(&config, &file, &mut nothing)).await, &["was moved to"]);
    let elsewhere = StoreConfig { path: folder.path("elsewhere.db"), ..both.clone() };
    is_refused(moved(&elsewhere, false).await, &["was moved to"]);
    assert!(!folder.path("elsewhere.db").exists());
    is_refused(blocking(move || opened(&both)).await, &["open the database", "was moved to"]);
}

pub fn opened(config: &StoreConfig) -> Result<(), StoreError> {
    SqlStore::open(config, Arc::new(Recorder::default()) as Arc<dyn CommitObserver>).map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_claim_that_is_asked_for_while_the_store_is_moved_is_in_the_copy_or_refused() {
    let folder = Folder::new();
    let Some(both) = both(&folder).await else { return };
    let server = fill(&StoreConfig { path: folder.path("unused.db"), ..both.clone() }).await;
    let (runtime, asked) = (tokio::runtime::Handle::current(), Arc::clone(&server));
    let claiming = blocking(move || {
        let mut claiming = None;
        let mut begin_at_first = |_, _| {
            claiming.get_or_insert_with(|| {
                let asked = Arc::clone(&asked);
                let claiming = runtime.spawn(async move { asked.claim_insert(exactly("meanwhile", 4)).await });
                // What it asks is on its way before much more is copied.
                std::thread::sleep(Duration::from_millis(200));
                claiming
            });
        };
        migrate(&both, false, &mut begin_at_first).unwrap();
        claiming.unwrap()
    });
    is_refused(claiming.await.await.unwrap(), &["was moved to"]);
    let went_on = open(&folder.sqlite("claims.db")).await;
    assert!(matches!(went_on.claim_insert(exactly("a4", 4)).await.unwrap(), InsertOutcome::Granted(_)));
}

fn beat(url: &str) -> ServerBeat {
    let lease = Duration::from_secs(15);
    ServerBeat { url: url.into(), dispatches: false, is_worker: false, slots_free: None, lease }
}

#[tokio::test]
async fn a_store_is_moved_when_its_server_has_ended_in_peace_and_not_before() {
    let folder = Folder::new();
    let Some(both) = both(&folder).await else { return };
    let server = fill(&StoreConfig { path: folder.path("unused.db"), ..both.clone() }).await;
    server.server_beat(beat("http://127.0.0.1:4321")).await.unwrap();
    is_refused(moved(&both, false).await, &["the server at http://127.0.0.1:4321 uses it", "end it first"]);
    assert!(!folder.path("claims.db").exists(), "nothing is made that is not filled");
    granted(server.claim_insert(exactly("a4", 4)).await.unwrap());
    server.server_leave().await.unwrap();
    moved(&both, false).await.unwrap();
}

#[tokio::test]
async fn a_file_that_was_moved_is_used_again_only_after_it_is_reopened() {
    let folder = Folder::new();
    let Some(both) = both(&folder).await else { return };
    let on_file = folder.sqlite("claims.db");
    let store = fill(&on_file).await;
    let before = contents(&store).await;
    drop(store);
    moved(&both, true).await.unwrap();
    let config = on_file.clone();
    is_refused(blocking(move || opened(&config)).await, &["was moved to PostgreSQL's", "store reopen"]);
    let config = on_file.clone();
    let by_command = move || SqlStore::open_for_command(&config, Arc::new(Recorder::default())).map(drop);
    is_refused(blocking(by_command).await, &["was moved to"]);
    is_refused(moved(&both, true).await, &["was moved to"]);

    let there = granted(open(&both).await.claim_insert(exactly("a4", 4)).await.unwrap()).claim;
    let config = on_file.clone();
    let was = blocking(move || reopen(&config)).await.unwrap().unwrap();
    assert!(was.to.starts_with("PostgreSQL's ") && !was.to.contains("://"), "{was:?}");
    let reopened = open(&on_file).await;
    assert_eq!(contents(&reopened).await, before);
    let here = granted(reopened.claim_insert(exactly("a9", 4)).await.unwrap()).claim;
    assert!(here.lease.epoch > there.lease.epoch, "both hold the issue, and only one can be the later");
    let config = on_file.clone();
    is_refused(blocking(move || reopen(&config)).await, &["is in use"]);
}
