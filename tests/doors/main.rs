//! The doors, as clients meet them.
#![allow(clippy::unwrap_used)]

mod accept;
mod contract;
mod events;
mod gate;
mod leases;
mod server;
mod tokens;
mod tools;
mod watching;
