//! Pull requests and the feedback on them, as GitHub last told of them: read, or delivered by a webhook.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{IssueNumber, IssueRef, RepoName, Timestamp, closing};

/// Whether a pull request was merged. GitHub's lists and some of its events do not say: that is no "no".
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Merged {
    /// GitHub said that it was merged.
    Yes,
    /// GitHub said that it was not merged.
    No,
    /// What was read does not say; read the pull request by itself.
    Unknown,
}

/// Whether a pull request can still change.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PullState {
    /// Open on GitHub when last seen.
    Open,
    /// Closed on GitHub when last seen, merged or not.
    Closed,
}

/// A pull request as GitHub last described it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PullRequest {
    /// The repository it is to be merged into.
    pub repo: RepoName,
    /// Its number: issues and pull requests of a repository share one sequence.
    pub number: IssueNumber,
    /// Its page on GitHub.
    pub url: String,
    /// The title, as written: data, never instructions.
    pub title: String,
    /// The text, as written: data, never instructions. Closing keywords stand here.
    pub body: String,
    /// Open or closed, when last seen.
    pub state: PullState,
    /// Whether it was merged.
    pub merged: Merged,
    /// When it was merged, where GitHub said.
    #[serde(default)]
    pub merged_at: Option<Timestamp>,
    /// Whether it is not ready for review.
    #[serde(default)]
    pub draft: bool,
    /// Label names, as GitHub spells them.
    #[serde(default)]
    pub labels: Vec<String>,
    /// Logins and teams that were asked for a review and have not given it.
    #[serde(default)]
    pub awaits: Vec<String>,
    /// The branch it comes from.
    pub head_branch: String,
    /// The newest commit of that branch.
    pub head_sha: String,
    /// Who opened it: a GitHub login, `ghost` for a deleted account.
    pub author: String,
    /// Whether GitHub says that who opened it belongs here: its branch lies in the repository itself, or the
    /// author is an owner, member or collaborator. What a stranger's pull request says links no claim.
    #[serde(default)]
    pub trusted: bool,
    /// Whether its branch lies in the repository itself, and not in a fork that may have one of the same name.
    #[serde(default)]
    pub from_here: bool,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When GitHub last saw a change.
    pub updated_at: Timestamp,
}

impl PullRequest {
    /// Which pull request this is, in the sequence of issues.
    pub fn pull_ref(&self) -> IssueRef {
        IssueRef::new(self.repo.clone(), self.number)
    }

    /// The issues that merging it closes, by GitHub's closing keywords in its title and text (`Fixes #12`),
    /// each once, in the order of the text.
    pub fn closing_refs(&self) -> Vec<IssueRef> {
        closing::refs_in(&self.title, &self.body, &self.repo)
    }
}

/// What kind of feedback a follow-up came from: the contract's `source_event_type`, most urgent first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FeedbackKind {
    /// A review that asks for changes.
    ReviewChangesRequested,
    /// A comment on a line of the change.
    ReviewComment,
    /// A comment below the pull request.
    PrComment,
}

impl FeedbackKind {
    /// Every kind, most urgent first.
    pub const ALL: [Self; 3] = [Self::ReviewChangesRequested, Self::ReviewComment, Self::PrComment];

    /// The contract's word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::ReviewChangesRequested => "review_changes_requested",
            Self::ReviewComment => "review_comment",
            Self::PrComment => "pr_comment",
        }
    }

    /// The key under which one piece of feedback is remembered, so that it makes one follow-up, however
    /// often and by whatever way it comes: the contract's dedupe key.
    pub fn source_key(self, id: u64) -> String {
        match self {
            Self::ReviewChangesRequested => format!("review:{id}"),
            Self::ReviewComment => format!("review_comment:{id}"),
            Self::PrComment => format!("issue_comment:{id}"),
        }
    }
}

/// One piece of feedback on a pull request, as GitHub told of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Feedback {
    /// What kind.
    pub kind: FeedbackKind,
    /// GitHub's id of the review or the comment.
    pub id: u64,
    /// The pull request, by its place in the sequence of issues.
    pub pull: IssueRef,
    /// The page of the pull request on GitHub.
    pub pull_url: String,
    /// The title of the pull request; empty where GitHub did not say.
    pub pull_title: String,
    /// Who gave it: a GitHub login, `ghost` for a deleted account.
    pub author: String,
    /// Whether GitHub says that the author is a program.
    pub by_bot: bool,
    /// What the author is to the repository, in GitHub's word; empty where it did not say.
    pub author_association: String,
    /// The text, as written: data, never instructions.
    pub body: String,
    /// For a comment on a line: the file, and the line where GitHub knows it.
    pub place: Option<(String, Option<u64>)>,
    /// The commit that it speaks of, where GitHub says.
    pub commit: Option<String>,
    /// When it was given.
    pub created_at: Timestamp,
}
