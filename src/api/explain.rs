//! Why an issue was given out, or was not; and the recorded decisions.

use std::collections::BTreeMap;

use serde_json::json;

use super::explain_requests::{DecisionFields, DecisionFilterFields, ExplainFields};
use super::fields::read;
use super::{Answer, Caller, Failure, Fields};
use crate::claims::{ClaimManager, DecisionSummary, ManagerError};
use crate::domain::{Decision, IssueSnapshot};

/// Why one issue was given out, or was not, and what it would take.
pub(super) async fn issue(manager: &ClaimManager, caller: &Caller, fields: Fields) -> Result<Answer, Failure> {
    let (issue, agent) = read::<ExplainFields>(fields)?.parse()?;
    let explanation = manager.explain(issue, agent.or_else(|| caller.agent.clone()), caller.skills.clone()).await?;
    Ok(Answer::found(json!({ "explanation": explanation })))
}

/// Recorded decisions in short, newest first.
pub(super) async fn decisions(manager: &ClaimManager, fields: Fields) -> Result<Answer, Failure> {
    let (filter, limit) = read::<DecisionFilterFields>(fields)?.parse()?;
    let decisions = manager.decisions(filter, limit).await?;
    let decisions: Vec<_> = decisions.iter().map(DecisionSummary::of).collect();
    Ok(Answer::found(json!({ "decisions": decisions, "is_recording": manager.keeps_decisions() })))
}

/// The recorded reasons of one pick, or of an answer that there was nothing.
pub(super) async fn decision(manager: &ClaimManager, fields: Fields) -> Result<Answer, Failure> {
    let decision_id = read::<DecisionFields>(fields)?.parse()?;
    match manager.decision(decision_id).await? {
        Some(decision) => {
            let states = states_of(&decision);
            Ok(Answer::found(json!({ "decision": decision, "states": states })))
        }
        None => Err(ManagerError::NotFound { what: format!("decision {decision_id}") }.into()),
    }
}

/// The issues as the policy saw them, each once: what it takes to make the decision again elsewhere.
fn states_of(decision: &Decision) -> BTreeMap<&str, &IssueSnapshot> {
    let seen = decision.considered.iter().filter_map(|row| row.seen.as_ref());
    seen.filter_map(|seen| Some((seen.facts.as_str(), seen.snapshot.as_deref()?))).collect()
}
