//! Traces: what a call did, and where its time went, sent over OTLP to a collector that `[telemetry]` names. Without one
//! nothing is noted: spans of [`TARGET`] interest nobody then.
//!
//! A span says which call, policy, function or phase it was, how long it took and how it ended. It never says what an
//! issue says, who asked, or anything secret.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use axum::extract::{MatchedPath, Request};
use axum::middleware::Next;
use axum::response::Response;
use opentelemetry::propagation::TextMapPropagator;
use opentelemetry::trace::TracerProvider;
use opentelemetry_http::{Bytes, HeaderExtractor, HttpClient, HttpError};
use opentelemetry_otlp::{ExporterBuildError, Protocol, SpanExporter, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use tokio::runtime::Handle;
use tokio::task::spawn_blocking;
use tracing::field::Empty;
use tracing::{Instrument, Metadata, Subscriber, debug, info, info_span, warn};
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::registry::LookupSpan;

use crate::config::TelemetryConfig;

/// The target of spans for traces: no log shows them, and no trace shows a line of the log.
pub const TARGET: &str = "issuecommand::trace";

/// Where a collector takes traces, below its address.
const TRACES_PATH: &str = "/v1/traces";
/// Longest time for a collector to take a batch.
const SEND_SECONDS_MAX: u64 = 5;
/// Longest time that the last spans get at the end.
const END_SECONDS_MAX: u64 = 2;
/// Longest answer of a collector that is read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Why there are no traces, although they were asked for.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The address is of no use.
    #[error("failed to set up traces to telemetry.otlp_endpoint")]
    Exporter(#[from] ExporterBuildError),
    /// No client for it can be had.
    #[error("failed to set up the client for traces")]
    Client(#[from] reqwest::Error),
}

/// Sends what was traced; ask it to [`Traces::end`].
#[derive(Debug)]
pub struct Traces(SdkTracerProvider);

impl Traces {
    /// Sends to where `config` says; `None` if it names nothing. Only within a tokio runtime.
    ///
    /// # Errors
    /// The address is of no use.
    pub fn begin(config: &TelemetryConfig) -> Result<Option<Self>, TelemetryError> {
        let Some(endpoint) = &config.otlp_endpoint else { return Ok(None) };
        let endpoint = endpoint.trim_end_matches('/');
        let endpoint = format!("{}{TRACES_PATH}", endpoint.strip_suffix(TRACES_PATH).unwrap_or(endpoint));
        let http = reqwest::Client::builder().timeout(Duration::from_secs(SEND_SECONDS_MAX)).build()?;
        let collector =
            Collector { http, runtime: Handle::current(), endpoint: endpoint.clone(), is_away: AtomicBool::new(false) };
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(collector)
            .with_endpoint(endpoint)
            .with_protocol(Protocol::HttpBinary)
            .build()?;
        let resource = Resource::builder()
            .with_service_name(env!("CARGO_PKG_NAME"))
            .with_attribute(opentelemetry::KeyValue::new("service.version", crate::build_info::VERSION))
            .build();
        // Who asked may have decided already whether its trace is kept.
        let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(config.share)));
        let provider = SdkTracerProvider::builder()
            .with_resource(resource)
            .with_sampler(sampler)
            .with_batch_exporter(exporter)
            .build();
        Ok(Some(Self(provider)))
    }

    /// What notes spans for it.
    pub(crate) fn layer<S>(&self) -> impl Layer<S> + Send + Sync + use<S>
    where
        S: Subscriber + for<'s> LookupSpan<'s> + Send + Sync,
    {
        let layer = tracing_opentelemetry::layer()
            .with_tracer(self.0.tracer(env!("CARGO_PKG_NAME")))
            .with_location(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_level(false)
            .with_target(false);
        layer.with_filter(filter_fn(is_traced))
    }

    /// Sends what is left.
    pub async fn end(self) {
        let ended = spawn_blocking(move || self.0.shutdown_with_timeout(Duration::from_secs(END_SECONDS_MAX))).await;
        match ended {
            Ok(Ok(())) => {}
            Ok(Err(error)) => debug!("the last traces were not sent: {error}"),
            Err(panic) => debug!("the last traces were not sent: {panic}"),
        }
    }
}

fn is_traced(metadata: &Metadata<'_>) -> bool {
    metadata.target() == TARGET
}

/// Carries batches to the collector. They come from a thread of their own, which knows no runtime.
#[derive(Debug)]
struct Collector {
    http: reqwest::Client,
    runtime: Handle,
    endpoint: String,
    /// Whether it took nothing the last time: that is said once, not with every batch.
    is_away: AtomicBool,
}

#[async_trait]
impl HttpClient for Collector {
    async fn send_bytes(&self, request: http::Request<Bytes>) -> Result<http::Response<Bytes>, HttpError> {
        let request = reqwest::Request::try_from(request)?;
        let sent = self.runtime.spawn(send(self.http.clone(), request)).await;
        let sent = sent.unwrap_or_else(|panic| Err(panic.into()));
        let trouble = match &sent {
            Ok(answer) if answer.status().is_success() => None,
            Ok(answer) => Some(format!("it answers {}", answer.status())),
            Err(error) => Some(chain(error.as_ref())),
        };
        self.note(trouble);
        sent
    }
}

impl Collector {
    fn note(&self, trouble: Option<String>) {
        let was_away = self.is_away.swap(trouble.is_some(), Ordering::Relaxed);
        match trouble {
            Some(why) if !was_away => warn!(
                "traces are not taken at {}, and lost until they are (said once; all else goes on): {why}",
                self.endpoint
            ),
            None if was_away => info!("traces are taken again at {}", self.endpoint),
            _ => {}
        }
    }
}

async fn send(http: reqwest::Client, request: reqwest::Request) -> Result<http::Response<Bytes>, HttpError> {
    let mut response = http.execute(request).await?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > ANSWER_BYTES_MAX {
            return Err(format!("its answer is longer than {ANSWER_BYTES_MAX} bytes").into());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(http::Response::builder().status(response.status()).body(body.into())?)
}

fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let all = std::iter::successors(Some(error), |error| error.source());
    all.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

/// A span around each request over HTTP, below the trace that its `traceparent` names.
pub async fn request_traced(request: Request, next: Next) -> Response {
    let route = request.extensions().get::<MatchedPath>().map_or("(none)", MatchedPath::as_str);
    let span = info_span!(
        target: TARGET,
        "http",
        otel.name = %format_args!("{} {route}", request.method()),
        otel.kind = "server",
        http.request.method = %request.method(),
        http.route = route,
        http.response.status_code = Empty,
    );
    if span.is_disabled() {
        return next.run(request).await;
    }
    let above = TraceContextPropagator::new().extract(&HeaderExtractor(request.headers()));
    // That of a span which nobody notes any more cannot be set, and need not be.
    let _ = span.set_parent(above);
    let response = next.run(request).instrument(span.clone()).await;
    span.record("http.response.status_code", i64::from(response.status().as_u16()));
    response
}
