//! Git on this machine: a bare mirror for each repository, and never a work tree. Nothing that a repository or a
//! container brings is run here: no hook, no filter, no configuration but our own.

mod bundle;
mod command;
mod mirror;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize};

pub use self::mirror::Mirror;

/// The name of a commit: 40 or 64 hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(transparent)]
pub struct Sha(String);

impl Sha {
    /// The digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Sha {
    type Err = GitError;

    fn from_str(text: &str) -> Result<Self, GitError> {
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        if matches!(text.len(), 40 | 64) && text.bytes().all(is_digit) {
            return Ok(Self(text.to_owned()));
        }
        Err(GitError::Refused { why: "what should name a commit does not".into() })
    }
}

impl<'de> Deserialize<'de> for Sha {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

impl fmt::Display for Sha {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a run did to its branch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BroughtOut {
    /// The newest commit; that which the run began from where it made none.
    pub head: Sha,
    /// How many commits it made.
    pub commit_count: usize,
    /// How many files differ.
    pub file_count: usize,
    /// Whether one of them says what GitHub runs by itself, with the repository's secrets, as soon as it is pushed:
    /// before any person has seen it.
    pub changes_workflows: bool,
}

/// What became of a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PushOutcome {
    /// The branch is what it should be.
    Pushed,
    /// Somebody else changed the branch meanwhile: nothing was done.
    Stale {
        /// Where it is now; `None` where there is no such branch.
        actual: Option<Sha>,
    },
}

/// Why git did not do as told. Holds no secret.
#[derive(Debug, thiserror::Error)]
pub enum GitError {
    /// It cannot be run here.
    #[error("git cannot be used: {why}")]
    Unusable {
        /// What the system said.
        why: String,
    },
    /// It said no.
    #[error("git could not {what}: {why}")]
    Failed {
        /// What was attempted, to follow "could not".
        what: String,
        /// What it said.
        why: String,
    },
    /// What should be taken in is not as it must be.
    #[error("refused by the rules for branches of runs: {why}")]
    Refused {
        /// Why.
        why: String,
    },
}

/// The branch, if its name is one for git: then it may stand in a reference.
///
/// # Errors
/// [`GitError::Refused`] with the name.
pub(super) fn branch_name(text: &str) -> Result<&str, GitError> {
    let is_odd = |c: char| c.is_control() || c.is_whitespace() || "~^:?*[\\\"'".contains(c);
    let is_part = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.ends_with(".lock");
    let bad = text.contains(is_odd) || text.contains("..") || text.contains("@{") || text.ends_with('.');
    if bad || text.starts_with('-') || text.len() > 200 || !text.split('/').all(is_part) {
        return Err(GitError::Refused { why: format!("{text:?} is no name of a branch") });
    }
    Ok(text)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn only_what_git_takes_for_a_branch_stands_in_a_reference() {
        for good in ["main", "agent/0198-ab", "release/1.0", "fix#7", "ü"] {
            assert_eq!(branch_name(good).unwrap(), good);
        }
        for bad in ["", "-x", "a..b", "a b", "a:b", "a/", "/a", "a//b", "x.lock", ".x", "a@{1}", "a\n", "*", "a."] {
            assert!(branch_name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_commit_is_named_by_digits_only() {
        assert!("a".repeat(40).parse::<Sha>().is_ok() && "0".repeat(64).parse::<Sha>().is_ok());
        for bad in ["main", "--all", "", &"A".repeat(40), &"a".repeat(39)] {
            assert!(bad.parse::<Sha>().is_err(), "{bad}");
        }
    }
}
