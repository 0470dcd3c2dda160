//! Points in time as people write them in cases: `3 days ago`, or a date.

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde::Deserialize;

use crate::domain::Timestamp;

/// A point in time, relative to a present or not. The default is the present.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(super) enum Moment {
    #[default]
    Now,
    Written(String),
    Dated(toml::value::Datetime),
}

impl Moment {
    /// The point in time, seen from `now`.
    ///
    /// # Errors
    /// How it must be written.
    pub(super) fn at(&self, now: Timestamp) -> Result<Timestamp, String> {
        let text = match self {
            Self::Now => return Ok(now),
            Self::Written(text) => text.trim().to_owned(),
            Self::Dated(date) => date.to_string(),
        };
        ago(&text, now).or_else(|| dated(&text)).ok_or_else(|| {
            format!("{text:?} is no point in time: write `now`, `3 days ago`, `2026-01-01` or `2026-01-01T12:00:00Z`")
        })
    }
}

fn ago(text: &str, now: Timestamp) -> Option<Timestamp> {
    if text == "now" {
        return Some(now);
    }
    let (count, unit) = text.strip_suffix(" ago")?.split_once(' ')?;
    let count: i64 = if count == "a" || count == "an" { 1 } else { count.parse().ok()? };
    let span = match unit.trim_end_matches('s') {
        "second" => TimeDelta::try_seconds(count)?,
        "minute" => TimeDelta::try_minutes(count)?,
        "hour" => TimeDelta::try_hours(count)?,
        "day" => TimeDelta::try_days(count)?,
        "week" => TimeDelta::try_weeks(count)?,
        _ => return None,
    };
    now.checked_sub_signed(span)
}

fn dated(text: &str) -> Option<Timestamp> {
    let instant = DateTime::parse_from_rfc3339(text).map(|at| at.with_timezone(&Utc));
    instant.ok().or_else(|| Some(text.parse::<NaiveDate>().ok()?.and_hms_opt(0, 0, 0)?.and_utc()))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        let now: Timestamp = "2026-01-10T12:00:00Z".parse().unwrap();
        let at = |text: &str| Moment::Written(text.into()).at(now).map(|at| at.to_rfc3339());
        assert_eq!(at("3 days ago").unwrap(), "2026-01-07T12:00:00+00:00");
        assert_eq!(at("an hour ago").unwrap(), "2026-01-10T11:00:00+00:00");
        assert_eq!(at("2025-12-31").unwrap(), "2025-12-31T00:00:00+00:00");
        assert_eq!(at("2025-12-31T01:00:00+01:00").unwrap(), "2025-12-31T00:00:00+00:00");
        for text in ["yesterday", "3 fortnights ago", "-", "x days ago"] {
            assert!(at(text).unwrap_err().contains("3 days ago"), "{text}");
        }
        assert_eq!(Moment::Now.at(now).unwrap(), now);
    }
}
