//! What can be read and watched: the claims, one claim, one issue, the server's health.
//!
//! The list is short and never changes; single claims and issues are found by template. Each is read
//! through the same call as its tool, whole as HTTP gives it.

use std::fmt;
use std::str::FromStr;

use rmcp::ErrorData;
use rmcp::model::{ReadResourceResult, Resource, ResourceContents, ResourceTemplate, SubscriptionFilter};
use serde_json::{Value, json};

use crate::api::{Answer, Api, Call, Caller, Fields};
use crate::domain::{ClaimId, EventDraft, IssueNumber, IssueRef};

const SCHEME: &str = "issuecommand://";
const JSON: &str = "application/json";

/// Most resources that one connection may watch. Ours: an agent watches its own few claims, a board a
/// screenful of issues.
pub(super) const WATCHED_COUNT_MAX: usize = 256;

/// One resource.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum ResourceUri {
    /// Active claims.
    Claims,
    /// One claim, by its id or the short form of it.
    Claim(String),
    /// One issue with its comments.
    Issue(IssueRef),
    /// How the server is doing.
    Health,
}

impl fmt::Display for ResourceUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Claims => write!(f, "{SCHEME}claims"),
            Self::Claim(id) => write!(f, "{SCHEME}claims/{id}"),
            Self::Issue(issue) => write!(f, "{SCHEME}issues/{}/{}", issue.repo, issue.number),
            Self::Health => write!(f, "{SCHEME}health"),
        }
    }
}

impl FromStr for ResourceUri {
    type Err = ErrorData;

    fn from_str(uri: &str) -> Result<Self, ErrorData> {
        let parse = || {
            let path = uri.strip_prefix(SCHEME)?;
            match path.split('/').collect::<Vec<_>>()[..] {
                ["claims"] => Some(Self::Claims),
                ["claims", id] if ClaimId::is_short(id) => Some(Self::Claim(id.to_ascii_lowercase())),
                ["claims", id] => Some(Self::Claim(id.parse::<ClaimId>().ok()?.to_string())),
                ["issues", owner, name, number] => {
                    let number = IssueNumber::new(number.parse().ok()?).ok()?;
                    Some(Self::Issue(IssueRef::new(format!("{owner}/{name}").parse().ok()?, number)))
                }
                ["health"] => Some(Self::Health),
                _ => None,
            }
        };
        parse().ok_or_else(|| not_found(uri, format!("there is no resource {uri}")))
    }
}

fn not_found(uri: &str, message: String) -> ErrorData {
    ErrorData::resource_not_found(message, Some(json!({ "uri": uri })))
}

/// The resources that are always there.
pub(super) fn listed() -> Vec<Resource> {
    let resource = |uri: ResourceUri, name: &str, description: &str| {
        Resource::new(uri.to_string(), name).with_description(description).with_mime_type(JSON)
    };
    vec![
        resource(ResourceUri::Claims, "claims", "Active claims of all agents."),
        resource(ResourceUri::Health, "health", "How the server is doing."),
    ]
}

/// How to name the others.
pub(super) fn templates() -> Vec<ResourceTemplate> {
    let template = |path: &str, name: &str, description: &str| {
        ResourceTemplate::new(format!("{SCHEME}{path}"), name).with_description(description).with_mime_type(JSON)
    };
    vec![
        template("claims/{claim_id}", "claim", "One claim, active or past, with its history."),
        template("issues/{owner}/{repo}/{number}", "issue", "One issue with its comments, and who holds it."),
    ]
}

/// Of the updates that a client wishes for, those that there are: of resources, and of so many.
pub(super) fn accepted(requested: &SubscriptionFilter) -> SubscriptionFilter {
    let uris = requested.resource_subscriptions.iter().flatten();
    let known = uris.filter(|uri| uri.parse::<ResourceUri>().is_ok()).take(WATCHED_COUNT_MAX);
    SubscriptionFilter::builder().resource_subscriptions(known).build()
}

/// Reads one resource.
pub(super) async fn read(api: &Api, caller: &Caller, uri: String) -> Result<ReadResourceResult, ErrorData> {
    let (call, fields) = match uri.parse()? {
        ResourceUri::Claims => (Call::Claims, json!({})),
        ResourceUri::Claim(id) => (Call::ClaimDetails, json!({ "claim_id": id })),
        ResourceUri::Issue(issue) => (Call::IssueDetails, json!({ "repo": issue.repo, "issue_number": issue.number })),
        ResourceUri::Health => (Call::Health, json!({})),
    };
    let Value::Object(fields) = fields else { unreachable!("each of them is an object") };
    let answer = api.answer(call, caller, Fields::from(fields)).await;
    if answer.status == 404 {
        return Err(not_found(&uri, message_of(&answer)));
    }
    if answer.is_error {
        return Err(ErrorData::internal_error(message_of(&answer), Some(answer.body)));
    }
    let contents = ResourceContents::text(answer.body.to_string(), uri).with_mime_type(JSON);
    Ok(ReadResourceResult::new(vec![contents]))
}

fn message_of(answer: &Answer) -> String {
    answer.body["message"].as_str().unwrap_or("it could not be read").to_owned()
}

/// The resources that an event may have changed.
pub(super) fn changed_by(event: &EventDraft) -> Vec<ResourceUri> {
    let mut changed = vec![ResourceUri::Health];
    if let Some(claim_id) = event.claim_id {
        let (whole, short) = (claim_id.to_string(), claim_id.short());
        changed.extend([ResourceUri::Claims, ResourceUri::Claim(whole), ResourceUri::Claim(short)]);
    }
    if let (Some(repo), Some(number)) = (&event.repo, event.issue_number) {
        changed.push(ResourceUri::Issue(IssueRef::new(repo.clone(), number)));
    }
    changed
}
