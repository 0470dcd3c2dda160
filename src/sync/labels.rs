//! Who put the approval labels on, for those that no webhook told of, and what the issue read like then.

use tracing::warn;

use super::{Sync, SyncError};
use crate::domain::{IssueRef, Timestamp};
use crate::github::{LabelEvent, SourceError};
use crate::store::{ApprovalOutcome, ApprovalWish, LabelDue, Pin};

/// Most labelled issues that are asked about in one sync; the next goes on. Ours: each costs one request, or two.
const READING_COUNT_MAX: usize = 200;

impl Sync {
    /// Asks of issues that bear an approval label who put it there, if they changed since it was last asked.
    ///
    /// # Errors
    /// The first failure; what was read until then is kept, and the next reading goes on with the rest.
    pub async fn read_labels(
        &self,
        labelled: Vec<IssueRef>,
        is_approval_label: impl Fn(&str) -> bool + Send + std::marker::Sync,
    ) -> Result<(), SyncError> {
        let due = self.store.label_due_list(labelled).await?;
        let mut first_failure = None;
        for due in due.into_iter().take(READING_COUNT_MAX) {
            match self.read_label(&due, &is_approval_label).await {
                Ok(()) => {}
                Err(SyncError::Source(error @ (SourceError::NotFound { .. } | SourceError::Denied { .. }))) => {
                    warn!("nobody can say who approved {}: {error}", due.issue);
                    self.store.label_read(due).await?;
                }
                Err(error @ (SyncError::Store(_) | SyncError::Source(SourceError::Paused { .. }))) => {
                    return Err(error);
                }
                // One that cannot be read must not keep the others waiting.
                Err(error) => first_failure = first_failure.or(Some(error)),
            }
        }
        first_failure.map_or(Ok(()), Err)
    }

    async fn read_label(&self, due: &LabelDue, is_approval_label: impl Fn(&str) -> bool) -> Result<(), SyncError> {
        let list = self.source.label_history(&due.issue, due.etag.as_deref()).await?;
        let read = LabelDue { etag: list.etag, ..due.clone() };
        let Some(history) = list.rows else { return Ok(self.store.label_read(read).await?) };
        if let Some(word) = standing_word(&history, is_approval_label) {
            let pin = self.pin_of(due, &word, &history).await?;
            let wish = ApprovalWish {
                issue: due.issue.clone(),
                by: word.by,
                at: word.at,
                label: Some(word.label),
                pin,
                now: self.clock.now(),
            };
            if self.store.approval_set(wish).await? == ApprovalOutcome::Changed {
                // It was written meanwhile: the next sync reads again, by what it says now.
                return Ok(());
            }
        }
        Ok(self.store.label_read(read).await?)
    }

    /// What was approved: the text as it is kept, if GitHub shows that nobody touched it since.
    async fn pin_of(&self, due: &LabelDue, word: &Word, history: &[LabelEvent]) -> Result<Pin, SyncError> {
        // What is kept was read before the label was there: it says nothing of the text that was approved.
        if due.updated_at < word.at {
            return Ok(Pin::Unknown);
        }
        let as_kept = Pin::AsKept(Some(due.updated_at));
        // A second is GitHub's finest grain: at the same one nobody can tell which came first.
        let is_since = |at: Timestamp| at >= word.at;
        if history.iter().any(|event| matches!(event, LabelEvent::Renamed { at } if is_since(*at))) {
            return Ok(Pin::Unknown);
        }
        match self.source.text_edited_at(&due.issue).await {
            Ok(edited_at) if edited_at.is_some_and(is_since) => Ok(Pin::Unknown),
            Ok(_) => Ok(as_kept),
            Err(SourceError::NotFound { .. } | SourceError::Denied { .. } | SourceError::Unsupported { .. }) => {
                Ok(Pin::Unknown)
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// The newest word by an approval label that is still there.
struct Word {
    label: String,
    by: String,
    at: Timestamp,
}

fn standing_word(history: &[LabelEvent], is_approval_label: impl Fn(&str) -> bool) -> Option<Word> {
    let mut standing: Option<Word> = None;
    for event in history {
        match event {
            LabelEvent::Put { label, by, at } if is_approval_label(label) => {
                standing = Some(Word { label: label.clone(), by: by.clone(), at: *at });
            }
            LabelEvent::Taken { label } => _ = standing.take_if(|word| word.label == *label),
            LabelEvent::Put { .. } | LabelEvent::Renamed { .. } => {}
        }
    }
    standing
}
