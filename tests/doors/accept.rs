//! What a connection may cost, tried with raw bytes.

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use futures_util::{StreamExt, stream};
use issuecommand::http::{ServeLimits, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Longest wait for what must happen: far more than any limit set below.
const DEADLINE: Duration = Duration::from_secs(10);
/// How long to watch for what must not happen.
const WATCH: Duration = Duration::from_millis(300);
/// A limit that no test below waits for.
const NEVER: Duration = Duration::from_secs(3600);

fn limits() -> ServeLimits {
    ServeLimits {
        connection_count_max: 100,
        header_timeout: NEVER,
        body_timeout: NEVER / 10,
        body_bytes_max: 1000,
        write_timeout: NEVER,
        shutdown_timeout: NEVER,
    }
}

struct Served {
    address: SocketAddr,
    shutdown: CancellationToken,
    ended: JoinHandle<()>,
}

async fn served(router: Router, limits: ServeLimits) -> Served {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let ended = tokio::spawn(serve(listener, router, limits, shutdown.clone()));
    Served { address, shutdown, ended }
}

impl Served {
    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    async fn send(&self, text: &str) -> TcpStream {
        let mut stream = self.connect().await;
        stream.write_all(text.as_bytes()).await.unwrap();
        stream
    }
}

async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("not in time: {what}"))
}

/// Reads until the server closes the connection.
async fn rest(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    // A reset ends the connection as well as a close does.
    let _ = soon("the connection ends", stream.read_to_end(&mut bytes)).await;
    String::from_utf8_lossy(&bytes).into_owned()
}

/// Reads until `text` came.
async fn until(stream: &mut TcpStream, text: &str) -> String {
    let mut read = String::new();
    let mut buffer = [0; 4096];
    while !read.contains(text) {
        let count = soon(text, stream.read(&mut buffer)).await.unwrap();
        assert!(count > 0, "closed before {text:?}: {read}");
        read.push_str(&String::from_utf8_lossy(&buffer[..count]));
    }
    read
}

fn echo() -> Router {
    let body_length = |body: Result<Bytes, axum::extract::rejection::BytesRejection>| async move {
        match body {
            Ok(body) => format!("got {}", body.len()).into_response(),
            Err(rejection) => rejection.into_response(),
        }
    };
    Router::new().route("/", get(|| async { "hello" })).route("/", post(body_length))
}

#[tokio::test]
async fn half_a_header_is_closed() {
    let server = served(echo(), ServeLimits { header_timeout: Duration::from_millis(100), ..limits() }).await;
    let mut stream = server.send("GET / HTTP/1.1\r\nHost: x\r\nX-Half: ").await;
    let text = rest(&mut stream).await;
    assert!(!text.contains("200 OK"), "{text}");
}

#[tokio::test]
async fn a_connection_that_says_nothing_is_closed() {
    let server = served(echo(), ServeLimits { header_timeout: Duration::from_millis(100), ..limits() }).await;
    assert_eq!(rest(&mut server.connect().await).await, "");
}

#[tokio::test]
async fn a_connection_that_asks_no_more_is_closed() {
    let server = served(echo(), ServeLimits { header_timeout: Duration::from_millis(100), ..limits() }).await;
    let mut stream = server.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(rest(&mut stream).await.ends_with("hello"));
}

#[tokio::test]
async fn a_body_that_stalls_is_cut() {
    let pause = Duration::from_millis(500);
    let server = served(echo(), ServeLimits { body_timeout: pause, ..limits() }).await;
    let begun = Instant::now();
    let mut stream = server.send("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc").await;
    let text = until(&mut stream, "\r\n\r\n").await;
    assert!(text.starts_with("HTTP/1.1 400"), "{text}");
    assert!(begun.elapsed() < 5 * pause, "only the limit for the whole body cut it");
}

#[tokio::test]
async fn a_body_that_trickles_is_cut_as_a_whole() {
    let server = served(echo(), ServeLimits { body_timeout: Duration::from_millis(100), ..limits() }).await;
    let (mut reader, mut writer) = server.connect().await.into_split();
    let trickle = tokio::spawn(async move {
        writer.write_all(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\n").await.unwrap();
        // Each byte comes well within the pause that is allowed.
        while writer.write_all(b"x").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    });
    let mut buffer = [0; 12];
    soon("an answer", reader.read_exact(&mut buffer)).await.unwrap();
    assert_eq!(&buffer, b"HTTP/1.1 400");
    drop(reader);
    server.shutdown.cancel();
    trickle.abort();
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_whole_or_in_chunks() {
    let server = served(echo(), limits()).await;
    let fits = format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n{}", "x".repeat(1000));
    assert!(until(&mut server.send(&fits).await, "got 1000").await.starts_with("HTTP/1.1 200"));
    let large = format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1001\r\n\r\n{}", "x".repeat(1001));
    assert!(until(&mut server.send(&large).await, "\r\n\r\n").await.starts_with("HTTP/1.1 413"));
    let chunk = format!("258\r\n{}\r\n", "x".repeat(600));
    let chunks = format!("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{chunk}{chunk}0\r\n\r\n");
    assert!(until(&mut server.send(&chunks).await, "\r\n\r\n").await.starts_with("HTTP/1.1 413"));
}

#[tokio::test]
async fn sixty_four_kilobytes_of_headers_are_refused() {
    let server = served(echo(), limits()).await;
    let mut stream = server.connect().await;
    let head = format!("GET / HTTP/1.1\r\nHost: x\r\nX-Long: {}\r\n\r\n", "x".repeat(64 * 1024));
    // The server may close before it has read all of it.
    let _ = stream.write_all(head.as_bytes()).await;
    let text = until(&mut stream, "\r\n\r\n").await;
    assert!(text.starts_with("HTTP/1.1 431"), "{text}");
}

#[tokio::test]
async fn a_connection_above_the_cap_waits_its_turn() {
    let server = served(echo(), ServeLimits { connection_count_max: 2, ..limits() }).await;
    let ask = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
    let mut first = server.send(ask).await;
    let mut second = server.send(ask).await;
    until(&mut first, "hello").await;
    until(&mut second, "hello").await;
    let mut third = server.send(ask).await;
    let early = tokio::time::timeout(WATCH, third.read(&mut [0; 1])).await;
    assert!(early.is_err(), "the third connection was served while two were open");
    drop(first);
    until(&mut third, "hello").await;
}

#[tokio::test]
async fn a_panic_is_an_answer_and_the_server_goes_on() {
    async fn broken() {
        panic!("as planned");
    }
    let server = served(echo().route("/broken", get(broken)), limits()).await;
    let mut stream = server.send("GET /broken HTTP/1.1\r\nHost: x\r\n\r\n").await;
    let text = until(&mut stream, "}").await;
    assert!(text.starts_with("HTTP/1.1 500") && text.contains(r#""error":"internal_error""#), "{text}");
    assert!(!text.contains("as planned"), "{text}");
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    until(&mut stream, "hello").await;
}

/// Tells when it is dropped.
struct Dropped(Option<oneshot::Sender<()>>);

impl Drop for Dropped {
    fn drop(&mut self) {
        let _ = self.0.take().map(|sender| sender.send(()));
    }
}

#[tokio::test]
async fn a_reader_that_stalls_is_cut_and_costs_bounded_memory() {
    let (sender, dropped) = oneshot::channel();
    let written = Arc::new(AtomicUsize::new(0));
    let guard = Arc::new(std::sync::Mutex::new(Some(Dropped(Some(sender)))));
    let (count, held) = (Arc::clone(&written), Arc::clone(&guard));
    let endless = move || async move {
        let guard = held.lock().unwrap().take();
        let frames = stream::repeat(Bytes::from(vec![b'x'; 1024])).map(move |frame| {
            let _ = &guard;
            count.fetch_add(frame.len(), Ordering::SeqCst);
            Ok::<_, Infallible>(frame)
        });
        Body::from_stream(frames)
    };
    let router = Router::new().route("/", get(endless));
    let server = served(router, ServeLimits { write_timeout: Duration::from_millis(200), ..limits() }).await;
    let stream = server.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    soon("the stalled stream is dropped", dropped).await.unwrap();
    // What both kernels' socket buffers take (some megabytes), and our own 64 KB.
    let written = written.load(Ordering::SeqCst);
    assert!(written < 32 * 1024 * 1024, "{written} bytes were produced for a reader that took none");
    drop(stream);
}

#[tokio::test]
async fn shutdown_lets_a_request_finish_and_closes_idle_connections() {
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (tell, wait) = (Arc::clone(&begun), Arc::clone(&go_on));
    let slow = move || async move {
        tell.notify_one();
        wait.notified().await;
        "finished"
    };
    let server = served(echo().route("/slow", get(slow)), limits()).await;
    let mut idle = server.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    until(&mut idle, "hello").await;
    let mut busy = server.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await;
    soon("the slow request begins", begun.notified()).await;

    server.shutdown.cancel();
    assert_eq!(rest(&mut idle).await, "");
    assert!(!server.ended.is_finished());
    go_on.notify_one();
    assert!(rest(&mut busy).await.ends_with("finished"));
    soon("the server ends", server.ended).await.unwrap();
    assert!(TcpStream::connect(server.address).await.is_err(), "still listening");
}

#[tokio::test]
async fn shutdown_cuts_what_does_not_end_in_time() {
    let begun = Arc::new(Notify::new());
    let tell = Arc::clone(&begun);
    let endless = move || async move {
        tell.notify_one();
        std::future::pending::<&str>().await
    };
    let router = Router::new().route("/", get(endless));
    let server = served(router, ServeLimits { shutdown_timeout: Duration::from_millis(100), ..limits() }).await;
    let mut stream = server.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n").await;
    soon("the request begins", begun.notified()).await;
    server.shutdown.cancel();
    soon("the server ends", server.ended).await.unwrap();
    assert_eq!(rest(&mut stream).await, "");
}
