//! Policies as the server meets them: real components, real faults. The guest is tests/guests/faulty.

#![allow(clippy::unwrap_used)]

#[path = "../cosign/mod.rs"]
#[allow(dead_code, reason = "other tests use the rest of it")]
mod cosign;

mod answers;
mod cache;
mod chain;
mod evolution;
mod faults;
mod overrides;
mod refusals;
mod rules;
mod settings;
mod signatures;
mod stage;
mod work_order;
mod workshop;
