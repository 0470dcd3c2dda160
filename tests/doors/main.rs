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
mod work_order;
#[path = "../policies/workshop.rs"]
#[allow(dead_code, reason = "other tests use the rest of it")]
mod workshop;
