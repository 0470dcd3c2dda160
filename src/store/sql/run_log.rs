//! The logs of runs.

use async_trait::async_trait;

use super::SqlStore;
use super::columns::{json, to_json};
use super::connection::{Connection, OptionalRow};
use super::history::limit;
use super::value::{Result, params};
use super::writer::WriteTxn;
use crate::domain::{LogLine, RunId};
use crate::store::{RunLogStore, StoreError};

pub(super) const NEWEST: &str = "SELECT seq, end_bytes FROM run_log WHERE run_id = ?1 ORDER BY seq DESC LIMIT 1";
pub(super) const APPEND: &str = "INSERT INTO run_log (run_id, seq, end_bytes, record) VALUES (?1, ?2, ?3, ?4)";
pub(super) const OLDEST: &str = "SELECT seq, end_bytes FROM run_log WHERE run_id = ?1 ORDER BY seq LIMIT 1";
pub(super) const DROP_OLDEST: &str = "DELETE FROM run_log WHERE run_id = ?1 AND seq = ?2";
pub(super) const TRIM: &str = "DELETE FROM run_log WHERE run_id <= \
     (SELECT run_id FROM runs WHERE active = 0 ORDER BY run_id DESC LIMIT 1 OFFSET ?1) \
     AND run_id NOT IN (SELECT run_id FROM runs WHERE active = 1)";
pub(super) const AFTER: &str = "SELECT record FROM run_log WHERE run_id = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3";
pub(super) const TAIL: &str = "SELECT record FROM run_log WHERE run_id = ?1 ORDER BY seq DESC LIMIT ?2";

#[async_trait]
impl RunLogStore for SqlStore {
    async fn run_log_append(
        &self,
        lines: Vec<(RunId, LogLine)>,
        bytes_max: u64,
    ) -> std::result::Result<(), StoreError> {
        let bytes_max = i64::try_from(bytes_max).unwrap_or(i64::MAX);
        let append = move |txn: &mut WriteTxn<'_>| {
            lines.into_iter().try_for_each(|(run_id, line)| append(txn.connection, run_id, line, bytes_max))
        };
        self.writer.write("write what a run does", append).await
    }

    async fn run_log_after(
        &self,
        run_id: RunId,
        seq: u64,
        count_max: usize,
    ) -> std::result::Result<Vec<LogLine>, StoreError> {
        let seq = i64::try_from(seq).unwrap_or(i64::MAX);
        let after = move |connection: &Connection| {
            let wanted = params![run_id.to_string(), seq, limit(count_max)];
            connection.prepare_cached(AFTER)?.query_map(wanted, |row| json(row, 0))?.collect()
        };
        self.readers.read("read a run's log", after).await
    }

    async fn run_log_tail(&self, run_id: RunId, count_max: usize) -> std::result::Result<Vec<LogLine>, StoreError> {
        let tail = move |connection: &Connection| {
            let wanted = params![run_id.to_string(), limit(count_max)];
            let mut statement = connection.prepare_cached(TAIL)?;
            let newest_first = statement.query_map(wanted, |row| json(row, 0))?;
            let mut lines = newest_first.collect::<Result<Vec<LogLine>>>()?;
            lines.reverse();
            Ok(lines)
        };
        self.readers.read("read the end of a run's log", tail).await
    }
}

fn append(connection: &Connection, run_id: RunId, mut line: LogLine, bytes_max: i64) -> Result<()> {
    let run = run_id.to_string();
    let place = |sql| {
        let place =
            connection.prepare_cached(sql)?.query_row([&run], |row| Ok((row.get::<i64>(0)?, row.get::<i64>(1)?)));
        place.optional()
    };
    let (seq, end) = place(NEWEST)?.unwrap_or((0, 0));
    line.seq = u64::try_from(seq + 1).unwrap_or(0);
    let record = to_json(&line)?;
    let end = end.saturating_add(i64::try_from(record.len()).unwrap_or(0));
    connection.prepare_cached(APPEND)?.execute(params![run, seq + 1, end, record])?;
    // One by one: a line seldom costs more than one other its place.
    while let Some((oldest, its_end)) = place(OLDEST)?.filter(|(_, its_end)| *its_end <= end - bytes_max) {
        debug_assert!(its_end < end, "the newest line stays");
        connection.prepare_cached(DROP_OLDEST)?.execute(params![run, oldest])?;
    }
    Ok(())
}

/// Keeps the logs of runs that have not ended, and of the newest `keep_max` that have.
pub(super) fn trim(connection: &Connection, keep_max: usize) -> Result<()> {
    connection.prepare_cached(TRIM)?.execute([limit(keep_max)]).map(drop)
}
