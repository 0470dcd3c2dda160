//! Events, and when agents were last heard of.

use super::columns::{json, ms, parsed, time, to_json};
use super::connection::Connection;
use super::history::limit;
use super::value::{Result, params};
use super::writer::WriteTxn;
use crate::domain::{AgentId, Event, EventDraft, EventSeq, Timestamp};
use crate::store::Change;

pub(super) const APPEND: &str = "INSERT INTO events (record) VALUES (?1) RETURNING seq";
// A number that was taken by a write that was undone would be missing: its own sequences count on.
const APPEND_TO_POSTGRES: &str = "WITH next AS (UPDATE event_count SET newest = newest + 1 RETURNING newest) \
     INSERT INTO events (seq, record) SELECT newest, ?1 FROM next RETURNING seq";
pub(super) const LIST_AFTER: &str = "SELECT seq, record FROM events WHERE seq > ?1 ORDER BY seq LIMIT ?2";
// From the database's own count, so that it stands even when every event was trimmed.
const LAST_OF_SQLITE: &str = "SELECT coalesce((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0)";
const LAST_OF_POSTGRES: &str = "SELECT newest FROM event_count";
const LAST_CALLS: &str = "SELECT agent_id, last_call_ms FROM agents";
pub(super) const AGENT_HEARD: &str = "INSERT INTO agents (agent_id, last_call_ms) VALUES (?1, ?2) \
     ON CONFLICT (agent_id) DO UPDATE SET last_call_ms = excluded.last_call_ms \
     WHERE excluded.last_call_ms > agents.last_call_ms";

/// Gives the event its place in the order.
pub(super) fn append(txn: &mut WriteTxn<'_>, draft: EventDraft) -> Result<()> {
    let sql = match txn.connection {
        Connection::Sqlite(_) => APPEND,
        Connection::Postgres(_) => APPEND_TO_POSTGRES,
    };
    let seq = txn.connection.query_row(sql, [to_json(&draft)?], |row| row.get(0))?;
    txn.trim.event_appended(txn.connection, seq)?;
    txn.changes.push(Change::Event(Box::new(Event { event_id: event_seq(seq), draft })));
    Ok(())
}

/// Events after `after`, oldest first.
pub(super) fn list_after(connection: &Connection, after: EventSeq, count_max: usize) -> Result<Vec<Event>> {
    let after = i64::try_from(after.0).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(LIST_AFTER)?;
    let rows = statement.query_map([after, limit(count_max)], |row| {
        Ok(Event { event_id: event_seq(row.get(0)?), draft: json(row, 1)? })
    })?;
    rows.collect()
}

/// The place of the newest event; 0 when there never was one.
pub(super) fn last(connection: &Connection) -> Result<i64> {
    let sql = match connection {
        Connection::Sqlite(_) => LAST_OF_SQLITE,
        Connection::Postgres(_) => LAST_OF_POSTGRES,
    };
    connection.query_row(sql, (), |row| row.get(0))
}

/// Has the next event come behind `newest`.
pub(super) fn count_from(connection: &Connection, newest: i64) -> Result<()> {
    match connection {
        Connection::Sqlite(_) => {
            connection.execute("DELETE FROM sqlite_sequence WHERE name = 'events'", ())?;
            connection.execute("INSERT INTO sqlite_sequence (name, seq) VALUES ('events', ?1)", [newest]).map(drop)
        }
        Connection::Postgres(_) => connection.execute("UPDATE event_count SET newest = ?1", [newest]).map(drop),
    }
}

/// The newest event's place.
pub(super) fn event_seq(seq: i64) -> EventSeq {
    EventSeq(u64::try_from(seq).unwrap_or(0))
}

/// When agents were last heard of.
pub(super) fn last_calls(connection: &Connection) -> Result<Vec<(AgentId, Timestamp)>> {
    let mut statement = connection.prepare_cached(LAST_CALLS)?;
    statement.query_map((), |row| Ok((parsed(row, 0)?, time(row, 1)?)))?.collect()
}

/// Notes when agents were last heard of; an older word changes nothing.
pub(super) fn agents_heard(connection: &Connection, calls: &[(AgentId, Timestamp)]) -> Result<()> {
    let mut statement = connection.prepare_cached(AGENT_HEARD)?;
    for (agent, at) in calls {
        statement.execute(params![agent.as_str(), ms(*at)])?;
    }
    Ok(())
}
