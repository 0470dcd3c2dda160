//! What a run did, line by line: one file a run, bounded, beside the database.

use std::collections::HashMap;
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::domain::{RunId, Timestamp};

/// Most bytes of one line's text; the rest is left out.
const TEXT_BYTES_MAX: usize = 8 * 1024;

/// One line of a run's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogLine {
    /// Its place, from 1.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// Who says so.
    pub kind: LogKind,
    /// What. Of an agent's lines: data, never markup.
    pub text: String,
}

/// Whose word a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogKind {
    /// The dispatcher: what it does.
    Step,
    /// The agent: what it says.
    Text,
    /// The agent: which tool it uses.
    Tool,
    /// The agent's question, or somebody's answer.
    Question,
    /// Something went wrong.
    Trouble,
}

/// The logs of all runs.
#[derive(Debug)]
pub struct LogBook {
    folder: PathBuf,
    open: Mutex<HashMap<RunId, Arc<RunLog>>>,
}

/// The log of one run, open for writing.
#[derive(Debug)]
pub struct RunLog {
    path: PathBuf,
    state: Mutex<State>,
    grown: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct State {
    file: Option<File>,
    bytes: u64,
    seq: u64,
}

impl LogBook {
    /// Logs in `folder`, which is made when the first one is.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, open: Mutex::default() }
    }

    /// The log of a run; the same for all who ask.
    pub fn of(&self, run_id: RunId) -> Arc<RunLog> {
        let mut open = self.open.lock();
        let made = open.entry(run_id).or_insert_with(|| {
            let path = self.folder.join(format!("{}.jsonl", run_id.short()));
            let seq = lines(&path).last().map_or(0, |line| line.seq);
            let bytes = fs::metadata(&path).map_or(0, |found| found.len());
            let state = Mutex::new(State { file: None, bytes, seq });
            Arc::new(RunLog { path, state, grown: watch::Sender::new(seq) })
        });
        Arc::clone(made)
    }

    /// Forgets the logs of all runs but `kept`.
    pub fn keep_only(&self, kept: &[RunId]) {
        self.open.lock().retain(|run_id, _| kept.contains(run_id));
        let names: Vec<String> = kept.iter().map(RunId::short).collect();
        let Ok(files) = fs::read_dir(&self.folder) else { return };
        for file in files.flatten() {
            let name = file.file_name().to_string_lossy().into_owned();
            let is_kept = names.iter().any(|kept| name.starts_with(kept.as_str()));
            if !is_kept && name.contains(".jsonl") {
                // One that stays is taken the next time.
                let _ = fs::remove_file(file.path());
            }
        }
    }
}

impl RunLog {
    /// Writes a line. A log that cannot be written must not stop the run: the error is for the caller to tell.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, kind: LogKind, text: &str, now: Timestamp, bytes_max: u64) -> io::Result<()> {
        let mut state = self.state.lock();
        let text = text[..text.floor_char_boundary(TEXT_BYTES_MAX)].to_owned();
        let line = LogLine { seq: state.seq + 1, at: now, kind, text };
        let mut bytes = serde_json::to_vec(&line)?;
        bytes.push(b'\n');
        // Two files take turns, each of half the size: the newer half at least is always there.
        if state.bytes > 0 && state.bytes + bytes.len() as u64 > bytes_max / 2 {
            fs::rename(&self.path, older(&self.path))?;
            (state.file, state.bytes) = (None, 0);
        }
        if state.file.is_none() {
            fs::create_dir_all(self.path.parent().unwrap_or(Path::new(".")))?;
            state.file = Some(OpenOptions::new().create(true).append(true).mode(0o600).open(&self.path)?);
        }
        state.file.as_mut().expect("it was just opened").write_all(&bytes)?;
        state.bytes += bytes.len() as u64;
        state.seq = line.seq;
        self.grown.send_replace(line.seq);
        Ok(())
    }

    /// Lines after `seq`, at most `limit`.
    pub fn after(&self, seq: u64, limit: usize) -> Vec<LogLine> {
        let all = lines(&older(&self.path)).chain(lines(&self.path));
        all.filter(|line| line.seq > seq).take(limit).collect()
    }

    /// The last `limit` lines.
    pub fn tail(&self, limit: usize) -> Vec<LogLine> {
        let last = *self.grown.borrow();
        self.after(last.saturating_sub(limit as u64), limit)
    }

    /// Changes when the log grows; holds the newest line's place.
    pub fn grown(&self) -> watch::Receiver<u64> {
        self.grown.subscribe()
    }
}

fn older(path: &Path) -> PathBuf {
    path.with_extension("jsonl.1")
}

/// The whole lines of a file; a line that was cut off by a crash is none.
fn lines(path: &Path) -> impl Iterator<Item = LogLine> + use<> {
    let file = File::open(path).ok();
    let lines = file.into_iter().flat_map(|file| BufReader::new(file).lines().map_while(Result::ok));
    lines.filter_map(|line| serde_json::from_str(&line).ok())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::domain::from_unix_ms;

    #[test]
    fn a_log_goes_on_where_an_earlier_process_left_it() {
        let folder = tempfile::tempdir().unwrap();
        let run_id = RunId::fresh();
        for process in 1..=2 {
            let book = LogBook::new(folder.path().join("runs"));
            let log = book.of(run_id);
            log.write(LogKind::Step, &format!("process {process}"), from_unix_ms(process), 1 << 20).unwrap();
        }
        let log = LogBook::new(folder.path().join("runs")).of(run_id);
        let told: Vec<(u64, String)> = log.after(0, 9).into_iter().map(|line| (line.seq, line.text)).collect();
        assert_eq!(told, [(1, "process 1".into()), (2, "process 2".into())]);
        assert_eq!(log.tail(1)[0].seq, 2);
    }

    #[test]
    fn a_log_is_bounded_and_its_newest_lines_stay() {
        let folder = tempfile::tempdir().unwrap();
        let book = LogBook::new(folder.path().to_owned());
        let log = book.of(RunId::fresh());
        for line in 1..=500 {
            log.write(LogKind::Text, &format!("{line} {}", "x".repeat(100)), from_unix_ms(line), 8192).unwrap();
        }
        let size: u64 = fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().metadata().unwrap().len()).sum();
        assert!(size <= 8192, "{size}");
        let kept = log.after(0, 1000);
        assert!(kept.len() >= 20, "{}", kept.len());
        assert_eq!(kept.last().unwrap().seq, 500);
        assert!(kept.windows(2).all(|pair| pair[1].seq == pair[0].seq + 1));
    }

    #[test]
    fn logs_of_forgotten_runs_go() {
        let folder = tempfile::tempdir().unwrap();
        let book = LogBook::new(folder.path().to_owned());
        let (kept, gone) = (RunId::fresh(), RunId::fresh());
        for run_id in [kept, gone] {
            book.of(run_id).write(LogKind::Step, "x", from_unix_ms(1), 8192).unwrap();
        }
        book.keep_only(&[kept]);
        assert_eq!((book.of(kept).after(0, 9).len(), book.of(gone).after(0, 9).len()), (1, 0));
    }
}
