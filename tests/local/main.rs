//! Agents on one machine, as they meet the server: real clients' processes, real servers started by them,
//! killed under them, and real configuration files of clients.

#![cfg(unix)]
#![allow(clippy::unwrap_used)]

mod door;
mod harness;
mod install;
mod shims;
mod survival;
