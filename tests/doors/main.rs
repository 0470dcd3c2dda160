//! The doors, as clients meet them.
#![allow(clippy::unwrap_used)]

mod accept;
mod contract;
mod events;
mod gate;
mod identity;
mod leases;
mod operator;
mod server;
mod tools;
