//! Issues from JSON lines: a file that people or another program write, or a text built in.
//!
//! One line is one issue: `{"repo":"acme/small","number":1,"title":"...","created_at":"..."}`, with
//! `body`, `state`, `labels`, `assignees`, `milestone`, `author`, `updated_at` and the like as they are
//! known. Lines of another `kind` than `issue` are passed over; of several lines about one issue the
//! last counts. A file that changed is read again as a whole.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use async_trait::async_trait;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tracing::warn;

use super::models::{self, RawIssue};
use super::{IssuePage, IssueSource, LabelEvent, PageToken, PullPage, RepoList, SourceError, TaggedList};
use crate::domain::{
    Blocker, Comment, Feedback, Issue, IssueNumber, IssueRef, IssueState, PullRequest, Repo, RepoName, Timestamp,
};
use crate::store::SyncCursor;

/// Issues on one page.
const PAGE_ISSUE_COUNT: usize = 1_000;
/// Largest file read, in bytes.
const FILE_BYTES_MAX: u64 = 512 * 1024 * 1024;
/// Bad lines told one by one; the rest are counted.
const BAD_LINE_COUNT_TOLD_MAX: usize = 10;

/// Issues read from JSON lines.
#[derive(Debug)]
pub struct FileSource {
    path: Option<PathBuf>,
    present: Mutex<Option<Arc<Contents>>>,
}

/// A file's size and time of change: what tells that it must be read again.
type Stamp = (u64, Option<SystemTime>);

#[derive(Debug)]
struct Contents {
    stamp: Option<Stamp>,
    /// A digest of the text, in hex: the tag of conditional reading.
    digest: String,
    repos: BTreeMap<RepoName, BTreeMap<IssueNumber, Issue>>,
}

impl FileSource {
    /// Reads from the file at `path`, when asked, and again whenever it changed.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: Some(path.into()), present: Mutex::new(None) }
    }

    /// Reads from a text built in.
    ///
    /// # Errors
    /// [`SourceError::Unavailable`] when no line of it describes an issue as it should.
    pub fn from_text(text: &str) -> Result<Self, SourceError> {
        let contents = Contents::parse(text, None).map_err(|why| unavailable("the built-in issues", why))?;
        Ok(Self { path: None, present: Mutex::new(Some(Arc::new(contents))) })
    }

    fn name(&self) -> String {
        self.path.as_ref().map_or_else(|| "the built-in issues".into(), |path| format!("file {}", path.display()))
    }

    /// What it holds now.
    async fn contents(&self) -> Result<Arc<Contents>, SourceError> {
        let known = self.present.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let Some(path) = self.path.clone() else {
            return known.ok_or_else(|| unavailable(&self.name(), "it is empty".into()));
        };
        let fresh = tokio::task::spawn_blocking(move || Contents::read(&path, known)).await;
        let fresh = fresh.unwrap_or_else(|_| Err("reading it was cut short".into()));
        let fresh = fresh.map_err(|why| unavailable(&self.name(), why))?;
        *self.present.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&fresh));
        Ok(fresh)
    }
}

fn unavailable(name: &str, why: String) -> SourceError {
    SourceError::Unavailable { what: format!("read {name}"), why }
}

impl Contents {
    /// The file's contents: `known` if it did not change since.
    fn read(path: &Path, known: Option<Arc<Self>>) -> Result<Arc<Self>, String> {
        let described = std::fs::metadata(path).map_err(|error| error.to_string())?;
        let stamp = Some((described.len(), described.modified().ok()));
        if let Some(known) = known.filter(|known| known.stamp == stamp) {
            return Ok(known);
        }
        if described.len() > FILE_BYTES_MAX {
            return Err(format!("it is larger than {FILE_BYTES_MAX} bytes"));
        }
        let text = std::fs::read_to_string(path).map_err(|error| error.to_string())?;
        Self::parse(&text, stamp).map(Arc::new)
    }

    fn parse(text: &str, stamp: Option<Stamp>) -> Result<Self, String> {
        let mut repos: BTreeMap<RepoName, BTreeMap<IssueNumber, Issue>> = BTreeMap::new();
        let (mut good, mut bad) = (0, Vec::new());
        for (index, line) in text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()) {
            match parse_line(line) {
                Ok(Some(issue)) => {
                    good += 1;
                    repos.entry(issue.repo.clone()).or_default().insert(issue.number, issue);
                }
                Ok(None) => good += 1,
                Err(why) => bad.push((index + 1, why)),
            }
        }
        if let (0, Some((line, why))) = (good, bad.first()) {
            return Err(format!("no line of it describes an issue; line {line} is {why}"));
        }
        for (line, why) in bad.iter().take(BAD_LINE_COUNT_TOLD_MAX) {
            warn!(line, "left out line {line} of the issues: {why}");
        }
        if bad.len() > BAD_LINE_COUNT_TOLD_MAX {
            warn!("left out {} lines of the issues in all", bad.len());
        }
        Ok(Self { stamp, digest: digest(text), repos })
    }
}

/// One line: an issue, or `None` for a line of another kind.
fn parse_line(line: &str) -> Result<Option<Issue>, String> {
    let value: Value = serde_json::from_str(line).map_err(|error| models::not_json(&error))?;
    if value.get("kind").and_then(Value::as_str).is_some_and(|kind| kind != "issue") {
        return Ok(None);
    }
    let raw: RawIssue = models::row(value)?;
    let repo = raw.repo.as_deref().ok_or("out of form at repo: every line names its repository")?;
    let repo: RepoName = repo.parse().map_err(|error| format!("out of form at repo: {error}"))?;
    if raw.is_pull_request() {
        return Ok(None);
    }
    raw.into_issue(&repo).map(Some).map_err(|field| format!("out of form at {field}"))
}

/// Comments belong to an issue's details, not to lists.
fn without_comments(issue: &Issue) -> Issue {
    Issue { comments: Vec::new(), ..issue.clone() }
}

fn digest(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[async_trait]
impl IssueSource for FileSource {
    fn description(&self) -> String {
        self.name()
    }

    async fn repo_list(&self) -> Result<RepoList, SourceError> {
        let repos = self.contents().await?.repos.keys().cloned().map(Repo::named).collect();
        Ok(RepoList { repos, ..RepoList::default() })
    }

    /// A file has no list across its repositories.
    async fn change_page(&self, _: &SyncCursor, _: Option<PageToken>) -> Result<Option<IssuePage>, SourceError> {
        Ok(None)
    }

    /// The tag of the cursor is a digest of the file: people who edit a line seldom edit its
    /// `updated_at` too, so a file that changed is read anew as a whole.
    async fn issue_page(
        &self,
        repo: &RepoName,
        cursor: &SyncCursor,
        page: Option<PageToken>,
    ) -> Result<IssuePage, SourceError> {
        let contents = self.contents().await?;
        let issues = contents
            .repos
            .get(repo)
            .ok_or_else(|| SourceError::NotFound { what: format!("{repo} in {}", self.name()) })?;
        let from = match &page {
            None if cursor.etag.as_ref() == Some(&contents.digest) => {
                return Ok(IssuePage { cursor: Some(cursor.clone()), ..IssuePage::default() });
            }
            None => 0,
            Some(PageToken(token)) => match token.split_once(':') {
                Some((digest, from)) if digest == contents.digest => from.parse().unwrap_or(0),
                _ => {
                    return Err(unavailable(
                        &self.name(),
                        "it changed while it was read; the next sync goes on".into(),
                    ));
                }
            },
        };
        let mut wanted: Vec<&Issue> =
            issues.values().filter(|i| cursor.etag.is_some() || i.state == IssueState::Open).collect();
        wanted.sort_by_key(|issue| std::cmp::Reverse((issue.updated_at, issue.number)));
        let end = (from + PAGE_ISSUE_COUNT).min(wanted.len());
        Ok(IssuePage {
            issues: wanted.get(from..end).unwrap_or_default().iter().map(|issue| without_comments(issue)).collect(),
            next: (end < wanted.len()).then(|| PageToken(format!("{}:{end}", contents.digest))),
            // Without a time: if the same store is later synced with GitHub, that begins from the start.
            cursor: page.is_none().then(|| SyncCursor { etag: Some(contents.digest.clone()), updated_at: None }),
        })
    }

    async fn issue_get(&self, issue: &IssueRef) -> Result<Option<Issue>, SourceError> {
        let contents = self.contents().await?;
        Ok(contents.repos.get(&issue.repo).and_then(|issues| issues.get(&issue.number)).cloned())
    }

    async fn comment_list(&self, issue: &IssueRef) -> Result<Vec<Comment>, SourceError> {
        Ok(self.issue_get(issue).await?.map(|issue| issue.comments).unwrap_or_default())
    }

    /// A file tells of no dependencies but those that the texts name.
    async fn blocker_list(&self, _: &IssueRef, etag: Option<&str>) -> Result<TaggedList<Blocker>, SourceError> {
        Ok(TaggedList { rows: None, etag: etag.map(str::to_owned) })
    }

    /// A file does not tell who wrote it.
    async fn label_history(&self, _: &IssueRef, etag: Option<&str>) -> Result<TaggedList<LabelEvent>, SourceError> {
        Ok(TaggedList { rows: None, etag: etag.map(str::to_owned) })
    }

    async fn text_edited_at(&self, issue: &IssueRef) -> Result<Option<Timestamp>, SourceError> {
        let why = format!("issues come from {}, which does not say", self.name());
        Err(SourceError::Unsupported { what: format!("tell when {issue} was edited"), why })
    }

    /// A file holds no pull requests; lines about them are passed over.
    async fn pull_get(&self, _: &IssueRef) -> Result<Option<PullRequest>, SourceError> {
        Ok(None)
    }

    async fn pull_page(
        &self,
        _: &RepoName,
        cursor: &SyncCursor,
        _: Option<PageToken>,
    ) -> Result<PullPage, SourceError> {
        Ok(PullPage { cursor: Some(cursor.clone()), ..PullPage::default() })
    }

    async fn feedback_list(&self, _: &PullRequest, _: Option<Timestamp>) -> Result<Vec<Feedback>, SourceError> {
        Ok(Vec::new())
    }

    async fn issue_close(&self, issue: &IssueRef) -> Result<(), SourceError> {
        let why = format!("issues come from {}, which is only read; close it there", self.name());
        Err(SourceError::Unsupported { what: format!("close {issue}"), why })
    }
}
