//! What a store knows of its copies: behind which number it counts, and where its contents were moved to.
//!
//! Whoever was given an epoch or saw an event goes by its number, whatever becomes of the store that gave it. So a copy
//! begins behind all that the store it was made from can have given out meanwhile ([`leap`]), and a store whose contents
//! were moved is marked: who goes on there would give out what is given out elsewhere.

use std::time::Duration;

use chrono::SecondsFormat;

use super::columns::time;
use super::connection::Connection;
use super::value::{Error, Result, Row, params};
use super::{claims, events, roles};
use crate::domain::{IssueRef, Timestamp};
use crate::store::postgres;

/// Numbers for each second of the clock: a copy counts from the second in which it was made. Events would have to come
/// faster, day and night, to reach into a later copy's, and no issue is granted as often.
const STEP: i64 = 1_000_000;
/// A clock is waited for that is behind what the copy counts from by no more: two that agree never are by as much.
const CLOCK_BEHIND_MS_MAX: i64 = 10_000;
const COUNTED_FROM: &str = "SELECT counted_from FROM lineage WHERE one = 1";
const COUNT_FROM: &str = "UPDATE lineage SET counted_from = ?1 WHERE one = 1";
const NEWEST_EPOCH: &str = "SELECT coalesce(max(epoch), 0) FROM lease_epochs";
/// What counts grants stays; see [`super::snapshot`].
const EPOCHS_RAISE: &str =
    "UPDATE lease_epochs SET epoch = (SELECT counted_from FROM lineage WHERE one = 1) + epoch % 1000000";
const EPOCHS_BEGIN: &str = "INSERT INTO lease_epochs (repo, number, epoch) SELECT issues.repo, issues.number, \
     lineage.counted_from FROM issues, lineage WHERE lineage.one = 1 ON CONFLICT (repo, number) DO NOTHING";
pub(super) const EPOCH_BEGIN: &str = "INSERT INTO lease_epochs (repo, number, epoch) \
     SELECT CAST(?1 AS TEXT), CAST(?2 AS BIGINT), counted_from FROM lineage WHERE one = 1 AND counted_from > 0 \
     ON CONFLICT (repo, number) DO NOTHING";
const MOVED: &str = "SELECT moved_to, moved_at_ms FROM lineage WHERE one = 1";
const MARK: &str = "UPDATE lineage SET moved_to = ?1, moved_at_ms = ?2 WHERE one = 1";
const UNMARK: &str = "UPDATE lineage SET moved_to = NULL, moved_at_ms = NULL WHERE one = 1";

/// Where the contents of a store were moved to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moved {
    /// The other store, without a password.
    pub to: String,
    /// When.
    pub at: Timestamp,
}

impl Moved {
    /// From the columns `column` and `column + 1`: where to, and when.
    pub(in crate::store) fn read(row: &Row<'_>, column: usize) -> Result<Option<Self>> {
        if row.is_null(column)? {
            return Ok(None);
        }
        Ok(Some(Self { to: row.get(column)?, at: time(row, column + 1)? }))
    }

    /// Why nobody goes on here.
    pub(in crate::store) fn refusal(&self) -> Error {
        Error::Unavailable(format!(
            "all that was here was moved to {} at {}: use that (store.url and store.path say which is used), or go on \
             here, without what was done there since, after `issuecommand store reopen` (so also where nothing is there, \
             because the move was broken off)",
            self.to,
            self.at.to_rfc3339_opts(SecondsFormat::Secs, true)
        ))
    }
}

/// Where the contents of a store were moved to, if they were.
pub(super) fn moved(connection: &Connection) -> Result<Option<Moved>> {
    connection.query_row(MOVED, (), |row| Moved::read(row, 0))
}

/// Refuses a store whose contents were moved.
pub(super) fn refuse_if_moved(connection: &Connection) -> Result<()> {
    moved(connection)?.map_or(Ok(()), |moved| Err(moved.refusal()))
}

/// Marks a store as moved to `to`, by the clock of its database. Answers the mark.
pub(super) fn mark(connection: &Connection, to: &str) -> Result<Moved> {
    connection.execute(MARK, params![to, roles::now(connection)?])?;
    moved(connection)?.ok_or(Error::NoRow)
}

/// Takes the mark off.
pub(super) fn unmark(connection: &Connection) -> Result<()> {
    connection.execute(UNMARK, ()).map(drop)
}

/// Has `to`, which holds what `from` holds, count epochs and events behind all that either gave out or will. Leases
/// keep their epochs: who holds one goes on. Takes as long as the second has left in which it is done, so that the
/// next copy is made in a later one.
pub(super) fn leap(from: &Connection, to: &Connection) -> Result<()> {
    let newest_epoch: i64 = from.query_row(NEWEST_EPOCH, (), |row| row.get(0))?;
    let given = events::last(from)?.max(newest_epoch).max(counted_from(from)?).max(counted_from(to)?);
    let floor = (given / STEP + 1).max(roles::now(to)? / 1000).saturating_mul(STEP);
    to.execute(COUNT_FROM, [floor])?;
    to.execute(EPOCHS_RAISE, ())?;
    to.execute(EPOCHS_BEGIN, ())?;
    events::count_from(to, floor)?;
    if let Connection::Postgres(_) = to {
        to.execute(postgres::LEAP, ())?;
    }
    wait_until_behind(to, floor)
}

/// Waits until the clock of the database is past the second that `floor` is the number of.
fn wait_until_behind(connection: &Connection, floor: i64) -> Result<()> {
    loop {
        let left_ms = (floor / STEP + 1).saturating_mul(1000) - roles::now(connection)?;
        match u64::try_from(left_ms) {
            Ok(left) if (1..=CLOCK_BEHIND_MS_MAX).contains(&left_ms) => std::thread::sleep(Duration::from_millis(left)),
            // A clock that is far behind is not waited for: `docs/operations.md` says what that means.
            _ => return Ok(()),
        }
    }
}

/// Where a store counts from; 0 where it is no copy.
pub(super) fn counted_from(connection: &Connection) -> Result<i64> {
    connection.query_row(COUNTED_FROM, (), |row| row.get(0))
}

/// Has the epochs of an issue that was not known begin where this copy counts from: the store that it is a copy of may
/// have known the issue.
pub(super) fn begin_epochs(connection: &Connection, issue: &IssueRef) -> Result<()> {
    let row = params![issue.repo.as_str(), super::columns::number(issue.number)];
    connection.execute(EPOCH_BEGIN, row).map(drop)
}

/// The newest epoch that can have been granted on an issue.
pub(super) fn last_epoch(connection: &Connection, issue: &IssueRef) -> Result<u64> {
    let counted_from = u64::try_from(counted_from(connection)?).unwrap_or(0);
    Ok(claims::last_epoch(connection, issue)?.max(counted_from))
}

/// How many grants an epoch counts; the rest of it says where its store counts from.
pub(super) fn grant_count(epoch: u64) -> u64 {
    epoch % STEP.unsigned_abs()
}

/// The epoch behind which an issue goes on that two stores know: as many grants as either counted, from where the
/// later copy counts.
pub(super) fn newest_of(ours: u64, theirs: u64) -> u64 {
    let begun = |epoch| epoch - grant_count(epoch);
    begun(ours).max(begun(theirs)) + grant_count(ours).max(grant_count(theirs))
}
