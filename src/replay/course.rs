//! The course of a simulation: what was picked, and what became of every issue.

use std::collections::{BTreeMap, BTreeSet};

use crate::domain::{Issue, Timestamp};

/// One pick.
#[derive(Debug, Clone)]
pub(super) struct Pick {
    pub(super) at: Timestamp,
    /// Since when it was on offer.
    pub(super) since: Timestamp,
    pub(super) agent: usize,
    /// Which issue of the timeline.
    pub(super) row: usize,
    pub(super) score: f64,
    /// Live claims of other agents at the time, and which of them touch the same area, by prediction and in truth.
    pub(super) beside: usize,
    pub(super) overlaps: bool,
    pub(super) truly_overlaps: Option<bool>,
    /// The oldest issue that was on offer and had to wait, if it is older.
    pub(super) overtook: Option<Overtook>,
    /// What the other policy would have picked from the same state, where it differs; `None` within: nothing.
    pub(super) otherwise: Option<Otherwise>,
}

/// An issue that stays behind while a younger one is picked.
#[derive(Debug, Clone, Copy)]
pub(super) struct Overtook {
    /// Which issue of the timeline.
    pub(super) row: usize,
    /// How much younger the picked one is, in milliseconds.
    pub(super) younger_ms: i64,
}

/// Another policy's pick from the same state.
#[derive(Debug, Clone)]
pub(super) struct Otherwise {
    pub(super) row: Option<usize>,
    /// In one line each: why this policy picked what it picked, and the other what it would have.
    pub(super) why: String,
    pub(super) why_other: String,
}

/// What became of an issue.
#[derive(Debug, Clone, Default)]
pub(super) struct Fate {
    pub(super) opened_at: Option<Timestamp>,
    /// The issue as it was last told of.
    pub(super) issue: Option<Box<Issue>>,
    pub(super) picked_at: Option<Timestamp>,
    /// When agents had merged it.
    pub(super) merged_at: Option<Timestamp>,
    /// When people closed it, if that was before agents had merged it.
    pub(super) closed_at: Option<Timestamp>,
}

/// The course of a simulation.
#[derive(Debug, Default)]
pub(super) struct Course {
    pub(super) picks: Vec<Pick>,
    pub(super) fates: Vec<Fate>,
    /// Work that was under way when people closed the issue.
    pub(super) lost: usize,
    /// When agents asked and got nothing, in order; several at once count each.
    pub(super) empty_asks: Vec<Timestamp>,
    /// By reason: the issues that the policy did not give out, as rows of the timeline, each once.
    pub(super) skipped: BTreeMap<String, BTreeSet<usize>>,
    /// Issues for which an area was predicted when they were opened.
    pub(super) with_areas: usize,
    /// For each agent: how long it was at work, in milliseconds.
    pub(super) busy_ms: Vec<u64>,
    /// How long agents had nothing to do while unclaimed issues were open, in milliseconds of an agent's time.
    pub(super) held_back_ms: u64,
}
