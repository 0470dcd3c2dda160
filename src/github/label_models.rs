//! What GitHub really sends of the events of an issue, and of its last edit.

use serde::Deserialize;

use super::LabelEvent;
use super::models::{Named, author};
use crate::domain::Timestamp;

/// Asks when the text of an issue was last edited, which only GitHub's GraphQL tells.
pub(super) const LAST_EDIT: &str = "query ($owner: String!, $name: String!, $number: Int!) \
     { repository(owner: $owner, name: $name) { issue(number: $number) { lastEditedAt } } }";

/// One event of an issue.
#[derive(Debug, Deserialize)]
pub(super) struct RawEvent {
    event: String,
    actor: Option<Named>,
    label: Option<Named>,
    created_at: Timestamp,
}

impl RawEvent {
    /// The event, if it matters for an approval.
    pub(super) fn into_event(self) -> Option<LabelEvent> {
        let at = self.created_at;
        Some(match self.event.as_str() {
            "labeled" => LabelEvent::Put { label: self.label?.text()?, by: author(self.actor), at },
            "unlabeled" => LabelEvent::Taken { label: self.label?.text()? },
            "renamed" => LabelEvent::Renamed { at },
            _ => return None,
        })
    }
}

/// The answer to [`LAST_EDIT`].
#[derive(Debug, Deserialize)]
pub(super) struct RawLastEdit {
    data: Option<RawData>,
}

#[derive(Debug, Deserialize)]
struct RawData {
    repository: Option<RawRepository>,
}

#[derive(Debug, Deserialize)]
struct RawRepository {
    issue: Option<RawEdited>,
}

#[derive(Debug, Deserialize)]
struct RawEdited {
    #[serde(rename = "lastEditedAt")]
    last_edited_at: Option<Timestamp>,
}

impl RawLastEdit {
    /// When it was edited last, if ever; `None` when the answer says nothing of the issue.
    pub(super) fn into_edited_at(self) -> Option<Option<Timestamp>> {
        Some(self.data?.repository?.issue?.last_edited_at)
    }
}
