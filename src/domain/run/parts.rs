//! What a run holds: its claim, its question, what it used, what it is made from.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::RunPriority;
use crate::domain::{AgentId, ClaimId, IssueNumber, IssueRef, RunId, Timestamp};

/// Who drives a run: its container is on that machine, and only there can it be gone on with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunDriver {
    /// The dispatcher, by the name that it keeps over restarts.
    pub dispatcher: String,
    /// The server that it is part of: another one at each start, where several share a database.
    pub server: String,
}

/// The claim under which a run works. Its epoch grows with every attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunHold {
    /// The claim.
    pub claim_id: ClaimId,
    /// The agent that holds it.
    pub agent_id: AgentId,
    /// The epoch of its lease.
    pub epoch: u64,
}

/// What becomes of an attempt that did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RunEnding {
    /// It is tried again.
    Again {
        /// Why.
        why: String,
        /// Not before then.
        not_before: Option<Timestamp>,
        /// Whether that counts as its failure.
        failed: bool,
    },
    /// It is over.
    Over {
        /// Why.
        why: String,
        /// Whether the claim is still the run's to give back.
        gives_back: bool,
    },
}

/// Another issue of the same repository that a run works on too.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Companion {
    /// The issue.
    pub issue_number: IssueNumber,
    /// Its claim, once there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<RunHold>,
}

/// What an agent asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct RunQuestion {
    /// The agent's name for it; empty where the answer is its next prompt.
    pub id: String,
    /// What it wants to know.
    pub text: String,
    /// Answers that it offers.
    #[serde(default)]
    pub options: Vec<String>,
    /// When.
    pub asked_at: Timestamp,
    /// The newest comment when it was asked: what follows may be the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after_comment: Option<u64>,
}

/// What a run used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RunUsage {
    /// Tokens that went in.
    pub input_tokens: u64,
    /// Tokens that came out.
    pub output_tokens: u64,
    /// Cost in US dollars, as far as the agent says.
    pub cost_usd: f64,
}

impl RunUsage {
    /// Tokens in and out.
    pub fn tokens(&self) -> u64 {
        self.input_tokens.saturating_add(self.output_tokens)
    }

    /// Both together.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            input_tokens: self.input_tokens.saturating_add(other.input_tokens),
            output_tokens: self.output_tokens.saturating_add(other.output_tokens),
            cost_usd: self.cost_usd + other.cost_usd,
        }
    }
}

/// What a run is made from.
#[derive(Debug, Clone)]
pub struct RunWish {
    /// Which issue.
    pub issue: IssueRef,
    /// Its page.
    pub url: String,
    /// Its title.
    pub title: String,
    /// What is asked for.
    pub body: String,
    /// How urgent it is.
    pub priority: RunPriority,
    /// Who asks.
    pub requested_by: String,
}

/// What the server that works on a run is told by others.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "word", rename_all = "snake_case")]
pub enum RunWord {
    /// End it, and undo what it began.
    Cancel {
        /// Who says so.
        by: String,
    },
    /// Stop it for now: a critical run needs its slot.
    MakeWay {
        /// That run.
        critical: RunId,
        /// The attempt that is meant: a later one is not.
        attempt: u32,
        /// When.
        told_at: Timestamp,
    },
    /// The answer to the question that it asked at that time.
    Answer {
        /// When it asked.
        asked_at: Timestamp,
        /// What somebody answers.
        text: String,
        /// Who.
        by: String,
    },
}

impl RunWord {
    /// What an event tells of it: an answer's text is for the agent alone.
    pub fn told(&self) -> serde_json::Value {
        match self {
            Self::Cancel { by } => serde_json::json!({ "word": "cancel", "by": by }),
            Self::MakeWay { critical, .. } => serde_json::json!({ "word": "make_way", "for": critical.short() }),
            Self::Answer { by, .. } => serde_json::json!({ "word": "answer", "by": by }),
        }
    }
}
