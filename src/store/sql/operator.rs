//! What an operator does to any claim: takes it back, or gives it to another agent.

use chrono::TimeDelta;
use serde_json::json;

use super::claims::{self, EPOCH_SET};
use super::columns::{number, to_json};
use super::events;
use super::lineage;
use super::signals;
use super::value::{Result, params};
use super::writer::WriteTxn;
use crate::domain::{Actor, AgentId, Claim, ClaimStatus, EventDraft, EventKind, Lease, Step, Timestamp};
use crate::store::{Change, ClaimOverrule, OverruleOutcome};

// A request id belongs to the agent that sent it: it does not go to another one with the claim.
pub(super) const REASSIGN: &str =
    "UPDATE claims SET agent_id = ?2, status = ?3, record = ?4, request_id = NULL WHERE claim_id = ?1";

/// Does what the operator says, whoever holds the claim.
pub(super) fn overrule(txn: &mut WriteTxn<'_>, wish: ClaimOverrule) -> Result<OverruleOutcome> {
    let Some(mut claim) = claims::active(txn.connection, wish.claim_id)? else {
        return Ok(OverruleOutcome::NotFound);
    };
    match wish.to.clone() {
        None => {
            let former = claim.agent_id.clone();
            let step = Step { note: wish.note.clone(), ..Step::to(ClaimStatus::Released, Actor::Operator) };
            if let Err(error) = claim.advance(step, wish.lease, wish.now) {
                return Ok(OverruleOutcome::Refused(Box::new(claim), error));
            }
            claims::update(txn, &claim, None, wish.now)?;
            announce(txn, EventKind::ClaimReleased, &claim, &wish, &former)?;
            let why = wish
                .note
                .as_ref()
                .map_or("an operator took it back".into(), |note| format!("an operator took it back ({note})"));
            signals::notify_lost(txn, &claim, &why, wish.now)?;
        }
        Some(to) if to == claim.agent_id => return Ok(OverruleOutcome::AlreadyTheirs(Box::new(claim))),
        Some(to) => {
            let why = why(&claim.agent_id, &to, wish.note.as_deref());
            let lease = next_lease(txn, &claim, wish.lease, wish.now)?;
            let former = match claim.reassign(to, why, lease, wish.now) {
                Ok(former) => former,
                Err(error) => return Ok(OverruleOutcome::Refused(Box::new(claim), error)),
            };
            write_owner(txn, &claim)?;
            announce(txn, EventKind::ClaimUpdated, &claim, &wish, &former)?;
            let told = signals::claim_lost_to(&claim, wish.note.as_deref(), wish.now);
            signals::notify(txn, &former, told)?;
        }
    }
    Ok(OverruleOutcome::Done(Box::new(claim)))
}

fn why(from: &AgentId, to: &AgentId, note: Option<&str>) -> String {
    let moved = format!("reassigned from {from} to {to}");
    note.map_or(moved.clone(), |note| format!("{moved}: {note}"))
}

/// The lease of a claim's next owner, behind every one that was given on its issue: the epoch of the last may be further
/// than the claim's own, as in a copy.
pub(super) fn next_lease(txn: &WriteTxn<'_>, claim: &Claim, lease: TimeDelta, now: Timestamp) -> Result<Lease> {
    let last = lineage::last_epoch(txn.connection, &claim.issue_ref())?.max(claim.lease.epoch);
    Ok(Lease { epoch: last + 1, expires_at: now + lease })
}

/// Writes who holds a claim from now on, and under which epoch.
pub(super) fn write_owner(txn: &mut WriteTxn<'_>, claim: &Claim) -> Result<()> {
    let id = claim.claim_id.to_string();
    let row = params![id, claim.agent_id.as_str(), claim.status().as_str(), to_json(claim)?];
    txn.connection.prepare_cached(REASSIGN)?.execute(row)?;
    let epoch = i64::try_from(claim.lease.epoch).expect("an epoch grows by one a grant and never gets so far");
    let row = params![claim.repo.as_str(), number(claim.issue_number), epoch];
    txn.connection.prepare_cached(EPOCH_SET)?.execute(row)?;
    txn.changes.push(Change::ClaimSet(Box::new(claim.clone())));
    Ok(())
}

/// The event says who overruled whom, and why.
fn announce(
    txn: &mut WriteTxn<'_>,
    kind: EventKind,
    claim: &Claim,
    wish: &ClaimOverrule,
    former: &AgentId,
) -> Result<()> {
    let mut draft = EventDraft::about(kind, claim, wish.now);
    draft.details["operator"] = wish.by.as_str().into();
    draft.details["former_agent_id"] = json!(former);
    events::append(txn, draft)
}
