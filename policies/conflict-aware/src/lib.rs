//! A built-in stage that prefers work which does not overlap with what other agents work on: among a short
//! list, in the order in which others put it, issues that are likely to touch the places of live claims
//! come a little later, or not at all where that is asked for.
//!
//! It has no scores of its own, so it belongs behind a ranker that has. Nothing is measured here that is not
//! given: which places an issue touches is a guess that the server makes.

mod order;
mod overlap;

use issuecommand_policy::{Candidate, Candidates, Choice, Instant, LiveClaim, Ranker, Request, Score};
use serde::Deserialize;

use order::{Bounds, Place, reordered};
use overlap::Places;

/// Most places that an issue may move.
const WINDOW_MAX: usize = 1000;
/// Most days by which what passes an issue may be younger: a hundred years.
const OVERTAKE_DAYS_MAX: u64 = 36_500;

/// The stage that avoids overlaps.
#[derive(Debug)]
pub struct ConflictAware(Settings);

issuecommand_policy::export_ranker!(ConflictAware);

/// The stage's settings. `settings.schema.json` describes the same to people and editors.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// How many places an issue may move, either way.
    window: usize,
    /// An issue passes another only where their scores differ by this much or less.
    max_score_gap: f64,
    /// An issue passes another only where it was opened at most so many days later.
    max_overtake_days: u64,
    /// Whether issues that overlap enough are not given out.
    hard: bool,
    /// From which overlap on.
    hard_overlap: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self { window: 8, max_score_gap: 0.5, max_overtake_days: 14, hard: false, hard_overlap: 0.5 }
    }
}

impl Settings {
    fn bounds(&self) -> Bounds {
        Bounds { window: self.window, score_gap: self.max_score_gap, overtake_days: self.max_overtake_days }
    }
}

impl Ranker for ConflictAware {
    type Settings = Settings;

    fn new(settings: Settings) -> Result<Self, String> {
        if settings.window > WINDOW_MAX {
            return Err(format!("window: {} is more than {WINDOW_MAX} places", settings.window));
        }
        if settings.max_score_gap < 0.0 {
            return Err(format!("max_score_gap: {} is not 0 or more", settings.max_score_gap));
        }
        if settings.max_overtake_days > OVERTAKE_DAYS_MAX {
            let days = settings.max_overtake_days;
            return Err(format!("max_overtake_days: {days} is more than {OVERTAKE_DAYS_MAX} days"));
        }
        if !(settings.hard_overlap > 0.0 && settings.hard_overlap <= 1.0) {
            return Err(format!("hard_overlap: {} is not above 0 and up to 1", settings.hard_overlap));
        }
        Ok(Self(settings))
    }

    fn score(&self, _candidate: &Candidate<'_>, _now: Instant, _score: &mut Score<'_>) {}

    fn choose(&self, request: &Request, shortlist: &Candidates) -> Choice {
        let mut choice = Choice::keep();
        let others = others_work(request);
        if others.is_empty() {
            return choice;
        }
        let mut places = Vec::with_capacity(shortlist.len());
        for candidate in shortlist.iter() {
            let (against, worst) = overlap_with(&others, &candidate);
            if let Some(worst) = worst.filter(|worst| self.0.hard && worst.overlap >= self.0.hard_overlap) {
                choice.skip(&candidate, worst.reason());
            }
            places.push(Place { score: candidate.current_score(), opened_at: candidate.created_at(), against });
        }
        if places.iter().any(|place| place.against > 0.0) {
            let rows: Vec<_> = shortlist.iter().collect();
            for row in reordered(&places, self.0.bounds()) {
                choice.offer(&rows[row]);
            }
        }
        choice
    }

    fn settings_schema() -> String {
        include_str!("settings.schema.json").to_owned()
    }
}

/// Work of others that is not yet merged, and where it is likely to be.
fn others_work(request: &Request) -> Vec<(LiveClaim<'_>, Places<'_>)> {
    let is_others = |claim: &LiveClaim<'_>| claim.agent() != request.agent() && claim.status() != "pr_merged";
    let claims = request.live_claims().iter().filter(is_others);
    claims.map(|claim| (claim, Places::of(claim.areas()))).filter(|(_, places)| !places.is_empty()).collect()
}

/// The live claim with which an issue overlaps most, and where.
struct Worst<'a> {
    overlap: f64,
    claim: LiveClaim<'a>,
    path: &'a str,
}

impl Worst<'_> {
    fn reason(&self) -> String {
        let Self { claim, path, .. } = self;
        format!("may touch {path}, as does {}#{}, on which {} works", claim.repo(), claim.number(), claim.agent())
    }
}

/// How much `candidate` overlaps with all work of others in its repository, added up, and the worst of it.
fn overlap_with<'a>(others: &[(LiveClaim<'a>, Places<'a>)], candidate: &Candidate<'a>) -> (f64, Option<Worst<'a>>) {
    let places = Places::of(candidate.areas());
    let mut sum = 0.0;
    let mut worst: Option<Worst<'a>> = None;
    for (claim, claimed) in others.iter().filter(|(claim, _)| claim.repo() == candidate.repo()) {
        let Some((overlap, path)) = places.overlap(claimed) else { continue };
        sum += overlap;
        if worst.as_ref().is_none_or(|worst| overlap > worst.overlap) {
            worst = Some(Worst { overlap, claim: *claim, path });
        }
    }
    (sum, worst)
}

#[cfg(test)]
mod tests;
