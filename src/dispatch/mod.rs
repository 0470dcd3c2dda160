//! Dispatch: an issue in, a pull request out. One run is one agent in one container.
//!
//! The dispatcher is an agent like any other: it holds a claim before it works, and gives it back when it fails.
//! What it knows of a run is in the store before and after each step, so a crash at any point is resumed or
//! cleaned up at the next start.

pub mod agent;
mod attempt;
mod beginning;
mod beside;
mod budget;
pub mod container;
mod control;
mod dispatcher;
pub mod environment;
mod faults;
pub mod git;
mod health;
mod holding;
pub mod image;
mod intake;
mod key;
mod limits;
mod live;
mod logs;
pub mod prompt;
mod queue;
mod readiness;
mod recovery;
mod repository_model;
pub mod secrets;
mod settings;
pub mod story;
mod telling;
mod words;
pub mod workspace;

pub use control::{ActiveRun, DispatchOutcome, DispatchStatus, RunCounts, RunWordOutcome};
pub use dispatcher::{Dispatcher, DispatcherParts};
pub use faults::DIE_AT;
pub use limits::RunLimits;
pub use readiness::doubts;
