//! How fast one token may ask: GitHub turns away who asks too much within a minute, whatever is left of
//! the hour's budget.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The part of a minute's requests that may be sent at once: an eighth.
const BURST_DIVISOR: u32 = 8;

/// Spreads requests evenly, after a burst.
#[derive(Debug)]
pub(super) struct Pace {
    /// Between two requests; zero: no bound.
    interval: Duration,
    burst: u32,
    /// When the next request would be due if all were spread evenly.
    due: Mutex<Option<Instant>>,
}

impl Pace {
    /// At most `per_minute` requests a minute; 0 for no bound.
    pub(super) fn new(per_minute: u32) -> Self {
        // The burst counts towards the minute that follows it.
        let burst = per_minute / BURST_DIVISOR;
        let interval = Duration::from_secs(60).checked_div(per_minute - burst).filter(|_| per_minute > 0);
        Self { interval: interval.unwrap_or_default(), burst, due: Mutex::default() }
    }

    /// Takes the next place in the queue: how long to wait for it from `now`.
    pub(super) fn take_turn(&self, now: Instant) -> Duration {
        if self.interval.is_zero() {
            return Duration::ZERO;
        }
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        let allowance = self.interval * self.burst;
        let place = due.map_or(now, |due| due.max(now));
        *due = Some(place + self.interval);
        place.saturating_duration_since(now + allowance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many requests are sent within `seconds`, if somebody always has one more.
    fn sent_within(pace: &Pace, from: Instant, seconds: u64) -> u32 {
        let (mut now, end, mut count) = (from, from + Duration::from_secs(seconds), 0);
        loop {
            now += pace.take_turn(now);
            if now >= end {
                return count;
            }
            count += 1;
        }
    }

    #[test]
    fn no_minute_holds_more_than_allowed_and_most_of_it_is_used() {
        let pace = Pace::new(800);
        let count = sent_within(&pace, Instant::now(), 60);
        assert!((780..=801).contains(&count), "{count}");
    }

    #[test]
    fn a_few_requests_never_wait() {
        let (pace, now) = (Pace::new(800), Instant::now());
        assert!((0..100).all(|_| pace.take_turn(now).is_zero()));
        assert!((0..10).any(|_| !pace.take_turn(now).is_zero()));
    }

    #[test]
    fn without_a_bound_nobody_waits() {
        let (pace, now) = (Pace::new(0), Instant::now());
        assert!((0..10_000).all(|_| pace.take_turn(now).is_zero()));
    }
}
