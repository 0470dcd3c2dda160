//! What the store is asked about claims and follow-ups from elsewhere.

use chrono::TimeDelta;

use crate::domain::{Claim, ClaimStatus, FollowUp, FollowUpStatus, RestoredClaim, Timestamp, WorkItemId};

/// Claims to take in, past ones before the active ones on the same issues.
#[derive(Debug, Clone)]
pub struct ClaimImport {
    /// The claims.
    pub claims: Vec<RestoredClaim>,
    /// How long a lease holds that the record does not state.
    pub lease: TimeDelta,
    /// Only say what would become of them.
    pub dry_run: bool,
    /// The present.
    pub now: Timestamp,
}

/// What became of one claim from elsewhere.
#[derive(Debug, Clone)]
pub enum ImportOutcome {
    /// It is here now.
    Taken,
    /// It was here before, and stands as given.
    AlreadyHere(ClaimStatus),
    /// Its issue is held here by another claim, which stays.
    HeldBy(Box<Claim>),
    /// It ended before the oldest claim that the history has room for.
    Passed,
}

/// Follow-ups to take in, active and past ones in any order.
#[derive(Debug, Clone)]
pub struct FollowUpImport {
    /// The follow-ups.
    pub items: Vec<FollowUp>,
    /// Only say what would become of them.
    pub dry_run: bool,
    /// The present.
    pub now: Timestamp,
}

/// What became of one follow-up from elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FollowUpImportOutcome {
    /// It is here now, and its feedback is remembered.
    Taken,
    /// It was here before, and stands as given.
    AlreadyHere(FollowUpStatus),
    /// Its feedback made another follow-up here, which stays.
    FeedbackKnown(WorkItemId),
    /// It ended before the oldest one that there is room for, here or elsewhere.
    Passed,
    /// As many are active here as may be.
    NoRoom,
}
