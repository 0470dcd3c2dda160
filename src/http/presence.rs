//! Who is here: every answer keeps its reader present until it was read to its end, or the reader left.

use std::pin::Pin;
use std::task::{Context, Poll};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use hyper::body::{Frame, SizeHint};

use crate::local::{Idle, Present};

/// `router`, with everybody whom it answers on the account of who is here.
pub fn count_present(router: Router, idle: Idle) -> Router {
    router.layer(from_fn(move |request: Request, next: Next| {
        let present = idle.enter();
        async move { next.run(request).await.map(|body| Body::new(AttendedBody { body, _present: present })) }
    }))
}

/// A body whose reader is here.
struct AttendedBody {
    body: Body,
    _present: Present,
}

impl hyper::body::Body for AttendedBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::convert::Infallible;
    use std::time::Duration;

    use axum::routing::get;
    use futures_util::stream;
    use tokio::time::timeout;
    use tower::ServiceExt;

    use super::*;

    const QUIET: Duration = Duration::from_secs(60);

    async fn answered(router: Router, path: &str) -> Body {
        router.oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap().into_body()
    }

    #[tokio::test(start_paused = true)]
    async fn a_server_is_not_idle_as_long_as_somebody_reads_a_stream_in_which_nothing_comes() {
        let idle = Idle::new();
        let silence = || async { Body::from_stream(stream::pending::<Result<Bytes, Infallible>>()) };
        let router = Router::new().route("/sse", get(silence)).route("/", get(|| async { "well" }));
        let router = count_present(router, idle.clone());
        let stream = answered(router.clone(), "/sse").await;
        let hours = Duration::from_secs(5 * 3600);
        assert!(timeout(hours, idle.wait(QUIET, || false)).await.is_err(), "somebody reads");
        drop(stream);
        drop(answered(router, "/").await);
        assert!(timeout(QUIET / 2, idle.wait(QUIET, || false)).await.is_err(), "somebody was here just now");
        timeout(QUIET, idle.wait(QUIET, || false)).await.expect("nobody is here");
    }
}
