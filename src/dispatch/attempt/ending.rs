//! How an attempt ends: what was begun is undone, newest first, and the run goes where it must.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tokio::time::timeout;
use tracing::{debug, error, info, warn};

use super::super::container::ContainerId;
use super::super::git::Sha;
use super::super::live::StopReason;
use super::{Attempt, Left, Setback, chain};
use crate::domain::{LogKind, Phase, PhaseMark, RunEnding, RunStatus, RunStep, Timestamp};

/// Longest time for one step back: a runtime that does not answer must not keep a run for ever. What is left is
/// found by the next look at leftovers.
const UNDO_SECONDS_MAX: u64 = 120;

/// What becomes of the attempt.
#[derive(Debug)]
pub(super) enum Ending {
    /// The pull request is open.
    Done,
    /// What it began is undone, and then this holds.
    Undone(RunEnding),
    /// Another process goes on with it.
    Superseded,
    /// Nothing is touched: this server goes on with it, now or at its next start.
    Left(Left, String),
}

impl Attempt {
    /// What a setback means for the run.
    pub(super) fn ending_of(&self, setback: Setback) -> Ending {
        let again = |why: String, wait: Duration, failed: bool| {
            let not_before = self.hub.now() + TimeDelta::from_std(wait).unwrap_or(TimeDelta::MAX);
            let not_before = (!wait.is_zero()).then_some(not_before);
            Ending::Undone(RunEnding::Again { why, not_before, failed })
        };
        let over = |why: String| Ending::Undone(RunEnding::Over { why, gives_back: true });
        let config = &self.config.dispatch;
        match setback {
            Setback::Stopped(StopReason::Shutdown) => Ending::Left(Left::ToOthers, "the server stops".into()),
            Setback::Stopped(StopReason::Cancelled(by)) => over(format!("cancelled by {by}")),
            Setback::Stopped(StopReason::Preempted(by)) => {
                again(format!("made way for the critical run {by}"), Duration::ZERO, false)
            }
            // People see the pull request: what fails behind it is no reason for another.
            Setback::Failed(why)
            | Setback::Lost(why)
            | Setback::Hopeless(why)
            | Setback::Interrupted(why)
            | Setback::Later { why, .. }
                if self.run.is_done(Phase::Pull) =>
            {
                self.say(LogKind::Trouble, &why);
                Ending::Done
            }
            Setback::Refused(why) if (self.run.refusals as usize) <= config.model_fallbacks.len() => {
                again(why, Duration::ZERO, false)
            }
            Setback::Failed(why) | Setback::Refused(why) | Setback::Later { why, .. }
                if self.run.failures + 1 < config.attempt_count_max =>
            {
                again(why, self.retry_wait(), true)
            }
            Setback::Failed(why) | Setback::Refused(why) | Setback::Later { why, .. } => match config.attempt_count_max
            {
                1 => over(why),
                count => over(format!("{why} (attempt {count} of {count})")),
            },
            Setback::Interrupted(why) => again(why, Duration::ZERO, false),
            Setback::Hopeless(why) => over(why),
            Setback::Lost(why) => Ending::Undone(RunEnding::Over { why, gives_back: false }),
            Setback::Decided(ending) => Ending::Undone(ending),
            Setback::Superseded => Ending::Superseded,
            Setback::Store(error) => Ending::Left(Left::ByStore, format!("the store failed: {}", chain(&error))),
        }
    }

    /// Brings the attempt to its end.
    pub(super) async fn end(mut self, ending: Ending) -> Left {
        let ended = match ending {
            Ending::Done => self.complete().await,
            Ending::Superseded => {
                self.make_room().await;
                return Left::ToOthers;
            }
            Ending::Left(left, why) => {
                warn!(run.id = %self.run.run_id, "left run {} as it is: {why}", self.run.run_id.short());
                return left;
            }
            Ending::Undone(ending) => {
                let ending = match ending {
                    RunEnding::Again { why, not_before, failed } => {
                        RunEnding::Again { why: self.without_secrets(why), not_before, failed }
                    }
                    RunEnding::Over { why, gives_back } => {
                        RunEnding::Over { why: self.without_secrets(why), gives_back }
                    }
                };
                // Written with the first step back: whoever goes on after a crash decides nothing anew.
                self.run.ending = Some(ending.clone());
                match ending {
                    RunEnding::Again { why, not_before, failed } => self.again(why, not_before, failed).await,
                    RunEnding::Over { why, gives_back } => self.over(why, gives_back).await,
                }
            }
        };
        if let Err(Setback::Superseded) = ended {
            // Who goes on with it tells of it.
            self.make_room().await;
            return Left::ToOthers;
        }
        if let Err(setback) = ended {
            // What is written down is enough for the next start, or the next look at leftovers.
            error!(run.id = %self.run.run_id, "run {} could not be brought to its end: {}", self.run.run_id.short(), setback.words());
        }
        self.live.end(&self.run);
        self.tell().await;
        Left::Ended
    }

    /// Another process goes on with the run. If that is on another server, for this one was silent for too long, what
    /// was begun here works for nobody.
    async fn make_room(&mut self) {
        let (run_id, hub) = (self.run.run_id, Arc::clone(&self.hub));
        if self.live.run().status() == RunStatus::Queued {
            // Of two servers with a slot free one is faster.
            return debug!(run.id = %run_id, "run {} was begun by another server", run_id.short());
        }
        warn!(run.id = %run_id, "left run {} as it is: another process goes on with it", run_id.short());
        let now = hub.store().run_get(run_id).await;
        if matches!(now, Ok(Some(now)) if !hub.is_own(&now))
            && let Err(setback) = self.remove_container().await
        {
            warn!(run.id = %run_id, "its container stays for now: {}", setback.words());
        }
    }

    async fn complete(&mut self) -> Result<(), Setback> {
        let pr_url = self.run.pr_url.clone().unwrap_or_default();
        self.say(LogKind::Step, &format!("done: {pr_url}"));
        info!(run.id = %self.run.run_id, "run {} on {} opened {pr_url}", self.run.run_id.short(), self.run.issue_ref());
        self.step(RunStep::Complete { pr_url }).await
    }

    async fn again(&mut self, why: String, not_before: Option<Timestamp>, failed: bool) -> Result<(), Setback> {
        info!(run.id = %self.run.run_id, "run {} on {} is queued again: {why}", self.run.run_id.short(), self.run.issue_ref());
        self.say(LogKind::Trouble, &format!("queued again: {why}"));
        self.undo(|phase| phase != Phase::Claim).await?;
        self.step(RunStep::Requeue { why, not_before, failed }).await
    }

    async fn over(&mut self, why: String, gives_back: bool) -> Result<(), Setback> {
        warn!(run.id = %self.run.run_id, "run {} on {} failed: {why}", self.run.run_id.short(), self.run.issue_ref());
        self.say(LogKind::Trouble, &why);
        self.undo(|phase| gives_back || phase != Phase::Claim).await?;
        if gives_back || self.run.parent.is_some() {
            self.hub.give_back(&self.run, &why).await;
        }
        // Whoever was faster has the issue: that is no failure, and the issue's label may bring it back.
        (self.run.left, self.run.failure_seen) = (!gives_back, !gives_back);
        self.step(RunStep::Fail { why }).await
    }

    /// Undoes what of this attempt was begun, newest first.
    async fn undo(&mut self, chosen: impl Fn(Phase) -> bool) -> Result<(), Setback> {
        for phase in self.run.to_undo().into_iter().filter(|phase| chosen(*phase)) {
            self.mark(phase, PhaseMark::Undoing).await?;
            match timeout(Duration::from_secs(UNDO_SECONDS_MAX), self.take_back(phase)).await {
                Ok(Ok(())) => {}
                Ok(Err(setback)) => self.left_behind(phase, &setback.words()),
                Err(_) => self.left_behind(phase, "it took too long"),
            }
            self.mark(phase, PhaseMark::Undone).await?;
        }
        Ok(())
    }

    /// What could not be undone. A branch is remembered: it may have got a pull request whose answer was lost.
    fn left_behind(&mut self, phase: Phase, why: &str) {
        self.say(LogKind::Trouble, &format!("could not undo {}: {why}", phase.doing()));
        if phase == Phase::Push {
            self.run.branches_left.extend(self.run.branch.clone());
        }
    }

    async fn take_back(&mut self, phase: Phase) -> Result<(), Setback> {
        match phase {
            // It is on the machine of the server that is gone, which removes it when it is back.
            Phase::Container if self.is_moved => {
                self.run.container_id = None;
                Ok(())
            }
            Phase::Container => self.remove_container().await,
            Phase::Push => self.delete_branch().await,
            Phase::BringOut => self.forget_commits().await,
            // The claim is given back once all else is undone; the others leave nothing that outlives the container.
            Phase::Claim
            | Phase::Fetch
            | Phase::Workspace
            | Phase::Agent
            | Phase::Work
            | Phase::Pull
            | Phase::Report
            | Phase::Cleanup => Ok(()),
        }
    }

    /// Removes the container of this attempt, also one of which only its labels tell.
    pub(super) async fn remove_container(&mut self) -> Result<(), Setback> {
        self.session = None;
        let known = self.run.container_id.take().map(ContainerId);
        let run = self.run.run_id.to_string();
        let labelled = self.containers.list(self.hub.server()).await?;
        let labelled = labelled.into_iter().filter(|row| row.run == run).map(|row| row.id);
        let mut ids: Vec<ContainerId> = known.into_iter().chain(labelled).collect();
        ids.dedup();
        for id in ids {
            self.containers.remove(&id).await?;
        }
        Ok(())
    }

    /// Deletes the branch that this attempt pushed, unless a pull request shows it, or it was there before.
    async fn delete_branch(&mut self) -> Result<(), Setback> {
        let (Some(branch), Some(head)) = (self.run.branch.clone(), self.run.head_sha.clone()) else { return Ok(()) };
        if self.run.parent.is_some() || self.forge.pull_of_branch(&self.run.repo, &branch).await?.is_some() {
            return Ok(());
        }
        let Ok(head) = head.parse::<Sha>() else { return Ok(()) };
        let remote = self.remote().await?;
        if self.mirror.remote_head(&remote, &branch).await?.as_ref() == Some(&head) {
            self.mirror.delete_remote(&remote, &branch, &head).await?;
        }
        Ok(())
    }

    async fn forget_commits(&mut self) -> Result<(), Setback> {
        if let Some(branch) = &self.run.branch {
            self.mirror.forget(branch).await?;
        }
        Ok(())
    }
}
