//! Telling the story on the issue: one comment that is kept up to date, and labels. Trouble here never stops a run.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tracing::warn;

use super::dispatcher::Dispatcher;
use super::story::{self, Story, StoryState};
use crate::domain::{IssueRef, Run, RunStatus};
use crate::github::{CommentId, Forge, SourceError};
use crate::store::StoreError;

/// How often a place in the queue is told anew: GitHub minds many edits more than people mind an old place.
const PLACE_TOLD_EVERY: Duration = Duration::from_secs(60);
/// Places that are told; further back nobody counts.
const PLACE_COUNT_MAX: usize = 50;

/// What was told on issues.
#[derive(Debug, Default)]
pub(super) struct Told {
    issues: Mutex<HashMap<IssueRef, Telling>>,
}

#[derive(Debug, Clone)]
struct Telling {
    state: StoryState,
    comment: Option<CommentId>,
    at: Instant,
}

impl Dispatcher {
    /// Tells how a run stands.
    pub(super) async fn tell(&self, run: &Run) {
        let place = match run.status() {
            RunStatus::Queued => self.queue().await.ok().and_then(|queue| place_in(&queue, run)),
            _ => None,
        };
        self.tell_state(run, story::state_of(run, place)).await;
    }

    /// Tells of queued runs where they stand, now and then.
    pub(super) async fn tell_queue(&self) -> Result<(), StoreError> {
        let queue = self.queue().await?;
        for (place, run) in queue.iter().take(PLACE_COUNT_MAX).enumerate() {
            let state = story::state_of(run, Some(place + 1));
            let known = self.told.issues.lock().get(&run.issue_ref()).cloned();
            if known.is_none_or(|known| known.state != state && known.at.elapsed() >= PLACE_TOLD_EVERY) {
                self.tell_state(run, state).await;
            }
        }
        Ok(())
    }

    async fn tell_state(&self, run: &Run, state: StoryState) {
        let Some(forge) = self.forge() else { return };
        let issue = run.issue_ref();
        let known = self.told.issues.lock().get(&issue).cloned();
        if known.as_ref().is_some_and(|known| known.state == state) {
            return;
        }
        let comment = known.and_then(|known| known.comment).or(run.comment.map(CommentId));
        let comment = match self.write(&*forge, &issue, run, comment, &state).await {
            Ok(comment) => comment,
            Err(error) => {
                warn!(run.id = %run.run_id, "{issue} does not tell how run {} stands: {error}", run.run_id.short());
                comment
            }
        };
        let telling = Telling { state, comment, at: Instant::now() };
        let mut issues = self.told.issues.lock();
        if run.status().is_terminal() {
            issues.remove(&issue);
        } else {
            issues.insert(issue, telling);
        }
    }

    async fn write(
        &self,
        forge: &dyn Forge,
        issue: &IssueRef,
        run: &Run,
        comment: Option<CommentId>,
        state: &StoryState,
    ) -> Result<Option<CommentId>, SourceError> {
        let config = self.config();
        let mut written = comment;
        if config.dispatch.comment {
            let story = Story { run, state };
            written = Some(story::tell(forge, issue, comment, &story).await?);
        }
        if config.dispatch.labels {
            story::label(forge, issue, &config.github.trigger_label, state).await?;
        }
        Ok(written)
    }

    /// Puts a run's question on its issue; answers the comment behind which replies count. The status comment holds
    /// the question; GitHub tells nobody of an edit, so that the question is a comment of its own.
    pub(super) async fn ask_on_issue(&self, run: &Run) -> Option<u64> {
        let (forge, question) = (self.forge()?, run.question.as_ref()?);
        match forge.comment_create(&run.issue_ref(), &story::question_text(run, question)).await {
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
