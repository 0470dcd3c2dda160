//! What the store is asked about claims that ended.

use crate::domain::{AgentId, Claim, ClaimId, RepoName, Timestamp};

/// Which past claims.
#[derive(Debug, Clone, Default)]
pub struct ClaimHistoryFilter {
    /// Of this agent.
    pub agent: Option<AgentId>,
    /// In this repository.
    pub repo: Option<RepoName>,
}

/// A claim's place among those that ended. It never changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClaimHistoryPlace {
    /// When it ended.
    pub ended_at: Timestamp,
    /// Which it is, among those of the same moment.
    pub claim_id: ClaimId,
}

/// One page of past claims.
#[derive(Debug, Clone, Default)]
pub struct PastClaims {
    /// Newest end first.
    pub claims: Vec<Claim>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<ClaimHistoryPlace>,
}
