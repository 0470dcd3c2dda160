//! Dispatch: an issue in, a pull request out. One run is one agent in one container.
//!
//! The dispatcher is an agent like any other: it holds a claim before it works, and gives it back when it fails.
//! What it knows of a run is in the store before and after each step, so a crash at any point is resumed or
//! cleaned up at the next start.

pub mod agent;
pub mod container;
pub mod environment;
mod foreign;
pub mod git;
pub mod image;
pub mod prompt;
pub mod secrets;
pub mod story;
pub mod workspace;
