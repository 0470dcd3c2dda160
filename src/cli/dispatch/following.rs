//! Following a run: its log as it grows, and how it ends.

use std::time::Duration;

use anstyle::{AnsiColor, Effects, Style};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use issuecommand::api::Call;
use issuecommand::domain::{LogKind, LogLine, Run, RunId, RunStatus, is_visible};
use serde::Deserialize;
use serde_json::json;

use super::super::door::Door;
use super::RunAnswer;

/// Seconds that one question for news waits.
const WAIT_SECONDS: u64 = 20;
/// How often a server that does not answer is asked again before it is given up.
const MISS_COUNT_MAX: u32 = 10;
const MISS_PAUSE: Duration = Duration::from_secs(1);

/// A page of a log.
#[derive(Debug, Deserialize)]
pub(super) struct LogPage {
    pub(super) lines: Vec<LogLine>,
    pub(super) run_status: RunStatus,
}

/// Where the lines of a log go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Onto {
    /// Standard error: they are progress, and what standard output gets is something else.
    Stderr,
    /// Standard output: they are what was asked for.
    Stdout,
    /// Standard output, one JSON object a line.
    StdoutAsJson,
}

/// A run that somebody watches.
pub(super) struct Following<'d> {
    door: &'d Door,
    run_id: RunId,
    onto: Onto,
    bar: ProgressBar,
}

impl<'d> Following<'d> {
    /// Begins; what moves is on standard error, and only where that is a terminal.
    pub(super) fn of(door: &'d Door, run_id: RunId, onto: Onto) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}").expect("the template is valid");
        bar.set_style(style);
        bar.enable_steady_tick(Duration::from_millis(120));
        Self { door, run_id, onto, bar }
    }

    /// Shows what the log has after the line `after` until the run has ended.
    pub(super) async fn to_the_end(&self, mut after: u64) -> anyhow::Result<Run> {
        let (mut missed, mut wait) = (0, WAIT_SECONDS);
        loop {
            let wish = json!({ "run": self.run_id, "after": after, "limit": 500, "wait_seconds": wait });
            let page = match self.door.ask_for::<LogPage>(Call::DispatchLogs, wish).await {
                Ok(page) => page,
                // A server that restarts goes on with the run.
                Err(_) if missed < MISS_COUNT_MAX => {
                    missed += 1;
                    tokio::time::sleep(MISS_PAUSE).await;
                    continue;
                }
                Err(error) => return Err(error),
            };
            missed = 0;
            for line in &page.lines {
                self.show(line)?;
                after = line.seq;
            }
            if page.run_status.is_terminal() && page.lines.is_empty() {
                let RunAnswer { run, .. } = self.door.ask_for(Call::DispatchRun, json!({ "run": self.run_id })).await?;
                self.bar.finish_and_clear();
                return Ok(run);
            }
            // An ended run's log grows no more, and what is left of it is there at once.
            if page.run_status.is_terminal() {
                wait = 0;
                continue;
            }
            self.bar.set_message(format!("run {} is {}", self.run_id.short(), page.run_status));
        }
    }

    fn show(&self, line: &LogLine) -> anyhow::Result<()> {
        self.bar.suspend(|| print(line, self.onto))
    }
}

/// Prints one line.
///
/// # Errors
/// When it is no JSON: a defect.
pub(super) fn print(line: &LogLine, onto: Onto) -> anyhow::Result<()> {
    match onto {
        Onto::Stderr => anstream::eprintln!("{}", shown(line)),
        Onto::Stdout => anstream::println!("{}", shown(line)),
        Onto::StdoutAsJson => anstream::println!("{}", serde_json::to_string(line)?),
    }
    Ok(())
}

/// A line as people read it. What agents say is data: nothing of it moves the cursor or hides a word.
fn shown(line: &LogLine) -> String {
    let (mark, style) = match line.kind {
        LogKind::Step => ("▸", Style::new().bold()),
        LogKind::Text => (" ", Style::new()),
        LogKind::Tool => ("·", Style::new().effects(Effects::DIMMED)),
        LogKind::Question => ("?", AnsiColor::Cyan.on_default().bold()),
        LogKind::Trouble => ("!", AnsiColor::Yellow.on_default().bold()),
    };
    let text = line.text.replace(|c: char| !is_visible(c) || c == '\t', " ");
    let text = text.trim_end().replace('\n', "\n           ");
    format!("{} {style}{mark} {text}{style:#}", line.at.format("%H:%M:%S"))
}
