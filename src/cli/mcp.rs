//! `issuecommand mcp`: the process that an MCP client starts, and how clients are told to start it.

use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Args, Subcommand};
use issuecommand::config::{ConfigSource, InPart, ToolProfile, load_in_part};
use issuecommand::domain::AgentId;
use issuecommand::local::{Background, Place, Shim, serving};
use issuecommand::mcp::AGENT_VARIABLE;

use super::{ConfigFile, install, output, serve};

/// What a team pastes into the instructions of its agents; docs/agents.md shows it too.
pub const PROMPT: &str = include_str!("prompt.md");

#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:
  issuecommand mcp install               which clients are here, and which are set up
  issuecommand mcp install claude-code   set one up
  issuecommand mcp prompt >> AGENTS.md   tell agents how to work
  issuecommand mcp --agent claude-1      what the client then runs

All clients of one database share one server. The first starts it (its log is server.log
in the folder DATABASE.run), it may be restarted under them, and it ends when nobody
needs it any more (server.idle_minutes)."
)]
pub struct McpArgs {
    #[command(subcommand)]
    command: Option<McpCommand>,
    #[command(flatten)]
    file: ConfigFile,
    #[command(flatten)]
    identity: Identity,
}

#[derive(Debug, Subcommand)]
enum McpCommand {
    /// Set an MCP client up, or show which ones are
    Install(install::InstallArgs),
    /// Print what tells an agent how to work, for AGENTS.md or CLAUDE.md
    Prompt,
}

/// Who the client's agent is, and what it sees.
#[derive(Debug, Args)]
pub struct Identity {
    /// The agent's name, for calls that name none [default: ISSUECOMMAND_AGENT_ID, else the client's name
    /// and a number, as in claude-code.1]; a second client of one name at once gets a number too (NAME.2)
    #[arg(long, value_name = "NAME")]
    pub agent: Option<AgentId>,
    /// Which tools to list: minimal, standard or full; all of them answer
    #[arg(long, value_name = "PROFILE")]
    pub profile: Option<ToolProfile>,
}

pub fn run(args: McpArgs) -> anyhow::Result<ExitCode> {
    match args.command {
        Some(McpCommand::Install(args)) => return install::run(&args),
        Some(McpCommand::Prompt) => {
            output::print(PROMPT);
            return Ok(ExitCode::SUCCESS);
        }
        None => {}
    }
    let InPart { loaded, report: wrong, unplaced } =
        load_in_part(&ConfigSource::from_process(args.file.config.clone()));
    if let Some(open) = unplaced {
        bail!("{open}: mend that first");
    }
    let place = Place::of(&loaded);
    // One thread is enough to carry lines.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    if let Some(report) = wrong {
        // A server that runs goes on with the last good one; none starts with this.
        if !place.as_ref().is_ok_and(|place| matches!(runtime.block_on(serving(place)), Ok(Some(_)))) {
            report.print();
            return Ok(ExitCode::FAILURE);
        }
        tell!("{}; going on with the server that runs", report.first());
    }
    let place = place?;
    let agent = args.identity.agent.map_or_else(serve::agent_of_client, |agent| Ok(Some(agent)))?;
    let ended = runtime.block_on(shim(place, args.file.config.as_deref(), agent, args.identity.profile));
    // A read of standard input cannot be called off, and would keep the process until the client ends.
    runtime.shutdown_background();
    ended
}

/// Carries the client on standard input and output to the server of `place`.
pub async fn shim(
    place: Place,
    config: Option<&Path>,
    agent: Option<AgentId>,
    profile: Option<ToolProfile>,
) -> anyhow::Result<ExitCode> {
    let mut arguments: Vec<OsString> = vec!["serve".into(), "--background".into(), "--until-idle".into()];
    arguments.extend(ConfigFile { config: config.map(Path::to_path_buf) }.arguments()?);
    let background = Background::new(arguments, AGENT_VARIABLE)?;
    let shim = Shim { place, background, agent, profile };
    shim.run(tokio::io::stdin(), tokio::io::stdout()).await.context("the MCP client could not be served")?;
    Ok(ExitCode::SUCCESS)
}
