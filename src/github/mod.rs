//! Where issues come from: a port, GitHub behind it through octocrab, and a file of JSON lines.

mod access;
mod credentials;
mod delivery;
mod file;
mod forge;
mod forge_calls;
mod forge_models;
mod gh;
mod history;
mod installations;
mod kept_list;
mod label_models;
mod models;
mod octocrab;
mod pace;
mod paging;
mod pause;
mod pull_models;
mod readings;
mod repos;
mod transport;

use std::collections::HashSet;
use std::fmt;
use std::time::Duration;

use async_trait::async_trait;

use crate::domain::{Blocker, Comment, Feedback, Issue, IssueRef, PullRequest, PullSigns, Repo, RepoName, Timestamp};
use crate::store::SyncCursor;

pub use self::credentials::{AppKey, Credentials};
pub use self::delivery::{Delivery, DeliveryError, read_delivery};
pub use self::file::FileSource;
pub use self::forge::{CommentId, Forge, ForgePull, Label, OWN_COMMENT_HEAD, PullWish, Remote, Reply};
pub use self::history::{HistoryList, HistoryPage, HistoryRow};
pub use self::octocrab::GithubSource;

/// The port. No call of it stands on the claim path.
#[async_trait]
pub trait IssueSource: Send + Sync + fmt::Debug + 'static {
    /// What it reads from, for people: `GitHub at https://api.github.com`, `file issues.jsonl`.
    fn description(&self) -> String;
    /// Every repository the credentials reach, and those named in the configuration.
    async fn repo_list(&self) -> Result<RepoList, SourceError>;
    /// One page of the issues that changed since `cursor` in any of the repositories that
    /// [`RepoList::followed`] names, newest change first; `None` when the source has no such list. With
    /// an empty cursor the first page says where to begin, and its issues are only some.
    async fn change_page(&self, cursor: &SyncCursor, page: Option<PageToken>)
    -> Result<Option<IssuePage>, SourceError>;
    /// One page of the issues of `repo` that changed since `cursor` (all open ones, if it is empty),
    /// newest change first. `page` continues a walk; `None` begins one.
    async fn issue_page(
        &self,
        repo: &RepoName,
        cursor: &SyncCursor,
        page: Option<PageToken>,
    ) -> Result<IssuePage, SourceError>;
    /// One issue as it is now; `None` when there is none, or it is a pull request.
    async fn issue_get(&self, issue: &IssueRef) -> Result<Option<Issue>, SourceError>;
    /// The comments below one issue, oldest first; bounded.
    async fn comment_list(&self, issue: &IssueRef) -> Result<Vec<Comment>, SourceError>;
    /// The issues that block one by GitHub's dependencies, unless the list still has the tag `etag`.
    async fn blocker_list(&self, issue: &IssueRef, etag: Option<&str>) -> Result<TaggedList<Blocker>, SourceError>;
    /// Who put which labels on an issue and who took them off, and when its title was changed, oldest first,
    /// unless the list still has the tag `etag`.
    async fn label_history(&self, issue: &IssueRef, etag: Option<&str>) -> Result<TaggedList<LabelEvent>, SourceError>;
    /// When the text below the title of an issue was last edited; `None` if never.
    async fn text_edited_at(&self, issue: &IssueRef) -> Result<Option<Timestamp>, SourceError>;
    /// One pull request as it is now; `None` when there is none.
    async fn pull_get(&self, pull: &IssueRef) -> Result<Option<PullRequest>, SourceError>;
    /// One page of the pull requests of `repo`, open and closed, that changed since `cursor` (with an
    /// empty one: all), newest change first. `page` continues a walk; `None` begins one.
    async fn pull_page(
        &self,
        repo: &RepoName,
        cursor: &SyncCursor,
        page: Option<PageToken>,
    ) -> Result<PullPage, SourceError>;
    /// What was said on a pull request since `since`: reviews that ask for changes, comments on lines,
    /// comments below it. Oldest first; bounded.
    async fn feedback_list(&self, pull: &PullRequest, since: Option<Timestamp>) -> Result<Vec<Feedback>, SourceError>;
    /// A file of a repository's default branch, unless it still has the tag `etag`.
    async fn file_get(&self, _repo: &RepoName, _path: &str, _etag: Option<&str>) -> Result<FileReading, SourceError> {
        Ok(FileReading::Absent)
    }
    /// The files that a pull request touches; bounded.
    async fn pull_files(&self, _pull: &IssueRef) -> Result<Vec<String>, SourceError> {
        Ok(Vec::new())
    }
    /// What reviewers and checks say of an open pull request; `None` where this source cannot tell.
    async fn pull_signs(&self, _pull: &PullRequest) -> Result<Option<PullSigns>, SourceError> {
        Ok(None)
    }
    /// Closes an issue as completed.
    async fn issue_close(&self, issue: &IssueRef) -> Result<(), SourceError>;
}

/// A file that was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FileReading {
    /// It is as it was.
    Unchanged,
    /// There is none, or none that can be read.
    Absent,
    /// It is this.
    Found {
        /// Its text; bytes that are no text are replaced.
        text: String,
        /// GitHub's tag of it.
        etag: Option<String>,
    },
}

/// The repositories a source reaches.
#[derive(Debug, Default)]
pub struct RepoList {
    /// By name, each once.
    pub repos: Vec<Repo>,
    /// Those whose changes [`IssueSource::change_page`] shows.
    pub followed: HashSet<RepoName>,
    /// Why some are missing, if some are: then nothing can be told from a repository's absence.
    pub incomplete: Option<SourceError>,
}

/// Where a walk over pages goes on: opaque outside the adapter that made it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageToken(pub String);

/// One page of a walk.
#[derive(Debug, Clone, Default)]
pub struct IssuePage {
    /// Issues, open and closed; never pull requests.
    pub issues: Vec<Issue>,
    /// Where to go on; `None` at the end of what changed since the cursor.
    pub next: Option<PageToken>,
    /// On the first page of a walk: the cursor to keep once the whole walk is applied.
    pub cursor: Option<SyncCursor>,
}

/// A list that is short enough to be read as a whole.
#[derive(Debug, Clone)]
pub struct TaggedList<T> {
    /// Its rows; `None` when they are as they were under the tag that was sent.
    pub rows: Option<Vec<T>>,
    /// The tag of this answer, to be sent next time.
    pub etag: Option<String>,
}

/// What happened to an issue, as far as its approval depends on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LabelEvent {
    /// A label was put on it.
    Put {
        /// Which.
        label: String,
        /// By whom: a login.
        by: String,
        /// When.
        at: Timestamp,
    },
    /// A label was taken off.
    Taken {
        /// Which.
        label: String,
    },
    /// Its title was changed.
    Renamed {
        /// When.
        at: Timestamp,
    },
}

/// One page of a walk over pull requests.
#[derive(Debug, Clone, Default)]
pub struct PullPage {
    /// Pull requests, open and closed.
    pub pulls: Vec<PullRequest>,
    /// Where to go on; `None` at the end of what changed since the cursor.
    pub next: Option<PageToken>,
    /// On the first page of a walk: the cursor to keep once the whole walk is taken in.
    pub cursor: Option<SyncCursor>,
}

/// Why a source could not answer. Never carries a response body: those may hold anything.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SourceError {
    /// There is no such thing, or the token may not see it.
    #[error("{what} was not found, or the token may not see it")]
    NotFound {
        /// What was asked for.
        what: String,
    },
    /// The token is wrong, or lacks a permission.
    #[error("GitHub refused to {what} ({status}): check the token and its permissions")]
    Denied {
        /// What was attempted, to follow "refused to".
        what: String,
        /// The HTTP status.
        status: u16,
    },
    /// The budget of the token is used up, or GitHub asks for a pause. Holds for every call of the token.
    #[error("GitHub asks for a pause of {} s", retry_after.as_secs().max(1))]
    Paused {
        /// How long.
        retry_after: Duration,
    },
    /// No usable answer: a broken connection, a timeout, a server error, or an answer out of form.
    #[error("could not {what}: {why}")]
    Unavailable {
        /// What was attempted, to follow "could not".
        what: String,
        /// What went wrong, without the answer's text.
        why: String,
    },
    /// This source cannot do that.
    #[error("cannot {what}: {why}")]
    Unsupported {
        /// What was attempted, to follow "cannot".
        what: String,
        /// Why not.
        why: String,
    },
}
