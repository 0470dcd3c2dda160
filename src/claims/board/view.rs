//! A view: one order of all work, by one ranking, for some agents. The board keeps each beside the others.

use std::collections::{BTreeSet, HashSet};

use super::super::order::{Order, OrderKey, Slot, Standing};
use crate::domain::{IssueFacts, Timestamp, unix_ms};
use crate::policy::{Scored, ViewName};

/// One order of all work.
#[derive(Debug)]
pub(in crate::claims) struct View {
    pub(in crate::claims) name: ViewName,
    pub(in crate::claims) order: Order,
    /// By slot: every issue's score and standing.
    pub(in crate::claims) places: Vec<Place>,
    /// When scores run out, in milliseconds since the Unix epoch.
    pub(in crate::claims) expiries: BTreeSet<(u64, Slot)>,
    /// Slots waiting for a score.
    pub(in crate::claims) unscored: HashSet<Slot>,
}

/// What a view holds of one issue.
#[derive(Debug, Clone, Default)]
pub(in crate::claims) struct Place {
    pub(in crate::claims) score: Option<Scored>,
    /// Where the order has it now.
    pub(in crate::claims) standing: Standing,
}

impl View {
    /// A view of nothing.
    pub(in crate::claims) fn new(name: ViewName) -> Self {
        let (order, places, expiries, unscored) = Default::default();
        Self { name, order, places, expiries, unscored }
    }

    /// What it holds of the issue in `slot`.
    pub(in crate::claims) fn at(&self, slot: Slot) -> Option<&Place> {
        self.places.get(slot as usize)
    }

    /// The score of the issue in `slot`; 0 without one.
    pub(in crate::claims) fn score_at(&self, slot: Slot) -> f64 {
        self.at(slot).and_then(|place| place.score.as_ref()).map_or(0.0, |scored| scored.value)
    }

    /// For which time the score of the issue in `slot` was given by its present facts, if it was.
    pub(in crate::claims) fn scored_at(&self, slot: Slot) -> Option<Timestamp> {
        self.at(slot).and_then(|place| place.score.as_ref()).and_then(|scored| scored.scored_at)
    }

    /// Takes in an issue that it does not know, or whose facts were others so far (`before`). A changed one
    /// keeps its old score, and so stays on offer, until it has its new one.
    pub(super) fn take_in(
        &mut self,
        slot: Slot,
        before: Option<&IssueFacts>,
        facts: &IssueFacts,
        fixed: Option<&Standing>,
    ) {
        if self.places.len() <= slot as usize {
            self.places.resize_with(slot as usize + 1, Place::default);
        }
        if let Some(before) = before {
            self.order.remove(before, &self.places[slot as usize].standing);
        }
        self.wants_score(slot);
        self.enter(slot, facts, fixed);
    }

    /// Notes that an issue's facts are others than those that its score, if any, was given to.
    pub(in crate::claims) fn wants_score(&mut self, slot: Slot) {
        self.unscored.insert(slot);
        if let Some(score) = &mut self.places[slot as usize].score {
            score.scored_at = None;
        }
    }

    /// Puts an issue, which the order does not have, where it stands; `fixed` where that is whatever its score.
    pub(in crate::claims) fn enter(&mut self, slot: Slot, facts: &IssueFacts, fixed: Option<&Standing>) {
        let standing = self.standing(slot, facts, fixed);
        self.order.insert(facts, &standing);
        self.places[slot as usize].standing = standing;
    }

    /// Moves an issue to where it stands now.
    pub(super) fn place(&mut self, slot: Slot, facts: &IssueFacts, fixed: Option<&Standing>) {
        let standing = self.standing(slot, facts, fixed);
        let place = &mut self.places[slot as usize];
        if place.standing != standing {
            self.order.remove(facts, &place.standing);
            self.order.insert(facts, &standing);
            place.standing = standing;
        }
    }

    pub(in crate::claims) fn set_score(&mut self, slot: Slot, score: Option<Scored>) {
        let place = &mut self.places[slot as usize];
        if let Some(at) = place.score.as_ref().and_then(Scored::runs_out_ms) {
            self.expiries.remove(&(at, slot));
        }
        if let Some(at) = score.as_ref().and_then(Scored::runs_out_ms) {
            self.expiries.insert((at, slot));
        }
        place.score = score;
    }

    /// Forgets an issue.
    pub(in crate::claims) fn forget(&mut self, slot: Slot, facts: &IssueFacts) {
        self.set_score(slot, None);
        self.unscored.remove(&slot);
        let place = std::mem::take(&mut self.places[slot as usize]);
        self.order.remove(facts, &place.standing);
    }

    /// Notes which scores have run out, and takes up to `limit` slots that need one.
    pub(super) fn take_unscored(&mut self, limit: usize, now: Timestamp) -> Vec<Slot> {
        while let Some(&(at, slot)) = self.expiries.first()
            && at <= unix_ms(now)
        {
            self.expiries.pop_first();
            self.unscored.insert(slot);
        }
        let slots: Vec<Slot> = self.unscored.iter().copied().take(limit).collect();
        slots.iter().for_each(|slot| _ = self.unscored.remove(slot));
        slots
    }

    fn standing(&self, slot: Slot, facts: &IssueFacts, fixed: Option<&Standing>) -> Standing {
        match (fixed, &self.places[slot as usize].score) {
            (Some(fixed), _) => fixed.clone(),
            (None, score) => Standing::by_score(score.as_ref(), facts, slot),
        }
    }
}

impl Standing {
    /// Where an issue stands of which only its score decides.
    pub(in crate::claims) fn by_score(score: Option<&Scored>, facts: &IssueFacts, slot: Slot) -> Self {
        match score {
            None => Self::Unscored,
            Some(Scored { skip: Some(reason), .. }) => Self::Skipped(reason.clone()),
            Some(scored) => Self::Ready(OrderKey::new(scored.value, facts, slot)),
        }
    }
}
