//! A deterministic simulation: the real claim manager, board, policies and SQLite store, with a clock, a GitHub and a
//! scheduler of our own. Agents work and vanish, operators overrule, GitHub changes and fails, clocks jump, policies are
//! swapped, the disk fills up and the process is killed, all as one seed draws it. An oracle judges every step.
//!
//! `cargo test --test simulation` runs as many seeds as take some seconds. For more:
//! `SIMULATION_SEEDS=20000 cargo test --release --test simulation seeds_hold -- --nocapture`. A failure prints its seed, its last
//! steps, and the command that runs that seed once more; the same seed does the same, to the byte.

#![allow(clippy::unwrap_used)]

mod calls;
mod clock;
mod gate;
mod github;
mod ground;
mod ledger;
mod life;
mod oracle;
mod panics;
mod planted;
mod policies;
mod run;
mod seam;
mod seeds;
mod steps;
mod told;
mod turns;
mod watch;
