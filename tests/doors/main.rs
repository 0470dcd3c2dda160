//! The doors, as clients meet them.
#![allow(clippy::unwrap_used)]

#[path = "../standin/mod.rs"]
#[allow(dead_code, reason = "other tests use the rest of it")]
mod standin;

mod accept;
mod asking;
mod attacks;
mod contract;
mod deliveries;
mod described;
mod dispatch;
mod events;
mod follow_ups;
mod fuzz_seeds;
#[path = "../fuzz/src/lib.rs"]
mod fuzzed;
mod gate;
mod identity;
mod leases;
mod notices;
mod operator;
mod pages;
mod policies;
mod policy_pages;
mod reasons;
mod recorded;
mod replays;
mod resting;
mod retries;
mod server;
mod sessions;
mod tokens;
mod tools;
mod trust;
mod watching;
mod webhook_examples;
mod webhook_feedback;
mod webhook_pulls;
mod webhooks;
mod work_order;
#[path = "../policies/workshop.rs"]
#[allow(dead_code, reason = "other tests use the rest of it")]
mod workshop;
