//! What is said of one run: end it, make way, here is the answer. Only the server that works on a run can do any of it;
//! for one elsewhere it is left as a word in the database, which stays until it was obeyed.

use std::sync::Arc;
use std::time::Duration;

use chrono::TimeDelta;
use tracing::info;

use super::beside::Others;
use super::control::RunWordOutcome;
use super::dispatcher::Dispatcher;
use super::live::{Live, Message, StopReason};
use crate::domain::{Run, RunId, RunStatus, RunStep, RunWord};
use crate::store::{RunTold, StoreError};

/// Longest wait for a run that was cancelled to end: below the patience of who asks over HTTP.
const CANCEL_PATIENCE: Duration = Duration::from_secs(45);
/// Longest wait for another server to pass an answer on; it does so when it can, whoever waits.
const ANSWER_PATIENCE: Duration = Duration::from_secs(10);
/// How often it is looked whether a server elsewhere did what it was told.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// How long a critical run waits for the slot that was made for it before another is stopped: undoing takes its time.
const MAKE_WAY_MAX: TimeDelta = TimeDelta::minutes(3);

impl Dispatcher {
    /// Ends a run: what it began is undone, and its claim given back.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn cancel(&self, run_id: RunId, by: String) -> Result<RunWordOutcome, StoreError> {
        let live = self.live_run(run_id);
        if let Some(live) = &live {
            live.stop(StopReason::Cancelled(by.clone()));
            // Whoever asks hears how it stands; the undoing goes on.
            if tokio::time::timeout(CANCEL_PATIENCE, live.wait_for_end()).await.is_err() {
                return self.answered(run_id).await;
            }
        }
        match self.store().run_get(run_id).await?.filter(|run| !run.status().is_terminal()) {
            // Also where another server was faster to begin it: then nothing was stopped here.
            Some(run) if run.status() != RunStatus::Queued => {
                self.tell_driver(run, RunWord::Cancel { by }, CANCEL_PATIENCE, |run| run.status().is_terminal()).await
            }
            Some(_) => self.cancel_queued(run_id, by).await,
            None if live.is_some() => self.answered(run_id).await,
            None => self.not_queued(run_id).await,
        }
    }

    /// Answers the question of a run.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn answer(&self, run_id: RunId, text: String, by: String) -> Result<RunWordOutcome, StoreError> {
        let live = self.live_run(run_id);
        let run = match &live {
            Some(live) => Some(live.run()),
            None => self.store().run_get(run_id).await?,
        };
        let Some((run, question)) = run.and_then(|run| run.question.clone().map(|question| (run, question))) else {
            return self.refused(run_id, "it asks nothing").await;
        };
        let asked_at = question.asked_at;
        let Some(live) = live else {
            let is_heard = |run: &Run| run.question.as_ref().is_none_or(|question| question.asked_at != asked_at);
            return self.tell_driver(run, RunWord::Answer { asked_at, text, by }, ANSWER_PATIENCE, is_heard).await;
        };
        if live.inbox.send(Message::Answer { asked_at, text, by }).await.is_err() {
            return self.refused(run_id, "it is just ending").await;
        }
        self.answered(run_id).await
    }

    /// Leaves a word for the server that works on a run, and waits until the run is as wanted, or `patience` is over.
    async fn tell_driver(
        &self,
        run: Run,
        word: RunWord,
        patience: Duration,
        is_done: impl Fn(&Run) -> bool,
    ) -> Result<RunWordOutcome, StoreError> {
        let run_id = run.run_id;
        self.store().run_word_insert(run, word, self.now()).await?;
        self.wake();
        let begun = tokio::time::Instant::now();
        loop {
            match self.store().run_get(run_id).await? {
                None => return Ok(RunWordOutcome::NotFound),
                Some(run) if is_done(&run) => return Ok(RunWordOutcome::Done(Box::new(run))),
                Some(run) if begun.elapsed() >= patience => return Ok(RunWordOutcome::Left(Box::new(run))),
                Some(_) => tokio::time::sleep(LOOK_EVERY).await,
            }
        }
    }

    /// Stops a run, wherever it is worked on, so that a critical one gets its slot.
    pub(super) async fn make_way(&self, victim: RunId, critical: RunId) -> Result<(), StoreError> {
        info!("run {} makes way for the critical run {}", victim.short(), critical.short());
        if let Some(live) = self.live_run(victim) {
            live.stop(StopReason::Preempted(critical.short()));
        } else if let Some(run) = self.store().run_get(victim).await? {
            let word = RunWord::MakeWay { critical, attempt: run.attempts, told_at: self.now() };
            self.store().run_word_insert(run, word, self.now()).await?;
        }
        Ok(())
    }

    /// Whether a run was told to make way, and the one that it was told for has not begun.
    pub(super) async fn is_way_made(&self) -> Result<bool, StoreError> {
        let stops_here = self.live_handles().iter().any(|live| live.stopped.is_cancelled());
        let is_told = |told: &RunTold| matches!(told.word, RunWord::MakeWay { .. });
        Ok(stops_here || self.store().run_word_list().await?.iter().any(is_told))
    }

    /// Does what others said of the runs here; who is in charge also forgets what nobody needs to hear any more.
    pub(super) async fn hear_words(&self) -> Result<(), StoreError> {
        let words = self.store().run_word_list().await?;
        if words.is_empty() {
            return Ok(());
        }
        let others = self.others().await?;
        for told in words {
            let word_id = told.word_id;
            let live = self.live_run(told.run_id);
            let is_over = match (told.word, live) {
                (RunWord::MakeWay { critical, attempt, told_at }, live) => {
                    let waits =
                        self.store().run_get(critical).await?.is_some_and(|run| run.status() == RunStatus::Queued);
                    if let Some(live) = live.filter(|live| waits && live.run().attempts == attempt) {
                        live.stop(StopReason::Preempted(critical.short()));
                    }
                    self.is_in_charge() && (!waits || self.now() - told_at >= MAKE_WAY_MAX)
                }
                (word, Some(live)) => self.hear(&live, word).await?,
                (word, None) => self.see_to_word(told.run_id, word, &others).await?,
            };
            if is_over {
                self.store().run_word_remove(word_id).await?;
            }
        }
        Ok(())
    }

    /// Passes a word on to a run that is worked on here; whether it is over. It stays until the run, as it is kept,
    /// shows what it did: this server may end before.
    async fn hear(&self, live: &Arc<Live>, word: RunWord) -> Result<bool, StoreError> {
        match word {
            RunWord::Cancel { by } => live.stop(StopReason::Cancelled(by)),
            RunWord::Answer { asked_at, text, by } => {
                let question = self.store().run_get(live.run().run_id).await?.and_then(|run| run.question);
                if question.is_none_or(|question| question.asked_at != asked_at) {
                    return Ok(true);
                }
                // Said twice it is heard once; a full inbox is tried again.
                let _ = live.inbox.try_send(Message::Answer { asked_at, text, by });
            }
            RunWord::MakeWay { .. } => {}
        }
        Ok(false)
    }

    /// A word to a run that is not worked on here; whether it is over.
    async fn see_to_word(&self, run_id: RunId, word: RunWord, others: &Others) -> Result<bool, StoreError> {
        let Some(run) = self.store().run_get(run_id).await? else { return Ok(self.is_in_charge()) };
        // A server that is there sees to its own, also to what it just gave back.
        if !self.is_own(&run) && (!self.is_in_charge() || others.drive(&run)) {
            return Ok(false);
        }
        match (run.status(), word) {
            (RunStatus::Queued, RunWord::Cancel { by }) => {
                Ok(!matches!(self.cancel_queued(run_id, by).await?, RunWordOutcome::Refused(..)))
            }
            (status, _) => Ok(status.is_terminal() || status == RunStatus::Queued),
        }
    }

    /// Ends a run that waits for its turn.
    async fn cancel_queued(&self, run_id: RunId, by: String) -> Result<RunWordOutcome, StoreError> {
        self.change_queued(run_id, |run, now| {
            // It never fails: a queued run may end.
            let _ = run.advance(RunStep::Fail { why: format!("cancelled by {by}") }, now);
        })
        .await
    }
}
