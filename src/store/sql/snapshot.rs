//! The snapshot that the in-memory index is rebuilt from.

use std::sync::Arc;

use super::columns::{ISSUE, Interner, issue_number, issue_ref, text, time};
use super::connection::Connection;
use super::value::{Result, Row};
use super::{approvals, blockers, claims, events, follow_ups, places, repos, signals};
use crate::domain::{Approval, IssueFacts, IssueRef};
use crate::store::{ClaimFilter, FollowUpFilter, Snapshot, postgres};

const ISSUES_WHERE: &str = "FROM issues WHERE open = 1 ORDER BY repo, number";
pub(super) const FINISHED: &str = "SELECT past.repo, past.number FROM lease_epochs AS past \
     CROSS JOIN issues WHERE issues.repo = past.repo AND issues.number = past.number AND issues.open = 1 \
     AND past.finished = 1 ORDER BY past.repo, past.number";
/// Every grant raises the epoch of its issue by one; a copy raises all by whole millions ([`super::lineage`]).
const GRANTED_COUNT: &str = "SELECT CAST(coalesce(sum(epoch % 1000000), 0) AS BIGINT) FROM lease_epochs";

/// Reads everything as of one commit.
pub(super) fn load(connection: &Connection) -> Result<Snapshot> {
    connection.as_of_one_commit(|| read(connection))
}

/// Reads everything, in a transaction that sees one commit.
pub(super) fn read(connection: &Connection) -> Result<Snapshot> {
    let mut issues = open_issues(connection)?;
    let unplaced = places::complete(connection, &mut issues)?;
    Ok(Snapshot {
        repos: repos::list(connection)?,
        issues,
        unplaced,
        notices: signals::notices(connection)?,
        blockers: blockers::all(connection)?,
        approvals: approvals::all(connection)?,
        finished: finished(connection)?,
        claims: claims::list(connection, &ClaimFilter::default())?,
        follow_ups: follow_ups::list(connection, &FollowUpFilter::default())?,
        last_calls: events::last_calls(connection)?,
        commit_seq: match connection {
            Connection::Sqlite(_) => 0,
            Connection::Postgres(_) => {
                connection.query_row(postgres::NEWEST, (), |row| row.get::<i64>(0))?.unsigned_abs()
            }
        },
        last_event: events::event_seq(events::last(connection)?),
        granted_count: connection.query_row(GRANTED_COUNT, (), |row| row.get::<i64>(0))?.unsigned_abs(),
    })
}

fn finished(connection: &Connection) -> Result<Vec<IssueRef>> {
    connection.prepare_cached(FINISHED)?.query_map((), |row| issue_ref(row, 0))?.collect()
}

fn open_issues(connection: &Connection) -> Result<Vec<IssueFacts>> {
    let mut interner = Interner::default();
    let mut statement = connection.prepare_cached(&format!("SELECT {ISSUE} {ISSUES_WHERE}"))?;
    statement.query_map((), |row| facts(row, &mut interner))?.collect()
}

/// The facts of one row, by the columns of [`ISSUE`]; like [`super::columns::issue`], without copying
/// texts that are known.
fn facts(row: &Row<'_>, interner: &mut Interner) -> Result<IssueFacts> {
    let milestone = row.text_or_null(6)?.map(|title| interner.share(title));
    Ok(IssueFacts {
        issue: IssueRef::new(interner.repo(row, 0)?, issue_number(row, 1)?),
        title: text(row, 3)?.into(),
        labels: interner.share_all(row, 4)?,
        assignees: interner.share_all(row, 5)?,
        milestone,
        author: interner.share(text(row, 7)?),
        author_association: interner.share(text(row, 8)?),
        comment_count: row.get(9)?,
        reaction_count: row.get(10)?,
        created_at: time(row, 11)?,
        updated_at: time(row, 12)?,
        topics: Arc::default(),
        open_blockers: Box::default(),
        approval: Approval::None,
        areas: Box::default(),
        reviewers: Box::default(),
    })
}
