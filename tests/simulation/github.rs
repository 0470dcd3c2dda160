//! GitHub as the simulation has it: a few repositories whose issues change, behind a port that fails, answers late,
//! answers in part and asks for pauses. It keeps what it told, which is all that a server can know.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use fastrand::Rng;
use issuecommand::domain::{
    Blocker, Comment, Feedback, Issue, IssueNumber, IssueRef, IssueState, PullRequest, Repo, RepoName, Timestamp,
    from_unix_ms,
};
use issuecommand::github::{
    IssuePage, IssueSource, LabelEvent, PageToken, PullPage, RepoList, SourceError, TaggedList,
};
use issuecommand::store::SyncCursor;
use parking_lot::Mutex;

use crate::ledger::Place;
use crate::oracle::place_of;
use crate::planted::Fault;
use crate::told::{Told, Word};

/// The repositories there are; the last one is admitted by no policy.
pub const REPOS: [&str; 3] = ["acme/one", "acme/two", "other/out"];
/// Issues on one page: few, so that walks have several and issues move between them.
const PAGE_COUNT: usize = 4;
/// How long GitHub takes to answer when it is slow, at most.
const LATE_MS_MAX: u64 = 20_000;

/// How GitHub is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weather {
    /// It answers at once.
    Fair,
    /// It takes its time.
    Slow,
    /// Of ten calls so many fail.
    Failing(u8),
    /// It wants to be asked again later.
    Pausing,
    /// Its list of repositories is cut short, and says so.
    Partial,
}

/// The simulated GitHub; it outlives every server.
#[derive(Debug)]
pub struct Github {
    world: Mutex<World>,
    fault: Option<Fault>,
}

#[derive(Debug)]
struct World {
    issues: BTreeMap<IssueRef, Issue>,
    /// GitHub's own clock, in seconds: each change takes one.
    seconds: u64,
    weather: Weather,
    rng: Rng,
    told: Told,
    /// Every state that an issue ever had: deliveries come late, and twice.
    past: Vec<Issue>,
}

impl Github {
    pub fn new(seed: u64, begun_ms: u64, fault: Option<Fault>) -> Arc<Self> {
        let world = World {
            issues: BTreeMap::new(),
            // Opened before the server began.
            seconds: begun_ms / 1_000 - 100_000,
            weather: Weather::Fair,
            rng: Rng::with_seed(seed ^ 0x6769_7468_7562),
            told: Told::default(),
            past: Vec::new(),
        };
        Arc::new(Self { world: Mutex::new(world), fault })
    }

    /// Opens a new issue.
    pub fn open(&self, repo: &str, number: u64) -> IssueRef {
        let mut world = self.world.lock();
        let issue = blank(repo, number, world.tick());
        let named = issue.issue_ref();
        world.set(issue);
        named
    }

    /// Changes an issue, if there is one.
    pub fn change(&self, issue: &IssueRef, change: impl FnOnce(&mut Issue)) -> bool {
        let mut world = self.world.lock();
        let Some(mut changed) = world.issues.get(issue).cloned() else { return false };
        change(&mut changed);
        changed.updated_at = world.tick();
        world.set(changed);
        true
    }

    /// Deletes an issue.
    pub fn delete(&self, issue: &IssueRef) -> bool {
        self.world.lock().issues.remove(issue).is_some()
    }

    pub fn set_weather(&self, weather: Weather) {
        self.world.lock().weather = weather;
    }

    /// An issue as it is.
    pub fn present(&self, issue: &IssueRef) -> Option<Issue> {
        self.world.lock().issues.get(issue).cloned()
    }

    /// Every issue there ever was.
    pub fn all(&self) -> Vec<IssueRef> {
        let world = self.world.lock();
        let mut all: Vec<_> = world.past.iter().map(Issue::issue_ref).collect();
        all.sort();
        all.dedup();
        all
    }

    /// A state that some issue had at some time, as a late delivery would tell it.
    pub fn any_past(&self, rng: &mut Rng) -> Issue {
        let world = self.world.lock();
        world.past[rng.usize(..world.past.len())].clone()
    }

    /// Whether an issue was there once and is no more.
    pub fn was_deleted(&self, issue: &IssueRef) -> bool {
        let world = self.world.lock();
        !world.issues.contains_key(issue) && world.past.iter().any(|past| past.issue_ref() == *issue)
    }

    /// The open issues of some repositories, in order.
    pub fn open_in(&self, repos: &[&str]) -> Vec<Place> {
        let world = self.world.lock();
        let open = world.issues.values().filter(|issue| issue.state == IssueState::Open);
        open.filter(|issue| repos.contains(&issue.repo.as_str())).map(|issue| place_of(&issue.issue_ref())).collect()
    }

    /// What it told so far.
    pub fn told<T>(&self, with: impl FnOnce(&mut Told) -> T) -> T {
        with(&mut self.world.lock().told)
    }

    /// Waits, or fails, as the weather is.
    async fn weather(&self, what: &str) -> Result<(), SourceError> {
        let (late, outcome) = {
            let mut world = self.world.lock();
            let weather = world.weather;
            let late = if weather == Weather::Slow { world.rng.u64(1..LATE_MS_MAX) } else { 0 };
            (late, world.fails(weather, what))
        };
        if late > 0 {
            tokio::time::sleep(Duration::from_millis(late)).await;
        }
        outcome
    }
}

impl World {
    fn tick(&mut self) -> Timestamp {
        self.seconds += 1;
        from_unix_ms(self.seconds * 1_000)
    }

    fn set(&mut self, issue: Issue) {
        self.past.push(issue.clone());
        self.issues.insert(issue.issue_ref(), issue);
    }

    fn fails(&mut self, weather: Weather, what: &str) -> Result<(), SourceError> {
        match weather {
            Weather::Failing(share) if self.rng.u8(..10) < share => match self.rng.u8(..3) {
                0 => Err(SourceError::Denied { what: what.into(), status: 403 }),
                _ => Err(unavailable(what)),
            },
            Weather::Pausing if self.rng.bool() => {
                Err(SourceError::Paused { retry_after: Duration::from_secs(self.rng.u64(1..120)) })
            }
            _ => Ok(()),
        }
    }

    /// Issues of a repository that changed since the cursor, newest change first.
    fn changed(&self, repo: &RepoName, cursor: &SyncCursor) -> Vec<Issue> {
        let is_asked_for = |issue: &&Issue| match cursor.updated_at {
            None => issue.state == IssueState::Open,
            Some(since) => issue.updated_at >= since,
        };
        let mut changed: Vec<_> =
            self.issues.values().filter(|issue| issue.repo == *repo).filter(is_asked_for).cloned().collect();
        changed.sort_by_key(|issue| std::cmp::Reverse(issue.updated_at));
        changed
    }
}

fn unavailable(what: &str) -> SourceError {
    SourceError::Unavailable { what: what.into(), why: "the simulation says so".into() }
}

fn blank(repo: &str, number: u64, at: Timestamp) -> Issue {
    Issue {
        repo: repo.parse().expect("a name"),
        number: IssueNumber::new(number).expect("a number"),
        title: format!("Issue {number}"),
        body: String::new(),
        state: IssueState::Open,
        labels: Vec::new(),
        assignees: Vec::new(),
        milestone: None,
        comments: Vec::new(),
        created_at: at,
        updated_at: at,
        url: format!("https://github.com/{repo}/issues/{number}"),
        author: "someone".into(),
        author_association: "MEMBER".into(),
        comment_count: 0,
        reaction_count: 0,
        open_blocker_count: None,
    }
}

#[async_trait]
impl IssueSource for Github {
    fn description(&self) -> String {
        "a simulated GitHub".into()
    }

    async fn repo_list(&self) -> Result<RepoList, SourceError> {
        self.weather("list repositories").await?;
        let mut repos: Vec<_> = REPOS.iter().map(|name| Repo::named(name.parse().expect("a name"))).collect();
        let is_cut = self.world.lock().weather == Weather::Partial;
        let incomplete = is_cut.then(|| unavailable("list all repositories"));
        if is_cut {
            repos.truncate(1);
        }
        Ok(RepoList { repos, incomplete, ..RepoList::default() })
    }

    async fn change_page(&self, _: &SyncCursor, _: Option<PageToken>) -> Result<Option<IssuePage>, SourceError> {
        Ok(None)
    }

    async fn issue_page(
        &self,
        repo: &RepoName,
        cursor: &SyncCursor,
        page: Option<PageToken>,
    ) -> Result<IssuePage, SourceError> {
        self.weather("list issues").await?;
        let mut world = self.world.lock();
        let all = world.changed(repo, cursor);
        let from = page.map_or(0, |page| page.0.parse().expect("a place of ours"));
        let reached = all.first().map(|newest| newest.updated_at).or(cursor.updated_at);
        let mut issues: Vec<_> = all.iter().skip(from).take(PAGE_COUNT).cloned().collect();
        issues.iter().for_each(|issue| world.told.word(&issue.issue_ref(), Word::of(issue)));
        let mut next = (from + PAGE_COUNT < all.len()).then(|| PageToken((from + PAGE_COUNT).to_string()));
        match self.fault {
            // A list that breaks off and says that it is whole.
            Some(Fault::CutListToldAsWhole) if from == 0 => next = None,
            // A page that was kept somewhere on the way, with the date of today.
            Some(Fault::OldPageToldAsNew) => {
                let World { past, .. } = &*world;
                for issue in &mut issues {
                    let first = past.iter().find(|before| before.issue_ref() == issue.issue_ref());
                    *issue = Issue { updated_at: issue.updated_at, ..first.expect("it was there once").clone() };
                }
            }
            _ => {}
        }
        // As GitHub's adapter does it: an empty repository says nothing about where to begin.
        let cursor = (from == 0).then_some(SyncCursor { etag: None, updated_at: reached });
        Ok(IssuePage { issues, next, cursor })
    }

    async fn issue_get(&self, issue: &IssueRef) -> Result<Option<Issue>, SourceError> {
        if let Err(error) = self.weather("read an issue").await {
            // What failed is taken for what is not there.
            if self.fault == Some(Fault::FailureToldAsAbsence) {
                return Ok(None);
            }
            return Err(error);
        }
        let mut world = self.world.lock();
        let present = world.issues.get(issue).cloned();
        world.told.word(issue, present.as_ref().map_or(Word::gone(), Word::of));
        Ok(present)
    }

    async fn comment_list(&self, _: &IssueRef) -> Result<Vec<Comment>, SourceError> {
        self.weather("list comments").await?;
        Ok(Vec::new())
    }

    async fn blocker_list(&self, _: &IssueRef, _: Option<&str>) -> Result<TaggedList<Blocker>, SourceError> {
        self.weather("list dependencies").await?;
        Ok(TaggedList { rows: Some(Vec::new()), etag: None })
    }

    async fn label_history(&self, _: &IssueRef, _: Option<&str>) -> Result<TaggedList<LabelEvent>, SourceError> {
        self.weather("list label events").await?;
        Ok(TaggedList { rows: Some(Vec::new()), etag: None })
    }

    async fn text_edited_at(&self, _: &IssueRef) -> Result<Option<Timestamp>, SourceError> {
        Ok(None)
    }

    async fn pull_get(&self, _: &IssueRef) -> Result<Option<PullRequest>, SourceError> {
        self.weather("read a pull request").await?;
        Ok(None)
    }

    async fn pull_page(
        &self,
        _: &RepoName,
        cursor: &SyncCursor,
        _: Option<PageToken>,
    ) -> Result<PullPage, SourceError> {
        self.weather("list pull requests").await?;
        Ok(PullPage { cursor: Some(cursor.clone()), ..PullPage::default() })
    }

    async fn feedback_list(&self, _: &PullRequest, _: Option<Timestamp>) -> Result<Vec<Feedback>, SourceError> {
        Ok(Vec::new())
    }

    async fn issue_close(&self, issue: &IssueRef) -> Result<(), SourceError> {
        self.weather("close an issue").await?;
        self.change(issue, |issue| issue.state = IssueState::Closed);
        Ok(())
    }
}
