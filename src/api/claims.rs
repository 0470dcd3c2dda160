//! Claims: asked for, moved, given back, listed.

use std::fmt;

use chrono::SecondsFormat;
use serde_json::json;

use super::fields::read;
use super::requests::{
    ClaimDetailsFields, ClaimFields, ClaimFilterFields, MyClaimsFields, NextFields, ReleaseFields, UpdateFields,
};
use super::{Answer, Api, Caller, Failure, Fields};
use crate::claims::{ClaimManager, ClaimOutcome, NextOutcome, UpdateOutcome, UpdateRequest};
use crate::domain::{Claim, Empty};
use crate::store::ClaimFilter;

/// How much of the note at the end of a claim a message repeats, in bytes: the claim beside it has it all.
const NOTE_BYTES_MAX: usize = 120;

impl Api {
    /// The agent's next issue, by policy.
    pub(super) async fn next(&self, caller: &Caller, fields: Fields) -> Result<Answer, Failure> {
        let request = read::<NextFields>(fields)?.parse(caller.agent.as_ref(), &caller.skills)?;
        self.admit_mutation(&request.agent)?;
        Ok(answer_to_next(self.manager().next_issue(request).await?))
    }

    /// One named issue.
    pub(super) async fn claim(&self, caller: &Caller, fields: Fields) -> Result<Answer, Failure> {
        let request = read::<ClaimFields>(fields)?.parse(caller.agent.as_ref())?;
        self.admit_mutation(&request.agent)?;
        Ok(match self.manager().claim(request).await? {
            ClaimOutcome::Granted { claim, idempotent } => granted(&claim, idempotent),
            ClaimOutcome::HeldBy(claim) => {
                let message = format!("{} is held by {}", claim.issue_ref(), claim.agent_id);
                Answer::rejected(409, "already_claimed", message).with_owner(&claim)
            }
            ClaimOutcome::RequestIdUsed(claim) => request_id_used(&claim),
            ClaimOutcome::NotOpen(issue) => {
                let message = format!("{issue} is no open issue here (unknown, closed, or a pull request)");
                Answer::rejected(409, "invalid_issue", message)
            }
        })
    }

    /// A claim has come so far.
    pub(super) async fn update(&self, caller: &Caller, fields: Fields) -> Result<Answer, Failure> {
        self.step(read::<UpdateFields>(fields)?.parse(caller.agent.as_ref())?).await
    }

    /// A claim is given back.
    pub(super) async fn release(&self, caller: &Caller, fields: Fields) -> Result<Answer, Failure> {
        self.step(read::<ReleaseFields>(fields)?.parse(caller.agent.as_ref())?).await
    }

    /// The claims of the one who asks, who is heard of by asking.
    pub(super) async fn my_claims(&self, caller: &Caller, fields: Fields) -> Result<Answer, Failure> {
        let agent = read::<MyClaimsFields>(fields)?.parse(caller.agent.as_ref())?;
        self.hear(caller, &agent);
        let claims = self.manager().claims(ClaimFilter { agent: Some(agent), ..ClaimFilter::default() }).await?;
        Ok(Answer::found(json!({ "claims": claims })))
    }

    async fn step(&self, request: UpdateRequest) -> Result<Answer, Failure> {
        self.admit_mutation(&request.agent)?;
        let claim_id = request.claim_id;
        Ok(match self.manager().update(request).await? {
            UpdateOutcome::Moved { claim, idempotent, issue_closed, verified } => {
                let answer = granted(&claim, idempotent).with_some("verified", verified);
                match issue_closed {
                    None => answer,
                    Some(Ok(())) => answer.with("issue_closed", true),
                    Some(Err(why)) => answer.with("issue_closed", false).with("issue_close_error", why.to_string()),
                }
            }
            UpdateOutcome::NotMerged(claim) => {
                let page = claim.pr_url().unwrap_or("the pull request").to_owned();
                let message = format!("GitHub says that {page} is not merged; report it when it is");
                Answer::rejected(409, "not_merged", message).with("claim", claim)
            }
            UpdateOutcome::Ended(claim, holder) => ended(&claim, holder.as_ref()),
            UpdateOutcome::NotFound => no_such_claim(claim_id),
            UpdateOutcome::NotOwner(claim) => {
                let (issue, owner, epoch) = (claim.issue_ref(), &claim.agent_id, claim.lease.epoch);
                let message = format!("{issue} is held by {owner} under epoch {epoch}: stop working on it");
                Answer::rejected(409, "agent_mismatch", message).with_owner(&claim)
            }
            UpdateOutcome::Refused(claim, why) => {
                Answer::rejected(409, "invalid_transition", why.to_string()).with("claim", claim)
            }
        })
    }
}

/// The answer to a wish for an issue.
pub(super) fn answer_to_next(outcome: NextOutcome) -> Answer {
    match outcome {
        NextOutcome::Granted { claim, issue, idempotent, why } => {
            granted(&claim, idempotent).with_some("issue", issue).with_some("why", why)
        }
        NextOutcome::RequestIdUsed(claim) => request_id_used(&claim),
        NextOutcome::Nothing(empty) => nothing(&empty),
    }
}

/// Active claims. Naming an agent here is a filter: who asks for another's claims does not renew them.
pub(super) async fn list(manager: &ClaimManager, fields: Fields) -> Result<Answer, Failure> {
    let claims = manager.claims(read::<ClaimFilterFields>(fields)?.parse()?).await?;
    Ok(Answer::found(json!({ "claims": claims })))
}

/// One claim, active or past.
pub(super) async fn details(manager: &ClaimManager, fields: Fields) -> Result<Answer, Failure> {
    let claim_id = read::<ClaimDetailsFields>(fields)?.parse()?;
    Ok(Answer::found(json!({ "claim": manager.claim_of(claim_id).await? })))
}

fn granted(claim: &Claim, idempotent: bool) -> Answer {
    Answer::found(json!({ "ok": true, "idempotent": idempotent, "claim": claim }))
}

pub(super) fn no_such_claim(claim_id: impl fmt::Display) -> Answer {
    let message = format!("there is no active claim {claim_id}: it ended long ago, or never was");
    Answer::rejected(404, "claim_not_found", message)
}

/// The contract's answer to whoever would move a claim that has ended, and how it ended: for a request that
/// was sent again, because its answer was lost, that is the answer. A late owner learns who holds the issue now.
fn ended(claim: &Claim, holder: Option<&Claim>) -> Answer {
    let (status, at) = (claim.status(), claim.last_updated().to_rfc3339_opts(SecondsFormat::Secs, true));
    let note = claim.status_history().last().and_then(|entry| entry.note.as_deref());
    let note = note.map(|note| format!(" ({})", &note[..note.floor_char_boundary(NOTE_BYTES_MAX)])).unwrap_or_default();
    let held = holder.map(|holder| format!("; {} is held by {} now", holder.issue_ref(), holder.agent_id));
    let held = held.unwrap_or_default();
    let message =
        format!("this claim ended as {status} at {at}{note}: if that is what you asked for, it is done{held}");
    let answer = Answer::rejected(404, "claim_not_found", message).with("claim", claim);
    answer.with_some("owner_agent_id", holder.map(|holder| &holder.agent_id))
}

fn nothing(empty: &Empty) -> Answer {
    let answer = Answer::rejected(409, "invalid_issue", "No eligible unclaimed issues found".into())
        .with("why", empty.to_string())
        .with("counts", empty)
        .with_some("retry_after_seconds", empty.retry_after_seconds);
    Answer { retry_after_seconds: empty.retry_after_seconds, ..answer }
}

/// A request id that got another claim, or one that has ended, gets nothing new.
fn request_id_used(claim: &Claim) -> Answer {
    let message = format!("this request_id got {} before (now {}); use a new one", claim.issue_ref(), claim.status());
    Answer::rejected(409, "request_id_used", message).with("claim", claim)
}
