//! Tools that are not ours: run with an ear on what they say, and fetched once for all policies.

use std::collections::VecDeque;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;

use crate::authoring::AuthoringError;

/// Lines of a tool's output that are kept for the case that it fails.
const OUTPUT_LINE_COUNT_MAX: usize = 200;
/// The file that a complete tool folder has: a download that was cut off has none.
const COMPLETE: &str = ".complete";

/// Where tools are kept that building needs and that are fetched once: in the user's cache folder.
///
/// # Errors
/// [`AuthoringError::ToolMissing`] when there is no such folder.
pub fn tools_folder() -> Result<PathBuf, AuthoringError> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
    cache.map(|cache| cache.join("issuecommand").join("tools")).ok_or_else(|| {
        AuthoringError::ToolMissing("there is no folder to keep tools in: set HOME or XDG_CACHE_HOME".into())
    })
}

/// The folder of the tool `name`, which `fetch` fills if that was not done before. Two builds at once share it.
pub(super) fn provide(
    name: &str,
    fetch: impl FnOnce(&Path) -> Result<(), AuthoringError>,
) -> Result<PathBuf, AuthoringError> {
    let folder = tools_folder()?.join(name);
    let complete = folder.join(COMPLETE);
    if complete.is_file() {
        return Ok(folder);
    }
    fs::create_dir_all(&folder).map_err(AuthoringError::io("make", &folder))?;
    let lock_file = folder.with_added_extension("lock");
    let lock = File::create(&lock_file).map_err(AuthoringError::io("make", &lock_file))?;
    lock.lock().map_err(AuthoringError::io("lock", &lock_file))?;
    // Another build may have fetched it while this one waited.
    if !complete.is_file() {
        fetch(&folder)?;
        fs::write(&complete, "").map_err(AuthoringError::io("write", &complete))?;
    }
    Ok(folder)
}

/// Runs a tool to its end. `missing` says what to install if it is not there.
pub(super) fn run(
    command: &mut Command,
    attempt: &str,
    missing: &str,
    progress: &(dyn Fn(&str) + Sync),
) -> Result<(), AuthoringError> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(
        |error| match error.kind() {
            std::io::ErrorKind::NotFound => AuthoringError::ToolMissing(missing.to_owned()),
            _ => AuthoringError::Io { attempt: attempt.to_owned(), source: error },
        },
    )?;
    let (out, err) = (child.stdout.take(), child.stderr.take());
    // Each pipe keeps its own end: a long report on one must not push out the error on the other.
    let (said, complained) = thread::scope(|scope| {
        let said = scope.spawn(|| listen(out, progress));
        let complained = listen(err, progress);
        (said.join().unwrap_or_default(), complained)
    });
    let status = child.wait().map_err(|source| AuthoringError::Io { attempt: attempt.to_owned(), source })?;
    if status.success() {
        return Ok(());
    }
    let lines: Vec<String> = said.into_iter().chain(complained).collect();
    Err(AuthoringError::ToolFailed { attempt: attempt.to_owned(), how: status.to_string(), output: lines.join("\n") })
}

/// Passes on each line of a pipe, and keeps the last ones.
fn listen(pipe: Option<impl Read>, progress: &(dyn Fn(&str) + Sync)) -> VecDeque<String> {
    let mut kept = VecDeque::new();
    let Some(pipe) = pipe else { return kept };
    for line in BufReader::new(pipe).split(b'\n').map_while(Result::ok) {
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        progress(&line);
        if kept.len() == OUTPUT_LINE_COUNT_MAX / 2 {
            kept.pop_front();
        }
        kept.push_back(line);
    }
    kept
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn a_tool_that_is_not_there_is_answered_with_what_to_install() {
        let error = run(&mut Command::new("no-such-tool"), "run it", "install it", &|_| {}).unwrap_err();
        assert_eq!(error.to_string(), "install it");
    }

    #[test]
    fn a_tool_that_fails_is_quoted_in_its_last_lines() {
        let heard = Mutex::new(Vec::new());
        let mut command = Command::new("sh");
        command.args(["-c", "seq 300; echo no good >&2; exit 3"]);
        let error = run(&mut command, "count", "", &|line| heard.lock().unwrap().push(line.to_owned())).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("count failed (exit status: 3)") && text.contains("no good"), "{text}");
        assert!(text.lines().count() <= OUTPUT_LINE_COUNT_MAX + 1, "{}", text.lines().count());
        assert_eq!(heard.lock().unwrap().len(), 301);
    }
}
