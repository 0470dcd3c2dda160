//! What runs did, line by line: any server of the database shows it, whichever works on the run.

use async_trait::async_trait;

use super::StoreError;
use crate::domain::{LogLine, RunId};

/// The part of the store that keeps the logs of runs. They go with the runs that they tell of.
#[async_trait]
pub trait RunLogStore {
    /// Writes lines, each behind those of its run. Of a run's lines about `bytes_max` bytes stay, the newest.
    async fn run_log_append(&self, lines: Vec<(RunId, LogLine)>, bytes_max: u64) -> Result<(), StoreError>;
    /// The lines of a run after `seq`, at most `limit`.
    async fn run_log_after(&self, run_id: RunId, seq: u64, limit: usize) -> Result<Vec<LogLine>, StoreError>;
    /// The last lines of a run, at most `limit`.
    async fn run_log_tail(&self, run_id: RunId, limit: usize) -> Result<Vec<LogLine>, StoreError>;
}
