//! What happened, for those who listen: a short memory of the newest events in front of the store.
//!
//! A reader asks by the last event it saw, so nothing is queued for it: a slow one costs nothing, and
//! one that comes back after a restart goes on where it was.

use std::collections::VecDeque;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;

use crate::domain::{Event, EventSeq};
use crate::store::{Store, StoreError};

/// Newest events kept in memory: enough that live readers never need the store.
const RECENT_COUNT_MAX: usize = 2_048;
/// Events that one step hands out.
const STEP_COUNT_MAX: usize = 256;

/// The newest events, and a bell.
#[derive(Debug)]
pub(super) struct EventFeed {
    recent: Mutex<VecDeque<Arc<Event>>>,
    newest: watch::Sender<EventSeq>,
}

impl EventFeed {
    pub(super) fn new(newest: EventSeq) -> Self {
        Self { recent: Mutex::default(), newest: watch::Sender::new(newest) }
    }

    /// Sets the newest event of a store just opened.
    pub(super) fn begin_at(&self, newest: EventSeq) {
        self.newest.send_replace(newest);
    }

    /// Forgets the events in memory: others came since, up to `newest`, and readers find them in the store.
    pub(super) fn forget_to(&self, newest: EventSeq) {
        self.recent.lock().clear();
        self.begin_at(newest);
    }

    /// Takes one committed event and wakes the readers.
    pub(super) fn push(&self, event: Event) {
        let seq = event.event_id;
        {
            let mut recent = self.recent.lock();
            if recent.len() == RECENT_COUNT_MAX {
                recent.pop_front();
            }
            recent.push_back(Arc::new(event));
        }
        self.newest.send_if_modified(|newest| {
            let is_newer = seq > *newest;
            *newest = seq.max(*newest);
            is_newer
        });
    }

    /// Events after `after`, if memory reaches back that far.
    fn recent_after(&self, after: EventSeq) -> Option<Vec<Arc<Event>>> {
        let recent = self.recent.lock();
        let oldest = recent.front()?.event_id;
        if oldest.0 > after.0 + 1 {
            return None;
        }
        let from = recent.partition_point(|event| event.event_id <= after);
        Some(recent.iter().skip(from).take(STEP_COUNT_MAX).cloned().collect())
    }
}

/// A reader's place in the order of events.
#[derive(Debug)]
pub struct EventCursor {
    feed: Arc<EventFeed>,
    store: Arc<dyn Store>,
    newest: watch::Receiver<EventSeq>,
    after: EventSeq,
}

/// What a reader gets next.
#[derive(Debug, Clone)]
pub enum EventStep {
    /// The next events, in order; never empty.
    Events(Vec<Arc<Event>>),
    /// Events after `after` and before `resume` are no longer kept.
    Gap {
        /// The last one the reader saw.
        after: EventSeq,
        /// The next one that is kept.
        resume: EventSeq,
    },
}

impl EventCursor {
    pub(super) fn new(feed: Arc<EventFeed>, store: Arc<dyn Store>, after: Option<EventSeq>) -> Self {
        // Listening comes before looking: what arrives in between is not missed.
        let newest = feed.newest.subscribe();
        let present = *newest.borrow();
        // A place that lies ahead of every event is from another store: begin at the present.
        let after = after.filter(|after| *after <= present).unwrap_or(present);
        Self { feed, store, newest, after }
    }

    /// The same, for a reader that saw `seen` last. Where this server has not heard of that event yet, but its database
    /// has it, another server wrote it: the reader goes on there, once this one has caught up.
    pub(super) async fn back_at(feed: Arc<EventFeed>, store: Arc<dyn Store>, seen: EventSeq) -> Self {
        let mut cursor = Self::new(feed, store, Some(seen));
        if cursor.after < seen {
            let at_place = cursor.store.event_list_after(EventSeq(seen.0 - 1), 1).await;
            if at_place.is_ok_and(|events| events.first().is_some_and(|event| event.event_id == seen)) {
                cursor.after = seen;
            }
        }
        cursor
    }

    /// The last event handed out, or where the reader began.
    pub fn position(&self) -> EventSeq {
        self.after
    }

    /// Waits for the next events. Safe to drop and call again.
    ///
    /// # Errors
    /// When the store fails; the reader should come back later.
    pub async fn next(&mut self) -> Result<EventStep, StoreError> {
        let after = self.after;
        if self.newest.wait_for(|newest| *newest > after).await.is_err() {
            return Err(StoreError::Closed);
        }
        let events = match self.feed.recent_after(after) {
            Some(events) => events,
            None => self.store.event_list_after(after, STEP_COUNT_MAX).await?.into_iter().map(Arc::new).collect(),
        };
        let (Some(first), Some(last)) = (events.first(), events.last()) else {
            // Everything after the reader's place was trimmed away.
            let resume = *self.newest.borrow();
            self.after = resume;
            return Ok(EventStep::Gap { after, resume });
        };
        if first.event_id.0 > after.0 + 1 {
            let resume = first.event_id;
            self.after = EventSeq(resume.0 - 1);
            return Ok(EventStep::Gap { after, resume });
        }
        self.after = last.event_id;
        Ok(EventStep::Events(events))
    }
}

#[cfg(test)]
mod tests;
