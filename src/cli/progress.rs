//! What a long step shows meanwhile, on standard error and only where that is a terminal. Nothing of it is left behind,
//! but for the last line where somebody typed Ctrl-C: the terminal's own mark moves that up.

use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// A step of which nobody knows how long it takes: one line that turns.
#[derive(Debug)]
pub struct Step(ProgressBar);

impl Step {
    /// Begins.
    pub fn begin(what: &str) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        bar.set_style(style("{spinner} {prefix} {wide_msg:.dim}"));
        bar.set_prefix(what.to_owned());
        bar.enable_steady_tick(Duration::from_millis(100));
        Self(bar)
    }

    /// Says what is going on.
    pub fn say(&self, what: &str) {
        self.0.set_message(what.trim().to_owned());
    }

    /// Does something else on standard error, such as writing a line, with the step out of its way.
    pub fn beside<T>(&self, work: impl FnOnce() -> T) -> T {
        self.0.suspend(work)
    }

    /// Ends it, whoever else still holds it.
    pub fn end(&self) {
        self.0.finish_and_clear();
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        self.end();
    }
}

/// A step with an end in sight: a bar that fills.
#[derive(Debug)]
pub struct Bar(ProgressBar);

impl Bar {
    /// Begins; `what` is done to so many `rows`.
    pub fn begin(what: &str, rows: &str) -> Self {
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::stderr());
        let count = format!("{{human_pos}} of {{human_len}} {rows}");
        bar.set_style(style(&format!("{{msg}} {{wide_bar}} {count}, {{eta}} left")));
        bar.set_message(what.to_owned());
        Self(bar)
    }

    /// So far it has come.
    pub fn show(&self, done: u64, total: u64) {
        if self.0.length() != Some(total) {
            self.0.set_length(total);
        }
        self.0.set_position(done);
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.0.finish_and_clear();
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).expect("the template is well-formed")
}
