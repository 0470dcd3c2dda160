//! What runs do, line by line: written to the store a moment later, many lines at once.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;
use tracing::warn;

use super::attempt::chain;
use crate::domain::{LogKind, LogLine, RunId, Timestamp};
use crate::store::{Store, StoreError};

/// How long a line waits for others to be written with.
const GATHER: Duration = Duration::from_millis(150);
/// How long a store that failed is left alone.
const PAUSE: Duration = Duration::from_secs(2);
/// Most lines in one write: other writers wait meanwhile.
const WRITE_COUNT_MAX: usize = 256;
/// Most lines that wait for a store that fails; of more the oldest are lost.
const WAITING_COUNT_MAX: usize = 4096;

/// The lines of all runs of this server on their way to the store.
#[derive(Debug)]
pub(super) struct LogBook {
    store: Arc<dyn Store>,
    waiting: Mutex<Waiting>,
    added: Notify,
    /// Held by who writes: lines stay in their order.
    turn: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct Waiting {
    lines: VecDeque<(RunId, LogLine)>,
    bytes_max: u64,
    lost: u64,
}

impl LogBook {
    pub(super) fn new(store: Arc<dyn Store>) -> Self {
        Self { store, waiting: Mutex::default(), added: Notify::new(), turn: tokio::sync::Mutex::default() }
    }

    /// Notes a line; of its run's log about `bytes_max` bytes stay.
    pub(super) fn write(&self, run_id: RunId, kind: LogKind, text: &str, now: Timestamp, bytes_max: u64) {
        let mut waiting = self.waiting.lock();
        waiting.bytes_max = bytes_max;
        waiting.lines.push_back((run_id, LogLine::new(kind, text, now)));
        waiting.bound();
        drop(waiting);
        self.added.notify_one();
    }

    /// Writes what was noted, as long as it runs.
    pub(super) async fn keep(&self) {
        loop {
            self.added.notified().await;
            tokio::time::sleep(GATHER).await;
            while self.flush().await.is_err() {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }

    /// Writes what was noted so far.
    ///
    /// # Errors
    /// When the store fails; the lines wait for the next try.
    pub(super) async fn flush(&self) -> Result<(), StoreError> {
        let _turn = self.turn.lock().await;
        loop {
            let (lines, bytes_max) = {
                let mut waiting = self.waiting.lock();
                let count = waiting.lines.len().min(WRITE_COUNT_MAX);
                (waiting.lines.drain(..count).collect::<Vec<_>>(), waiting.bytes_max)
            };
            if lines.is_empty() {
                return Ok(());
            }
            let written = self.store.run_log_append(lines.clone(), bytes_max).await;
            let mut waiting = self.waiting.lock();
            if let Err(error) = written {
                warn!("what runs do is not written to their logs: {}", chain(&error));
                lines.into_iter().rev().for_each(|line| waiting.lines.push_front(line));
                waiting.bound();
                return Err(error);
            }
            if waiting.lost > 0 {
                warn!("{} lines of runs' logs were lost", std::mem::take(&mut waiting.lost));
            }
        }
    }
}

impl Waiting {
    fn bound(&mut self) {
        let surplus = self.lines.len().saturating_sub(WAITING_COUNT_MAX);
        self.lines.drain(..surplus);
        self.lost += surplus as u64;
    }
}
