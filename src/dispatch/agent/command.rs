//! A plain command: the prompt on standard input and in a file, its words on standard output, success by its
//! exit code. It remembers nothing, so each turn is given all prompts so far. It asks by text.

use std::collections::BTreeMap;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::detached::{Input, Program};
use super::hearing::{Dialect, Heard, append_bounded};
use super::refusal::sounds_of_provider;
use super::turning::{Abortable, Starter, Turns};
use super::{AgentError, AgentEvent, AgentRuntime, AgentSession, Ground, SessionRecord, TurnEnd};
use crate::config::AgentConfig;

/// The agent's name.
const AGENT: &str = "command";
/// The variable with the file that holds the prompt.
const PROMPT_VARIABLE: &str = "ISSUECOMMAND_PROMPT_FILE";
/// The variable with the model that is wanted, if one is.
const MODEL_VARIABLE: &str = "ISSUECOMMAND_MODEL";
/// The variable that says whether the repository's own configuration may be read: `yes` or `no`.
const TRUST_VARIABLE: &str = "ISSUECOMMAND_TRUSTS_REPOSITORY";

/// The adapter. What the command reads of a repository's configuration is its own affair.
#[derive(Debug, Clone)]
pub struct PlainCommand {
    command: Vec<String>,
    env: BTreeMap<String, String>,
}

impl PlainCommand {
    /// As configured, with the command, which has no default.
    pub fn new(config: &AgentConfig) -> Self {
        Self { command: config.command.clone(), env: config.env.clone() }
    }

    fn starter(&self, ground: &Ground) -> Result<CommandStarter, AgentError> {
        if self.command.is_empty() {
            let why = "no command: set command in its [agents] table".to_owned();
            return Err(AgentError::NotStarted { agent: AGENT, why });
        }
        let mut env = self.env.clone();
        env.insert(TRUST_VARIABLE.into(), if ground.trusts_repository { "yes" } else { "no" }.into());
        env.extend(ground.model.iter().map(|model| (MODEL_VARIABLE.to_owned(), model.clone())));
        Ok(CommandStarter { argv: self.command.clone(), env })
    }
}

#[async_trait]
impl AgentRuntime for PlainCommand {
    fn name(&self) -> &'static str {
        AGENT
    }

    fn asks_by_text(&self) -> bool {
        true
    }

    async fn start(&self, ground: &Ground) -> Result<Box<dyn AgentSession>, AgentError> {
        Turns::<CommandDialect, _>::open(ground, self.starter(ground)?).await
    }

    async fn attach(&self, ground: &Ground, record: &SessionRecord) -> Result<Box<dyn AgentSession>, AgentError> {
        Turns::<CommandDialect, _>::attach(ground, record, self.starter(ground)?).await
    }
}

/// How each turn is started.
#[derive(Debug)]
struct CommandStarter {
    argv: Vec<String>,
    env: BTreeMap<String, String>,
}

impl Starter<CommandDialect> for CommandStarter {
    fn program(&self, _dialect: &CommandDialect, prompt_file: &str) -> Program {
        let mut env = self.env.clone();
        env.insert(PROMPT_VARIABLE.into(), prompt_file.to_owned());
        Program { argv: self.argv.clone(), env, input: Input::File(prompt_file.to_owned()), filter: "" }
    }

    fn repeats_prompts(&self) -> bool {
        true
    }
}

/// What is known of a command.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct CommandDialect {
    is_aborting: bool,
    /// What it printed.
    text: String,
}

impl Dialect for CommandDialect {
    const AGENT: &'static str = AGENT;
    const ENDS_WITH_TURN: bool = true;

    fn begin_turn(&mut self) {
        *self = Self::default();
    }

    fn read(&mut self, line: &str, heard: &mut Heard) {
        let line = format!("{line}\n");
        append_bounded(&mut self.text, &line);
        heard.tell(AgentEvent::Text(line));
    }

    fn read_end(&mut self, code: i32, last_words: &str, heard: &mut Heard) -> bool {
        match code {
            _ if self.is_aborting => heard.tell(AgentEvent::Ended(TurnEnd::Aborted)),
            0 => heard.tell_finished(&self.text, true),
            137 => return false,
            _ => {
                let why = format!("it ended with code {code}: {last_words}");
                heard.tell_failed(&why, sounds_of_provider(last_words));
            }
        }
        true
    }
}

impl Abortable for CommandDialect {
    fn note_abort(&mut self) {
        self.is_aborting = true;
    }
}
