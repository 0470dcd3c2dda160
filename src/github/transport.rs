//! Requests to GitHub: timeouts, the pause shared by all calls, and retries of what is safe to repeat.

use std::error::Error as _;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use http::header::{ACCEPT, DATE, ETAG, IF_NONE_MATCH, LINK};
use http::{HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri};
use http_body_util::BodyExt;
use octocrab::Octocrab;
use serde_json::Value;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tracing::field::Empty;
use tracing::{Instrument, Span, debug, info_span};

use super::access::Access;
use super::pace::Pace;
use super::pause::{Budget, Pause, budget, requests_left};
use super::{Credentials, SourceError, paging};
use crate::config::{GithubConfig, Secret};
use crate::domain::Timestamp;
use crate::metrics::metrics;
use crate::telemetry::TARGET;

/// How often a request that is safe to repeat is sent at most.
const ATTEMPT_COUNT_MAX: u32 = 3;
/// Shortest wait before the second attempt, in milliseconds; it doubles for the third.
const RETRY_WAIT_MS: u64 = 250;
/// Longest time for one whole answer, in seconds, however steadily it drips in.
const ANSWER_SECONDS_MAX: u64 = 120;
/// Largest answer read, in bytes: 100 issues of 65,536 characters each would need 26 MB.
const ANSWER_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Most requests under way at once. GitHub turns callers away at 100.
const REQUESTS_AT_ONCE_MAX: usize = 16;
/// The version of GitHub's REST interface that is asked for.
const API_VERSION: &str = "2022-11-28";
/// The form in which answers are asked for, unless a call wants another.
const JSON: &str = "application/vnd.github+json";

/// The body of an answer, as octocrab hands it on.
type Body = http_body_util::combinators::BoxBody<hyper::body::Bytes, octocrab::Error>;

/// What is asked for: `list the issues of` and `acme/small`, for errors.
#[derive(Debug, Clone)]
pub(super) struct Ask {
    verb: &'static str,
    subject: String,
}

impl Ask {
    /// Asks to `verb` the `subject`.
    pub(super) fn to(verb: &'static str, subject: impl fmt::Display) -> Self {
        Self { verb, subject: subject.to_string() }
    }

    /// No usable answer came.
    pub(super) fn unavailable(&self, why: impl Into<String>) -> SourceError {
        SourceError::Unavailable { what: self.to_string(), why: why.into() }
    }
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.verb, self.subject)
    }
}

/// A usable answer.
#[derive(Debug)]
pub(super) struct Answer {
    /// Whether nothing changed since the tag that was sent.
    pub(super) unchanged: bool,
    /// The tag of this answer.
    pub(super) etag: Option<String>,
    /// The path of the next page, on the same host.
    pub(super) next: Option<String>,
    /// GitHub's clock.
    pub(super) date: Option<Timestamp>,
    /// The body.
    pub(super) body: Vec<u8>,
}

/// Why one attempt failed.
enum Miss {
    /// Another attempt may go through.
    Passing(String),
    /// The token is not accepted: a new one may be.
    Unauthorized(SourceError),
    /// It would fail again.
    Lasting(SourceError),
}

/// One request, as often as it is sent.
struct Call<'c> {
    ask: &'c Ask,
    method: Method,
    path: &'c str,
    etag: Option<&'c str>,
    accept: &'static str,
    body: Option<&'c Value>,
    /// How often it may be sent when the connection or GitHub fails in between.
    attempt_count_max: u32,
}

impl<'c> Call<'c> {
    /// Asks for something that is there; sent again when that may help.
    fn reading(ask: &'c Ask, path: &'c str) -> Self {
        let attempt_count_max = ATTEMPT_COUNT_MAX;
        Self { ask, method: Method::GET, path, etag: None, accept: JSON, body: None, attempt_count_max }
    }

    /// Changes something; sent once.
    fn changing(ask: &'c Ask, method: Method, path: &'c str, body: &'c Value) -> Self {
        Self { ask, method, path, etag: None, accept: JSON, body: Some(body), attempt_count_max: 1 }
    }
}

/// One token's way to GitHub.
pub(super) struct Transport {
    access: Access,
    root: Uri,
    pause: Pause,
    /// The number of its token among those of this process, for who counts their budgets.
    number: u64,
    per_minute_max: u32,
    pace: Pace,
    slots: Semaphore,
    head_wait: Duration,
    read_wait: Duration,
}

impl Drop for Transport {
    fn drop(&mut self) {
        metrics().github_token_gone(self.number);
    }
}

impl Transport {
    /// Prepares the client of a token, or of an app itself; sends nothing. Needs a tokio runtime, for
    /// octocrab's worker.
    pub(super) fn new(config: &GithubConfig, credentials: &Credentials) -> Result<Self, SourceError> {
        let refused = |why: String| SourceError::Unsupported { what: "reach GitHub".into(), why };
        let root = api_root(&config.api_url).map_err(|why| refused(format!("github.api_url {why}")))?;
        let connect_wait = Duration::from_secs(config.connect_timeout_seconds);
        let read_wait = Duration::from_secs(config.read_timeout_seconds);
        // Reading is timed here and not by octocrab: its reading clock starts when a kept connection
        // falls idle, so the next request on it may find the time used up.
        let mut builder = Octocrab::builder()
            .set_connect_timeout(Some(connect_wait))
            .add_header(HeaderName::from_static("x-github-api-version"), API_VERSION.into())
            .base_uri(root.clone())
            .map_err(|_| refused("github.api_url is no address".into()))?;
        match credentials {
            Credentials::None => {}
            Credentials::Token(token) | Credentials::GhToken(token) => {
                // octocrab panics on a token that cannot stand in a header.
                HeaderValue::from_str(token.expose())
                    .map_err(|_| refused("github.token holds characters that no token has".into()))?;
                builder = builder.personal_token(token.expose());
            }
            Credentials::App(app) => {
                builder = builder
                    .app_from_rsa_pem(app.id.into(), app.private_key.expose())
                    .map_err(|_| refused("the private key of github.app is no RSA key in PEM form".into()))?;
            }
        }
        let client = builder.build().map_err(|error| refused(innermost(&error)))?;
        let per_minute_max = config.requests_per_minute_max;
        let token = match credentials {
            Credentials::Token(token) | Credentials::GhToken(token) => Some(token.clone()),
            Credentials::None | Credentials::App(_) => None,
        };
        Ok(Self::over(Access::fixed(client, token), root, per_minute_max, connect_wait, read_wait))
    }

    /// The way of one installation of an app, whose own way `app` is: with a token, a budget and a pause
    /// of its own.
    pub(super) fn of_installation(app: &Arc<Self>, id: u64) -> Self {
        let access = Access::installation(Arc::clone(app), id);
        let connect_wait = app.head_wait - app.read_wait;
        Self::over(access, app.root.clone(), app.per_minute_max, connect_wait, app.read_wait)
    }

    fn over(access: Access, root: Uri, per_minute_max: u32, connect_wait: Duration, read_wait: Duration) -> Self {
        let slots = Semaphore::new(REQUESTS_AT_ONCE_MAX);
        let (pace, pause) = (Pace::new(per_minute_max), Pause::default());
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        Self {
            access,
            root,
            pause,
            number,
            per_minute_max,
            pace,
            slots,
            head_wait: connect_wait + read_wait,
            read_wait,
        }
    }

    /// The client that carries no token of an installation.
    pub(super) async fn client(&self) -> Result<Octocrab, SourceError> {
        Ok(self.access.client().await?.0)
    }

    /// The token itself, for git; `None` where there is none.
    pub(super) async fn token(&self) -> Result<Option<Secret>, SourceError> {
        self.unless_paused()?;
        self.access.token().await
    }

    /// Reads `path`, unless it still has the tag `etag`. Tries again when that may help.
    pub(super) async fn get(&self, ask: &Ask, path: &str, etag: Option<&str>) -> Result<Answer, SourceError> {
        self.send(Call { etag, ..Call::reading(ask, path) }).await
    }

    /// Reads `path` in another form than JSON.
    pub(super) async fn get_as(&self, ask: &Ask, path: &str, accept: &'static str) -> Result<Answer, SourceError> {
        self.send(Call { accept, ..Call::reading(ask, path) }).await
    }

    /// Changes `path`. Sent once: whether a lost answer meant yes cannot be known.
    pub(super) async fn patch(&self, ask: &Ask, path: &str, body: &Value) -> Result<Answer, SourceError> {
        self.send(Call::changing(ask, Method::PATCH, path, body)).await
    }

    /// Puts what is at `path` in the state that `body` says. It does not matter if that was done twice.
    pub(super) async fn put(&self, ask: &Ask, path: &str, body: &Value) -> Result<Answer, SourceError> {
        let attempt_count_max = ATTEMPT_COUNT_MAX;
        self.send(Call { attempt_count_max, ..Call::changing(ask, Method::PUT, path, body) }).await
    }

    /// Makes something new at `path`. Sent once, as [`Transport::patch`].
    pub(super) async fn create(&self, ask: &Ask, path: &str, body: &Value) -> Result<Answer, SourceError> {
        self.send(Call::changing(ask, Method::POST, path, body)).await
    }

    /// Asks for something new at `path` of which it does not matter if it was made twice: a token.
    pub(super) async fn post(&self, ask: &Ask, path: &str, body: &Value) -> Result<Answer, SourceError> {
        let attempt_count_max = ATTEMPT_COUNT_MAX;
        self.send(Call { attempt_count_max, ..Call::changing(ask, Method::POST, path, body) }).await
    }

    /// Takes away what is at `path`; what is gone is [`SourceError::NotFound`], also when it went by an attempt of
    /// ours whose answer was lost.
    pub(super) async fn delete(&self, ask: &Ask, path: &str) -> Result<Answer, SourceError> {
        self.send(Call { method: Method::DELETE, ..Call::reading(ask, path) }).await
    }

    async fn send(&self, call: Call<'_>) -> Result<Answer, SourceError> {
        let (mut attempt, mut renewed) = (1, false);
        loop {
            // Before a token is asked for: the pause is that token's.
            self.unless_paused()?;
            let (client, token) = self.access.client().await?;
            match self.attempt(&call, client).await {
                Ok(answer) => return Ok(answer),
                Err(Miss::Lasting(error)) => return Err(error),
                // It was refused before anything was done, so a change may be sent again too.
                Err(Miss::Unauthorized(error)) => {
                    if renewed || !self.access.forget(token).await {
                        return Err(error);
                    }
                    renewed = true;
                    continue;
                }
                Err(Miss::Passing(why)) if attempt == call.attempt_count_max => {
                    let tries = if attempt > 1 { format!(" ({attempt} attempts)") } else { String::new() };
                    return Err(call.ask.unavailable(format!("{why}{tries}")));
                }
                Err(Miss::Passing(why)) => debug!("could not {}, attempt {attempt}: {why}", call.ask),
            }
            sleep(retry_wait(attempt)).await;
            attempt += 1;
        }
    }

    fn unless_paused(&self) -> Result<(), SourceError> {
        let remaining = self.pause.remaining(Instant::now());
        remaining.map_or(Ok(()), |retry_after| Err(SourceError::Paused { retry_after }))
    }

    async fn attempt(&self, call: &Call<'_>, client: Octocrab) -> Result<Answer, Miss> {
        let _slot = self.slots.acquire().await.expect("the semaphore is never closed");
        sleep(self.pace.take_turn(Instant::now())).await;
        // Only now: the pause may have begun while this request waited its turn.
        self.unless_paused().map_err(Miss::Lasting)?;
        let whole = Duration::from_secs(ANSWER_SECONDS_MAX).max(self.head_wait);
        // What was asked for names repositories and people: a trace gets the verb alone.
        let span = info_span!(
            target: TARGET,
            "github",
            otel.name = %format_args!("github {}", call.ask.verb),
            otel.kind = "client",
            http.request.method = %call.method,
            http.response.status_code = Empty,
        );
        let answer = timeout(whole, self.exchange(call.ask, sent(call, &client)).instrument(span)).await;
        answer.unwrap_or_else(|_| Err(Miss::Passing(format!("no whole answer within {} s", whole.as_secs()))))
    }

    async fn exchange(
        &self,
        ask: &Ask,
        request: impl Future<Output = octocrab::Result<Response<Body>>>,
    ) -> Result<Answer, Miss> {
        let response = match timeout(self.head_wait, request).await {
            Ok(Ok(response)) => response,
            Ok(Err(error)) => return Err(Miss::Passing(innermost(&error))),
            Err(_) => return Err(Miss::Passing(format!("no answer within {} s", self.head_wait.as_secs()))),
        };
        let (head, body) = response.into_parts();
        Span::current().record("http.response.status_code", i64::from(head.status.as_u16()));
        metrics().github_answered(head.status.as_u16(), self.number, requests_left(&head.headers));
        let told = head.status.is_success() || head.status == StatusCode::FORBIDDEN;
        let body = if told { self.read(ask, body).await } else { Ok(Vec::new()) };
        match budget(head.status, &head.headers, body.as_deref().unwrap_or_default()) {
            Budget::TurnedAway(retry_after) => {
                self.pause.hold(retry_after, Instant::now());
                return Err(Miss::Lasting(SourceError::Paused { retry_after }));
            }
            Budget::UsedUp(until_reset) => self.pause.hold(until_reset, Instant::now()),
            Budget::Left => {}
        }
        self.judge(ask, head.status)?;
        let text = |name| head.headers.get(name).and_then(|value| value.to_str().ok());
        let next = paging::next_path(text(LINK).unwrap_or_default(), &self.root);
        Ok(Answer {
            unchanged: head.status == StatusCode::NOT_MODIFIED,
            etag: text(ETAG).map(str::to_owned),
            next: next.map_err(|why| Miss::Lasting(ask.unavailable(why)))?,
            date: text(DATE)
                .and_then(|date| DateTime::parse_from_rfc2822(date).ok())
                .map(|date| date.with_timezone(&Utc)),
            body: body?,
        })
    }

    fn judge(&self, ask: &Ask, status: StatusCode) -> Result<(), Miss> {
        let code = status.as_u16();
        let lasting = |error| Err(Miss::Lasting(error));
        match code {
            200..=299 | 304 => Ok(()),
            404 | 410 => lasting(SourceError::NotFound { what: ask.subject.clone() }),
            502..=504 => Err(Miss::Passing(format!("status {code}"))),
            401 => Err(Miss::Unauthorized(SourceError::Denied { what: ask.to_string(), status: code })),
            400..=499 => lasting(SourceError::Denied { what: ask.to_string(), status: code }),
            _ => lasting(ask.unavailable(format!("status {code}"))),
        }
    }

    async fn read(&self, ask: &Ask, mut body: Body) -> Result<Vec<u8>, Miss> {
        let mut bytes = Vec::new();
        loop {
            let frame = match timeout(self.read_wait, body.frame()).await {
                Err(_) => return Err(Miss::Passing(format!("the answer stopped for {} s", self.read_wait.as_secs()))),
                Ok(None) => return Ok(bytes),
                Ok(Some(Err(error))) => return Err(Miss::Passing(innermost(&error))),
                Ok(Some(Ok(frame))) => frame,
            };
            let Some(data) = frame.data_ref() else { continue };
            if bytes.len() + data.len() > ANSWER_BYTES_MAX {
                let why = format!("the answer is larger than {ANSWER_BYTES_MAX} bytes");
                return Err(Miss::Lasting(ask.unavailable(why)));
            }
            bytes.extend_from_slice(data);
        }
    }
}

/// Sends one request through octocrab, which adds the token.
async fn sent(call: &Call<'_>, client: &Octocrab) -> octocrab::Result<Response<Body>> {
    let mut request = Request::builder().method(call.method.clone()).uri(call.path).header(ACCEPT, call.accept);
    if let Some(tag) = call.etag.and_then(|etag| HeaderValue::from_str(etag).ok()) {
        request = request.header(IF_NONE_MATCH, tag);
    }
    client.execute(client.build_request(request, call.body)?).await
}

/// The API's root: http or https, a host, perhaps a path (`/api/v3` of GitHub Enterprise).
fn api_root(text: &str) -> Result<Uri, String> {
    let root: Uri = text.trim().trim_end_matches('/').parse().map_err(|_| "is no address".to_owned())?;
    let Some(authority) = root.authority() else { return Err("needs http:// or https:// and a host".into()) };
    if !matches!(root.scheme_str(), Some("http" | "https")) {
        return Err("needs http:// or https:// and a host".into());
    }
    if authority.as_str().contains('@') || root.query().is_some() {
        return Err("must hold neither a user name nor a query".into());
    }
    Ok(root)
}

/// Doubles with every attempt; the jitter, up to as much again, keeps many walks from returning at once.
fn retry_wait(attempt: u32) -> Duration {
    let shortest = RETRY_WAIT_MS << (attempt - 1);
    let jitter = RandomState::new().hash_one(attempt) % shortest;
    Duration::from_millis(shortest + jitter)
}

/// The cause at the bottom of a transport error (`connection refused`), which is what one can act on.
/// Such errors come from below HTTP: none of them holds a body or a header.
fn innermost(error: &octocrab::Error) -> String {
    let mut cause = error.source();
    while let Some(next) = cause.and_then(|cause| cause.source()) {
        cause = Some(next);
    }
    cause.map_or_else(|| "the connection failed".to_owned(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_root_of_github_enterprise_keeps_its_path() {
        assert_eq!(api_root("https://ghe.example/api/v3/").unwrap().path(), "/api/v3");
        assert_eq!(api_root(" https://api.github.com ").unwrap().host(), Some("api.github.com"));
    }

    #[test]
    fn a_root_that_is_no_plain_address_is_refused() {
        for text in ["", "api.github.com", "ftp://x", "/api", "https://me:pw@x", "https://x/?a=1", "https://"] {
            assert!(api_root(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn waits_grow_and_differ() {
        for attempt in 1..ATTEMPT_COUNT_MAX {
            let shortest = Duration::from_millis(RETRY_WAIT_MS << (attempt - 1));
            let waits: Vec<_> = (0..64).map(|_| retry_wait(attempt)).collect();
            assert!(waits.iter().all(|wait| (shortest..shortest * 2).contains(wait)), "{waits:?}");
            assert!(waits.iter().any(|wait| *wait != waits[0]));
        }
    }
}
