//! What a ranker may say besides: when review feedback comes, for an agent that takes feedback or an issue.

use std::sync::Arc;

use wasmtime::component::InstancePre;

use super::bindings::work_order::exports::issuecommand::policy::work_order as wit;
use super::error::PolicyError;
use super::facts::{Facts, FollowUpView};
use super::instance::Function;
use super::output;
use super::ranker::{ChooseRequest, Ranker};
use super::state::CallState;
use crate::domain::{FollowUp, Timestamp, unix_ms};

/// The interface that a ranker may export; a later 0.1.x of it is found by this name too.
const INTERFACE: &str = "issuecommand:policy/work-order@0.1.0";
/// A reason is a sentence, and a row is named twice at most.
const CHOOSE_WORK: Function = Function { name: "choose-work", output_bytes_per_row: 512, waited_for: true };

/// When review feedback comes. Rows are indices into what was on offer; each is named once.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WorkChoice {
    /// The rows that come before new issues, in order.
    pub before_issues: Vec<usize>,
    /// The rows that wait until there is no new issue, in order.
    pub after_issues: Vec<usize>,
    /// The rows that this agent must not get now, and why.
    pub skipped: Vec<(usize, String)>,
}

impl WorkChoice {
    /// All of `count` rows before issues, in their order: how it is when no ranker has a say.
    pub fn feedback_first(count: usize) -> Self {
        Self { before_issues: (0..count).collect(), ..Self::default() }
    }
}

impl Ranker {
    /// Says when review feedback on offer comes. A ranker that has no say in it leaves it first.
    ///
    /// # Errors
    /// [`PolicyError`] when the policy fails, or names rows that are not there.
    pub fn choose_work(
        &self,
        request: &ChooseRequest,
        rows: &[Arc<FollowUp>],
        now: Timestamp,
    ) -> Result<WorkChoice, PolicyError> {
        if !self.orders_work() {
            return Ok(WorkChoice::feedback_first(rows.len()));
        }
        let view = FollowUpView { rows: rows.to_vec(), request: request.clone() };
        let choice = self.policy().call(CHOOSE_WORK, Facts::FollowUps(view), |guest, store| {
            let guest = guest.work_order.as_ref().expect("instances have the exports of their component");
            guest.call_choose_work(store, unix_ms(now))
        })?;
        checked(&choice, rows.len()).map_err(|why| PolicyError::BadOutput { call: CHOOSE_WORK.name, why })
    }
}

/// Finds the export, if the component has it.
///
/// # Errors
/// When it has not the shape that it has in our WIT package.
pub(super) fn find(pre: &InstancePre<CallState>) -> wasmtime::Result<Option<wit::GuestIndices>> {
    let is_there = pre.component().get_export_index(None, INTERFACE).is_some();
    is_there.then(|| wit::GuestIndices::new(pre)).transpose()
}

fn checked(choice: &wit::WorkChoice, count: usize) -> Result<WorkChoice, String> {
    let skipped = output::exclusions("skipped", &choice.skipped, count)?;
    let mut is_skipped = vec![false; count];
    skipped.iter().for_each(|(row, _)| is_skipped[*row] = true);
    let mut waits = output::Rows::new("after-issues", count);
    for row in &choice.after_issues {
        waits.take(*row)?;
    }
    let mut order = output::order("order", &choice.order, count)?;
    // A policy may well order everything and then skip some of it: skipping wins.
    order.retain(|row| !is_skipped[*row]);
    let (after_issues, before_issues) = order.into_iter().partition(|row| waits.has(*row));
    Ok(WorkChoice { before_issues, after_issues, skipped })
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::policy::bindings::ranker::issuecommand::policy::types::Exclusion;

    fn answer(order: &[u32], after_issues: &[u32], skipped: &[u32]) -> wit::WorkChoice {
        let skipped = skipped.iter().map(|row| Exclusion { row: *row, reason: "why".into() }).collect();
        wit::WorkChoice { order: order.to_vec(), after_issues: after_issues.to_vec(), skipped }
    }

    #[test]
    fn an_empty_answer_leaves_feedback_first_in_its_order() {
        assert_eq!(checked(&answer(&[], &[], &[]), 3).unwrap(), WorkChoice::feedback_first(3));
    }

    #[test]
    fn each_row_is_in_one_place_and_the_order_holds_on_both_sides_of_the_issues() {
        let choice = checked(&answer(&[4, 2], &[0, 4, 3], &[1, 3]), 5).unwrap();
        assert_eq!(choice.before_issues, [2]);
        assert_eq!(choice.after_issues, [4, 0]);
        assert_eq!(choice.skipped, [(1, "why".to_owned()), (3, "why".to_owned())]);
    }

    #[test]
    fn rows_that_are_not_there_or_named_twice_are_refused_by_their_list() {
        let refusal = |choice| checked(&choice, 2).unwrap_err();
        assert_eq!(refusal(answer(&[2], &[], &[])), "order names row 2, but there are 2 rows, from 0");
        assert_eq!(refusal(answer(&[], &[1, 1], &[])), "after-issues names row 1 twice");
        assert_eq!(refusal(answer(&[], &[], &[5])), "skipped names row 5, but there are 2 rows, from 0");
    }
}
