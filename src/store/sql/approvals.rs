//! Approvals of issues, pinned to the text that was approved.

use chrono::TimeDelta;
use serde_json::json;

use super::columns::{issue_ref, ms, number, text, time};
use super::connection::{Connection, OptionalRow};
use super::value::{Result, Row, params};
use super::writer::WriteTxn;
use super::{events, issues};
use crate::domain::{
    ApprovalRecord, ContentDigest, EventDraft, EventKind, Issue, IssueRef, IssueState, Timestamp, label_key,
};
use crate::store::{ApprovalKept, ApprovalOutcome, ApprovalWish, Change, LabelDue, Pin};

pub(super) const GET: &str =
    "SELECT approved_by, approved_at_ms, label, content_sha256 FROM approvals WHERE repo = ?1 AND number = ?2";
pub(super) const SET: &str = "INSERT INTO approvals (repo, number, approved_by, approved_at_ms, label, content_sha256) \
     VALUES (?1, ?2, ?3, ?4, ?5, ?6) ON CONFLICT (repo, number) DO UPDATE SET approved_by = excluded.approved_by, \
     approved_at_ms = excluded.approved_at_ms, label = excluded.label, content_sha256 = excluded.content_sha256";
/// The digest of what is approved no more.
const WITHDRAWN: &[u8] = b"";
/// A withdrawal is a word too: kept with an empty digest, so that no older word comes back from a list.
pub(super) const WITHDRAW: &str = "UPDATE approvals SET approved_by = ?3, approved_at_ms = ?4, label = NULL, \
     content_sha256 = ?5 WHERE repo = ?1 AND number = ?2 AND content_sha256 IS DISTINCT FROM ?5";
pub(super) const DELETE: &str = "DELETE FROM approvals WHERE repo = ?1 AND number = ?2";
pub(super) const READING_GET: &str = "SELECT etag, updated_at_ms FROM label_readings WHERE repo = ?1 AND number = ?2";
pub(super) const READING_SET: &str = "INSERT INTO label_readings (repo, number, etag, updated_at_ms) \
     VALUES (?1, ?2, ?3, ?4) ON CONFLICT (repo, number) DO UPDATE SET etag = excluded.etag, \
     updated_at_ms = excluded.updated_at_ms";
const ALL: &str = "SELECT approvals.repo, approvals.number FROM approvals \
     JOIN issues ON issues.repo = approvals.repo AND issues.number = approvals.number AND issues.open = 1 \
     ORDER BY approvals.repo, approvals.number";

/// Within this time two words by the same label are one: a delivery and a list do not tell the same second.
const SAME_WORD: TimeDelta = TimeDelta::seconds(5);

/// Every approval of an open issue.
pub(super) fn all(connection: &Connection) -> Result<Vec<(IssueRef, ApprovalKept)>> {
    let mut statement = connection.prepare_cached(ALL)?;
    let approved: Vec<IssueRef> = statement.query_map((), |row| issue_ref(row, 0))?.collect::<Result<_>>()?;
    let mut found = Vec::with_capacity(approved.len());
    for issue in approved {
        let (Some(Word::Approved(record)), Some(present)) =
            (get(connection, &issue)?, issues::get(connection, &issue)?)
        else {
            continue;
        };
        found.push((issue, kept(record, &present)));
    }
    Ok(found)
}

/// Announces what an approval is worth now that the issue was written; `text_changed` or opened anew. Who took
/// the label off took the word back: should anybody put it on again, that is another word.
pub(super) fn told_by(txn: &mut WriteTxn<'_>, issue: &Issue, text_changed: bool) -> Result<()> {
    if issue.state == IssueState::Closed {
        return Ok(());
    }
    let Some(Word::Approved(record)) = get(txn.connection, &issue.issue_ref())? else { return Ok(()) };
    let is_on = |label: &String| issue.labels.iter().any(|it| label_key(it) == label_key(label));
    if record.label.as_ref().is_some_and(|label| !is_on(label)) {
        let key = params![issue.repo.as_str(), number(issue.number)];
        txn.connection.prepare_cached(DELETE)?.execute(key)?;
        txn.changes.push(Change::ApprovalSet(issue.issue_ref(), None));
    } else if text_changed {
        txn.changes.push(Change::ApprovalSet(issue.issue_ref(), Some(kept(record, issue))));
    }
    Ok(())
}

/// Keeps an approval, and writes the event that tells of it.
pub(super) fn set(txn: &mut WriteTxn<'_>, wish: ApprovalWish) -> Result<ApprovalOutcome> {
    let present = issues::get(txn.connection, &wish.issue)?.filter(|issue| issue.state == IssueState::Open);
    let Some(present) = present else { return Ok(ApprovalOutcome::NotOpen) };
    let content = match wish.pin {
        Pin::AsKept(Some(seen)) if seen != present.updated_at => return Ok(ApprovalOutcome::Changed),
        Pin::AsKept(_) => Some(ContentDigest::of(&present.title, &present.body)),
        Pin::Exactly(digest) => Some(digest),
        Pin::Unknown => None,
    };
    let record = ApprovalRecord { by: wish.by, at: wish.at, label: wish.label, content };
    match get(txn.connection, &wish.issue)? {
        Some(Word::Approved(known)) if !is_news(&known, &record, &present) => {
            return Ok(ApprovalOutcome::Known(kept(known, &present)));
        }
        Some(Word::Withdrawn(at)) if record.at < at => return Ok(ApprovalOutcome::Withdrawn),
        _ => {}
    }
    let digest = record.content.map(|digest| digest.0.to_vec());
    let row =
        params![wish.issue.repo.as_str(), number(wish.issue.number), record.by, ms(record.at), record.label, digest];
    txn.connection.prepare_cached(SET)?.execute(row)?;
    let kept = kept(record, &present);
    txn.changes.push(Change::ApprovalSet(wish.issue.clone(), Some(kept.clone())));
    announce(txn, &wish.issue, Some(&kept), &kept.record.by, wish.now)?;
    Ok(ApprovalOutcome::Kept(kept))
}

/// Takes an approval back, whoever gave it; whether there was one.
pub(super) fn withdraw(txn: &mut WriteTxn<'_>, issue: &IssueRef, by: &str, now: Timestamp) -> Result<bool> {
    let row = params![issue.repo.as_str(), number(issue.number), by, ms(now), WITHDRAWN];
    if txn.connection.prepare_cached(WITHDRAW)?.execute(row)? == 0 {
        return Ok(false);
    }
    txn.changes.push(Change::ApprovalSet(issue.clone(), None));
    announce(txn, issue, None, by, now)?;
    Ok(true)
}

/// Of these issues, those that changed since it was last asked who labelled them.
pub(super) fn label_due(connection: &Connection, labelled: &[IssueRef]) -> Result<Vec<LabelDue>> {
    let mut due = Vec::new();
    for issue in labelled {
        let Some((IssueState::Open, updated_at)) = issues::known(connection, issue)? else { continue };
        let key = params![issue.repo.as_str(), number(issue.number)];
        let read = |row: &Row<'_>| Ok((row.get::<Option<String>>(0)?, time(row, 1)?));
        let last = connection.prepare_cached(READING_GET)?.query_row(key, read).optional()?;
        match last {
            Some((_, read_at)) if read_at >= updated_at => {}
            last => due.push(LabelDue { issue: issue.clone(), updated_at, etag: last.and_then(|(etag, _)| etag) }),
        }
    }
    Ok(due)
}

/// Notes that it was asked who labelled an issue.
pub(super) fn label_read(txn: &WriteTxn<'_>, due: &LabelDue) -> Result<()> {
    if issues::state(txn.connection, &due.issue)?.is_none() {
        return Ok(());
    }
    let row = params![due.issue.repo.as_str(), number(due.issue.number), due.etag, ms(due.updated_at)];
    txn.connection.prepare_cached(READING_SET)?.execute(row).map(drop)
}

/// The last word on an issue.
enum Word {
    Approved(ApprovalRecord),
    /// And when.
    Withdrawn(Timestamp),
}

/// Whether a word takes the place of the one that is known: a later one does, and one that knows what was
/// approved where the same word was kept without. A label, of which nobody here knows yet whether it counts, does
/// not take the place of an operator's word on the present text.
fn is_news(known: &ApprovalRecord, word: &ApprovalRecord, present: &Issue) -> bool {
    let is_operators = known.label.is_none() && word.label.is_some();
    if is_operators && known.content == Some(ContentDigest::of(&present.title, &present.body)) {
        return false;
    }
    let is_same = known.label == word.label && known.label.is_some() && known.by == word.by;
    if is_same && (word.at - known.at).abs() <= SAME_WORD {
        return known.content.is_none() && word.content.is_some();
    }
    word.at >= known.at
}

fn kept(record: ApprovalRecord, present: &Issue) -> ApprovalKept {
    let covers_present = record.content == Some(ContentDigest::of(&present.title, &present.body));
    ApprovalKept { record, covers_present }
}

fn get(connection: &Connection, issue: &IssueRef) -> Result<Option<Word>> {
    let key = params![issue.repo.as_str(), number(issue.number)];
    let read = |row: &Row<'_>| {
        let content: Option<Vec<u8>> = row.get(3)?;
        if content.as_ref().is_some_and(Vec::is_empty) {
            return Ok(Word::Withdrawn(time(row, 1)?));
        }
        // A digest of another length would be of nothing: it covers no text.
        let content = content.and_then(|bytes| bytes.try_into().ok()).map(ContentDigest);
        let by = text(row, 0)?.to_owned();
        Ok(Word::Approved(ApprovalRecord { by, at: time(row, 1)?, label: row.get(2)?, content }))
    };
    connection.prepare_cached(GET)?.query_row(key, read).optional()
}

fn announce(
    txn: &mut WriteTxn<'_>,
    issue: &IssueRef,
    kept: Option<&ApprovalKept>,
    by: &str,
    now: Timestamp,
) -> Result<()> {
    let (kind, label) = match kept {
        Some(kept) => (EventKind::IssueApproved, kept.record.label.as_deref()),
        None => (EventKind::IssueApprovalWithdrawn, None),
    };
    let mut details = json!({ "repo": issue.repo, "issue_number": issue.number, "by": by });
    if let Some(label) = label {
        details["label"] = label.into();
    }
    events::append(txn, EventDraft::new(kind, now, details))
}
