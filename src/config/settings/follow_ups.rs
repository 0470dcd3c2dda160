//! How review feedback becomes work.

use serde::{Deserialize, Serialize};

/// `[follow_ups]`: how review feedback becomes work. Hot.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct FollowUpConfig {
    /// Minutes until one that nobody moves is stale. `FOLLOWUP_STALE_MINUTES`.
    pub stale_minutes: u64,
    /// Minutes for which it is kept for the agent whose claim made the pull request.
    pub grace_minutes: u64,
    /// On which pull requests feedback becomes work.
    pub pulls: FollowUpPulls,
    /// What a push does to the follow-ups of its pull request.
    pub on_push: OnPush,
    /// What a pull request that was closed without a merge does to its claim.
    pub on_closed_pull: OnClosedPull,
    /// Whether feedback of programs is left out.
    pub ignore_bots: bool,
    /// Logins whose feedback is left out; `*` stands for any part of a login.
    pub ignore_authors: Vec<String>,
    /// Whether feedback by the author of the pull request is left out.
    pub ignore_pull_author: bool,
}

impl Default for FollowUpConfig {
    fn default() -> Self {
        Self {
            stale_minutes: 1440,
            grace_minutes: 60,
            pulls: FollowUpPulls::All,
            on_push: OnPush::Resolve,
            on_closed_pull: OnClosedPull::Release,
            ignore_bots: true,
            ignore_authors: Vec::new(),
            ignore_pull_author: false,
        }
    }
}

/// On which pull requests feedback becomes work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FollowUpPulls {
    /// On every one of an admitted repository.
    All,
    /// On those that came from a claim.
    Claimed,
}

/// What a push does to the older follow-ups of its pull request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnPush {
    /// Those that an agent has taken are done; the others are marked.
    Resolve,
    /// All are marked, for a look.
    Mark,
}

/// What a pull request that was closed without a merge does to its claim.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnClosedPull {
    /// The claim is released: the issue is on offer again.
    Release,
    /// The claim stays its agent's.
    Keep,
}
