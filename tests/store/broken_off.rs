//! Moves that are broken off: whatever becomes of the process or of its connection, one of the two stores is used
//! afterwards and not both, and nothing is lost. Skipped, and said so, where the machine has no PostgreSQL.

use std::io::{Read as _, Write as _};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use issuecommand::config::{Secret, StoreConfig};
use issuecommand::store::{Store as _, reopen};

use crate::copies::{Folder, blocking, contents, fill, open};
use crate::moves::{both, is_refused, moved};

const SOCKET: &str = ".s.PGSQL.5432";

/// What is lost of a COMMIT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lost {
    /// It never comes to the server.
    Question,
    /// The server did it.
    Answer,
}

/// A line to PostgreSQL that is cut at a COMMIT, once: that of the first transaction in which `sign` was asked.
#[derive(Debug)]
struct Line {
    server: PathBuf,
    sign: &'static str,
    lost: Lost,
    /// Whether nobody is put through any more from then on.
    stays_cut: bool,
    is_cut: AtomicBool,
}

impl Line {
    /// A URL by which the database of `config` is reached through such a line, in a folder of its own.
    fn cut(folder: &Folder, config: &StoreConfig, sign: &'static str, lost: Lost, stays_cut: bool) -> StoreConfig {
        let url = config.url.expose();
        let (user, place) = url.split_once('@').unwrap();
        let (server, database) = place.split_once('/').unwrap();
        let server = PathBuf::from(server.replace("%2F", "/")).join(SOCKET);
        let listener = UnixListener::bind(folder.path(SOCKET)).unwrap();
        let line = Arc::new(Self { server, sign, lost, stays_cut, is_cut: AtomicBool::new(false) });
        thread::spawn(move || {
            for client in listener.incoming() {
                line.put_through(client.unwrap());
            }
        });
        let here = folder.path("").to_str().unwrap().trim_end_matches('/').replace('/', "%2F");
        StoreConfig { url: Secret::new(format!("{user}@{here}/{database}")), ..config.clone() }
    }

    fn put_through(self: &Arc<Self>, client: UnixStream) {
        if self.stays_cut && self.is_cut.load(Ordering::SeqCst) {
            return;
        }
        let server = UnixStream::connect(&self.server).unwrap();
        let is_mute = Arc::new(AtomicBool::new(false));
        let (line, muted) = (Arc::clone(self), Arc::clone(&is_mute));
        let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
        thread::spawn(move || {
            line.pass_questions(&mut from, &mut to, &muted);
            let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
        });
        thread::spawn(move || {
            let (mut from, mut to) = (server, client);
            let mut answer = [0; 65_536];
            while let Ok(count @ 1..) = from.read(&mut answer) {
                if is_mute.load(Ordering::SeqCst) || to.write_all(&answer[..count]).is_err() {
                    break;
                }
            }
            let _ = (from.shutdown(Shutdown::Both), to.shutdown(Shutdown::Both));
        });
    }

    /// Until the client has nothing more to ask, or the line is cut before the server hears it.
    fn pass_questions(&self, from: &mut UnixStream, to: &mut UnixStream, is_mute: &AtomicBool) {
        let (mut asked, mut was_asked) = ([0; 65_536], false);
        while let Ok(count @ 1..) = from.read(&mut asked) {
            let holds = |words: &str| asked[..count].windows(words.len()).any(|here| here == words.as_bytes());
            was_asked |= holds(self.sign);
            if was_asked && holds("COMMIT\0") && !self.is_cut.swap(true, Ordering::SeqCst) {
                match self.lost {
                    Lost::Question => return,
                    Lost::Answer => is_mute.store(true, Ordering::SeqCst),
                }
            }
            if to.write_all(&asked[..count]).is_err() {
                return;
            }
        }
    }
}

/// What is asked of the store that everything is moved to, and of the one that is left.
const OF_THE_NEW: &str = "SET counted_from = $1";
const OF_THE_LEFT: &str = "SET moved_to = $1";

/// A file with something in it, what that is, and a database that is ready to take it.
async fn on_file(folder: &Folder) -> Option<(StoreConfig, String)> {
    let both = both(folder).await?;
    drop(open(&both).await);
    let store = fill(&folder.sqlite("claims.db")).await;
    let before = contents(&store).await;
    Some((both, before))
}

/// A database with something in it, and what that is.
async fn on_postgres(folder: &Folder) -> Option<(StoreConfig, String)> {
    let both = both(folder).await?;
    let store = fill(&both).await;
    let before = contents(&store).await;
    Some((both, before))
}

async fn is_moved_away(config: &StoreConfig) {
    let config = config.clone();
    is_refused(blocking(move || crate::moves::opened(&config)).await, &["was moved to", "broken off"]);
}

async fn holds(config: &StoreConfig, before: &str) {
    let store = open(config).await;
    assert_eq!(contents(&store).await, before);
}

async fn is_empty(config: &StoreConfig) {
    assert!(open(config).await.snapshot_load().await.unwrap().issues.is_empty());
}

#[tokio::test]
async fn a_move_whose_last_answer_is_lost_is_done_if_the_database_says_so_when_it_is_asked_again() {
    let folder = Folder::new();
    let Some((both, before)) = on_file(&folder).await else { return };
    let cut = Line::cut(&folder, &both, OF_THE_NEW, Lost::Answer, false);
    moved(&cut, true).await.unwrap();
    is_moved_away(&folder.sqlite("claims.db")).await;
    holds(&both, &before).await;
}

#[tokio::test]
async fn a_move_whose_last_question_is_lost_leaves_the_file_as_it_was() {
    let folder = Folder::new();
    let Some((both, before)) = on_file(&folder).await else { return };
    let cut = Line::cut(&folder, &both, OF_THE_NEW, Lost::Question, false);
    is_refused(moved(&cut, true).await, &["PostgreSQL cannot be asked"]);
    holds(&folder.sqlite("claims.db"), &before).await;
    is_empty(&both).await;
}

#[tokio::test]
async fn a_move_of_which_nobody_knows_whether_it_is_done_leaves_the_mark_and_says_so() {
    let folder = Folder::new();
    let Some((both, before)) = on_file(&folder).await else { return };
    let cut = Line::cut(&folder, &both, OF_THE_NEW, Lost::Answer, true);
    let why = ["did not say whether all is there", "the SQLite file", "look there", "store reopen"];
    is_refused(moved(&cut, true).await, &why);
    is_moved_away(&folder.sqlite("claims.db")).await;
    holds(&both, &before).await;
}

#[tokio::test]
async fn a_database_whose_mark_was_not_answered_is_used_again_and_the_file_stays_empty() {
    let folder = Folder::new();
    let Some((both, before)) = on_postgres(&folder).await else { return };
    let cut = Line::cut(&folder, &both, OF_THE_LEFT, Lost::Answer, false);
    is_refused(moved(&cut, false).await, &["PostgreSQL cannot be asked"]);
    holds(&both, &before).await;
    is_empty(&folder.sqlite("claims.db")).await;
}

#[tokio::test]
async fn a_database_that_cannot_be_asked_for_its_mark_is_reopened() {
    let folder = Folder::new();
    let Some((both, before)) = on_postgres(&folder).await else { return };
    let cut = Line::cut(&folder, &both, OF_THE_LEFT, Lost::Answer, true);
    is_refused(moved(&cut, false).await, &["nothing was moved", "store reopen"]);
    is_moved_away(&both).await;
    is_empty(&folder.sqlite("claims.db")).await;
    let config = both.clone();
    assert!(blocking(move || reopen(&config)).await.unwrap().is_some());
    holds(&both, &before).await;
}

#[tokio::test]
async fn a_store_that_was_marked_and_never_moved_is_not_emptied_by_a_move_back() {
    let folder = Folder::new();
    let Some((both, before)) = on_file(&folder).await else { return };
    // As a process leaves it that is killed between the two commits.
    let file = rusqlite::Connection::open(folder.path("claims.db")).unwrap();
    file.execute("UPDATE lineage SET moved_to = 'PostgreSQL', moved_at_ms = 1", []).unwrap();
    drop(file);
    is_moved_away(&folder.sqlite("claims.db")).await;
    is_refused(moved(&both, false).await, &["nothing ever arrived here", "broken off", "store reopen"]);
    // Nor by one after the wrong store was reopened.
    let config = both.clone();
    assert!(blocking(move || reopen(&config)).await.unwrap().is_none());
    is_refused(moved(&both, false).await, &["nothing ever arrived here"]);
    let config = folder.sqlite("claims.db");
    assert!(blocking(move || reopen(&config)).await.unwrap().is_some());
    holds(&folder.sqlite("claims.db"), &before).await;
    // And goes on from there.
    moved(&both, true).await.unwrap();
    holds(&both, &before).await;
}
