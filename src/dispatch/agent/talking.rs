//! Agents that are one program for the whole conversation: what is told to them is a line, too.

use async_trait::async_trait;

use super::detached::Detached;
use super::hearing::{Dialect, Hearing, failed_to_start, refused};
use super::{AgentError, AgentEvent, AgentSession, Ground, Question, SessionRecord, TurnEnd};

/// How many signs of life a program gives while it starts: with silence, two minutes.
const SILENT_COUNT_MAX: u32 = 6;

/// What can be said to one kind of agent.
pub trait Speech: Dialect {
    /// Whether it can take a prompt. The line that makes it so tells [`AgentEvent::Alive`].
    fn is_ready(&self) -> bool;
    /// A prompt, as one line.
    fn prompt_line(&mut self, text: &str) -> String;
    /// The answer to a question that waits; `None` where there is no such thing.
    fn answer_line(&self, question: &Question, text: &str) -> Option<String>;
    /// That the turn must end.
    fn abort_line(&mut self) -> String;
}

/// A conversation with such an agent.
#[derive(Debug)]
pub struct Talk<D> {
    hearing: Hearing<D>,
}

impl<D: Speech> Talk<D> {
    /// Says the first lines, and waits for the sign of life by which the dialect tells that it can take a prompt.
    pub async fn open(detached: Detached, hello: &[String]) -> Result<Box<dyn AgentSession>, AgentError> {
        Self::open_with(detached, D::default(), hello).await
    }

    /// The same, where something is known before.
    pub async fn open_with(
        detached: Detached,
        dialect: D,
        hello: &[String],
    ) -> Result<Box<dyn AgentSession>, AgentError> {
        let mut hearing = Hearing::new(detached);
        hearing.dialect = dialect;
        for line in hello {
            hearing.detached.say(line, false).await.map_err(failed_to_start)?;
        }
        for _ in 0..SILENT_COUNT_MAX {
            let why = match hearing.next().await.map_err(failed_to_start)? {
                AgentEvent::Ended(TurnEnd::Failed { why, .. }) => why,
                _ if hearing.dialect.is_ready() => return Ok(Box::new(Self { hearing })),
                _ => continue,
            };
            return Err(AgentError::NotStarted { agent: D::AGENT, why });
        }
        let why = format!("it does not answer: {}", hearing.detached.last_words().await);
        Err(AgentError::NotStarted { agent: D::AGENT, why })
    }

    /// Comes back to a conversation.
    pub async fn attach(ground: &Ground, record: &SessionRecord) -> Result<Box<dyn AgentSession>, AgentError> {
        Ok(Box::new(Self { hearing: Hearing::attach(ground, record).await? }))
    }
}

#[async_trait]
impl<D: Speech> AgentSession for Talk<D> {
    async fn prompt(&mut self, text: &str) -> Result<(), AgentError> {
        self.hearing.begin_turn();
        let line = self.hearing.dialect.prompt_line(text);
        self.hearing.detached.say(&line, true).await
    }

    async fn next(&mut self) -> Result<AgentEvent, AgentError> {
        self.hearing.next().await
    }

    async fn answer(&mut self, question: &Question, text: &str) -> Result<(), AgentError> {
        if question.id.is_empty() {
            return self.prompt(text).await;
        }
        let line = self.hearing.dialect.answer_line(question, text);
        let line = line.ok_or_else(|| refused(D::AGENT, "take an answer", "it asked no such question"))?;
        self.hearing.detached.say(&line, false).await
    }

    async fn abort(&mut self) -> Result<(), AgentError> {
        let line = self.hearing.dialect.abort_line();
        self.hearing.detached.say(&line, false).await
    }

    fn record(&self) -> SessionRecord {
        self.hearing.record()
    }
}
