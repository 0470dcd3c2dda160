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
    /// What came before the index was filled.
    early: Mutex<Option<Early>>,
}

/// What was told before the index was filled.
#[derive(Debug, Default)]
struct Early {
    /// Commits, by their numbers.
    commits: Vec<(u64, Vec<Change>)>,
    /// Everything anew, instead of what the index was to be filled with.
    anew: Option<(Snapshot, Vec<KeptToken>)>,
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
            early: Mutex::new(Some(Early::default())),
        })
    }

    /// Fills the index with what the store holds.
    pub(super) fn fill(&self, snapshot: Snapshot, tokens: Vec<KeptToken>) {
        let mut early = self.early.lock();
        let Early { commits, anew } = early.take().unwrap_or_default();
        let (snapshot, tokens) = anew.unwrap_or((snapshot, tokens));
        let last = snapshot.commit_seq;
        self.feed.begin_at(snapshot.last_event);
        *self.board.write() = Board::load(snapshot);
        *self.tokens.write() = Tokens::load(tokens);
        // What the snapshot holds already must not be told again: an end that was overtaken would undo what came after.
        let later = commits.into_iter().filter(|(seq, _)| *seq == 0 || *seq > last);
        later.for_each(|(_, changes)| self.take_in(changes));
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
        self.committed_as(0, changes);
    }

    fn committed_as(&self, seq: u64, changes: Vec<Change>) {
        if let Some(early) = self.early.lock().as_mut() {
            early.commits.push((seq, changes));
            return;
        }
        self.take_in(changes);
    }

    fn replaced(&self, snapshot: Snapshot, tokens: Vec<KeptToken>) {
        if let Some(early) = self.early.lock().as_mut() {
            *early = Early { commits: Vec::new(), anew: Some((snapshot, tokens)) };
            return;
        }
        self.feed.forget_to(snapshot.last_event);
        self.board.write().set_anew(snapshot);
        *self.tokens.write() = Tokens::load(tokens);
        self.work.notify_one();
        self.placing.notify_one();
    }
}

#[cfg(test)]
mod tests;
