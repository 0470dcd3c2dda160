//! From the lines that an agent prints to what they mean: what the adapters have in common.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use xxhash_rust::xxh3::xxh3_64;

use super::detached::{Detached, Printed, SILENT_SECONDS};
use super::{AgentError, AgentEvent, Ground, Question, SessionRecord, TurnEnd};

/// What a prompt says to an agent without a tool for questions.
pub const ASK_BY_TEXT: &str = "If you cannot go on without a decision by a person, end your turn with a message of \
    which one line begins with `NEEDS-INPUT:`, followed by your question. The answer comes as the next message. \
    Ask only what the repository and the issue do not answer.";

/// How a question by text begins, at the beginning of a line.
const ASK_MARK: &str = "NEEDS-INPUT:";
/// Most bytes of a message that are kept as the last words of a turn.
pub const TEXT_BYTES_MAX: usize = 16 << 10;
/// Most bytes of a tool's input that are told.
const CALL_BYTES_MAX: usize = 2 << 10;
/// The code of a program that was killed. Nobody here does so but the one who removes the container.
const KILLED_CODE: i32 = 137;

/// What the lines of one kind of agent mean. All that it remembers goes into the session's record.
pub trait Dialect: fmt::Debug + Clone + Default + Serialize + DeserializeOwned + Send + Sync + 'static {
    /// The agent's name.
    const AGENT: &'static str;
    /// Whether its program runs for the time of one turn only.
    const ENDS_WITH_TURN: bool = false;
    /// A prompt is about to be given.
    fn begin_turn(&mut self);
    /// Reads one line.
    fn read(&mut self, line: &str, heard: &mut Heard);
    /// Reads the beginning of a line that was too long to be handed out.
    fn read_head(&mut self, _head: &str, _heard: &mut Heard) {}
    /// The program ended with `code`. Whether the turn's end is told with that.
    fn read_end(&mut self, code: i32, last_words: &str, heard: &mut Heard) -> bool;
}

/// What came of a line.
#[derive(Debug, Default)]
pub struct Heard {
    /// What happened.
    pub events: VecDeque<AgentEvent>,
    /// What must be said in reply.
    pub replies: VecDeque<String>,
}

impl Heard {
    /// Something happened.
    pub fn tell(&mut self, event: AgentEvent) {
        self.events.push_back(event);
    }

    /// A tool is used.
    pub fn tell_tool(&mut self, name: &str, input: &Value) {
        self.tell(AgentEvent::Tool { name: name.to_owned(), call: call_of(input) });
    }

    /// The turn ended well; it may have been to ask.
    pub fn tell_finished(&mut self, last_text: &str, asks_by_text: bool) {
        let asked = asks_by_text.then(|| question_in(last_text)).flatten();
        self.tell(match asked {
            Some(text) => AgentEvent::Question(Question { id: String::new(), text, options: Vec::new() }),
            None => AgentEvent::Ended(TurnEnd::Finished(end_of(last_text))),
        });
    }

    /// The turn failed.
    pub fn tell_failed(&mut self, why: &str, provider: bool) {
        self.tell(AgentEvent::Ended(TurnEnd::Failed { why: bounded(why, TEXT_BYTES_MAX), provider }));
    }
}

/// A detached program whose lines are understood.
#[derive(Debug)]
pub struct Hearing<D> {
    /// The program.
    pub detached: Detached,
    /// What is known from its lines.
    pub dialect: D,
    heard: Heard,
    /// Whether a turn is under way.
    turn_is_open: bool,
    /// The program's end, until it is told.
    ended: Option<i32>,
    /// How it was before the line that `heard` came of: who attaches hears that line again.
    before: (u64, D),
}

/// How a [`Hearing`] is kept.
#[derive(Serialize, Deserialize)]
struct Kept<D> {
    offset: u64,
    dialect: D,
    turn_is_open: bool,
}

impl<D: Dialect> Hearing<D> {
    /// Hears a program from its beginning.
    pub fn new(detached: Detached) -> Self {
        let before = (detached.offset(), D::default());
        Self { detached, dialect: D::default(), heard: Heard::default(), turn_is_open: false, ended: None, before }
    }

    /// Comes back to one. Where its present turn is newer than the record, what it printed before is passed over.
    pub async fn attach(ground: &Ground, record: &SessionRecord) -> Result<Self, AgentError> {
        let kept: Kept<D> = serde_json::from_value(record.0.clone())
            .map_err(|why| refused(D::AGENT, "be attached to", &format!("the session's record: {why}")))?;
        let (detached, found) = Detached::attach(D::AGENT, ground, kept.offset).await?;
        let mut dialect = kept.dialect;
        if found.turn_is_new {
            dialect.begin_turn();
        }
        let before = (detached.offset(), dialect.clone());
        let turn_is_open = kept.turn_is_open || found.has_more;
        Ok(Self { detached, dialect, heard: Heard::default(), turn_is_open, ended: None, before })
    }

    /// A turn begins. Nothing of an earlier one is told any more.
    pub fn begin_turn(&mut self) {
        self.dialect.begin_turn();
        self.heard = Heard::default();
        self.ended = None;
        self.turn_is_open = true;
    }

    /// What [`Hearing::attach`] needs.
    pub fn record(&self) -> SessionRecord {
        let all_is_told = self.heard.events.is_empty() && self.heard.replies.is_empty() && self.ended.is_none();
        let (offset, dialect) = match all_is_told {
            true => (self.detached.offset(), &self.dialect),
            false => (self.before.0, &self.before.1),
        };
        SessionRecord(json!({"offset": offset, "dialect": dialect, "turn_is_open": self.turn_is_open}))
    }

    /// The next event. May be dropped while it waits.
    pub async fn next(&mut self) -> Result<AgentEvent, AgentError> {
        loop {
            while let Some(reply) = self.heard.replies.front() {
                self.detached.say(reply, false).await?;
                self.heard.replies.pop_front();
            }
            if let Some(event) = self.heard.events.pop_front() {
                let asks_by_text = matches!(&event, AgentEvent::Question(question) if question.id.is_empty());
                self.turn_is_open &= !asks_by_text && !matches!(event, AgentEvent::Ended(_));
                return Ok(event);
            }
            if D::ENDS_WITH_TURN && !self.turn_is_open {
                tokio::time::sleep(Duration::from_secs(SILENT_SECONDS)).await;
                return Ok(AgentEvent::Alive);
            }
            if let Some(code) = self.ended {
                self.read_end(code).await?;
                continue;
            }
            let offset = self.detached.offset();
            match self.detached.next().await? {
                Printed::Nothing => return Ok(AgentEvent::Alive),
                Printed::Line(line) => self.read(offset, |dialect, heard| dialect.read(&line, heard)),
                Printed::CutLine(head) => self.read(offset, |dialect, heard| dialect.read_head(&head, heard)),
                Printed::End(code) => {
                    self.ended = Some(code);
                    self.before = (offset, self.dialect.clone());
                }
            }
        }
    }

    fn read(&mut self, offset: u64, read: impl FnOnce(&mut D, &mut Heard)) {
        let before = (offset, self.dialect.clone());
        read(&mut self.dialect, &mut self.heard);
        if !self.heard.events.is_empty() || !self.heard.replies.is_empty() {
            self.before = before;
        }
    }

    async fn read_end(&mut self, code: i32) -> Result<(), AgentError> {
        let last_words = self.detached.last_words().await;
        // Not before: this may be dropped while it waits.
        self.ended = None;
        if self.dialect.read_end(code, &last_words, &mut self.heard) {
            return Ok(());
        }
        let (why, out_of_memory) = match code {
            KILLED_CODE => (format!("it was killed, probably out of memory; last: {last_words}"), true),
            code => (format!("it ended with code {code}; last: {last_words}"), false),
        };
        Err(AgentError::Gone { agent: D::AGENT, why, out_of_memory })
    }
}

/// An error of what was attempted.
pub fn refused(agent: &'static str, what: &str, why: &str) -> AgentError {
    AgentError::Refused { agent, what: what.to_owned(), why: why.to_owned() }
}

/// An agent that is gone before it could take a prompt did not start.
pub fn failed_to_start(error: AgentError) -> AgentError {
    match error {
        AgentError::Gone { agent, why, .. } => AgentError::NotStarted { agent, why },
        other => other,
    }
}

/// What a person is asked, if a message asks.
pub fn question_in(text: &str) -> Option<String> {
    let begin = text.match_indices(ASK_MARK).map(|(at, _)| at).find(|&at| {
        let line_begin = text[..at].rfind('\n').map_or(0, |end| end + 1);
        text[line_begin..at].trim().is_empty()
    })?;
    Some(bounded(text[begin + ASK_MARK.len()..].trim(), TEXT_BYTES_MAX))
}

/// A tool's input as compact JSON. One that is too long ends in a digest of all of it, so that two are only
/// equal when they are.
pub fn call_of(input: &Value) -> String {
    let call = input.to_string();
    if call.len() <= CALL_BYTES_MAX {
        return call;
    }
    format!("{}… #{:016x}", bounded(&call, CALL_BYTES_MAX), xxh3_64(call.as_bytes()))
}

/// The beginning of a text, at most `bytes_max` long.
pub fn bounded(text: &str, bytes_max: usize) -> String {
    text[..text.floor_char_boundary(bytes_max)].to_owned()
}

/// Puts more to the end of a text that is kept as last words; what it began with goes when there is no room.
pub fn append_bounded(text: &mut String, more: &str) {
    text.push_str(more);
    if text.len() > TEXT_BYTES_MAX {
        *text = end_of(text);
    }
}

/// The end of a text, at most [`TEXT_BYTES_MAX`] long.
pub fn end_of(text: &str) -> String {
    text[text.ceil_char_boundary(text.len().saturating_sub(TEXT_BYTES_MAX))..].to_owned()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_begins_with_the_mark_asks() {
        assert_eq!(
            question_in("I looked.\nNEEDS-INPUT: which greeting?\nhello or hola").unwrap(),
            "which greeting?\nhello or hola"
        );
        assert_eq!(question_in("  NEEDS-INPUT: so?").unwrap(), "so?");
        assert_eq!(question_in("The mark is NEEDS-INPUT: and means nothing here"), None);
    }

    #[test]
    fn long_calls_that_differ_at_their_end_are_not_the_same() {
        let call = |end: &str| call_of(&json!({"content": format!("{}{end}", "x".repeat(CALL_BYTES_MAX))}));
        assert_ne!(call("a"), call("b"));
        assert_eq!(call("a"), call("a"));
        assert!(call("a").len() < CALL_BYTES_MAX + 32);
    }
}
