//! Answers that go on long after they were begun, as streams of updates do.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use hyper::body::{Frame, SizeHint};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::sessions::OpenAnswer;
use crate::api::{Api, Identity};

/// How often it is looked whether a silent stream may go on. The contract's time between two pings.
const LOOK_INTERVAL: Duration = Duration::from_secs(15);

/// The body of an answer that ends early when the credential it was asked with opens nothing any more.
pub(super) struct LastingBody {
    body: Body,
    api: Api,
    identity: Identity,
    look: Interval,
    /// Called once, if the credential has ended before the body.
    on_end: Option<Box<dyn FnOnce() + Send>>,
    _open: Option<OpenAnswer>,
}

impl LastingBody {
    pub(super) fn new(body: Body, api: Api, identity: Identity, open: Option<OpenAnswer>) -> Self {
        let mut look = interval(LOOK_INTERVAL);
        look.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { body, api, identity, look, on_end: None, _open: open }
    }

    pub(super) fn on_end(self, on_end: impl FnOnce() + Send + 'static) -> Self {
        Self { on_end: Some(Box::new(on_end)), ..self }
    }
}

impl hyper::body::Body for LastingBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let frame = Pin::new(&mut self.body).poll_frame(cx);
        // A tick that came asks for the next one, so that silence is looked at too.
        let looked = std::iter::from_fn(|| self.look.poll_tick(cx).is_ready().then_some(())).count() > 0;
        if (looked || frame.is_ready()) && !self.identity.still_holds(self.api.manager()) {
            if let Some(on_end) = self.on_end.take() {
                on_end();
            }
            return Poll::Ready(None);
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
