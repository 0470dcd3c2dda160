//! opencode: an HTTP server in the container, spoken to over HTTP and server-sent events.

mod door;
mod reading;
mod session;

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};
use tokio::time::{Instant, timeout};

use door::Door;
use session::OpenCodeSession;

use super::detached::{Detached, Input, Printed, Program};
use super::hearing::refused;
use super::{AgentError, AgentRuntime, AgentSession, Ground, SessionRecord};
use crate::config::AgentConfig;

/// The agent's name.
const AGENT: &str = "opencode";
/// The versions that this was tried with, by their beginning; another one works or does not.
const VERSION_TRIED: &str = "1.18.";
/// The port in the container.
const PORT: u16 = 4096;
/// Longest time from its start until it answers, in seconds: it took 5 to 12 on two busy processors.
const READY_SECONDS_MAX: u64 = 120;
/// The wait between two looks whether it answers, in milliseconds.
const READY_WAIT_MS: u64 = 200;
/// What keeps it from fetching, updating and publishing, and lets it ask.
const QUIET: [(&str, &str); 6] = [
    ("OPENCODE_DISABLE_AUTOUPDATE", "1"),
    ("OPENCODE_DISABLE_DEFAULT_PLUGINS", "1"),
    ("OPENCODE_DISABLE_LSP_DOWNLOAD", "1"),
    ("OPENCODE_DISABLE_MODELS_FETCH", "1"),
    ("OPENCODE_DISABLE_SHARE", "1"),
    ("OPENCODE_ENABLE_QUESTION_TOOL", "1"),
];

/// The adapter. Tested with 1.18.33.
#[derive(Debug, Clone)]
pub struct OpenCode {
    command: Vec<String>,
    env: BTreeMap<String, String>,
}

/// How a session is kept.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Kept {
    session: String,
    /// The last message before the present turn.
    turn_after: Option<String>,
}

impl OpenCode {
    /// As configured; `opencode` on the container's path if no command is.
    pub fn new(config: &AgentConfig) -> Self {
        let command = if config.command.is_empty() { vec![AGENT.to_owned()] } else { config.command.clone() };
        Self { command, env: config.env.clone() }
    }

    fn program(&self, ground: &Ground) -> Program {
        let listens_on = ground.runtime.listens_on(&ground.container, PORT);
        let address = [listens_on.ip().to_string(), listens_on.port().to_string()];
        let arguments = ["serve", "--hostname", &address[0], "--port", &address[1]];
        let argv = self.command.iter().cloned().chain(arguments.map(str::to_owned)).collect();
        let mut env: BTreeMap<_, _> = QUIET.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        // It would ask, and nobody may allow it: the work is in the work tree.
        env.insert("OPENCODE_PERMISSION".into(), r#"{"external_directory":"deny"}"#.into());
        if !ground.trusts_repository {
            // Plugins and MCP commands of the repository would run as soon as a session opens.
            env.insert("OPENCODE_DISABLE_PROJECT_CONFIG".into(), "1".into());
        }
        env.extend(self.env.clone());
        Program { argv, env, input: Input::Nothing, filter: "" }
    }

    /// Starts the server and waits until it answers.
    async fn serve(&self, ground: &Ground) -> Result<(Detached, Door), AgentError> {
        let mut with_password = ground.clone();
        with_password.secrets.insert("OPENCODE_SERVER_PASSWORD".into(), ground.password.clone());
        let mut detached = Detached::start(AGENT, &with_password, &self.program(ground)).await?;
        let door = Door::new(ground, PORT).await?;
        let deadline = Instant::now() + Duration::from_secs(READY_SECONDS_MAX);
        let version = loop {
            if let Ok(version) = door.version().await {
                break version;
            }
            // What it prints meanwhile is its log; its end is what matters.
            let printed = timeout(Duration::from_millis(READY_WAIT_MS), detached.next()).await;
            let why = match printed {
                Ok(Ok(Printed::End(code))) => format!("it ended with code {code}: {}", detached.last_words().await),
                Ok(Err(error)) => error.to_string(),
                _ if Instant::now() > deadline => {
                    format!("it did not answer within {READY_SECONDS_MAX} seconds: {}", detached.last_words().await)
                }
                _ => continue,
            };
            return Err(AgentError::NotStarted { agent: AGENT, why });
        };
        if !version.starts_with(VERSION_TRIED) {
            tracing::warn!("opencode {version} was not tried with this version of issuecommand: {VERSION_TRIED}x was");
        }
        detached.rest();
        Ok((detached, door))
    }
}

#[async_trait]
impl AgentRuntime for OpenCode {
    fn name(&self) -> &'static str {
        AGENT
    }

    fn port(&self) -> Option<u16> {
        Some(PORT)
    }

    async fn start(&self, ground: &Ground) -> Result<Box<dyn AgentSession>, AgentError> {
        let model = model_of(ground)?;
        let (detached, door) = self.serve(ground).await?;
        let kept = Kept { session: door.session_create().await?, turn_after: None };
        Ok(Box::new(OpenCodeSession::new(detached, door, model, kept, false)))
    }

    /// A server that ended meanwhile is started again: its sessions are in files, though not its questions.
    async fn attach(&self, ground: &Ground, record: &SessionRecord) -> Result<Box<dyn AgentSession>, AgentError> {
        let model = model_of(ground)?;
        let kept: Kept = serde_json::from_value(record.0.clone())
            .map_err(|why| refused(AGENT, "be attached to", &format!("the session's record: {why}")))?;
        let (detached, _) = Detached::attach(AGENT, ground, 0).await?;
        let (detached, door) = match detached.is_running().await? {
            true => (detached, Door::new(ground, PORT).await?),
            false => self.serve(ground).await?,
        };
        let messages = door.messages(&kept.session).await?;
        let mut session = OpenCodeSession::new(detached, door, model, kept, true);
        session.pass_over(&messages);
        Ok(Box::new(session))
    }
}

/// The provider's name, and that of its model.
type Model = Option<(String, String)>;

fn model_of(ground: &Ground) -> Result<Model, AgentError> {
    let Some(model) = &ground.model else { return Ok(None) };
    let why = || format!("{model:?} names no model: write it as provider/model");
    let (provider, model) = model.split_once('/').ok_or_else(|| AgentError::NotStarted { agent: AGENT, why: why() })?;
    Ok(Some((provider.to_owned(), model.to_owned())))
}
