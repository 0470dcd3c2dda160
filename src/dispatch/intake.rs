//! What enters the queue: issues with the trigger label, reviews of agents' pull requests, and answers to questions.

use std::collections::HashMap;

use tracing::{info, warn};

use super::attempt::chain;
use super::dispatcher::Dispatcher;
use super::live::Message;
use super::prompt::COMMENT_COUNT_MAX;
use super::queue::BY_LABEL;
use super::story;
use crate::claims::{FollowUpUpdate, Offer};
use crate::config::Config;
use crate::domain::{
    Companion, FeedbackKind, FollowUp, FollowUpStatus, IssueRef, Run, RunId, RunPriority, RunStatus, RunStep, RunWish,
    label_key,
};
use crate::github::{CommentId, Reply};
use crate::store::{FollowUpFilter, RunInserted, StoreError};

/// Another project's word for "work on this repository", which its users keep.
const TOPIC_ACCEPTED: &str = "opencode-commander";
/// Longest text of an issue or a review that a run keeps, in bytes: GitHub's own bound on texts.
const BODY_BYTES_MAX: usize = 65_536;

/// The topics that let the dispatcher in.
pub(super) fn topics(config: &Config) -> Vec<String> {
    let default = Config::default().github.topic;
    let accepted = (config.github.topic == default).then(|| TOPIC_ACCEPTED.to_owned());
    [config.github.topic.clone()].into_iter().chain(accepted).collect()
}

/// The labels that ask for work.
pub(super) fn trigger_labels(config: &Config) -> [String; 2] {
    let label = config.github.trigger_label.clone();
    [format!("{label}/ready"), label]
}

impl Dispatcher {
    /// Puts issues with the trigger label in the queue, and takes those out again that lost it.
    pub(super) async fn take_in_labelled(&self) -> Result<(), StoreError> {
        let config = self.config();
        let labelled = self.manager().labelled(&self.agent_id(), &trigger_labels(&config), &topics(&config));
        let active = self.active_runs().await?;
        let known: HashMap<IssueRef, Run> = active
            .into_iter()
            .flat_map(|run| run.issues().into_iter().map(move |issue| (issue, run.clone())))
            .collect();
        for found in &labelled {
            match known.get(&found.issue) {
                Some(run) if run.issue_ref() == found.issue => self.follow_priority(run, &found.labels).await?,
                Some(_) => {}
                None if self.may_enter(&found.issue, &found.labels).await? => {
                    self.enter(found.issue.clone(), &found.labels, BY_LABEL.to_owned()).await?;
                }
                None => {}
            }
        }
        for run in known.into_values().filter(|run| run.status() == RunStatus::Queued && run.requested_by == BY_LABEL) {
            let untouched = run.attempts == 0 && run.parent.is_none();
            if untouched && labelled.iter().all(|found| found.issue != run.issue_ref()) {
                self.leave(run).await?;
            }
        }
        Ok(())
    }

    /// An issue that was worked on is not worked on again unasked: after a failure, taking the label off asks.
    async fn may_enter(&self, issue: &IssueRef, labels: &[String]) -> Result<bool, StoreError> {
        let Some(mut last) = self.store().run_latest(issue.clone()).await? else { return Ok(true) };
        let shows_failure = labels.iter().any(|label| label_key(label) == story::FAILED);
        match last.status() {
            RunStatus::Failed if shows_failure && !last.failure_seen => {
                last.failure_seen = true;
                self.save_idle(last).await?;
                Ok(false)
            }
            RunStatus::Failed => Ok(last.failure_seen && !shows_failure),
            _ => Ok(false),
        }
    }

    /// Puts an issue in the queue; answers its run, an active one if it has one.
    pub(super) async fn enter(
        &self,
        issue: IssueRef,
        labels: &[String],
        requested_by: String,
    ) -> Result<Option<RunId>, StoreError> {
        let Some(known) = self.store().issue_get(issue.clone()).await? else { return Ok(None) };
        let wish = RunWish {
            issue,
            url: known.url,
            title: known.title,
            body: cut(known.body),
            priority: RunPriority::of_labels(labels.iter().map(String::as_str)),
            requested_by,
        };
        let run = Run::queued(wish, self.now());
        Ok(Some(self.insert(run).await?))
    }

    async fn insert(&self, run: Run) -> Result<RunId, StoreError> {
        let (run_id, issue) = (run.run_id, run.issue_ref());
        let keep_max = self.config().dispatch.run_max_entries;
        Ok(match self.store().run_insert(run, keep_max).await? {
            RunInserted::Inserted => {
                info!(run.id = %run_id, "queued {issue} as run {}", run_id.short());
                run_id
            }
            RunInserted::ActiveAlready(active) => active,
        })
    }

    /// The run at `place` of the queue, with others of its repository that share its pull request, where the setting
    /// lets them. Theirs end: what is told of it is told on their issues, too. `None` when somebody was faster.
    pub(super) async fn with_companions(
        &self,
        place: usize,
        mut queue: Vec<Run>,
        config: &Config,
    ) -> Result<Option<Run>, StoreError> {
        let mut run = queue.remove(place);
        let most = config.dispatch.issues_per_pull.saturating_sub(1) as usize;
        let is_fresh = |run: &Run| {
            run.attempts == 0 && run.parent.is_none() && run.requested_by == BY_LABEL && run.with_issues.is_empty()
        };
        if most == 0 || !is_fresh(&run) {
            return Ok(Some(run));
        }
        let alike = |other: &Run| is_fresh(other) && other.repo == run.repo && other.priority == run.priority;
        let chosen: Vec<Run> = queue.into_iter().filter(alike).take(most).collect();
        if chosen.is_empty() {
            return Ok(Some(run));
        }
        run.with_issues =
            chosen.iter().map(|other| Companion { issue_number: other.issue_number, hold: None }).collect();
        // First the one that takes them over is written: a crash in between leaves an issue with two runs in the queue,
        // of which the second does not begin while the first has it.
        if !self.save_idle(run.clone()).await? {
            return Ok(None);
        }
        run.version += 1;
        let mut is_whole = true;
        for mut other in chosen {
            let number = other.issue_number;
            (other.left, other.failure_seen) = (true, true);
            let why = format!("worked on together with {} in run {}", run.issue_ref(), run.run_id.short());
            if other.advance(RunStep::Fail { why }, self.now()).is_err() || !self.save_idle(other).await? {
                // It changed meanwhile; on another server it may have begun.
                run.with_issues.retain(|companion| companion.issue_number != number);
                is_whole = false;
            }
        }
        if !is_whole {
            let is_saved = self.save_idle(run.clone()).await?;
            run.version += 1;
            return Ok(is_saved.then_some(run));
        }
        Ok(Some(run))
    }

    /// A priority label that changed changes the run that waits.
    async fn follow_priority(&self, run: &Run, labels: &[String]) -> Result<(), StoreError> {
        let priority = RunPriority::of_labels(labels.iter().map(String::as_str));
        if run.status() != RunStatus::Queued || run.priority == priority {
            return Ok(());
        }
        let mut run = run.clone();
        run.priority = priority;
        self.save_idle(run).await.map(drop)
    }

    /// A run whose issue is no longer on offer ends, which is no failure: somebody else has it, or it is closed.
    async fn leave(&self, mut run: Run) -> Result<(), StoreError> {
        let offer = self.manager().in_order(&self.agent_id(), [run.issue_ref()]).pop().map(|(_, offer)| offer);
        let why = match offer {
            Some(Offer::HeldBy(agent)) if agent == self.agent_id() => return Ok(()),
            Some(Offer::HeldBy(agent)) => format!("{agent} took the issue first"),
            Some(Offer::Unscored) => return Ok(()),
            Some(Offer::Skipped(why)) => format!("the ranker leaves the issue out: {why}"),
            Some(Offer::Gone) | None => "the issue is no longer open here".into(),
            Some(Offer::Ready) => "the issue lost its label, or its repository the topic".into(),
        };
        info!(run.id = %run.run_id, "run {} left the queue: {why}", run.run_id.short());
        // It may come back: its label is all that is needed.
        (run.failure_seen, run.left) = (true, true);
        if run.advance(RunStep::Fail { why }, self.now()).is_ok() && self.save_idle(run.clone()).await? {
            self.tell(&run).await;
        }
        Ok(())
    }

    /// Makes a follow-up run of each pull request of ours of which somebody asked for changes whose word counts. What
    /// others said is not told to an agent: it is left to people.
    pub(super) async fn take_in_reviews(&self) -> Result<(), StoreError> {
        let asked = self.manager().follow_ups(&FollowUpFilter::default());
        let config = self.config();
        let counts = |item: &FollowUp| is_among(&item.author_association, &config.dispatch.answer_associations);
        let mut by_pull: HashMap<String, Vec<FollowUp>> = HashMap::new();
        for item in asked.into_iter().filter(|item| item.status().is_on_offer() && counts(item)) {
            by_pull.entry(item.pr_url.clone()).or_default().push(item);
        }
        for (pr_url, items) in by_pull {
            let asks = items.iter().any(|item| item.source_event_type == FeedbackKind::ReviewChangesRequested);
            let Some(parent) = self.store().run_of_pull(pr_url).await?.filter(|_| asks) else { continue };
            // What a run failed to answer is not tried again; what was said since is.
            let is_new = |item: &FollowUp| !parent.follow_ups.contains(&item.work_item_id);
            if parent.status().is_terminal() && items.iter().any(is_new) {
                self.enter_review(&parent, items).await?;
            }
        }
        Ok(())
    }

    /// Makes a follow-up run of each pull request of ours whose checks fail, once for each commit that we pushed: what
    /// they said of the one before is old news once the follow-up run pushed another.
    pub(super) async fn take_in_failing_checks(&self) -> Result<(), StoreError> {
        if !self.config().dispatch.on_failing_checks {
            return Ok(());
        }
        for (pr_url, failing) in self.manager().failing_pulls_of(&self.agent_id()).await? {
            let Some(parent) = self.store().run_of_pull(pr_url).await? else { continue };
            let is_open = parent.status() == RunStatus::Completed;
            let is_news = parent.head_sha.as_ref().is_some_and(|head| *head == failing);
            if !is_open || !is_news || parent.round >= self.config().dispatch.review_rounds_max {
                continue;
            }
            let body = format!(
                "The checks of the pull request fail for {failing}. Find out why from the repository's own checks (its CI \
                 configuration says what they run), mend it, and run them before you commit."
            );
            let run = Run::follow_up(&parent, Vec::new(), body, self.now());
            info!("checks fail on {}: round {}", parent.issue_ref(), run.round);
            self.insert(run).await?;
        }
        Ok(())
    }

    async fn enter_review(&self, parent: &Run, mut items: Vec<FollowUp>) -> Result<(), StoreError> {
        let rounds = self.config().dispatch.review_rounds_max;
        if parent.round >= rounds {
            // Left for people, and for other agents, which `next_work` gives it to.
            return Ok(());
        }
        // No more than an agent is told, the request first; what is left stays on offer.
        items.sort_by_key(|item| (item.source_event_type != FeedbackKind::ReviewChangesRequested, item.created_at));
        items.truncate(COMMENT_COUNT_MAX);
        let ids = items.iter().map(|item| item.work_item_id).collect();
        let run = Run::follow_up(parent, ids, cut(review_text(&items)), self.now());
        let (run_id, round) = (run.run_id, run.round);
        if self.insert(run).await? != run_id {
            return Ok(());
        }
        info!(run.id = %run_id, "a review asks for changes on {}: round {round}", parent.issue_ref());
        for item in items {
            let update = FollowUpUpdate {
                work_item_id: item.work_item_id,
                agent: self.agent_id(),
                status: FollowUpStatus::Claimed,
                note: Some(format!("run {}", run_id.short())),
            };
            if let Err(error) = self.manager().update_follow_up(update).await {
                warn!("feedback on {} was not taken: {}", item.pr_url, chain(&error));
            }
        }
        Ok(())
    }

    /// Looks for answers to questions, and gives up on those that nobody answered in time.
    pub(super) async fn take_in_answers(&self) -> Result<(), StoreError> {
        let waiting = self.live_runs().into_iter().filter(|run| run.status() == RunStatus::WaitingHuman);
        for run in waiting {
            let (Some(question), Some(live)) = (run.question.clone(), self.live_run(run.run_id)) else { continue };
            let patience = self.config().dispatch.question_timeout;
            if !patience.is_zero() && question.asked_at + patience.delta() <= self.now() {
                // A full inbox is looked at soon, and so is the question, in the next round.
                let _ = live.inbox.try_send(Message::Unanswered { asked_at: question.asked_at });
                continue;
            }
            let (Some(forge), Some(after)) = (self.forge(), question.after_comment) else { continue };
            match forge.reply_list(&run.issue_ref(), CommentId(after)).await {
                Ok(replies) => {
                    if let Some(reply) = replies.into_iter().find(|reply| self.may_answer(reply)) {
                        let _ = live.inbox.try_send(Message::Answer {
                            asked_at: question.asked_at,
                            text: reply.body,
                            by: reply.author,
                        });
                    }
                }
                Err(error) => warn!("answers on {} were not looked for: {error}", run.issue_ref()),
            }
        }
        Ok(())
    }

    fn may_answer(&self, reply: &Reply) -> bool {
        !reply.is_bot && is_among(&reply.association, &self.config().dispatch.answer_associations)
    }

    /// The runs under way, as last written.
    pub(super) fn live_runs(&self) -> Vec<Run> {
        self.live_handles().iter().map(|live| live.run()).collect()
    }
}

/// Whether the word of an account that is this to the repository counts. Where GitHub did not say, it does not.
fn is_among(association: &str, allowed: &[String]) -> bool {
    !association.is_empty() && allowed.iter().any(|word| word.eq_ignore_ascii_case(association))
}

/// What reviewers wrote, each piece with its author.
fn review_text(items: &[FollowUp]) -> String {
    let piece = |item: &FollowUp| {
        let who = item.requested_by.as_deref().unwrap_or("somebody");
        format!(
            "{who} ({}): {}\n{}\n",
            item.source_event_type.as_str(),
            item.summary,
            item.actionable_comments.join("\n")
        )
    };
    items.iter().map(piece).collect()
}

pub(super) fn cut(mut text: String) -> String {
    text.truncate(text.floor_char_boundary(BODY_BYTES_MAX));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_word_of_those_counts_who_are_named_and_nobodys_where_github_does_not_say_who_they_are() {
        let allowed = Config::default().dispatch.answer_associations;
        for (association, counts) in
            [("OWNER", true), ("collaborator", true), ("CONTRIBUTOR", false), ("NONE", false), ("", false)]
        {
            assert_eq!(is_among(association, &allowed), counts, "{association:?}");
        }
        assert!(!is_among("", &[String::new()]));
    }
}
