//! One conversation with opencode.
//!
//! Its event stream has no replay: after each connection everything is asked anew. All that waits is kept in the
//! session until it is done, so that `next` may be dropped at any point.

use std::fmt;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt;
use futures_util::stream::BoxStream;
use serde_json::{Value, json};
use sse_stream::SseStream;
use tokio::time::timeout;

use super::door::Door;
use super::reading::{Reading, end_of_message};
use super::{AGENT, Kept, Model};
use crate::dispatch::agent::detached::{Detached, Printed};
use crate::dispatch::agent::hearing::refused;
use crate::dispatch::agent::{AgentError, AgentEvent, AgentSession, Question, SessionRecord, TurnEnd};

/// Longest silence of the event stream, in seconds: it has a heartbeat every 10.
const SILENT_SECONDS_MAX: u64 = 30;
/// The wait before a connection is tried again, in milliseconds.
const RECONNECT_WAIT_MS: u64 = 500;
/// How often a connection is tried, while the server runs.
const RECONNECT_COUNT_MAX: u32 = 60;
/// How many heartbeats it may do nothing, without a word on how the turn ended.
const IDLE_LOOKS_MAX: u32 = 6;

/// A session of an opencode server.
pub struct OpenCodeSession {
    detached: Detached,
    door: Door,
    model: Model,
    kept: Kept,
    reading: Reading,
    events: Option<BoxStream<'static, Option<Value>>>,
    /// Whether a turn is under way, as far as is known.
    turn_is_open: bool,
    idle_looks: u32,
    reconnects: u32,
}

impl fmt::Debug for OpenCodeSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpenCodeSession").field("kept", &self.kept).finish_non_exhaustive()
    }
}

impl OpenCodeSession {
    pub(super) fn new(detached: Detached, door: Door, model: Model, kept: Kept, turn_is_open: bool) -> Self {
        let reading = Reading::new(&kept.session);
        Self { detached, door, model, kept, reading, events: None, turn_is_open, idle_looks: 0, reconnects: 0 }
    }

    /// What earlier turns did was told when they did it.
    pub(super) fn pass_over(&mut self, messages: &[Value]) {
        let Some(last) = &self.kept.turn_after else { return };
        let id_of = |message: &Value| message["info"]["id"].as_str().map(str::to_owned);
        if let Some(end) = messages.iter().position(|message| id_of(message).as_ref() == Some(last)) {
            messages[..=end].iter().for_each(|message| self.reading.read_message(message));
            while self.reading.pop().is_some() {}
        }
    }

    /// Connects to the event stream, and then reads what it may have told before.
    async fn connect(&mut self) -> Result<(), AgentError> {
        let answer = self.door.events().await?;
        let events = SseStream::from_bytes_stream(answer.bytes_stream());
        // `None` is an event that is out of form, or the end: both mean to connect again.
        let events = events.map(|event| serde_json::from_str(&event.ok()?.data?).ok());
        let (session, door) = (&self.kept.session, &self.door);
        let messages = door.messages(session).await?;
        let (questions, permissions) = (door.questions().await?, door.permissions().await?);
        self.reading.is_idle = door.is_idle(session).await?;
        messages.iter().for_each(|message| self.reading.read_message(message));
        questions.iter().for_each(|question| self.reading.read_question(question));
        permissions.iter().for_each(|permission| self.reading.read_permission(permission));
        self.events = Some(events.boxed());
        self.reconnects = 0;
        Ok(())
    }

    /// After a connection that failed: whether there is still somebody to connect to.
    async fn expect_server(&mut self, error: AgentError) -> Result<(), AgentError> {
        if !self.detached.is_running().await? {
            return Err(self.end_of_server().await?);
        }
        self.reconnects += 1;
        if self.reconnects > RECONNECT_COUNT_MAX {
            return Err(error);
        }
        tokio::time::sleep(Duration::from_millis(RECONNECT_WAIT_MS)).await;
        Ok(())
    }

    async fn end_of_server(&mut self) -> Result<AgentError, AgentError> {
        let code = loop {
            match self.detached.next().await? {
                Printed::End(code) => break code,
                Printed::Line(_) | Printed::CutLine(_) | Printed::Nothing => {}
            }
        };
        let why = format!("its server ended with code {code}; last: {}", self.detached.last_words().await);
        Ok(AgentError::Gone { agent: AGENT, why, out_of_memory: code == 137 })
    }

    /// Does what waits to be done about what was read.
    async fn react(&mut self) -> Result<(), AgentError> {
        while let Some((id, allow)) = self.reading.permissions.front().cloned() {
            self.door.permission_reply(&id, allow).await?;
            self.reading.permissions.pop_front();
        }
        if self.reading.must_give_up && !self.reading.is_idle {
            self.door.abort(&self.kept.session).await?;
            self.reading.is_idle = true;
        }
        if self.reading.is_idle && self.turn_is_open {
            self.look_for_end().await?;
        }
        Ok(())
    }

    /// It does nothing: whether that is because the turn ended, and how.
    async fn look_for_end(&mut self) -> Result<(), AgentError> {
        let messages = self.door.messages(&self.kept.session).await?;
        messages.iter().for_each(|message| self.reading.read_message(message));
        let last = messages.last().filter(|last| last["info"]["id"].as_str() != self.kept.turn_after.as_deref());
        let end = self.reading.failure.take().or_else(|| last.and_then(end_of_message));
        self.idle_looks += 1;
        // Just after a prompt it may not have begun: then it is looked again at the next sign of life.
        self.reading.is_idle = false;
        let end = end.or_else(|| (self.idle_looks > IDLE_LOOKS_MAX).then(|| TurnEnd::Idle(String::new())));
        if let Some(end) = end {
            self.turn_is_open = false;
            self.reading.must_give_up = false;
            self.reading.tell(AgentEvent::Ended(end));
        }
        Ok(())
    }

    async fn read_event(&mut self) -> Result<(), AgentError> {
        let Some(events) = &mut self.events else {
            return match self.connect().await {
                Ok(()) => Ok(()),
                Err(error) => self.expect_server(error).await,
            };
        };
        match timeout(Duration::from_secs(SILENT_SECONDS_MAX), events.next()).await {
            Ok(Some(Some(event))) => {
                self.reading.read(&event);
                if event["type"] == "server.heartbeat" && self.turn_is_open {
                    self.reading.is_idle |= self.door.is_idle(&self.kept.session).await?;
                }
            }
            Ok(Some(None) | None) | Err(_) => self.events = None,
        }
        Ok(())
    }
}

#[async_trait]
impl AgentSession for OpenCodeSession {
    async fn prompt(&mut self, text: &str) -> Result<(), AgentError> {
        let messages = self.door.messages(&self.kept.session).await?;
        self.kept.turn_after = messages.last().and_then(|last| last["info"]["id"].as_str()).map(str::to_owned);
        self.reading.begin_turn();
        // Connected first, so that nothing of the turn is missed.
        self.connect().await?;
        self.reading.is_idle = false;
        self.turn_is_open = true;
        self.idle_looks = 0;
        self.door.prompt(&self.kept.session, text, &self.model).await
    }

    async fn next(&mut self) -> Result<AgentEvent, AgentError> {
        loop {
            if let Some(event) = self.reading.pop() {
                return Ok(event);
            }
            if let Err(error) = self.react().await {
                self.events = None;
                self.expect_server(error).await?;
                continue;
            }
            if let Some(event) = self.reading.pop() {
                return Ok(event);
            }
            self.read_event().await?;
        }
    }

    /// A question that was lost with its server is answered by a prompt.
    async fn answer(&mut self, question: &Question, text: &str) -> Result<(), AgentError> {
        let waiting = self.door.questions().await?;
        match waiting.iter().find(|waiting| waiting["id"].as_str() == Some(&question.id)) {
            Some(waiting) => {
                let part_count = waiting["questions"].as_array().map_or(1, Vec::len);
                self.door.question_reply(&question.id, &vec![vec![text]; part_count]).await
            }
            None if self.door.is_idle(&self.kept.session).await? => {
                self.prompt(&format!("You asked: {}\nThe answer: {text}", question.text)).await
            }
            None => Err(refused(AGENT, "take an answer", "it no longer waits for one")),
        }
    }

    async fn abort(&mut self) -> Result<(), AgentError> {
        self.door.abort(&self.kept.session).await
    }

    fn record(&self) -> SessionRecord {
        SessionRecord(json!(self.kept))
    }
}
