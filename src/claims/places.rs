//! Looking where issues go, off the claim path: what a repository's past work teaches is read from GitHub now
//! and then, and every issue that is new or changed is placed by it.

mod reading;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tracing::warn;

use self::reading::SourceReader;
use super::ClaimManager;
use crate::areas::{AreaModel, LabelAreas, Owners, PastWork};
use crate::config::AreasConfig;
use crate::domain::{Issue, IssueNumber, RepoName};
use crate::store::{IssuePlace, PastPull, PastWorkList, PlaceSource, Role, StoreError};

/// Issues placed at once.
const BATCH_COUNT: usize = 256;
/// Models kept in memory; one is made again from the store when it is needed.
const MODEL_COUNT_MAX: usize = 64;
/// Longest sleep, so that a change of the settings is noticed.
const SLEEP_MAX: Duration = Duration::from_secs(30);

/// What places the issues of one repository.
#[derive(Debug, Default)]
struct Guide {
    model: AreaModel,
    owners: Owners,
}

/// Places issues for as long as the server runs.
pub(super) async fn place_continually(manager: Arc<ClaimManager>) {
    let mut placing = Placing::new(manager);
    loop {
        // It reads GitHub, and what it writes every server is told.
        placing.manager.until_role(Role::Sync).await;
        if let Err(error) = placing.round().await {
            warn!("issues were not placed, they will be: {error}");
            tokio::time::sleep(SLEEP_MAX).await;
        }
        let manager = Arc::clone(&placing.manager);
        let _ = tokio::time::timeout(SLEEP_MAX, manager.index.placing.notified()).await;
    }
}

/// The work of placing issues.
struct Placing {
    manager: Arc<ClaimManager>,
    sources: SourceReader,
    guides: HashMap<RepoName, Arc<Guide>>,
    labels: LabelAreas,
}

impl Placing {
    fn new(manager: Arc<ClaimManager>) -> Self {
        let labels = manager.config.current().areas.labels.clone();
        Self { manager, sources: SourceReader::default(), guides: HashMap::new(), labels }
    }

    /// Places what waits; then, when it is time, reads what past work teaches, and places anew what it bears on.
    async fn round(&mut self) -> Result<(), StoreError> {
        let config = self.manager.config.current().areas.clone();
        self.follow(&config);
        self.place_waiting().await?;
        for repo in self.sources.read(&self.manager, &config).await? {
            self.guides.remove(&repo);
            self.manager.index.board.write().unplace_repo(&repo);
        }
        self.place_waiting().await
    }

    /// Takes up an edit of what labels name: it bears on every issue.
    fn follow(&mut self, config: &AreasConfig) {
        if self.labels != config.labels {
            self.labels.clone_from(&config.labels);
            self.guides.clear();
            let mut board = self.manager.index.board.write();
            let repos: Vec<RepoName> = board.repos.keys().cloned().collect();
            repos.iter().for_each(|repo| board.unplace_repo(repo));
        }
    }

    async fn place_waiting(&mut self) -> Result<(), StoreError> {
        loop {
            let waiting = self.manager.index.board.write().take_unplaced(BATCH_COUNT);
            let Some(repo) = waiting.first().map(|issue| issue.repo.clone()) else { return Ok(()) };
            let placed = async {
                let guide = self.guide_of(&repo).await?;
                let issues = self.manager.store.issue_list_of(waiting.clone()).await?;
                let placed = tokio::task::spawn_blocking(move || place_all(&guide, &issues)).await;
                self.manager.store.issue_place_set(placed.expect("placing issues does not panic")).await
            };
            if let Err(error) = placed.await {
                self.manager.index.board.write().put_back_unplaced(waiting);
                return Err(error);
            }
        }
    }

    /// What places the issues of a repository, as the store has it.
    async fn guide_of(&mut self, repo: &RepoName) -> Result<Arc<Guide>, StoreError> {
        if let Some(known) = self.guides.get(repo) {
            return Ok(Arc::clone(known));
        }
        let past = self.manager.store.past_work(repo.clone()).await?;
        let source = self.manager.store.place_source_get(repo.clone()).await?;
        let labels = self.labels.clone();
        let made = tokio::task::spawn_blocking(move || Arc::new(Guide::new(&labels, &past, source.as_ref()))).await;
        let guide = made.expect("learning from past work does not panic");
        if self.guides.len() >= MODEL_COUNT_MAX {
            self.guides.clear();
        }
        self.guides.insert(repo.clone(), Arc::clone(&guide));
        Ok(guide)
    }
}

impl Guide {
    fn new(labels: &LabelAreas, past: &PastWorkList, source: Option<&PlaceSource>) -> Self {
        let mut model = AreaModel::new(labels);
        let files = |pull: &PastPull| pull.files.clone().unwrap_or_default();
        let mut files_of_issue = HashMap::<IssueNumber, Vec<String>>::new();
        for pull in &past.pulls {
            pull.closes.iter().for_each(|issue| files_of_issue.entry(*issue).or_default().extend(files(pull)));
        }
        for issue in &past.issues {
            let files = files_of_issue.remove(&issue.number).unwrap_or_default();
            model.learn(&PastWork { title: &issue.title, body: &issue.body, labels: &issue.labels, files: &files });
        }
        for pull in &past.pulls {
            model.learn(&PastWork { title: &pull.title, body: "", labels: &pull.labels, files: &files(pull) });
        }
        let owners = source.and_then(|source| source.owners.as_ref());
        Self { model, owners: owners.map(|file| Owners::parse(&file.text)).unwrap_or_default() }
    }
}

fn place_all(guide: &Guide, issues: &[Issue]) -> Vec<IssuePlace> {
    let place = |issue: &Issue| {
        let areas = crate::areas::predict(&guide.model, &issue.title, &issue.body, &issue.labels);
        let reviewers = guide.owners.reviewers(&areas).into();
        IssuePlace { issue: issue.issue_ref(), issue_updated_at: issue.updated_at, areas: areas.into(), reviewers }
    };
    issues.iter().map(place).collect()
}

#[cfg(test)]
mod tests;
