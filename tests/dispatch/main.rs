//! Dispatch, for real where the machine has what it takes: podman, coding agents with a scripted model, git over
//! HTTP, and the GitHub stand-in. What is missing is told as "skipped".
#![allow(clippy::unwrap_used)]

mod agents;
mod asking;
mod containers;
mod crashes;
mod environments;
mod fleet;
mod forge;
mod git;
mod hostile;
mod image;
mod kit;
mod many;
mod page;
mod patience;
mod peek;
#[path = "../postgres/mod.rs"]
#[allow(dead_code, reason = "other tests use the rest of it")]
mod postgres;
mod prebuilt;
mod runs;
mod secrecy;
mod servers;
#[path = "../standin/mod.rs"]
#[allow(dead_code, reason = "other tests use the rest of it")]
mod standin;
mod times;
mod workers;
mod workspace;
mod world;
