//! Replays: of histories that were invented for a purpose, against a real server, on the command line, and of a
//! real repository's history where it is at hand.

#![allow(clippy::unwrap_used)]

mod invented;
#[path = "../standin/mod.rs"]
#[allow(dead_code, reason = "other tests use the rest of it")]
mod standin;

mod command;
mod measures;
mod real;
mod recording;
mod server;
