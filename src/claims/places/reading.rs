//! Reading from GitHub what teaches where issues go: CODEOWNERS and merged pull requests, of the repositories
//! that have open issues, each at most once a day and few at a time.

use std::collections::HashMap;

use chrono::TimeDelta;
use tracing::{debug, warn};

use super::super::ClaimManager;
use crate::areas::OWNERS_FILE_PATHS;
use crate::config::AreasConfig;
use crate::domain::{Merged, PullRequest, RepoName, Timestamp};
use crate::github::{FileReading, SourceError};
use crate::store::{OwnersFile, PastPull, PlaceSource, StoreError, SyncCursor};

/// Time between two readings of one repository.
const READ_EVERY: TimeDelta = TimeDelta::hours(24);
/// Repositories read in one sync: at most four requests each, besides the files of pull requests.
const REPO_COUNT_MAX: usize = 25;
/// Pull requests whose files are read in one sync: one request each.
const PULL_FILES_COUNT_MAX: usize = 100;
/// Pull requests of one repository whose files are read in one sync, so that one does not keep others waiting.
const PULL_FILES_OF_REPO_MAX: usize = 40;
/// Pages of pull requests read at once in one repository, 100 on each.
const PULL_PAGE_COUNT_MAX: usize = 4;

/// Reads the sources of repositories in turn.
#[derive(Debug, Default)]
pub(super) struct SourceReader {
    last_round: Option<Timestamp>,
    /// When a repository was last tried: one that fails does not keep others waiting.
    tried: HashMap<RepoName, Timestamp>,
}

/// Why a repository was not read to the end.
enum Cut {
    Source(SourceError),
    Store(StoreError),
}

impl From<SourceError> for Cut {
    fn from(error: SourceError) -> Self {
        Self::Source(error)
    }
}

impl From<StoreError> for Cut {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl SourceReader {
    /// Reads what is due, when it is time: as often as the sync, and not before its first. Answers the
    /// repositories of which something new is known.
    pub(super) async fn read(
        &mut self,
        manager: &ClaimManager,
        config: &AreasConfig,
    ) -> Result<Vec<RepoName>, StoreError> {
        let now = manager.clock.now();
        let pause = TimeDelta::minutes(manager.config.current().sync.interval_minutes.clamp(1, 1_440) as i64);
        let is_early = self.last_round.is_some_and(|last| now >= last && now - last < pause);
        if is_early || !manager.status.has_come_round() || !(config.read_owners || config.read_pull_files) {
            return Ok(Vec::new());
        }
        self.last_round = Some(now);
        let mut news = Vec::new();
        let mut files_left = PULL_FILES_COUNT_MAX;
        for source in self.due(manager, config, now).await? {
            let repo = source.repo.clone();
            self.tried.insert(repo.clone(), now);
            match read_repo(manager, config, source, &mut files_left).await {
                Ok(true) => news.push(repo),
                Ok(false) => {}
                Err(Cut::Store(error)) => return Err(error),
                // The token's budget is used up: what is due waits.
                Err(Cut::Source(SourceError::Paused { .. })) => break,
                Err(Cut::Source(error)) => warn!(%repo, "where issues of {repo} go was not learnt: {error}"),
            }
        }
        Ok(news)
    }

    /// What is known of the repositories that are due, those first that waited longest.
    async fn due(
        &self,
        manager: &ClaimManager,
        config: &AreasConfig,
        now: Timestamp,
    ) -> Result<Vec<PlaceSource>, StoreError> {
        let known = manager.store.place_source_list().await?;
        let mut known: HashMap<RepoName, PlaceSource> =
            known.into_iter().map(|source| (source.repo.clone(), source)).collect();
        let repos: Vec<RepoName> = {
            let board = manager.index.board.read();
            let open = board.repos.iter().filter(|(_, row)| row.exclusion.is_none() && row.open_issue_count > 0);
            open.map(|(repo, _)| repo.clone()).collect()
        };
        let is_due = |source: &PlaceSource| {
            let is_old = source.read_at > now || now - source.read_at >= READ_EVERY;
            is_old || (config.read_pull_files && source.has_unread_pulls)
        };
        let mut due: Vec<PlaceSource> = repos
            .into_iter()
            .map(|repo| known.remove(&repo).unwrap_or_else(|| PlaceSource::unread(repo)))
            .filter(is_due)
            .collect();
        due.sort_by_cached_key(|source| {
            let tried = self.tried.get(&source.repo).copied().unwrap_or_default();
            (source.read_at.max(tried), source.repo.clone())
        });
        due.truncate(REPO_COUNT_MAX);
        Ok(due)
    }
}

/// Reads one repository; whether anything new is known of it.
async fn read_repo(
    manager: &ClaimManager,
    config: &AreasConfig,
    known: PlaceSource,
    files_left: &mut usize,
) -> Result<bool, Cut> {
    let mut source = known.clone();
    let now = manager.clock.now();
    let mut pulls = Vec::new();
    if source.read_at > now || now - source.read_at >= READ_EVERY {
        if config.read_owners {
            source.owners = owners_of(manager, &source).await?;
        }
        (pulls, source.pulls) = merged_pulls(manager, &source.repo, &source.pulls).await?;
        source.read_at = now;
    }
    let mut is_news = source.owners != known.owners || !pulls.is_empty();
    source.has_unread_pulls |= !pulls.is_empty();
    manager.store.place_source_set(source.clone(), pulls).await?;
    if !config.read_pull_files {
        return Ok(is_news);
    }
    let mut read = Vec::new();
    let past = manager.store.past_work(source.repo.clone()).await?;
    let mut unread = past.pulls.into_iter().rev().filter(|pull| pull.files.is_none()).peekable();
    while *files_left > 0
        && read.len() < PULL_FILES_OF_REPO_MAX
        && let Some(pull) = unread.next()
    {
        *files_left -= 1;
        let files = manager.source.pull_files(&crate::domain::IssueRef::new(source.repo.clone(), pull.number)).await;
        match files {
            Ok(files) => read.push(PastPull { files: Some(files), ..pull }),
            // What was read until now is kept.
            Err(error) => {
                manager.store.place_source_set(source, read).await?;
                return Err(error.into());
            }
        }
    }
    is_news |= !read.is_empty();
    source.has_unread_pulls = unread.peek().is_some();
    debug!(repo = %source.repo, files_of = read.len(), "learnt where issues of {} go", source.repo);
    manager.store.place_source_set(source, read).await?;
    Ok(is_news)
}

/// The file that GitHub takes the owners from: the known one as long as it is there, else the first there is.
async fn owners_of(manager: &ClaimManager, known: &PlaceSource) -> Result<Option<OwnersFile>, SourceError> {
    if let Some(file) = &known.owners {
        match manager.source.file_get(&known.repo, &file.path, file.etag.as_deref()).await? {
            FileReading::Unchanged => return Ok(known.owners.clone()),
            FileReading::Found { text, etag } => {
                return Ok(Some(OwnersFile { path: file.path.clone(), etag, text }));
            }
            FileReading::Absent => {}
        }
    }
    for path in OWNERS_FILE_PATHS {
        if let FileReading::Found { text, etag } = manager.source.file_get(&known.repo, path, None).await? {
            return Ok(Some(OwnersFile { path: path.to_owned(), etag, text }));
        }
    }
    Ok(None)
}

/// Pull requests that were merged since the last reading, and how far they are read now.
async fn merged_pulls(
    manager: &ClaimManager,
    repo: &RepoName,
    cursor: &SyncCursor,
) -> Result<(Vec<PastPull>, SyncCursor), SourceError> {
    let (mut merged, mut reached, mut next) = (Vec::new(), cursor.clone(), None);
    for _ in 0..PULL_PAGE_COUNT_MAX {
        let page = match manager.source.pull_page(repo, cursor, next).await {
            // A source of issues alone: there is nothing to learn from.
            Err(SourceError::Unsupported { .. }) => return Ok((merged, reached)),
            page => page?,
        };
        reached = page.cursor.unwrap_or(reached);
        merged.extend(page.pulls.into_iter().filter(|pull| pull.merged == Merged::Yes).map(past_pull));
        next = page.next;
        if next.is_none() {
            break;
        }
    }
    Ok((merged, reached))
}

fn past_pull(pull: PullRequest) -> PastPull {
    let closes = pull.closing_refs().into_iter().filter(|issue| issue.repo == pull.repo).map(|issue| issue.number);
    PastPull {
        number: pull.number,
        merged_at: pull.merged_at.unwrap_or(pull.updated_at),
        closes: closes.collect(),
        title: pull.title,
        labels: pull.labels,
        files: None,
    }
}
