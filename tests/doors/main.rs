//! The doors, as clients meet them.
#![allow(clippy::unwrap_used)]

mod accept;
mod contract;
mod events;
mod follow_ups;
mod gate;
mod leases;
mod server;
mod tools;
mod webhooks;
