//! The steps of a run, as they are written down before and after each.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::domain::Timestamp;

/// A step of a run, in their order. Each has a way back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The issue is claimed. Back: the claim is given back.
    Claim,
    /// The repository is fetched into this machine's mirror. Back: nothing, it serves the next run.
    Fetch,
    /// The container is made. Back: it is removed.
    Container,
    /// The work tree is filled, its environment prepared, its branch made. Back: goes with the container.
    Workspace,
    /// The agent is started and told what to do. Back: goes with the container.
    Agent,
    /// The agent works. Back: goes with the container.
    Work,
    /// The commits are brought into the mirror. Back: nothing, nobody sees them there.
    BringOut,
    /// They are pushed. Back: the branch is deleted, unless a pull request shows it.
    Push,
    /// The pull request is opened. Back: nothing, it is there for people now.
    Pull,
    /// The claim is told of the pull request. Back: nothing.
    Report,
    /// The container is removed. Back: nothing.
    Cleanup,
}

impl Phase {
    /// All, in their order.
    pub const ALL: [Self; 11] = [
        Self::Claim,
        Self::Fetch,
        Self::Container,
        Self::Workspace,
        Self::Agent,
        Self::Work,
        Self::BringOut,
        Self::Push,
        Self::Pull,
        Self::Report,
        Self::Cleanup,
    ];

    /// What it does, for people who watch.
    pub fn doing(self) -> &'static str {
        match self {
            Self::Claim => "claiming the issue",
            Self::Fetch => "fetching the repository",
            Self::Container => "making the container",
            Self::Workspace => "preparing the work tree",
            Self::Agent => "starting the agent",
            Self::Work => "the agent works",
            Self::BringOut => "bringing the commits out",
            Self::Push => "pushing the branch",
            Self::Pull => "opening the pull request",
            Self::Report => "telling the claim of the pull request",
            Self::Cleanup => "removing the container",
        }
    }
}

/// How far a step is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PhaseMark {
    /// About to be done.
    Doing,
    /// Done.
    Done,
    /// About to be undone.
    Undoing,
    /// Undone.
    Undone,
}

/// One line of a run's journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct JournalEntry {
    /// Of which attempt.
    pub attempt: u32,
    /// Which step.
    pub phase: Phase,
    /// How far.
    pub mark: PhaseMark,
    /// When.
    pub at: Timestamp,
}
