//! Policies: what decides for whom, the candidate's trial, and the sets that were in force.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::fields::{self, FieldError, WholeNumber, read};
use super::requests::NoFields;
use super::{Answer, Failure, Fields};
use crate::claims::{ClaimManager, ManagerError, Operations, PolicyAction};
use crate::domain::{AgentId, PolicyStamp, RepoName};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PolicyEffectiveFields {
    /// For this owner/name.
    repo: Option<RepoName>,
    /// For this agent.
    agent_id: Option<AgentId>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PolicyComponentFields {
    /// SHA-256, in hex.
    #[schemars(with = "String", regex(pattern = "^[0-9a-f]{64}$"))]
    digest: Option<String>,
    /// From 0.
    #[schemars(with = "Option<u64>")]
    piece: Option<WholeNumber>,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct PolicyAuditFields {
    /// promoted, rolled_back, put_on_trial or given_up
    #[schemars(with = "String", regex(pattern = "^(promoted|rolled_back|put_on_trial|given_up)$"))]
    action: Option<String>,
    /// Who, besides whose key it is.
    who: Option<String>,
    /// A word about it.
    note: Option<String>,
    /// The source of the ranker in force.
    #[schemars(with = "String")]
    source: Option<String>,
    /// Its digest.
    #[schemars(with = "String")]
    digest: Option<String>,
    /// That of its settings.
    #[schemars(with = "String")]
    settings_digest: Option<String>,
}

/// What decides for a repository and an agent.
pub(super) fn effective(manager: &ClaimManager, fields: Fields) -> Result<Answer, Failure> {
    let PolicyEffectiveFields { repo, agent_id } = read(fields)?;
    let policy = manager.effective_policy(repo.as_ref(), agent_id.as_ref());
    Ok(Answer::found(json!({ "policy": policy })).with_some("rejected", manager.policy_rejected()))
}

/// How the candidate's trial goes.
pub(super) async fn candidate(manager: &ClaimManager, fields: Fields) -> Result<Answer, Failure> {
    read::<NoFields>(fields)?;
    let trial = manager.trial().await.map_err(ManagerError::from)?;
    Ok(Answer::found(json!({})).with_some("trial", trial))
}

/// The sets of policies that were in force.
pub(super) async fn history(operations: &Operations, fields: Fields) -> Result<Answer, Failure> {
    read::<NoFields>(fields)?;
    let mut sets = json!(operations.policy_sets().await.map_err(ManagerError::from)?);
    without_nulls(&mut sets);
    Ok(Answer::found(json!({ "sets": sets })))
}

/// One piece of a component that was in force.
pub(super) async fn component(operations: &Operations, fields: Fields) -> Result<Answer, Failure> {
    let PolicyComponentFields { digest, piece } = read(fields)?;
    let digest = fields::required("digest", digest)?;
    let piece = u32::try_from(piece.map_or(0, |piece| piece.0))
        .map_err(|_| FieldError::field("piece", "there are never so many"))?;
    let found = operations.policy_component_piece(digest.clone(), piece).await.map_err(ManagerError::from)?;
    match found {
        Some((bytes, count)) => Ok(Answer::found(json!({ "piece_count": count, "bytes_hex": hex::encode(bytes) }))),
        None => Err(ManagerError::NotFound { what: format!("piece {piece} of component {digest}") }.into()),
    }
}

/// Somebody has said which ranker decides, or is on trial.
pub(super) async fn audit(operations: &Operations, by: &str, fields: Fields) -> Result<Answer, Failure> {
    let PolicyAuditFields { action, who, note, source, digest, settings_digest } = read(fields)?;
    let action = match fields::required("action", action)?.as_str() {
        "promoted" => PolicyAction::Promoted,
        "rolled_back" => PolicyAction::RolledBack,
        "put_on_trial" => PolicyAction::PutOnTrial,
        "given_up" => PolicyAction::GivenUp,
        _ => {
            return Err(FieldError::field("action", "expected promoted, rolled_back, put_on_trial or given_up").into());
        }
    };
    let ranker = PolicyStamp {
        source: fields::required("source", fields::text("source", source)?)?,
        digest: fields::required("digest", fields::text("digest", digest)?)?,
        settings_digest: fields::required("settings_digest", fields::text("settings_digest", settings_digest)?)?,
    };
    let by = match fields::text("who", who)? {
        Some(who) => format!("{who} ({by})"),
        None => by.to_owned(),
    };
    let note = fields::text("note", note)?;
    operations.policy_audit(action, ranker, by, note).await.map_err(ManagerError::from)?;
    Ok(Answer::found(json!({ "ok": true })))
}

/// Absent fields are omitted, never null.
fn without_nulls(value: &mut serde_json::Value) {
    match value {
        serde_json::Value::Object(fields) => {
            fields.retain(|_, value| !value.is_null());
            fields.values_mut().for_each(without_nulls);
        }
        serde_json::Value::Array(items) => items.iter_mut().for_each(without_nulls),
        _ => {}
    }
}
