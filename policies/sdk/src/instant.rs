//! Points in time, as the host gives them. A policy has no clock.

/// Milliseconds in a minute.
const MINUTE_MS: u64 = 60_000;
/// Milliseconds in a day of 24 hours.
const DAY_MS: u64 = 24 * 60 * MINUTE_MS;

/// A point in time: milliseconds since the Unix epoch. Arithmetic stops at its ends instead of wrapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The last millisecond of the year 9999: stands for "never" and is a date everywhere.
    pub const NEVER: Self = Self(253_402_300_799_999);

    /// From milliseconds since the Unix epoch.
    pub const fn from_ms(ms: u64) -> Self {
        Self(ms)
    }

    /// Milliseconds since the Unix epoch.
    pub const fn ms(self) -> u64 {
        self.0
    }

    /// This instant and `ms` milliseconds more.
    pub const fn plus_ms(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// This instant and `minutes` more.
    pub const fn plus_minutes(self, minutes: u64) -> Self {
        Self(self.0.saturating_add(times(minutes, MINUTE_MS)))
    }

    /// This instant and `days` of 24 hours more.
    pub const fn plus_days(self, days: u64) -> Self {
        Self(self.0.saturating_add(times(days, DAY_MS)))
    }

    /// This instant less `days` of 24 hours.
    pub const fn minus_days(self, days: u64) -> Self {
        Self(self.0.saturating_sub(times(days, DAY_MS)))
    }

    /// Days of 24 hours that passed since `earlier`; 0 if it lies ahead.
    pub fn days_since(self, earlier: Self) -> f64 {
        self.0.saturating_sub(earlier.0) as f64 / DAY_MS as f64
    }

    /// Whole days of 24 hours that passed since `earlier`; 0 if it lies ahead.
    pub const fn whole_days_since(self, earlier: Self) -> u64 {
        whole_days(self.0.saturating_sub(earlier.0))
    }
}

/// `count` units of `ms` milliseconds each, or as many as there are. What the standard library has for it multiplies
/// to 128 bits, which WebAssembly has no instruction for.
const fn times(count: u64, ms: u64) -> u64 {
    if count > u64::MAX / ms { u64::MAX } else { count * ms }
}

/// `ms / DAY_MS`. A day is 1,024 times 84,375 milliseconds, and numbers of 32 bits, which are enough for a century, are
/// divided by a constant without dividing; for those of 64 WebAssembly has but the slow instruction.
const fn whole_days(ms: u64) -> u64 {
    let (part_ms, parts) = (1 << 10, (DAY_MS >> 10) as u32);
    let count = ms / part_ms;
    if count <= u32::MAX as u64 { (count as u32 / parts) as u64 } else { count / parts as u64 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_days_are_those_of_the_plain_division() {
        let turns = [0, 1, 365, 49_710, 50_903, 50_904, 1 << 32].map(|days| days * DAY_MS);
        for ms in turns.into_iter().flat_map(|ms| [ms.saturating_sub(1), ms, ms + 1]).chain([u64::MAX]) {
            assert_eq!(whole_days(ms), ms / DAY_MS, "{ms}");
        }
    }

    #[test]
    fn whole_days_turn_at_the_very_millisecond() {
        let opened = Instant::from_ms(5);
        assert_eq!(Instant::from_ms(5 + DAY_MS - 1).whole_days_since(opened), 0);
        assert_eq!(opened.plus_days(1).whole_days_since(opened), 1);
        assert_eq!(opened.plus_days(1).days_since(opened), 1.0);
    }

    #[test]
    fn arithmetic_stops_at_the_ends() {
        assert_eq!(Instant::from_ms(0).minus_days(1), Instant::from_ms(0));
        assert_eq!(Instant::from_ms(1).plus_minutes(u64::MAX).ms(), u64::MAX);
        assert_eq!(Instant::from_ms(0).whole_days_since(Instant::from_ms(DAY_MS)), 0);
    }
}
