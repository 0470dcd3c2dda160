//! Time as an argument: a timestamp, and the one port that reads a clock.

use std::fmt;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};

/// A point in time, UTC, with millisecond precision (what JSON clients of the contract see).
pub type Timestamp = DateTime<Utc>;

/// Milliseconds since the Unix epoch, never negative: the form in which policies and the store see time.
pub fn unix_ms(at: Timestamp) -> u64 {
    u64::try_from(at.timestamp_millis()).unwrap_or(0)
}

/// The timestamp of `ms` milliseconds since the Unix epoch; the latest representable one if out of range.
pub fn from_unix_ms(ms: u64) -> Timestamp {
    i64::try_from(ms).ok().and_then(DateTime::from_timestamp_millis).unwrap_or(DateTime::<Utc>::MAX_UTC)
}

/// The only way to learn the time. Everything else is given it.
pub trait Clock: Send + Sync + fmt::Debug + 'static {
    /// The present, cut to milliseconds.
    fn now(&self) -> Timestamp;
    /// The time since some moment before: it never steps back, whatever people do to the clock on the wall.
    fn steady(&self) -> Duration;
    /// Is told the time of the database, which many servers may share. Most clocks go their own way.
    fn align(&self, present: Timestamp) {
        let _ = present;
    }
}

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Utc::now().trunc_subsecs(3)
    }

    fn steady(&self) -> Duration {
        static BEGIN: LazyLock<Instant> = LazyLock::new(Instant::now);
        BEGIN.elapsed()
    }
}

/// The system's clock, put right by that of the database that several servers share: leases begun by one of them
/// end by another, and their own clocks differ.
#[derive(Debug, Default)]
pub struct SharedClock {
    ahead_ms: AtomicI64,
}

impl Clock for SharedClock {
    fn now(&self) -> Timestamp {
        SystemClock.now() + TimeDelta::milliseconds(self.ahead_ms.load(Ordering::Relaxed))
    }

    fn steady(&self) -> Duration {
        SystemClock.steady()
    }

    fn align(&self, present: Timestamp) {
        let ahead = (present - SystemClock.now()).num_milliseconds();
        self.ahead_ms.store(ahead, Ordering::Relaxed);
    }
}

/// A clock that stands still until it is told to move: for tests, simulation and replay.
#[derive(Debug)]
pub struct ManualClock {
    wall_ms: AtomicI64,
    steady_ms: AtomicI64,
}

impl ManualClock {
    /// A clock that stands at `at`.
    pub fn at(at: Timestamp) -> Self {
        Self { wall_ms: AtomicI64::new(at.timestamp_millis()), steady_ms: AtomicI64::new(0) }
    }

    /// Moves the clock by `by`, which may be negative: clocks of real machines step back too.
    pub fn advance(&self, by: TimeDelta) {
        self.steady_ms.fetch_add(by.num_milliseconds().max(0), Ordering::SeqCst);
        self.jump(by);
    }

    /// Sets the clock on the wall by so much, while no time passes.
    pub fn jump(&self, by: TimeDelta) {
        self.wall_ms.fetch_add(by.num_milliseconds(), Ordering::SeqCst);
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        from_unix_ms(u64::try_from(self.wall_ms.load(Ordering::SeqCst)).unwrap_or(0))
    }

    fn steady(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.steady_ms.load(Ordering::SeqCst)).unwrap_or(0))
    }
}
