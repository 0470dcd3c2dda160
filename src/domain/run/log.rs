//! What a run did, line by line.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::Timestamp;

/// Most bytes of one line's text; the rest is left out.
const TEXT_BYTES_MAX: usize = 8 * 1024;

/// One line of a run's log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogLine {
    /// Its place, from 1; the store gives it.
    pub seq: u64,
    /// When.
    pub at: Timestamp,
    /// Who says so.
    pub kind: LogKind,
    /// What. Of an agent's lines: data, never markup.
    pub text: String,
}

impl LogLine {
    /// A line that the store has not given its place yet.
    pub fn new(kind: LogKind, text: &str, at: Timestamp) -> Self {
        // A database's text holds no such character, and a terminal shows none.
        let text = text[..text.floor_char_boundary(TEXT_BYTES_MAX)].replace('\0', "");
        Self { seq: 0, at, kind, text }
    }
}

/// Whose word a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogKind {
    /// The dispatcher: what it does.
    Step,
    /// The agent: what it says.
    Text,
    /// The agent: which tool it uses.
    Tool,
    /// The agent's question, or somebody's answer.
    Question,
    /// Something went wrong.
    Trouble,
}
