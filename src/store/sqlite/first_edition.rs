//! The database of IssueCommand's first edition, read and never written.
//!
//! It keeps each record whole, as JSON, in `payload_json`: one table for active claims, one for past
//! ones, the same for follow-ups. Its earliest versions kept everything in one row of `snapshots`.

use std::path::Path;

use rusqlite::{Connection, OpenFlags, Result};

use super::connect::MIGRATION_TABLE;

/// Its tables, what they hold, and the order in which their rows came.
const TABLES: [(&str, &str, &str); 5] = [
    ("claim_active", "claims", "claim_id"),
    ("claim_history", "claims", "history_index"),
    ("followup_active", "followups", "work_item_id"),
    ("followup_history", "followups", "history_index"),
    ("snapshots", "state", "namespace"),
];

/// One record of the first edition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstEditionRow {
    /// Where it stood: table and row, from 1.
    pub place: String,
    /// What it holds: `claims`, `followups`, or a whole `state`.
    pub holds: &'static str,
    /// The record: JSON, if it is whole.
    pub payload: String,
}

/// Why a file cannot be read as a database of the first edition.
#[derive(Debug, thiserror::Error)]
pub enum FirstEditionError {
    /// It is ours.
    #[error("it is a database of this edition: set store.path to it, or export it")]
    Ours,
    /// It has none of the tables.
    #[error("it is no database of the first edition: it has {found}, not claim_active or snapshots")]
    Foreign {
        /// The tables it has.
        found: String,
    },
    /// SQLite could not read it.
    #[error("SQLite could not read it: {0}")]
    Database(#[from] rusqlite::Error),
}

/// Every record in the first edition's database at `path`. Blocks.
///
/// # Errors
/// When it is another database, or damaged.
pub fn first_edition_rows(path: &Path) -> std::result::Result<Vec<FirstEditionRow>, FirstEditionError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    let tables = tables(&connection)?;
    if tables.iter().any(|table| table == MIGRATION_TABLE) {
        return Err(FirstEditionError::Ours);
    }
    let known: Vec<_> = TABLES.iter().filter(|(table, ..)| tables.iter().any(|found| found == table)).collect();
    if known.is_empty() {
        let found = if tables.is_empty() { "no table".to_owned() } else { tables.join(", ") };
        return Err(FirstEditionError::Foreign { found });
    }
    let mut rows = Vec::new();
    for (table, holds, order) in known {
        // What a later version moved into tables of its own, it left in the snapshot.
        if *holds == "state" && !rows.is_empty() {
            continue;
        }
        let sql = format!("SELECT payload_json FROM {table} ORDER BY {order}");
        let mut statement = connection.prepare(&sql)?;
        let payloads: Vec<String> = statement.query_map([], |row| row.get(0))?.collect::<Result<_>>()?;
        rows.extend(payloads.into_iter().enumerate().map(|(index, payload)| FirstEditionRow {
            place: format!("{table}, row {}", index + 1),
            holds,
            payload,
        }));
    }
    Ok(rows)
}

fn tables(connection: &Connection) -> Result<Vec<String>> {
    let sql = "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY name";
    connection.prepare(sql)?.query_map([], |row| row.get(0))?.collect()
}
