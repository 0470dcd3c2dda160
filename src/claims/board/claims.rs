//! The claims that the board knows: on what, and whose.

use std::sync::Arc;

use super::Board;
use crate::domain::{AgentId, Claim, ClaimId, ClaimStatus, IssueRef, RepoName};

impl Board {
    /// Every live claim.
    pub(in crate::claims) fn claims(&self) -> impl Iterator<Item = &Arc<Claim>> {
        self.claims.values()
    }

    /// One live claim.
    pub(in crate::claims) fn claim(&self, claim_id: ClaimId) -> Option<&Arc<Claim>> {
        self.claims.get(&claim_id)
    }

    /// The live claim on `issue`.
    pub(in crate::claims) fn claim_on(&self, issue: &IssueRef) -> Option<&Arc<Claim>> {
        self.claim_by_issue.get(issue).and_then(|id| self.claims.get(id))
    }

    /// The active claim of this short id: `agent`'s own, else the only one that bears it.
    pub(in crate::claims) fn claim_by_short_id(&self, short: &str, agent: Option<&AgentId>) -> Option<ClaimId> {
        let bears = |id: &&ClaimId| id.short().eq_ignore_ascii_case(short);
        let own = agent.and_then(|agent| self.claims_by_agent.get(agent)).into_iter().flatten();
        only(own.filter(bears)).or_else(|| only(self.claims.keys().filter(bears))).copied()
    }

    /// Whether `agent` holds anything.
    pub(in crate::claims) fn is_holder(&self, agent: &AgentId) -> bool {
        self.claims_by_agent.contains_key(agent) || self.shelf.is_holder(agent)
    }

    /// Repositories of the agent's live claims, one entry a claim.
    pub(in crate::claims) fn claim_repos(&self, agent: &AgentId) -> Vec<RepoName> {
        let ids = self.claims_by_agent.get(agent).into_iter().flatten();
        ids.filter_map(|id| self.claims.get(id)).map(|claim| claim.repo.clone()).collect()
    }

    /// How many claims there are of each status that a live one can have.
    pub(in crate::claims) fn counts_by_status(&self) -> Vec<(ClaimStatus, u64)> {
        let live = ClaimStatus::ALL.into_iter().filter(|status| !status.is_terminal());
        let count = |status| self.claims.values().filter(|claim| claim.status() == status).count() as u64;
        live.map(|status| (status, count(status))).collect()
    }

    pub(super) fn set_claim(&mut self, claim: Claim) {
        let issue = claim.issue_ref();
        if claim.status().is_terminal() {
            self.remove_claim(&claim);
            self.note_review(&claim);
            if claim.is_finished_work() {
                self.set_finished(&issue, true);
            }
        } else {
            let claim = Arc::new(claim);
            let before = self.claims.insert(claim.claim_id, Arc::clone(&claim));
            if let Some(before) = &before {
                self.work.remove(before);
            }
            self.work.add(&claim);
            self.note_review(&claim);
            match before {
                None => {
                    self.granted_count += 1;
                    self.set_finished(&issue, false);
                    self.claim_by_issue.insert(issue.clone(), claim.claim_id);
                    self.claims_by_agent.entry(claim.agent_id.clone()).or_default().insert(claim.claim_id);
                }
                Some(before) if before.agent_id != claim.agent_id => {
                    self.granted_count += 1;
                    self.no_longer_of(&before.agent_id, claim.claim_id);
                    self.claims_by_agent.entry(claim.agent_id.clone()).or_default().insert(claim.claim_id);
                }
                Some(_) => {}
            }
        }
        if let Some(&slot) = self.by_issue.get(&issue) {
            self.place(slot);
        }
    }

    fn no_longer_of(&mut self, agent: &AgentId, claim_id: ClaimId) {
        if let Some(ids) = self.claims_by_agent.get_mut(agent) {
            ids.remove(&claim_id);
            if ids.is_empty() {
                self.claims_by_agent.remove(agent);
            }
        }
    }

    pub(super) fn remove_claim(&mut self, claim: &Claim) {
        let Some(before) = self.claims.remove(&claim.claim_id) else { return };
        self.claim_by_issue.remove(&claim.issue_ref());
        self.no_longer_of(&before.agent_id, before.claim_id);
        self.work.remove(&before);
    }
}

/// The one item, if there is exactly one.
fn only<T>(mut items: impl Iterator<Item = T>) -> Option<T> {
    let first = items.next()?;
    items.next().is_none().then_some(first)
}
