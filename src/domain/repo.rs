//! A repository as GitHub described it when it was last synced.

use serde::{Deserialize, Serialize};

use super::RepoName;

/// A synced repository. What a repository filter sees of it, and what `list_repos` answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repo {
    /// The canonical name.
    pub full_name: RepoName,
    /// The page on GitHub.
    pub url: String,
    /// GitHub's one-line description.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Whether GitHub shows it to members only.
    #[serde(default)]
    pub private: bool,
    /// Whether it is a fork of another repository.
    #[serde(default)]
    pub fork: bool,
    /// Whether it is read-only.
    #[serde(default)]
    pub archived: bool,
    /// Topics, as set on GitHub.
    #[serde(default)]
    pub topics: Vec<String>,
}

impl Repo {
    /// What is known of a repository when only its name is: for issues read from a file.
    pub fn named(full_name: RepoName) -> Self {
        let url = format!("https://github.com/{full_name}");
        Self { full_name, url, description: None, private: false, fork: false, archived: false, topics: Vec::new() }
    }
}
