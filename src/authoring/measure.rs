//! What a policy costs, at the sizes that backlogs have, and sweeps.

use std::sync::Arc;
use std::time::Duration;

use cpu_time::ThreadTime;

use super::{AuthoringError, backlog};
use crate::domain::{IssueFacts, Timestamp};
use crate::policy::{LiveClaim, PolicyError, Ranking, RepoFilters, Scored, StaleRules};

/// How often the calls of a request are repeated; the middle one counts.
const REPEAT_COUNT: usize = 15;

/// What one size of backlog costs, in time of the processor.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measurement {
    /// How many issues.
    pub issue_count: u32,
    /// Scoring all of them.
    pub score: Duration,
    /// Scoring ten of them anew, as after a change.
    pub score_ten: Duration,
    /// The last word on a short list of 32.
    pub choose: Duration,
    /// The reasons of a short list of 32.
    pub explain: Duration,
    /// The most memory that one instance held, in bytes.
    pub memory_bytes: usize,
}

/// What one call about all live claims, or all repositories, costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SweepMeasurement {
    /// How many rows.
    pub row_count: u32,
    /// Judging all of them, in time of the processor.
    pub call: Duration,
}

/// Measures a ranker at a size of backlog.
///
/// # Errors
/// [`AuthoringError::Policy`] when the policy fails.
pub fn measure(ranker: &Ranking, issue_count: u32) -> Result<Measurement, AuthoringError> {
    let (issues, now) = backlog_of(issue_count);
    let Calls { score, score_ten, choose, explain } = Calls::time(ranker, &issues, now)?;
    Ok(Measurement { issue_count, score, score_ten, choose, explain, memory_bytes: ranker.memory_bytes_peak() })
}

/// Measures a stale rule on so many claims.
///
/// # Errors
/// [`AuthoringError::Policy`] when the policy fails.
pub fn measure_stale_rule(rules: &StaleRules, row_count: u32) -> Result<SweepMeasurement, AuthoringError> {
    let claims = backlog::claims(row_count);
    let rows: Vec<LiveClaim<'_>> = claims
        .iter()
        .map(|(claim, signals)| LiveClaim { claim, last_call_at: claim.status_since(), signals: *signals })
        .collect();
    measured(row_count, || rules.assess(&rows, backlog::now()).1.map_or(Ok(()), Err))
}

/// Measures a repository filter on so many repositories.
///
/// # Errors
/// [`AuthoringError::Policy`] when the policy fails.
pub fn measure_filter(filter: &RepoFilters, row_count: u32) -> Result<SweepMeasurement, AuthoringError> {
    let repos = backlog::repos(row_count);
    measured(row_count, || filter.exclude(&repos).map(drop))
}

fn measured(
    row_count: u32,
    mut act: impl FnMut() -> Result<(), PolicyError>,
) -> Result<SweepMeasurement, AuthoringError> {
    // The first call makes an instance, which is not what judging costs.
    act()?;
    Ok(SweepMeasurement { row_count, call: timed(REPEAT_COUNT, act)? })
}

/// The made-up backlog, and its present.
pub(super) fn backlog_of(issue_count: u32) -> (Vec<Arc<IssueFacts>>, Timestamp) {
    (backlog::issues(issue_count), backlog::now())
}

/// How long a ranker's calls take.
pub(super) struct Calls {
    pub(super) score: Duration,
    pub(super) score_ten: Duration,
    pub(super) choose: Duration,
    pub(super) explain: Duration,
}

impl Calls {
    pub(super) fn time(ranker: &Ranking, issues: &[Arc<IssueFacts>], now: Timestamp) -> Result<Self, PolicyError> {
        // The first call makes an instance, which is not what scoring costs.
        ranker.score(&issues[..issues.len().min(10)], now)?;
        let mut scored: Vec<Scored> = Vec::new();
        let score = timed(3, || {
            scored = ranker.score(issues, now)?;
            Ok(())
        })?;
        let score_ten = timed(REPEAT_COUNT, || ranker.score(&issues[..issues.len().min(10)], now).map(drop))?;
        let (shortlist, request) = (backlog::shortlist(issues, &scored), backlog::request());
        let choose = timed(REPEAT_COUNT, || ranker.choose(&request, &shortlist, now).map(drop))?;
        let explain = timed(REPEAT_COUNT, || ranker.explain(&shortlist, now).map(drop))?;
        Ok(Self { score, score_ten, choose, explain })
    }
}

/// The middle one of several times, of the processor: a policy runs on the thread that calls it, and what else
/// the machine does is not its doing.
fn timed(count: usize, mut act: impl FnMut() -> Result<(), PolicyError>) -> Result<Duration, PolicyError> {
    let mut times = Vec::with_capacity(count);
    for _ in 0..count {
        let started = ThreadTime::now();
        act()?;
        times.push(started.elapsed());
    }
    times.sort_unstable();
    Ok(times[count / 2])
}
