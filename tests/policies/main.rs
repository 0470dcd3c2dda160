//! Policies as the server meets them: real components, real faults. The guest is tests/guests/faulty.

#![allow(clippy::unwrap_used)]

mod answers;
mod cache;
mod chain;
mod evolution;
mod faults;
mod refusals;
mod rules;
mod stage;
mod work_order;
mod workshop;
