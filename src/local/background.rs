//! Servers that nobody watches.
//!
//! A client's process does not start the server itself: it runs `issuecommand serve --background`, which
//! starts the server, waits until it answers, and ends. So the server is nobody's child, and outlives both
//! the client and those who end the client with all its children.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::{Child, Command};
use tokio::time::{Instant, timeout};

use super::greeting::Reply;
use super::place::private_file;
use super::reach::{Pauses, START_WAIT};
use super::{Place, serving};

/// The log is put aside at the next start when it is larger than this: about a week of a busy server.
const LOG_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// How much of a log is read for the reason why a server ended.
const LOG_TAIL_BYTES: u64 = 4096;
/// Longest time for a started server to answer: it leaves who started it time to say that it did not.
const STAND_WAIT: Duration = Duration::from_secs(60);
/// How long a server gets that is closing the database still; one that has it for longer is there to stay.
const CLOSING_WAIT: Duration = Duration::from_secs(5);
/// What the command line puts before the reason why it failed.
const ERROR_MARK: &str = "error: ";

/// How servers are started.
#[derive(Debug, Clone)]
pub struct Background {
    program: PathBuf,
    arguments: Vec<OsString>,
    without: &'static str,
}

/// What [`Background::stand`] found or started.
#[derive(Debug)]
pub enum Standing {
    /// A server was there.
    Already(Reply),
    /// A server was started.
    Started(Reply),
}

impl Background {
    /// Runs this very program with `arguments`, in this environment without the variable `without`.
    ///
    /// # Errors
    /// When the system does not say where the program is.
    pub fn new(arguments: Vec<OsString>, without: &'static str) -> io::Result<Self> {
        Ok(Self { program: program()?, arguments, without })
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).env_remove(self.without);
        // Signals to the client's group, a Ctrl-C among them, are not for the server.
        command.stdin(Stdio::null()).process_group(0);
        command
    }

    /// Runs the command, which ends when a server answers.
    pub(super) async fn start(&self) -> Result<(), String> {
        let mut command = self.command();
        let running = command.stdout(Stdio::null()).stderr(Stdio::piped()).output();
        let ended = match timeout(START_WAIT, running).await {
            Ok(Ok(ended)) => ended,
            Ok(Err(error)) => return Err(format!("failed to run {}: {error}", self.program.display())),
            Err(_) => return Err(format!("starting a server took longer than {} s", START_WAIT.as_secs())),
        };
        if ended.status.success() {
            return Ok(());
        }
        Err(reason(&String::from_utf8_lossy(&ended.stderr)).unwrap_or_else(|| "it did not say why".to_owned()))
    }

    /// Sees to it that a server of `place` stands: the one that answers, or a new one, which runs on when
    /// this process ends. `is_taken` knows the exit code of a server that found the database taken, and
    /// `address` where the one that has it can be reached.
    ///
    /// # Errors
    /// In one line, why there is no server.
    pub async fn stand(
        &self,
        place: &Place,
        is_taken: impl Fn(Option<i32>) -> bool,
        address: impl Fn() -> Option<String>,
    ) -> Result<Standing, String> {
        if let Some(reply) = serving(place).await? {
            return Ok(Standing::Already(reply));
        }
        let (begun, mut pauses) = (Instant::now(), Pauses::new());
        let (mut child, mut log_start) = self.spawn(place)?;
        loop {
            if let Some(reply) = serving(place).await? {
                let ours = child.id() == Some(reply.pid);
                return Ok(if ours { Standing::Started(reply) } else { Standing::Already(reply) });
            }
            let ended = child.try_wait();
            if let Some(status) =
                ended.map_err(|error| format!("failed to watch the server that was started: {error}"))?
            {
                let why = last_words(&place.log(), log_start);
                let why =
                    why.unwrap_or_else(|| format!("it ended with {status}; its log is {}", place.log().display()));
                if !is_taken(status.code()) {
                    return Err(why);
                }
                if begun.elapsed() > CLOSING_WAIT {
                    return Err(out_of_reach(place, address()));
                }
                pauses.next().await;
                (child, log_start) = self.spawn(place)?;
            }
            if begun.elapsed() > STAND_WAIT {
                let _ = child.start_kill();
                let (seconds, log) = (STAND_WAIT.as_secs(), place.log());
                return Err(format!("the server did not answer within {seconds} s; its log is {}", log.display()));
            }
            pauses.next().await;
        }
    }

    fn spawn(&self, place: &Place) -> Result<(Child, u64), String> {
        let failed = |error: io::Error| format!("failed to start {}: {error}", self.program.display());
        let unlogged = |error: io::Error| format!("failed to open the server's log {}: {error}", place.log().display());
        place.prepare().map_err(|error| format!("failed to make room for the server's socket and log: {error}"))?;
        let log = open_log(&place.log()).map_err(unlogged)?;
        let start = log.metadata().map_err(unlogged)?.len();
        let output = log.try_clone().map_err(unlogged)?;
        let child = self.command().stdout(output).stderr(log).spawn().map_err(failed)?;
        Ok((child, start))
    }
}

/// Why a server that has the database is none for the clients of `place`.
fn out_of_reach(place: &Place, address: Option<String>) -> String {
    let who = address.map_or_else(|| "another server".to_owned(), |url| format!("the server at {url}"));
    let (database, socket) = (place.database().display(), place.socket().display());
    format!(
        "{who} has the database {database}, but its socket is not at {socket}: start it with this configuration's \
         server.socket, or end it"
    )
}

/// This program; when it was replaced under us, its successor.
fn program() -> io::Result<PathBuf> {
    let path = std::env::current_exe()?;
    let text = path.to_string_lossy();
    Ok(text.strip_suffix(" (deleted)").map_or_else(|| path.clone(), PathBuf::from))
}

fn open_log(path: &Path) -> io::Result<File> {
    if path.metadata().is_ok_and(|found| found.len() > LOG_BYTES_MAX) {
        fs::rename(path, path.with_extension("log.old"))?;
    }
    private_file(path)
}

/// Why a server ended, as it said itself from `start` on.
fn last_words(log: &Path, start: u64) -> Option<String> {
    let mut file = File::open(log).ok()?;
    let end = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(start.max(end.saturating_sub(LOG_TAIL_BYTES)))).ok()?;
    let mut tail = Vec::new();
    file.take(LOG_TAIL_BYTES).read_to_end(&mut tail).ok()?;
    reason(&String::from_utf8_lossy(&tail))
}

/// The line that says why a command failed, or its last line.
fn reason(output: &str) -> Option<String> {
    let lines = || output.lines().map(str::trim).filter(|line| !line.is_empty());
    let marked = lines().filter_map(|line| line.split_once(ERROR_MARK)).map(|(_, why)| why).next_back();
    marked.or_else(|| lines().next_back()).map(str::to_owned)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_the_line_marked_as_an_error_of_this_start() {
        let scratch = tempfile::tempdir().unwrap();
        let log = scratch.path().join("server.log");
        fs::write(&log, "error: of yesterday\n").unwrap();
        let start = log.metadata().unwrap().len();
        assert_eq!(last_words(&log, start), None);
        fs::write(&log, "error: of yesterday\nINFO starting\nerror: no such policy\n").unwrap();
        assert_eq!(last_words(&log, start).unwrap(), "no such policy");
        fs::write(&log, "error: of yesterday\nthread 'main' panicked\n\n").unwrap();
        assert_eq!(last_words(&log, start).unwrap(), "thread 'main' panicked");
    }

    #[test]
    fn a_log_that_has_grown_large_is_put_aside() {
        let scratch = tempfile::tempdir().unwrap();
        let log = scratch.path().join("server.log");
        fs::write(&log, "small").unwrap();
        assert_eq!(open_log(&log).unwrap().metadata().unwrap().len(), 5);
        fs::write(&log, vec![b'x'; usize::try_from(LOG_BYTES_MAX).unwrap() + 1]).unwrap();
        assert_eq!(open_log(&log).unwrap().metadata().unwrap().len(), 0);
        assert!(scratch.path().join("server.log.old").exists());
    }
}
