//! Follow-ups from elsewhere, taken in without ever touching one that is here.

use super::columns::{ms, number, to_json};
use super::connection::{Connection, OptionalRow};
use super::events;
use super::follow_ups::{get, made_by_source, remember_source};
use super::history::limit;
use super::value::{Result, params};
use super::writer::WriteTxn;
use crate::domain::{AgentId, EventDraft, EventKind, FollowUp, Timestamp};
use crate::store::{Change, FollowUpImport, FollowUpImportOutcome};

pub(super) const INSERT_AS_IS: &str = "INSERT INTO follow_ups (work_item_id, repo, pr_number, source, urgency, \
     active, agent_id, created_at_ms, ended_at_ms, record) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
pub(super) const ACTIVE_COUNT: &str = "SELECT count(*) FROM follow_ups WHERE active = 1";
/// The end of the oldest past follow-up, once as many are kept as may be.
pub(super) const PAST_HORIZON: &str = "SELECT ended_at_ms FROM follow_ups WHERE active = 0 ORDER BY ended_at_ms DESC, \
     work_item_id DESC LIMIT 1 OFFSET ?1";

/// Takes in what can be, in the order given. A trial run changes nothing and answers the same.
pub(super) fn import(txn: &mut WriteTxn<'_>, wish: FollowUpImport) -> Result<Vec<FollowUpImportOutcome>> {
    let (connection, kept) = (txn.connection, txn.changes.len());
    connection.run("SAVEPOINT one_import")?;
    let horizon = past_horizon(txn)?;
    let outcomes = wish.items.into_iter().map(|item| take(txn, item, horizon, wish.now));
    let outcomes: Vec<_> = outcomes.collect::<Result<_>>()?;
    if wish.dry_run {
        connection.run("ROLLBACK TO one_import")?;
        txn.changes.truncate(kept);
    }
    connection.run("RELEASE one_import")?;
    Ok(outcomes)
}

fn take(txn: &mut WriteTxn<'_>, item: FollowUp, horizon: i64, now: Timestamp) -> Result<FollowUpImportOutcome> {
    if let Some(known) = get(txn.connection, item.work_item_id)? {
        return Ok(FollowUpImportOutcome::AlreadyHere(known.status()));
    }
    match made_by_source(txn.connection, &item)? {
        // It was here, ended, and is trimmed by now.
        Some(known) if known == item.work_item_id => return Ok(FollowUpImportOutcome::Passed),
        Some(known) => return Ok(FollowUpImportOutcome::FeedbackKnown(known)),
        None => {}
    }
    let ended = item.status().is_terminal();
    if ended && ms(item.last_updated()) < horizon {
        return Ok(FollowUpImportOutcome::Passed);
    }
    if !ended && active_count(txn.connection)? >= limit(txn.trim.follow_up_count_max()) {
        return Ok(FollowUpImportOutcome::NoRoom);
    }
    remember_source(txn, &item)?;
    insert(txn, &item, ended)?;
    if ended {
        // What is past happened elsewhere: nobody is told of it.
        txn.trim.follow_up_ended(txn.connection)?;
    } else {
        announce(txn, item, now)?;
    }
    Ok(FollowUpImportOutcome::Taken)
}

fn insert(txn: &WriteTxn<'_>, item: &FollowUp, ended: bool) -> Result<()> {
    let row = params![
        item.work_item_id.to_string(),
        item.repo.as_str(),
        number(item.pr_number),
        item.source_event_id,
        item.source_event_type as u8,
        !ended,
        item.holder().map(AgentId::as_str),
        ms(item.created_at),
        ended.then(|| ms(item.last_updated())),
        to_json(item)?,
    ];
    txn.connection.prepare_cached(INSERT_AS_IS)?.execute(row).map(|_| ())
}

fn announce(txn: &mut WriteTxn<'_>, item: FollowUp, now: Timestamp) -> Result<()> {
    let mut draft = EventDraft::about_followup(EventKind::FollowUpCreated, &item, now);
    draft.details["imported"] = true.into();
    txn.changes.push(Change::FollowUpSet(Box::new(item)));
    events::append(txn, draft)
}

fn active_count(connection: &Connection) -> Result<i64> {
    connection.prepare_cached(ACTIVE_COUNT)?.query_row((), |row| row.get(0))
}

/// The end before which nothing has room among the past ones.
fn past_horizon(txn: &WriteTxn<'_>) -> Result<i64> {
    let Some(last) = txn.trim.follow_up_count_max().checked_sub(1) else { return Ok(i64::MAX) };
    let mut statement = txn.connection.prepare_cached(PAST_HORIZON)?;
    Ok(statement.query_row([limit(last)], |row| row.get(0)).optional()?.unwrap_or(i64::MIN))
}
