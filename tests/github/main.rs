//! The adapters of the source port and the sync walk: against hand-made answers (what a stand-in would
//! never send), and against a GitHub stand-in where one is at hand.
#![allow(clippy::unwrap_used)]

mod accounts;
mod against_standin;
mod apps;
mod dependencies;
mod earlier_feedback;
mod files;
mod hand_made;
mod labels;
mod limits;
mod listing;
mod logs;
mod outage;
mod pulls;
mod readings;
mod reconciling;
#[path = "../standin/mod.rs"]
#[allow(dead_code, reason = "other tests use the rest of it")]
mod standin;
mod syncing;
mod world;
