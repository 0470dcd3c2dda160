//! What `issuecommand serve` shows on a terminal until its first sync is done: one line, below those of the log.

use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use issuecommand::claims::ClaimManager;
use tracing_subscriber::fmt::MakeWriter;

use super::progress::Step;

/// How often it is counted anew.
const PAUSE: Duration = Duration::from_millis(200);

/// Standard error, with that line out of the way while something is written. Before the line is shown, and after, it is
/// standard error alone.
#[derive(Debug, Clone, Default)]
pub struct FirstSync(Arc<OnceLock<Step>>);

impl FirstSync {
    /// Counts what is read until all of it was; does not return, and shows nothing where standard error is no terminal.
    pub async fn follow(&self, manager: &ClaimManager) {
        while io::stderr().is_terminal() && manager.is_reading() {
            let step = self.0.get_or_init(|| Step::begin("first sync:"));
            let (issues, repos) = (manager.health().open_issues, manager.repos().len());
            step.say(&format!("{issues} open issues of {repos} repositories so far"));
            tokio::time::sleep(PAUSE).await;
        }
        self.end();
        std::future::pending().await
    }

    /// Takes the line away.
    pub fn end(&self) {
        if let Some(step) = self.0.get() {
            step.end();
        }
    }
}

impl MakeWriter<'_> for FirstSync {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

impl Write for FirstSync {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.0.get() {
            Some(step) => step.beside(|| io::stderr().write(bytes)),
            None => io::stderr().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
