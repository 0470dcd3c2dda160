//! Operators: any claim released or reassigned, tokens, state in and out; and the history of claims.

use serde_json::{Value, json};

use super::fields::read;
use super::operator_requests::{
    ApproveFields, ApproveWish, ClaimHistoryFields, ImportFields, OperatorReassignFields, OperatorReleaseFields,
    TokenCreateFields, TokenRevokeFields, cursor,
};
use super::requests::NoFields;
use super::{Answer, Call, Failure, Fields, dispatch, policies};
use crate::claims::{ClaimManager, ManagerError, Operations, TokenMade};
use crate::domain::{AccessToken, AgentId, ClaimId, Timestamp};
use crate::state;
use crate::store::{ApprovalOutcome, OverruleOutcome, TokenRevokeOutcome};

/// Claims that ended, newest end first, a page at a time.
pub(super) async fn history(manager: &ClaimManager, fields: Fields) -> Result<Answer, Failure> {
    let (filter, after, limit) = read::<ClaimHistoryFields>(fields)?.parse()?;
    let page = manager.claim_history(filter, after, limit).await?;
    Ok(Answer::found(json!({ "items": page.claims })).with_some("next_cursor", page.next.map(cursor)))
}

/// Answers an operator's call, asked by `by`, on a running server's store or on one that nobody serves.
/// Failures are the answer's, and the log's.
pub async fn operate(operations: &Operations, call: Call, by: &str, fields: Fields) -> Answer {
    perform(operations, call, by, fields).await.unwrap_or_else(|failure| {
        failure.log();
        failure.into()
    })
}

pub(super) async fn perform(operations: &Operations, call: Call, by: &str, fields: Fields) -> Result<Answer, Failure> {
    match call {
        Call::OperatorRelease => {
            let (claim_id, note) = read::<OperatorReleaseFields>(fields)?.parse()?;
            overrule(operations, claim_id, None, by, note).await
        }
        Call::OperatorReassign => {
            let (claim_id, to, note) = read::<OperatorReassignFields>(fields)?.parse()?;
            overrule(operations, claim_id, Some(to), by, note).await
        }
        Call::OperatorApprove => approve(operations, by, fields).await,
        Call::TokenCreate => token_create(operations, fields).await,
        Call::TokenList => token_list(operations, fields).await,
        Call::TokenRevoke => token_revoke(operations, fields).await,
        Call::Export => {
            read::<NoFields>(fields)?;
            let stock = operations.stock(usize::MAX).await.map_err(ManagerError::from)?;
            Ok(Answer::found(json!(state::Envelope::of(stock))))
        }
        Call::Import => import(operations, fields).await,
        Call::PolicyHistory => policies::history(operations, fields).await,
        Call::PolicyComponent => policies::component(operations, fields).await,
        Call::PolicyAudit => policies::audit(operations, by, fields).await,
        call if call.is_of_work() => Ok(dispatch::nobody_works()),
        // Every other call is an agent's.
        _ => Err(Failure::Defect),
    }
}

async fn overrule(
    operations: &Operations,
    claim_id: ClaimId,
    to: Option<AgentId>,
    by: &str,
    note: Option<String>,
) -> Result<Answer, Failure> {
    let outcome = operations.overrule(claim_id, to, by.to_owned(), note).await.map_err(ManagerError::from)?;
    Ok(match outcome {
        OverruleOutcome::Done(claim) => Answer::found(json!({ "ok": true, "idempotent": false, "claim": claim })),
        OverruleOutcome::AlreadyTheirs(claim) => {
            Answer::found(json!({ "ok": true, "idempotent": true, "claim": claim }))
        }
        OverruleOutcome::NotFound => {
            let message = format!("there is no active claim {claim_id}: it ended, or never was");
            Answer::rejected(404, "claim_not_found", message)
        }
        OverruleOutcome::Refused(claim, why) => {
            Answer::rejected(409, "invalid_transition", why.to_string()).with("claim", claim)
        }
    })
}

/// The record says who holds the credential, and whom he names: a name alone proves nothing.
async fn approve(operations: &Operations, holder: &str, fields: Fields) -> Result<Answer, Failure> {
    let ApproveWish { issue, by, withdraw } = read::<ApproveFields>(fields)?.parse()?;
    let by = by.map_or_else(|| holder.to_owned(), |named| format!("{named} ({holder})"));
    if withdraw {
        let was_approved = operations.withdraw_approval(issue, by).await.map_err(ManagerError::from)?;
        return Ok(Answer::found(json!({ "ok": true, "idempotent": !was_approved, "approval": "none" })));
    }
    let kept = match operations.approve(issue.clone(), by).await.map_err(ManagerError::from)? {
        ApprovalOutcome::Kept(kept) | ApprovalOutcome::Known(kept) => kept,
        ApprovalOutcome::NotOpen | ApprovalOutcome::Changed | ApprovalOutcome::Withdrawn => {
            let message = format!("{issue} is no open issue here (unknown, closed, or a pull request)");
            return Ok(Answer::rejected(404, "issue_not_found", message));
        }
    };
    let approval = if kept.covers_present { "approved" } else { "edited" };
    let answer = json!({ "ok": true, "idempotent": false, "approval": approval, "approved_by": kept.record.by });
    Ok(Answer::found(answer))
}

/// The only answer that ever holds a token.
async fn token_create(operations: &Operations, fields: Fields) -> Result<Answer, Failure> {
    let wish = read::<TokenCreateFields>(fields)?.parse()?;
    Ok(match operations.token_create(wish).await.map_err(ManagerError::from)? {
        TokenMade::Made(secret, token) => {
            let record = record(&token, operations.now());
            Answer::found(json!({ "ok": true, "token": secret.expose(), "record": record }))
        }
        TokenMade::TooMany { count_max } => {
            let message = format!("{count_max} tokens are live, and no more may be: revoke some first");
            Answer::rejected(409, "too_many_tokens", message)
        }
    })
}

async fn token_list(operations: &Operations, fields: Fields) -> Result<Answer, Failure> {
    read::<NoFields>(fields)?;
    let tokens = operations.tokens().await.map_err(ManagerError::from)?;
    let now = operations.now();
    let records: Vec<Value> = tokens.iter().map(|token| record(token, now)).collect();
    Ok(Answer::found(json!({ "tokens": records })))
}

async fn token_revoke(operations: &Operations, fields: Fields) -> Result<Answer, Failure> {
    let token_id = read::<TokenRevokeFields>(fields)?.parse()?;
    let revoked = |token: &AccessToken, idempotent: bool| {
        let record = record(token, operations.now());
        Answer::found(json!({ "ok": true, "idempotent": idempotent, "record": record }))
    };
    Ok(match operations.token_revoke(token_id).await.map_err(ManagerError::from)? {
        TokenRevokeOutcome::Revoked(token) => revoked(&token, false),
        TokenRevokeOutcome::AlreadyRevoked(token) => revoked(&token, true),
        TokenRevokeOutcome::NotFound => {
            Answer::rejected(404, "token_not_found", format!("there is no token {token_id}; list them to see which"))
        }
    })
}

/// What is told of a token, with how it stands now.
fn record(token: &AccessToken, now: Timestamp) -> Value {
    let mut record = json!(token);
    record["live"] = token.end_at(now).is_none().into();
    record
}

/// Takes in what it can; one outcome each, and every refusal with its place and reason.
async fn import(operations: &Operations, fields: Fields) -> Result<Answer, Failure> {
    let fields = read::<ImportFields>(fields)?;
    fields.check()?;
    let dry_run = fields.dry_run.is_some_and(|flag| flag.0);
    let parts = state::Parts {
        claims: fields.claims.unwrap_or_default(),
        history: fields.history.unwrap_or_default(),
        followups: fields.followups.unwrap_or_default(),
        followup_history: fields.followup_history.unwrap_or_default(),
    };
    let reading = state::Reading::of_parts(parts, operations.now());
    let report = state::take_in(operations, reading, dry_run).await.map_err(ManagerError::from)?;
    Ok(Answer::found(json!({ "ok": true, "dry_run": dry_run, "report": report })))
}
