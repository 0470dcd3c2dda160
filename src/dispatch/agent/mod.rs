//! Who does the work: a port, and one adapter for each coding agent.
//!
//! An agent is started within a container so that it outlives this process: its session can be attached to again.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::container::{ContainerError, ContainerId, ContainerRuntime};
use crate::config::{AgentConfig, Secret};

mod acp;
mod claude;
mod codex;
mod command;
mod detached;
mod hearing;
mod opencode;
mod pi;
mod refusal;
mod talking;
mod turning;

pub use acp::Acp;
pub use claude::Claude;
pub use codex::Codex;
pub use command::PlainCommand;
pub use hearing::ASK_BY_TEXT;
pub use opencode::OpenCode;
pub use pi::Pi;

/// The port: one kind of coding agent.
#[async_trait]
pub trait AgentRuntime: Send + Sync + fmt::Debug + 'static {
    /// Its name in the configuration: `opencode`.
    fn name(&self) -> &'static str;
    /// The port within the container on which it listens, if it does.
    fn port(&self) -> Option<u16> {
        None
    }
    /// Whether it asks by [`ASK_BY_TEXT`], which its prompts then hold: it has no tool for questions.
    fn asks_by_text(&self) -> bool {
        false
    }
    /// Variables that every program in its containers sees; nothing secret.
    fn env(&self) -> BTreeMap<String, String> {
        BTreeMap::new()
    }
    /// Starts the agent and opens a session without a prompt. Answers when it can take one.
    async fn start(&self, ground: &Ground) -> Result<Box<dyn AgentSession>, AgentError>;
    /// Goes on with a session that an earlier process began.
    async fn attach(&self, ground: &Ground, record: &SessionRecord) -> Result<Box<dyn AgentSession>, AgentError>;
}

/// One conversation with an agent.
#[async_trait]
pub trait AgentSession: Send + fmt::Debug {
    /// Tells it what to do, or what was answered where it has no other way. It begins a turn.
    async fn prompt(&mut self, text: &str) -> Result<(), AgentError>;
    /// What happens next. Never waits longer than a few minutes without a word: [`AgentEvent::Alive`] comes between.
    /// May be dropped while it waits; nothing is lost then.
    async fn next(&mut self) -> Result<AgentEvent, AgentError>;
    /// Answers a question that waits.
    async fn answer(&mut self, question: &Question, text: &str) -> Result<(), AgentError>;
    /// Ends the turn under way, if there is one.
    async fn abort(&mut self) -> Result<(), AgentError>;
    /// What [`AgentRuntime::attach`] needs to come back here. Holds nothing secret.
    fn record(&self) -> SessionRecord;
}

/// The kinds of agents that are built in.
pub const KINDS: [&str; 6] = ["opencode", "pi", "claude", "codex", "acp", "command"];

/// The agent of this name: of the kind that its configuration says, or that its name is.
pub fn of(name: &str, config: &AgentConfig) -> Result<Arc<dyn AgentRuntime>, AgentError> {
    let kind = config.kind.as_deref().unwrap_or(name);
    Ok(match kind {
        "opencode" => Arc::new(OpenCode::new(config)),
        "pi" => Arc::new(Pi::new(config)),
        "claude" => Arc::new(Claude::new(config)),
        "codex" => Arc::new(Codex::new(config)),
        "acp" => Arc::new(Acp::new(config)),
        "command" => Arc::new(PlainCommand::new(config)),
        _ => {
            let (name, kinds) = (name.to_owned(), KINDS.join(", "));
            return Err(AgentError::Unknown { name, kind: kind.to_owned(), kinds });
        }
    })
}

/// Where a session is, in its adapter's own form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SessionRecord(pub Value);

/// What an agent stands on.
#[derive(Debug, Clone)]
pub struct Ground {
    /// Who runs the container.
    pub runtime: Arc<dyn ContainerRuntime>,
    /// Which container.
    pub container: ContainerId,
    /// What enters the environment, before the agent's own command: `nix develop --command`; often empty.
    pub environment: Vec<String>,
    /// Variables that the agent sees; nothing secret.
    pub env: BTreeMap<String, String>,
    /// Variables that the agent sees and nobody else may: they go in on standard input.
    pub secrets: BTreeMap<String, Secret>,
    /// A password for the agent's own door, the same whenever this run is attached to.
    pub password: Secret,
    /// The model to use; the agent's own choice if `None`.
    pub model: Option<String>,
    /// Whether the agent reads configuration that lies in the repository.
    pub trusts_repository: bool,
}

/// What an agent does.
#[derive(Debug, Clone, PartialEq)]
pub enum AgentEvent {
    /// It is there; nothing that counts as work.
    Alive,
    /// It said something, or thought aloud. Pieces of one message may come one by one.
    Text(String),
    /// It uses a tool. The same call twice has the same `call`.
    Tool {
        /// Which.
        name: String,
        /// Its input, as compact JSON; bounded.
        call: String,
    },
    /// What it used since the session began, as it reports it.
    Usage(TokenUsage),
    /// It waits for an answer.
    Question(Question),
    /// The turn ended.
    Ended(TurnEnd),
}

/// What an agent asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// The agent's name for it; empty where it ended its turn to ask, so that the answer is the next prompt.
    pub id: String,
    /// What it wants to know. The agent's words: data, never markup.
    pub text: String,
    /// Answers that it offers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
}

/// How a turn ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TurnEnd {
    /// By the agent's own word that it is through, with the last thing it said.
    Finished(String),
    /// It stopped without such a word: idle is not success.
    Idle(String),
    /// It was aborted.
    Aborted,
    /// It failed.
    Failed {
        /// What it said; bounded.
        why: String,
        /// Whether another model may do better: the provider refused, or was out of budget.
        provider: bool,
    },
}

/// What a session used so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct TokenUsage {
    /// Tokens that went in, cached ones too.
    pub input: u64,
    /// Tokens that came out.
    pub output: u64,
    /// What the agent says it cost, in US dollars; 0 where it does not say.
    pub cost_usd: f64,
}

/// Why an agent could not be talked to.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// There is no such agent.
    #[error("no agent {name}: {kind:?} is no kind of agent; set kind in [agents.{name}] to one of {kinds}")]
    Unknown {
        /// Its name in the configuration.
        name: String,
        /// What it should be.
        kind: String,
        /// What there is.
        kinds: String,
    },
    /// Its container failed it.
    #[error(transparent)]
    Container(#[from] ContainerError),
    /// It did not start.
    #[error("{agent} did not start: {why}")]
    NotStarted {
        /// Which.
        agent: &'static str,
        /// The end of what it printed, or what is missing.
        why: String,
    },
    /// It ended, or its session is gone.
    #[error("{agent} is gone: {why}")]
    Gone {
        /// Which.
        agent: &'static str,
        /// How it ended.
        why: String,
        /// Whether memory ran out, as far as can be told.
        out_of_memory: bool,
    },
    /// It said something that is out of form, or refused.
    #[error("{agent} could not {what}: {why}")]
    Refused {
        /// Which.
        agent: &'static str,
        /// What was attempted, to follow "could not".
        what: String,
        /// What it said.
        why: String,
    },
}
