//! Dying on purpose, for the tests that kill a server at every step of a run.

use crate::domain::{Phase, PhaseMark};

/// The variable that names where to die: `push.doing`, `pull.done`, `container.undoing`.
pub const DIE_AT: &str = "ISSUECOMMAND_DIE_AT";

/// Ends this process at once, as `kill -9` would, if a test asked for it here. Nothing in a release.
pub fn die_if_asked(phase: Phase, mark: PhaseMark) {
    if !cfg!(debug_assertions) {
        return;
    }
    let word =
        |value| serde_json::to_value(value).ok().and_then(|word: serde_json::Value| word.as_str().map(str::to_owned));
    let here = word(serde_json::json!(phase)).zip(word(serde_json::json!(mark)));
    let here = here.map(|(phase, mark)| format!("{phase}.{mark}"));
    if std::env::var(DIE_AT).ok().is_some_and(|asked| Some(asked) == here) {
        std::process::abort();
    }
}
