//! What the host keeps beside an instance: the facts of the call under way, and what the policy may still
//! take, hold and log.

use std::sync::Arc;

use tracing::{debug, error, info, warn};
use wasmtime::ResourceLimiter;

use super::bindings::ranker::issuecommand::policy::log;
use super::columns::ByteCount;
use super::facts::Facts;
use super::output::line;

/// Fact calls that one call of a policy may make, whatever its rows: enough to pull every column often.
const FACT_CALL_COUNT_BASE: usize = 1024;
/// Further fact calls for each row: a loop may ask for `count()` in each round, and no policy should
/// need more.
const FACT_CALL_COUNT_PER_ROW: usize = 16;
/// Bytes of facts that one call may pull, whatever its rows.
const FACT_BYTES_BASE: usize = 4 << 20;
/// Further bytes for each row: all columns of an issue are about 250 bytes, so this is each one 16 times.
const FACT_BYTES_PER_ROW: usize = 4 << 10;
/// Lines that one call may write to the log.
const LOG_LINE_COUNT_MAX: u32 = 8;
/// Longest line of the log, in bytes; the rest is cut.
const LOG_LINE_BYTES_MAX: usize = 500;
/// Core instances, memories and tables of one component. JavaScript and Python guests have about ten.
const PART_COUNT_MAX: usize = 64;
/// Elements of one table. A large interpreter's function table has about 20,000.
const TABLE_ELEMENT_COUNT_MAX: usize = 1 << 20;

/// Why the host stopped a policy. Travels through the engine as an error and is told apart by its type.
#[derive(Debug, thiserror::Error)]
pub(super) enum Stop {
    #[error("more than {bytes} bytes of memory")]
    Memory { bytes: usize },
    #[error("{0}")]
    Budget(String),
    #[error("{0}")]
    Unreadable(String),
    #[error("{0} is not offered")]
    NotOffered(String),
}

/// The data of one store.
pub(super) struct CallState {
    /// What the call under way is about.
    pub(super) facts: Facts,
    source: Arc<str>,
    fact_calls_left: usize,
    fact_bytes_left: usize,
    log_lines_left: u32,
    log_line_dropped_count: u32,
    last_error: Option<String>,
    retry_after_ms: Option<u64>,
    memory_bytes: usize,
    memory_bytes_max: usize,
}

impl CallState {
    /// A state for an instance of the policy from `source`.
    pub(super) fn new(source: Arc<str>, memory_bytes_max: usize) -> Self {
        Self {
            facts: Facts::None,
            source,
            fact_calls_left: 0,
            fact_bytes_left: 0,
            log_lines_left: 0,
            log_line_dropped_count: 0,
            last_error: None,
            retry_after_ms: None,
            memory_bytes: 0,
            memory_bytes_max,
        }
    }

    /// Fills the budgets for a call about `facts`.
    pub(super) fn begin(&mut self, facts: Facts) {
        let rows = facts.row_count();
        self.fact_calls_left = FACT_CALL_COUNT_BASE + FACT_CALL_COUNT_PER_ROW * rows;
        self.fact_bytes_left = FACT_BYTES_BASE + FACT_BYTES_PER_ROW * rows;
        self.log_lines_left = LOG_LINE_COUNT_MAX;
        self.log_line_dropped_count = 0;
        self.last_error = None;
        self.retry_after_ms = None;
        self.facts = facts;
    }

    /// Lets go of the facts, and says so if lines were dropped. Returns the last error that was logged.
    pub(super) fn end(&mut self) -> Option<String> {
        self.facts = Facts::None;
        if self.log_line_dropped_count > 0 {
            let (source, count) = (&self.source, self.log_line_dropped_count);
            warn!(target: "policy", policy = %source, "dropped {count} further log lines of one call of {source}");
        }
        self.last_error.take()
    }

    /// Notes when asking again makes sense; the soonest counts.
    pub(super) fn note_retry_after(&mut self, ms: u64) {
        self.retry_after_ms = Some(self.retry_after_ms.map_or(ms, |known| known.min(ms)));
    }

    /// When asking again makes sense, in milliseconds, if the call under way said so.
    pub(super) fn retry_after_ms(&self) -> Option<u64> {
        self.retry_after_ms
    }

    /// The memory its instance holds, in bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    /// Hands a column over, if the budgets bear it.
    pub(super) fn pull<C: ByteCount>(&mut self, make: impl FnOnce(&Facts) -> C) -> wasmtime::Result<C> {
        self.fact_calls_left = self.fact_calls_left.checked_sub(1).ok_or_else(|| {
            let why = "it asked for facts too often; ask once for a column and keep it";
            wasmtime::Error::new(Stop::Budget(why.into()))
        })?;
        let column = make(&self.facts);
        self.fact_bytes_left = self.fact_bytes_left.checked_sub(column.byte_count()).ok_or_else(|| {
            let why = "it pulled the same facts over and over; ask once for a column and keep it";
            wasmtime::Error::new(Stop::Budget(why.into()))
        })?;
        Ok(column)
    }
}

impl log::Host for CallState {
    fn write(&mut self, level: log::Level, message: String) -> wasmtime::Result<()> {
        let wanted = level == log::Level::Error || self.log_lines_left > 0;
        let message = if wanted { line(&message, LOG_LINE_BYTES_MAX) } else { String::new() };
        if level == log::Level::Error {
            self.last_error = Some(message.clone());
        }
        if self.log_lines_left == 0 {
            self.log_line_dropped_count = self.log_line_dropped_count.saturating_add(1);
            return Ok(());
        }
        self.log_lines_left -= 1;
        let policy = &self.source;
        match level {
            log::Level::Debug => debug!(target: "policy", %policy, "{message}"),
            log::Level::Info => info!(target: "policy", %policy, "{message}"),
            log::Level::Warn => warn!(target: "policy", %policy, "{message}"),
            log::Level::Error => error!(target: "policy", %policy, "{message}"),
        }
        Ok(())
    }
}

impl ResourceLimiter for CallState {
    fn memory_growing(&mut self, current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        let bytes = self.memory_bytes + desired.saturating_sub(current);
        if bytes > self.memory_bytes_max {
            return Err(wasmtime::Error::new(Stop::Memory { bytes: self.memory_bytes_max }));
        }
        self.memory_bytes = bytes;
        Ok(true)
    }

    fn table_growing(&mut self, _current: usize, desired: usize, _maximum: Option<usize>) -> wasmtime::Result<bool> {
        if desired > TABLE_ELEMENT_COUNT_MAX {
            let why = format!("a table of more than {TABLE_ELEMENT_COUNT_MAX} elements");
            return Err(wasmtime::Error::new(Stop::Budget(why)));
        }
        Ok(true)
    }

    fn instances(&self) -> usize {
        PART_COUNT_MAX
    }

    fn tables(&self) -> usize {
        PART_COUNT_MAX
    }

    fn memories(&self) -> usize {
        PART_COUNT_MAX
    }
}
