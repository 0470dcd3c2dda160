//! The event stream: what happened since the reader last looked, then what happens.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Query, State};
use axum::http::HeaderMap;
use axum::response::sse::{Event as Frame, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream, StreamExt};
use serde::Deserialize;
use serde_json::json;
use tokio::time::{Interval, MissedTickBehavior, interval_at};

use super::routes::agent_named;
use super::state::HttpState;
use crate::api::{Answer, Api, Failure, Identity};
use crate::claims::{EventCursor, EventStep};
use crate::domain::{Clock, Event, EventSeq};

#[derive(Debug, Default, Deserialize)]
pub(super) struct StreamQuery {
    last_event_id: Option<String>,
}

/// Opens a stream. A reader that comes back says where it was, in `Last-Event-ID` or in the query.
pub(super) async fn stream(
    State(state): State<HttpState>,
    Extension(identity): Extension<Identity>,
    query: Result<Query<StreamQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    if let Err(failure) = admit(&state, &identity, &headers) {
        return Answer::from(failure).into_response();
    }
    let last_seen = match headers.get("last-event-id") {
        Some(id) => Some(id.to_str().unwrap_or("?").to_owned()),
        None => query.ok().and_then(|Query(query)| query.last_event_id),
    };
    Sse::new(frames(state, identity, last_seen.filter(|id| !id.trim().is_empty())).await).into_response()
}

/// Lets an agent's stream in. A reader that names no agent has drawn on its credential's bucket already.
fn admit(state: &HttpState, identity: &Identity, headers: &HeaderMap) -> Result<(), Failure> {
    let named = agent_named(headers)?;
    match identity.speaks_for(named.as_ref())? {
        Some(agent) => Ok(state.api.limits().sse_connect(&agent)?),
        None => Ok(()),
    }
}

async fn frames(
    state: HttpState,
    identity: Identity,
    last_seen: Option<String>,
) -> impl Stream<Item = Result<Frame, Infallible>> {
    let after = last_seen.as_deref().and_then(|id| id.parse::<EventSeq>().ok());
    let cursor = match after {
        Some(seen) => state.api.manager().events_since(seen).await,
        None => state.api.manager().events_after(None),
    };
    let mut ready = VecDeque::from([connected(cursor.position(), &*state.clock)]);
    if let Some(seen) = last_seen
        && after != Some(cursor.position())
    {
        // Not a place in this order of events: nothing can be replayed, and the reader must be told.
        ready.push_back(gap(&seen, cursor.position()));
    }
    let first_ping = tokio::time::Instant::now() + state.ping_interval;
    let mut pings = interval_at(first_ping, state.ping_interval);
    pings.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let reader = Reader { api: state.api, identity, clock: state.clock, cursor, pings, ready };
    let frames = stream::unfold(reader, |mut reader| async move {
        let frame = reader.next_frame().await?;
        Some((Ok(frame), reader))
    });
    frames.take_until(Box::pin(state.shutdown.cancelled_owned()))
}

struct Reader {
    api: Api,
    identity: Identity,
    clock: Arc<dyn Clock>,
    cursor: EventCursor,
    pings: Interval,
    ready: VecDeque<Frame>,
}

impl Reader {
    /// The next frame; `None` when the store fails, so that the reader comes back with its last id, and
    /// when its token has ended: nobody reads on with a revoked one.
    async fn next_frame(&mut self) -> Option<Frame> {
        loop {
            if !self.identity.still_holds(self.api.manager()) {
                return None;
            }
            if let Some(frame) = self.ready.pop_front() {
                return Some(frame);
            }
            tokio::select! {
                _ = self.pings.tick() => self.ready.push_back(ping(&*self.clock)),
                step = self.cursor.next() => match step {
                    Ok(EventStep::Events(events)) => self.ready.extend(events.iter().map(|event| frame(event))),
                    Ok(EventStep::Gap { after, .. }) => self.ready.push_back(gap(&after.to_string(), self.cursor.position())),
                    Err(error) => {
                        tracing::warn!("ended an event stream: {error}");
                        return None;
                    }
                },
            }
        }
    }
}

/// The first frame: where the reader stands. Its id is that place, so that a reader which is cut
/// before its first event comes back to it.
fn connected(position: EventSeq, clock: &dyn Clock) -> Frame {
    let data = json!({ "event_id": position, "timestamp": clock.now() });
    Frame::default().id(position.to_string()).event("connected").data(data.to_string())
}

fn ping(clock: &dyn Clock) -> Frame {
    Frame::default().event("ping").data(json!({ "timestamp": clock.now() }).to_string())
}

fn frame(event: &Event) -> Frame {
    Frame::default().id(event.event_id.to_string()).event(event.draft.kind.as_str()).data(json!(event).to_string())
}

/// Says that what came after `after` is not kept, and that the stream goes on after `position`.
fn gap(after: &str, position: EventSeq) -> Frame {
    let data = json!({ "after": after, "resume_after": position });
    Frame::default().id(position.to_string()).event("gap").data(data.to_string())
}
