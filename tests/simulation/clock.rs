//! The clock of a seed: it moves with the runtime's paused time, which only the simulation lets pass, and people set it.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use chrono::TimeDelta;
use issuecommand::domain::{Clock, Timestamp, from_unix_ms};
use tokio::time::Instant;

use crate::planted::Fault;

/// Both clocks at one moment, in milliseconds. The steady one counts from the first start of the seed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moment {
    pub wall_ms: u64,
    pub steady_ms: u64,
}

/// The clock of one life of the server.
#[derive(Debug)]
pub struct SeedClock {
    begin: Instant,
    /// Where both clocks stood when this life began.
    begun_at: Moment,
    /// How far the wall's clock was set forward, or back, since.
    set_by_ms: AtomicI64,
    fault: Option<Fault>,
}

/// How much older than it is a server believes to be, where its start has no grace.
const OLDER_MS: u64 = 600_000;

impl SeedClock {
    /// A clock that goes on from a moment. Call it within the runtime of its life.
    pub fn from(begun_at: Moment, fault: Option<Fault>) -> Self {
        Self { begin: Instant::now(), begun_at, set_by_ms: AtomicI64::new(0), fault }
    }

    /// The present, by both clocks; the steady one as it is, whatever fault is planted.
    pub fn moment(&self) -> Moment {
        let passed = self.passed_ms();
        let wall = i64::try_from(self.begun_at.wall_ms + passed).expect("a seed ends before that");
        let wall = wall + self.set_by_ms.load(Ordering::Relaxed);
        Moment {
            wall_ms: u64::try_from(wall).expect("a seed ends after 1970"),
            steady_ms: self.begun_at.steady_ms + passed,
        }
    }

    /// Sets the clock on the wall, while no time passes.
    pub fn jump(&self, by: TimeDelta) {
        self.set_by_ms.fetch_add(by.num_milliseconds(), Ordering::Relaxed);
    }

    /// A planted fault: once the server has started it is later than it is.
    fn older_ms(&self) -> u64 {
        if self.fault == Some(Fault::StartWithoutGrace) && self.passed_ms() > 0 { OLDER_MS } else { 0 }
    }

    fn passed_ms(&self) -> u64 {
        u64::try_from(self.begin.elapsed().as_millis()).expect("a seed ends before that")
    }
}

impl Clock for SeedClock {
    fn now(&self) -> Timestamp {
        from_unix_ms(self.moment().wall_ms + self.older_ms())
    }

    fn steady(&self) -> Duration {
        let jumps_along = self.fault == Some(Fault::JumpUnnoticed);
        let jumped = if jumps_along { self.set_by_ms.load(Ordering::Relaxed) } else { 0 };
        // A process counts from its own start, and never back.
        Duration::from_millis(self.passed_ms() + self.older_ms() + u64::try_from(jumped).unwrap_or(0))
    }
}
