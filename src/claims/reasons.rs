//! Why there was nothing, and why this: what an agent is told of a pick.

use std::collections::HashMap;

use super::next::question;
use super::order::{Question, SKIP_REASON_COUNT_MAX};
use super::recording::EXPLAINED_COUNT;
use super::{ClaimManager, NextRequest};
use crate::domain::{Decision, DecisionRow, Empty};
use crate::policy::{Choice, Closed, ViewName};

/// Longest time to ask again that an agent is told, in seconds: a day. More than that nobody plans.
const RETRY_AFTER_SECONDS_MAX: u64 = 24 * 3600;
/// When asking again makes sense while the first sync is reading: it brings what it has repository by repository.
const READING_RETRY_SECONDS: u64 = 5;

/// What the ranker kept from an agent at the door.
#[derive(Debug, Default)]
pub(super) struct KeptBack {
    /// Why, for each issue that it passed over.
    reasons: Vec<String>,
    /// Why nothing else passes either; no other issue was looked at.
    all_others: Option<String>,
    /// When asking again makes sense, in milliseconds, if that is known; the soonest of all pages counts.
    retry_after_ms: Option<u64>,
}

impl KeptBack {
    /// There was no word of it; asking again makes sense after `retry_after_ms` milliseconds.
    pub(super) fn nothing(retry_after_ms: u64) -> Self {
        Self { retry_after_ms: Some(retry_after_ms), ..Self::default() }
    }

    /// Adds a page of which nothing was left.
    pub(super) fn add(&mut self, choice: Choice) {
        self.retry_after_ms = self.retry_after_ms.into_iter().chain(choice.retry_after_ms).min();
        self.reasons.extend(choice.skipped.into_iter().map(|(_, reason)| reason));
    }

    /// Nothing passes for a while.
    pub(super) fn close(&mut self, closed: Closed) {
        self.retry_after_ms = self.retry_after_ms.into_iter().chain([closed.left_ms]).min();
        self.all_others = Some(closed.why);
    }

    /// Each reason with how often it was given, the most frequent first; `on_offer`: how many issues there were to be had.
    fn counted(self, on_offer: usize) -> Vec<(String, usize)> {
        let mut counts: HashMap<String, usize> = HashMap::new();
        let unseen = on_offer.saturating_sub(self.reasons.len());
        for reason in self.reasons {
            *counts.entry(reason).or_default() += 1;
        }
        if let Some(why) = self.all_others.filter(|_| unseen > 0) {
            *counts.entry(why).or_default() += unseen;
        }
        let mut counts: Vec<_> = counts.into_iter().collect();
        counts.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        counts
    }
}

impl ClaimManager {
    /// Why there is nothing, with what the ranker kept back at the door, and when asking again makes sense.
    pub(super) fn why_nothing(&self, view: &ViewName, request: &NextRequest, kept_back: KeptBack) -> Empty {
        let question = question(request);
        let mut empty = {
            let board = self.index.board.read();
            let empty = board.tally(view, &question);
            let is_narrowed = question.repo.is_some() || question.label.is_some() || question.milestone.is_some();
            let in_all = match empty.open == 0 && is_narrowed {
                true => board.tally(view, &Question::default()).open,
                false => 0,
            };
            Empty { in_all, ..empty }
        };
        empty.is_reading = !self.status.has_come_round();
        let kept_back_seconds = kept_back.retry_after_ms.map(|ms| ms.div_ceil(1000).clamp(1, RETRY_AFTER_SECONDS_MAX));
        // Nothing is known yet: an agent that went home now would miss what the first sync finds.
        let reading_seconds = (self.status.is_reading() && empty.open == 0).then_some(READING_RETRY_SECONDS);
        empty.retry_after_seconds = kept_back_seconds.or(reading_seconds);
        let kept_back = kept_back.counted(empty.on_offer());
        empty.skipped += kept_back.iter().map(|(_, count)| count).sum::<usize>();
        // What the agent itself runs into comes before what holds for everybody, but only the first of it: a table of
        // `needs` has many, each for a few issues.
        let is_own = !kept_back.is_empty();
        empty.skip_reasons.splice(0..0, kept_back);
        empty.skip_reasons[usize::from(is_own)..].sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        empty.skip_reasons.truncate(SKIP_REASON_COUNT_MAX);
        empty
    }
}

/// The rows of a decision whose reasons were asked for.
pub(super) fn explained_rows(decision: Option<&Decision>) -> Vec<DecisionRow> {
    decision.map(|decision| decision.considered.iter().take(EXPLAINED_COUNT).cloned().collect()).unwrap_or_default()
}
