//! What can go wrong with a policy, in words for the one who wrote it or chose it.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

/// What the advice to the author of a policy that takes too long begins with.
pub(crate) const DO_LESS: &str = "do less in one call";

/// Why one call of a policy gave no answer. The instance it ran in is thrown away unless the policy
/// itself refused; the next call gets a fresh one.
#[derive(Debug, thiserror::Error)]
pub enum PolicyError {
    /// The policy's code failed: a panic, an access out of bounds, a division by zero.
    #[error("`{call}` failed in the policy: {}", cause(.message.as_deref(), .why))]
    Trapped {
        /// The function that was called.
        call: &'static str,
        /// WebAssembly's word for it, and where it happened if the component names its functions.
        why: String,
        /// The last error that the policy logged in this call: the message of a panic, usually.
        message: Option<String>,
    },
    /// The policy recursed too deeply.
    #[error("`{call}` overflowed the policy's stack ({place}): look for recursion without end")]
    StackOverflow {
        /// The function that was called.
        call: &'static str,
        /// Where, if the component names its functions.
        place: String,
    },
    /// The policy took too long and was stopped.
    #[error("`{call}` took longer than {ms} ms and was stopped: {}, or raise [policies] {setting}", DO_LESS)]
    DeadlineExceeded {
        /// The function that was called.
        call: &'static str,
        /// The time it was allowed, in milliseconds.
        ms: u64,
        /// The setting that allows more.
        setting: &'static str,
    },
    /// The policy asked for more memory than it may have.
    #[error(
        "`{call}` needs more than the {bytes} bytes of memory a policy may have: keep less, within a call and from call to \
         call, or raise [policies] memory_bytes_max"
    )]
    MemoryExceeded {
        /// The function that was called.
        call: &'static str,
        /// The memory an instance is allowed, in bytes.
        bytes: usize,
    },
    /// The policy pulled facts, or asked for other things of the host, beyond its budget.
    #[error("`{call}` was stopped: {why}")]
    BudgetExceeded {
        /// The function that was called.
        call: &'static str,
        /// Which budget, and what to do.
        why: String,
    },
    /// The host could not read facts that the policy asked for.
    #[error("`{call}` could not be given its facts: {why}")]
    FactsUnreadable {
        /// The function that was called.
        call: &'static str,
        /// What could not be read.
        why: String,
    },
    /// The policy returned or logged more data at once than the host takes.
    #[error("`{call}` sent more than {bytes} bytes at once: return shorter texts and fewer rows")]
    OutputTooLarge {
        /// The function that was called.
        call: &'static str,
        /// How much it may send, in bytes.
        bytes: usize,
    },
    /// The policy called a function of ours that this server does not have.
    #[error("`{call}` used {function}, which this server does not offer: update the server, or do without it")]
    NotOffered {
        /// The function that was called.
        call: &'static str,
        /// What it called in turn.
        function: String,
    },
    /// The policy answered something that is no answer.
    #[error("`{call}` gave a bad answer: {why}")]
    BadOutput {
        /// The function that was called.
        call: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The policy answered with an error of its own.
    #[error("`{call}` was refused by the policy: {message}")]
    Refused {
        /// The function that was called.
        call: &'static str,
        /// The policy's words.
        message: String,
    },
    /// A stage of a ranker failed.
    #[error("stage {stage}: {error}")]
    InStage {
        /// Its name.
        stage: Arc<str>,
        /// How.
        error: Box<PolicyError>,
    },
    /// The WebAssembly engine could not be started.
    #[error("failed to start the WebAssembly engine: {why}")]
    Engine {
        /// What went wrong.
        why: String,
    },
}

/// The policy's last words, or WebAssembly's with how to have better ones.
fn cause(message: Option<&str>, why: &str) -> String {
    message.map_or_else(|| format!("{why} (log an error before giving up, and it is told here)"), ToOwned::to_owned)
}

/// What the words of a policy that does not take its settings come after.
const CONFIGURE_REFUSED: &str = "`configure` was refused by the policy: ";

/// Why a policy was not taken into service. The set in force stays in force.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PolicyRejected {
    /// Which one: `ranker`, `stale_rule` or `repo_filter`.
    pub policy: &'static str,
    /// Its source, as configured.
    pub source: String,
    /// The name of the stage of the ranker that it is, if it is one.
    pub stage: Option<String>,
    /// The file that was read, unless it is built in.
    pub file: Option<PathBuf>,
    /// What is wrong, and what to do about it.
    pub reason: String,
}

impl fmt::Display for PolicyRejected {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { policy, source, stage, file, reason } = self;
        write!(f, "[policies.{policy}] {source:?}")?;
        if let Some(file) = file.as_ref().filter(|file| file.as_os_str() != source.as_str()) {
            write!(f, " ({})", file.display())?;
        }
        f.write_str(" was not loaded: ")?;
        if let Some(stage) = stage {
            write!(f, "as stage {stage:?}: ")?;
        }
        f.write_str(reason)
    }
}

impl std::error::Error for PolicyRejected {}

impl PolicyRejected {
    /// The same for somebody who typed other settings of the ranker, and loaded nothing.
    pub(crate) fn of_typed_settings(&self) -> String {
        match self {
            Self { policy: "ranker", stage: None, source, reason, .. } => {
                format!("{source} does not take them: {}", reason.strip_prefix(CONFIGURE_REFUSED).unwrap_or(reason))
            }
            other => other.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_typed_settings_is_told_of_them_and_of_nothing_that_was_loaded() {
        let told = |stage: Option<&str>| {
            let error = PolicyError::Refused { call: "configure", message: "rules[0]: no weight".into() };
            let (source, stage, reason) = ("builtin:rules".into(), stage.map(str::to_owned), error.to_string());
            PolicyRejected { policy: "ranker", source, stage, file: None, reason }.of_typed_settings()
        };
        assert_eq!(told(None), "builtin:rules does not take them: rules[0]: no weight");
        assert!(told(Some("late")).contains("was not loaded: as stage \"late\""), "another stage's are not typed here");
    }
}
