//! What the server that works on a run is told by others: only it can stop the run, or tell its agent anything.

use async_trait::async_trait;

use super::StoreError;
use crate::domain::{Run, RunId, RunWord, Timestamp};

/// A word to the server that works on a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunTold {
    /// Its place among all words.
    pub word_id: i64,
    /// Of which run.
    pub run_id: RunId,
    /// What.
    pub word: RunWord,
}

/// The part of the store that carries words to the servers that work on runs.
#[async_trait]
pub trait RunWordStore {
    /// Leaves a word for whoever works on a run; an event tells every server that there is one.
    async fn run_word_insert(&self, run: Run, word: RunWord, now: Timestamp) -> Result<(), StoreError>;
    /// Words that nobody forgot, in their order.
    async fn run_word_list(&self) -> Result<Vec<RunTold>, StoreError>;
    /// Forgets a word: it was heard, or nobody is left to hear it.
    async fn run_word_remove(&self, word_id: i64) -> Result<(), StoreError>;
}
