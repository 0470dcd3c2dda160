//! Write an IssueCommand policy in Rust: a [`Ranker`] (which issue comes first), a [`StaleRule`]
//! (when a claim has lapsed) or a [`RepoFilter`] (which repositories take part). A ranker may be a
//! [`WorkOrder`] too (whether and when review feedback comes).
//!
//! A policy is a crate of type `["cdylib", "rlib"]` with one such type, registered by one macro:
//! `issuecommand policy new NAME` (with `--kind stale-rule` or `--kind repo-filter` for those) makes one that builds,
//! with cases and unit tests, and `issuecommand policy build` makes a component of it. It has no clock, files, network
//! or randomness: time, settings and facts are given, so the same input gives the same answer.
//!
//! ```
//! use issuecommand_policy::{Candidate, Instant, NameWeights, Ranker, Score};
//!
//! /// Weighs labels, and prefers what many people wait for.
//! struct Impact {
//!     labels: NameWeights,
//! }
//!
//! impl Ranker for Impact {
//!     type Settings = std::collections::BTreeMap<String, f64>;
//!
//!     fn new(weights: Self::Settings) -> Result<Self, String> {
//!         Ok(Self { labels: NameWeights::of(weights) })
//!     }
//!
//!     fn score(&self, issue: &Candidate<'_>, _now: Instant, score: &mut Score<'_>) {
//!         if issue.labels().any(|label| label == "wontfix") {
//!             return score.skip("labelled wontfix");
//!         }
//!         score.add("label", issue.label_sum(&self.labels));
//!         score.add("reactions", f64::from(issue.reaction_count()));
//!         score.note(|| format!("{} reactions", issue.reaction_count()));
//!     }
//! }
//!
//! issuecommand_policy::export_ranker!(Impact);
//!
//! // Its tests run natively, over facts made by hand:
//! use issuecommand_policy::testing::{candidate, candidates, score, NOW};
//! let impact = Impact::new([("bug".to_owned(), 10.0)].into()).unwrap();
//! let scored = score(&impact, &candidates([candidate().label("Bug").reactions(2), candidate()]), NOW);
//! assert_eq!(scored[0].value, 12.0);
//! assert_eq!(scored[1].value, 0.0);
//! ```
//!
//! # What a policy sees
//!
//! | in | are | read from |
//! |---|---|---|
//! | [`Ranker::score`] | the facts of one issue: title, [text](Candidate::body), labels, author, assignees, milestone, times, counts, [topics](Candidate::topics), [open blockers](Candidate::open_blockers), [approval](Candidate::approval), likely [areas](Candidate::areas) and [reviewers](Candidate::reviewers) | [`Candidate`] |
//! | [`Ranker::choose`] | the same of a short list (texts apart), its scores, live claims and waiting reviews in their repositories | [`Candidates`] |
//! | | the agent: name, claims, [skills](Request::skills), [groups](Request::groups), waiting reviews; and [what others work on](Request::live_claims) | [`Request`] |
//! | [`WorkOrder::choose_work`] | the review feedback on offer, and the agent | [`FollowUps`], [`Request`] |
//! | [`StaleRule::assess`] | one live claim: status, times, and the signs of life on its branch, pull request, checks and container | [`Claim`] |
//! | [`RepoFilter`] | one repository | [`Repository`] |
//!
//! Each fact is pulled from the server when it is first read, once a call: what a policy does not read costs
//! nothing, and is not imported, so an older server that does not know it still loads the policy. Texts are spelled
//! as on GitHub unless it is said otherwise, and come from strangers.
//!
//! # When it is asked, and what it may take
//!
//! | function | when | time, in milliseconds | where it fails |
//! |---|---|---|---|
//! | `new` | once in each instance, of which there are several at once; on trial before a policy comes in force | 250 | the server keeps the policy it has, and says why |
//! | [`Ranker::score`] | for every issue when the policy comes in force, then where a fact changed or a score ran out | 250 for up to 2,048 issues; longer calls are made again in halves | the built-in order stands in for a minute; after three failures in a row the policies before are back |
//! | the same, for reasons | when an issue is given out, or somebody asks why | 20, with `choose` | there are no reasons |
//! | [`Ranker::choose`] | while an agent waits: a short list, usually of 32; a further one where it skips all of that | 20 | the order of the scores stands |
//! | [`WorkOrder::choose_work`] | while an agent waits, where there is feedback on offer: at most 64 pieces | 20 | feedback comes before issues |
//! | [`StaleRule::assess`] | for every live claim, every 30 seconds | 250 for all of them | no claim is touched |
//! | [`RepoFilter::exclude`] | for every repository when the policy comes in force, then where one is new or changed | 250 for all of them | nothing new is admitted |
//!
//! An instance may hold 256 MiB, and 512 KiB of stack. Times and memory are those of a server that does not say
//! otherwise (`choose_ms_max`, `call_ms_max` and `memory_bytes_max` of `[policies]`). A panic fails the call, and its
//! message is what people read in the log and in `/api/health`; so does a score, or a term of one, that is not a finite
//! number. After three failures in a row the functions that agents wait for are left alone for a minute.
//! Reasons are cut after 300 bytes. Nothing may depend on earlier calls: instances come and go.

mod candidate;
mod column;
mod follow_up;
mod guest;
mod instant;
mod live_claim;
pub mod log;
mod per_name;
mod ranker;
mod repo_filter;
mod request;
mod rows;
mod score;
pub mod settings;
mod stale_rule;
#[cfg(not(target_arch = "wasm32"))]
pub mod testing;
mod wit;
mod work_order;

pub use candidate::{Candidate, Candidates};
pub use follow_up::{FollowUp, FollowUps};
pub use instant::Instant;
pub use live_claim::{LiveClaim, LiveClaims};
pub use per_name::{NameSet, NameWeights, PerName, glob_matches, name_key};
pub use ranker::{Choice, Ranker};
pub use repo_filter::{RepoFilter, Repositories, Repository};
pub use request::Request;
pub use score::Score;
pub use stale_rule::{Claim, Claims, StaleRule, Verdict};
pub use work_order::{WorkChoice, WorkOrder};

/// What the registration macros expand to; not for authors.
#[doc(hidden)]
pub mod __private {
    pub use crate::guest::Slot;
    pub use crate::ranker::{choose_this_call, explain_this_call, score_this_call};
    pub use crate::repo_filter::exclude_this_call;
    pub use crate::stale_rule::assess_this_call;
    pub use crate::wit::ranker_world::export_ranker_world;
    pub use crate::wit::repo_filter_world::export_repo_filter_world;
    pub use crate::wit::stale_rule_world::export_stale_rule_world;
    pub use crate::wit::work_order_world::export_work_order_world;
    pub use crate::wit::{ranker_world, repo_filter_world, stale_rule_world, work_order_world};
    pub use crate::work_order::choose_work_this_call;
}
