//! Sets of policies that were in force, their components, and trials of candidates.

use std::collections::HashSet;

use super::columns::{json, ms, time, to_json};
use super::connection::{Connection, OptionalRow};
use super::events;
use super::history::limit;
use super::value::{Result, Row, params};
use super::writer::WriteTxn;
use crate::domain::{Disagreement, EventDraft, EventKind, PolicyStamp, Timestamp, TrialCounts};
use crate::store::{PolicyAudit, PolicySetKept, PolicySetRecord, Trial, TrialBatch, TrialHour};

/// Sets that are kept.
const SET_COUNT_MAX: i64 = 32;
/// Events that are looked through for who wished a ranker: a server that starts puts its policies in force before it
/// does anything else.
const WORD_EVENT_COUNT_MAX: i64 = 1_000;
/// Disagreements that are kept, of all candidates together.
const DISAGREEMENT_COUNT_MAX: i64 = 1_000;
/// Hours that are kept, of all candidates together: three months of one.
const HOUR_COUNT_MAX: i64 = 2_208;
const HOUR_MS: i64 = 3_600_000;

const SET_INSERT: &str = "INSERT INTO policy_sets (at_ms, why, record) VALUES (?1, ?2, ?3) RETURNING set_id";
const SET_COLUMNS: &str = "set_id, at_ms, why, by_whom, record";
const SET_TRIM: &str = "DELETE FROM policy_sets WHERE set_id <= (SELECT max(set_id) FROM policy_sets) - ?1";
const EVENTS_NEWEST: &str = "SELECT record FROM events ORDER BY seq DESC LIMIT ?1";
const SET_MARK: &str = "UPDATE policy_sets SET why = ?2, by_whom = ?3 WHERE set_id = ?1";
const COMPONENTS: &str = "SELECT digest FROM policy_components UNION SELECT digest FROM policy_component_pieces";
const COMPONENT_FORGET: [&str; 2] =
    ["DELETE FROM policy_components WHERE digest = ?1", "DELETE FROM policy_component_pieces WHERE digest = ?1"];
const HOUR_ADD: &str = "INSERT INTO trial_hours (candidate, hour_ms, agreed, disagreed, undecided, failed, dropped) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (candidate, hour_ms) DO UPDATE SET \
     agreed = trial_hours.agreed + excluded.agreed, disagreed = trial_hours.disagreed + excluded.disagreed, \
     undecided = trial_hours.undecided + excluded.undecided, failed = trial_hours.failed + excluded.failed, \
     dropped = trial_hours.dropped + excluded.dropped";
const HOUR_TRIM: &str = "DELETE FROM trial_hours WHERE (candidate, hour_ms) IN \
     (SELECT candidate, hour_ms FROM trial_hours ORDER BY hour_ms DESC LIMIT 9223372036854775807 OFFSET ?1)";

/// Notes a set that came in force, with the word of who wished its ranker before anybody ran it, and forgets the oldest
/// with what only they used.
pub(super) fn set_insert(txn: &mut WriteTxn<'_>, record: &PolicySetRecord, why: &str, now: Timestamp) -> Result<u64> {
    let connection = txn.connection;
    let word = word_on(connection, &record.ranker_stamp)?;
    let set_id: i64 = connection.query_row(SET_INSERT, params![ms(now), why, to_json(record)?], |row| row.get(0))?;
    if let Some((why, by)) = word {
        connection.prepare_cached(SET_MARK)?.execute(params![set_id, why, by])?;
    }
    if connection.prepare_cached(SET_TRIM)?.execute([SET_COUNT_MAX])? > 0 {
        forget_unnamed_components(connection)?;
    }
    Ok(u64::try_from(set_id).unwrap_or(0))
}

/// Forgets components that no kept set names any more.
fn forget_unnamed_components(connection: &Connection) -> Result<()> {
    let sets = set_list(connection)?;
    let records = sets.iter().map(|set| &set.record);
    let named: HashSet<&str> = records.flat_map(PolicySetRecord::component_digests).collect();
    let mut components = connection.prepare_cached(COMPONENTS)?;
    let kept: Vec<String> = components.query_map((), |row| row.get(0))?.collect::<Result<_>>()?;
    for digest in kept.iter().filter(|digest| !named.contains(digest.as_str())) {
        for sql in COMPONENT_FORGET {
            connection.execute(sql, [digest])?;
        }
    }
    Ok(())
}

/// Sets that were in force, newest first.
pub(super) fn set_list(connection: &Connection) -> Result<Vec<PolicySetKept>> {
    let sql = format!("SELECT {SET_COLUMNS} FROM policy_sets ORDER BY set_id DESC");
    connection.prepare_cached(&sql)?.query_map((), kept)?.collect()
}

/// Notes who wished the ranker that is in force, with the set and for everybody.
pub(super) fn audit(txn: &mut WriteTxn<'_>, audit: PolicyAudit) -> Result<()> {
    let newest = set_list(txn.connection)?.into_iter().next();
    if let Some(set) = newest.filter(|set| set.by.is_none() && is_same(&set.record.ranker_stamp, &audit.ranker)) {
        let set_id = i64::try_from(set.set_id).unwrap_or(i64::MAX);
        txn.connection.prepare_cached(SET_MARK)?.execute(params![set_id, audit.why, audit.by])?;
    }
    events::append(txn, audit.event)
}

/// What was done by whom to have this ranker, if that is the last that anybody did, and after the newest set came in
/// force: a command that found no server running. Where the newest set has it already, that word was about that one.
fn word_on(connection: &Connection, ranker: &PolicyStamp) -> Result<Option<(String, String)>> {
    let newest = set_list(connection)?.into_iter().next();
    if newest.as_ref().is_some_and(|set| is_same(&set.record.ranker_stamp, ranker)) {
        return Ok(None);
    }
    let since = newest.map(|set| ms(set.at));
    let mut statement = connection.prepare_cached(EVENTS_NEWEST)?;
    let events = statement.query_map([WORD_EVENT_COUNT_MAX], |row| json::<EventDraft>(row, 0))?;
    let is_word = |event: &EventDraft| matches!(event.kind, EventKind::PolicyPromoted | EventKind::PolicyRolledBack);
    for event in events {
        let event = event?;
        if !is_word(&event) {
            continue;
        }
        let wished = serde_json::from_value::<PolicyStamp>(event.details["ranker"].clone());
        let is_later = since.is_none_or(|since| ms(event.timestamp) > since);
        if !is_later || !wished.is_ok_and(|wished| is_same(&wished, ranker)) {
            return Ok(None);
        }
        let by = event.details["by"].as_str().unwrap_or_default().to_owned();
        return Ok(Some((PolicyAudit::why_of(event.kind, event.details["note"].as_str()), by)));
    }
    Ok(None)
}

fn is_same(a: &PolicyStamp, b: &PolicyStamp) -> bool {
    (&a.digest, &a.settings_digest) == (&b.digest, &b.settings_digest)
}

/// Whether every piece of a component is kept.
pub(super) fn component_piece_count(connection: &Connection, digest: &str) -> Result<Option<u32>> {
    let sql = "SELECT piece_count FROM policy_components WHERE digest = ?1";
    connection.prepare_cached(sql)?.query_row([digest], |row| row.get(0)).optional()
}

/// Keeps one piece of a component.
pub(super) fn component_piece_put(connection: &Connection, digest: &str, piece: u32, bytes: &[u8]) -> Result<()> {
    let sql = "INSERT INTO policy_component_pieces (digest, piece, bytes) VALUES (?1, ?2, ?3) \
         ON CONFLICT (digest, piece) DO UPDATE SET bytes = excluded.bytes";
    connection.prepare_cached(sql)?.execute(params![digest, piece, bytes]).map(|_| ())
}

/// Notes that every piece of a component is kept.
pub(super) fn component_complete(connection: &Connection, digest: &str, piece_count: u32) -> Result<()> {
    let sql = "INSERT INTO policy_components (digest, piece_count) VALUES (?1, ?2) \
         ON CONFLICT (digest) DO UPDATE SET piece_count = excluded.piece_count";
    connection.prepare_cached(sql)?.execute(params![digest, piece_count]).map(|_| ())
}

/// One piece of a component.
pub(super) fn component_piece_get(connection: &Connection, digest: &str, piece: u32) -> Result<Option<Vec<u8>>> {
    let sql = "SELECT bytes FROM policy_component_pieces WHERE digest = ?1 AND piece = ?2";
    connection.prepare_cached(sql)?.query_row(params![digest, piece], |row| row.get(0)).optional()
}

/// Adds what came of some requests to a candidate's trial.
pub(super) fn trial_add(txn: &mut WriteTxn<'_>, batch: &TrialBatch) -> Result<()> {
    let connection = txn.connection;
    let TrialCounts { agreed, disagreed, undecided, failed, dropped } = batch.counts;
    let hour = ms(batch.now) / HOUR_MS * HOUR_MS;
    let count = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    let counts = [agreed, disagreed, undecided, failed, dropped].map(count);
    let [agreed, disagreed, undecided, failed, dropped] = counts;
    connection.prepare_cached(HOUR_ADD)?.execute(params![
        batch.candidate,
        hour,
        agreed,
        disagreed,
        undecided,
        failed,
        dropped
    ])?;
    connection.prepare_cached(HOUR_TRIM)?.execute([HOUR_COUNT_MAX])?;
    let mut insert = connection.prepare_cached("INSERT INTO disagreements (candidate, record) VALUES (?1, ?2)")?;
    for disagreement in &batch.disagreements {
        insert.execute(params![batch.candidate, to_json(disagreement)?])?;
    }
    let trim =
        "DELETE FROM disagreements WHERE disagreement_id <= (SELECT max(disagreement_id) FROM disagreements) - ?1";
    connection.prepare_cached(trim)?.execute([DISAGREEMENT_COUNT_MAX]).map(|_| ())
}

/// What is kept of a candidate's trial, with at most `count_max` disagreements.
pub(super) fn trial_get(connection: &Connection, candidate: &str, count_max: usize) -> Result<Trial> {
    let sql = "SELECT hour_ms, agreed, disagreed, undecided, failed, dropped FROM trial_hours \
         WHERE candidate = ?1 ORDER BY hour_ms";
    let hours = connection.prepare_cached(sql)?.query_map([candidate], hour)?.collect::<Result<_>>()?;
    let sql = "SELECT record FROM disagreements WHERE candidate = ?1 ORDER BY disagreement_id DESC LIMIT ?2";
    let mut listing = connection.prepare_cached(sql)?;
    let listed = listing.query_map(params![candidate, limit(count_max)], |row| json::<Disagreement>(row, 0))?;
    Ok(Trial { hours, disagreements: listed.collect::<Result<_>>()? })
}

fn kept(row: &Row<'_>) -> Result<PolicySetKept> {
    let set_id: i64 = row.get(0)?;
    Ok(PolicySetKept {
        set_id: u64::try_from(set_id).unwrap_or(0),
        at: time(row, 1)?,
        why: row.get(2)?,
        by: row.get(3)?,
        record: json(row, 4)?,
    })
}

fn hour(row: &Row<'_>) -> Result<TrialHour> {
    let count = |index| row.get::<i64>(index).map(|count| u64::try_from(count).unwrap_or(0));
    let counts = TrialCounts {
        agreed: count(1)?,
        disagreed: count(2)?,
        undecided: count(3)?,
        failed: count(4)?,
        dropped: count(5)?,
    };
    Ok(TrialHour { hour: time(row, 0)?, counts })
}
