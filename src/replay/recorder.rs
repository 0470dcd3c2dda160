//! Records a repository's history from GitHub, page by page, into a draft beside the file; the file itself
//! appears whole. What is in the draft is not read again, so a recording that was cut off goes on.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, BufWriter, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use super::history::History;
use crate::domain::{Happening, IssueNumber, IssueRef, Record, RecordKind, RepoName};
use crate::github::{GithubSource, HistoryList, HistoryRow, PageToken, SourceError};

/// Shortest wait when GitHub asks for a pause, in milliseconds.
const PAUSE_MS_MIN: u64 = 1_000;

/// How far a recording is, and what it came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Recorded {
    /// Issues read.
    pub issues: usize,
    /// Pull requests read.
    pub pulls: usize,
    /// Events and comments read.
    pub happenings: usize,
    /// Merged pull requests whose files are known.
    pub pulls_with_files: usize,
    /// Merged pull requests whose files are wanted; 0 until all pull requests are read.
    pub pulls_wanted: usize,
    /// How long GitHub asked to wait just now, in seconds, if it did.
    pub pause_seconds: Option<u64>,
    /// Whether GitHub has no list of events here: labels are then those of today for all times.
    pub without_events: bool,
}

/// Why a history could not be recorded.
#[derive(Debug, thiserror::Error)]
pub enum RecordError {
    /// GitHub did not answer as it should.
    #[error("failed to record the history of {repo}; run it again to go on from there")]
    Source {
        /// Whose.
        repo: RepoName,
        /// Why.
        source: SourceError,
    },
    /// A file cannot be written or read.
    #[error("failed to write {}", file.display())]
    File {
        /// Which file.
        file: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is there, and holds something else than an older recording of the repository.
    #[error("{} holds {what}: name another file with --out, or give --force to write over it", file.display())]
    Occupied {
        /// The file.
        file: PathBuf,
        /// What it holds.
        what: String,
    },
    /// The draft is another repository's.
    #[error("{} holds the beginning of the history of {repo}: finish that one, or remove it", file.display())]
    DraftOfAnother {
        /// The draft.
        file: PathBuf,
        /// Whose it is.
        repo: RepoName,
    },
}

/// One line of a draft.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Line {
    /// The first one.
    Of(RepoName),
    /// A page of a list, and where the list goes on.
    Page { list: HistoryList, next: Option<String>, rows: Vec<HistoryRow> },
    /// GitHub has no such list here.
    Absent { list: HistoryList },
    /// The files of a pull request.
    Files { number: IssueNumber, files: Vec<String> },
}

/// What is recorded so far, and the draft it is in.
struct Draft {
    path: PathBuf,
    writer: File,
    /// Where each list that was begun goes on; `None` at its end.
    reached: BTreeMap<&'static str, Option<String>>,
    records: BTreeMap<(bool, IssueNumber), Record>,
    happenings: Vec<(IssueNumber, Happening)>,
    files: BTreeMap<IssueNumber, Vec<String>>,
    absent: BTreeSet<&'static str>,
}

/// Whether a recording of `repo` may be written to `out`: where nothing is yet, or an older one, which it renews.
///
/// # Errors
/// [`RecordError::Occupied`] with what is there.
pub fn may_write(out: &Path, repo: &RepoName) -> Result<(), RecordError> {
    let occupied = |what: String| Err(RecordError::Occupied { file: out.to_owned(), what });
    let text = match std::fs::read_to_string(out) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::InvalidData => return occupied("no recording".into()),
        Err(source) => return Err(RecordError::File { file: out.to_owned(), source }),
    };
    let Ok(history) = History::parse(&text) else { return occupied("no recording".into()) };
    let other = history.issues.iter().chain(&history.pulls).map(|record| &record.repo).find(|of| *of != repo);
    other.map_or(Ok(()), |other| occupied(format!("the history of {other}")))
}

/// Records the history of `repo` in the file `out`, in place of what is there ([`may_write`] says what that is); `with_files` also the files of every merged pull request,
/// one request each. `progress` is told after each answer. Waits while GitHub asks for a pause.
///
/// # Errors
/// [`RecordError`]; the draft then stays, and another call goes on from it.
pub async fn record(
    source: &GithubSource,
    repo: &RepoName,
    out: &Path,
    with_files: bool,
    progress: &(dyn Fn(Recorded) + Sync),
) -> Result<Recorded, RecordError> {
    let path = draft_beside(out);
    let failed = |source| RecordError::File { file: path.clone(), source };
    let mut draft = Draft::open(&path, repo)?;
    for list in HistoryList::ALL {
        while let Some(page) = draft.next_page(list) {
            let asked = || source.history_page(repo, list, page.clone().map(PageToken));
            let line = match patiently(repo, &draft, progress, asked).await {
                Ok(page) => Line::Page { list, next: page.next.map(|PageToken(path)| path), rows: page.rows },
                // Issues there must be; a server that tells no events tells less.
                Err(RecordError::Source { source: SourceError::NotFound { .. }, .. })
                    if matches!(list, HistoryList::Events | HistoryList::Comments) =>
                {
                    Line::Absent { list }
                }
                Err(error) => return Err(error),
            };
            draft.add(line).map_err(failed)?;
            progress(draft.so_far(with_files));
        }
    }
    for number in draft.without_files(with_files) {
        let pull = IssueRef::new(repo.clone(), number);
        let files = patiently(repo, &draft, progress, || source.history_files(&pull)).await?;
        draft.add(Line::Files { number, files }).map_err(failed)?;
        progress(draft.so_far(with_files));
    }
    let recorded = draft.so_far(with_files);
    draft.write_out(out).map_err(|source| RecordError::File { file: out.to_owned(), source })?;
    Ok(recorded)
}

/// Asks until GitHub answers something else than to wait.
async fn patiently<T, F: Future<Output = Result<T, SourceError>>>(
    repo: &RepoName,
    draft: &Draft,
    progress: &(dyn Fn(Recorded) + Sync),
    ask: impl Fn() -> F,
) -> Result<T, RecordError> {
    loop {
        match ask().await {
            Ok(answer) => return Ok(answer),
            Err(SourceError::Paused { retry_after }) => {
                let pause = retry_after.max(Duration::from_millis(PAUSE_MS_MIN));
                progress(Recorded { pause_seconds: Some(pause.as_secs()), ..draft.so_far(false) });
                sleep(pause).await;
            }
            Err(source) => return Err(RecordError::Source { repo: repo.clone(), source }),
        }
    }
}

fn draft_beside(out: &Path) -> PathBuf {
    let mut name: OsString = out.as_os_str().to_owned();
    name.push(".part");
    name.into()
}

impl Draft {
    /// Begins a draft, or goes on with the one that is there, behind its last whole line.
    fn open(path: &Path, repo: &RepoName) -> Result<Self, RecordError> {
        let failed = |source| RecordError::File { file: path.to_owned(), source };
        let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
        let mut draft = Self {
            path: path.to_owned(),
            writer: file.try_clone().map_err(failed)?,
            reached: BTreeMap::new(),
            records: BTreeMap::new(),
            happenings: Vec::new(),
            files: BTreeMap::new(),
            absent: BTreeSet::new(),
        };
        let (mut reader, mut text, mut whole_bytes) = (BufReader::new(file), String::new(), 0);
        while reader.read_line(&mut text).map_err(failed)? > 0 {
            let Ok(line) = serde_json::from_str(&text) else { break };
            match line {
                Line::Of(of) if of != *repo => {
                    return Err(RecordError::DraftOfAnother { file: path.to_owned(), repo: of });
                }
                line => draft.take_in(line),
            }
            whole_bytes += text.len() as u64;
            text.clear();
        }
        draft.writer.set_len(whole_bytes).map_err(failed)?;
        draft.writer.seek(std::io::SeekFrom::End(0)).map_err(failed)?;
        if whole_bytes == 0 {
            draft.add(Line::Of(repo.clone())).map_err(failed)?;
        }
        Ok(draft)
    }

    /// The page to read next: `Some(None)` the first; `None` when the list is read.
    #[allow(clippy::option_option, reason = "the first page has no token")]
    fn next_page(&self, list: HistoryList) -> Option<Option<String>> {
        match self.reached.get(list.noun()) {
            None => Some(None),
            Some(next) => next.clone().map(Some),
        }
    }

    fn add(&mut self, line: Line) -> std::io::Result<()> {
        let mut text = serde_json::to_string(&line)?;
        text.push('\n');
        self.writer.write_all(text.as_bytes())?;
        self.take_in(line);
        Ok(())
    }

    fn take_in(&mut self, line: Line) {
        match line {
            Line::Of(_) => {}
            Line::Page { list, next, rows } => {
                self.reached.insert(list.noun(), next);
                for row in rows {
                    match row {
                        HistoryRow::Record(record) => {
                            let key = (record.kind == RecordKind::Pull, record.number);
                            self.records.insert(key, *record);
                        }
                        HistoryRow::Happening(number, happening) => self.happenings.push((number, happening)),
                    }
                }
            }
            Line::Absent { list } => {
                self.reached.insert(list.noun(), None);
                self.absent.insert(list.noun());
            }
            Line::Files { number, files } => _ = self.files.insert(number, files),
        }
    }

    fn merged(&self) -> impl Iterator<Item = &Record> {
        self.records.values().filter(|record| record.merged_at.is_some())
    }

    fn without_files(&self, wanted: bool) -> Vec<IssueNumber> {
        let lacking = self.merged().map(|pull| pull.number).filter(|number| !self.files.contains_key(number));
        if wanted { lacking.collect() } else { Vec::new() }
    }

    fn so_far(&self, with_files: bool) -> Recorded {
        let pulls = self.records.keys().filter(|(is_pull, _)| *is_pull).count();
        Recorded {
            issues: self.records.len() - pulls,
            pulls,
            happenings: self.happenings.len(),
            pulls_with_files: self.files.len(),
            pulls_wanted: if with_files { self.merged().count() } else { 0 },
            pause_seconds: None,
            without_events: self.absent.contains(HistoryList::Events.noun()),
        }
    }

    /// Puts everything together, in the file `out`, at once; then the draft goes.
    fn write_out(mut self, out: &Path) -> std::io::Result<()> {
        let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let mut writer = BufWriter::new(tempfile::NamedTempFile::new_in(folder)?);
        self.happenings.sort_by_key(|(_, happening)| happening.at);
        let is_pull: BTreeSet<IssueNumber> =
            self.records.keys().filter(|(is_pull, _)| *is_pull).map(|(_, number)| *number).collect();
        for (number, happening) in self.happenings {
            if let Some(record) = self.records.get_mut(&(is_pull.contains(&number), number)) {
                record.events.push(happening);
            }
        }
        for ((is_pull, number), mut record) in self.records {
            record.files = if is_pull { self.files.remove(&number).unwrap_or_default() } else { Vec::new() };
            serde_json::to_writer(&mut writer, &record)?;
            writer.write_all(b"\n")?;
        }
        let file = writer.into_inner()?;
        file.as_file().sync_all()?;
        file.persist(out)?;
        std::fs::remove_file(&self.path)
    }
}
