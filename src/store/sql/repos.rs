//! Repositories, and how far each is synced.

use super::columns::{issue_ref, json, ms, parsed, time, to_json};
use super::connection::Connection;
use super::value::{Result, params};
use super::writer::WriteTxn;
use super::{blockers, lists, places};
use crate::domain::{Repo, RepoName, Timestamp};
use crate::store::{Change, SyncCursor};

pub(super) const UPSERT: &str = "INSERT INTO repos (repo, record) VALUES (?1, ?2) \
     ON CONFLICT (repo) DO UPDATE SET record = excluded.record WHERE repos.record <> excluded.record";
pub(super) const DELETE: &str = "DELETE FROM repos WHERE repo = ?1";
pub(super) const OPEN_ISSUES: &str = "SELECT repo, number FROM issues WHERE repo = ?1 AND open = 1 ORDER BY number";
pub(super) const ISSUES_DELETE: &str = "DELETE FROM issues WHERE repo = ?1";
const LIST: &str = "SELECT record FROM repos ORDER BY repo";
pub(super) const CURSOR_SET: &str = "INSERT INTO cursors (repo, etag, updated_at_ms) VALUES (?1, ?2, ?3) \
     ON CONFLICT (repo) DO UPDATE SET etag = excluded.etag, updated_at_ms = excluded.updated_at_ms";
pub(super) const CURSOR_DELETE: &str = "DELETE FROM cursors WHERE repo = ?1";
const CURSOR_LIST: &str = "SELECT repo, etag, updated_at_ms FROM cursors ORDER BY repo";

/// Writes what GitHub said; only differences are announced.
pub(super) fn apply(txn: &mut WriteTxn<'_>, repos: Vec<Repo>) -> Result<()> {
    for repo in repos {
        let row = params![repo.full_name.as_str(), to_json(&repo)?];
        if txn.connection.prepare_cached(UPSERT)?.execute(row)? > 0 {
            txn.changes.push(Change::RepoSet(Box::new(repo)));
        }
    }
    Ok(())
}

/// Forgets a repository, its issues and its cursor. Claims stay.
pub(super) fn remove(txn: &mut WriteTxn<'_>, repo: RepoName) -> Result<()> {
    let mut statement = txn.connection.prepare_cached(OPEN_ISSUES)?;
    for issue in statement.query_map([repo.as_str()], |row| issue_ref(row, 0))? {
        txn.changes.push(Change::IssueGone(issue?));
    }
    txn.connection.prepare_cached(ISSUES_DELETE)?.execute([repo.as_str()])?;
    txn.connection.prepare_cached(CURSOR_DELETE)?.execute([repo.as_str()])?;
    txn.connection.prepare_cached(DELETE)?.execute([repo.as_str()])?;
    lists::forget(txn.connection, &repo)?;
    places::forget(txn.connection, &repo)?;
    blockers::none_open_in(txn, &repo)?;
    txn.changes.push(Change::RepoGone(repo));
    Ok(())
}

/// Every known repository, by name.
pub(super) fn list(connection: &Connection) -> Result<Vec<Repo>> {
    connection.prepare_cached(LIST)?.query_map((), |row| json(row, 0))?.collect()
}

/// Notes how far a repository is synced.
pub(super) fn cursor_set(connection: &Connection, repo: &RepoName, cursor: &SyncCursor) -> Result<()> {
    let row = params![repo.as_str(), cursor.etag, cursor.updated_at.map(ms)];
    connection.prepare_cached(CURSOR_SET)?.execute(row).map(|_| ())
}

/// How far each repository is synced, by name.
pub(super) fn cursor_list(connection: &Connection) -> Result<Vec<(RepoName, SyncCursor)>> {
    let mut statement = connection.prepare_cached(CURSOR_LIST)?;
    let rows = statement.query_map((), |row| {
        let known: Option<i64> = row.get(2)?;
        let updated_at: Option<Timestamp> = known.map(|_| time(row, 2)).transpose()?;
        Ok((parsed(row, 0)?, SyncCursor { etag: row.get(1)?, updated_at }))
    })?;
    rows.collect()
}
