//! How many pull requests of claims wait for each reviewer: kept with every change, so that nobody counts while
//! an agent waits.

use std::collections::HashMap;
use std::sync::Arc;

use super::Board;
use crate::domain::{Claim, ClaimId, ClaimStatus};

/// The loads. A claim counts for the reviewers that were known when it was counted, and is taken out for the same.
#[derive(Debug, Default)]
pub(super) struct ReviewLoads {
    counted: HashMap<ClaimId, Box<[Arc<str>]>>,
    loads: HashMap<Arc<str>, u32>,
}

impl ReviewLoads {
    /// How much waits for the least busy of some reviewers; 0 where there is none.
    pub(super) fn least(&self, reviewers: &[Arc<str>]) -> u32 {
        let load = |login: &Arc<str>| self.loads.get(login).copied().unwrap_or(0);
        reviewers.iter().map(load).min().unwrap_or(0)
    }

    /// A claim waits for one of these; for nobody, where it waits no more.
    fn set(&mut self, claim: ClaimId, reviewers: &[Arc<str>]) {
        for login in self.counted.remove(&claim).unwrap_or_default() {
            if let Some(load) = self.loads.get_mut(&login) {
                *load = load.saturating_sub(1);
                if *load == 0 {
                    self.loads.remove(&login);
                }
            }
        }
        if reviewers.is_empty() {
            return;
        }
        reviewers.iter().for_each(|login| *self.loads.entry(Arc::clone(login)).or_default() += 1);
        self.counted.insert(claim, reviewers.into());
    }
}

impl Board {
    /// Counts a claim for the reviewers of its issue if its pull request waits for one, and not otherwise.
    pub(super) fn note_review(&mut self, claim: &Claim) {
        let waits = claim.status() == ClaimStatus::PrSubmitted;
        let row = self.by_issue.get(&claim.issue_ref()).and_then(|slot| self.row(*slot));
        let reviewers = row.filter(|_| waits).map(|row| row.facts.reviewers.clone());
        match reviewers {
            Some(reviewers) => self.review_loads.set(claim.claim_id, &reviewers),
            // The issue was closed while the pull request waits: who was asked is still asked.
            None if waits => {}
            None => self.review_loads.set(claim.claim_id, &[]),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn logins(names: &[u8]) -> Vec<Arc<str>> {
        let mut names: Vec<u8> = names.to_vec();
        names.sort_unstable();
        names.dedup();
        names.iter().map(|name| Arc::from(format!("r{name}"))).collect()
    }

    proptest! {
        #[test]
        fn loads_are_what_counting_afresh_gives(
            steps in prop::collection::vec((0usize..4, prop::collection::vec(0u8..4, 0..4)), 0..30),
            asked in prop::collection::vec(0u8..5, 0..3),
        ) {
            let claims: Vec<ClaimId> = (0..4).map(|_| ClaimId::fresh()).collect();
            let (mut kept, mut last) = (ReviewLoads::default(), HashMap::new());
            for (claim, reviewers) in steps {
                kept.set(claims[claim], &logins(&reviewers));
                last.insert(claim, logins(&reviewers));
            }
            let load = |login: &Arc<str>| last.values().filter(|reviewers| reviewers.contains(login)).count();
            let expected = logins(&asked).iter().map(load).min().unwrap_or(0);
            prop_assert_eq!(kept.least(&logins(&asked)) as usize, expected);
            prop_assert_eq!(kept.counted.len(), last.values().filter(|reviewers| !reviewers.is_empty()).count());
        }
    }
}
