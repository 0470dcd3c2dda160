//! The way of a policy's author, walked with the real program: from an empty folder to a ranker in force, in each
//! language; the examples; what is told of a policy that is wrong; and a registry in between.

#![allow(clippy::unwrap_used)]

#[path = "../cosign/mod.rs"]
#[allow(dead_code, reason = "other tests use the rest of it")]
mod cosign;

#[path = "../server/harness.rs"]
#[allow(dead_code)]
mod harness;

#[path = "../policies/workshop.rs"]
#[allow(dead_code)]
mod workshop;

mod desk;
mod examples;
mod faults;
mod in_place;
mod kinds;
mod registry;
mod verdicts;
mod walk;
