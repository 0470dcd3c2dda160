//! What happened in a repository, read list by list: what a history for replays is made of.

use serde::{Deserialize, Serialize};

use super::models::{self, Named, author};
use super::transport::Ask;
use super::{GithubSource, PageToken, SourceError};
use crate::domain::{Happening, IssueNumber, IssueRef, Record, RecordKind, RepoName, Timestamp, refs_closed_by};

/// Most pages of files read of one pull request: GitHub shows 3,000 files, 100 a page.
const FILE_PAGE_COUNT_MAX: usize = 30;

/// A list that a history is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HistoryList {
    /// Every issue, open and closed, the oldest first.
    Issues,
    /// Every pull request, open and closed, the oldest first.
    Pulls,
    /// What happened to either.
    Events,
    /// Who commented on either, and when; not what they wrote.
    Comments,
}

/// One row of such a list.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HistoryRow {
    /// An issue or pull request, as it is now.
    Record(Box<Record>),
    /// Something that happened to one.
    Happening(IssueNumber, Happening),
}

/// One page of such a list.
#[derive(Debug, Default)]
pub struct HistoryPage {
    /// Its rows.
    pub rows: Vec<HistoryRow>,
    /// Where the list goes on; `None` at its end.
    pub next: Option<PageToken>,
}

impl HistoryList {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Issues, Self::Pulls, Self::Events, Self::Comments];

    /// What it is called, to follow "the" and before "of".
    pub fn noun(self) -> &'static str {
        match self {
            Self::Issues => "issues",
            Self::Pulls => "pull requests",
            Self::Events => "events",
            Self::Comments => "comments",
        }
    }

    fn first_page(self, repo: &RepoName) -> String {
        match self {
            Self::Issues => format!("/repos/{repo}/issues?state=all&sort=created&direction=asc&per_page=100"),
            Self::Pulls => format!("/repos/{repo}/pulls?state=all&sort=created&direction=asc&per_page=100"),
            Self::Events => format!("/repos/{repo}/issues/events?per_page=100"),
            Self::Comments => format!("/repos/{repo}/issues/comments?sort=created&direction=asc&per_page=100"),
        }
    }

    fn rows(self, body: &[u8], repo: &RepoName, what: &str) -> Result<Vec<HistoryRow>, String> {
        match self {
            Self::Issues => {
                let rows = models::rows::<RawRecord>(body, what)?.into_iter();
                Ok(rows
                    .filter(|row| row.pull_request.is_none())
                    .filter_map(|row| row.told(repo, RecordKind::Issue))
                    .collect())
            }
            Self::Pulls => {
                let rows = models::rows::<RawRecord>(body, what)?.into_iter();
                Ok(rows.filter_map(|row| row.told(repo, RecordKind::Pull)).collect())
            }
            Self::Events => Ok(models::rows::<RawEvent>(body, what)?.into_iter().filter_map(RawEvent::told).collect()),
            Self::Comments => {
                Ok(models::rows::<RawRemark>(body, what)?.into_iter().filter_map(RawRemark::told).collect())
            }
        }
    }
}

impl GithubSource {
    /// One page of a list of `repo`; `page` continues, `None` begins.
    ///
    /// # Errors
    /// [`SourceError`]; [`SourceError::NotFound`] also where GitHub has no such list.
    pub async fn history_page(
        &self,
        repo: &RepoName,
        list: HistoryList,
        page: Option<PageToken>,
    ) -> Result<HistoryPage, SourceError> {
        let ask = Ask::to("list the past of", format!("{repo} ({})", list.noun()));
        let path = page.map_or_else(|| list.first_page(repo), |PageToken(path)| path);
        let answer = self.way_to(repo).await?.get(&ask, &path, None).await?;
        let rows = list.rows(&answer.body, repo, &ask.to_string()).map_err(|why| ask.unavailable(why))?;
        Ok(HistoryPage { rows, next: answer.next.map(PageToken) })
    }

    /// The files that a pull request changes.
    ///
    /// # Errors
    /// [`SourceError`].
    pub async fn history_files(&self, pull: &IssueRef) -> Result<Vec<String>, SourceError> {
        let ask = Ask::to("list the files of", pull);
        let first = format!("/repos/{}/pulls/{}/files?per_page=100", pull.repo, pull.number);
        let transport = self.way_to(&pull.repo).await?;
        let files: Vec<RawFile> = Self::rows(&transport, &ask, &first, FILE_PAGE_COUNT_MAX).await?;
        Ok(files.into_iter().map(|file| file.filename).collect())
    }
}

#[derive(Debug, Deserialize)]
struct RawFile {
    filename: String,
}

/// An issue or pull request.
#[derive(Debug, Deserialize)]
struct RawRecord {
    number: u64,
    title: Option<String>,
    state: Option<String>,
    body: Option<String>,
    user: Option<Named>,
    author_association: Option<String>,
    labels: Option<Vec<Named>>,
    assignees: Option<Vec<Named>>,
    milestone: Option<Named>,
    /// Lists of pull requests do not tell.
    comments: Option<u32>,
    created_at: Timestamp,
    updated_at: Option<Timestamp>,
    closed_at: Option<Timestamp>,
    state_reason: Option<String>,
    merged_at: Option<Timestamp>,
    pull_request: Option<serde::de::IgnoredAny>,
}

impl RawRecord {
    /// The row; `None` where there is no such number.
    fn told(self, repo: &RepoName, kind: RecordKind) -> Option<HistoryRow> {
        let (title, body) = (self.title.unwrap_or_default(), self.body.unwrap_or_default());
        let fixes = match kind {
            RecordKind::Issue => Vec::new(),
            RecordKind::Pull => {
                let closed = refs_closed_by(&title, &body, repo).into_iter();
                closed.filter(|issue| issue.repo == *repo).map(|issue| issue.number).collect()
            }
        };
        Some(HistoryRow::Record(Box::new(Record {
            repo: repo.clone(),
            kind,
            number: IssueNumber::new(self.number).ok()?,
            title,
            state: self.state.unwrap_or_default(),
            body,
            user: author(self.user),
            author_association: self.author_association.unwrap_or_default(),
            labels: models::texts(self.labels),
            assignees: models::texts(self.assignees),
            milestone: models::texts(self.milestone.map(|milestone| vec![milestone])).pop(),
            comments: self.comments.unwrap_or_default(),
            created_at: self.created_at,
            updated_at: self.updated_at,
            closed_at: self.closed_at,
            state_reason: self.state_reason,
            merged_at: self.merged_at,
            fixes,
            files: Vec::new(),
            events: Vec::new(),
        })))
    }
}

/// An event of a repository's list.
#[derive(Debug, Deserialize)]
struct RawEvent {
    event: Option<String>,
    created_at: Option<Timestamp>,
    actor: Option<Named>,
    label: Option<Named>,
    milestone: Option<Named>,
    assignee: Option<Named>,
    commit_id: Option<String>,
    issue: Option<RawNumber>,
}

#[derive(Debug, Deserialize)]
struct RawNumber {
    number: u64,
}

impl RawEvent {
    fn told(self) -> Option<HistoryRow> {
        let name = |named: Option<Named>| models::texts(named.map(|named| vec![named])).pop();
        let happening = Happening {
            event: self.event?,
            at: self.created_at,
            actor: name(self.actor),
            label: name(self.label),
            milestone: name(self.milestone),
            assignee: name(self.assignee),
            commit: self.commit_id,
        };
        Some(HistoryRow::Happening(IssueNumber::new(self.issue?.number).ok()?, happening))
    }
}

/// A comment, of which only who and when matters.
#[derive(Debug, Deserialize)]
struct RawRemark {
    issue_url: String,
    user: Option<Named>,
    created_at: Timestamp,
}

impl RawRemark {
    fn told(self) -> Option<HistoryRow> {
        let number = self.issue_url.rsplit('/').next()?.parse().ok()?;
        let happening = Happening {
            event: "commented".into(),
            at: Some(self.created_at),
            actor: Some(author(self.user)),
            label: None,
            milestone: None,
            assignee: None,
            commit: None,
        };
        Some(HistoryRow::Happening(IssueNumber::new(number).ok()?, happening))
    }
}
