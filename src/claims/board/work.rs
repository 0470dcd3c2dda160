//! What is under way, by repository and by agent: kept with every change of a claim, so that nobody counts
//! while an agent waits.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use super::Board;
use crate::domain::{AgentId, Claim, ClaimId, ClaimStatus, RepoName, Timestamp};
use crate::policy::{LiveWork, Shortlisted};

/// Live claims that a ranker is told of at most; the newest are. Ours: more than that many agents in the
/// repositories of one short list are not compared one by one.
const LIVE_CLAIM_COUNT_MAX: usize = 256;

/// Every live claim, in the order of its repository, and how much waits for a review.
#[derive(Debug, Default)]
pub(in crate::claims) struct Workload {
    by_repo: HashMap<RepoName, RepoWork>,
    review_counts: HashMap<AgentId, u32>,
}

#[derive(Debug, Default)]
struct RepoWork {
    /// Oldest first.
    claims: BTreeMap<(Timestamp, ClaimId), Arc<Claim>>,
    review_count: u32,
}

/// How much is under way in one repository.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::claims) struct RepoCounts {
    /// Live claims.
    pub(in crate::claims) claims: u32,
    /// Of these, with a pull request that waits for a review.
    pub(in crate::claims) reviews: u32,
}

impl Workload {
    /// How many pull requests of `agent` wait for a review.
    pub(in crate::claims) fn review_count_of(&self, agent: &AgentId) -> u32 {
        self.review_counts.get(agent).copied().unwrap_or(0)
    }

    /// How much is under way in `repo`.
    pub(in crate::claims) fn counts_in(&self, repo: &RepoName) -> RepoCounts {
        self.by_repo.get(repo).map_or_else(RepoCounts::default, |work| RepoCounts {
            claims: u32::try_from(work.claims.len()).unwrap_or(u32::MAX),
            reviews: work.review_count,
        })
    }

    pub(super) fn add(&mut self, claim: &Arc<Claim>) {
        let work = self.by_repo.entry(claim.repo.clone()).or_default();
        work.claims.insert((claim.claimed_at, claim.claim_id), Arc::clone(claim));
        if waits_for_review(claim) {
            work.review_count += 1;
            *self.review_counts.entry(claim.agent_id.clone()).or_default() += 1;
        }
    }

    /// Takes away what [`Workload::add`] put with the same claim.
    pub(super) fn remove(&mut self, claim: &Claim) {
        let Some(work) = self.by_repo.get_mut(&claim.repo) else { return };
        work.claims.remove(&(claim.claimed_at, claim.claim_id));
        if waits_for_review(claim) {
            work.review_count = work.review_count.saturating_sub(1);
            if let Some(count) = self.review_counts.get_mut(&claim.agent_id) {
                *count = count.saturating_sub(1);
                if *count == 0 {
                    self.review_counts.remove(&claim.agent_id);
                }
            }
        }
        if work.claims.is_empty() {
            self.by_repo.remove(&claim.repo);
        }
    }

    /// The newest live claims in some repositories, newest first.
    fn newest_in(&self, repos: &HashSet<&RepoName>) -> Vec<&Arc<Claim>> {
        let works = repos.iter().filter_map(|repo| self.by_repo.get(repo));
        let mut newest: Vec<_> = works.flat_map(|work| work.claims.values().rev().take(LIVE_CLAIM_COUNT_MAX)).collect();
        newest.sort_unstable_by_key(|claim| std::cmp::Reverse((claim.claimed_at, claim.claim_id)));
        newest.truncate(LIVE_CLAIM_COUNT_MAX);
        newest
    }
}

/// Whether a claim's pull request is there for somebody to look at.
fn waits_for_review(claim: &Claim) -> bool {
    claim.status() == ClaimStatus::PrSubmitted
}

impl Board {
    /// What is being worked on in the repositories of `rows`, newest first; the newest, where there is much.
    pub(in crate::claims) fn live_work_beside(&self, rows: &[Shortlisted]) -> Vec<LiveWork> {
        let repos: HashSet<&RepoName> = rows.iter().map(|row| &row.facts.issue.repo).collect();
        let live = |claim: &Arc<Claim>| {
            let issue = claim.issue_ref();
            let slot = self.by_issue.get(&issue);
            let areas = slot.and_then(|slot| self.row(*slot)).map(|row| row.facts.areas.clone()).unwrap_or_default();
            LiveWork {
                agent: claim.agent_id.clone(),
                issue,
                status: claim.status(),
                areas,
                claimed_at: claim.claimed_at,
            }
        };
        self.work.newest_in(&repos).into_iter().map(live).collect()
    }
}
