//! The board and the feed, as the store's writer sees them: told of every commit.

use std::sync::Arc;

use parking_lot::{Mutex, RwLock};
use tokio::sync::Notify;

use super::board::Board;
use super::feed::EventFeed;
use super::tokens::Tokens;
use crate::store::{Change, CommitObserver, KeptToken, Snapshot};

/// The in-memory index of one store. Made before the store is opened, because the store's writer
/// reports to it; filled by [`Index::fill`].
#[derive(Debug)]
pub struct Index {
    pub(super) board: RwLock<Board>,
    pub(super) feed: Arc<EventFeed>,
    pub(super) tokens: RwLock<Tokens>,
    /// Rings when somebody is to look where issues go.
    pub(super) placing: Notify,
    /// Rings when something waits for a policy.
    pub(super) work: Notify,
    /// Commits that came before the index was filled.
    early: Mutex<Option<Vec<Change>>>,
}

impl Index {
    /// An index that knows nothing yet.
    pub fn empty() -> Arc<Self> {
        Arc::new(Self {
            board: RwLock::default(),
            feed: Arc::new(EventFeed::new(crate::domain::EventSeq(0))),
            tokens: RwLock::default(),
            placing: Notify::new(),
            work: Notify::new(),
            early: Mutex::new(Some(Vec::new())),
        })
    }

    /// Fills the index with what the store holds.
    pub(super) fn fill(&self, snapshot: Snapshot, tokens: Vec<KeptToken>) {
        let mut early = self.early.lock();
        self.feed.begin_at(snapshot.last_event);
        *self.board.write() = Board::load(snapshot);
        *self.tokens.write() = Tokens::load(tokens);
        self.take_in(early.take().unwrap_or_default());
    }

    fn take_in(&self, changes: Vec<Change>) {
        let mut events = Vec::new();
        {
            let mut board = self.board.write();
            for change in changes {
                match change {
                    Change::Event(event) => events.push(*event),
                    Change::TokenSet(kept) => self.tokens.write().set(*kept),
                    change => board.apply(change),
                }
            }
        }
        // Events come last: who reads one finds the board as the event says.
        events.into_iter().for_each(|event| self.feed.push(event));
        self.work.notify_one();
        if !self.board.read().unplaced.is_empty() {
            self.placing.notify_one();
        }
    }
}

impl CommitObserver for Index {
    fn committed(&self, changes: Vec<Change>) {
        if let Some(early) = self.early.lock().as_mut() {
            early.extend(changes);
            return;
        }
        self.take_in(changes);
    }
}
