//! The part of the table that is looked at while an agent waits: who asks, what it holds, and what else
//! is going on. Scores know nothing of it.

use std::cmp::Reverse;
use std::num::NonZeroU32;

use issuecommand_policy::{Candidate, Candidates, Choice, Request};

use crate::needs::{self, CompiledNeed};
use crate::settings::Settings;
use crate::table::Tiers;

/// The caps, needs and shares of a table.
#[derive(Debug)]
pub struct Door {
    needs: Vec<CompiledNeed>,
    fair_share: bool,
    max_claims_per_agent: Option<NonZeroU32>,
    max_claims_per_repo: Option<NonZeroU32>,
    reviews: ReviewCaps,
}

/// How many pull requests may wait for a review before an agent is sent to finish them.
#[derive(Debug)]
struct ReviewCaps {
    per_agent: Option<NonZeroU32>,
    per_repo: Option<NonZeroU32>,
    per_reviewer: Option<NonZeroU32>,
    retry_minutes: NonZeroU32,
}

impl Door {
    /// Compiles settings.
    ///
    /// # Errors
    /// Which key cannot work, and what would.
    pub fn compile(settings: &Settings) -> Result<Self, String> {
        Ok(Self {
            needs: needs::compile(&settings.needs)?,
            fair_share: settings.fair_share,
            max_claims_per_agent: settings.max_claims_per_agent,
            max_claims_per_repo: settings.max_claims_per_repo,
            reviews: ReviewCaps {
                per_agent: settings.max_reviews_per_agent,
                per_repo: settings.max_reviews_per_repo,
                per_reviewer: settings.max_reviews_per_reviewer,
                retry_minutes: settings.review_retry_minutes,
            },
        })
    }

    /// Orders a short list for one request: skips what this agent must not get, and puts repositories with
    /// more than their share of live claims behind the others of their tier.
    pub fn choose(&self, tiers: &Tiers, request: &Request, shortlist: &Candidates) -> Choice {
        let mut choice = Choice::keep();
        for candidate in shortlist.iter() {
            if let Some(reason) = self.refusal(request, &candidate) {
                choice.skip(&candidate, reason);
            }
        }
        if self.fair_share {
            for candidate in fairly(tiers, shortlist) {
                choice.offer(&candidate);
            }
        }
        choice
    }

    /// Why the asking agent does not get `candidate`.
    fn refusal(&self, request: &Request, candidate: &Candidate<'_>) -> Option<String> {
        if let Some(most) = self.max_claims_per_agent
            && request.claim_count() >= most.get()
        {
            return Some(format!("agent holds {} of at most {most} claims", request.claim_count()));
        }
        if let Some(most) = self.max_claims_per_repo
            && candidate.repo_claim_count() >= most.get()
        {
            let held = candidate.repo_claim_count();
            return Some(format!("{} has {held} of at most {most} claims", candidate.repo()));
        }
        let lacking = || self.needs.iter().find_map(|need| need.lacking(request, candidate));
        self.reviews.refusal(request, candidate).or_else(lacking)
    }
}

impl ReviewCaps {
    /// Which review is to be finished first, in a sentence. Tells the agent when to ask again.
    fn refusal(&self, request: &Request, candidate: &Candidate<'_>) -> Option<String> {
        let (waiting, most, place) = self.exceeded(request, candidate)?;
        let minutes = self.retry_minutes.get();
        request.retry_after_minutes(minutes.into());
        let unit = if minutes == 1 { "minute" } else { "minutes" };
        Some(format!(
            "finish review first: {waiting} of at most {most} pull requests wait{place}; try again in {minutes} {unit}"
        ))
    }

    /// The first cap that is reached: how many wait, how many may, and where.
    fn exceeded(&self, request: &Request, candidate: &Candidate<'_>) -> Option<(u32, NonZeroU32, String)> {
        let reached = |most: Option<NonZeroU32>, waiting: &dyn Fn() -> u32| {
            most.and_then(|most| {
                Some(waiting()).filter(|waiting| *waiting >= most.get()).map(|waiting| (waiting, most))
            })
        };
        if let Some((waiting, most)) = reached(self.per_agent, &|| request.review_count()) {
            return Some((waiting, most, String::new()));
        }
        if let Some((waiting, most)) = reached(self.per_repo, &|| candidate.repo_review_count()) {
            return Some((waiting, most, format!(" in {}", candidate.repo())));
        }
        let (waiting, most) = reached(self.per_reviewer, &|| candidate.reviewer_load())?;
        let logins: Vec<_> = candidate.reviewers().collect();
        Some((waiting, most, format!(" for {}", logins.join(" or "))))
    }
}

/// The short list with the repositories that hold more than their share of its live claims behind the
/// others, within each tier; otherwise as it was.
fn fairly<'a>(tiers: &Tiers, shortlist: &'a Candidates) -> Vec<Candidate<'a>> {
    let mut repos: Vec<_> = shortlist.iter().map(|it| (it.repo(), it.repo_claim_count())).collect();
    repos.sort_unstable();
    repos.dedup();
    let claims: u64 = repos.iter().map(|(_, count)| u64::from(*count)).sum();
    let over_share = |it: &Candidate<'_>| u64::from(it.repo_claim_count()) * repos.len() as u64 > claims;
    let mut rows: Vec<_> = shortlist.iter().collect();
    rows.sort_by_key(|it| (Reverse(tiers.of_score(it.current_score())), over_share(it)));
    rows
}
