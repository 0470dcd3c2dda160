//! Pull requests as GitHub last described them, and the deliveries that told of them.

use super::columns::{json, ms, number, to_json};
use super::connection::{Connection, OptionalRow};
use super::value::{Result, params};
use super::writer::WriteTxn;
use crate::domain::{IssueRef, Merged, PullRequest};

pub(super) const UPSERT: &str = "INSERT INTO pulls (repo, number, updated_at_ms, record) VALUES (?1, ?2, ?3, ?4) \
     ON CONFLICT (repo, number) DO UPDATE SET updated_at_ms = excluded.updated_at_ms, record = excluded.record";
pub(super) const GET: &str = "SELECT record FROM pulls WHERE repo = ?1 AND number = ?2";
pub(super) const DELIVERY_SEEN: &str = "SELECT EXISTS (SELECT 1 FROM deliveries WHERE delivery_id = ?1)";
pub(super) const DELIVERY_RECORD: &str =
    "INSERT INTO deliveries (delivery_id) VALUES (?1) ON CONFLICT (delivery_id) DO NOTHING";

/// Writes a description, unless a newer one is known; answers whether it did. What it does not say of a merge stays as known.
pub(super) fn apply(txn: &mut WriteTxn<'_>, mut pull: PullRequest) -> Result<bool> {
    let known = get(txn.connection, &pull.pull_ref())?;
    if let Some(known) = &known {
        if known.updated_at > pull.updated_at {
            return Ok(false);
        }
        if pull.merged == Merged::Unknown && known.state == pull.state {
            pull.merged = known.merged;
        }
    }
    let row = params![pull.repo.as_str(), number(pull.number), ms(pull.updated_at), to_json(&pull)?];
    txn.connection.prepare_cached(UPSERT)?.execute(row)?;
    txn.trim.pull_noted(txn.connection)?;
    Ok(true)
}

/// One pull request, as last described.
pub(super) fn get(connection: &Connection, pull: &IssueRef) -> Result<Option<PullRequest>> {
    let row = params![pull.repo.as_str(), number(pull.number)];
    connection.prepare_cached(GET)?.query_row(row, |row| json(row, 0)).optional()
}

/// Whether a delivery was processed before.
pub(super) fn delivery_seen(connection: &Connection, delivery_id: &str) -> Result<bool> {
    connection.prepare_cached(DELIVERY_SEEN)?.query_row([delivery_id], |row| row.get(0))
}

/// Notes that a delivery was processed.
pub(super) fn delivery_record(txn: &mut WriteTxn<'_>, delivery_id: &str) -> Result<()> {
    txn.connection.prepare_cached(DELIVERY_RECORD)?.execute([delivery_id])?;
    txn.trim.delivery_noted(txn.connection)
}
