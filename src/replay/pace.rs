//! How long work and reviews take: drawn from what the history shows.

use sha2::{Digest, Sha256};

use super::history::History;
use crate::domain::{IssueRef, Timestamp};

/// Fewer samples than this say nothing: the stand-ins below are drawn from instead.
const SAMPLE_COUNT_MIN: usize = 5;
/// Hours of work drawn from where a history shows none: an afternoon, mostly; a choice, not a measurement.
const WORK_HOURS_STAND_IN: [u64; 5] = [1, 2, 4, 8, 24];
/// Hours of review drawn from where a history shows none; a choice, not a measurement.
const REVIEW_HOURS_STAND_IN: [u64; 5] = [2, 8, 24, 72, 168];
/// Shortest time that anything takes, in milliseconds.
const DURATION_MS_MIN: u64 = 60_000;
const HOUR_MS: u64 = 3_600_000;

/// The durations that a history shows, each list in rising order, in milliseconds.
#[derive(Debug)]
pub(super) struct Pace {
    seed: u64,
    speed: f64,
    pub(super) work_ms: Vec<u64>,
    pub(super) review_ms: Vec<u64>,
    /// Whether the history showed too little, of work or of reviews.
    pub(super) stands_in: (bool, bool),
}

impl Pace {
    /// `speed` is how much faster than in the history work is done; reviews keep their pace.
    pub(super) fn of(history: &History, seed: u64, speed: f64) -> Self {
        let mut work_ms = Vec::new();
        let mut review_ms = Vec::new();
        for pull in &history.pulls {
            let Some(merged_at) = pull.merged_at else { continue };
            review_ms.extend(between(pull.created_at, merged_at));
            for number in &pull.fixes {
                let fixed = history.issues.iter().find(|issue| issue.number == *number && issue.repo == pull.repo);
                let Some(issue) = fixed else { continue };
                let assigned = issue.happenings().into_iter().filter(|(_, event)| event.event == "assigned");
                let begun = assigned.map(|(at, _)| at).rfind(|at| *at < pull.created_at).unwrap_or(issue.created_at);
                work_ms.extend(between(begun, pull.created_at));
            }
        }
        let stands_in = (work_ms.len() < SAMPLE_COUNT_MIN, review_ms.len() < SAMPLE_COUNT_MIN);
        if stands_in.0 {
            work_ms = WORK_HOURS_STAND_IN.map(|hours| hours * HOUR_MS).into();
        }
        if stands_in.1 {
            review_ms = REVIEW_HOURS_STAND_IN.map(|hours| hours * HOUR_MS).into();
        }
        work_ms.sort_unstable();
        review_ms.sort_unstable();
        Self { seed, speed, work_ms, review_ms, stands_in }
    }

    /// How long the work on `issue` takes, in milliseconds, whoever does it and whenever: a draw belongs to
    /// the issue, so that two policies meet the same work.
    pub(super) fn work_on(&self, issue: &IssueRef) -> u64 {
        let ms = quantile(&self.work_ms, self.draw(issue, "work"));
        ((ms as f64 / self.speed) as u64).max(DURATION_MS_MIN)
    }

    /// How long the review of the pull request for `issue` takes, in milliseconds.
    pub(super) fn review_of(&self, issue: &IssueRef) -> u64 {
        quantile(&self.review_ms, self.draw(issue, "review")).max(DURATION_MS_MIN)
    }

    /// A number from 0 up to, not including, 1. A digest needs no state, and is the same everywhere.
    fn draw(&self, issue: &IssueRef, what: &str) -> f64 {
        let digest = Sha256::digest(format!("{} {issue} {what}", self.seed));
        let bits = digest.iter().take(8).fold(0u64, |bits, byte| (bits << 8) | u64::from(*byte));
        (bits >> 11) as f64 / (1u64 << 53) as f64
    }
}

fn between(from: Timestamp, to: Timestamp) -> Option<u64> {
    u64::try_from((to - from).num_milliseconds()).ok().filter(|ms| *ms > 0)
}

/// The value that a share of `sorted` lies below.
fn quantile(sorted: &[u64], share: f64) -> u64 {
    let row = (share * sorted.len() as f64) as usize;
    sorted.get(row.min(sorted.len().saturating_sub(1))).copied().unwrap_or(DURATION_MS_MIN)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn line(kind: &str, number: u64, day: u64, more: &str) -> String {
        format!(
            r#"{{"repo":"acme/small","kind":"{kind}","number":{number},"created_at":"2024-01-{day:02}T00:00:00Z"{more}}}"#
        )
    }

    #[test]
    fn durations_are_those_of_the_history_and_the_same_for_the_same_seed() {
        let fixed = |n: u64| {
            let pull = line(
                "pull",
                n + 100,
                n + 1,
                &format!(r#","merged_at":"2024-01-{:02}T00:00:00Z","fixes":[{n}]"#, 2 * n + 1),
            );
            [line("issue", n, 1, ""), pull]
        };
        let history = History::parse(&(1..=6).flat_map(fixed).collect::<Vec<_>>().join("\n")).unwrap();
        let pace = Pace::of(&history, 1, 1.0);
        let days: Vec<u64> = (1..=6).map(|day| day * 24 * HOUR_MS).collect();
        assert_eq!((&pace.work_ms, &pace.review_ms, pace.stands_in), (&days, &days, (false, false)));
        let issues: Vec<IssueRef> = history.issues.iter().map(crate::domain::Record::issue_ref).collect();
        let draws = |pace: &Pace| issues.iter().map(|issue| pace.work_on(issue)).collect::<Vec<_>>();
        assert_eq!(draws(&pace), draws(&Pace::of(&history, 1, 1.0)));
        assert_ne!(draws(&pace), draws(&Pace::of(&history, 2, 1.0)));
        assert!(draws(&pace).iter().all(|ms| days.contains(ms)));
        let twice = draws(&Pace::of(&history, 1, 2.0));
        assert!(draws(&pace).iter().zip(twice).all(|(ms, half)| ms / 2 == half));
    }

    #[test]
    fn a_history_without_pull_requests_is_worked_through_at_a_stand_in_pace() {
        let history = History::parse(&line("issue", 1, 1, "")).unwrap();
        let pace = Pace::of(&history, 1, 1.0);
        assert_eq!(pace.stands_in, (true, true));
        assert!(pace.work_on(&history.issues[0].issue_ref()) >= HOUR_MS);
    }

    #[test]
    fn assignment_is_when_work_began() {
        let issue = line("issue", 1, 1, r#","events":[{"event":"assigned","at":"2024-01-04T00:00:00Z"}]"#);
        let pull = line("pull", 2, 5, r#","merged_at":"2024-01-06T00:00:00Z","fixes":[1,1,1,1,1]"#);
        let pace = Pace::of(&History::parse(&format!("{issue}\n{pull}")).unwrap(), 1, 1.0);
        assert_eq!(pace.work_ms, [24 * HOUR_MS; 5]);
    }
}
