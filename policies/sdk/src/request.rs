//! The request that a choice answers: who asks, and what else is being worked on.

#[cfg(not(target_arch = "wasm32"))]
use std::cell::Cell;
use std::cell::OnceCell;

use crate::wit::request as facts;
use crate::{Instant, LiveClaims, name_key};

/// The request that [`Ranker::choose`](crate::Ranker::choose) and
/// [`WorkOrder::choose_work`](crate::WorkOrder::choose_work) answer. Reads from the host only what a policy
/// asks for.
#[derive(Debug)]
pub struct Request {
    pub(crate) now: Instant,
    pub(crate) agent: OnceCell<String>,
    pub(crate) claim_count: OnceCell<u32>,
    pub(crate) claim_repos: OnceCell<Vec<String>>,
    pub(crate) skills: OnceCell<Vec<String>>,
    pub(crate) groups: OnceCell<Vec<String>>,
    pub(crate) review_count: OnceCell<u32>,
    pub(crate) budget_spent: OnceCell<u32>,
    pub(crate) live_claims: OnceCell<LiveClaims>,
    /// The soonest that was said; a component tells the host instead.
    #[cfg(not(target_arch = "wasm32"))]
    pub(crate) retry_after_ms: Cell<Option<u64>>,
}

impl Request {
    pub(crate) fn of_this_call(now: Instant) -> Self {
        Self {
            now,
            agent: OnceCell::new(),
            claim_count: OnceCell::new(),
            claim_repos: OnceCell::new(),
            skills: OnceCell::new(),
            groups: OnceCell::new(),
            review_count: OnceCell::new(),
            budget_spent: OnceCell::new(),
            live_claims: OnceCell::new(),
            #[cfg(not(target_arch = "wasm32"))]
            retry_after_ms: Cell::new(None),
        }
    }

    /// When it was made.
    pub fn now(&self) -> Instant {
        self.now
    }

    /// The asking agent's name: its own word, unless its token names it.
    pub fn agent(&self) -> &str {
        self.agent.get_or_init(facts::agent)
    }

    /// How many active claims the agent holds, in whatever status, stale ones too.
    pub fn claim_count(&self) -> u32 {
        *self.claim_count.get_or_init(facts::agent_claim_count)
    }

    /// Repositories of the agent's active claims, one entry a claim.
    pub fn claim_repos(&self) -> &[String] {
        self.claim_repos.get_or_init(facts::agent_claim_repos)
    }

    /// What the agent says it can do, in lower case: `rust`, `frontend`, ...; at most 32. Empty where it says nothing.
    pub fn skills(&self) -> &[String] {
        self.skills.get_or_init(facts::skills)
    }

    /// Whether the agent says it can do this, whatever the case of `skill`.
    pub fn has_skill(&self, skill: &str) -> bool {
        let skill = name_key(skill);
        self.skills().iter().any(|known| name_key(known) == skill)
    }

    /// Whether the agent belongs to this group, whatever the case of `group`.
    pub fn is_in_group(&self, group: &str) -> bool {
        let group = name_key(group);
        self.groups().iter().any(|known| name_key(known) == group)
    }

    /// The groups of `[agent_groups]` in issuecommand.toml that the agent belongs to.
    pub fn groups(&self) -> &[String] {
        self.groups.get_or_init(facts::groups)
    }

    /// How many pull requests of the agent wait for a review.
    pub fn review_count(&self) -> u32 {
        *self.review_count.get_or_init(facts::agent_review_count)
    }

    /// How much of today's budget of dispatch is spent, in percent: 0 where there is none, 100 or more when all is.
    pub fn budget_spent(&self) -> u32 {
        *self.budget_spent.get_or_init(facts::budget_spent)
    }

    /// The live claims in the repositories of the short list, the agent's own too: in `choose`; none elsewhere.
    pub fn live_claims(&self) -> &LiveClaims {
        self.live_claims.get_or_init(LiveClaims::of_this_call)
    }

    /// Tells the agent, should it get nothing, that asking again makes sense in `minutes`, up to a day. The soonest
    /// counts; in `choose` only.
    pub fn retry_after_minutes(&self, minutes: u64) {
        let ms = Instant::from_ms(0).plus_minutes(minutes).ms();
        #[cfg(target_arch = "wasm32")]
        facts::retry_after(ms);
        #[cfg(not(target_arch = "wasm32"))]
        self.retry_after_ms.set(Some(self.retry_after_ms.get().map_or(ms, |known| known.min(ms))));
    }
}
