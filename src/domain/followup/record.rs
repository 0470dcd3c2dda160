//! Follow-ups from elsewhere: the contract's record, as another server, an older version or a hand wrote
//! it, and what must hold of it before it is believed.

use serde::Deserialize;

use super::words::{COMMENT_CHARS_MAX, SUMMARY_CHARS_MAX, cut};
use super::{FollowUp, FollowUpEntry, FollowUpStatus, Reservation};
use crate::domain::elsewhere::{self, ENTRY_COUNT_MAX, TEXT_BYTES_MAX};
use crate::domain::{AgentId, ClaimId, FeedbackKind, IssueNumber, RepoName, Timestamp, WorkItemId};

/// The contract's record of a follow-up, before anything is known of it. What it does not name is ignored;
/// the first edition has no claim, no reservation and no note of pushes.
#[derive(Debug, Clone, Deserialize)]
pub struct FollowUpRecord {
    work_item_id: WorkItemId,
    repo: RepoName,
    pr_number: IssueNumber,
    pr_url: String,
    #[serde(default)]
    pr_title: String,
    source_event_type: FeedbackKind,
    source_event_id: String,
    #[serde(default)]
    source_delivery_id: Option<String>,
    #[serde(default)]
    requested_by: Option<String>,
    #[serde(default)]
    author_association: String,
    #[serde(default)]
    summary: String,
    #[serde(default)]
    actionable_comments: Vec<String>,
    status: FollowUpStatus,
    created_at: Timestamp,
    last_updated: Timestamp,
    #[serde(default)]
    claimed_by_agent_id: Option<AgentId>,
    #[serde(default)]
    claimed_at: Option<Timestamp>,
    #[serde(default)]
    done_at: Option<Timestamp>,
    #[serde(default)]
    dismiss_reason: Option<String>,
    #[serde(default)]
    status_history: Vec<FollowUpEntry>,
    #[serde(default)]
    claim_id: Option<ClaimId>,
    #[serde(default)]
    reserved: Option<Reservation>,
    #[serde(default)]
    pushed_at: Option<Timestamp>,
}

/// Why a record cannot be a follow-up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FollowUpRecordError {
    /// A text or a list is longer than any real one.
    #[error("{0} is longer than any real one")]
    TooLong(&'static str),
    /// A time lies in the future, or before another that must come first.
    #[error("{0}")]
    Time(String),
    /// The status and the end of its history differ.
    #[error("its status is {status}, but its history ends with {last}")]
    History {
        /// What the record says.
        status: FollowUpStatus,
        /// What its history says.
        last: FollowUpStatus,
    },
    /// Somebody is said to work on it, and nobody has it.
    #[error("its status is {0}, but it says of no agent that has it")]
    NobodyHasIt(FollowUpStatus),
    /// Nothing says what feedback it came from.
    #[error("source_event_id is empty")]
    NoSource,
    /// The address of the pull request is none that people may follow.
    #[error("pr_url is no http or https address")]
    PrUrl,
}

impl FollowUpRecord {
    /// The follow-up of this record, if all that must hold of it does. Its comments and its summary are
    /// cut as those of our own are.
    ///
    /// # Errors
    /// [`FollowUpRecordError`] says what does not hold.
    pub fn restore(self, now: Timestamp) -> Result<FollowUp, FollowUpRecordError> {
        self.check_lengths()?;
        elsewhere::check_times((self.created_at, "created_at"), self.last_updated, now)
            .map_err(FollowUpRecordError::Time)?;
        self.check_status()?;
        if self.source_event_id.trim().is_empty() {
            return Err(FollowUpRecordError::NoSource);
        }
        if !elsewhere::is_web_page(&self.pr_url) {
            return Err(FollowUpRecordError::PrUrl);
        }
        let mut status_history = self.status_history;
        if status_history.is_empty() {
            status_history.push(FollowUpEntry { status: self.status, timestamp: self.last_updated, note: None });
        }
        let comments = self.actionable_comments.iter().map(|text| cut(text, COMMENT_CHARS_MAX));
        Ok(FollowUp {
            work_item_id: self.work_item_id,
            repo: self.repo,
            pr_number: self.pr_number,
            pr_url: self.pr_url,
            pr_title: self.pr_title,
            source_event_type: self.source_event_type,
            source_event_id: self.source_event_id,
            source_delivery_id: self.source_delivery_id,
            requested_by: self.requested_by,
            author_association: self.author_association,
            summary: cut(&self.summary, SUMMARY_CHARS_MAX),
            actionable_comments: comments.collect(),
            status: self.status,
            created_at: self.created_at,
            last_updated: self.last_updated,
            claimed_by_agent_id: self.claimed_by_agent_id,
            claimed_at: self.claimed_at,
            done_at: self.done_at,
            dismiss_reason: self.dismiss_reason,
            status_history,
            claim_id: self.claim_id,
            reserved: self.reserved,
            pushed_at: self.pushed_at,
        })
    }

    fn check_lengths(&self) -> Result<(), FollowUpRecordError> {
        let texts = [
            (Some(&self.pr_url), "pr_url"),
            (Some(&self.pr_title), "pr_title"),
            (Some(&self.source_event_id), "source_event_id"),
            (self.source_delivery_id.as_ref(), "source_delivery_id"),
            (self.requested_by.as_ref(), "requested_by"),
            (Some(&self.author_association), "author_association"),
            (self.dismiss_reason.as_ref(), "dismiss_reason"),
        ];
        let is_long = |text: &String| text.len() > TEXT_BYTES_MAX;
        if let Some((_, what)) = texts.into_iter().find(|(text, _)| text.is_some_and(is_long)) {
            return Err(FollowUpRecordError::TooLong(what));
        }
        if self.actionable_comments.len() > ENTRY_COUNT_MAX {
            return Err(FollowUpRecordError::TooLong("actionable_comments"));
        }
        let mut notes = self.status_history.iter().filter_map(|entry| entry.note.as_ref());
        if self.status_history.len() > ENTRY_COUNT_MAX || notes.any(is_long) {
            return Err(FollowUpRecordError::TooLong("status_history"));
        }
        Ok(())
    }

    fn check_status(&self) -> Result<(), FollowUpRecordError> {
        let status = self.status;
        if let Some(last) = self.status_history.last().map(|entry| entry.status).filter(|last| *last != status) {
            return Err(FollowUpRecordError::History { status, last });
        }
        let is_worked_on = matches!(status, FollowUpStatus::Claimed | FollowUpStatus::InProgress);
        if is_worked_on && self.claimed_by_agent_id.is_none() {
            return Err(FollowUpRecordError::NobodyHasIt(status));
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn now() -> Timestamp {
        "2026-11-01T00:00:00Z".parse().unwrap()
    }

    /// As the first edition writes it.
    fn record(changes: Value) -> Value {
        let mut record = json!({
            "work_item_id": "7a1b7c5e-1f7f-4a65-9f0e-3a3b1f6f2c11", "repo": "Acme/Small", "pr_number": 5,
            "pr_url": "https://github.com/acme/small/pull/5", "pr_title": "Fix", "source_event_type": "review_comment",
            "source_event_id": "review_comment:9", "source_delivery_id": "d", "requested_by": "ann",
            "summary": "Please", "actionable_comments": ["Use a constant."], "status": "claimed",
            "created_at": "2026-10-01T00:00:00.000Z", "last_updated": "2026-10-01T01:00:00.000Z",
            "claimed_by_agent_id": "a1", "claimed_at": "2026-10-01T01:00:00.000Z",
            "status_history": [
                { "status": "queued", "timestamp": "2026-10-01T00:00:00.000Z", "note": "new" },
                { "status": "claimed", "timestamp": "2026-10-01T01:00:00.000Z" },
            ],
        });
        for (field, value) in changes.as_object().unwrap() {
            record[field] = value.clone();
        }
        record
    }

    fn restored(record: Value) -> Result<FollowUp, String> {
        let record: FollowUpRecord = serde_json::from_value(record).map_err(|error| error.to_string())?;
        record.restore(now()).map_err(|error| error.to_string())
    }

    #[test]
    fn a_record_becomes_a_follow_up_that_is_written_as_it_was_read() {
        let item = restored(record(json!({}))).unwrap();
        assert_eq!((item.repo.as_str(), item.status()), ("acme/small", FollowUpStatus::Claimed));
        let ours = json!({
            "claim_id": "6a1b7c5e-1f7f-4a65-9f0e-3a3b1f6f2c11", "pushed_at": "2026-10-01T02:00:00Z",
            "reserved": { "agent_id": "a1", "until": "2026-10-01T02:00:00Z" }, "repo": "acme/small",
            "actionable_comments": [format!("{}…", "ä".repeat(COMMENT_CHARS_MAX))],
        });
        let item = restored(record(ours)).unwrap();
        let written = serde_json::to_value(&item).unwrap();
        assert_eq!(restored(written).unwrap(), item);
        assert_eq!(item.actionable_comments[0].chars().count(), COMMENT_CHARS_MAX + 1, "cut once, not twice");
    }

    #[test]
    fn long_words_of_a_reviewer_are_cut_and_keep_nothing_out() {
        let long = json!({ "summary": "x".repeat(9_000), "actionable_comments": ["ä".repeat(90_000)] });
        let item = restored(record(long)).unwrap();
        assert_eq!(item.summary.chars().count(), SUMMARY_CHARS_MAX + 1);
        assert_eq!(item.actionable_comments[0].chars().count(), COMMENT_CHARS_MAX + 1);
    }

    #[test]
    fn what_no_server_wrote_is_refused_with_its_reason() {
        let refused = [
            (json!({ "repo": "../etc" }), "repository"),
            (json!({ "pr_number": 0 }), "issue number"),
            (json!({ "status": "closed" }), "unknown variant"),
            (json!({ "source_event_type": "pr_synchronize" }), "unknown variant"),
            (json!({ "source_event_id": " " }), "source_event_id is empty"),
            (json!({ "pr_url": "javascript:alert(1)" }), "pr_url"),
            (json!({ "pr_title": "x".repeat(TEXT_BYTES_MAX + 1) }), "pr_title"),
            (json!({ "actionable_comments": vec!["x"; ENTRY_COUNT_MAX + 1] }), "actionable_comments"),
            (json!({ "status": "done" }), "its history ends with claimed"),
            (json!({ "claimed_by_agent_id": null }), "no agent that has it"),
            (json!({ "last_updated": "2026-09-01T00:00:00Z" }), "before created_at"),
            (json!({ "last_updated": "2026-12-01T00:00:00Z" }), "from the future"),
            (json!({ "created_at": "yesterday" }), "invalid"),
        ];
        for (changes, why) in refused {
            let error = restored(record(changes.clone())).expect_err(&changes.to_string());
            assert!(error.contains(why), "{changes}: {error}");
        }
    }
}
