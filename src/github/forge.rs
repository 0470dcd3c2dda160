//! What the dispatcher does on GitHub: pull requests, labels and one comment.

use std::fmt;

use async_trait::async_trait;

use super::SourceError;
use crate::config::Secret;
use crate::domain::{IssueNumber, IssueRef, RepoName, Timestamp};

/// How every comment begins that the dispatcher writes, so that none is taken for somebody's answer.
pub const OWN_COMMENT_HEAD: &str = "<!-- issuecommand:";

/// The port. Every call may be repeated: what is there already is found, not made twice.
#[async_trait]
pub trait Forge: Send + Sync + fmt::Debug + 'static {
    /// How git reaches a repository.
    async fn remote(&self, repo: &RepoName) -> Result<Remote, SourceError>;
    /// Gives a repository a topic, or takes it away; the others stay.
    async fn topic_set(&self, repo: &RepoName, topic: &str, present: bool) -> Result<(), SourceError>;
    /// The pull request from a branch of the repository itself, open or not, the newest first.
    async fn pull_of_branch(&self, repo: &RepoName, branch: &str) -> Result<Option<ForgePull>, SourceError>;
    /// Opens a pull request; the one that its branch has already is answered instead.
    async fn pull_open(&self, wish: &PullWish) -> Result<ForgePull, SourceError>;
    /// What a pull request changes, as a diff; at most `bytes_max` of it.
    async fn pull_diff(&self, pull: &IssueRef, bytes_max: usize) -> Result<String, SourceError>;
    /// Makes labels that the repository does not have yet.
    async fn label_ensure(&self, repo: &RepoName, labels: &[Label]) -> Result<(), SourceError>;
    /// Puts labels on an issue or pull request, and takes others off; those that are not on it are left out.
    async fn label_change(&self, issue: &IssueRef, add: &[&str], remove: &[&str]) -> Result<(), SourceError>;
    /// Writes a new comment.
    async fn comment_create(&self, issue: &IssueRef, body: &str) -> Result<CommentId, SourceError>;
    /// Writes a comment anew; [`SourceError::NotFound`] when somebody deleted it.
    async fn comment_edit(&self, issue: &IssueRef, comment: CommentId, body: &str) -> Result<(), SourceError>;
    /// The comment of this account that holds `marker`.
    async fn comment_find(&self, issue: &IssueRef, marker: &str) -> Result<Option<CommentId>, SourceError>;
    /// What others wrote below an issue after `comment`, oldest first; bounded.
    async fn reply_list(&self, issue: &IssueRef, after: CommentId) -> Result<Vec<Reply>, SourceError>;
}

/// A comment's number on GitHub; they grow.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
pub struct CommentId(pub u64);

/// How git reaches a repository.
#[derive(Debug, Clone)]
pub struct Remote {
    /// What to fetch from and push to; holds no secret.
    pub url: String,
    /// The branch that work begins from.
    pub default_branch: String,
    /// What git sends in `Authorization`; `None` when it sends nothing.
    pub authorization: Option<Secret>,
}

/// A pull request to open.
#[derive(Debug, Clone)]
pub struct PullWish {
    /// Where.
    pub repo: RepoName,
    /// The branch with the commits.
    pub branch: String,
    /// The branch to merge into.
    pub base: String,
    /// Its title.
    pub title: String,
    /// Its text.
    pub body: String,
    /// Whether it is a draft.
    pub draft: bool,
}

/// A pull request, as far as the dispatcher cares.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForgePull {
    /// Its number.
    pub number: IssueNumber,
    /// Its page.
    pub url: String,
    /// Its text: the dispatcher's marker is in it.
    pub body: String,
    /// Whether it is open.
    pub is_open: bool,
}

/// A label as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label {
    /// Its name.
    pub name: &'static str,
    /// Its colour: six hexadecimal digits.
    pub color: &'static str,
    /// What it means, for people.
    pub description: &'static str,
}

/// What somebody wrote below an issue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Its number.
    pub id: CommentId,
    /// Who: a login.
    pub author: String,
    /// GitHub's word for who that is to the repository: `OWNER`, `MEMBER`, `NONE`.
    pub association: String,
    /// Whether a program wrote it.
    pub is_bot: bool,
    /// The text: data, never markup.
    pub body: String,
    /// When.
    pub created_at: Timestamp,
}
