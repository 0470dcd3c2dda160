//! Seeds: as many as are wished for, on as many threads as there are processors.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Instant;

use crate::ground::Ground;
use crate::planted::Fault;
use crate::run::{Failure, Run};

/// Within how many seeds a planted bug must be found.
const PLANTED_SEED_COUNT_MAX: u64 = 300;
/// How many seeds fit into some ten seconds.
const SEED_COUNT: u64 = 120;

fn variable(name: &str) -> Option<u64> {
    std::env::var(name).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

/// Runs seeds from `first` on until one fails or `count` are done; answers the first failure.
fn run_seeds(ground: &Arc<Ground>, first: u64, count: u64, fault: Option<Fault>) -> Option<Failure> {
    let next = AtomicU64::new(first);
    let end = first + count;
    // A seed waits for its own threads most of the time; four of them at once run most seeds a minute.
    let threads = 4 * thread::available_parallelism().map_or(2, usize::from);
    let failures = thread::scope(|scope| {
        let work = || {
            loop {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= end {
                    return None;
                }
                if let Err(failure) = Run::of_seed(seed, fault, ground) {
                    next.store(end, Ordering::Relaxed);
                    return Some(failure);
                }
            }
        };
        let workers: Vec<_> = (0..threads).map(|_| scope.spawn(work)).collect();
        workers.into_iter().filter_map(|worker| worker.join().expect("a seed does not panic")).collect::<Vec<_>>()
    });
    failures.into_iter().min_by_key(|failure| failure.seed)
}

#[test]
fn seeds_hold() {
    let (count, first) =
        (variable("SIMULATION_SEEDS").unwrap_or(SEED_COUNT), variable("SIMULATION_FIRST").unwrap_or(1));
    let (ground, begun) = (Ground::new(), Instant::now());
    if let Some(failure) = run_seeds(&ground, first, count, None) {
        panic!("\n{failure}");
    }
    let seconds = begun.elapsed().as_secs_f64();
    eprintln!("{count} seeds in {seconds:.1} s: {:.0} a minute", count as f64 * 60.0 / seconds);
}

#[test]
fn one_seed() {
    let seed = variable("SIMULATION_SEED").unwrap_or(1);
    match Run::of_seed(seed, None, &Ground::new()) {
        Ok(digest) => eprintln!("seed {seed} holds, with the digest {digest:016x}"),
        Err(failure) => panic!("\n{failure:#}"),
    }
}

#[test]
fn the_same_seed_gives_the_same_run() {
    let ground = Ground::new();
    for seed in 1..=8 {
        let digest = || Run::of_seed(seed, None, &ground).unwrap_or_else(|failure| panic!("\n{failure}"));
        assert_eq!(digest(), digest(), "seed {seed} ran in two ways");
    }
}

#[test]
fn every_planted_bug_is_found() {
    let ground = Ground::new();
    let mut missed = Vec::new();
    for (place, faults) in Fault::ALL {
        for fault in faults {
            let Some(found) = run_seeds(&ground, 1, PLANTED_SEED_COUNT_MAX, Some(*fault)) else {
                missed.push(fault);
                continue;
            };
            let Failure { seed, step, why, .. } = &found;
            eprintln!("{place}: {fault:?} found after {seed} seeds, in step {step}: {why}");
            // It was the bug that was found, and not the oracle's own.
            Run::of_seed(*seed, None, &ground).unwrap_or_else(|failure| panic!("nothing is planted:\n{failure}"));
        }
    }
    assert!(missed.is_empty(), "planted, and not found within {PLANTED_SEED_COUNT_MAX} seeds: {missed:?}");
}
