//! Claims from elsewhere, taken in without ever touching one that is here.

use super::claims::{self, EPOCH_SET, INSERT};
use super::columns::{ms, number, to_json};
use super::connection::OptionalRow;
use super::history::limit;
use super::value::{Result, params};
use super::writer::WriteTxn;
use super::{events, issues, lineage};
use crate::domain::{Claim, ClaimStatus, EventDraft, EventKind, IssueState, RestoredClaim};
use crate::store::{Change, ClaimImport, ImportOutcome};

pub(super) const INSERT_PAST: &str = "INSERT INTO claims (claim_id, repo, number, agent_id, status, active, claimed_at_ms, ended_at_ms, record) \
     VALUES (?1, ?2, ?3, ?4, ?5, 0, ?6, ?7, ?8)";
const EPOCH_RAISE: &str = "INSERT INTO lease_epochs (repo, number, epoch) VALUES (?1, ?2, ?3) \
     ON CONFLICT (repo, number) DO UPDATE SET epoch = excluded.epoch \
     WHERE excluded.epoch > lease_epochs.epoch";
/// The end of the oldest past claim, once as many are kept as may be.
const PAST_HORIZON: &str = "SELECT ended_at_ms FROM claims WHERE active = 0 ORDER BY ended_at_ms DESC, claim_id DESC \
     LIMIT 1 OFFSET ?1";

/// Takes in what can be, in the order given. A trial run changes nothing and answers the same.
pub(super) fn import(txn: &mut WriteTxn<'_>, wish: ClaimImport) -> Result<Vec<ImportOutcome>> {
    let (connection, kept) = (txn.connection, txn.changes.len());
    connection.run("SAVEPOINT one_import")?;
    let horizon = past_horizon(txn)?;
    let outcomes = wish.claims.into_iter().map(|claim| match claim.claim().status().is_terminal() {
        false => take_active(txn, claim, wish.lease, wish.now),
        true if ms(claim.claim().last_updated()) < horizon => passed(txn, &claim),
        true => take_past(txn, claim, wish.lease),
    });
    let outcomes: Vec<_> = outcomes.collect::<Result<_>>()?;
    if wish.dry_run {
        connection.run("ROLLBACK TO one_import")?;
        txn.changes.truncate(kept);
    }
    connection.run("RELEASE one_import")?;
    Ok(outcomes)
}

fn take_active(
    txn: &mut WriteTxn<'_>,
    restored: RestoredClaim,
    lease: chrono::TimeDelta,
    now: crate::domain::Timestamp,
) -> Result<ImportOutcome> {
    if let Some(known) = claims::get(txn.connection, restored.claim().claim_id)? {
        return Ok(ImportOutcome::AlreadyHere(known.status()));
    }
    let issue = restored.issue_ref();
    let claim = restored.after_epoch(lineage::last_epoch(txn.connection, &issue)?, lease);
    let row = params![
        claim.claim_id.to_string(),
        claim.repo.as_str(),
        number(claim.issue_number),
        claim.agent_id.as_str(),
        claim.status().as_str(),
        None::<String>,
        ms(claim.claimed_at),
        to_json(&claim)?,
    ];
    if txn.connection.prepare_cached(INSERT)?.execute(row)? == 0 {
        let holder = claims::holder(txn.connection, &issue)?;
        return Ok(holder.map_or(ImportOutcome::Passed, |holder| ImportOutcome::HeldBy(Box::new(holder))));
    }
    txn.connection.prepare_cached(EPOCH_SET)?.execute(epoch_row(&claim, claim.lease.epoch))?;
    txn.changes.push(Change::ClaimSet(Box::new(claim.clone())));
    let mut draft = EventDraft::about(EventKind::ClaimCreated, &claim, now);
    draft.details["imported"] = true.into();
    events::append(txn, draft)?;
    Ok(ImportOutcome::Taken)
}

/// A claim that ended so long ago that the history would trim it again.
fn passed(txn: &mut WriteTxn<'_>, restored: &RestoredClaim) -> Result<ImportOutcome> {
    let known = claims::get(txn.connection, restored.claim().claim_id)?;
    Ok(known.map_or(ImportOutcome::Passed, |known| ImportOutcome::AlreadyHere(known.status())))
}

fn take_past(txn: &mut WriteTxn<'_>, restored: RestoredClaim, lease: chrono::TimeDelta) -> Result<ImportOutcome> {
    if let Some(known) = claims::get(txn.connection, restored.claim().claim_id)? {
        return Ok(ImportOutcome::AlreadyHere(known.status()));
    }
    let issue = restored.issue_ref();
    let last_epoch = lineage::last_epoch(txn.connection, &issue)?;
    let claim = restored.after_epoch(last_epoch, lease);
    let row = params![
        claim.claim_id.to_string(),
        claim.repo.as_str(),
        number(claim.issue_number),
        claim.agent_id.as_str(),
        claim.status().as_str(),
        ms(claim.claimed_at),
        ms(claim.last_updated()),
        to_json(&claim)?,
    ];
    txn.connection.prepare_cached(INSERT_PAST)?.execute(row)?;
    // The epochs of a copy lie behind all that are imported: only how many grants they count can be compared.
    let newest_epoch = lineage::newest_of(last_epoch, claim.lease.epoch);
    txn.connection.prepare_cached(EPOCH_RAISE)?.execute(epoch_row(&claim, newest_epoch))?;
    let is_newest = lineage::grant_count(claim.lease.epoch) > lineage::grant_count(last_epoch)
        && claims::holder(txn.connection, &issue)?.is_none();
    if is_newest {
        mark_finished(txn, &claim)?;
    }
    txn.trim.claim_ended(txn.connection)?;
    Ok(ImportOutcome::Taken)
}

/// Work that ended as closed elsewhere is not handed out again here, as if it had ended here.
fn mark_finished(txn: &mut WriteTxn<'_>, claim: &Claim) -> Result<()> {
    let issue = claim.issue_ref();
    let closed_there = issues::state(txn.connection, &issue)? == Some(IssueState::Closed);
    let finished = claim.status() == ClaimStatus::Closed && !closed_there;
    claims::finished_set(txn.connection, &issue, finished)?;
    if finished {
        txn.changes.push(Change::ClaimSet(Box::new(claim.clone())));
    }
    Ok(())
}

/// The end before which nothing has room in the history.
fn past_horizon(txn: &WriteTxn<'_>) -> Result<i64> {
    let Some(last) = txn.trim.claim_count_max().checked_sub(1) else { return Ok(i64::MAX) };
    let mut statement = txn.connection.prepare_cached(PAST_HORIZON)?;
    Ok(statement.query_row([limit(last)], |row| row.get(0)).optional()?.unwrap_or(i64::MIN))
}

fn epoch_row(claim: &Claim, epoch: u64) -> (String, i64, i64) {
    let epoch = i64::try_from(epoch).expect("an epoch grows by one a grant and never gets so far");
    (claim.repo.as_str().to_owned(), number(claim.issue_number), epoch)
}
