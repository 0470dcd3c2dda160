//! A chain: one component that ranks, and the stages that come on top of it.
//!
//! | role | scores ahead | at the door | in reasons |
//! |---|---|---|---|
//! | base | its values | reorders, skips | its terms |
//! | score | values times weight are added, skips count | not asked | its terms times weight |
//! | filter | only its skips count | only its skips count, before all others | none |
//! | choose | not asked | reorders and skips what is left, in the order so far | none |
//!
//! At work a failing stage loses its own say and no more, with one exception: a filter is there to keep work
//! back, so while it fails nothing passes. A chain of the base alone costs nothing over the component itself.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::TimeDelta;

use super::breaker::{Asker, Breakers};
use super::error::PolicyError;
use super::ranker::{Choice, ChooseRequest, Ranker, Scored, Shortlisted};
use super::rows::IssueRows;
use super::source::sha256_hex;
use crate::config::StageRole;
use crate::domain::{PolicyStamp, Reason, Timestamp, unix_ms};

/// How long a score holds that was given without a stage, or by a stand-in: then the stage is asked again.
const DEGRADED_SCORE: TimeDelta = TimeDelta::seconds(60);

/// What a component does in its chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Base,
    Stage(StageRole),
}

impl Role {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Base => "base",
            Self::Stage(StageRole::Filter) => "filter",
            Self::Stage(StageRole::Score) => "score",
            Self::Stage(StageRole::Choose) => "choose",
        }
    }

    fn is_filter(self) -> bool {
        self == Self::Stage(StageRole::Filter)
    }

    fn adds_terms(self) -> bool {
        matches!(self, Self::Base | Self::Stage(StageRole::Score))
    }
}

/// One component of a chain.
#[derive(Debug)]
pub(super) struct Stage {
    /// What reasons call it.
    pub(super) name: Arc<str>,
    pub(super) role: Role,
    pub(super) weight: f64,
    pub(super) ranker: Ranker,
    pub(super) breakers: Breakers,
}

impl Stage {
    pub(super) fn new(name: &str, role: Role, weight: f64, ranker: Ranker) -> Self {
        Self { name: name.into(), role, weight, ranker, breakers: Breakers::default() }
    }
}

/// A stage that failed at work, and what happens instead.
#[derive(Debug)]
pub struct StageFault {
    /// Which, in a chain of several.
    pub stage: Option<Arc<str>>,
    /// How.
    pub error: PolicyError,
    /// What stands in for it.
    pub instead: &'static str,
    /// Whether a stand-in is needed for all of the ranker: its base failed.
    pub is_base: bool,
}

/// What did not work in one call at the door.
#[derive(Debug, Default)]
pub struct Troubles {
    /// The stages that failed.
    pub faults: Vec<StageFault>,
    /// Whether a stage was left alone, since it failed over and over before.
    pub is_resting: bool,
}

impl Troubles {
    /// Whether every stage that was needed has answered.
    pub fn is_none(&self) -> bool {
        self.faults.is_empty() && !self.is_resting
    }
}

/// Why nothing passes for a while, whatever is shown: a filter failed over and over, and is left alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    /// Which filter, in the words that skip every issue.
    pub why: String,
    /// For how many milliseconds more.
    pub left_ms: u64,
}

/// Gives scores where the base of a chain fails to.
pub(super) type StandIn<'a> = &'a dyn Fn(&IssueRows) -> Vec<Scored>;

/// The base first, then the stages in their order.
#[derive(Debug)]
pub(super) struct Chain {
    stages: Vec<Stage>,
    stamp: PolicyStamp,
    choose_time: Duration,
}

impl Chain {
    /// A chain of at least the base, which may take `choose_ms_max` at the door as a whole.
    pub(super) fn new(stages: Vec<Stage>, choose_ms_max: u64) -> Self {
        let stamp = stamp_of(&stages);
        Self { stages, stamp, choose_time: Duration::from_millis(choose_ms_max) }
    }

    pub(super) fn stamp(&self) -> &PolicyStamp {
        &self.stamp
    }

    pub(super) fn stages(&self) -> &[Stage] {
        &self.stages
    }

    pub(super) fn base(&self) -> &Ranker {
        &self.stages[0].ranker
    }

    pub(super) fn has_filter(&self) -> bool {
        self.stages.iter().any(|stage| stage.role.is_filter())
    }

    /// Scores issues. A stage that fails is noted in `faults`, and made up for if there is a stand-in for the base.
    ///
    /// # Errors
    /// The first failure, where nothing may stand in.
    pub(super) fn score(
        &self,
        rows: &IssueRows,
        now: Timestamp,
        stand_in: Option<StandIn<'_>>,
        faults: &mut Vec<StageFault>,
    ) -> Result<Vec<Scored>, PolicyError> {
        if let ([only], None) = (self.stages.as_slice(), stand_in) {
            return only.ranker.score(rows, now);
        }
        let mut total: Vec<Scored> = Vec::new();
        for stage in self.stages.iter().filter(|stage| stage.role != Role::Stage(StageRole::Choose)) {
            let scores = match (stage.ranker.score(rows, now), stand_in) {
                (Ok(scores), _) => scores,
                (Err(error), None) => return Err(self.in_stage(stage, error)),
                (Err(error), Some(stand_in)) => {
                    let (instead, mut scores) = self.instead_of(stage, rows, stand_in);
                    for scored in &mut scores {
                        (scored.valid_until_ms, scored.scored_at) = (unix_ms(now + DEGRADED_SCORE), None);
                    }
                    faults.push(self.fault(stage, error, instead));
                    scores
                }
            };
            match stage.role {
                Role::Base if self.stages.len() == 1 => return Ok(scores),
                Role::Base => {
                    total = scores;
                    name_skips(&mut total, &stage.name);
                }
                Role::Stage(_) => add(&mut total, scores, stage),
            }
        }
        Ok(total)
    }

    /// What a failing stage is taken to say.
    fn instead_of(&self, stage: &Stage, rows: &IssueRows, stand_in: StandIn<'_>) -> (&'static str, Vec<Scored>) {
        let said = |skip: Option<Arc<str>>| vec![Scored { skip, ..Scored::stand_in(0.0) }; rows.len()];
        match stage.role {
            Role::Base => ("the built-in order stands in", stand_in(rows)),
            role if role.is_filter() => ("nothing passes until it answers", said(Some(FILTER_FAILS.into()))),
            Role::Stage(_) => ("its score is left out", said(None)),
        }
    }

    /// Orders a short list for one request, within the time that the whole chain has. A stage that fails is
    /// noted in `troubles`; one that failed over and over is not asked for a while.
    pub(super) fn choose(
        &self,
        asker: Asker,
        request: &ChooseRequest,
        rows: &[Shortlisted],
        now: Timestamp,
        troubles: &mut Troubles,
    ) -> Choice {
        let begun = Instant::now();
        let mut so_far = Choice::keep(rows.len());
        for stage in self.at_the_door() {
            if so_far.order.is_empty() {
                break;
            }
            let shown: Vec<Shortlisted>;
            let list = match self.stages.as_slice() {
                [_] => rows,
                _ => {
                    shown = so_far.order.iter().map(|row| rows[*row].clone()).collect();
                    &shown
                }
            };
            let ask = || stage.ranker.choose_within(self.ms_left(begun), request, list, now);
            match stage.breakers.of(asker).choose.ask(now, ask) {
                Some(Ok(choice)) => self.take(stage, choice, &mut so_far),
                failed => {
                    let filters = stage.role.is_filter();
                    let instead = if filters { "nothing passes until it answers" } else { "the order so far stands" };
                    match failed {
                        Some(Err(error)) => troubles.faults.push(self.fault(stage, error, instead)),
                        _ => troubles.is_resting = true,
                    }
                    if filters {
                        let kept_back = std::mem::take(&mut so_far.order);
                        let why = kept_back_by(stage);
                        so_far.skipped.extend(kept_back.into_iter().map(|row| (row, why.clone())));
                    }
                }
            }
        }
        so_far
    }

    /// What is left of the time that the whole chain has to answer somebody who waits since `begun`.
    pub(super) fn ms_left(&self, begun: Instant) -> u64 {
        milliseconds(self.choose_time.saturating_sub(begun.elapsed())).max(1)
    }

    /// Who is asked at the door, in order. Filters come first: no slow stage may take their time from them.
    fn at_the_door(&self) -> impl Iterator<Item = &Stage> {
        let of = |role: Role| self.stages.iter().filter(move |stage| stage.role == role);
        of(Role::Stage(StageRole::Filter)).chain(of(Role::Base)).chain(of(Role::Stage(StageRole::Choose)))
    }

    /// Applies what a stage said of the rows that were left.
    fn take(&self, stage: &Stage, choice: Choice, so_far: &mut Choice) {
        let row = |shown: usize| so_far.order[shown];
        let named = |why: String| if self.stages.len() > 1 { format!("{}: {why}", stage.name) } else { why };
        let skipped: Vec<_> = choice.skipped.into_iter().map(|(shown, why)| (row(shown), named(why))).collect();
        if stage.role.is_filter() {
            so_far.order.retain(|row| skipped.iter().all(|(out, _)| out != row));
        } else {
            so_far.order = choice.order.into_iter().map(row).collect();
        }
        so_far.skipped.extend(skipped);
        let soonest = so_far.retry_after_ms.into_iter().chain(choice.retry_after_ms).min();
        so_far.retry_after_ms = soonest;
    }

    /// The terms of each row's score, in the order of stages; `None` while a stage is left alone that failed
    /// over and over. A stage that fails fails the whole: the terms of the others would not add up.
    pub(super) fn explain(
        &self,
        asker: Asker,
        rows: &[Shortlisted],
        now: Timestamp,
    ) -> Option<Result<Vec<Vec<Reason>>, PolicyError>> {
        let begun = Instant::now();
        let mut terms: Vec<Vec<Reason>> = rows.iter().map(|_| Vec::new()).collect();
        for stage in self.stages.iter().filter(|stage| stage.role.adds_terms()) {
            let ask = || stage.ranker.explain_within(self.ms_left(begun), rows, now);
            let own = match stage.breakers.of(asker).explain.ask(now, ask)? {
                Ok(own) if self.stages.len() == 1 => return Some(Ok(own)),
                Ok(own) => own,
                Err(error) => return Some(Err(self.in_stage(stage, error))),
            };
            for (terms, own) in terms.iter_mut().zip(own) {
                terms.extend(own.into_iter().map(|reason| Reason {
                    rule: format!("{}: {}", stage.name, reason.rule),
                    amount: finite(reason.amount * stage.weight),
                    text: reason.text,
                }));
            }
        }
        Some(Ok(terms))
    }

    /// Why nothing passes now, if so: as long as the filter that rests longest.
    pub(super) fn closed(&self, now: Timestamp) -> Option<Closed> {
        let filters = self.stages.iter().filter(|stage| stage.role.is_filter());
        let resting =
            filters.filter_map(|stage| Some((stage, stage.breakers.of(Asker::Agent).choose.rest_left_ms(now)?)));
        let (stage, left_ms) = resting.max_by_key(|(_, left_ms)| *left_ms)?;
        Some(Closed { why: kept_back_by(stage), left_ms })
    }

    /// Whether a stage failed when it was last asked at the door, be it needed now or not.
    pub(super) fn is_troubled(&self) -> bool {
        self.stages.iter().any(|stage| stage.breakers.of(Asker::Agent).choose.is_troubled())
    }

    /// Says which of several stages it was.
    fn in_stage(&self, stage: &Stage, error: PolicyError) -> PolicyError {
        match self.stages.len() {
            1 => error,
            _ => PolicyError::InStage { stage: Arc::clone(&stage.name), error: error.into() },
        }
    }

    fn fault(&self, stage: &Stage, error: PolicyError, instead: &'static str) -> StageFault {
        let name = (self.stages.len() > 1).then(|| Arc::clone(&stage.name));
        StageFault { stage: name, error, instead, is_base: stage.role == Role::Base }
    }
}

/// Why nothing passes.
pub(super) const FILTER_FAILS: &str = "this filter fails, so nothing passes until it answers";

fn kept_back_by(filter: &Stage) -> String {
    format!("{}: {FILTER_FAILS}", filter.name)
}

/// Adds what a stage says of each row to what was said before.
fn add(total: &mut [Scored], scores: Vec<Scored>, stage: &Stage) {
    let mut scores = scores;
    name_skips(&mut scores, &stage.name);
    for (total, own) in total.iter_mut().zip(scores) {
        if stage.role.adds_terms() {
            total.value = finite(total.value + finite(own.value * stage.weight));
        }
        total.valid_until_ms = total.valid_until_ms.min(own.valid_until_ms);
        total.scored_at = total.scored_at.and(own.scored_at);
        total.skip = total.skip.take().or(own.skip);
    }
}

/// Puts the stage's name before the reasons for skipping. Those are few, and shared by many rows.
fn name_skips(scores: &mut [Scored], name: &str) {
    let mut named: HashMap<Arc<str>, Arc<str>> = HashMap::new();
    for skip in scores.iter_mut().filter_map(|scored| scored.skip.as_mut()) {
        let text = named.entry(Arc::clone(skip)).or_insert_with_key(|why| format!("{name}: {why}").into());
        *skip = Arc::clone(text);
    }
}

/// The nearest number that can be compared: sums of scores and weights may be larger than any.
fn finite(value: f64) -> f64 {
    value.clamp(f64::MIN, f64::MAX)
}

/// Begun milliseconds count: what is left of the time when nobody was asked yet is all of it.
fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_micros().div_ceil(1_000)).unwrap_or(u64::MAX)
}

/// The stamp of a single component is its own; that of several is a digest over role, weight, name and
/// digest of each. Where a component came from does not count.
fn stamp_of(stages: &[Stage]) -> PolicyStamp {
    if let [only] = stages {
        return only.ranker.stamp().clone();
    }
    let digest = |of: fn(&PolicyStamp) -> &str| {
        let line = |stage: &Stage| {
            format!("{} {} {} {}\n", stage.role.as_str(), stage.weight, stage.name, of(stage.ranker.stamp()))
        };
        sha256_hex(stages.iter().map(line).collect::<String>().as_bytes())
    };
    let sources: Vec<&str> = stages.iter().map(|stage| stage.ranker.stamp().source.as_str()).collect();
    PolicyStamp {
        source: sources.join(" + "),
        digest: digest(|stamp| &stamp.digest),
        settings_digest: digest(|stamp| &stamp.settings_digest),
    }
}
