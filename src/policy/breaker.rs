//! Keeps agents from waiting for a policy that fails over and over.

use std::sync::atomic::{AtomicI64, AtomicU32, Ordering};

use super::error::PolicyError;
use crate::domain::Timestamp;

/// Failures in a row after which a policy is left alone for a while.
const FAILURE_COUNT_MAX: u32 = 3;
/// For how long, in milliseconds. Then it is asked once, and left alone again unless it answers.
const REST_MS: i64 = 60_000;

/// Who is asked for: each has breakers of its own, so that what fails behind the answers takes nothing from agents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asker {
    /// An agent, that waits.
    Agent,
    /// A candidate's trial, for which nobody waits.
    Trial,
}

/// The breakers of one policy.
#[derive(Debug, Default)]
pub(super) struct Breakers {
    agent: PerCall,
    trial: PerCall,
}

/// Apart from each other, since one call may be broken alone.
#[derive(Debug, Default)]
pub(super) struct PerCall {
    pub(super) choose: Breaker,
    pub(super) explain: Breaker,
}

impl Breakers {
    pub(super) fn of(&self, asker: Asker) -> &PerCall {
        match asker {
            Asker::Agent => &self.agent,
            Asker::Trial => &self.trial,
        }
    }
}

/// Counts the failures of one policy at the door.
#[derive(Debug, Default)]
pub(super) struct Breaker {
    failures: AtomicU32,
    rests_until_ms: AtomicI64,
}

impl Breaker {
    /// Asks; `None` while the policy is left alone.
    pub(super) fn ask<A>(
        &self,
        now: Timestamp,
        ask: impl FnOnce() -> Result<A, PolicyError>,
    ) -> Option<Result<A, PolicyError>> {
        if self.rest_left_ms(now).is_some() {
            return None;
        }
        let answer = ask();
        match &answer {
            Ok(_) => self.failures.store(0, Ordering::Relaxed),
            Err(_) => {
                self.failures.fetch_add(1, Ordering::Relaxed);
                self.rests_until_ms.store(now.timestamp_millis() + REST_MS, Ordering::Relaxed);
            }
        }
        Some(answer)
    }

    /// For how many milliseconds more the policy is left alone; `None` while it may be asked.
    pub(super) fn rest_left_ms(&self, now: Timestamp) -> Option<u64> {
        if self.failures.load(Ordering::Relaxed) < FAILURE_COUNT_MAX {
            return None;
        }
        let left = self.rests_until_ms.load(Ordering::Relaxed) - now.timestamp_millis();
        u64::try_from(left).ok().filter(|left| *left > 0)
    }

    /// Whether its last answer was a failure.
    pub(super) fn is_troubled(&self) -> bool {
        self.failures.load(Ordering::Relaxed) > 0
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::domain::from_unix_ms;

    fn fail() -> Result<(), PolicyError> {
        Err(PolicyError::Refused { call: "choose", message: "no".into() })
    }

    #[test]
    fn after_three_failures_it_is_left_alone_for_a_minute_and_then_asked_once() {
        let breaker = Breaker::default();
        for _ in 0..3 {
            assert!(breaker.ask(from_unix_ms(0), fail).unwrap().is_err());
        }
        assert_eq!(breaker.rest_left_ms(from_unix_ms(59_999)), Some(1));
        assert!(breaker.ask(from_unix_ms(59_999), || -> Result<(), _> { unreachable!() }).is_none());
        assert_eq!(breaker.rest_left_ms(from_unix_ms(60_000)), None);
        assert!(breaker.ask(from_unix_ms(60_000), fail).unwrap().is_err());
        assert!(breaker.ask(from_unix_ms(60_001), fail).is_none(), "it failed again");
        assert!(breaker.ask(from_unix_ms(120_000), || Ok(())).unwrap().is_ok());
        assert!(!breaker.is_troubled());
        assert!(breaker.ask(from_unix_ms(120_001), fail).unwrap().is_err(), "one failure is no row of them");
    }
}
