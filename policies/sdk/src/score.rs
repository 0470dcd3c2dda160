//! The score of one candidate, added up term by term.

use crate::Instant;
use crate::wit::types::Reason;

/// The score of one candidate. The same code scores and explains: terms are kept only when somebody
/// asked for the reasons, and cost an addition otherwise.
#[derive(Debug)]
pub struct Score<'r> {
    value: f64,
    valid_until: Instant,
    skipped: Option<String>,
    reasons: Option<&'r mut Vec<Reason>>,
}

impl<'r> Score<'r> {
    pub(crate) fn new(reasons: Option<&'r mut Vec<Reason>>) -> Self {
        Self { value: 0.0, valid_until: Instant::NEVER, skipped: None, reasons }
    }

    /// Adds `amount`, a finite number, on the word of `rule`. Higher scores come first; equals in the order of age.
    /// At most 64 terms are shown; people see terms of the same rule in the same colour.
    #[inline]
    pub fn add(&mut self, rule: &str, amount: f64) {
        self.value += amount;
        if self.reasons.is_some() {
            self.keep(rule, amount);
        }
    }

    /// Says what the last term saw. `text` runs only when somebody asked for the reasons.
    #[inline]
    pub fn note(&mut self, text: impl FnOnce() -> String) {
        if let Some(reasons) = &mut self.reasons {
            note_last(reasons, text);
        }
    }

    /// Leaves the candidate out, for everybody; the first reason counts. An agent reads it when there is no work, with
    /// how many issues it holds for: the same reason is best worded the same. People who ask for the reasons are
    /// told all that are given.
    #[cold]
    pub fn skip(&mut self, reason: &str) {
        if self.skipped.is_none() {
            self.skipped = Some(reason.to_owned());
        }
        self.keep("skip", 0.0);
        self.note(|| reason.to_owned());
    }

    /// Whether the candidate is left out, whatever else is said of it.
    #[inline]
    pub fn is_skipped(&self) -> bool {
        self.skipped.is_some()
    }

    /// Whether the candidate is left out and nobody asked for the reasons, so that no further one is heard.
    #[inline]
    pub fn is_settled(&self) -> bool {
        self.skipped.is_some() && self.reasons.is_none()
    }

    /// Says that the score, or the skip, holds until `end` only, not included; the earliest counts.
    /// Without it the host asks again only when a fact changes. What is sooner than a second from now counts as that.
    #[inline]
    pub fn valid_until(&mut self, end: Instant) {
        self.valid_until = self.valid_until.min(end);
    }

    /// What was added up so far.
    pub fn value(&self) -> f64 {
        self.value
    }

    /// Until when it holds.
    pub(crate) fn holds_until(&self) -> Instant {
        self.valid_until
    }

    /// Why the candidate is left out, if it is.
    pub(crate) fn into_skipped(self) -> Option<String> {
        self.skipped
    }

    #[cold]
    fn keep(&mut self, rule: &str, amount: f64) {
        if let Some(reasons) = &mut self.reasons {
            reasons.push(Reason { rule: rule.to_owned(), amount, text: String::new() });
        }
    }
}

#[cold]
fn note_last(reasons: &mut [Reason], text: impl FnOnce() -> String) {
    if let Some(last) = reasons.last_mut() {
        last.text = text();
    }
}
