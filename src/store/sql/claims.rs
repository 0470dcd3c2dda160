//! Claims: granted by the index, moved by one step, listed.

use super::columns::{json, ms, number, to_json};
use super::connection::{Connection, OptionalRow};
use super::decisions::{self, Prepared};
use super::events;
use super::follow_ups;
use super::issues;
use super::signals;
use super::value::{Result, Row, params};
use super::writer::WriteTxn;
use crate::domain::{
    Actor, Advance, AgentId, Claim, ClaimId, ClaimStatus, EventDraft, EventKind, Issue, IssueRef, IssueState,
    LEASE_EPOCH_FIRST, Lease, RequestId, Step, Timestamp,
};
use crate::store::{
    AdvanceOutcome, Change, ClaimChange, ClaimFilter, ClaimFollow, ClaimWish, Granted, InsertOutcome, Wanted,
};

// The conflict target names the lock alone: any other conflict is an error, not a lost race.
pub(super) const INSERT: &str = "INSERT INTO claims (claim_id, repo, number, agent_id, status, active, request_id, claimed_at_ms, record) \
     VALUES (?1, ?2, ?3, ?4, ?5, 1, ?6, ?7, ?8) ON CONFLICT (repo, number) WHERE active = 1 DO NOTHING";
pub(super) const UPDATE: &str =
    "UPDATE claims SET status = ?2, active = ?3, ended_at_ms = ?4, record = ?5 WHERE claim_id = ?1";
pub(super) const GET: &str = "SELECT record FROM claims WHERE claim_id = ?1";
pub(super) const GET_ACTIVE: &str = "SELECT record FROM claims WHERE claim_id = ?1 AND active = 1";
pub(super) const HOLDER: &str = "SELECT record FROM claims WHERE repo = ?1 AND number = ?2 AND active = 1";
pub(super) const BY_REQUEST: &str = "SELECT record FROM claims WHERE agent_id = ?1 AND request_id = ?2";
pub(super) const LIST: &str = "SELECT record FROM claims WHERE active = 1 ORDER BY claimed_at_ms, claim_id";
pub(super) const LIST_OF_AGENT: &str =
    "SELECT record FROM claims WHERE agent_id = ?1 AND active = 1 ORDER BY claimed_at_ms, claim_id";
pub(super) const LIST_IN_REPO: &str =
    "SELECT record FROM claims WHERE repo = ?1 AND active = 1 ORDER BY claimed_at_ms, claim_id";
pub(super) const EPOCH_GET: &str = "SELECT epoch, finished FROM lease_epochs WHERE repo = ?1 AND number = ?2";
pub(super) const EPOCH_SET: &str = "INSERT INTO lease_epochs (repo, number, epoch) VALUES (?1, ?2, ?3) \
     ON CONFLICT (repo, number) DO UPDATE SET epoch = excluded.epoch, finished = 0";
pub(super) const FINISHED_SET: &str =
    "UPDATE lease_epochs SET finished = ?3 WHERE repo = ?1 AND number = ?2 AND finished <> ?3";

/// What is remembered of an issue's former claims.
struct Past {
    epoch: u64,
    finished: bool,
}

/// Grants the wish, or says why not. Only the index decides who holds an issue.
pub(super) fn insert(txn: &mut WriteTxn<'_>, wish: ClaimWish, decision: Option<&Prepared>) -> Result<InsertOutcome> {
    if let Some(request_id) = &wish.request_id
        && let Some(claim) = by_request(txn.connection, &wish.agent, request_id)?
    {
        return already(txn.connection, claim);
    }
    if let (Wanted::NextWork(_), Some(request_id)) = (&wish.wanted, &wish.request_id)
        && follow_ups::by_request(txn.connection, &wish.agent, request_id)?.is_some()
    {
        return Ok(InsertOutcome::RequestGotFollowUp);
    }
    match &wish.wanted {
        Wanted::Exactly(wanted) => {
            if let Some(issue) = open_issue(txn.connection, wanted)? {
                let past = past(txn.connection, wanted)?;
                if let Some(granted) = try_grant(txn, &wish, decision, issue, past.epoch)? {
                    return Ok(InsertOutcome::Granted(granted));
                }
            }
            match holder(txn.connection, wanted)? {
                Some(claim) if claim.agent_id == wish.agent => already(txn.connection, claim),
                Some(claim) => Ok(InsertOutcome::HeldBy(Box::new(claim))),
                None => Ok(InsertOutcome::NotOpen),
            }
        }
        Wanted::FirstFree(candidates) | Wanted::NextWork(candidates) => {
            for candidate in candidates {
                let past = past(txn.connection, candidate)?;
                if past.finished {
                    continue;
                }
                if let Some(issue) = open_issue(txn.connection, candidate)?
                    && let Some(granted) = try_grant(txn, &wish, decision, issue, past.epoch)?
                {
                    return Ok(InsertOutcome::Granted(granted));
                }
            }
            Ok(InsertOutcome::NoneFree)
        }
    }
}

/// Inserts the claim with its epoch, event and decision; `None` when the issue is held.
fn try_grant(
    txn: &mut WriteTxn<'_>,
    wish: &ClaimWish,
    decision: Option<&Prepared>,
    issue: Issue,
    last_epoch: u64,
) -> Result<Option<Box<Granted>>> {
    let lease = Lease { epoch: last_epoch + 1, expires_at: wish.now + wish.lease };
    let decision_id = decision.map(|decision| decision.decision_id);
    let claim = Claim::grant(&issue, &wish.agent, lease, decision_id, wish.now);
    let (repo, issue_number) = (claim.repo.as_str(), number(claim.issue_number));
    let row = params![
        claim.claim_id.to_string(),
        repo,
        issue_number,
        claim.agent_id.as_str(),
        claim.status().as_str(),
        wish.request_id.as_ref().map(RequestId::as_str),
        ms(claim.claimed_at),
        to_json(&claim)?,
    ];
    if txn.connection.prepare_cached(INSERT)?.execute(row)? == 0 {
        return Ok(None);
    }
    let epoch = i64::try_from(lease.epoch).expect("an epoch grows by one a grant and never gets so far");
    txn.connection.prepare_cached(EPOCH_SET)?.execute(params![repo, issue_number, epoch])?;
    if let Some(decision) = decision {
        decisions::insert(txn, decision, Some((claim.claim_id, &claim.issue_ref())))?;
    }
    announce(txn, &claim, Some(EventKind::ClaimCreated), wish.now)?;
    Ok(Some(Box::new(Granted { claim, issue: Some(issue) })))
}

/// Moves an active claim, if it is still the one that the caller means.
pub(super) fn advance(txn: &mut WriteTxn<'_>, change: ClaimChange) -> Result<AdvanceOutcome> {
    let Some(mut claim) = one(txn.connection, GET_ACTIVE, change.claim_id)? else {
        return Ok(AdvanceOutcome::NotFound);
    };
    if change.owner.as_ref().is_some_and(|owner| *owner != claim.agent_id) {
        return Ok(AdvanceOutcome::NotOwner(Box::new(claim)));
    }
    let other_epoch = change.epoch.is_some_and(|epoch| epoch != claim.lease.epoch);
    let other_update = change.last_updated.is_some_and(|at| at != claim.last_updated());
    if other_epoch || other_update {
        return Ok(AdvanceOutcome::Superseded(Box::new(claim)));
    }
    let (kind, by, note) = (EventKind::of_step(&change.step), change.step.by, change.step.note.clone());
    match claim.advance(change.step, change.lease, change.now) {
        Ok(advance) => {
            let kind = (advance == Advance::Changed).then_some(kind);
            update(txn, &claim, kind, change.now)?;
            if by == Actor::Sweep && claim.status() == ClaimStatus::Released {
                signals::notify_lost(
                    txn,
                    &claim,
                    note.as_deref().unwrap_or("the stale rule took it back"),
                    change.now,
                )?;
            }
            Ok(AdvanceOutcome::Moved(Box::new(claim), advance))
        }
        Err(error) => Ok(AdvanceOutcome::Refused(Box::new(claim), error)),
    }
}

/// The way of finished work.
const WAY: [ClaimStatus; 4] =
    [ClaimStatus::InProgress, ClaimStatus::PrSubmitted, ClaimStatus::PrMerged, ClaimStatus::Closed];

/// Takes a claim along the way of finished work, one recorded step after the other, or releases it. One
/// that stands there or further already only learns its pull request's page.
pub(super) fn follow(txn: &mut WriteTxn<'_>, wish: ClaimFollow) -> Result<Option<Claim>> {
    let Some(mut claim) = one(txn.connection, GET_ACTIVE, wish.claim_id)? else { return Ok(None) };
    // What others do on GitHub is no word of an owner who fell silent: only a merge ends the waiting.
    let only_links = claim.status() == ClaimStatus::Stale && wish.to == ClaimStatus::PrSubmitted;
    let place = |status: ClaimStatus| WAY.iter().position(|on_way| *on_way == status);
    let begin = place(claim.status()).map_or(0, |at| at + 1);
    let steps = match place(wish.to) {
        _ if only_links => &[][..],
        Some(end) => WAY.get(begin..=end).unwrap_or_default(),
        None => &[wish.to],
    };
    let linked = claim.pr_url() != Some(wish.pr_url.as_str());
    claim.link_pull(wish.pr_url);
    let mut moved = false;
    for &to in steps {
        let step = Step::to(to, Actor::Sync).with_note(wish.note.clone());
        let kind = EventKind::of_step(&step);
        if claim.advance(step, chrono::TimeDelta::zero(), wish.now) == Ok(Advance::Changed) {
            update(txn, &claim, Some(kind), wish.now)?;
            moved = true;
        }
    }
    if moved && claim.status() == ClaimStatus::Released {
        signals::notify_lost(txn, &claim, &wish.note, wish.now)?;
    }
    if linked && !moved {
        update(txn, &claim, Some(EventKind::ClaimUpdated), wish.now)?;
    }
    Ok(Some(claim))
}

/// Writes a claim as it stands after a step, with the event of the step.
pub(super) fn update(txn: &mut WriteTxn<'_>, claim: &Claim, kind: Option<EventKind>, now: Timestamp) -> Result<()> {
    let ended = claim.status().is_terminal();
    let row = params![
        claim.claim_id.to_string(),
        claim.status().as_str(),
        !ended,
        ended.then(|| ms(claim.last_updated())),
        to_json(claim)?,
    ];
    txn.connection.prepare_cached(UPDATE)?.execute(row)?;
    if ended {
        let issue = claim.issue_ref();
        let closed_there = issues::state(txn.connection, &issue)? == Some(IssueState::Closed);
        finished_set(txn.connection, &issue, claim.is_finished_work() && !closed_there)?;
        txn.trim.claim_ended(txn.connection)?;
    }
    announce(txn, claim, kind, now)
}

fn announce(txn: &mut WriteTxn<'_>, claim: &Claim, kind: Option<EventKind>, now: Timestamp) -> Result<()> {
    txn.changes.push(Change::ClaimSet(Box::new(claim.clone())));
    kind.map_or(Ok(()), |kind| events::append(txn, EventDraft::about(kind, claim, now)))
}

/// Whether an issue was finished here, and not closed on GitHub since.
pub(super) fn is_finished(connection: &Connection, issue: &IssueRef) -> Result<bool> {
    Ok(past(connection, issue)?.finished)
}

/// Marks an issue as finished here, or not.
pub(super) fn finished_set(connection: &Connection, issue: &IssueRef, finished: bool) -> Result<()> {
    let row = params![issue.repo.as_str(), number(issue.number), finished];
    connection.prepare_cached(FINISHED_SET)?.execute(row).map(|_| ())
}

/// The active claim on an issue.
pub(super) fn holder(connection: &Connection, issue: &IssueRef) -> Result<Option<Claim>> {
    let mut statement = connection.prepare_cached(HOLDER)?;
    statement.query_row(params![issue.repo.as_str(), number(issue.number)], record).optional()
}

/// Active claims, oldest first.
pub(super) fn list(connection: &Connection, filter: &ClaimFilter) -> Result<Vec<Claim>> {
    let (sql, key) = match (&filter.agent, &filter.repo) {
        (Some(agent), _) => (LIST_OF_AGENT, Some(agent.as_str())),
        (None, Some(repo)) => (LIST_IN_REPO, Some(repo.as_str())),
        (None, None) => (LIST, None),
    };
    let mut statement = connection.prepare_cached(sql)?;
    let claims = statement.query_map(key, record)?;
    // An agent or a repository has few active claims: what remains of the filter is done here.
    let admitted = |claim: &Claim| {
        filter.repo.as_ref().is_none_or(|repo| *repo == claim.repo)
            && filter.status.is_none_or(|status| status == claim.status())
    };
    claims.filter(|claim| claim.as_ref().map_or(true, admitted)).collect()
}

/// One claim, active or past.
pub(super) fn get(connection: &Connection, claim_id: ClaimId) -> Result<Option<Claim>> {
    one(connection, GET, claim_id)
}

/// One claim, if it is active.
pub(super) fn active(connection: &Connection, claim_id: ClaimId) -> Result<Option<Claim>> {
    one(connection, GET_ACTIVE, claim_id)
}

/// The newest epoch ever granted on an issue; one before the first if none was.
pub(super) fn last_epoch(connection: &Connection, issue: &IssueRef) -> Result<u64> {
    past(connection, issue).map(|past| past.epoch)
}

fn one(connection: &Connection, sql: &str, claim_id: ClaimId) -> Result<Option<Claim>> {
    connection.prepare_cached(sql)?.query_row([claim_id.to_string()], record).optional()
}

/// The claim that a request got.
pub(super) fn by_request(connection: &Connection, agent: &AgentId, request_id: &RequestId) -> Result<Option<Claim>> {
    let mut statement = connection.prepare_cached(BY_REQUEST)?;
    statement.query_row([agent.as_str(), request_id.as_str()], record).optional()
}

fn past(connection: &Connection, issue: &IssueRef) -> Result<Past> {
    let mut statement = connection.prepare_cached(EPOCH_GET)?;
    let known = statement.query_row(params![issue.repo.as_str(), number(issue.number)], |row| {
        let epoch: i64 = row.get(0)?;
        Ok(Past { epoch: u64::try_from(epoch).unwrap_or(0), finished: row.get(1)? })
    });
    Ok(known.optional()?.unwrap_or(Past { epoch: LEASE_EPOCH_FIRST - 1, finished: false }))
}

fn open_issue(connection: &Connection, issue: &IssueRef) -> Result<Option<Issue>> {
    Ok(issues::get(connection, issue)?.filter(|issue| issue.state == IssueState::Open))
}

fn already(connection: &Connection, claim: Claim) -> Result<InsertOutcome> {
    let issue = issues::get(connection, &claim.issue_ref())?;
    Ok(InsertOutcome::Already(Box::new(Granted { claim, issue })))
}

fn record(row: &Row<'_>) -> Result<Claim> {
    json(row, 0)
}
