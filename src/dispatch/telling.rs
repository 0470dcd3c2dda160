//! Telling the story on the issue: one comment that is kept up to date, and labels. Trouble here never stops a run.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tracing::warn;

use super::agent::Question;
use super::dispatcher::Dispatcher;
use super::story::{self, Story, StoryState};
use crate::domain::{IssueRef, Run, RunId, RunStatus};
use crate::github::{CommentId, Forge, SourceError};
use crate::store::{RunFilter, StoreError};

/// How often a place in the queue is told anew: GitHub minds many edits more than people mind an old place.
const PLACE_TOLD_EVERY: Duration = Duration::from_secs(60);
/// Runs that ended of which it is looked whether that was told, and for how long.
const LAST_WORD_COUNT_MAX: usize = 20;
const LAST_WORDS_OF: chrono::TimeDelta = chrono::TimeDelta::hours(1);
/// Places that are told; further back nobody counts.
const PLACE_COUNT_MAX: usize = 50;

/// What was told on issues.
#[derive(Debug, Default)]
pub(super) struct Told {
    issues: Mutex<HashMap<IssueRef, Telling>>,
    /// Runs whose end was told.
    ended: Mutex<HashSet<RunId>>,
    /// Whether somebody tells now.
    is_telling: AtomicBool,
}

#[derive(Debug, Clone)]
struct Telling {
    text: String,
    comment: Option<CommentId>,
    at: Instant,
}

impl Told {
    /// Another server tells there now: what was told from here is old.
    pub(super) fn forget(&self, issue: &IssueRef) {
        self.issues.lock().remove(issue);
    }
}

impl Dispatcher {
    /// Tells how a run stands; answers the comment that tells it.
    pub(super) async fn tell(&self, run: &Run) -> Option<u64> {
        let place = match run.status() {
            RunStatus::Queued => self.queue().await.ok().and_then(|queue| place_in(&queue, run)),
            _ => None,
        };
        self.tell_at(run, place).await.map(|comment| comment.0)
    }

    /// Tells what is still to be told, beside the rounds: GitHub may take its time. One at once.
    pub(super) fn tell_beside(self: &Arc<Self>) {
        if self.told.is_telling.swap(true, Ordering::AcqRel) {
            return;
        }
        let hub = Arc::clone(self);
        self.spawn(async move {
            let told = async {
                if hub.is_in_charge() {
                    hub.tell_queue().await?;
                }
                hub.tell_last_words().await
            };
            if let Err(error) = told.await {
                warn!("what runs do was not told on their issues: {error}");
            }
            hub.told.is_telling.store(false, Ordering::Release);
        });
    }

    /// Tells how runs ended of which that was not told: GitHub was away, or this server was.
    async fn tell_last_words(&self) -> Result<(), StoreError> {
        let filter = RunFilter { with_ended: true, without_queued: true, repo: None };
        let mut runs = self.store().run_list(filter, LAST_WORD_COUNT_MAX).await?;
        let since = self.now() - LAST_WORDS_OF;
        let is_untold =
            |run: &Run| run.ended_at.is_some_and(|at| at >= since) && !self.told.ended.lock().contains(&run.run_id);
        let untold: Vec<Run> = runs.iter().filter(|run| is_untold(run)).cloned().collect();
        if untold.is_empty() {
            return Ok(());
        }
        runs.extend(self.active_runs().await?);
        let servers = self.others().await?;
        for run in &untold {
            // A later run tells there, or one that took the issue over along with its own.
            let tells_there = |other: &Run| other.run_id > run.run_id || other.issue_ref() != run.issue_ref();
            let others = runs.iter().filter(|other| other.run_id != run.run_id && tells_there(other));
            let is_last = others.into_iter().all(|other| !other.issues().contains(&run.issue_ref()));
            // A server that is there tells of its own.
            if is_last && (self.is_own(run) || self.is_in_charge() && !servers.drive(run)) {
                self.tell(run).await;
            }
        }
        Ok(())
    }

    /// Tells of queued runs where they stand, now and then.
    async fn tell_queue(&self) -> Result<(), StoreError> {
        let queue = self.queue().await?;
        for (place, run) in queue.into_iter().take(PLACE_COUNT_MAX).enumerate() {
            let told = self.told.issues.lock().get(&run.issue_ref()).map(|told| told.at);
            if told.is_none_or(|at| at.elapsed() >= PLACE_TOLD_EVERY) {
                // By the time it is its turn to be told it may have begun, on another server perhaps.
                let now = self.store().run_get(run.run_id).await?;
                let Some(mut run) = now.filter(|run| run.status() == RunStatus::Queued) else { continue };
                let comment = self.tell_at(&run, Some(place + 1)).await.map(|comment| comment.0);
                if comment.is_some() && comment != run.comment {
                    run.comment = comment;
                    self.save_idle(run).await?;
                }
            }
        }
        Ok(())
    }

    /// Tells it on every issue of the run; answers the comment on its own.
    async fn tell_at(&self, run: &Run, place: Option<usize>) -> Option<CommentId> {
        let mut own = None;
        for (nth, issue) in run.issues().into_iter().enumerate() {
            let known = run.comment.map(CommentId).filter(|_| nth == 0);
            let comment = self.tell_on(issue, run, known, place).await;
            own = if nth == 0 { comment } else { own };
        }
        own
    }

    async fn tell_on(
        &self,
        issue: IssueRef,
        run: &Run,
        comment: Option<CommentId>,
        place: Option<usize>,
    ) -> Option<CommentId> {
        let (forge, config) = (self.forge()?, self.config());
        let question = run.question.as_ref().map(|asked| Question {
            id: asked.id.clone(),
            text: asked.text.clone(),
            options: asked.options.clone(),
        });
        let run_id = run.run_id.short();
        let story = Story {
            run: &run_id,
            agent: run.agent.as_deref().unwrap_or(&config.dispatch.agent),
            attempt: run.attempts,
            state: state_of(run, place, question.as_ref()),
        };
        let text = story::comment(&story);
        let known = self.told.issues.lock().get(&issue).cloned();
        // What nobody was told of need not be taken back.
        if run.left && known.is_none() && comment.is_none() {
            self.told.ended.lock().insert(run.run_id);
            return None;
        }
        let comment = known.as_ref().and_then(|known| known.comment).or(comment);
        if known.is_some_and(|known| known.text == text) {
            return comment;
        }
        let written = self.write(&*forge, &issue, comment, &story).await;
        self.note_github(&written);
        let comment = match written {
            Ok(written) => written.or(comment),
            // It is told anew with the next change, and the last word by `tell_last_words`.
            Err(error) => {
                warn!(run.id = %run.run_id, "{issue} does not tell how run {run_id} stands: {error}");
                return comment;
            }
        };
        let mut issues = self.told.issues.lock();
        if run.status().is_terminal() {
            self.told.ended.lock().insert(run.run_id);
            issues.remove(&issue);
        } else {
            issues.insert(issue, Telling { text, comment, at: Instant::now() });
        }
        comment
    }

    async fn write(
        &self,
        forge: &dyn Forge,
        issue: &IssueRef,
        comment: Option<CommentId>,
        story: &Story<'_>,
    ) -> Result<Option<CommentId>, SourceError> {
        let config = self.config();
        if config.dispatch.labels {
            forge.label_ensure(&issue.repo, &story::LABELS).await?;
            let (add, remove) = story.state.labels();
            forge.label_change(issue, &add, &remove).await?;
        }
        match config.dispatch.comment {
            true => story::tell(forge, issue, comment, story).await.map(Some),
            false => Ok(None),
        }
    }

    /// Puts a run's question on its issue; answers the comment behind which replies count. The status comment holds
    /// the question; GitHub tells nobody of an edit, so that the question is a comment of its own.
    pub(super) async fn ask_on_issue(&self, run: &Run) -> Option<u64> {
        let (forge, question) = (self.forge()?, run.question.as_ref()?);
        let asked = Question { id: String::new(), text: question.text.clone(), options: question.options.clone() };
        let asked_there = forge.comment_create(&run.issue_ref(), &story::question(&run.run_id.short(), &asked)).await;
        self.note_github(&asked_there);
        match asked_there {
            Ok(comment) => Some(comment.0),
            Err(error) => {
                warn!(run.id = %run.run_id, "a question could not be put on {}: {error}", run.issue_ref());
                None
            }
        }
    }
}

fn place_in(queue: &[Run], run: &Run) -> Option<usize> {
    queue.iter().position(|queued| queued.run_id == run.run_id).map(|before| before + 1)
}

/// How a run stands, in the words of its story.
fn state_of<'r>(run: &'r Run, place: Option<usize>, question: Option<&'r Question>) -> StoryState<'r> {
    let since = run.begun_at.unwrap_or(run.updated_at);
    match (run.status(), question) {
        (RunStatus::Queued, _) => StoryState::Queued { position: place.unwrap_or(1) },
        (RunStatus::WaitingHuman, Some(question)) => StoryState::Waiting { question },
        (RunStatus::Dispatched | RunStatus::Running | RunStatus::WaitingHuman, _) => StoryState::Working { since },
        (RunStatus::Completed, _) => StoryState::Done { pull_url: run.pr_url.as_deref().unwrap_or_default() },
        (RunStatus::Failed, _) if run.left => {
            StoryState::Left { reason: run.reason.as_deref().unwrap_or("the issue is no longer asked for") }
        }
        (RunStatus::Failed, _) => StoryState::Failed { reason: run.reason.as_deref().unwrap_or("no reason is known") },
    }
}
