//! GitHub through octocrab: its transport and authentication, our own lenient models and paging.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use serde_json::json;
use tracing::{debug, info, warn};

use super::forge_calls::ForgeMemory;
use super::label_models::{LAST_EDIT, RawEvent, RawLastEdit};
use super::models::{self, RawComment, RawIssue};
use super::pull_models::{RawFeedback, RawPull};
use super::readings::{self, Readings};
use super::repos::Ways;
use super::transport::{Answer, Ask, Transport};
use super::{
    Credentials, FileReading, IssuePage, IssueSource, LabelEvent, PageToken, PullPage, RepoList, SourceError,
    TaggedList,
};
use crate::config::GithubConfig;
use crate::domain::{
    Blocker, Comment, Feedback, FeedbackKind, Issue, IssueRef, PullRequest, PullSigns, RepoName, Timestamp,
};
use crate::store::SyncCursor;

/// Most pages of comments, or of reviews, read below one issue: the first 1,000.
const COMMENT_PAGE_COUNT_MAX: usize = 10;
/// Most further pages of what happened to one issue: 3,000 events in all. One with more is left as it is.
const EVENT_PAGE_COUNT_MAX: usize = 29;
/// The issues of all repositories that a token's account belongs to: one fixed address, so that its tag
/// tells at no cost that nothing changed anywhere.
const CHANGES: &str = "/issues?filter=all&state=all&sort=updated&direction=desc&per_page=100";

/// The issues of GitHub, or of a GitHub Enterprise server.
pub struct GithubSource {
    pub(super) ways: Ways,
    description: String,
    /// GitHub has no list across this account's repositories: found out once.
    has_no_changes: AtomicBool,
    readings: Readings,
    /// What the calls of [`Forge`](super::Forge) found out once.
    pub(super) forge: ForgeMemory,
}

impl fmt::Debug for GithubSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GithubSource").field("description", &self.description).finish_non_exhaustive()
    }
}

impl GithubSource {
    /// Prepares the connection that `config` describes, with `credentials`; sends nothing yet. Without
    /// any only public repositories named in the configuration are read. Needs a tokio runtime.
    ///
    /// # Errors
    /// [`SourceError::Unsupported`], naming the setting, when they cannot be used as they are.
    pub fn new(config: &GithubConfig, credentials: Credentials) -> Result<Self, SourceError> {
        let parse = |text: &String| {
            let what = "read github.repositories".to_owned();
            text.parse().map_err(|error| SourceError::Unsupported { what, why: format!("{error}") })
        };
        let configured = config.repositories.iter().map(parse).collect::<Result<_, SourceError>>()?;
        let description = format!("GitHub at {}, {credentials}", config.api_url);
        let ways = Ways::new(config, credentials, configured)?;
        let (has_no_changes, readings) = (AtomicBool::new(false), Readings::default());
        Ok(Self { ways, description, has_no_changes, readings, forge: ForgeMemory::default() })
    }

    /// The way to one repository.
    pub(super) async fn way_to(&self, repo: &RepoName) -> Result<Arc<Transport>, SourceError> {
        self.ways.to(repo).await
    }

    /// Every row of a paged list, up to `page_count_max` pages.
    pub(super) async fn rows<T: serde::de::DeserializeOwned>(
        transport: &Transport,
        ask: &Ask,
        first: &str,
        page_count_max: usize,
    ) -> Result<Vec<T>, SourceError> {
        let mut rows = Vec::new();
        let mut path = first.to_owned();
        for _ in 0..page_count_max {
            let answer = transport.get(ask, &path, None).await?;
            rows.append(&mut models::rows(&answer.body, &ask.to_string()).map_err(|why| ask.unavailable(why))?);
            match answer.next {
                Some(next) => path = next,
                None => return Ok(rows),
            }
        }
        debug!("could {ask} only up to page {page_count_max}: there are more");
        Ok(rows)
    }
}

#[async_trait]
impl IssueSource for GithubSource {
    fn description(&self) -> String {
        self.description.clone()
    }

    async fn repo_list(&self) -> Result<RepoList, SourceError> {
        self.ways.repo_list().await
    }

    async fn change_page(
        &self,
        cursor: &SyncCursor,
        page: Option<PageToken>,
    ) -> Result<Option<IssuePage>, SourceError> {
        let Some(transport) = self.ways.of_account().filter(|_| !self.has_no_changes.load(Ordering::Relaxed)) else {
            return Ok(None);
        };
        let ask = Ask::to("list", "the issues of the token's account");
        let answer = match begin_or_go_on(transport, &ask, CHANGES, cursor.etag.as_deref(), page.as_ref()).await {
            Err(SourceError::NotFound { .. } | SourceError::Denied { .. }) if page.is_none() => {
                info!("GitHub offers no list across repositories here: each is asked by itself");
                self.has_no_changes.store(true, Ordering::Relaxed);
                return Ok(None);
            }
            answer => answer?,
        };
        if answer.unchanged {
            return Ok(Some(IssuePage { cursor: Some(cursor.clone()), ..IssuePage::default() }));
        }
        let rows: Vec<RawIssue> = models::rows(&answer.body, &ask.to_string()).map_err(|why| ask.unavailable(why))?;
        let walk = Walk { since: cursor.updated_at, begins: page.is_none(), keeps_tag: true };
        let page = walk.page(rows, answer, RawIssue::changed_at);
        let issues = page.rows.into_iter().filter(|row| !row.is_pull_request()).filter_map(|row| {
            let repo = row.named_repo()?;
            told(row.into_issue(&repo), &repo, "an issue")
        });
        Ok(Some(IssuePage { issues: issues.collect(), next: page.next, cursor: page.cursor }))
    }

    async fn issue_page(
        &self,
        repo: &RepoName,
        cursor: &SyncCursor,
        page: Option<PageToken>,
    ) -> Result<IssuePage, SourceError> {
        let ask = Ask::to("list the issues of", repo);
        // Only a fixed address is ever asked for with a tag: a tag belongs to one address.
        let state = if cursor.updated_at.is_some() { "all" } else { "open" };
        let first = format!("/repos/{repo}/issues?state={state}&sort=updated&direction=desc&per_page=100");
        let etag = cursor.etag.as_deref().filter(|_| cursor.updated_at.is_some());
        let transport = self.ways.to(repo).await?;
        let answer = begin_or_go_on(&transport, &ask, &first, etag, page.as_ref()).await?;
        if answer.unchanged {
            return Ok(IssuePage { cursor: Some(cursor.clone()), ..IssuePage::default() });
        }
        let rows: Vec<RawIssue> = models::rows(&answer.body, &ask.to_string()).map_err(|why| ask.unavailable(why))?;
        // The tag of a first walk belongs to another address (`state=open`).
        let keeps_tag = cursor.updated_at.is_some();
        let walk = Walk { since: cursor.updated_at, begins: page.is_none(), keeps_tag };
        let page = walk.page(rows, answer, RawIssue::changed_at);
        let issues = page.rows.into_iter().filter(|row| !row.is_pull_request());
        let issues = issues.filter_map(|row| told(row.into_issue(repo), repo, "an issue")).collect();
        Ok(IssuePage { issues, next: page.next, cursor: page.cursor })
    }

    async fn issue_get(&self, issue: &IssueRef) -> Result<Option<Issue>, SourceError> {
        let ask = Ask::to("read the issue", issue);
        let answer = match self.ways.to(&issue.repo).await?.get(&ask, &issue_path(issue), None).await {
            Ok(answer) => answer,
            Err(SourceError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let raw: RawIssue = models::single(&answer.body).map_err(|why| ask.unavailable(why))?;
        if raw.is_pull_request() || !raw.is(&issue.repo, issue.number) {
            return Ok(None);
        }
        raw.into_issue(&issue.repo).map(Some).map_err(|field| ask.unavailable(format!("out of form at {field}")))
    }

    async fn comment_list(&self, issue: &IssueRef) -> Result<Vec<Comment>, SourceError> {
        let ask = Ask::to("list the comments of", issue);
        let first = format!("{}/comments?per_page=100", issue_path(issue));
        let transport = self.ways.to(&issue.repo).await?;
        let rows: Vec<RawComment> = Self::rows(&transport, &ask, &first, COMMENT_PAGE_COUNT_MAX).await?;
        Ok(rows.into_iter().map(RawComment::into_comment).collect())
    }

    async fn blocker_list(&self, issue: &IssueRef, etag: Option<&str>) -> Result<TaggedList<Blocker>, SourceError> {
        let ask = Ask::to("list what blocks", issue);
        // GitHub lets fifty block one issue, so there is no second page.
        let path = format!("{}/dependencies/blocked_by?per_page=100", issue_path(issue));
        let answer = self.ways.to(&issue.repo).await?.get(&ask, &path, etag).await?;
        if answer.unchanged {
            return Ok(TaggedList { rows: None, etag: etag.map(str::to_owned) });
        }
        let rows: Vec<RawIssue> = models::rows(&answer.body, &ask.to_string()).map_err(|why| ask.unavailable(why))?;
        let blockers = rows.into_iter().filter_map(|row| {
            let repo = row.named_repo().unwrap_or_else(|| issue.repo.clone());
            told(row.into_issue(&repo), &issue.repo, "a dependency").map(|blocker| blocker.as_blocker())
        });
        Ok(TaggedList { rows: Some(blockers.collect()), etag: answer.etag })
    }

    async fn label_history(&self, issue: &IssueRef, etag: Option<&str>) -> Result<TaggedList<LabelEvent>, SourceError> {
        let ask = Ask::to("list what happened to", issue);
        let first = format!("{}/events?per_page=100", issue_path(issue));
        let transport = self.ways.to(&issue.repo).await?;
        let answer = transport.get(&ask, &first, etag).await?;
        if answer.unchanged {
            return Ok(TaggedList { rows: None, etag: etag.map(str::to_owned) });
        }
        let read = |body: &[u8]| models::rows::<RawEvent>(body, &ask.to_string()).map_err(|why| ask.unavailable(why));
        let mut events = read(&answer.body)?;
        // The tag of a full page would hide that another began behind it: the newest is on the last.
        let etag = answer.etag.filter(|_| answer.next.is_none() && events.len() < 100);
        if let Some(next) = answer.next {
            events.append(&mut Self::rows(&transport, &ask, &next, EVENT_PAGE_COUNT_MAX).await?);
        }
        // Who read only the oldest of them does not know what happened last: nothing is told then.
        if events.len() >= 100 * (EVENT_PAGE_COUNT_MAX + 1) {
            return Ok(TaggedList { rows: None, etag: None });
        }
        Ok(TaggedList { rows: Some(events.into_iter().filter_map(RawEvent::into_event).collect()), etag })
    }

    async fn text_edited_at(&self, issue: &IssueRef) -> Result<Option<Timestamp>, SourceError> {
        let ask = Ask::to("find out when somebody edited", issue);
        let variables = json!({ "owner": issue.repo.owner(), "name": issue.repo.name(), "number": issue.number });
        let body = json!({ "query": LAST_EDIT, "variables": variables });
        let answer = self.ways.to(&issue.repo).await?.post(&ask, "/graphql", &body).await?;
        let edit: RawLastEdit = models::single(&answer.body).map_err(|why| ask.unavailable(why))?;
        // GitHub tells of failures in an answer that is otherwise well.
        let edit = edit.into_edited_at().ok_or_else(|| ask.unavailable("the answer holds no issue"))?;
        Ok(edit)
    }

    async fn pull_get(&self, pull: &IssueRef) -> Result<Option<PullRequest>, SourceError> {
        let ask = Ask::to("read the pull request", pull);
        let path = format!("/repos/{}/pulls/{}", pull.repo, pull.number);
        let answer = match self.ways.to(&pull.repo).await?.get(&ask, &path, None).await {
            Ok(answer) => answer,
            Err(SourceError::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let raw: RawPull = models::single(&answer.body).map_err(|why| ask.unavailable(why))?;
        raw.into_pull(&pull.repo).map(Some).map_err(|field| ask.unavailable(format!("out of form at {field}")))
    }

    async fn pull_page(
        &self,
        repo: &RepoName,
        cursor: &SyncCursor,
        page: Option<PageToken>,
    ) -> Result<PullPage, SourceError> {
        let ask = Ask::to("list the pull requests of", repo);
        let first = format!("/repos/{repo}/pulls?state=all&sort=updated&direction=desc&per_page=100");
        let transport = self.ways.to(repo).await?;
        let answer = begin_or_go_on(&transport, &ask, &first, cursor.etag.as_deref(), page.as_ref()).await?;
        if answer.unchanged {
            return Ok(PullPage { cursor: Some(cursor.clone()), ..PullPage::default() });
        }
        let rows: Vec<RawPull> = models::rows(&answer.body, &ask.to_string()).map_err(|why| ask.unavailable(why))?;
        let walk = Walk { since: cursor.updated_at, begins: page.is_none(), keeps_tag: true };
        let page = walk.page(rows, answer, RawPull::changed_at);
        let pulls = page.rows.into_iter().filter_map(|row| told(row.into_pull(repo), repo, "a pull request")).collect();
        Ok(PullPage { pulls, next: page.next, cursor: page.cursor })
    }

    async fn feedback_list(&self, pull: &PullRequest, since: Option<Timestamp>) -> Result<Vec<Feedback>, SourceError> {
        let (repo, number) = (&pull.repo, pull.number);
        let transport = self.ways.to(repo).await?;
        let newer = since.map(|since| format!("&since={}", since.format("%Y-%m-%dT%H:%M:%SZ"))).unwrap_or_default();
        let lists = [
            (FeedbackKind::ReviewChangesRequested, format!("/repos/{repo}/pulls/{number}/reviews?per_page=100")),
            (FeedbackKind::ReviewComment, format!("/repos/{repo}/pulls/{number}/comments?per_page=100{newer}")),
            (FeedbackKind::PrComment, format!("/repos/{repo}/issues/{number}/comments?per_page=100{newer}")),
        ];
        let mut found = Vec::new();
        for (kind, first) in lists {
            let ask = Ask::to("list the feedback on", pull.pull_ref());
            let rows: Vec<RawFeedback> = Self::rows(&transport, &ask, &first, COMMENT_PAGE_COUNT_MAX).await?;
            let wanted = |row: &RawFeedback| kind != FeedbackKind::ReviewChangesRequested || row.requests_changes();
            found.extend(rows.into_iter().filter(wanted).filter_map(|row| row.into_feedback(kind, pull)));
        }
        // GitHub filters comments by their last edit, which also counts when a drafted one is sent; it does
        // not filter reviews.
        let is_review = |feedback: &Feedback| feedback.kind == FeedbackKind::ReviewChangesRequested;
        found.retain(|feedback| !is_review(feedback) || since.is_none_or(|since| feedback.created_at >= since));
        found.sort_by_key(|feedback| (feedback.created_at, feedback.id));
        Ok(found)
    }

    async fn file_get(&self, repo: &RepoName, path: &str, etag: Option<&str>) -> Result<FileReading, SourceError> {
        readings::file(&*self.ways.to(repo).await?, repo, path, etag).await
    }

    async fn pull_files(&self, pull: &IssueRef) -> Result<Vec<String>, SourceError> {
        readings::pull_files(&*self.ways.to(&pull.repo).await?, pull).await
    }

    async fn pull_signs(&self, pull: &PullRequest) -> Result<Option<PullSigns>, SourceError> {
        self.readings.signs_of(&*self.ways.to(&pull.repo).await?, pull).await.map(Some)
    }

    async fn issue_close(&self, issue: &IssueRef) -> Result<(), SourceError> {
        let body = json!({ "state": "closed", "state_reason": "completed" });
        let transport = self.ways.to(&issue.repo).await?;
        transport.patch(&Ask::to("close the issue", issue), &issue_path(issue), &body).await.map(drop)
    }
}

/// Where GitHub's REST interface has an issue, or a pull request seen as one.
pub(super) fn issue_path(issue: &IssueRef) -> String {
    format!("/repos/{}/issues/{}", issue.repo, issue.number)
}

/// A row in form; of another only the place is told.
fn told<T>(read: Result<T, &'static str>, repo: &RepoName, what: &str) -> Option<T> {
    read.map_err(|field| warn!(%repo, "left out {what} of {repo}: out of form at {field}")).ok()
}

/// The first page of a walk, unless it still has its tag; or the page where the walk goes on.
async fn begin_or_go_on(
    transport: &Transport,
    ask: &Ask,
    first: &str,
    etag: Option<&str>,
    page: Option<&PageToken>,
) -> Result<Answer, SourceError> {
    match page {
        Some(PageToken(path)) => transport.get(ask, path, None).await,
        None => transport.get(ask, first, etag).await,
    }
}

/// A walk over a list whose newest change comes first.
struct Walk {
    /// Only what changed since then.
    since: Option<Timestamp>,
    begins: bool,
    /// Whether the tag of the first page serves the next walk.
    keeps_tag: bool,
}

struct WalkPage<T> {
    rows: Vec<T>,
    next: Option<PageToken>,
    cursor: Option<SyncCursor>,
}

impl Walk {
    /// The part of a page that is new, and where the walk and the next one go on.
    fn page<T>(&self, rows: Vec<T>, answer: Answer, changed_at: impl Fn(&T) -> Timestamp) -> WalkPage<T> {
        let newest = rows.iter().map(&changed_at).max();
        // Rows of the very second of the cursor are read again: GitHub's times have no finer grain, and
        // something may have changed later in that second.
        let is_new = |row: &T| self.since.is_none_or(|since| changed_at(row) >= since);
        let reached = rows.iter().any(|row| !is_new(row));
        WalkPage {
            rows: rows.into_iter().filter(is_new).collect(),
            next: answer.next.filter(|_| !reached).map(PageToken),
            cursor: self.begins.then(|| SyncCursor {
                etag: answer.etag.filter(|_| self.keeps_tag),
                // An empty list is read as of now, by GitHub's clock: the next walk is conditional.
                updated_at: newest.max(self.since).or(answer.date),
            }),
        }
    }
}
