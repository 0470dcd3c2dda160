//! One line of a recorded history: an issue or pull request, and what happened to it.

use serde::{Deserialize, Deserializer, Serialize};

use super::{IssueNumber, IssueRef, RepoName, Timestamp};

/// What a line is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RecordKind {
    /// An issue.
    Issue,
    /// A pull request.
    Pull,
}

/// One issue or pull request, as it was when the history was recorded, and what happened to it before.
/// Only `repo`, `kind`, `number` and `created_at` must be there; what else a line holds is not looked at.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// The repository.
    pub repo: RepoName,
    /// What it is.
    pub kind: RecordKind,
    /// The number within the repository.
    pub number: IssueNumber,
    /// The title.
    #[serde(default, deserialize_with = "or_default")]
    pub title: String,
    /// `open` or `closed`.
    #[serde(default, deserialize_with = "or_default")]
    pub state: String,
    /// The text below the title.
    #[serde(default, deserialize_with = "or_default")]
    pub body: String,
    /// Login of who opened it.
    #[serde(default, deserialize_with = "or_default")]
    pub user: String,
    /// The author's relation to the repository, in GitHub's words.
    #[serde(default, deserialize_with = "or_default")]
    pub author_association: String,
    /// Its labels when it was recorded.
    #[serde(default, deserialize_with = "or_default")]
    pub labels: Vec<String>,
    /// Its assignees when it was recorded.
    #[serde(default, deserialize_with = "or_default")]
    pub assignees: Vec<String>,
    /// Its milestone when it was recorded.
    #[serde(default)]
    pub milestone: Option<String>,
    /// How many comments it had when it was recorded.
    #[serde(default, deserialize_with = "or_default")]
    pub comments: u32,
    /// When it was opened.
    pub created_at: Timestamp,
    /// When it last changed.
    #[serde(default)]
    pub updated_at: Option<Timestamp>,
    /// When it was closed, if it is.
    #[serde(default)]
    pub closed_at: Option<Timestamp>,
    /// Why it was closed: `completed`, `not_planned`, ...
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state_reason: Option<String>,
    /// Of a pull request: when it was merged, if it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub merged_at: Option<Timestamp>,
    /// Of a pull request: the issues of the same repository that it says it fixes.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub fixes: Vec<IssueNumber>,
    /// Of a pull request: the files it changes, where they were recorded.
    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// What happened to it, in GitHub's words.
    #[serde(default, deserialize_with = "or_default")]
    pub events: Vec<Happening>,
}

/// Something that happened to an issue or pull request.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Happening {
    /// GitHub's word for it: `labeled`, `closed`, `commented`, ...
    #[serde(default, deserialize_with = "or_default")]
    pub event: String,
    /// When. GitHub does not tell it of everything.
    #[serde(default)]
    pub at: Option<Timestamp>,
    /// Who did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// The label that was put on or taken away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// The milestone that it entered or left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub milestone: Option<String>,
    /// Who was or is no longer assigned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub assignee: Option<String>,
    /// The commit that closed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
}

fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(value: D) -> Result<T, D::Error> {
    Option::deserialize(value).map(Option::unwrap_or_default)
}

impl Record {
    /// Which issue or pull request it is.
    pub fn issue_ref(&self) -> IssueRef {
        IssueRef::new(self.repo.clone(), self.number)
    }

    /// What happened to it and when, in order.
    pub fn happenings(&self) -> Vec<(Timestamp, &Happening)> {
        let mut dated: Vec<_> = self.events.iter().filter_map(|event| event.at.map(|at| (at, event))).collect();
        dated.sort_by_key(|(at, _)| *at);
        dated
    }
}
