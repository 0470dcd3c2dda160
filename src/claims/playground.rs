//! The playground: how the live backlog would be ordered if the ranker were told something else. It is tried beside the
//! board; nothing of it is kept, and nobody is served by it.

use std::collections::HashMap;

use serde_json::{Map, Value};

use super::ClaimManager;
use super::desk::TriedOut;
use super::explanation::Rival;
use super::order::{Slot, Standing};
use super::plan::Plan;
use super::service::blocking;
use crate::policy::{PolicySet, Shortlisted};

/// Issues at the head of an order that are compared with the other: what a person takes in at a look.
const FIRST_COUNT: usize = 10;

/// What other settings would make of the backlog.
#[derive(Debug)]
pub struct Tried {
    /// The first issues on offer then, in their order.
    pub first: Vec<TriedIssue>,
    /// Those of the first ones now that would not be among them.
    pub behind: Vec<LeftBehind>,
    /// How many issues are on offer now.
    pub ready_before: usize,
    /// How many would be.
    pub ready_after: usize,
}

/// An issue at the head of the order that would be.
#[derive(Debug)]
pub struct TriedIssue {
    /// The issue, with its score then and the terms of it.
    pub issue: Rival,
    /// Its place now, from 1; `None` where it is not on offer now.
    pub place_before: Option<usize>,
}

/// An issue at the head of the order now that would stand elsewhere.
#[derive(Debug)]
pub struct LeftBehind {
    /// The issue, with its score then.
    pub issue: Rival,
    /// Its place now, from 1.
    pub place_before: usize,
    /// Its place then, or why it would not be on offer.
    pub then: Result<usize, String>,
}

impl ClaimManager {
    /// Where the ranker in force comes from and what it is told, for repositories and agents that have nothing of their
    /// own.
    pub fn ranker_settings(&self) -> (String, Map<String, Value>) {
        let ranker = self.desk.current().config.ranker.base.clone();
        (ranker.source, ranker.settings)
    }

    /// What that ranker can be told, as the JSON Schema that it gives of its settings; `None` where it gives none.
    pub fn ranker_schema(&self) -> Option<Value> {
        let text = blocking(|| self.desk.current().set.ranker.settings_schema()).ok()?;
        serde_json::from_str(&text).ok()
    }

    /// How the backlog would be ordered if the ranker were told `settings`; all else stays as it is. Takes as long as an
    /// edit of the file does until it is in force; one try at a time.
    ///
    /// # Errors
    /// Why the settings are refused, or what fails under them, in a sentence.
    pub fn try_settings(&self, settings: Map<String, Value>) -> Result<Tried, String> {
        blocking(|| {
            let TriedOut { set, plan, before } = self.desk.try_out(settings)?;
            self.compared(&set, &plan, &before)
        })
    }

    fn compared(&self, set: &PolicySet, plan: &Plan, before: &[Slot]) -> Result<Tried, String> {
        let after = plan.on_offer();
        let places = |slots: &[Slot]| -> HashMap<Slot, usize> { slots.iter().copied().zip(1..).collect() };
        let (places_before, places_after) = (places(before), places(&after));
        let first: Vec<(Slot, Shortlisted)> =
            after.iter().filter_map(|slot| Some((*slot, plan.row(*slot)?))).take(FIRST_COUNT).collect();
        let rows: Vec<Shortlisted> = first.iter().map(|(_, row)| row.clone()).collect();
        let mut reasons = set.ranker.explain(&rows, self.clock.now()).map_err(|fault| fault.to_string())?.into_iter();
        let head = first.len();
        let behind = before.iter().take(FIRST_COUNT).zip(1..).filter_map(|(slot, place_before)| {
            let then = match (places_after.get(slot), plan.standing(*slot)) {
                (Some(place), _) if *place <= head => return None,
                (Some(place), _) => Ok(*place),
                (None, Some(Standing::Skipped(reason))) => Err(format!("skipped: {reason}")),
                (None, _) => Err("not on offer".to_owned()),
            };
            Some(LeftBehind { issue: Rival::of(&plan.row(*slot)?, Vec::new()), place_before, then })
        });
        Ok(Tried {
            behind: behind.collect(),
            first: first
                .iter()
                .map(|(slot, row)| TriedIssue {
                    issue: Rival::of(row, reasons.next().unwrap_or_default()),
                    place_before: places_before.get(slot).copied(),
                })
                .collect(),
            ready_before: before.len(),
            ready_after: after.len(),
        })
    }
}
