//! `issuecommand serve`: the real thing.

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use clap::Args;
use issuecommand::config::{ConfigSource, Loaded, StoreConfig, ToolProfile, load};
use issuecommand::domain::AgentId;
use issuecommand::local::{AgentName, Background, Place, Reply, Standing, serving};
use issuecommand::mcp::{AGENT_VARIABLE, Connection};
use issuecommand::server::{Local, Server, Start};
use issuecommand::store::{SqlStore, StoreError};
use issuecommand::telemetry::Traces;
use tracing::warn;

use super::first_sync::FirstSync;
use super::{ConfigFile, DATABASE_TAKEN, EndRequests, is_database_taken, mcp, runtime};

/// The variable that says whether labelled issues are worked on.
const DISPATCH_VARIABLE: &str = "ISSUECOMMAND_DISPATCH";
/// The variable that says whether only what another server queues is worked on.
const WORKER_VARIABLE: &str = "ISSUECOMMAND_WORKER";

#[derive(Debug, Args)]
#[command(after_help = "Examples:
  issuecommand serve                 HTTP and MCP on port 3100, until Ctrl-C
  issuecommand serve --background    the same, from now on; `kill PID` ends it
  issuecommand serve --stdio         for an MCP client that starts its own server
  curl -s localhost:3100/api/health  is it well?

One database has one server: a second `serve --stdio` on it hands its client to the first.")]
pub struct ServeArgs {
    #[command(flatten)]
    file: ConfigFile,
    /// Also speak MCP on standard input and output, and end when the client does
    #[arg(long, conflicts_with = "background")]
    stdio: bool,
    /// Which tools the client on standard input is shown: minimal, standard or full
    #[arg(long, value_name = "PROFILE", requires = "stdio")]
    profile: Option<ToolProfile>,
    /// The port to listen on, whatever the configuration says; 0 for any free one
    #[arg(long, value_name = "PORT")]
    port: Option<u16>,
    /// Start it in the background unless one serves this database, wait until it answers, and end
    #[arg(long)]
    background: bool,
    /// Serve local agents first: end when nobody needs it any more (server.idle_minutes), and take another
    /// port if the configured one is taken
    #[arg(long)]
    until_idle: bool,
}

pub fn run(args: ServeArgs) -> anyhow::Result<ExitCode> {
    let source = ConfigSource::from_process(args.file.config.clone());
    run_from(args, source)
}

/// Serves, and works on labelled issues whatever the configuration says.
pub fn run_dispatching(args: ServeArgs) -> anyhow::Result<ExitCode> {
    let mut source = ConfigSource::from_process(args.file.config.clone());
    source.env.insert(DISPATCH_VARIABLE.into(), "true".into());
    run_from(args, source)
}

/// Serves, and works on what another server queues whatever the configuration says.
pub fn run_worker(args: ServeArgs) -> anyhow::Result<ExitCode> {
    let mut source = ConfigSource::from_process(args.file.config.clone());
    source.env.insert(WORKER_VARIABLE.into(), "true".into());
    run_from(args, source)
}

fn run_from(args: ServeArgs, mut source: ConfigSource) -> anyhow::Result<ExitCode> {
    if let Some(port) = args.port {
        // As a variable, it stays in force over edits of the file.
        source.env.insert("HTTP_PORT".into(), port.to_string());
    }
    let loaded = match load(&source) {
        Ok(loaded) => loaded,
        Err(report) => {
            report.print();
            if args.background || args.until_idle {
                // A client's process waits for this one, and has room for one line.
                bail!("{}", report.first());
            }
            return Ok(ExitCode::FAILURE);
        }
    };
    let place = Place::of(&loaded)?;
    // Before anything is made, the database among it.
    Place::check_socket(&loaded)?;
    if args.background {
        return start_in_background(&args, &place, &loaded.store());
    }
    let agent = agent_of_client()?;
    let runtime = runtime()?;
    let code = runtime.block_on(async {
        let mut end_requests = EndRequests::listen()?;
        if args.stdio && serving(&place).await.map_err(|why| anyhow!(why))?.is_some() {
            return hand_over(&args, place, agent, &mut end_requests).await;
        }
        if let (false, Ok(Some(there))) = (args.stdio, serving(&place).await) {
            return Err(taken_by(&place, &there));
        }
        match serve(&args, source, loaded, place.clone(), agent.clone(), &mut end_requests).await {
            // It lost a race for the database: the winner serves its client.
            Err(error) if args.stdio && is_database_taken(&error) => {
                hand_over(&args, place, agent, &mut end_requests).await
            }
            served => served,
        }
    });
    // A read of standard input cannot be called off, and would keep the process until the client ends.
    runtime.shutdown_background();
    code
}

/// Why there can be no second server of one database: who is the first.
fn taken_by(place: &Place, there: &Reply) -> anyhow::Error {
    let url = there.url.as_deref().unwrap_or("no address");
    let told = format!("a server runs already (pid {}, {url}); `kill {}` ends it", there.pid, there.pid);
    anyhow::Error::from(StoreError::InUse { path: place.database().display().to_string() }).context(told)
}

/// Carries the client on standard input to the server that has the database.
async fn hand_over(
    args: &ServeArgs,
    place: Place,
    agent: Option<AgentId>,
    end_requests: &mut EndRequests,
) -> anyhow::Result<ExitCode> {
    tokio::select! {
        ended = mcp::shim(place, args.file.config.as_deref(), agent, args.profile) => ended,
        () = end_requests.next() => Ok(ExitCode::SUCCESS),
    }
}

async fn serve(
    args: &ServeArgs,
    source: ConfigSource,
    loaded: Loaded,
    place: Place,
    agent: Option<AgentId>,
    end_requests: &mut EndRequests,
) -> anyhow::Result<ExitCode> {
    let first_sync = FirstSync::default();
    let traces = Traces::begin(&loaded.config.telemetry)?;
    let log = issuecommand::logging::init_onto(&loaded.log(), first_sync.clone(), traces.as_ref())?;
    loaded.notes.iter().for_each(|note| warn!("{note}"));
    let name = agent.filter(|_| args.stdio).map(|agent| AgentName::given(&place, agent));
    let local = Local { place, comes_first: args.stdio || args.until_idle };
    let server = Server::start(Start { loaded: loaded.clone(), source: None, local: Some(local), only: None }).await?;
    if let Err(error) = server.follow_edits(source, &loaded, log) {
        warn!("edits of the configuration need a restart: {error:#}");
    }
    let shutdown = server.shutdown_token();
    let connection = Connection {
        agent: name.as_ref().map(|name| name.agent().clone()),
        profile: args.profile.unwrap_or(loaded.config.mcp.profile),
    };
    let client = async {
        if args.stdio {
            issuecommand::mcp::serve_stdio(server.api().clone(), connection, shutdown.clone()).await
        } else {
            std::future::pending().await
        }
    };
    let idle = async {
        match loaded.config.server.idle_minutes {
            minutes @ 1.. if args.until_idle => server.idle(Duration::from_secs(minutes * 60)).await,
            _ => std::future::pending().await,
        }
    };
    let ended = tokio::select! {
        ended = client => ended.context("the MCP client on standard input could not be served"),
        () = first_sync.follow(server.manager()) => Ok(()),
        () = end_requests.next() => Ok(()),
        () = idle => {
            tracing::info!("nobody needs this server any more (server.idle_minutes)");
            Ok(())
        }
    };
    first_sync.end();
    tokio::select! {
        () = server.stop() => {}
        () = end_requests.next() => warn!("asked to end once more: leaving open requests behind"),
    }
    if let Some(traces) = traces {
        traces.end().await;
    }
    ended?;
    Ok(ExitCode::SUCCESS)
}

fn start_in_background(args: &ServeArgs, place: &Place, store: &StoreConfig) -> anyhow::Result<ExitCode> {
    let mut arguments: Vec<OsString> = vec!["serve".into()];
    if args.until_idle {
        arguments.push("--until-idle".into());
    }
    if let Some(port) = args.port {
        arguments.extend(["--port".into(), port.to_string().into()]);
    }
    arguments.extend(args.file.arguments()?);
    let background = Background::new(arguments, AGENT_VARIABLE)?;
    let is_taken = |code| code == Some(i32::from(DATABASE_TAKEN));
    let standing = runtime()?.block_on(background.stand(place, is_taken, || SqlStore::noted_address(store)));
    let (word, reply) = match standing.map_err(|why| anyhow!(why))? {
        Standing::Started(reply) => ("started", reply),
        Standing::Already(reply) => {
            if let Some(port) = args.port {
                tell!("note: the server that is there keeps its port; end it to have one on {port}");
            }
            ("already there", reply)
        }
    };
    let url = reply.url.unwrap_or_default();
    say!("{word}: {url}, pid {}, log {}", reply.pid, place.log().display());
    Ok(ExitCode::SUCCESS)
}

/// The agent that the client named once for all its calls.
pub fn agent_of_client() -> anyhow::Result<Option<AgentId>> {
    let name = std::env::var(AGENT_VARIABLE).ok().filter(|name| !name.is_empty());
    name.map(|name| name.parse()).transpose().context(AGENT_VARIABLE)
}
