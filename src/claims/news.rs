//! What GitHub tells by itself: deliveries are remembered, issues taken in, syncs wished for.

use serde_json::Value;
use tracing::warn;

use super::trust::Trust;
use super::{ClaimManager, ManagerError};
use crate::domain::{Blocker, ContentDigest, EventDraft, EventKind, Issue, IssueRef};
use crate::store::{ApprovalWish, DependencyChange, Pin};
use crate::sync::{Sync, SyncError};

impl ClaimManager {
    /// Whether a delivery was processed before.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delivery_seen(&self, delivery_id: &str) -> Result<bool, ManagerError> {
        Ok(self.store.delivery_seen(delivery_id.to_owned()).await?)
    }

    /// Notes that a delivery was processed.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn delivery_record(&self, delivery_id: &str) -> Result<(), ManagerError> {
        Ok(self.store.delivery_record(delivery_id.to_owned()).await?)
    }

    /// Takes in an issue as GitHub describes it; `false` when something newer is known.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn take_in_issue(&self, issue: Issue) -> Result<bool, ManagerError> {
        Ok(self.store.issue_deliver(issue, self.clock.now()).await?)
    }

    /// Takes in that GitHub made one issue wait for another, or let it go.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn take_in_dependency(&self, issue: IssueRef, blocker: Blocker, added: bool) -> Result<(), ManagerError> {
        Ok(self.store.dependency_change(DependencyChange { issue, blocker, added }).await?)
    }

    /// Takes in that `by` put `label` on an issue, which is as GitHub describes it now: an approval, if it is such
    /// a label.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn take_in_label(&self, issue: &Issue, label: String, by: String) -> Result<(), ManagerError> {
        if !Trust::new(&self.config.current().trust).is_approval_label(&label) {
            return Ok(());
        }
        let pin = Pin::Exactly(ContentDigest::of(&issue.title, &issue.body));
        let (issue, at) = (issue.issue_ref(), issue.updated_at);
        let wish = ApprovalWish { issue, by, at, label: Some(label), pin, now: self.clock.now() };
        self.store.approval_set(wish).await?;
        Ok(())
    }

    /// Asks who put approval labels on issues that changed since it was last asked.
    pub(super) async fn read_labels(&self, sync: &Sync) -> Result<(), SyncError> {
        let trust = Trust::new(&self.config.current().trust);
        let labelled = {
            let board = self.index.board.read();
            let mut labelled = board.labelled(|label| trust.is_approval_label(label));
            labelled.retain(|issue| board.exclusion(&issue.repo).is_none());
            labelled
        };
        sync.read_labels(labelled, |label| trust.is_approval_label(label)).await
    }

    /// Forgets an issue that GitHub says is deleted or moved away. A claim on it stays.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn forget_issue(&self, issue: IssueRef) -> Result<(), ManagerError> {
        Ok(self.store.issue_remove(issue).await?)
    }

    /// Asks for a sync now rather than at its time.
    pub fn wish_sync(&self) {
        self.sync_wished.notify_one();
    }

    /// Writes an event that belongs to no other write.
    pub async fn announce(&self, kind: EventKind, details: Value) {
        let draft = EventDraft::new(kind, self.clock.now(), details);
        if let Err(error) = self.store.event_append(vec![draft]).await {
            warn!("an event of kind {kind} could not be written: {error}");
        }
    }
}
