//! The accept loop: what one connection may cost, and how all of them end.

use std::any::Any;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, DefaultBodyLimit};
use axum::response::{IntoResponse, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::{RequestBodyDeadlineLayer, RequestBodyTimeoutLayer};

use super::write_timeout::WriteTimeout;
use crate::api::{Answer, Failure};
use crate::config::ServerConfig;

/// Largest head of a request, in bytes. Ours: ample for a key, a query and a proxy's additions.
const HEADER_BYTES_MAX: usize = 32 * 1024;
/// Largest read or write buffer of one connection, in bytes: bounds what a slow reader makes us keep.
const BUFFER_BYTES_MAX: usize = 64 * 1024;
/// Longest time for which a client may not take what is written to it. Ours: twice the time between
/// two pings of an event stream.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);
/// Longest time for a whole body, as a multiple of the longest pause within it.
const BODY_DEADLINE_PAUSES: u32 = 6;
/// Pause after the system could not give us a connection (too many open files).
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// What connections may cost.
#[derive(Debug, Clone, Copy)]
pub struct ServeLimits {
    /// Most connections open at once; further ones wait to be accepted.
    pub connection_count_max: usize,
    /// Longest time for the head of a request, and between two requests.
    pub header_timeout: Duration,
    /// Longest pause within the body of a request.
    pub body_timeout: Duration,
    /// Largest body of a request, in bytes.
    pub body_bytes_max: usize,
    /// Longest time for which a client may not take what is written to it.
    pub write_timeout: Duration,
    /// Longest time that open requests get to finish at shutdown.
    pub shutdown_timeout: Duration,
}

impl From<&ServerConfig> for ServeLimits {
    fn from(server: &ServerConfig) -> Self {
        Self {
            connection_count_max: server.connection_count_max.max(1),
            header_timeout: Duration::from_secs(server.header_timeout_seconds),
            body_timeout: Duration::from_secs(server.body_timeout_seconds),
            body_bytes_max: server.body_bytes_max,
            write_timeout: WRITE_TIMEOUT,
            shutdown_timeout: Duration::from_secs(server.shutdown_seconds),
        }
    }
}

/// Serves `router` on `listener` until `shutdown` is cancelled and every connection has ended, or the
/// time for that is over: then those that are left are cut.
pub async fn serve(listener: TcpListener, router: Router, limits: ServeLimits, shutdown: CancellationToken) {
    serve_noting(listener, router, limits, shutdown, |_| {}).await;
}

/// The same; `note_trouble` is told whenever somebody who called could not be let in.
pub async fn serve_noting(
    listener: TcpListener,
    router: Router,
    limits: ServeLimits,
    shutdown: CancellationToken,
    note_trouble: impl Fn(&'static str) + Send,
) {
    let router = harden(router, &limits);
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            () = shutdown.cancelled() => break,
            Some(_) = open.join_next() => {}
            accepted = listener.accept(), if open.len() < limits.connection_count_max => match accepted {
                Ok((stream, peer)) => {
                    open.spawn(connection(stream, peer, router.clone(), limits, shutdown.clone()));
                    if open.len() == limits.connection_count_max {
                        note_trouble("every connection was in use");
                    }
                }
                Err(error) => {
                    if !is_of_the_peer(&error) {
                        note_trouble("no connection could be accepted");
                    }
                    pause_after(&error).await;
                }
            },
        }
    }
    drop(listener);
    let finished = async { while open.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.shutdown_timeout, finished).await.is_err() {
        tracing::warn!("cut {} connections that did not end in time", open.len());
        open.shutdown().await;
    }
}

/// `router` with what holds for every request: bounded bodies, and a panic is an answer.
pub fn harden(router: Router, limits: &ServeLimits) -> Router {
    router
        .layer(DefaultBodyLimit::max(limits.body_bytes_max))
        .layer(RequestBodyTimeoutLayer::new(limits.body_timeout))
        .layer(RequestBodyDeadlineLayer::new(limits.body_timeout * BODY_DEADLINE_PAUSES))
        .layer(CatchPanicLayer::custom(answer_to_panic))
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    router: Router,
    limits: ServeLimits,
    shutdown: CancellationToken,
) {
    if let Err(error) = stream.set_nodelay(true) {
        // Without it answers wait for the client's delayed acknowledgement, 40 ms each.
        tracing::debug!("could not set TCP_NODELAY for {peer}: {error}");
    }
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request.extensions_mut().insert(ConnectInfo(peer));
        router.clone().oneshot(request)
    });
    let io = TokioIo::new(WriteTimeout::new(stream, limits.write_timeout));
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_timeout)
        .max_header_size(HEADER_BYTES_MAX)
        .max_buf_size(BUFFER_BYTES_MAX)
        .serve_connection(io, service);
    tokio::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = shutdown.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!("connection from {peer} ended: {error}");
    }
}

/// Connections that died in the queue concern nobody; a lack of file descriptors passes only when
/// others end, so the loop must not spin on it.
async fn pause_after(error: &io::Error) {
    if !is_of_the_peer(error) {
        tracing::warn!("could not accept a connection: {error}");
        tokio::time::sleep(ACCEPT_PAUSE).await;
    }
}

fn is_of_the_peer(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset)
}

#[allow(clippy::needless_pass_by_value, reason = "the layer's signature")]
fn answer_to_panic(panic: Box<dyn Any + Send + 'static>) -> Response {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    tracing::error!("a request panicked: {}", text.unwrap_or("no message"));
    Answer::from(Failure::Defect).into_response()
}
