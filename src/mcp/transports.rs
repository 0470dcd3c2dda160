//! How MCP clients reach the tools over a byte stream: their own process's pipes, or a socket.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use rmcp::ServiceExt;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_util::sync::CancellationToken;

use super::{Connection, IssueCommandTools};
use crate::api::Api;

/// The environment variable with which a client that starts a process names its agent once.
pub const AGENT_VARIABLE: &str = "ISSUECOMMAND_AGENT_ID";

/// Serves one client over standard input and output, until either ends or `shutdown` is cancelled.
///
/// # Errors
/// As [`serve_io`].
pub async fn serve_stdio(api: Api, connection: Connection, shutdown: CancellationToken) -> io::Result<()> {
    let (stdin, stdout) = rmcp::transport::stdio();
    serve_io(api, connection, stdin, stdout, shutdown).await
}

/// Serves one client over a byte stream, until it ends or `shutdown` is cancelled. What `connection`
/// says stands in where a call says nothing.
///
/// # Errors
/// When the client does not speak MCP.
pub async fn serve_io<R, W>(
    api: Api,
    connection: Connection,
    reader: R,
    writer: W,
    shutdown: CancellationToken,
) -> io::Result<()>
where
    R: AsyncRead + Send + Unpin + 'static,
    W: AsyncWrite + Send + Unpin + 'static,
{
    let ending = shutdown.child_token();
    let tools = IssueCommandTools::new(api, connection, ending.clone());
    let reader = EndingReader { reader, ending };
    let running = match tools.serve_with_ct((reader, writer), shutdown.child_token()).await {
        Ok(running) => running,
        // A client that leaves before it greets has done nothing wrong; neither has a server told to stop.
        Err(rmcp::service::ServerInitializeError::ConnectionClosed(_)) => return Ok(()),
        Err(_) if shutdown.is_cancelled() => return Ok(()),
        Err(error) => return Err(io::Error::other(format!("could not begin to speak MCP with the client: {error}"))),
    };
    running.waiting().await.map(|_| ()).map_err(io::Error::other)
}

/// A reader whose end is the end of what never ends by itself: answers under way are waited for when
/// the client is gone, and a stream of updates would be waited for in vain.
#[derive(Debug)]
struct EndingReader<R> {
    reader: R,
    ending: CancellationToken,
}

impl<R: AsyncRead + Unpin> AsyncRead for EndingReader<R> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let (before, had_room) = (buf.filled().len(), buf.remaining() > 0);
        let read = Pin::new(&mut self.reader).poll_read(cx, buf);
        let at_end = match &read {
            Poll::Ready(Ok(())) => had_room && buf.filled().len() == before,
            Poll::Ready(Err(_)) => true,
            Poll::Pending => false,
        };
        if at_end {
            self.ending.cancel();
        }
        read
    }
}
