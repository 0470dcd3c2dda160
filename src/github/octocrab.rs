//! GitHub through octocrab: its transport and authentication, our own lenient models and paging.

use std::fmt;

use async_trait::async_trait;
use http::StatusCode;
use serde_json::json;
use tracing::{debug, warn};

use super::models::{self, RawComment, RawIssue, RawRepo};
use super::transport::{Answer, Ask, Transport};
use super::{IssuePage, IssueSource, PageToken, SourceError};
use crate::config::GithubConfig;
use crate::domain::{Comment, Issue, IssueRef, Repo, RepoName};
use crate::store::SyncCursor;

/// Most pages of repositories read: 100 each.
const REPO_PAGE_COUNT_MAX: usize = 500;
/// Most pages of comments read below one issue: the first 1,000 comments.
const COMMENT_PAGE_COUNT_MAX: usize = 10;

/// The issues of GitHub, or of a GitHub Enterprise server.
pub struct GithubSource {
    transport: Transport,
    api_url: String,
    authenticated: bool,
    configured: Vec<RepoName>,
}

impl fmt::Debug for GithubSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GithubSource").field("api_url", &self.api_url).finish_non_exhaustive()
    }
}

impl GithubSource {
    /// Prepares the connection that `config` describes; sends nothing yet. Without a token only
    /// public repositories named in the configuration are read. Needs a tokio runtime.
    ///
    /// # Errors
    /// [`SourceError::Unsupported`], naming the setting, when `config` cannot be used as it is.
    pub fn new(config: &GithubConfig) -> Result<Self, SourceError> {
        let parse = |text: &String| {
            let what = "read github.repositories".to_owned();
            text.parse().map_err(|error| SourceError::Unsupported { what, why: format!("{error}") })
        };
        let configured = config.repositories.iter().map(parse).collect::<Result<_, SourceError>>()?;
        Ok(Self {
            transport: Transport::new(config)?,
            api_url: config.api_url.clone(),
            authenticated: !config.token.is_empty(),
            configured,
        })
    }

    /// The repositories that the token's account belongs to.
    async fn account_repos(&self) -> Result<Vec<Repo>, SourceError> {
        let ask = Ask::to("list", "the repositories of the token's account");
        let first = "/user/repos?per_page=100&affiliation=owner,collaborator,organization_member";
        let rows: Vec<RawRepo> = self.rows(&ask, first, REPO_PAGE_COUNT_MAX).await?;
        Ok(rows.into_iter().filter_map(RawRepo::into_repo).collect())
    }

    /// One repository named in the configuration; `None` when it cannot be read now.
    async fn configured_repo(&self, name: &RepoName) -> Result<Option<Repo>, SourceError> {
        let ask = Ask::to("read the repository", name);
        let answer = match self.transport.get(&ask, &format!("/repos/{name}"), None).await {
            Ok(answer) => answer,
            Err(error @ SourceError::Paused { .. }) => return Err(error),
            Err(error) => {
                warn!(repo = %name, "left out {name}, which github.repositories names: {error}");
                return Ok(None);
            }
        };
        let raw: RawRepo = models::single(&answer.body).map_err(|why| ask.unavailable(why))?;
        // A renamed repository answers under its new name; the configured one is what was asked for.
        Ok(raw.into_repo().map(|repo| Repo { full_name: name.clone(), ..repo }))
    }

    /// Every row of a paged list, up to `page_count_max` pages.
    async fn rows<T: serde::de::DeserializeOwned>(
        &self,
        ask: &Ask,
        first: &str,
        page_count_max: usize,
    ) -> Result<Vec<T>, SourceError> {
        let mut rows = Vec::new();
        let mut path = first.to_owned();
        for _ in 0..page_count_max {
            let answer = self.transport.get(ask, &path, None).await?;
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
        format!("GitHub at {}", self.api_url)
    }

    async fn repo_list(&self) -> Result<Vec<Repo>, SourceError> {
        let mut repos = Vec::new();
        if self.authenticated {
            match self.account_repos().await {
                Ok(listed) => repos = listed,
                // Tokens of an installation belong to no account: what the configuration names is left.
                Err(error @ SourceError::Denied { .. }) if !self.configured.is_empty() && !is_unauthorized(&error) => {
                    warn!("only the repositories that github.repositories names are read: {error}");
                }
                Err(error) => return Err(error),
            }
        }
        for name in &self.configured {
            if repos.iter().all(|repo| repo.full_name != *name) {
                repos.extend(self.configured_repo(name).await?);
            }
        }
        repos.sort_by(|a, b| a.full_name.cmp(&b.full_name));
        repos.dedup_by(|a, b| a.full_name == b.full_name);
        Ok(repos)
    }

    async fn issue_page(
        &self,
        repo: &RepoName,
        cursor: &SyncCursor,
        page: Option<PageToken>,
    ) -> Result<IssuePage, SourceError> {
        let ask = Ask::to("list the issues of", repo);
        let begins = page.is_none();
        // Only this fixed address is ever asked for with a tag: a tag belongs to one address.
        let fixed = |state| format!("/repos/{repo}/issues?state={state}&sort=updated&direction=desc&per_page=100");
        let path = match (page, cursor.updated_at) {
            (Some(PageToken(path)), _) => path,
            (None, Some(_)) => fixed("all"),
            (None, None) => fixed("open"),
        };
        let etag = cursor.etag.as_deref().filter(|_| begins && cursor.updated_at.is_some());
        let answer = self.transport.get(&ask, &path, etag).await?;
        if answer.unchanged {
            return Ok(IssuePage { cursor: Some(cursor.clone()), ..IssuePage::default() });
        }
        let rows: Vec<RawIssue> = models::rows(&answer.body, &ask.to_string()).map_err(|why| ask.unavailable(why))?;
        Ok(page_of(repo, cursor, begins, rows, answer))
    }

    async fn issue_get(&self, issue: &IssueRef) -> Result<Option<Issue>, SourceError> {
        let ask = Ask::to("read the issue", issue);
        let answer = match self.transport.get(&ask, &issue_path(issue), None).await {
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
        let rows: Vec<RawComment> = self.rows(&ask, &first, COMMENT_PAGE_COUNT_MAX).await?;
        Ok(rows.into_iter().map(RawComment::into_comment).collect())
    }

    async fn issue_close(&self, issue: &IssueRef) -> Result<(), SourceError> {
        let body = json!({ "state": "closed", "state_reason": "completed" });
        self.transport.patch(&Ask::to("close the issue", issue), &issue_path(issue), &body).await.map(drop)
    }
}

fn issue_path(issue: &IssueRef) -> String {
    format!("/repos/{}/issues/{}", issue.repo, issue.number)
}

fn is_unauthorized(error: &SourceError) -> bool {
    matches!(error, SourceError::Denied { status, .. } if *status == StatusCode::UNAUTHORIZED.as_u16())
}

fn page_of(repo: &RepoName, cursor: &SyncCursor, begins: bool, rows: Vec<RawIssue>, answer: Answer) -> IssuePage {
    let since = cursor.updated_at;
    let newest = rows.iter().map(RawIssue::changed_at).max();
    // Rows of the very second of the cursor are read again: GitHub's times have no finer grain, and
    // something may have changed later in that second.
    let reached = rows.iter().any(|row| since.is_some_and(|since| row.changed_at() < since));
    let fresh = rows.into_iter().filter(|row| since.is_none_or(|since| row.changed_at() >= since));
    let issues = fresh.filter(|row| !row.is_pull_request()).filter_map(|row| {
        row.into_issue(repo).map_err(|field| warn!(%repo, "left out an issue of {repo}: out of form at {field}")).ok()
    });
    IssuePage {
        issues: issues.collect(),
        next: answer.next.filter(|_| !reached).map(PageToken),
        cursor: begins.then(|| SyncCursor {
            // The tag of a first walk belongs to another address (`state=open`).
            etag: answer.etag.filter(|_| since.is_some()),
            // An empty repository is synced as of now, by GitHub's clock: the next walk is conditional.
            updated_at: newest.max(since).or(answer.date),
        }),
    }
}
