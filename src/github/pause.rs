//! The pause that GitHub asks for: one for all calls of a token, because the budget is the token's.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::DateTime;
use http::{HeaderMap, StatusCode};
use serde::Deserialize;
use tracing::warn;

use crate::metrics::RequestsLeft;

/// What GitHub's documentation asks for when a secondary limit names no time, in seconds.
const PAUSE_SECONDS_DEFAULT: u64 = 60;
/// Longest pause believed, in seconds: GitHub's window of one hour, and some room for its clock.
const PAUSE_SECONDS_MAX: u64 = 3_700;

/// Until when no request may be sent. Uses the monotonic clock: a pause must not end, or last for
/// ever, because the wall clock was set.
#[derive(Debug, Default)]
pub(super) struct Pause(Mutex<Option<Instant>>);

impl Pause {
    /// How long the pause still lasts at `now`; `None` when requests may be sent.
    pub(super) fn remaining(&self, now: Instant) -> Option<Duration> {
        let until = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        until.map(|until| until.saturating_duration_since(now)).filter(|left| !left.is_zero())
    }

    /// Lets nothing be sent for `wanted` from `now`; a longer pause that holds already stays.
    pub(super) fn hold(&self, wanted: Duration, now: Instant) {
        let began = self.remaining(now).is_none();
        let mut until = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let end = now + wanted;
        *until = Some(until.map_or(end, |present| present.max(end)));
        drop(until);
        if began {
            warn!(
                seconds = wanted.as_secs(),
                "GitHub asks for a pause of {} s: nothing is sent to it",
                wanted.as_secs()
            );
        }
    }
}

/// What an answer says about the budget.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Budget {
    /// There is some left.
    Left,
    /// This answer took the last of it: the answer counts, the next calls wait.
    UsedUp(Duration),
    /// The call was turned away, and so would be the next ones.
    TurnedAway(Duration),
}

/// Reads the budget from an answer. `body` is read only for a 403 without better signs.
pub(super) fn budget(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Budget {
    let refused = matches!(status, StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS);
    let until_reset = (number(headers, "x-ratelimit-remaining") == Some(0)).then(|| seconds_until_reset(headers));
    let seconds = match number(headers, "retry-after") {
        Some(seconds) if refused || status == StatusCode::SERVICE_UNAVAILABLE => Some(seconds),
        _ if refused && until_reset.is_some() => until_reset,
        _ if status == StatusCode::TOO_MANY_REQUESTS => Some(PAUSE_SECONDS_DEFAULT),
        _ if refused && speaks_of_a_rate_limit(body) => Some(PAUSE_SECONDS_DEFAULT),
        _ => None,
    };
    match (seconds, until_reset) {
        (Some(seconds), _) => Budget::TurnedAway(bounded(seconds)),
        (None, Some(seconds)) => Budget::UsedUp(bounded(seconds)),
        (None, None) => Budget::Left,
    }
}

/// What is left of the hour's requests, and of which kind, if the answer says so.
pub(super) fn requests_left(headers: &HeaderMap) -> Option<RequestsLeft> {
    let resource = headers.get("x-ratelimit-resource").and_then(|value| value.to_str().ok()).unwrap_or("core");
    let left = i64::try_from(number(headers, "x-ratelimit-remaining")?).ok()?;
    Some(RequestsLeft { resource: resource.to_owned(), left, until_reset: bounded(seconds_until_reset(headers)) })
}

fn bounded(seconds: u64) -> Duration {
    Duration::from_secs(seconds.clamp(1, PAUSE_SECONDS_MAX))
}

/// Measured on GitHub's own clock (the `Date` of the same answer), so that ours may be wrong.
fn seconds_until_reset(headers: &HeaderMap) -> u64 {
    let date = headers.get("date").and_then(|date| DateTime::parse_from_rfc2822(date.to_str().ok()?).ok());
    match (number(headers, "x-ratelimit-reset"), date) {
        (Some(reset), Some(date)) => reset.saturating_sub(u64::try_from(date.timestamp()).unwrap_or(0)),
        _ => PAUSE_SECONDS_DEFAULT,
    }
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.trim().parse().ok()
}

/// A secondary limit may come as a plain 403: only its message tells it from a missing permission.
fn speaks_of_a_rate_limit(body: &[u8]) -> bool {
    #[derive(Deserialize)]
    struct Refusal {
        message: String,
    }
    serde_json::from_slice::<Refusal>(body).is_ok_and(|refusal| refusal.message.to_lowercase().contains("rate limit"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| ((*name).parse().unwrap(), value.parse().unwrap())).collect()
    }

    fn turned_away(seconds: u64) -> Budget {
        Budget::TurnedAway(Duration::from_secs(seconds))
    }

    #[test]
    fn a_refusal_with_retry_after_pauses_for_as_long() {
        for status in [StatusCode::FORBIDDEN, StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE] {
            assert_eq!(budget(status, &headers(&[("retry-after", "7")]), b""), turned_away(7), "{status}");
        }
    }

    #[test]
    fn an_empty_budget_pauses_until_its_reset_on_githubs_clock() {
        let empty = headers(&[
            ("x-ratelimit-remaining", "0"),
            ("x-ratelimit-reset", "1000000090"),
            ("date", "Sun, 09 Sep 2001 01:46:40 GMT"),
        ]);
        assert_eq!(budget(StatusCode::FORBIDDEN, &empty, b""), turned_away(90));
        assert_eq!(budget(StatusCode::OK, &empty, b""), Budget::UsedUp(Duration::from_secs(90)));
    }

    #[test]
    fn a_secondary_limit_without_times_pauses_for_a_minute() {
        let text = br#"{"message":"You have exceeded a secondary rate limit."}"#;
        assert_eq!(budget(StatusCode::FORBIDDEN, &HeaderMap::new(), text), turned_away(60));
        assert_eq!(budget(StatusCode::TOO_MANY_REQUESTS, &HeaderMap::new(), b""), turned_away(60));
    }

    #[test]
    fn a_missing_permission_pauses_nothing() {
        let text = br#"{"message":"Resource not accessible by personal access token"}"#;
        let some_left = headers(&[("x-ratelimit-remaining", "12")]);
        assert_eq!(budget(StatusCode::FORBIDDEN, &some_left, text), Budget::Left);
        assert_eq!(budget(StatusCode::OK, &headers(&[("retry-after", "9")]), b""), Budget::Left);
    }

    #[test]
    fn no_answer_can_ask_for_a_pause_without_end() {
        let absurd = headers(&[("retry-after", "99999999999")]);
        assert_eq!(budget(StatusCode::FORBIDDEN, &absurd, b""), turned_away(PAUSE_SECONDS_MAX));
        assert_eq!(budget(StatusCode::FORBIDDEN, &headers(&[("retry-after", "0")]), b""), turned_away(1));
    }

    #[test]
    fn a_pause_ends_by_itself_and_a_shorter_one_never_cuts_it() {
        let (pause, now) = (Pause::default(), Instant::now());
        assert_eq!(pause.remaining(now), None);
        pause.hold(Duration::from_secs(30), now);
        pause.hold(Duration::from_secs(5), now);
        assert_eq!(pause.remaining(now + Duration::from_secs(29)), Some(Duration::from_secs(1)));
        assert_eq!(pause.remaining(now + Duration::from_secs(30)), None);
    }
}
