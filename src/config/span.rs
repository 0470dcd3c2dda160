//! Times and sizes as people write them: `30s`, `5m`, `4g`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chrono::TimeDelta;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A span of time: `30s`, `5m`, `2h`, `3d`, or `0`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Span(Duration);

/// Longest span that can be set: ten years, so that no sum of two overflows.
const SPAN_SECONDS_MAX: u64 = 3650 * 24 * 3600;

const TIME_UNITS: [(&str, u64); 4] = [("d", 24 * 3600), ("h", 3600), ("m", 60), ("s", 1)];
const SIZE_UNITS: [(&str, u64); 4] = [("t", 1 << 40), ("g", 1 << 30), ("m", 1 << 20), ("k", 1 << 10)];

impl Span {
    /// So many seconds.
    pub const fn seconds(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// As a duration.
    pub fn duration(self) -> Duration {
        self.0
    }

    /// As a difference of times.
    pub fn delta(self) -> TimeDelta {
        TimeDelta::from_std(self.0).expect("spans are at most ten years")
    }

    /// Whether it is 0, which often means never.
    pub fn is_zero(self) -> bool {
        self.0.is_zero()
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let seconds = measured(text.trim(), &TIME_UNITS).filter(|seconds| *seconds <= SPAN_SECONDS_MAX);
        seconds.map(Self::seconds).ok_or_else(|| format!("{text:?} is no time: write 30s, 5m, 2h or 3d"))
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.as_secs();
        let unit = TIME_UNITS.iter().find(|(_, size)| seconds > 0 && seconds.is_multiple_of(*size));
        match unit {
            Some((name, size)) => write!(f, "{}{name}", seconds / size),
            None => f.write_str("0s"),
        }
    }
}

/// A size: `512m`, `4g`, or bytes without a unit. Units are powers of 1024, as podman has them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

impl FromStr for Bytes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let lower = text.trim().to_ascii_lowercase();
        let bare = lower.strip_suffix("ib").or_else(|| lower.strip_suffix('b')).unwrap_or(&lower);
        let plain = bare.parse().ok();
        let found = plain.or_else(|| measured(bare, &SIZE_UNITS));
        found.map(Self).ok_or_else(|| format!("{text:?} is no size: write 512m or 4g"))
    }
}

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = SIZE_UNITS.iter().find(|(_, size)| self.0 > 0 && self.0.is_multiple_of(*size));
        match unit {
            Some((name, size)) => write!(f, "{}{name}", self.0 / size),
            None => write!(f, "{}", self.0),
        }
    }
}

fn measured(text: &str, units: &[(&str, u64)]) -> Option<u64> {
    if text == "0" {
        return Some(0);
    }
    let (number, size) = units.iter().find_map(|(name, size)| Some((text.strip_suffix(name)?, size)))?;
    number.trim().parse::<u64>().ok()?.checked_mul(*size)
}

macro_rules! written_as_text {
    ($($kind:ty),+) => {$(
        impl Serialize for $kind {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $kind {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
            }
        }
    )+};
}

written_as_text!(Span, Bytes);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_sizes_are_read_as_they_are_written() {
        for text in ["30s", "5m", "2h", "3d", "0s", "90s"] {
            assert_eq!(text.parse::<Span>().unwrap().to_string(), text);
        }
        assert_eq!("120s".parse::<Span>().unwrap().to_string(), "2m");
        for (text, bytes) in [("4g", 4 << 30), ("512m", 512 << 20), ("512MB", 512 << 20), ("2GiB", 2 << 30), ("7", 7)] {
            assert_eq!(text.parse(), Ok(Bytes(bytes)), "{text}");
        }
    }

    #[test]
    fn what_is_neither_is_refused_with_an_example() {
        for text in ["", "5", "-5m", "5 parsecs", "99999999999999999999s", "4000d", "m"] {
            assert!(text.parse::<Span>().unwrap_err().contains("write 30s"), "{text}");
        }
        for text in ["", "lots", "-1g", "99999999999999t"] {
            assert!(text.parse::<Bytes>().unwrap_err().contains("write 512m"), "{text}");
        }
    }
}
