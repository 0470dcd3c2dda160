//! What is to be closed first: by the texts of issues, read when they are written, and by GitHub's
//! dependencies.

use super::columns::{issue_ref, ms, number};
use super::connection::Connection;
use super::issues;
use super::value::{Result, Row, params};
use super::writer::WriteTxn;
use crate::domain::{Blocker, Issue, IssueRef, IssueState, RepoName, blockers_in};
use crate::store::{Change, DependencyChange, DependencyDue, DependencyReading};

pub(super) const LIST: &str = "SELECT blocker_repo, blocker_number, max(stated_open) FROM blockers \
     WHERE repo = ?1 AND number = ?2 GROUP BY blocker_repo, blocker_number";
pub(super) const LIST_BY: &str = "SELECT blocker_repo, blocker_number, stated_open FROM blockers \
     WHERE repo = ?1 AND number = ?2 AND by_github = ?3";
pub(super) const INSERT: &str = "INSERT INTO blockers (repo, number, by_github, blocker_repo, blocker_number, stated_open) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (repo, number, by_github, blocker_repo, blocker_number) \
     DO UPDATE SET stated_open = excluded.stated_open";
pub(super) const DELETE: &str = "DELETE FROM blockers WHERE repo = ?1 AND number = ?2 AND by_github = ?3";
pub(super) const DELETE_ONE: &str = "DELETE FROM blockers WHERE repo = ?1 AND number = ?2 AND by_github = 1 \
     AND blocker_repo = ?3 AND blocker_number = ?4";
pub(super) const CLOSED: &str =
    "UPDATE blockers SET stated_open = 0 WHERE blocker_repo = ?1 AND blocker_number = ?2 AND stated_open = 1";
pub(super) const CLOSED_IN: &str = "UPDATE blockers SET stated_open = 0 WHERE blocker_repo = ?1 AND stated_open = 1";
pub(super) const DUE_MARK: &str =
    "INSERT INTO dependency_readings (repo, number) VALUES (?1, ?2) ON CONFLICT (repo, number) DO NOTHING";
pub(super) const DUE_DELETE: &str = "DELETE FROM dependency_readings WHERE repo = ?1 AND number = ?2";
pub(super) const DUE_LIST: &str =
    "SELECT repo, number, etag FROM dependency_readings ORDER BY read_at_ms, repo, number LIMIT ?1";
pub(super) const DUE_NOTE: &str =
    "UPDATE dependency_readings SET etag = ?3, read_at_ms = ?4 WHERE repo = ?1 AND number = ?2";
const ALL: &str = "SELECT repo, number, blocker_repo, blocker_number, max(stated_open) FROM blockers \
     GROUP BY repo, number, blocker_repo, blocker_number ORDER BY repo, number";
const UNREAD: &str = "SELECT repo, number FROM texts_unread";
const UNREAD_FORGET: &str = "DELETE FROM texts_unread";

/// Where a blocker is told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum By {
    Text = 0,
    Github = 1,
}

/// Every issue's blockers.
pub(super) fn all(connection: &Connection) -> Result<Vec<(IssueRef, Vec<Blocker>)>> {
    let mut found: Vec<(IssueRef, Vec<Blocker>)> = Vec::new();
    let mut statement = connection.prepare_cached(ALL)?;
    for row in statement.query_map((), |row| Ok((issue_ref(row, 0)?, blocker(row, 2)?)))? {
        let (issue, blocker) = row?;
        match found.last_mut() {
            Some((last, blockers)) if *last == issue => blockers.push(blocker),
            _ => found.push((issue, vec![blocker])),
        }
    }
    Ok(found)
}

/// Takes in what an issue just written says: by its text, if `text_changed`, and by GitHub's count.
pub(super) fn told_by(txn: &mut WriteTxn<'_>, issue: &Issue, text_changed: bool) -> Result<()> {
    let own = issue.issue_ref();
    if issue.state == IssueState::Closed {
        clear(txn, &own, By::Text)?;
        clear(txn, &own, By::Github)?;
        return not_due(txn, &own);
    }
    let mut changed = text_changed && read_text(txn.connection, issue)?;
    match issue.open_blocker_count {
        Some(0) => {
            changed |= clear(txn, &own, By::Github)?;
            not_due(txn, &own)?;
        }
        Some(_) => due(txn, &own)?,
        None => {}
    }
    if changed { announce(txn, own) } else { Ok(()) }
}

/// Notes that an issue is closed, or gone: whatever GitHub said of it as a blocker before.
pub(super) fn no_longer_open(txn: &WriteTxn<'_>, issue: &IssueRef) -> Result<()> {
    let row = params![issue.repo.as_str(), number(issue.number)];
    txn.connection.prepare_cached(CLOSED)?.execute(row).map(drop)
}

/// The same, for all issues of a repository that is gone.
pub(super) fn none_open_in(txn: &WriteTxn<'_>, repo: &RepoName) -> Result<()> {
    txn.connection.prepare_cached(CLOSED_IN)?.execute([repo.as_str()]).map(drop)
}

/// Issues whose dependencies are to be read, the longest waiting first.
pub(super) fn due_list(connection: &Connection, limit: usize) -> Result<Vec<DependencyDue>> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let read = |row: &Row<'_>| Ok(DependencyDue { issue: issue_ref(row, 0)?, etag: row.get(2)? });
    connection.prepare_cached(DUE_LIST)?.query_map([limit], read)?.collect()
}

/// Takes in the dependencies of one issue, as read.
pub(super) fn reading_set(txn: &mut WriteTxn<'_>, reading: DependencyReading) -> Result<()> {
    let DependencyReading { issue, blockers, etag, now } = reading;
    // What was closed or forgotten meanwhile is not open for work.
    if issues::state(txn.connection, &issue)? != Some(IssueState::Open) {
        return Ok(());
    }
    let row = params![issue.repo.as_str(), number(issue.number), etag, ms(now)];
    txn.connection.prepare_cached(DUE_NOTE)?.execute(row)?;
    let Some(blockers) = blockers else { return Ok(()) };
    if replace(txn.connection, &issue, By::Github, &blockers)? {
        announce(txn, issue)?;
    }
    Ok(())
}

/// Takes in that one dependency came or went. They are read again, for what was told out of order.
pub(super) fn dependency_change(txn: &mut WriteTxn<'_>, change: DependencyChange) -> Result<()> {
    let DependencyChange { issue, blocker, added } = change;
    if issues::state(txn.connection, &issue)? != Some(IssueState::Open) {
        return Ok(());
    }
    due(txn, &issue)?;
    let (repo, issue_number) = (issue.repo.as_str(), number(issue.number));
    let (blocker_repo, blocker_number) = (blocker.issue.repo.as_str(), number(blocker.issue.number));
    let changed = if added {
        let row = params![repo, issue_number, By::Github as i64, blocker_repo, blocker_number, blocker.stated_open];
        txn.connection.prepare_cached(INSERT)?.execute(row)?
    } else {
        let row = params![repo, issue_number, blocker_repo, blocker_number];
        txn.connection.prepare_cached(DELETE_ONE)?.execute(row)?
    };
    if changed > 0 { announce(txn, issue) } else { Ok(()) }
}

/// Reads the texts that were written before texts were read: only SQLite had databases then. In a transaction: all of them, or none.
pub(super) fn read_unread_texts(connection: &Connection) -> Result<()> {
    let mut statement = connection.prepare_cached(UNREAD)?;
    let unread: Vec<IssueRef> = statement.query_map((), |row| issue_ref(row, 0))?.collect::<Result<_>>()?;
    for issue in unread {
        if let Some(issue) = issues::get(connection, &issue)? {
            read_text(connection, &issue)?;
        }
    }
    connection.execute(UNREAD_FORGET, ()).map(drop)
}

/// Whether an issue's text names other blockers than it did.
fn read_text(connection: &Connection, issue: &Issue) -> Result<bool> {
    let own = issue.issue_ref();
    let named = blockers_in(&issue.title, &issue.body, &own).into_iter();
    let named: Vec<_> = named.map(|issue| Blocker { issue, stated_open: false }).collect();
    replace(connection, &own, By::Text, &named)
}

/// Puts `blockers` in the place of what was told in this way; whether that is a difference.
fn replace(connection: &Connection, issue: &IssueRef, by: By, blockers: &[Blocker]) -> Result<bool> {
    let key = params![issue.repo.as_str(), number(issue.number), by as i64];
    let mut known = connection.prepare_cached(LIST_BY)?;
    let known: Vec<Blocker> = known.query_map(key, |row| blocker(row, 0))?.collect::<Result<_>>()?;
    if known.len() == blockers.len() && blockers.iter().all(|blocker| known.contains(blocker)) {
        return Ok(false);
    }
    connection.prepare_cached(DELETE)?.execute(key)?;
    let mut insert = connection.prepare_cached(INSERT)?;
    for Blocker { issue: other, stated_open } in blockers {
        let (repo, issue_number) = (issue.repo.as_str(), number(issue.number));
        insert.execute(params![
            repo,
            issue_number,
            by as i64,
            other.repo.as_str(),
            number(other.number),
            stated_open
        ])?;
    }
    Ok(true)
}

fn clear(txn: &WriteTxn<'_>, issue: &IssueRef, by: By) -> Result<bool> {
    let key = params![issue.repo.as_str(), number(issue.number), by as i64];
    Ok(txn.connection.prepare_cached(DELETE)?.execute(key)? > 0)
}

fn due(txn: &WriteTxn<'_>, issue: &IssueRef) -> Result<()> {
    txn.connection.prepare_cached(DUE_MARK)?.execute(params![issue.repo.as_str(), number(issue.number)]).map(drop)
}

fn not_due(txn: &WriteTxn<'_>, issue: &IssueRef) -> Result<()> {
    txn.connection.prepare_cached(DUE_DELETE)?.execute(params![issue.repo.as_str(), number(issue.number)]).map(drop)
}

fn announce(txn: &mut WriteTxn<'_>, issue: IssueRef) -> Result<()> {
    let mut statement = txn.connection.prepare_cached(LIST)?;
    let key = params![issue.repo.as_str(), number(issue.number)];
    let blockers = statement.query_map(key, |row| blocker(row, 0))?.collect::<Result<_>>()?;
    txn.changes.push(Change::BlockersSet(issue, blockers));
    Ok(())
}

fn blocker(row: &Row<'_>, index: usize) -> Result<Blocker> {
    Ok(Blocker { issue: issue_ref(row, index)?, stated_open: row.get(index + 2)? })
}
