//! Why an issue is kept from everybody: every reason of every stage, for people who ask. Scores tell one only.

use std::sync::Arc;

use super::chain::{FILTER_FAILS, Role, Stage};
use super::ranker::Shortlisted;
use super::ranking::Ranking;
use crate::config::StageRole;
use crate::domain::Timestamp;

/// The rule of those terms of an explanation that say why an issue is skipped, one reason each.
const SKIP_RULE: &str = "skip";

impl Ranking {
    /// Every reason for which an issue is skipped at `now`, in the order of stages, the one that its score tells
    /// first; none where it is not. Asks every stage that scores or filters.
    pub fn skips(&self, row: &Shortlisted, now: Timestamp) -> Vec<String> {
        let chain = self.chain_for(Some(&row.facts.issue.repo));
        let is_alone = chain.stages().len() == 1;
        let mut reasons: Vec<String> = Vec::new();
        for stage in chain.stages().iter().filter(|stage| stage.role != Role::Stage(StageRole::Choose)) {
            for why in stage.skips(row, now) {
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
    /// Its own reasons. One that fails gives none, unless it filters: then nothing passes.
    fn skips(&self, row: &Shortlisted, now: Timestamp) -> Vec<String> {
        let first = match self.ranker.score(&vec![Arc::clone(&row.facts)].into(), now) {
            Ok(scored) => scored.into_iter().find_map(|scored| scored.skip).map(|why| why.to_string()),
            Err(_) if self.role == Role::Stage(StageRole::Filter) => return vec![FILTER_FAILS.to_owned()],
            Err(_) => None,
        };
        let Some(first) = first else { return Vec::new() };
        let terms = self.ranker.explain(std::slice::from_ref(row), now).unwrap_or_default();
        let skips = terms.into_iter().flatten().filter(|term| term.rule == SKIP_RULE && term.amount == 0.0);
        [first].into_iter().chain(skips.map(|term| term.text)).collect()
    }
}
