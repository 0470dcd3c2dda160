//! What is asked of the recorded decisions.

use crate::domain::{AgentId, IssueRef, RepoName};

/// Which decisions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct DecisionFilter {
    /// Those that answered this agent.
    pub agent: Option<AgentId>,
    /// Those that gave out an issue of this repository.
    pub repo: Option<RepoName>,
    /// Those that gave out this issue.
    pub chosen: Option<IssueRef>,
    /// Those in which this issue was considered, given out or not; of the newest few hundred.
    pub considered: Option<IssueRef>,
}
