//! Approvals of issues, pinned to the text that was approved.

use serde::{Deserialize, Serialize};

use crate::domain::{ApprovalRecord, ContentDigest, IssueRef, Timestamp};

/// An approval, and whether it is of the issue as it reads now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApprovalKept {
    /// Who said what, when.
    pub record: ApprovalRecord,
    /// Whether title and text are those that were approved.
    pub covers_present: bool,
}

/// What an approval is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pin {
    /// The text that is kept; if a time is given, only if the issue has not changed since.
    AsKept(Option<Timestamp>),
    /// The text with this digest.
    Exactly(ContentDigest),
    /// Nobody can tell: no text passes for it.
    Unknown,
}

/// The wish to keep an approval.
#[derive(Debug, Clone)]
pub struct ApprovalWish {
    /// Of which issue.
    pub issue: IssueRef,
    /// Who says so.
    pub by: String,
    /// When it was said.
    pub at: Timestamp,
    /// By which label; `None` for an operator's word.
    pub label: Option<String>,
    /// What was approved.
    pub pin: Pin,
    /// The present, for the event.
    pub now: Timestamp,
}

/// What became of the wish to keep an approval.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ApprovalOutcome {
    /// It is kept.
    Kept(ApprovalKept),
    /// The same, or a newer word, is kept already.
    Known(ApprovalKept),
    /// It was withdrawn after this word.
    Withdrawn,
    /// There is no such open issue.
    NotOpen,
    /// The issue changed since it was looked at: what was approved must be found out anew.
    Changed,
}

/// An issue with an approval label, of which it is to be asked who put it there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LabelDue {
    /// Which.
    pub issue: IssueRef,
    /// When GitHub last saw a change, as far as is known here.
    pub updated_at: Timestamp,
    /// GitHub's tag of the last answer.
    pub etag: Option<String>,
}
