//! The logs of runs.

use std::collections::BTreeMap;

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
pub(super) const DROP_OLDEST: &str = "DELETE FROM run_log WHERE run_id = ?1 AND end_bytes <= ?2";
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
            let mut by_run: BTreeMap<RunId, Vec<LogLine>> = BTreeMap::new();
            lines.into_iter().for_each(|(run_id, line)| by_run.entry(run_id).or_default().push(line));
            by_run.into_iter().try_for_each(|(run_id, lines)| append(txn.connection, run_id, lines, bytes_max))
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

fn append(connection: &Connection, run_id: RunId, lines: Vec<LogLine>, bytes_max: i64) -> Result<()> {
    let run = run_id.to_string();
    let newest = connection.prepare_cached(NEWEST)?.query_row([&run], |row| Ok((row.get(0)?, row.get(1)?)));
    let (mut seq, mut end): (i64, i64) = newest.optional()?.unwrap_or((0, 0));
    for mut line in lines {
        seq += 1;
        line.seq = seq.unsigned_abs();
        let record = to_json(&line)?;
        end = end.saturating_add(i64::try_from(record.len()).unwrap_or(0));
        connection.prepare_cached(APPEND)?.execute(params![run, seq, end, record])?;
    }
    connection.prepare_cached(DROP_OLDEST)?.execute(params![run, end - bytes_max]).map(drop)
}

/// Keeps the logs of runs that have not ended, and of the newest `keep_max` that have.
pub(super) fn trim(connection: &Connection, keep_max: usize) -> Result<()> {
    connection.prepare_cached(TRIM)?.execute([limit(keep_max)]).map(drop)
}
