//! The claim manager: the only door to state. Transports ask it; it asks the policies and the store.
//!
//! [`ClaimManager`] answers requests (`manager.rs`). It takes candidates from the `Board` (`board.rs`,
//! in the `Order` of `order.rs`), policies from the `Desk` (`desk.rs`, which puts new ones in force by
//! a plan, `plan.rs`), and events from the feed (`feed.rs`). What it does on its own is in
//! `service.rs`, `sweep.rs` and `presence.rs`; how it is doing in `health.rs`.

mod board;
mod desk;
mod feed;
mod health;
mod index;
mod lookup;
mod manager;
mod order;
mod plan;
mod presence;
mod requests;
mod service;
mod sweep;

pub use desk::Reload;
pub use feed::{EventCursor, EventStep};
pub use index::Index;
pub use manager::ClaimManager;
pub use requests::{
    ClaimOutcome, ClaimRequest, Health, IssueDetails, ManagerError, NextOutcome, NextRequest, PolicyHealth, RepoEntry,
    UpdateOutcome, UpdateRequest,
};
pub use service::{Background, OpenError, Parts};
pub use sweep::SweepReport;
