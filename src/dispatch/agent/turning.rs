//! Agents that are one program for each turn: a prompt starts the next one.

use async_trait::async_trait;

use super::detached::{Detached, Program};
use super::hearing::{Dialect, Hearing, refused};
use super::{AgentError, AgentEvent, AgentSession, Ground, Question, SessionRecord};

/// How the program of a turn is made.
pub trait Starter<D>: Send + Sync + std::fmt::Debug + 'static {
    /// The program that reads its prompt from `prompt_file`.
    fn program(&self, dialect: &D, prompt_file: &str) -> Program;
    /// Whether each turn is told all that was said before: the agent itself remembers nothing.
    fn repeats_prompts(&self) -> bool;
}

/// A conversation with such an agent.
#[derive(Debug)]
pub struct Turns<D, S> {
    hearing: Hearing<D>,
    starter: S,
}

/// What such a dialect must know of an abort, as that is a signal.
pub trait Abortable: Dialect {
    /// It is about to be told to end.
    fn note_abort(&mut self);
}

impl<D: Abortable, S: Starter<D>> Turns<D, S> {
    /// A conversation that nobody has begun yet.
    pub async fn open(ground: &Ground, starter: S) -> Result<Box<dyn AgentSession>, AgentError> {
        let hearing = Hearing::new(Detached::prepare(D::AGENT, ground).await?);
        Ok(Box::new(Self { hearing, starter }))
    }

    /// Comes back to a conversation.
    pub async fn attach(
        ground: &Ground,
        record: &SessionRecord,
        starter: S,
    ) -> Result<Box<dyn AgentSession>, AgentError> {
        Ok(Box::new(Self { hearing: Hearing::attach(ground, record).await?, starter }))
    }
}

#[async_trait]
impl<D: Abortable, S: Starter<D>> AgentSession for Turns<D, S> {
    async fn prompt(&mut self, text: &str) -> Result<(), AgentError> {
        self.hearing.begin_turn();
        let detached = &mut self.hearing.detached;
        let prompt_file = match self.starter.repeats_prompts() {
            true => detached.append("prompt", &format!("{text}\n\n")).await?,
            false => detached.write("prompt", text).await?,
        };
        detached.start_again(&self.starter.program(&self.hearing.dialect, &prompt_file)).await
    }

    async fn next(&mut self) -> Result<AgentEvent, AgentError> {
        self.hearing.next().await
    }

    async fn answer(&mut self, question: &Question, text: &str) -> Result<(), AgentError> {
        match question.id.is_empty() {
            true => self.prompt(text).await,
            false => Err(refused(D::AGENT, "take an answer", "it asked no such question")),
        }
    }

    async fn abort(&mut self) -> Result<(), AgentError> {
        self.hearing.dialect.note_abort();
        self.hearing.detached.terminate().await
    }

    fn record(&self) -> SessionRecord {
        self.hearing.record()
    }
}
