//! Following an agent while it works: what it says, what it asks, and whether it still gets anywhere.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};
use tracing::{info, warn};

use super::super::agent::{AgentEvent, Question, TurnEnd};
use super::super::budget::{self, Spent};
use super::super::container::ContainerId;
use super::super::container::ContainerState;
use super::super::intake;
use super::super::live::Message;
use super::super::prompt::{self, Fence};
use super::super::workspace::Workspace;
use super::looping::Calls;
use super::{Attempt, Setback};
use crate::domain::{ContainerSignal, LogKind, RunQuestion, RunStatus, RunStep, RunUsage};

/// Longest piece of an agent's text in one line of the log, in bytes.
const TEXT_BYTES_MAX: usize = 2000;

/// What is known of an agent at work.
struct Watch {
    messages: mpsc::Receiver<Message>,
    /// When it last did anything that counts.
    last_sign: Instant,
    /// Whether it waits for people.
    waits: bool,
    calls: Calls,
    /// What it said since the last line of the log.
    text: String,
    warned: bool,
    /// Whether it was told that changes are not committed.
    reminded: bool,
}

impl Attempt {
    /// Follows the agent until its turn ends; the stale rule is told that it is there, and that it no longer is.
    pub(super) async fn follow(&mut self) -> Result<(), Setback> {
        self.tell_stale_rule(ContainerSignal::Running).await?;
        let followed = self.follow_turns().await;
        self.tell_stale_rule(ContainerSignal::None).await?;
        followed
    }

    async fn tell_stale_rule(&self, container: ContainerSignal) -> Result<(), Setback> {
        let Some(hold) = &self.run.hold else { return Ok(()) };
        Ok(self.hub.manager().note_container(hold.claim_id, container).await?)
    }

    async fn follow_turns(&mut self) -> Result<(), Setback> {
        self.run.go_on(self.hub.now());
        let mut watch = Watch {
            messages: self.live.take_messages(),
            last_sign: Instant::now(),
            waits: self.run.status() == RunStatus::WaitingHuman,
            calls: Calls::default(),
            text: String::new(),
            warned: false,
            reminded: false,
        };
        let mut heartbeat = interval(self.config.containers.heartbeat.duration().max(Duration::from_millis(100)));
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let session = self.session.as_mut().expect("the step before started the agent").get_mut();
            tokio::select! {
                event = session.next() => {
                    let event = match event {
                        Ok(event) => event,
                        Err(error) => return Err(self.why_gone(error).await),
                    };
                    if self.take_event(&mut watch, event).await? {
                        self.flush(&mut watch);
                        return self.save().await;
                    }
                }
                Some(message) = watch.messages.recv() => self.take_message(&mut watch, message).await?,
                _ = heartbeat.tick() => self.look(&mut watch).await?,
            }
        }
    }

    /// Takes in what the agent did; whether its turn ended well.
    async fn take_event(&mut self, watch: &mut Watch, event: AgentEvent) -> Result<bool, Setback> {
        if !matches!(event, AgentEvent::Alive | AgentEvent::Usage(_)) {
            watch.last_sign = Instant::now();
        }
        match event {
            AgentEvent::Alive => {}
            AgentEvent::Text(text) => {
                watch.text.push_str(&text);
                if watch.text.len() >= TEXT_BYTES_MAX || watch.text.ends_with('\n') {
                    self.flush(watch);
                }
            }
            AgentEvent::Tool { name, call } => {
                self.flush(watch);
                self.say(LogKind::Tool, &format!("{name} {call}"));
                if let Some(circle) = watch.calls.note(&name, &call) {
                    return Err(Setback::Failed(format!("the agent goes round in circles: it {circle}")));
                }
            }
            AgentEvent::Usage(used) => self.count(
                watch,
                RunUsage { input_tokens: used.input, output_tokens: used.output, cost_usd: used.cost_usd },
            )?,
            AgentEvent::Question(question) => {
                self.flush(watch);
                self.ask(watch, question).await?;
            }
            AgentEvent::Ended(TurnEnd::Finished(last)) => {
                self.flush(watch);
                self.run.summary = Some(intake::cut(self.without_secrets(last)));
                return self.has_committed(watch).await;
            }
            // Some agents end their turn when a question is put: the answer begins another.
            AgentEvent::Ended(TurnEnd::Idle(_)) if watch.waits => {}
            AgentEvent::Ended(TurnEnd::Idle(last)) => {
                return Err(Setback::Failed(format!("the agent stopped before it was through{}", said(&last))));
            }
            AgentEvent::Ended(TurnEnd::Aborted) => return Err(Setback::Failed("the agent's turn was aborted".into())),
            AgentEvent::Ended(TurnEnd::Failed { why, provider: true }) => {
                return Err(Setback::Refused(format!("the model's provider refused: {why}")));
            }
            AgentEvent::Ended(TurnEnd::Failed { why, provider: false }) => {
                return Err(Setback::Failed(format!("the agent failed: {why}")));
            }
        }
        Ok(false)
    }

    /// Whether all that it changed is committed; it is told once if not.
    async fn has_committed(&mut self, watch: &mut Watch) -> Result<bool, Setback> {
        let container = self.container()?;
        let uncommitted = Workspace::of(&*self.containers, &container).uncommitted_count().await?;
        if uncommitted == 0 || watch.reminded {
            return Ok(true);
        }
        watch.reminded = true;
        self.say(LogKind::Step, &format!("{uncommitted} changed files are not committed: the agent is told"));
        let branch = self.run.branch.clone().unwrap_or_default();
        let session = self.session.as_mut().expect("its turn has just ended").get_mut();
        session.prompt(&prompt::of_missing_commit(uncommitted, &branch)).await?;
        self.run.session = Some(session.record().0);
        Ok(false)
    }

    /// Puts the agent's question to people.
    async fn ask(&mut self, watch: &mut Watch, question: Question) -> Result<(), Setback> {
        if self.run.question.as_ref().is_some_and(|known| known.id == question.id && known.text == question.text) {
            return Ok(());
        }
        self.say(LogKind::Question, &question.text);
        info!(run.id = %self.run.run_id, "run {} asks a question on {}", self.run.run_id.short(), self.run.issue_ref());
        watch.waits = true;
        let asked = RunQuestion {
            id: question.id,
            text: self.without_secrets(question.text),
            options: question.options.into_iter().map(|option| self.without_secrets(option)).collect(),
            asked_at: self.hub.now(),
            after_comment: None,
        };
        if self.run.status() == RunStatus::WaitingHuman {
            self.run.ask_another(asked);
        } else {
            self.step(RunStep::Ask(asked)).await?;
        }
        self.ask_on_issue().await?;
        self.tell().await;
        self.hub.wake();
        Ok(())
    }

    /// Puts its question on its issue, and writes down where: a reply counts from the question's own comment on.
    async fn ask_on_issue(&mut self) -> Result<(), Setback> {
        if let Some(comment) = self.hub.ask_on_issue(&self.run).await
            && let Some(question) = self.run.question.as_mut()
        {
            question.after_comment = Some(comment);
        }
        self.save().await
    }

    async fn take_message(&mut self, watch: &mut Watch, message: Message) -> Result<(), Setback> {
        let Some(question) = self.run.question.clone() else { return Ok(()) };
        let (Message::Answer { asked_at, .. } | Message::Unanswered { asked_at }) = &message;
        // The word on a question before this one came late.
        if *asked_at != question.asked_at {
            return Ok(());
        }
        match message {
            Message::Unanswered { .. } => {
                let patience = self.config.dispatch.question_timeout;
                Err(Setback::Hopeless(format!("nobody answered the agent's question within {patience}")))
            }
            Message::Answer { text, by, .. } => {
                self.say(LogKind::Question, &format!("{by} answered: {text}"));
                let asked = Question { id: question.id, text: question.text, options: question.options };
                self.wait_for_slot().await;
                let session = self.session.as_mut().expect("the agent waits").get_mut();
                let answer = match asked.id.is_empty() {
                    true => prompt::of_answer(&asked.text, &by, &text, Fence(&fence())),
                    false => text,
                };
                session.answer(&asked, &answer).await?;
                watch.waits = false;
                watch.last_sign = Instant::now();
                self.run.session = Some(session.record().0);
                self.step(RunStep::Work).await?;
                self.tell().await;
                Ok(())
            }
        }
    }

    /// One heartbeat: the lease, the container, and whether it still gets anywhere.
    async fn look(&mut self, watch: &mut Watch) -> Result<(), Setback> {
        if let Some(hold) = &self.run.hold {
            self.hub.manager().heard_from(&hold.agent_id);
        }
        self.check_hold().await?;
        if let Some(why) = self.hub.over_budget(&self.run, &self.config).await? {
            return Err(Setback::Interrupted(why));
        }
        let container = self.container()?;
        if let ContainerState::Exited { code, out_of_memory } = self.containers.state(&container).await? {
            return Err(self.container_ended(code, out_of_memory));
        }
        if watch.waits {
            // A crash, or GitHub, kept the question from its issue: nobody can answer what nobody sees.
            return match &self.run.question {
                Some(question) if question.after_comment.is_none() => self.ask_on_issue().await,
                _ => Ok(()),
            };
        }
        self.look_at_tree(watch, &container).await;
        if let Some(most) = self.limits.silence_max.filter(|most| watch.last_sign.elapsed() >= *most) {
            let minutes = most.as_secs_f64() / 60.0;
            return Err(Setback::Failed(format!("stuck: no tool call, changed file or word for {minutes:.1} minutes")));
        }
        let now = self.hub.now();
        if let Some(most) = self.limits.attempt_time_max.filter(|most| self.run.worked(now) >= *most) {
            let why = format!("the attempt took longer than {:.1} minutes", most.as_secs_f64() / 60.0);
            return Err(Setback::Failed(why));
        }
        self.run.driven_at = Some(now);
        self.save().await
    }

    /// A changed file is a sign of work, also where the agent says nothing.
    async fn look_at_tree(&self, watch: &mut Watch, container: &ContainerId) {
        match Workspace::of(&*self.containers, container).changed().await {
            Ok(true) => watch.last_sign = Instant::now(),
            Ok(false) => {}
            Err(error) => warn!(run.id = %self.run.run_id, "the work tree was not looked at: {error}"),
        }
    }

    /// Counts what was used against the run's budget.
    fn count(&mut self, watch: &mut Watch, used: RunUsage) -> Result<(), Setback> {
        self.run.usage = self.run.usage_before.plus(used);
        match budget::of_run(self.run.usage, &self.config.dispatch.budget) {
            Spent::Little => {}
            Spent::NearlyAll(_) if watch.warned => {}
            Spent::NearlyAll(share) => {
                watch.warned = true;
                self.say(LogKind::Trouble, &format!("{:.0} % of the run's budget is spent", share * 100.0));
            }
            Spent::All => {
                let usage = self.run.usage;
                let (tokens, usd) = (usage.tokens(), usage.cost_usd);
                return Err(Setback::Hopeless(format!("the run's budget is spent: {tokens} tokens, {usd:.2} USD")));
            }
        }
        Ok(())
    }

    /// The slot was given to others while people were asked; who answers gets the next one that is free.
    async fn wait_for_slot(&self) {
        while !self.hub.take_slot(&self.run).await {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    }

    fn flush(&self, watch: &mut Watch) {
        if !watch.text.trim().is_empty() {
            self.say(LogKind::Text, watch.text.trim_end());
        }
        watch.text.clear();
    }

    pub(super) fn container_ended(&self, code: i32, out_of_memory: bool) -> Setback {
        let limit = crate::config::Bytes(self.limits.container.memory_bytes);
        Setback::Failed(match out_of_memory {
            true => format!("ran out of memory: the container may use {limit} (containers.memory_limit)"),
            false => format!("the container ended with code {code}"),
        })
    }
}

fn said(last: &str) -> String {
    let last = last.trim();
    if last.is_empty() { String::new() } else { format!("; it said last: {}", &last[..last.floor_char_boundary(300)]) }
}

/// A delimiter that no text of others holds.
pub(super) fn fence() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}
