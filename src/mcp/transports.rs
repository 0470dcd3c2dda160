//! How MCP clients reach the tools: their own process's pipes, any byte stream, or HTTP.

use std::io;
use std::sync::Arc;

use rmcp::ServiceExt;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use super::IssueCommandTools;
use crate::api::Api;
use crate::config::ServerConfig;
use crate::domain::AgentId;

/// The environment variable with which a client that starts a process names its agent once.
pub const AGENT_VARIABLE: &str = "ISSUECOMMAND_AGENT_ID";

/// Serves one client over standard input and output, until either ends or `shutdown` is cancelled.
///
/// # Errors
/// As [`serve_io`].
pub async fn serve_stdio(api: Api, agent: Option<AgentId>, shutdown: CancellationToken) -> io::Result<()> {
    let (stdin, stdout) = rmcp::transport::stdio();
    serve_io(api, agent, stdin, stdout, shutdown).await
}

/// Serves one client over a byte stream, until it ends or `shutdown` is cancelled. `agent` stands in
/// where a call names none.
///
/// # Errors
/// When the client does not speak MCP.
pub async fn serve_io<R, W>(
    api: Api,
    agent: Option<AgentId>,
    reader: R,
    writer: W,
    shutdown: CancellationToken,
) -> io::Result<()>
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    let tools = IssueCommandTools::new(api, agent);
    let running = match tools.serve_with_ct((reader, writer), shutdown.child_token()).await {
        Ok(running) => running,
        // A client that leaves before it greets has done nothing wrong; neither has a server told to stop.
        Err(rmcp::service::ServerInitializeError::ConnectionClosed(_)) => return Ok(()),
        Err(_) if shutdown.is_cancelled() => return Ok(()),
        Err(error) => return Err(io::Error::other(format!("could not begin to speak MCP with the client: {error}"))),
    };
    running.waiting().await.map(|_| ()).map_err(io::Error::other)
}

/// The tools as an HTTP service, without sessions: each request is complete alone, so any client may
/// come back to any server at any time. Names of hosts other than this machine, and web pages, must
/// be allowed by the configuration.
pub fn http_service(
    api: Api,
    server: &ServerConfig,
    shutdown: CancellationToken,
) -> StreamableHttpService<IssueCommandTools, NeverSessionManager> {
    let mut hosts = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    if !server.host.is_unspecified() {
        hosts.push(server.host.to_string());
    }
    hosts.extend(server.allowed_hosts.iter().cloned());
    let config = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_allowed_hosts(hosts)
        .with_allowed_origins(server.allowed_origins.iter().cloned())
        .enforce_origin_validation()
        .with_max_request_body_bytes(server.body_bytes_max)
        .with_cancellation_token(shutdown);
    let tools = IssueCommandTools::new(api, None);
    StreamableHttpService::new(move || Ok(tools.clone()), Arc::new(NeverSessionManager::default()), config)
}
