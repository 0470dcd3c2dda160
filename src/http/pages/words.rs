//! Words and links that many pages share.

use chrono::TimeDelta;
use maud::{Markup, html};

use crate::claims::points;
use crate::domain::{Claim, ClaimStatus, IssueNumber, IssueRef, PolicyStamp, RepoName, RunStatus, Timestamp};

/// Digits of a digest that tell it from others.
const DIGEST_DIGIT_COUNT: usize = 12;

/// The way to why an issue stands where it does.
pub(super) fn issue_link(issue: &IssueRef) -> Markup {
    html! { a href=(explained_at(&issue.repo, issue.number)) { (issue) } }
}

/// The same of an issue by its name; text where that is none.
pub(super) fn named_issue(name: &str) -> Markup {
    match name.parse::<IssueRef>() {
        Ok(issue) => issue_link(&issue),
        Err(_) => html! { (name) },
    }
}

/// The page that explains an issue.
pub(super) fn explained_at(repo: &RepoName, number: IssueNumber) -> String {
    format!("/explain/{repo}/{number}")
}

/// The page of a claim.
pub(super) fn claim_at(claim: &Claim) -> String {
    format!("/claims/{}", claim.claim_id)
}

/// An address that agents or GitHub gave: a link where it leads to a web page, else text.
pub(super) fn outside(address: &str, name: &str) -> Markup {
    let leads_to_page = address.starts_with("https://") || address.starts_with("http://");
    html! {
        @if leads_to_page { a href=(address) rel="noreferrer" { (name) } } @else { (name) }
    }
}

/// How a claim stands, as a badge.
pub(super) fn claim_badge(status: ClaimStatus) -> Markup {
    html! { span .badge .(status.as_str()) { (claim_status(status)) } }
}

/// The status of a claim in words for people.
pub(super) fn claim_status(status: ClaimStatus) -> &'static str {
    match status {
        ClaimStatus::Claimed => "claimed",
        ClaimStatus::InProgress => "in progress",
        ClaimStatus::PrSubmitted => "pull request",
        ClaimStatus::PrMerged => "merged",
        ClaimStatus::Closed => "closed",
        ClaimStatus::Released => "released",
        ClaimStatus::Stale => "lapsed",
    }
}

/// How a run stands, as a badge.
pub(super) fn run_badge(status: RunStatus) -> Markup {
    let words = match status {
        RunStatus::WaitingHuman => "waits for people".to_owned(),
        other => other.to_string(),
    };
    html! { span .badge .(status.to_string()) { (words) } }
}

/// A time, with how long ago it is.
pub(super) fn since(at: Timestamp, now: Timestamp) -> Markup {
    html! { time datetime=(at.to_rfc3339()) title=(minute(at)) { (length(now - at)) } }
}

/// A length of time, in the two largest units that say something: `45 s`, `12 min`, `3 h 20 min`, `5 d 2 h`.
pub(super) fn length(span: TimeDelta) -> String {
    let seconds = span.num_seconds().max(0);
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    let two = |large: i64, unit: &str, small: i64, small_unit: &str| match small {
        0 => format!("{large} {unit}"),
        small => format!("{large} {unit} {small} {small_unit}"),
    };
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes} min"),
        3600..86_400 => two(hours, "h", minutes % 60, "min"),
        _ => two(days, "d", hours % 24, "h"),
    }
}

/// A number and what it counts: `1 claim`, `2 claims`.
pub(super) fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

pub(super) fn stamp(stamp: &PolicyStamp) -> Markup {
    html! {
        (stamp.source) " " code title="SHA-256 of the component" { (short(&stamp.digest)) }
        " settings " code title="SHA-256 of its settings" { (short(&stamp.settings_digest)) }
    }
}

/// Enough of a digest to tell it from others.
pub(super) fn short(digest: &str) -> &str {
    digest.get(..DIGEST_DIGIT_COUNT).unwrap_or(digest)
}

pub(super) fn signed(amount: f64) -> String {
    let text = points(amount);
    if amount > 0.0 { format!("+{text}") } else { text }
}

pub(super) fn minute(at: Timestamp) -> String {
    at.format("%Y-%m-%d %H:%M UTC").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_told_as_people_tell_them() {
        let told = [-5, 0, 59, 60, 3599, 3600, 12_000, 86_399, 86_400, 450_000].map(TimeDelta::seconds).map(length);
        assert_eq!(told.join(", "), "0 s, 0 s, 59 s, 1 min, 59 min, 1 h, 3 h 20 min, 23 h 59 min, 1 d, 5 d 5 h");
    }

    #[test]
    fn only_web_pages_are_links() {
        assert!(outside("https://github.com/a/b/pull/1", "x").into_string().starts_with("<a href=\"https://"));
        assert_eq!(outside("javascript:alert(1)", "<x>").into_string(), "&lt;x&gt;");
    }
}
