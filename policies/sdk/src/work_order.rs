//! Work orders: whether and when review feedback comes.

use crate::wit::types::Exclusion;
use crate::wit::work_order_world::exports::issuecommand::policy::work_order as wit;
use crate::{FollowUp, FollowUps, Instant, Ranker, Request};

/// A ranker that also says when review feedback comes, for an agent that takes feedback or an issue
/// (`next_work`). Without it all feedback comes before new issues. Register both at once:
/// `export_ranker!(MyRanker, work_order)`.
///
/// ```
/// use issuecommand_policy::{Candidate, FollowUps, Instant, Ranker, Request, Score, WorkChoice, WorkOrder};
///
/// /// An agent answers on its own pull requests at once; what others left behind waits for the issues.
/// struct OwnFirst;
///
/// impl Ranker for OwnFirst {
///     type Settings = std::collections::BTreeMap<String, String>;
///
///     fn new(_: Self::Settings) -> Result<Self, String> {
///         Ok(Self)
///     }
///
///     fn score(&self, issue: &Candidate<'_>, _now: Instant, score: &mut Score<'_>) {
///         score.add("reactions", f64::from(issue.reaction_count()));
///     }
/// }
///
/// impl WorkOrder for OwnFirst {
///     fn choose_work(&self, _request: &Request, follow_ups: &FollowUps) -> WorkChoice {
///         let mut choice = WorkChoice::keep();
///         for follow_up in follow_ups.iter() {
///             if follow_up.is_pushed_to() {
///                 choice.skip(&follow_up, "commits came since: the reviewer looks first");
///             } else if !follow_up.is_own() {
///                 choice.after_issues(&follow_up);
///             }
///         }
///         choice
///     }
/// }
///
/// issuecommand_policy::export_ranker!(OwnFirst, work_order);
///
/// use issuecommand_policy::testing::{choose_work, follow_up, follow_ups, request};
/// let rows = follow_ups([follow_up(), follow_up().own(), follow_up().own().pushed()]);
/// let offered = choose_work(&OwnFirst, &request("a1", &[]), &rows);
/// assert_eq!((offered.before_issues, offered.after_issues), (vec![1], vec![0]));
/// assert_eq!(offered.skipped[0].0, 2);
/// ```
pub trait WorkOrder: Ranker {
    /// Orders the feedback on offer for one request. Runs while an agent waits; not asked where there is none.
    fn choose_work(&self, request: &Request, follow_ups: &FollowUps) -> WorkChoice;
}

/// An order of the feedback on offer, what of it waits for the issues, and what this agent must not get now.
#[derive(Debug, Default)]
pub struct WorkChoice {
    order: Vec<u32>,
    after_issues: Vec<u32>,
    skipped: Vec<Exclusion>,
}

impl WorkChoice {
    /// All before new issues, in the order in which it came.
    pub fn keep() -> Self {
        Self::default()
    }

    /// Puts `follow_up` next. Those never put anywhere follow in the order in which they came.
    pub fn offer(&mut self, follow_up: &FollowUp<'_>) {
        self.order.push(follow_up.row());
    }

    /// Has `follow_up` wait until there is no new issue for the agent. Its place in the order holds there.
    pub fn after_issues(&mut self, follow_up: &FollowUp<'_>) {
        self.after_issues.push(follow_up.row());
    }

    /// Leaves `follow_up` out for this request. The agent reads the reason when there is nothing else.
    pub fn skip(&mut self, follow_up: &FollowUp<'_>, reason: impl Into<String>) {
        self.skipped.push(Exclusion { row: follow_up.row(), reason: reason.into() });
    }

    pub(crate) fn into_wit(self) -> wit::WorkChoice {
        wit::WorkChoice { order: self.order, after_issues: self.after_issues, skipped: self.skipped }
    }
}

#[doc(hidden)]
pub fn choose_work_this_call<R: WorkOrder>(ranker: &R, now: u64) -> wit::WorkChoice {
    ranker.choose_work(&Request::of_this_call(Instant::from_ms(now)), &FollowUps::of_this_call()).into_wit()
}
