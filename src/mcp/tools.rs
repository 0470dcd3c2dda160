//! The tools: a name, a line for the model, and the call behind it.

use std::sync::Arc;

use rmcp::model::{Tool, ToolAnnotations};

use crate::api::{Call, published_schema};

/// One tool.
#[derive(Debug)]
pub(super) struct ToolSpec {
    pub(super) name: &'static str,
    pub(super) description: &'static str,
    pub(super) call: Call,
    /// Whether it only reads.
    reads: bool,
}

const fn reads(name: &'static str, call: Call, description: &'static str) -> ToolSpec {
    ToolSpec { name, description, call, reads: true }
}

const fn writes(name: &'static str, call: Call, description: &'static str) -> ToolSpec {
    ToolSpec { name, description, call, reads: false }
}

/// Every tool, in the order in which an agent is likely to need it.
pub(super) const TOOLS: [ToolSpec; 10] = [
    writes("next_issue", Call::Next, "Claim the next issue for you by team policy and get its text. Yours alone."),
    writes("update_claim_status", Call::Update, "Report progress on your claim; also renews its lease."),
    writes("release_issue", Call::Release, "Give your claim back for others."),
    reads("get_my_claims", Call::MyClaims, "Your active claims."),
    writes("claim_issue", Call::Claim, "Claim one named issue exclusively."),
    reads("get_issue_details", Call::IssueDetails, "One issue with its comments."),
    reads("list_open_issues", Call::OpenIssues, "Open issues of a repository that nobody holds."),
    reads("list_repos", Call::Repos, "Repositories with work."),
    reads("get_all_claims", Call::Claims, "Active claims of all agents."),
    reads("system_health", Call::Health, "How the server is doing."),
];

/// The tool of this name.
pub(super) fn find(name: &str) -> Option<&'static ToolSpec> {
    TOOLS.iter().find(|tool| tool.name == name)
}

impl ToolSpec {
    /// How the tool is published. `agent_known`: `agent_id` may be left out.
    pub(super) fn publish(&self, agent_known: bool) -> Tool {
        let hints = ToolAnnotations::new().open_world(false);
        let hints = if self.reads { hints.read_only(true) } else { hints.read_only(false).destructive(false) };
        Tool::new(self.name, self.description, Arc::new(published_schema(self.call, agent_known)))
            .with_annotations(hints)
    }
}
