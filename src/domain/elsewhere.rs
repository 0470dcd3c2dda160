//! What must hold of any record from elsewhere: another server's, an older version's, or a hand's.

use chrono::TimeDelta;

use super::Timestamp;

/// Longest text of a record, in bytes: GitHub's titles have 256 characters, notes here 4,000 bytes.
pub(super) const TEXT_BYTES_MAX: usize = 8_192;
/// Most labels, assignees, comments, or entries of a history. GitHub allows 100 labels; a claim moves a
/// few times.
pub(super) const ENTRY_COUNT_MAX: usize = 1_000;
/// How far a clock elsewhere may run ahead of ours, in hours.
const CLOCK_AHEAD_HOURS_MAX: i64 = 24;

/// Whether a list is no longer than any real one, and none of its texts is.
pub(super) fn is_list(texts: &[String]) -> bool {
    texts.len() <= ENTRY_COUNT_MAX && texts.iter().all(|text| text.len() <= TEXT_BYTES_MAX)
}

/// Whether people may follow this address: it is one of the web, and hides nothing.
pub(super) fn is_web_page(address: &str) -> bool {
    let is_web = address.starts_with("https://") || address.starts_with("http://");
    is_web && !address.chars().any(|c| c.is_control() || c.is_whitespace())
}

/// Checks when a record began and when it last changed, by the names of these fields.
///
/// # Errors
/// Says what cannot be.
pub(super) fn check_times(
    (begun, begun_name): (Timestamp, &str),
    last_updated: Timestamp,
    now: Timestamp,
) -> Result<(), String> {
    let latest = now + TimeDelta::hours(CLOCK_AHEAD_HOURS_MAX);
    if begun > latest || last_updated > latest {
        Err("it is from the future".into())
    } else if last_updated < begun {
        Err(format!("last_updated comes before {begun_name}"))
    } else if begun.timestamp() < 0 {
        Err(format!("{begun_name} comes before 1970"))
    } else {
        Ok(())
    }
}
