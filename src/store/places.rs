//! Where issues go: what is kept of it, and what it is learnt from.

use std::sync::Arc;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{StoreError, SyncCursor};
use crate::domain::{Issue, IssueNumber, IssueRef, RepoName, Timestamp};

/// The part of the store that keeps where issues go.
#[async_trait]
pub trait PlaceStore {
    /// Issues with their texts, those that are known.
    async fn issue_list_of(&self, issues: Vec<IssueRef>) -> Result<Vec<Issue>, StoreError>;
    /// Writes where issues go; nothing for an issue that is not known any more. Only differences are announced.
    async fn issue_place_set(&self, places: Vec<IssuePlace>) -> Result<(), StoreError>;
    /// What was read of each repository, by name.
    async fn place_source_list(&self) -> Result<Vec<PlaceSource>, StoreError>;
    /// What was read of one repository.
    async fn place_source_get(&self, repo: RepoName) -> Result<Option<PlaceSource>, StoreError>;
    /// Notes what was read of a repository, and merged pull requests that were read. Of one that is known its
    /// files are never forgotten; the oldest go when there are too many.
    async fn place_source_set(&self, source: PlaceSource, pulls: Vec<PastPull>) -> Result<(), StoreError>;
    /// What a model of a repository is made from: its merged pull requests and its closed issues, oldest first.
    async fn past_work(&self, repo: RepoName) -> Result<PastWorkList, StoreError>;
}

/// Where an issue goes, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IssuePlace {
    /// Which issue.
    pub issue: IssueRef,
    /// When GitHub last saw a change of the issue that this was made from.
    pub issue_updated_at: Timestamp,
    /// Files, folders and words, the most likely first.
    pub areas: Box<[Arc<str>]>,
    /// Logins and teams whose review that needs.
    pub reviewers: Box<[Arc<str>]>,
}

/// What was read of a repository to tell where its issues go.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlaceSource {
    /// Which repository.
    pub repo: RepoName,
    /// When its sources were last read.
    pub read_at: Timestamp,
    /// Its CODEOWNERS; `None` where it has none.
    #[serde(default)]
    pub owners: Option<OwnersFile>,
    /// How far its pull requests were read.
    #[serde(default)]
    pub pulls: SyncCursor,
    /// Whether there are merged pull requests whose files were not read yet.
    #[serde(default)]
    pub has_unread_pulls: bool,
}

impl PlaceSource {
    /// Of a repository of which nothing was read.
    pub fn unread(repo: RepoName) -> Self {
        Self {
            repo,
            read_at: Timestamp::UNIX_EPOCH,
            owners: None,
            pulls: SyncCursor::default(),
            has_unread_pulls: false,
        }
    }
}

/// A CODEOWNERS file, as read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnersFile {
    /// Where it lies.
    pub path: String,
    /// GitHub's tag of it, for a conditional request.
    pub etag: Option<String>,
    /// Its text.
    pub text: String,
}

/// A merged pull request, as far as it teaches where work goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastPull {
    /// Its number, in the sequence of issues.
    pub number: IssueNumber,
    /// When it was merged, or last changed where GitHub did not say.
    pub merged_at: Timestamp,
    /// Its title.
    pub title: String,
    /// Its labels.
    #[serde(default)]
    pub labels: Vec<String>,
    /// Issues of the same repository that it closed.
    #[serde(default)]
    pub closes: Vec<IssueNumber>,
    /// The files that it touched; `None` where they were not read.
    #[serde(default)]
    pub files: Option<Vec<String>>,
}

/// What a model of one repository is made from.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct PastWorkList {
    /// Merged pull requests, oldest first.
    pub pulls: Vec<PastPull>,
    /// The closed issues that changed last, oldest first, with their texts.
    pub issues: Vec<Issue>,
}
