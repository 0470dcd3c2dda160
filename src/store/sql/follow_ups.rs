//! Follow-ups: made once for each piece of feedback, taken, moved, settled, listed.

use super::claims;
use super::columns::{json, ms, number, parsed, to_json};
use super::connection::{Connection, OptionalRow};
use super::events;
use super::history::limit;
use super::value::{Result, Row, params};
use super::writer::WriteTxn;
use crate::domain::{
    AgentId, EventDraft, EventKind, FollowUp, FollowUpStatus, FollowUpStep, IssueRef, Mover, RequestId, Timestamp,
    WorkItemId,
};
use crate::store::{
    Change, FollowUpChange, FollowUpFilter, FollowUpInserted, FollowUpLink, FollowUpMoved, FollowUpTake, FollowUpTaken,
    Settlement, Settles,
};

pub(super) const SOURCE_GET: &str = "SELECT work_item_id FROM follow_up_sources WHERE repo = ?1 AND source = ?2";
pub(super) const SOURCE_INSERT: &str = "INSERT INTO follow_up_sources (repo, source, work_item_id) VALUES (?1, ?2, ?3)";
pub(super) const INSERT: &str = "INSERT INTO follow_ups (work_item_id, repo, pr_number, source, urgency, active, \
     created_at_ms, record) VALUES (?1, ?2, ?3, ?4, ?5, 1, ?6, ?7)";
pub(super) const UPDATE: &str = "UPDATE follow_ups SET active = ?2, agent_id = ?3, \
     request_id = coalesce(?4, request_id), ended_at_ms = ?5, record = ?6 WHERE work_item_id = ?1";
pub(super) const REQUEST_FORGET: &str = "UPDATE follow_ups SET request_id = NULL WHERE work_item_id = ?1";
pub(super) const GET: &str = "SELECT record FROM follow_ups WHERE work_item_id = ?1";
pub(super) const GET_ACTIVE: &str = "SELECT record FROM follow_ups WHERE work_item_id = ?1 AND active = 1";
pub(super) const BY_REQUEST: &str = "SELECT record FROM follow_ups WHERE agent_id = ?1 AND request_id = ?2";
pub(super) const LIST: &str =
    "SELECT record FROM follow_ups WHERE active = 1 ORDER BY urgency, created_at_ms, work_item_id";
pub(super) const HISTORY: &str =
    "SELECT record FROM follow_ups WHERE active = 0 ORDER BY ended_at_ms DESC, work_item_id DESC LIMIT ?1";
pub(super) const ACTIVE_COUNT: &str = "SELECT count(*) FROM follow_ups WHERE active = 1";
/// Less urgent than this, the least urgent and newest first; enough of them to find one that nobody has.
pub(super) const LEAST_URGENT: &str = "SELECT record FROM follow_ups WHERE active = 1 AND urgency > ?1 \
     ORDER BY urgency DESC, created_at_ms DESC LIMIT 200";
pub(super) const LIST_OF_PULL: &str = "SELECT record FROM follow_ups WHERE active = 1 AND repo = ?1 AND pr_number = ?2";
/// Those that ended are bounded, and people look at one pull request at a time.
pub(super) const PAST_OF_PULL: &str = "SELECT record FROM follow_ups WHERE active = 0 AND repo = ?1 AND pr_number = ?2 \
     ORDER BY ended_at_ms DESC LIMIT ?3";

/// Writes a new follow-up, unless its feedback made one before.
pub(super) fn insert(txn: &mut WriteTxn<'_>, item: FollowUp) -> Result<FollowUpInserted> {
    if let Some(known) = made_by_source(txn.connection, &item)? {
        return Ok(FollowUpInserted::Known(known));
    }
    if !has_room(txn, &item)? {
        return Ok(FollowUpInserted::Full);
    }
    remember_source(txn, &item)?;
    let row = params![
        item.work_item_id.to_string(),
        item.repo.as_str(),
        number(item.pr_number),
        item.source_event_id,
        item.source_event_type as u8,
        ms(item.created_at),
        to_json(&item)?,
    ];
    txn.connection.prepare_cached(INSERT)?.execute(row)?;
    announce(txn, &item, Some(EventKind::FollowUpCreated), item.created_at)?;
    Ok(FollowUpInserted::Created(Box::new(item)))
}

/// The follow-up that the feedback of this one made before.
pub(super) fn made_by_source(connection: &Connection, item: &FollowUp) -> Result<Option<WorkItemId>> {
    let source = params![item.repo.as_str(), item.source_event_id];
    connection.prepare_cached(SOURCE_GET)?.query_row(source, |row| parsed(row, 0)).optional()
}

/// Remembers which follow-up the feedback made, longer than the follow-up itself is kept.
pub(super) fn remember_source(txn: &mut WriteTxn<'_>, item: &FollowUp) -> Result<()> {
    let source = params![item.repo.as_str(), item.source_event_id, item.work_item_id.to_string()];
    txn.connection.prepare_cached(SOURCE_INSERT)?.execute(source)?;
    txn.trim.source_noted(txn.connection)
}

/// Keeps the number of active ones bounded: for a more urgent one the newest of the least urgent that
/// nobody has gives way, and says so.
fn has_room(txn: &mut WriteTxn<'_>, item: &FollowUp) -> Result<bool> {
    let active: i64 = txn.connection.prepare_cached(ACTIVE_COUNT)?.query_row((), |row| row.get(0))?;
    if usize::try_from(active).unwrap_or(0) < txn.trim.follow_up_count_max() {
        return Ok(true);
    }
    let urgency = item.source_event_type as u8;
    let mut statement = txn.connection.prepare_cached(LEAST_URGENT)?;
    let least_urgent: Vec<FollowUp> = statement.query_map([urgency], record)?.collect::<Result<_>>()?;
    let Some(mut gives_way) = least_urgent.into_iter().find(|other| other.status().is_on_offer()) else {
        return Ok(false);
    };
    let note = "more follow-ups than store.follow_up_max_entries (FOLLOWUP_MAX_ENTRIES)";
    let step = FollowUpStep { to: FollowUpStatus::Dismissed, by: Mover::Sweep, note: Some(note.into()) };
    let now = item.created_at;
    if gives_way.advance(step, now).is_ok() {
        update(txn, &gives_way, None, Some(EventKind::FollowUpDismissed), now)?;
    }
    Ok(true)
}

/// Gives the agent the first candidate that is on offer to it.
pub(super) fn take(txn: &mut WriteTxn<'_>, wish: FollowUpTake) -> Result<FollowUpTaken> {
    if let Some(request_id) = &wish.request_id {
        if let Some(item) = by_request(txn.connection, &wish.agent, request_id)? {
            let ended = item.status().is_terminal();
            let item = Box::new(item);
            return Ok(if ended { FollowUpTaken::RequestUsed(item) } else { FollowUpTaken::Already(item) });
        }
        if claims::by_request(txn.connection, &wish.agent, request_id)?.is_some() {
            return Ok(FollowUpTaken::RequestGotClaim);
        }
    }
    for candidate in &wish.candidates {
        let Some(mut item) = one(txn.connection, GET_ACTIVE, *candidate)? else { continue };
        if !item.is_for(&wish.agent, wish.now) {
            continue;
        }
        let step = FollowUpStep { to: FollowUpStatus::Claimed, by: Mover::Agent(wish.agent.clone()), note: None };
        if item.advance(step, wish.now).is_ok() {
            // Whoever had it before it lapsed has it no more, and the row can keep one request's id.
            txn.connection.prepare_cached(REQUEST_FORGET)?.execute([candidate.to_string()])?;
            update(txn, &item, wish.request_id.as_ref(), Some(EventKind::FollowUpClaimed), wish.now)?;
            return Ok(FollowUpTaken::Taken(Box::new(item)));
        }
    }
    Ok(FollowUpTaken::NoneFree)
}

/// Moves an active follow-up, if it is still the one that the caller means.
pub(super) fn advance(txn: &mut WriteTxn<'_>, change: FollowUpChange) -> Result<FollowUpMoved> {
    let Some(mut item) = one(txn.connection, GET_ACTIVE, change.work_item_id)? else {
        return Ok(FollowUpMoved::NotFound);
    };
    if change.last_updated.is_some_and(|at| at != item.last_updated()) {
        return Ok(FollowUpMoved::Superseded);
    }
    let holder = item.holder().cloned();
    match item.advance(change.step, change.now) {
        Ok(changed) => {
            if item.holder() != holder.as_ref() {
                // A request's id belongs to the agent that sent it.
                txn.connection.prepare_cached(REQUEST_FORGET)?.execute([change.work_item_id.to_string()])?;
            }
            let kind = changed.then(|| EventKind::of_followup(item.status()));
            update(txn, &item, None, kind, change.now)?;
            Ok(FollowUpMoved::Moved(Box::new(item), changed))
        }
        Err(refusal) => Ok(FollowUpMoved::Refused(Box::new(item), refusal)),
    }
}

/// Settles what GitHub says is settled; answers how many follow-ups ended.
pub(super) fn settle(txn: &mut WriteTxn<'_>, settlement: Settlement) -> Result<usize> {
    let Settlement { pull, settles, now } = settlement;
    let mut settled = 0;
    for item in of_pull(txn.connection, &pull)? {
        settled += usize::from(match &settles {
            Settles::All { to, note } => end(txn, item, *to, note, now)?,
            Settles::Sources { sources, to, note } => {
                sources.contains(&item.source_event_id) && end(txn, item, *to, note, now)?
            }
            Settles::Pushed { at, .. } if item.created_at > *at => false,
            Settles::Pushed { at, resolve } => {
                let is_taken = matches!(item.status(), FollowUpStatus::Claimed | FollowUpStatus::InProgress)
                    && item.claimed_at().is_some_and(|claimed_at| claimed_at <= *at);
                if *resolve && is_taken {
                    end(txn, item, FollowUpStatus::Done, "commits were pushed while an agent had it", now)?
                } else {
                    let mut marked = item;
                    marked.pushed_at = Some(*at);
                    update(txn, &marked, None, Some(EventKind::FollowUpUpdated), now)?;
                    false
                }
            }
        });
    }
    Ok(settled)
}

/// Tells the active follow-ups of a pull request which claim it came from; answers how many learnt it.
pub(super) fn link(txn: &mut WriteTxn<'_>, link: FollowUpLink) -> Result<usize> {
    let mut learnt = 0;
    for mut item in of_pull(txn.connection, &link.pull)? {
        if item.link(link.claim_id, link.reserved.clone()) {
            update(txn, &item, None, Some(EventKind::FollowUpUpdated), link.now)?;
            learnt += 1;
        }
    }
    Ok(learnt)
}

fn end(txn: &mut WriteTxn<'_>, mut item: FollowUp, to: FollowUpStatus, note: &str, now: Timestamp) -> Result<bool> {
    let step = FollowUpStep { to, by: Mover::Github, note: Some(note.to_owned()) };
    let ended = item.advance(step, now) == Ok(true);
    if ended {
        update(txn, &item, None, Some(EventKind::of_followup(to)), now)?;
    }
    Ok(ended)
}

/// Writes a follow-up as it stands, with the event that tells of it.
fn update(
    txn: &mut WriteTxn<'_>,
    item: &FollowUp,
    request_id: Option<&RequestId>,
    kind: Option<EventKind>,
    now: Timestamp,
) -> Result<()> {
    let ended = item.status().is_terminal();
    let row = params![
        item.work_item_id.to_string(),
        !ended,
        item.holder().map(|agent| agent.as_str()),
        request_id.map(RequestId::as_str),
        ended.then(|| ms(item.last_updated())),
        to_json(item)?,
    ];
    txn.connection.prepare_cached(UPDATE)?.execute(row)?;
    if ended {
        txn.trim.follow_up_ended(txn.connection)?;
    }
    announce(txn, item, kind, now)
}

fn announce(txn: &mut WriteTxn<'_>, item: &FollowUp, kind: Option<EventKind>, now: Timestamp) -> Result<()> {
    txn.changes.push(Change::FollowUpSet(Box::new(item.clone())));
    kind.map_or(Ok(()), |kind| events::append(txn, EventDraft::about_followup(kind, item, now)))
}

/// Active follow-ups in the order in which they are given out: most urgent first, then oldest.
pub(super) fn list(connection: &Connection, filter: &FollowUpFilter) -> Result<Vec<FollowUp>> {
    let mut statement = connection.prepare_cached(LIST)?;
    let items = statement.query_map((), record)?;
    // Active ones are bounded and few: the filter is applied here.
    let admitted = |item: &FollowUp| {
        filter.repo.as_ref().is_none_or(|repo| *repo == item.repo)
            && filter.status.is_none_or(|status| status == item.status())
            && filter.agent.as_ref().is_none_or(|agent| item.holder() == Some(agent))
            && filter.pr_number.is_none_or(|number| number == item.pr_number)
    };
    items.filter(|item| item.as_ref().map_or(true, admitted)).collect()
}

/// Follow-ups that ended, newest end first.
pub(super) fn history(connection: &Connection, count_max: usize) -> Result<Vec<FollowUp>> {
    connection.prepare_cached(HISTORY)?.query_map([limit(count_max)], record)?.collect()
}

/// The follow-up that a request got before.
pub(super) fn by_request(connection: &Connection, agent: &AgentId, request_id: &RequestId) -> Result<Option<FollowUp>> {
    let row = params![agent.as_str(), request_id.as_str()];
    connection.prepare_cached(BY_REQUEST)?.query_row(row, record).optional()
}

fn of_pull(connection: &Connection, pull: &IssueRef) -> Result<Vec<FollowUp>> {
    let row = params![pull.repo.as_str(), number(pull.number)];
    connection.prepare_cached(LIST_OF_PULL)?.query_map(row, record)?.collect()
}

/// Follow-ups of a pull request, active or past, newest first.
pub(super) fn all_of_pull(connection: &Connection, pull: &IssueRef, count_max: usize) -> Result<Vec<FollowUp>> {
    let mut items = of_pull(connection, pull)?;
    let wanted = params![pull.repo.as_str(), number(pull.number), limit(count_max)];
    for item in connection.prepare_cached(PAST_OF_PULL)?.query_map(wanted, record)? {
        items.push(item?);
    }
    items.sort_by_key(|item| std::cmp::Reverse(item.created_at));
    Ok(items)
}

/// One follow-up, active or past.
pub(super) fn get(connection: &Connection, work_item_id: WorkItemId) -> Result<Option<FollowUp>> {
    one(connection, GET, work_item_id)
}

fn one(connection: &Connection, sql: &str, work_item_id: WorkItemId) -> Result<Option<FollowUp>> {
    connection.prepare_cached(sql)?.query_row([work_item_id.to_string()], record).optional()
}

fn record(row: &Row<'_>) -> Result<FollowUp> {
    json(row, 0)
}
