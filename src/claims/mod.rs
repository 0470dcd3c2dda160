//! The claim manager: the only door to state. Transports ask it; it asks the policies and the store.

mod manager;
mod requests;

pub use manager::{ClaimManager, EventCursor, EventStep};
pub use requests::{
    ClaimOutcome, ClaimRequest, Health, IssueDetails, ManagerError, NextOutcome, NextRequest, PolicyHealth, RepoEntry,
    UpdateOutcome, UpdateRequest,
};
