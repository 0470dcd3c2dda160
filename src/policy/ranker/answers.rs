//! What a ranker answered, checked and made ours.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::super::bindings::ranker::exports::issuecommand::policy::ranker as wit;
use super::super::output::{self, TEXT_BYTES_MAX, full_or_empty, line};
use super::{Choice, Scored};
use crate::domain::{Reason, Timestamp, unix_ms};

/// A score holds for this long at least, in milliseconds: one that has lapsed already would be asked for
/// again and again.
const SCORE_VALID_MS_MIN: u64 = 1000;
/// Reasons of one row that are passed on; the rest is left out.
const REASON_COUNT_MAX: usize = 64;

/// Adds the scores of `count` rows to `scored`.
pub(super) fn add_scores(
    scores: &wit::Scores,
    count: usize,
    now: Timestamp,
    scored: &mut Vec<Scored>,
) -> Result<(), String> {
    full_or_empty("values", &scores.values, count)?;
    full_or_empty("valid-until", &scores.valid_until, count)?;
    let (first, soonest) = (scored.len(), unix_ms(now) + SCORE_VALID_MS_MIN);
    let end_of_time = unix_ms(Timestamp::MAX_UTC);
    for row in 0..count {
        let value = scores.values.get(row).copied().unwrap_or(0.0);
        if !value.is_finite() {
            return Err(format!("the score of row {row} is {value}; scores must be finite numbers"));
        }
        let until = scores.valid_until.get(row).copied().unwrap_or(Scored::NEVER).max(soonest);
        // Later than time goes means for ever.
        let valid_until_ms = if until < end_of_time { until } else { Scored::NEVER };
        scored.push(Scored { value, valid_until_ms, skip: None, scored_at: Some(now) });
    }
    let mut rows = output::Rows::new("skipped", count);
    // A few reasons are given for many rows, and kept for as long as those are open.
    let mut shared: FxHashMap<&str, Arc<str>> = FxHashMap::default();
    for exclusion in &scores.skipped {
        let row = rows.take(exclusion.row)?;
        let text = shared.entry(&exclusion.reason).or_insert_with(|| output::reason_of(exclusion).into());
        scored[first + row].skip = Some(Arc::clone(text));
    }
    Ok(())
}

/// The order of `count` rows.
pub(super) fn choice(choice: &wit::Choice, retry_after_ms: Option<u64>, count: usize) -> Result<Choice, String> {
    let skipped = output::exclusions("skipped", &choice.skipped, count)?;
    let mut is_skipped = vec![false; count];
    for (row, _) in &skipped {
        is_skipped[*row] = true;
    }
    let mut order = output::order("order", &choice.order, count)?;
    // A policy may well sort everything and then skip some of it: skipping wins.
    order.retain(|row| !is_skipped[*row]);
    Ok(Choice { order, skipped, retry_after_ms })
}

/// The terms of each of `count` rows.
pub(super) fn reasons(reasons: Vec<Vec<wit::Reason>>, count: usize) -> Result<Vec<Vec<Reason>>, String> {
    if reasons.len() != count {
        return Err(format!("there are reasons for {} rows of {count}: give one list a row", reasons.len()));
    }
    let checked = |(row, terms): (usize, Vec<wit::Reason>)| {
        terms.into_iter().take(REASON_COUNT_MAX).map(|term| checked_reason(row, term)).collect()
    };
    reasons.into_iter().enumerate().map(checked).collect()
}

fn checked_reason(row: usize, term: wit::Reason) -> Result<Reason, String> {
    let rule = line(&term.rule, TEXT_BYTES_MAX);
    if !term.amount.is_finite() {
        return Err(format!("rule {rule:?} adds {} to row {row}; amounts must be finite numbers", term.amount));
    }
    Ok(Reason { rule, amount: term.amount, text: line(&term.text, TEXT_BYTES_MAX) })
}
