//! `issuecommand serve`: the real thing.

use std::process::ExitCode;

use anyhow::Context;
use clap::Args;
use issuecommand::config::{ConfigSource, ToolProfile, load};
use issuecommand::domain::AgentId;
use issuecommand::mcp::Connection;
use issuecommand::server::{Server, Start};
use tracing::warn;

use super::{ConfigFile, EndRequests, runtime};

#[derive(Debug, Args)]
pub struct ServeArgs {
    #[command(flatten)]
    file: ConfigFile,
    /// Also speak MCP on standard input and output, and end when the client does
    #[arg(long)]
    stdio: bool,
    /// Which tools the client on standard input is shown: minimal, standard or full
    #[arg(long, value_name = "PROFILE", requires = "stdio")]
    profile: Option<ToolProfile>,
    /// The port to listen on, whatever the configuration says; 0 for any free one
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
}

pub fn run(args: ServeArgs) -> anyhow::Result<ExitCode> {
    let mut source = ConfigSource::from_process(args.file.config);
    if let Some(port) = args.port {
        // As a variable, it stays in force over edits of the file.
        source.env.insert("HTTP_PORT".into(), port.to_string());
    }
    let loaded = match load(&source) {
        Ok(loaded) => loaded,
        Err(report) => {
            report.print();
            return Ok(ExitCode::FAILURE);
        }
    };
    let log = issuecommand::logging::init(&loaded.config.log)?;
    loaded.notes.iter().for_each(|note| warn!("{note}"));
    let profile = args.profile.unwrap_or(loaded.config.mcp.profile);
    let connection = Connection { agent: agent_of_client()?, profile };
    let runtime = runtime()?;
    let code = runtime.block_on(async {
        let mut end_requests = EndRequests::listen()?;
        let server = Server::start(Start { loaded: loaded.clone(), source: None }).await?;
        if let Err(error) = server.follow_edits(source, &loaded, log) {
            warn!("edits of the configuration need a restart: {error:#}");
        }
        let shutdown = server.shutdown_token();
        let client = async {
            if args.stdio {
                issuecommand::mcp::serve_stdio(server.api().clone(), connection, shutdown.clone()).await
            } else {
                std::future::pending().await
            }
        };
        let ended = tokio::select! {
            ended = client => ended.context("the MCP client on standard input could not be served"),
            () = end_requests.next() => Ok(()),
        };
        tokio::select! {
            () = server.stop() => {}
            () = end_requests.next() => warn!("asked to end once more: leaving open requests behind"),
        }
        ended?;
        Ok(ExitCode::SUCCESS)
    });
    // A read of standard input cannot be called off, and would keep the process until the client ends.
    runtime.shutdown_background();
    code
}

/// The agent that the client named once for all its calls.
fn agent_of_client() -> anyhow::Result<Option<AgentId>> {
    let name = std::env::var(issuecommand::mcp::AGENT_VARIABLE).ok().filter(|name| !name.is_empty());
    name.map(|name| name.parse()).transpose().context(issuecommand::mcp::AGENT_VARIABLE)
}
