//! Words to the servers that work on runs.

use async_trait::async_trait;

use super::columns::{json, parsed, to_json};
use super::value::{Row, params};
use super::writer::WriteTxn;
use super::{SqlStore, events};
use crate::domain::{EventDraft, EventKind, Run, RunWord, Timestamp};
use crate::store::{RunTold, RunWordStore, StoreError};

const INSERT: &str = "INSERT INTO run_words (run_id, word) VALUES (?1, ?2)";
const LIST: &str = "SELECT word_id, run_id, word FROM run_words ORDER BY word_id";
const REMOVE: &str = "DELETE FROM run_words WHERE word_id = ?1";

#[async_trait]
impl RunWordStore for SqlStore {
    async fn run_word_insert(&self, run: Run, word: RunWord, now: Timestamp) -> Result<(), StoreError> {
        let insert = move |txn: &mut WriteTxn<'_>| {
            txn.connection.execute(INSERT, params![run.run_id.to_string(), to_json(&word)?])?;
            let about = EventDraft::about_run(&run, now);
            events::append(txn, EventDraft { kind: EventKind::RunTold, details: word.told(), ..about })
        };
        self.writer.write("tell the server that works on a run", insert).await
    }

    async fn run_word_list(&self) -> Result<Vec<RunTold>, StoreError> {
        let told = |row: &Row<'_>| Ok(RunTold { word_id: row.get(0)?, run_id: parsed(row, 1)?, word: json(row, 2)? });
        self.readers
            .read("list words to runs", move |connection| {
                connection.prepare_cached(LIST)?.query_map((), told)?.collect()
            })
            .await
    }

    async fn run_word_remove(&self, word_id: i64) -> Result<(), StoreError> {
        let remove = move |txn: &mut WriteTxn<'_>| txn.connection.execute(REMOVE, [word_id]).map(drop);
        self.writer.write("forget a word to a run", remove).await
    }
}
