//! Requests that are sent again, since the answer to them was lost: what they asked for may have been
//! done. A claim is asked for with a `request_id`; what has ended is found among what has ended.

use serde_json::{Value, json};

use super::{Answer, Api, Call, Caller, Fields};
use crate::domain::{AgentId, Claim, ClaimId, FollowUp};
use crate::store::ClaimHistoryFilter;

/// How many of an agent's newest ended claims are looked through for a short id. Ours: more than a client
/// can have on the way to a server that dies.
const ENDED_COUNT_MAX: usize = 512;

impl Api {
    /// As [`Api::answer`], to a request that may have been answered before: if what it would end has ended
    /// so already, by the same agent, that is the answer, and not that nothing is there any more.
    pub async fn answer_again(&self, call: Call, caller: &Caller, fields: Fields) -> Answer {
        let asked = fields.clone();
        let answer = self.answer(call, caller, fields).await;
        if answer.status != 404 {
            return answer;
        }
        self.done_before(call, caller, &asked).await.unwrap_or(answer)
    }

    async fn done_before(&self, call: Call, caller: &Caller, fields: &Fields) -> Option<Answer> {
        // A short id is looked for before the caller is let in.
        let caller = self.admit(call, caller, fields).ok()?;
        let text = |name: &str| fields.get(name).and_then(Value::as_str).map(str::trim);
        let named = text("agent_id").and_then(|name| name.parse::<AgentId>().ok());
        let agent = named.or(caller.agent)?;
        let (what, done) = match call {
            Call::Update | Call::Release => {
                let status = if call == Call::Release { "released" } else { text("status")? };
                let claim = self.ended_claim(text("claim_id")?, &agent).await?;
                ("claim", (claim.status().as_str() == status).then(|| json!(claim)))
            }
            Call::UpdateFollowUp => {
                let item = self.ended_follow_up(text("work_item_id")?, &agent).await?;
                ("work_item", (Some(item.status().as_str()) == text("status")).then(|| json!(item)))
            }
            _ => return None,
        };
        Some(Answer::found(json!({ "ok": true, "idempotent": true })).with(what, done?))
    }

    /// The agent's claim of this id, whole or short, if it has ended.
    async fn ended_claim(&self, id: &str, agent: &AgentId) -> Option<Claim> {
        if let Ok(claim_id) = id.parse::<ClaimId>() {
            let claim = self.manager().claim_of(claim_id).await.ok()?;
            return (claim.agent_id == *agent && claim.status().is_terminal()).then_some(claim);
        }
        let filter = ClaimHistoryFilter { agent: Some(agent.clone()), ..ClaimHistoryFilter::default() };
        let ended = self.manager().claim_history(filter, None, ENDED_COUNT_MAX).await.ok()?;
        ended.claims.into_iter().find(|claim| claim.claim_id.short().eq_ignore_ascii_case(id))
    }

    /// The follow-up of this id that the agent had last, if it has ended.
    async fn ended_follow_up(&self, id: &str, agent: &AgentId) -> Option<FollowUp> {
        let item = self.manager().follow_up_of(id.parse().ok()?).await.ok()??;
        (item.holder() == Some(agent) && item.status().is_terminal()).then_some(item)
    }
}
