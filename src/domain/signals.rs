//! What is known of a live claim besides its own record: the evidence that a stale rule judges by.

use serde::{Deserialize, Serialize};

use super::Timestamp;

/// Signs of life of one claim, each on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ClaimSignals {
    /// When the newest commit that is known on its branch was made.
    pub last_commit_at: Option<Timestamp>,
    /// When commits were last pushed to its branch.
    pub last_push_at: Option<Timestamp>,
    /// How its pull request is.
    pub pull: PullSignal,
    /// What reviewers last said of the pull request.
    pub review: ReviewSignal,
    /// What the checks of the pull request say.
    pub ci: CiSignal,
    /// How the container is in which its agent runs.
    pub container: ContainerSignal,
}

/// What reviewers and checks say of an open pull request, as read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PullSigns {
    /// What reviewers last said.
    pub review: ReviewSignal,
    /// What the checks of its newest commit say.
    pub ci: CiSignal,
    /// When its newest commit was made, where that is known.
    pub committed_at: Option<Timestamp>,
}

macro_rules! signals {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident => $word:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum $name { $($(#[$variant_doc])* $variant),+ }

        impl $name {
            /// The policies' word for it.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }
    };
}

signals! {
    /// How a claim's pull request is.
    PullSignal {
        /// None is known.
        #[default]
        None => "none",
        /// Open, and not ready for review.
        Draft => "draft",
        /// Open.
        Open => "open",
        /// Merged.
        Merged => "merged",
        /// Closed without a merge.
        Closed => "closed",
    }
}

signals! {
    /// What reviewers last said of a claim's pull request.
    ReviewSignal {
        /// Nothing is known.
        #[default]
        None => "none",
        /// A review was asked for.
        Requested => "requested",
        /// They commented.
        Commented => "commented",
        /// They want changes.
        ChangesRequested => "changes_requested",
        /// They approved.
        Approved => "approved",
    }
}

signals! {
    /// What the checks of a claim's pull request say.
    CiSignal {
        /// Nothing is known.
        #[default]
        Unknown => "unknown",
        /// They run.
        Pending => "pending",
        /// All passed.
        Success => "success",
        /// Some failed.
        Failure => "failure",
    }
}

signals! {
    /// How the container of a dispatched agent is.
    ContainerSignal {
        /// The agent was not dispatched.
        #[default]
        None => "none",
        /// It runs.
        Running => "running",
        /// It runs, and its agent does not answer.
        Unhealthy => "unhealthy",
        /// It ended.
        Exited => "exited",
    }
}
