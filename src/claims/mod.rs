//! The claim manager: the only door to state. Transports ask it; it asks the policies and the store.
//!
//! [`ClaimManager`] answers requests (`manager.rs`; the next issue in `next.rs`, work of both kinds in
//! `follow_ups.rs`). It takes candidates from the `Board` (`board.rs`, in the `Order` of `order.rs`),
//! policies from the `Desk` (`desk.rs`, which puts new ones in force by a plan, `plan.rs`), and events
//! from the feed (`feed.rs`). Policies that were in force are kept by `policy_history.rs`, a candidate is tried by
//! `trial.rs`. What it does on its own is in `service.rs`, `sweep.rs` and `presence.rs`;
//! how it is doing in `health.rs`.

mod absent;
mod asking;
mod board;
mod bodies;
mod desk;
mod dispatching;
mod evidence;
mod explain;
mod explanation;
mod feed;
mod follow_ups;
mod groups;
mod health;
mod index;
mod links;
mod lookup;
mod manager;
mod news;
mod next;
mod nothings;
mod operations;
mod order;
mod overview;
mod places;
mod plan;
mod playground;
mod policy_history;
mod presence;
mod pulls;
mod reasons;
mod recorded;
mod recording;
pub(crate) mod rehearsal;
mod requests;
mod roles;
mod service;
mod shelf;
mod sweep;
mod telling;
mod tokens;
mod trial;
mod trust;
mod truth;
mod wellness;

pub use bodies::StoredBodies;
pub use desk::Reload;
pub use dispatching::{Labelled, Offer};
pub use explanation::{DecisionSummary, Explanation, Holder, IssueStanding, NotChosen, Rival, nth, points};
pub use feed::{EventCursor, EventStep};
pub use follow_ups::{FollowUpOutcome, FollowUpUpdate, WorkOutcome};
pub use groups::Groups;
pub use index::Index;
pub use manager::ClaimManager;
pub use operations::{Operations, Stock, TokenMade, TokenWish};
pub use overview::{Ahead, BELONGING_COUNT_MAX, Belongings, BusyAgent, ClaimColumn, UNDER_WAY};
pub use playground::{LeftBehind, Tried, TriedIssue};
pub use policy_history::PolicyAction;
pub use pulls::{FeedbackOutcome, PullChange, PullOutcome};
pub use recorded::{Answers, NotReplayable, PageAnswer, Recorded, RecordedBodies, RecordedPage};
pub use requests::{
    ClaimOutcome, ClaimRequest, CloseError, Health, HealthState, IssueDetails, ManagerError, NextOutcome, NextRequest,
    PolicyHealth, RepoEntry, UpdateOutcome, UpdateRequest, Verification,
};
pub use service::{Background, OpenError, Parts};
pub use sweep::SweepReport;
pub use telling::Told;
pub use trial::TrialReport;
