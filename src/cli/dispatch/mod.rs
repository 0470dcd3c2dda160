//! The commands of dispatch: work on an issue, look at what is worked on, say what comes first.

mod following;
mod logs;
mod queue;
mod run;
mod status;
mod watch;
mod words;

use issuecommand::domain::Run;
use serde::Deserialize;

pub use logs::LogsArgs;
pub use queue::QueueArgs;
pub use run::RunArgs;
pub use status::StatusArgs;
pub use watch::{WatchArgs, WorkerArgs};
pub use words::{AnswerArgs, CancelArgs, PauseArgs, ResumeArgs};

pub use logs::run as show_logs;
pub use queue::run as show_queue;
pub use run::run as run_issue;
pub use status::run as show_status;
pub use watch::run as watch_issues;
pub use watch::run_worker as work_beside;
pub use words::{answer, cancel, pause, resume};

/// An answer with a run.
#[derive(Debug, Deserialize)]
struct RunAnswer {
    run: Run,
    /// Whether the issue had it before.
    #[serde(default)]
    idempotent: bool,
    /// Whether its server has not heard the word yet.
    #[serde(default)]
    left: bool,
}

/// Who asks, for the record: the name of the account on this machine, where it says one.
fn whoami() -> Option<String> {
    ["USER", "LOGNAME"].iter().find_map(|name| std::env::var(name).ok()).filter(|name| !name.is_empty())
}
