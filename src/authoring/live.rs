//! Live claims as cases and measurements need them: only what a stale rule sees.

use serde_json::json;

use crate::domain::{AgentId, Claim, ClaimId, ClaimRecord, ClaimStatus, IssueRef, Timestamp};

/// A claim that entered its status at `since`, seen from `now`.
///
/// # Errors
/// Why there can be no such live claim.
pub(super) fn claim(
    agent: &AgentId,
    issue: &IssueRef,
    status: ClaimStatus,
    [claimed, since]: [Timestamp; 2],
    now: Timestamp,
) -> Result<Claim, String> {
    if status.is_terminal() {
        return Err(format!("the claim on {issue} is {status}: a stale rule is asked about live ones"));
    }
    let record = json!({
        "claim_id": ClaimId::fresh(), "agent_id": agent, "repo": issue.repo, "issue_number": issue.number,
        "status": status, "claimed_at": claimed, "last_updated": since,
    });
    let record: ClaimRecord = serde_json::from_value(record).map_err(|error| error.to_string())?;
    let restored = record.restore(now).map_err(|error| format!("the claim on {issue} cannot be: {error}"))?;
    Ok(restored.claim().clone())
}
