//! What a policy costs a server that has the configured bounds, and whether it answers the same again.

use std::path::Path;
use std::time::{Duration, Instant};

use super::super::measure::{Calls, SweepMeasurement, backlog_of, measure_filter, measure_stale_rule};
use super::super::{AuthoringError, PolicyKind};
use super::Trial;
use crate::config::PoliciesConfig;
use crate::policy::{BLOCK_ROW_COUNT_MAX, PolicyHost, PolicySet};

/// From this share of a bound on, in percent, a policy is told that it comes close.
const CLOSE_PERCENT: u128 = 50;

/// Claims, or repositories, that a stale rule or a filter is timed on: more than most servers have.
const SWEEP_ROW_COUNT: u32 = 1_000;

impl Trial {
    /// Calls it as a server with much work would.
    pub(super) fn costs(&mut self, host: &PolicyHost, kind: PolicyKind, set: &PolicySet, config: &PoliciesConfig) {
        match kind {
            PolicyKind::Ranker => {
                if self.ranker_costs(set, config) {
                    let same = same_answer(host, set, config).unwrap_or_else(|error| Err(error.to_string()));
                    self.found("same input, same answer", same);
                }
            }
            PolicyKind::StaleRule => {
                let measured = measure_stale_rule(&set.stale_rule, SWEEP_ROW_COUNT);
                self.sweep_costs(&format!("time of assess, {SWEEP_ROW_COUNT} claims"), measured, config);
            }
            PolicyKind::RepoFilter => {
                let measured = measure_filter(&set.repo_filter, SWEEP_ROW_COUNT);
                self.sweep_costs(&format!("time of exclude, {SWEEP_ROW_COUNT} repositories"), measured, config);
            }
        }
    }

    /// Whether all calls about a large backlog succeed; what they cost is found either way.
    fn ranker_costs(&mut self, set: &PolicySet, limits: &PoliciesConfig) -> bool {
        let (issues, now) = backlog_of(BLOCK_ROW_COUNT_MAX);
        let calls = match Calls::time(&set.ranker, &issues, now) {
            Ok(calls) => calls,
            Err(error) => return self.found("a large backlog", Err(error.to_string())),
        };
        let (call_max, choose_max) =
            (Duration::from_millis(limits.call_ms_max), Duration::from_millis(limits.choose_ms_max));
        let what = format!("time of score, {BLOCK_ROW_COUNT_MAX} issues");
        self.found(&what, Ok(share(calls.score, call_max, "call_ms_max")));
        self.found("time of choose", Ok(share(calls.choose, choose_max, "choose_ms_max")));
        self.found("time of explain", Ok(share(calls.explain, choose_max, "choose_ms_max")));
        let (used, max) = (set.ranker.memory_bytes_peak() as u128, limits.memory_bytes_max as u128);
        let close = if used * 100 > max * CLOSE_PERCENT { ": close; the bound is memory_bytes_max" } else { "" };
        self.found("memory", Ok(format!("{} of {} MiB{close}", used >> 20, max >> 20)))
    }

    fn sweep_costs(
        &mut self,
        what: &str,
        measured: Result<SweepMeasurement, AuthoringError>,
        limits: &PoliciesConfig,
    ) -> bool {
        let call_max = Duration::from_millis(limits.call_ms_max);
        let told = measured.map(|it| share(it.call, call_max, "call_ms_max"));
        self.found(what, told.map_err(|error| error.to_string()))
    }
}

fn share(took: Duration, max: Duration, setting: &str) -> String {
    let ms = took.as_secs_f64() * 1000.0;
    let percent = took.as_micros() * 100 / max.as_micros().max(1);
    let close = if percent > CLOSE_PERCENT { format!(": close; the bound is {setting}") } else { String::new() };
    format!("{ms:.2} of {} ms ({percent}%){close}", max.as_millis())
}

/// Scores the same issues twice, and by a second set of instances.
fn same_answer(
    host: &PolicyHost,
    set: &PolicySet,
    config: &PoliciesConfig,
) -> Result<Result<String, String>, AuthoringError> {
    let (issues, now) = backlog_of(1024);
    let started = Instant::now();
    let first = set.ranker.score(&issues, now)?;
    let other = host.load(config, Path::new(""))?;
    let differs = |again: &[crate::policy::Scored]| first.iter().zip(again).position(|(a, b)| a != b);
    for again in [set.ranker.score(&issues, now)?, other.ranker.score(&issues, now)?] {
        if let Some(row) = differs(&again) {
            return Ok(Err(format!(
                "{} scored {} first and {} when asked again: what earlier calls left behind must not count",
                issues[row].issue, first[row].value, again[row].value
            )));
        }
    }
    Ok(Ok(format!("three times over {} issues, in {} ms", issues.len(), started.elapsed().as_millis())))
}
