//! The schemas that agents are shown, made from the same types that read their fields, and small:
//! every word of them is paid for in every conversation.

use serde_json::{Map, Value};

use super::Call;
use super::dispatch_requests::{
    AnswerFields, DispatchConfigFields, DispatchFields, DispatchReposFields, PauseFields, QueueFields, RunFields,
    RunListFields, RunLogFields,
};
use super::explain_requests::{DecisionFields, DecisionFilterFields, ExplainFields};
use super::operator_requests::{
    ApproveFields, ClaimHistoryFields, ImportFields, OperatorReassignFields, OperatorReleaseFields, TokenCreateFields,
    TokenRevokeFields,
};
use super::policies::{PolicyAuditFields, PolicyComponentFields, PolicyEffectiveFields};
use super::requests::{
    ClaimDetailsFields, ClaimFields, ClaimFilterFields, FollowUpFilterFields, IssueFields, IssueFilterFields,
    MyClaimsFields, MyWorkFields, NextFields, NoFields, ReleaseFields, RepoListFields, UpdateFields,
    UpdateFollowUpFields,
};

/// The JSON schema of the fields of `call`. `agent_known`: the connection has named its agent, so
/// `agent_id` may be left out.
pub fn published_schema(call: Call, agent_known: bool) -> Map<String, Value> {
    let schema = match call {
        Call::Next | Call::NextWork => schemars::schema_for!(NextFields),
        Call::Claim => schemars::schema_for!(ClaimFields),
        Call::Update => schemars::schema_for!(UpdateFields),
        Call::Release => schemars::schema_for!(ReleaseFields),
        Call::MyClaims => schemars::schema_for!(MyClaimsFields),
        Call::Claims => schemars::schema_for!(ClaimFilterFields),
        Call::ClaimDetails => schemars::schema_for!(ClaimDetailsFields),
        Call::ClaimHistory => schemars::schema_for!(ClaimHistoryFields),
        Call::FollowUps => schemars::schema_for!(FollowUpFilterFields),
        Call::UpdateFollowUp => schemars::schema_for!(UpdateFollowUpFields),
        Call::MyWork => schemars::schema_for!(MyWorkFields),
        Call::Repos => schemars::schema_for!(RepoListFields),
        Call::OpenIssues => schemars::schema_for!(IssueFilterFields),
        Call::IssueDetails => schemars::schema_for!(IssueFields),
        Call::Explain => schemars::schema_for!(ExplainFields),
        Call::Decisions => schemars::schema_for!(DecisionFilterFields),
        Call::Decision => schemars::schema_for!(DecisionFields),
        Call::PolicyEffective => schemars::schema_for!(PolicyEffectiveFields),
        Call::PolicyComponent => schemars::schema_for!(PolicyComponentFields),
        Call::PolicyAudit => schemars::schema_for!(PolicyAuditFields),
        Call::DispatchIssue => schemars::schema_for!(DispatchFields),
        Call::DispatchQueue => schemars::schema_for!(QueueFields),
        Call::DispatchRuns => schemars::schema_for!(RunListFields),
        Call::DispatchRun | Call::DispatchCancel => schemars::schema_for!(RunFields),
        Call::DispatchAnswer => schemars::schema_for!(AnswerFields),
        Call::DispatchPause => schemars::schema_for!(PauseFields),
        Call::DispatchLogs => schemars::schema_for!(RunLogFields),
        Call::DispatchConfig => schemars::schema_for!(DispatchConfigFields),
        Call::DispatchRepos => schemars::schema_for!(DispatchReposFields),
        Call::DispatchStatus
        | Call::DispatchResume
        | Call::Health
        | Call::TokenList
        | Call::Export
        | Call::PolicyCandidate
        | Call::PolicyHistory => {
            schemars::schema_for!(NoFields)
        }
        Call::OperatorRelease => schemars::schema_for!(OperatorReleaseFields),
        Call::OperatorReassign => schemars::schema_for!(OperatorReassignFields),
        Call::OperatorApprove => schemars::schema_for!(ApproveFields),
        Call::TokenCreate => schemars::schema_for!(TokenCreateFields),
        Call::TokenRevoke => schemars::schema_for!(TokenRevokeFields),
        Call::Import => schemars::schema_for!(ImportFields),
    };
    let mut schema = match schema.to_value() {
        Value::Object(schema) => schema,
        other => unreachable!("the schema of a struct is an object, not {other}"),
    };
    schema.remove("$schema");
    schema.remove("title");
    // Clients of the protocol expect the key, also when there is nothing in it.
    schema.entry("properties").or_insert_with(|| Value::Object(Map::new()));
    if let Some(Value::Object(properties)) = schema.get_mut("properties") {
        properties.values_mut().filter_map(Value::as_object_mut).for_each(simplify);
    }
    if agent_known {
        forgo(&mut schema, "agent_id");
    }
    schema
}

/// Drops what clients warn about or models need not read: formats of integers, and null as a type
/// (an optional field is one that is not required).
fn simplify(property: &mut Map<String, Value>) {
    property.remove("format");
    if let Some(Value::Array(types)) = property.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            property.insert("type".into(), only);
        }
    }
}

fn forgo(schema: &mut Map<String, Value>, field: &str) {
    if let Some(Value::Array(required)) = schema.get_mut("required") {
        required.retain(|name| name != field);
        if required.is_empty() {
            schema.remove("required");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const CALLS: [Call; 32] = [
        Call::PolicyEffective,
        Call::PolicyCandidate,
        Call::PolicyHistory,
        Call::PolicyComponent,
        Call::PolicyAudit,
        Call::Next,
        Call::NextWork,
        Call::ClaimDetails,
        Call::ClaimHistory,
        Call::FollowUps,
        Call::UpdateFollowUp,
        Call::MyWork,
        Call::Claim,
        Call::Update,
        Call::Release,
        Call::MyClaims,
        Call::Claims,
        Call::Repos,
        Call::OpenIssues,
        Call::IssueDetails,
        Call::Explain,
        Call::Decisions,
        Call::Decision,
        Call::Health,
        Call::OperatorRelease,
        Call::OperatorReassign,
        Call::OperatorApprove,
        Call::TokenCreate,
        Call::TokenList,
        Call::TokenRevoke,
        Call::Export,
        Call::Import,
    ];

    #[test]
    fn a_schema_is_small_and_says_what_is_required() {
        let schema = Value::Object(published_schema(Call::Claim, false));
        let pattern = |field: &str| schema["properties"][field]["pattern"].clone();
        let expected = json!({
            "type": "object",
            "properties": {
                "agent_id": {
                    "description": "Your name; keep it for all calls.", "type": "string", "pattern": pattern("agent_id"),
                },
                "repo": { "description": "owner/name", "type": "string", "pattern": pattern("repo") },
                "issue_number": { "type": "integer", "minimum": 1, "maximum": 9_007_199_254_740_991_u64 },
                "request_id": {
                    "description": "Any id you choose; a retry with it gets the same claim.", "type": "string",
                    "pattern": pattern("request_id"),
                },
            },
            "required": ["agent_id", "repo", "issue_number"],
            "additionalProperties": false,
        });
        assert_eq!(schema, expected);
    }

    #[test]
    fn an_agent_that_is_known_need_not_name_itself() {
        let schema = published_schema(Call::Claim, true);
        assert_eq!(schema["required"], json!(["repo", "issue_number"]));
        assert!(schema["properties"].get("agent_id").is_some());
        assert_eq!(published_schema(Call::MyClaims, true).get("required"), None);
    }

    #[test]
    fn no_schema_holds_what_clients_warn_about() {
        for call in CALLS {
            let text = Value::Object(published_schema(call, false)).to_string();
            for noise in ["null", "format", "$schema", "\"title\"", "$defs", "$ref", "default"] {
                assert!(!text.contains(noise), "{call:?} has {noise}: {text}");
            }
            assert!(text.contains(r#""properties""#) && text.len() < 850, "{call:?}: {text}");
        }
    }
}
