//! Why an issue is kept from everybody: every reason of every stage, for people who ask. Scores tell one only.

use std::time::Instant;

use super::breaker::Asker;
use super::chain::{FILTER_FAILS, Role, Stage};
use super::ranker::Shortlisted;
use super::ranking::{RESTS, Ranking};
use crate::config::StageRole;
use crate::domain::Timestamp;

/// The rule of those terms of an explanation that say why an issue is skipped, one reason each.
const SKIP_RULE: &str = "skip";

impl Ranking {
    /// Every reason for which an issue is skipped at `now`, in the order of stages, the one that its score tells
    /// first; none where it is not. Asks every stage that scores or filters, all of them within `choose_ms_max`; one
    /// that fails is told among the reasons.
    pub fn skips(&self, row: &Shortlisted, now: Timestamp) -> Vec<String> {
        let chain = self.chain_for(Some(&row.facts.issue.repo));
        let is_alone = chain.stages().len() == 1;
        let begun = Instant::now();
        let mut reasons: Vec<String> = Vec::new();
        for stage in chain.stages().iter().filter(|stage| stage.role != Role::Stage(StageRole::Choose)) {
            for why in stage.skips(row, now, || chain.ms_left(begun)) {
                let why = if is_alone { why } else { format!("{}: {why}", stage.name) };
                if !reasons.contains(&why) {
                    reasons.push(why);
                }
            }
        }
        reasons
    }
}

impl Stage {
    /// Its own reasons, and that there may be more where it fails. While a filter fails to score nothing passes.
    fn skips(&self, row: &Shortlisted, now: Timestamp, ms_left: impl Fn() -> u64) -> Vec<String> {
        let mut reasons = Vec::new();
        let ask = || {
            let Some(first) = self.ranker.score_within(ms_left(), &row.facts, now)?.skip else { return Ok(()) };
            reasons.push(first.to_string());
            let terms = self.ranker.explain_within(ms_left(), std::slice::from_ref(row), now)?;
            let skips = terms.into_iter().flatten().filter(|term| term.rule == SKIP_RULE && term.amount == 0.0);
            reasons.extend(skips.map(|term| term.text).filter(|text| !text.is_empty()));
            Ok(())
        };
        let fault = match self.breakers.of(Asker::Agent).explain.ask(now, ask) {
            Some(Ok(())) => return reasons,
            Some(Err(_)) if reasons.is_empty() && self.role == Role::Stage(StageRole::Filter) => {
                FILTER_FAILS.to_owned()
            }
            Some(Err(error)) => format!("not every reason is known: {error}"),
            None => format!("not every reason is known: {RESTS}"),
        };
        reasons.push(fault);
        reasons
    }
}
