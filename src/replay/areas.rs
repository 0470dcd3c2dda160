//! Where work was likely to go, as it could have been known at the time.

use std::sync::Arc;

use super::history::{History, Record};
use crate::domain::{Issue, Timestamp};

/// The areas of issues, by what was merged before.
#[derive(Debug)]
pub(super) struct Areas<'a> {
    _merged: Vec<(Timestamp, &'a Record)>,
}

impl<'a> Areas<'a> {
    pub(super) fn of(history: &'a History) -> Self {
        let mut merged: Vec<_> = history.pulls.iter().filter_map(|pull| pull.merged_at.map(|at| (at, pull))).collect();
        merged.sort_by_key(|(at, pull)| (*at, pull.number));
        Self { _merged: merged }
    }

    /// Where `issue` was likely to go at `now`.
    pub(super) fn of_issue(&mut self, _issue: &Issue, _now: Timestamp) -> Box<[Arc<str>]> {
        Box::default()
    }
}
