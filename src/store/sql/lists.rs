//! How far lists are read that are not one repository's issues, and what the sync notes about repositories.

use super::columns::{ms, parsed, time};
use super::connection::{Connection, OptionalRow};
use super::value::{Result, Row, params};
use crate::domain::{RepoName, Timestamp};
use crate::store::{ListName, RepoMark, SyncCursor};

pub(super) const CURSOR_GET: &str = "SELECT etag, updated_at_ms FROM list_cursors WHERE list = ?1";
pub(super) const CURSOR_SET: &str = "INSERT INTO list_cursors (list, etag, updated_at_ms) VALUES (?1, ?2, ?3) \
     ON CONFLICT (list) DO UPDATE SET etag = excluded.etag, updated_at_ms = excluded.updated_at_ms";
pub(super) const CURSOR_DELETE: &str = "DELETE FROM list_cursors WHERE list = ?1";
const MARK_LIST: &str = "SELECT repo, followed, reconciled_at_ms FROM repo_marks ORDER BY repo";
pub(super) const MARK_SET: &str = "INSERT INTO repo_marks (repo, followed, reconciled_at_ms) VALUES (?1, ?2, ?3) \
     ON CONFLICT (repo) DO UPDATE SET followed = excluded.followed, reconciled_at_ms = excluded.reconciled_at_ms";
pub(super) const MARK_DELETE: &str = "DELETE FROM repo_marks WHERE repo = ?1";

fn key(list: &ListName) -> String {
    match list {
        ListName::Changes => "changes".into(),
        ListName::Pulls(repo) => format!("pulls:{repo}"),
    }
}

/// How far a list was read; an empty cursor if never.
pub(super) fn cursor_get(connection: &Connection, list: &ListName) -> Result<SyncCursor> {
    let mut statement = connection.prepare_cached(CURSOR_GET)?;
    let read = |row: &Row<'_>| Ok(SyncCursor { etag: row.get(0)?, updated_at: optional_time(row, 1)? });
    Ok(statement.query_row([key(list)], read).optional()?.unwrap_or_default())
}

/// Notes how far lists were read.
pub(super) fn cursor_set(connection: &Connection, reached: &[(ListName, SyncCursor)]) -> Result<()> {
    let mut statement = connection.prepare_cached(CURSOR_SET)?;
    for (list, cursor) in reached {
        statement.execute(params![key(list), cursor.etag, cursor.updated_at.map(ms)])?;
    }
    Ok(())
}

/// What is noted about repositories, by name.
pub(super) fn mark_list(connection: &Connection) -> Result<Vec<(RepoName, RepoMark)>> {
    let mut statement = connection.prepare_cached(MARK_LIST)?;
    let rows = statement.query_map((), |row| {
        Ok((parsed(row, 0)?, RepoMark { followed: row.get(1)?, reconciled_at: optional_time(row, 2)? }))
    })?;
    rows.collect()
}

/// Notes something about repositories.
pub(super) fn mark_set(connection: &Connection, marks: &[(RepoName, RepoMark)]) -> Result<()> {
    let mut statement = connection.prepare_cached(MARK_SET)?;
    for (repo, mark) in marks {
        statement.execute(params![repo.as_str(), mark.followed, mark.reconciled_at.map(ms)])?;
    }
    Ok(())
}

/// Forgets everything about a repository.
pub(super) fn forget(connection: &Connection, repo: &RepoName) -> Result<()> {
    connection.prepare_cached(MARK_DELETE)?.execute([repo.as_str()])?;
    connection.prepare_cached(CURSOR_DELETE)?.execute([key(&ListName::Pulls(repo.clone()))])?;
    Ok(())
}

fn optional_time(row: &Row<'_>, index: usize) -> Result<Option<Timestamp>> {
    let known: Option<i64> = row.get(index)?;
    known.map(|_| time(row, index)).transpose()
}
