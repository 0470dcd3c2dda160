//! What a long step shows meanwhile: one line that turns, on a terminal; nothing elsewhere.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

/// A step that takes a while.
pub struct Step(ProgressBar);

impl Step {
    /// Begins; the line is on standard error, and only where that is a terminal.
    pub fn begin(what: &str) -> Self {
        let bar = ProgressBar::new_spinner();
        bar.set_style(
            ProgressStyle::with_template("{spinner} {prefix} {wide_msg:.dim}").expect("the template is valid"),
        );
        bar.set_prefix(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(bar)
    }

    /// Says what is going on.
    pub fn say(&self, what: &str) {
        self.0.set_message(what.trim().to_owned());
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}
