//! Following a run: its log as it grows, and how it ends.

use std::time::Duration;

use anstyle::{AnsiColor, Effects, Style};
use anyhow::ensure;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use issuecommand::api::Call;
use issuecommand::domain::{LogKind, LogLine, Run, RunId, RunStatus, is_visible};
use serde::Deserialize;
use serde_json::json;

use super::super::door::{Door, DoorArgs};
use super::super::output;
use super::super::show::written_out;
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

/// A run that was left as it is: its server ended.
#[derive(Debug, thiserror::Error)]
#[error("run {run} is {status}, and no server works on it: start one with `issuecommand serve`")]
pub(super) struct NobodyWorks {
    run: String,
    status: RunStatus,
}

impl NobodyWorks {
    pub(super) fn on(run: &Run) -> Self {
        Self { run: run.run_id.short(), status: run.status() }
    }
}

/// What one look at a run showed.
enum Look {
    GoesOn,
    /// It has ended, and there may be more lines.
    LastLines,
    Ended(Box<Run>),
}

/// A run that somebody watches.
pub(super) struct Following<'d> {
    args: &'d DoorArgs,
    door: &'d Door,
    /// The way to the run once the server behind `door` is gone.
    reopened: Option<Door>,
    run_id: RunId,
    onto: Onto,
    bar: ProgressBar,
}

impl<'d> Following<'d> {
    /// Begins; what moves is on standard error, and only where that is a terminal.
    pub(super) fn of(args: &'d DoorArgs, door: &'d Door, run_id: RunId, onto: Onto) -> Self {
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{spinner} {elapsed} {wide_msg}").expect("the template is valid");
        bar.set_style(style);
        bar.enable_steady_tick(Duration::from_millis(120));
        Self { args, door, reopened: None, run_id, onto, bar }
    }

    /// Shows what the log has after the line `after` until the run has ended.
    pub(super) async fn until_the_end(&mut self, mut after: u64) -> anyhow::Result<Run> {
        let (mut missed, mut wait) = (0, WAIT_SECONDS);
        loop {
            match self.look(&mut after, wait).await {
                Ok(Look::Ended(run)) => {
                    self.bar.finish_and_clear();
                    return Ok(*run);
                }
                // An ended run's log grows no more, and what is left of it is there at once.
                Ok(Look::LastLines) => wait = 0,
                Ok(Look::GoesOn) => {
                    output::check()?;
                    missed = 0;
                }
                Err(error) if missed >= MISS_COUNT_MAX => return Err(error),
                // A server that restarts goes on with the run; one that served this run alone ended with it, and left
                // the end in its database.
                Err(_) => {
                    missed += 1;
                    self.reopened = None;
                    tokio::time::sleep(MISS_PAUSE).await;
                    self.reopened = self.args.open().await.ok();
                }
            }
        }
    }

    async fn look(&self, after: &mut u64, wait: u64) -> anyhow::Result<Look> {
        let door = self.reopened.as_ref().unwrap_or(self.door);
        let wait = if door.is_at_rest() { 0 } else { wait };
        let wish = json!({ "run": self.run_id, "after": *after, "limit": 500, "wait_seconds": wait });
        let page = door.ask_for::<LogPage>(Call::DispatchLogs, wish).await?;
        for line in &page.lines {
            self.show(line)?;
            *after = line.seq;
        }
        if !page.run_status.is_terminal() {
            self.bar.set_message(format!("run {} is {}", self.run_id.short(), page.run_status));
            // Whoever only looks keeps the database from the server that would go on with it.
            ensure!(!door.is_at_rest(), NobodyWorks { run: self.run_id.short(), status: page.run_status });
            return Ok(Look::GoesOn);
        }
        if !page.lines.is_empty() {
            return Ok(Look::LastLines);
        }
        let RunAnswer { run, .. } = door.ask_for(Call::DispatchRun, json!({ "run": self.run_id })).await?;
        Ok(Look::Ended(run.into()))
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
        Onto::Stderr => tell!("{}", shown(line)),
        Onto::Stdout => say!("{}", shown(line)),
        Onto::StdoutAsJson => say!("{}", written_out(&serde_json::to_string(line)?)),
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
