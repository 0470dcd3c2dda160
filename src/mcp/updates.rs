//! Updates of resources, told to who watches them.
//!
//! Nothing is queued for a client: it has a place in the order of events, and what changed since is
//! gathered into one notification a resource when it is ready for the next. A slow client costs nothing.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures_util::FutureExt;
use parking_lot::Mutex;
use rmcp::model::ResourceUpdatedNotificationParam;
use rmcp::service::{Peer, SubscriptionContext};
use rmcp::{ErrorData, RoleServer};
use tokio_util::sync::{CancellationToken, DropGuard};

use super::resources::{ResourceUri, WATCHED_COUNT_MAX, changed_by};
use crate::claims::{ClaimManager, EventCursor, EventStep};
use crate::domain::{EventDraft, EventKind};

/// The watched resources, each with the spelling in which the client asked for it.
type Watched = BTreeMap<ResourceUri, String>;

/// A place in the order of events, and which resources changed since.
#[derive(Debug)]
pub(super) struct Follower {
    cursor: EventCursor,
}

impl Follower {
    /// From now on.
    pub(super) fn of(manager: &ClaimManager) -> Self {
        Self { cursor: manager.events_after(None) }
    }

    /// Waits until watched resources may have changed, and says which, each once. `None`: the store is gone.
    async fn next(&mut self, watched: impl Fn() -> Watched) -> Option<Vec<String>> {
        loop {
            let mut step = Some(self.cursor.next().await.ok()?);
            let watched = watched();
            let mut changed = Watched::new();
            while let Some(now) = step {
                changed.extend(changed_in(&now, &watched));
                // What is there already comes along; a failing store is met again above.
                step = self.cursor.next().now_or_never().and_then(Result::ok);
            }
            if !changed.is_empty() {
                return Some(changed.into_values().collect());
            }
        }
    }

    /// Tells a subscription of the protocol from 2026-07-28 on, until it or the store ends.
    pub(super) async fn tell(mut self, subscription: &SubscriptionContext) {
        let uris = subscription.accepted().resource_subscriptions.iter().flatten();
        let watched: Watched = uris.filter_map(|uri| Some((uri.parse().ok()?, uri.clone()))).collect();
        while let Some(changed) = self.next(|| watched.clone()).await {
            for uri in changed {
                if subscription.sink().notify_resource_updated(uri).await.is_err() {
                    return;
                }
            }
        }
    }
}

/// The watched resources that may have changed with this step: all, where events are missing.
fn changed_in(step: &EventStep, watched: &Watched) -> Watched {
    let EventStep::Events(events) = step else { return watched.clone() };
    let by_name = events.iter().flat_map(|event| changed_by(&event.draft));
    let mut changed: Watched = by_name.filter_map(|uri| Some((uri.clone(), watched.get(&uri)?.clone()))).collect();
    if events.iter().any(|event| brought_changes(&event.draft)) {
        let issues = watched.iter().filter(|(uri, _)| matches!(uri, ResourceUri::Issue(_)));
        changed.extend(issues.map(|(uri, text)| (uri.clone(), text.clone())));
    }
    changed
}

/// Whether a sync found issues other than it knew them; which ones its event does not say.
fn brought_changes(event: &EventDraft) -> bool {
    let counted = |name: &str| event.details[name].as_u64().is_some_and(|count| count > 0);
    event.kind == EventKind::SyncReconciled && (counted("metadata_updates") || counted("newly_opened_issues"))
}

/// What one connection of the protocol up to 2025-11-25 watches.
#[derive(Debug, Default)]
pub(super) struct Subscriptions {
    watched: Arc<Mutex<Watched>>,
    /// Ends the telling with the connection.
    telling: Mutex<Option<DropGuard>>,
}

impl Subscriptions {
    /// Watches one more resource; the first one starts the telling, which ends with the connection or
    /// with `ending`.
    ///
    /// # Errors
    /// When there is no such resource, or too many are watched.
    pub(super) fn add(
        &self,
        uri: String,
        follower: impl FnOnce() -> Follower,
        peer: Peer<RoleServer>,
        ending: CancellationToken,
    ) -> Result<(), ErrorData> {
        let resource: ResourceUri = uri.parse()?;
        let mut telling = self.telling.lock();
        // The place is taken before the answer: what happens after it is told.
        let follower = telling.is_none().then(follower);
        {
            let mut watched = self.watched.lock();
            if watched.len() >= WATCHED_COUNT_MAX && !watched.contains_key(&resource) {
                let message = format!("more than {WATCHED_COUNT_MAX} resources are watched; unsubscribe from some");
                return Err(ErrorData::invalid_params(message, None));
            }
            watched.insert(resource, uri);
        }
        if let Some(follower) = follower {
            let end = ending.child_token();
            *telling = Some(end.clone().drop_guard());
            let watched = Arc::clone(&self.watched);
            tokio::spawn(async move { end.run_until_cancelled(tell(follower, watched, peer)).await });
        }
        Ok(())
    }

    /// Watches a resource no longer.
    pub(super) fn remove(&self, uri: &str) {
        if let Ok(resource) = uri.parse::<ResourceUri>() {
            self.watched.lock().remove(&resource);
        }
    }
}

async fn tell(mut follower: Follower, watched: Arc<Mutex<Watched>>, peer: Peer<RoleServer>) {
    while let Some(changed) = follower.next(|| watched.lock().clone()).await {
        for uri in changed {
            if peer.notify_resource_updated(ResourceUpdatedNotificationParam::new(uri)).await.is_err() {
                return;
            }
        }
    }
}
