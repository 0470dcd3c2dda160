//! Issues: what GitHub said of them.

use super::columns::{self, ISSUE, ms, number, text, to_json};
use super::connection::{Connection, OptionalRow};
use super::repos;
use super::value::{Result, params};
use super::writer::WriteTxn;
use super::{approvals, blockers, claims, lineage};
use crate::domain::{
    Actor, Advance, ClaimStatus, EventKind, Issue, IssueNumber, IssueRef, IssueState, RepoName, Step, Timestamp,
    label_key,
};
use crate::store::{Change, IssueApplied, IssueBatch, IssueFilter};

// Writes only what differs, so that the number of rows it touched says whether anything did.
pub(super) const UPSERT: &str = "INSERT INTO issues (repo, number, open, title, labels, assignees, milestone, author, \
     author_association, comment_count, reaction_count, created_at_ms, updated_at_ms, url) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14) \
     ON CONFLICT (repo, number) DO UPDATE SET open = excluded.open, title = excluded.title, labels = excluded.labels, \
     assignees = excluded.assignees, milestone = excluded.milestone, author = excluded.author, \
     author_association = excluded.author_association, comment_count = excluded.comment_count, \
     reaction_count = excluded.reaction_count, created_at_ms = excluded.created_at_ms, \
     updated_at_ms = excluded.updated_at_ms, url = excluded.url \
     WHERE (issues.open, issues.title, issues.labels, issues.assignees, issues.milestone, issues.author, \
     issues.author_association, issues.comment_count, issues.reaction_count, issues.created_at_ms, \
     issues.updated_at_ms, issues.url) IS DISTINCT FROM (excluded.open, excluded.title, excluded.labels, excluded.assignees, \
     excluded.milestone, excluded.author, excluded.author_association, excluded.comment_count, \
     excluded.reaction_count, excluded.created_at_ms, excluded.updated_at_ms, excluded.url)";
pub(super) const BODY_UPSERT: &str = "INSERT INTO issue_bodies (repo, number, body) VALUES (?1, ?2, ?3) \
     ON CONFLICT (repo, number) DO UPDATE SET body = excluded.body WHERE issue_bodies.body <> excluded.body";
pub(super) const STATE: &str = "SELECT open FROM issues WHERE repo = ?1 AND number = ?2";
pub(super) const KNOWN: &str = "SELECT open, updated_at_ms FROM issues WHERE repo = ?1 AND number = ?2";
pub(super) const BODY: &str = "SELECT body FROM issue_bodies WHERE repo = ?1 AND number = ?2";
pub(super) const DELETE: &str = "DELETE FROM issues WHERE repo = ?1 AND number = ?2";
/// [`get`] and [`list`], behind the columns they read.
pub(super) const GET_WHERE: &str = "FROM issues WHERE repo = ?1 AND number = ?2";
pub(super) const LIST_WHERE: &str = "FROM issues WHERE repo = ?1 AND open = 1 AND NOT EXISTS (SELECT 1 FROM claims \
     WHERE claims.repo = issues.repo AND claims.number = issues.number AND claims.active = 1) ORDER BY number";

/// Why a claim was closed by a sync, for its history.
const CLOSED_NOTE: &str = "issue closed on GitHub";

/// Writes a batch, and closes claims on issues that GitHub shows as closed.
pub(super) fn apply(txn: &mut WriteTxn<'_>, batch: IssueBatch) -> Result<IssueApplied> {
    let mut applied = IssueApplied::default();
    for issue in &batch.issues {
        apply_one(txn, issue, batch.now, &mut applied)?;
    }
    if let Some(cursor) = &batch.cursor {
        repos::cursor_set(txn.connection, &batch.repo, cursor)?;
    }
    Ok(applied)
}

/// Writes one issue that GitHub told of by itself, unless something newer is known.
pub(super) fn deliver(txn: &mut WriteTxn<'_>, issue: &Issue, now: Timestamp) -> Result<bool> {
    let known = known(txn.connection, &issue.issue_ref())?;
    let is_old = known.is_some_and(|(state, updated_at)| {
        let reopens = state == IssueState::Closed && issue.state == IssueState::Open;
        updated_at > issue.updated_at || (updated_at == issue.updated_at && reopens)
    });
    if is_old {
        return Ok(false);
    }
    apply_one(txn, issue, now, &mut IssueApplied::default())?;
    Ok(true)
}

fn apply_one(txn: &mut WriteTxn<'_>, issue: &Issue, now: Timestamp, applied: &mut IssueApplied) -> Result<()> {
    let issue_ref = issue.issue_ref();
    // A page that was read before a delivery came in knows less than the delivery.
    let known = known(txn.connection, &issue_ref)?;
    if known.is_some_and(|(_, updated_at)| updated_at > issue.updated_at) {
        return Ok(());
    }
    if known.is_none() {
        lineage::begin_epochs(txn.connection, &issue_ref)?;
    }
    let was_open = state(txn.connection, &issue_ref)? == Some(IssueState::Open);
    let Written { changed, text_changed } = upsert(txn.connection, issue)?;
    blockers::told_by(txn, issue, text_changed || !was_open)?;
    approvals::told_by(txn, issue, text_changed || !was_open)?;
    if issue.state == IssueState::Open {
        if changed {
            applied.newly_opened += usize::from(!was_open);
            applied.updated += usize::from(was_open);
            txn.changes.push(Change::IssueOpen(Box::new(issue.facts(|text| text.into()))));
            // Imported, or of a repository that was away: its end was no news of an issue that nobody knew.
            if !was_open && claims::is_finished(txn.connection, &issue_ref)? {
                txn.changes.push(Change::IssueFinished(issue_ref));
            }
        }
        return Ok(());
    }
    blockers::no_longer_open(txn, &issue_ref)?;
    let claim_closed = close_claim(txn, &issue_ref, now)?;
    claims::finished_set(txn.connection, &issue_ref, false)?;
    applied.claims_closed += usize::from(claim_closed);
    // Last, so that an index which sees the claim end as closed does not take the issue for finished here.
    if was_open || claim_closed || changed {
        txn.changes.push(Change::IssueGone(issue_ref));
    }
    Ok(())
}

fn close_claim(txn: &mut WriteTxn<'_>, issue: &IssueRef, now: Timestamp) -> Result<bool> {
    let Some(mut claim) = claims::holder(txn.connection, issue)? else {
        return Ok(false);
    };
    let step = Step::to(ClaimStatus::Closed, Actor::Sync).with_note(CLOSED_NOTE);
    let kind = EventKind::of_step(&step);
    // A sync's step renews no lease: its length does not matter.
    let closed = claim.advance(step, chrono::TimeDelta::zero(), now) == Ok(Advance::Changed);
    if closed {
        claims::update(txn, &claim, Some(kind), now)?;
    }
    Ok(closed)
}

/// What of an issue differs from what was known.
struct Written {
    /// Anything but the body.
    changed: bool,
    /// Title or body; the title is not told apart from the rest.
    text_changed: bool,
}

fn upsert(connection: &Connection, issue: &Issue) -> Result<Written> {
    let (repo, issue_number) = (issue.repo.as_str(), number(issue.number));
    let row = params![
        repo,
        issue_number,
        issue.state == IssueState::Open,
        issue.title,
        to_json(&issue.labels)?,
        to_json(&issue.assignees)?,
        issue.milestone,
        issue.author,
        issue.author_association,
        issue.comment_count,
        issue.reaction_count,
        ms(issue.created_at),
        ms(issue.updated_at),
        issue.url,
    ];
    let changed = connection.prepare_cached(UPSERT)?.execute(row)? > 0;
    let body_changed = connection.prepare_cached(BODY_UPSERT)?.execute(params![repo, issue_number, issue.body])? > 0;
    Ok(Written { changed, text_changed: changed || body_changed })
}

/// Forgets one issue. A claim on it stays.
pub(super) fn remove(txn: &mut WriteTxn<'_>, issue: IssueRef) -> Result<()> {
    let row = params![issue.repo.as_str(), number(issue.number)];
    if txn.connection.prepare_cached(DELETE)?.execute(row)? > 0 {
        blockers::no_longer_open(txn, &issue)?;
        txn.changes.push(Change::IssueGone(issue));
    }
    Ok(())
}

/// Open or closed, and when GitHub last saw a change; `None` when it is not known.
pub(super) fn known(connection: &Connection, issue: &IssueRef) -> Result<Option<(IssueState, Timestamp)>> {
    let mut statement = connection.prepare_cached(KNOWN)?;
    let row = params![issue.repo.as_str(), number(issue.number)];
    let known = statement.query_row(row, |row| Ok((row.get::<bool>(0)?, columns::time(row, 1)?))).optional()?;
    Ok(known.map(|(open, at)| (if open { IssueState::Open } else { IssueState::Closed }, at)))
}

/// Open or closed; `None` when it is not known.
pub(super) fn state(connection: &Connection, issue: &IssueRef) -> Result<Option<IssueState>> {
    let mut statement = connection.prepare_cached(STATE)?;
    let open = statement.query_row(params![issue.repo.as_str(), number(issue.number)], |row| row.get(0)).optional()?;
    Ok(open.map(|open: bool| if open { IssueState::Open } else { IssueState::Closed }))
}

/// The numbers of all open issues of one repository, claimed or not.
pub(super) fn open_numbers(connection: &Connection, repo: &RepoName) -> Result<Vec<IssueNumber>> {
    let mut statement = connection.prepare_cached(repos::OPEN_ISSUES)?;
    statement.query_map([repo.as_str()], |row| columns::issue_number(row, 1))?.collect()
}

/// One issue, with its body.
pub(super) fn get(connection: &Connection, issue: &IssueRef) -> Result<Option<Issue>> {
    let mut statement = connection.prepare_cached(&format!("SELECT {ISSUE} {GET_WHERE}"))?;
    let row = params![issue.repo.as_str(), number(issue.number)];
    let known = statement.query_row(row, columns::issue).optional()?;
    known.map(|issue| with_body(connection, issue)).transpose()
}

/// Open issues of one repository that nobody holds, by number.
pub(super) fn list(connection: &Connection, filter: &IssueFilter) -> Result<Vec<Issue>> {
    let label = filter.label.as_deref().map(label_key);
    let milestone = filter.milestone.as_deref().map(label_key);
    let admitted = |issue: &Issue| {
        label.as_ref().is_none_or(|wanted| issue.labels.iter().any(|label| label_key(label) == *wanted))
            && milestone
                .as_ref()
                .is_none_or(|wanted| issue.milestone.as_deref().map(label_key).as_ref() == Some(wanted))
    };
    let mut statement = connection.prepare_cached(&format!("SELECT {ISSUE} {LIST_WHERE}"))?;
    let issues = statement.query_map([filter.repo.as_str()], columns::issue)?;
    issues
        .filter(|issue| issue.as_ref().map_or(true, admitted))
        .map(|issue| issue.and_then(|issue| with_body(connection, issue)))
        .collect()
}

pub(super) fn with_body(connection: &Connection, issue: Issue) -> Result<Issue> {
    let mut statement = connection.prepare_cached(BODY)?;
    let row = params![issue.repo.as_str(), number(issue.number)];
    let body = statement.query_row(row, |row| Ok(text(row, 0)?.to_owned())).optional()?;
    Ok(Issue { body: body.unwrap_or_default(), ..issue })
}
