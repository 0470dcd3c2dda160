//! Review feedback as work: asked for together with issues, moved, listed.

use serde_json::json;

use super::claims::answer_to_next;
use super::fields::read;
use super::requests::{FollowUpFilterFields, MyWorkFields, NextFields, UpdateFollowUpFields};
use super::{Answer, Api, Caller, Failure, Fields};
use crate::claims::{ClaimManager, FollowUpOutcome, WorkOutcome};
use crate::domain::FollowUpRefusal;
use crate::store::{ClaimFilter, FollowUpFilter};

impl Api {
    /// The agent's next piece of work: feedback to answer, or an issue to begin.
    pub(super) async fn next_work(&self, caller: &Caller, fields: Fields) -> Result<Answer, Failure> {
        let request = read::<NextFields>(fields)?.parse(caller.agent.as_ref(), &caller.skills)?;
        self.admit_mutation(&request.agent)?;
        Ok(match self.manager().next_work(request).await? {
            WorkOutcome::FollowUp { item, idempotent, why } => {
                Answer::found(json!({ "ok": true, "kind": "pr_followup", "idempotent": idempotent, "work_item": item }))
                    .with_some("why", why)
            }
            WorkOutcome::RequestIdUsed(item) => {
                let message = format!("this request_id got a follow-up before (now {}); use a new one", item.status());
                Answer::rejected(409, "request_id_used", message).with("work_item", item)
            }
            WorkOutcome::Issue(outcome) => {
                let answer = answer_to_next(outcome);
                if answer.status == 200 { answer.with("kind", "issue") } else { answer }
            }
        })
    }

    /// A follow-up has come so far.
    pub(super) async fn update_follow_up(&self, caller: &Caller, fields: Fields) -> Result<Answer, Failure> {
        let update = read::<UpdateFollowUpFields>(fields)?.parse(caller.agent.as_ref())?;
        self.admit_mutation(&update.agent)?;
        let work_item_id = update.work_item_id;
        Ok(match self.manager().update_follow_up(update).await? {
            FollowUpOutcome::Moved(item, idempotent) => {
                Answer::found(json!({ "ok": true, "idempotent": idempotent, "work_item": item }))
            }
            FollowUpOutcome::NotFound => {
                let message = format!("there is no active follow-up {work_item_id}: it ended, or never was");
                Answer::rejected(404, "not_found", message)
            }
            FollowUpOutcome::Refused(item, refusal) => {
                let reason = match &refusal {
                    FollowUpRefusal::NotAllowed { .. } => "invalid_transition",
                    FollowUpRefusal::HeldBy(_) | FollowUpRefusal::KeptFor(_) | FollowUpRefusal::NotTaken => {
                        "agent_mismatch"
                    }
                };
                let owner = match &refusal {
                    FollowUpRefusal::KeptFor(agent) => Some(agent.clone()),
                    _ => item.holder().cloned(),
                };
                Answer::rejected(409, reason, refusal.to_string())
                    .with_some("owner_agent_id", owner)
                    .with("work_item", item)
            }
        })
    }

    /// Everything that the one who asks has in hand, who is heard of by asking.
    pub(super) async fn my_work(&self, caller: &Caller, fields: Fields) -> Result<Answer, Failure> {
        let agent = read::<MyWorkFields>(fields)?.parse(caller.agent.as_ref())?;
        self.hear(caller, &agent);
        let follow_ups =
            self.manager().follow_ups(&FollowUpFilter { agent: Some(agent.clone()), ..FollowUpFilter::default() });
        let claims = self.manager().claims(ClaimFilter { agent: Some(agent), ..ClaimFilter::default() }).await?;
        Ok(Answer::found(json!({ "work": { "claims": claims, "followups": follow_ups } })))
    }
}

/// Active follow-ups, most urgent first, then oldest.
pub(super) fn list(manager: &ClaimManager, fields: Fields) -> Result<Answer, Failure> {
    let filter = read::<FollowUpFilterFields>(fields)?.parse()?;
    Ok(Answer::found(json!({ "followups": manager.follow_ups(&filter) })))
}
