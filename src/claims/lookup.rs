//! One claim, by its id or the short form of it.

use chrono::TimeDelta;

use super::{ClaimManager, ManagerError};
use crate::domain::{AgentId, Claim, ClaimId, FollowUp, WorkItemId};

impl ClaimManager {
    /// The claim that a short id names, asked for by `agent`: an active one, or else one of its own that
    /// ended, the newest.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn claim_by_short_id(
        &self,
        short: &str,
        agent: Option<&AgentId>,
    ) -> Result<Option<ClaimId>, ManagerError> {
        let active = self.index.board.read().claim_by_short_id(short, agent);
        Ok(match (active, agent) {
            (Some(active), _) => Some(active),
            (None, Some(agent)) => self.store.claim_past_by_short_id(agent.clone(), short.to_owned()).await?,
            (None, None) => None,
        })
    }

    /// One claim, active or past; its lease as it stands with the owner's latest call.
    ///
    /// # Errors
    /// When the store fails, or there is no such claim.
    pub async fn claim_of(&self, claim_id: ClaimId) -> Result<Claim, ManagerError> {
        let found = self.store.claim_get(claim_id).await?;
        let mut claim = found.ok_or_else(|| ManagerError::NotFound { what: format!("claim {claim_id}") })?;
        self.renew_by_calls(&mut claim, self.lease());
        Ok(claim)
    }

    /// One follow-up, active or past.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn follow_up_of(&self, work_item_id: WorkItemId) -> Result<Option<FollowUp>, ManagerError> {
        Ok(self.store.follow_up_get(work_item_id).await?)
    }

    /// The lease as it stands with the owner's latest call, which is not always written down yet.
    pub(super) fn renew_by_calls(&self, claim: &mut Claim, lease: TimeDelta) {
        let heard = self.presence.last_call(&claim.agent_id).filter(|_| !claim.status().is_terminal());
        if let Some(heard) = heard {
            claim.lease.expires_at = claim.lease.expires_at.max(heard + lease);
        }
    }
}
