//! From fields as they came in to values of the domain. Every refusal names its field.

use std::str::FromStr;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::domain::{AgentId, ClaimStatus, FollowUpStatus, IssueNumber};

/// The named fields of one request, before anything is known of them.
pub type Fields = Map<String, Value>;

/// Longest free text of an agent (a note, a reason, an address), in bytes. Ours: it is kept with the
/// claim for ever and shown in every listing.
const TEXT_BYTES_MAX: usize = 4000;

/// What is wrong with the fields of a request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FieldError {
    /// It is no JSON object.
    #[error("Invalid JSON payload ({why})")]
    NotAnObject {
        /// What the parser met.
        why: String,
    },
    /// A field is missing, unknown, or not what it should be.
    #[error("Missing or invalid field: {field} ({why})")]
    Field {
        /// Its name.
        field: String,
        /// What is wanted.
        why: String,
    },
    /// There is no such status. The text is the domain's own, and says which there are.
    #[error("{0}")]
    Status(String),
}

impl FieldError {
    /// A field that is not what it should be.
    pub(super) fn field(field: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Field { field: field.into(), why: why.into() }
    }
}

/// The fields of a JSON body; none, if the body is empty.
///
/// # Errors
/// When the body is neither empty nor a JSON object.
pub fn fields_from_json(body: &[u8]) -> Result<Fields, FieldError> {
    if body.trim_ascii().is_empty() {
        return Ok(Fields::new());
    }
    serde_json::from_slice(body).map_err(|error| FieldError::NotAnObject { why: error.to_string() })
}

/// Reads `fields` as a `T`. An empty text or null counts as absent: models fill in what they do not
/// need, and an empty name must never pass for a name.
pub(super) fn read<T: DeserializeOwned>(mut fields: Fields) -> Result<T, FieldError> {
    for value in fields.values_mut() {
        if value.as_str().is_some_and(|text| text.trim().is_empty()) {
            *value = Value::Null;
        }
    }
    serde_path_to_error::deserialize(Value::Object(fields))
        .map_err(|error| FieldError::field(error.path().to_string(), error.inner().to_string()))
}

/// A field that must be there.
pub(super) fn required<T>(field: &str, value: Option<T>) -> Result<T, FieldError> {
    value.ok_or_else(|| FieldError::field(field, "it is required"))
}

/// The agent that a request names, or the one its connection named once.
pub(super) fn agent(named: Option<AgentId>, caller: Option<&AgentId>) -> Result<AgentId, FieldError> {
    required("agent_id", named.or_else(|| caller.cloned()))
}

/// A claim status in the contract's words.
pub(super) fn status(text: &str) -> Result<ClaimStatus, FieldError> {
    ClaimStatus::from_str(text.trim()).map_err(FieldError::Status)
}

/// A follow-up status in the contract's words.
pub(super) fn follow_up_status(text: &str) -> Result<FollowUpStatus, FieldError> {
    FollowUpStatus::from_str(text.trim()).map_err(FieldError::Status)
}

/// A bounded free text.
pub(super) fn text(field: &str, text: Option<String>) -> Result<Option<String>, FieldError> {
    match text {
        Some(text) if text.len() > TEXT_BYTES_MAX => {
            Err(FieldError::field(field, format!("longer than {TEXT_BYTES_MAX} bytes")))
        }
        text => Ok(text),
    }
}

/// The address of a web page: what people will follow from a claim.
pub(super) fn web_address(field: &str, address: Option<String>) -> Result<Option<String>, FieldError> {
    let Some(address) = text(field, address)? else { return Ok(None) };
    let address = address.trim();
    let is_web = address.starts_with("https://") || address.starts_with("http://");
    if !is_web || address.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(FieldError::field(field, "expected an http or https address"));
    }
    Ok(Some(address.to_owned()))
}

/// A whole number, also when it comes as text, as it does in a path or a query.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WholeNumber(pub(super) u64);

impl<'de> Deserialize<'de> for WholeNumber {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let number = match Value::deserialize(deserializer)? {
            // 7.0 is a whole number too, to JSON and to its schemas.
            Value::Number(number) => number.as_u64().or_else(|| whole(number.as_f64()?)),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        number.map(Self).ok_or_else(|| D::Error::custom("expected a whole number"))
    }
}

fn whole(number: f64) -> Option<u64> {
    let in_range = number.fract() == 0.0 && (0.0..=9_007_199_254_740_991.0).contains(&number);
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked above")]
    in_range.then_some(number as u64)
}

/// The number of an issue.
pub(super) fn issue_number(number: Option<WholeNumber>) -> Result<IssueNumber, FieldError> {
    let WholeNumber(number) = required("issue_number", number)?;
    IssueNumber::new(number).map_err(|error| FieldError::field("issue_number", error.to_string()))
}

/// Yes or no, also when it comes as text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Flag(pub(super) bool);

impl<'de> Deserialize<'de> for Flag {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let flag = match Value::deserialize(deserializer)? {
            Value::Bool(flag) => Some(flag),
            Value::String(text) => match text.trim().to_ascii_lowercase().as_str() {
                "1" | "true" | "yes" | "on" => Some(true),
                "0" | "false" | "no" | "off" => Some(false),
                _ => None,
            },
            _ => None,
        };
        flag.map(Self).ok_or_else(|| D::Error::custom("expected true or false"))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::requests::{
        ClaimFields, ClaimFilterFields, IssueFilterFields, NextFields, RepoListFields, UpdateFields,
    };
    use super::*;
    use crate::domain::Skills;

    fn fields(value: Value) -> Fields {
        value.as_object().unwrap().clone()
    }

    fn next(value: Value) -> Result<crate::claims::NextRequest, FieldError> {
        read::<NextFields>(fields(value))?.parse(None, &Skills::default())
    }

    fn refusal<T>(result: Result<T, FieldError>) -> String {
        result.err().unwrap().to_string()
    }

    fn update(value: Value) -> Result<crate::claims::UpdateRequest, FieldError> {
        read::<UpdateFields>(fields(value))?.parse(None)
    }

    #[test]
    fn names_are_parsed_into_their_canonical_form() {
        let request = next(json!({ "agent_id": " a-1 ", "repo": " Acme / Small/", "label": "bug" })).unwrap();
        assert_eq!(request.agent.as_str(), "a-1");
        assert_eq!(request.repo.unwrap().as_str(), "acme/small");
        assert_eq!(request.label.as_deref(), Some("bug"));
    }

    #[test]
    fn a_missing_or_empty_agent_is_refused_by_name() {
        for value in [json!({}), json!({ "agent_id": "" }), json!({ "agent_id": "  " }), json!({ "agent_id": null })] {
            assert_eq!(refusal(next(value)), "Missing or invalid field: agent_id (it is required)");
        }
        assert!(
            refusal(next(json!({ "agent_id": 7 }))).starts_with("Missing or invalid field: agent_id (invalid type")
        );
        assert!(refusal(next(json!({ "agent_id": "x".repeat(129) }))).contains("longer than 128 bytes"));
    }

    #[test]
    fn the_caller_stands_in_for_absent_agent_and_skills_and_gives_way_to_named_ones() {
        let caller: AgentId = "from-header".parse().unwrap();
        let skills: Skills = "rust".parse().unwrap();
        let parse = |value| read::<NextFields>(fields(value)).unwrap().parse(Some(&caller), &skills).unwrap();
        let (silent, named) = (parse(json!({})), parse(json!({ "agent_id": "named", "skills": ["Web", "c"] })));
        assert_eq!((silent.agent.as_str(), silent.skills), ("from-header", skills.clone()));
        assert_eq!((named.agent.as_str(), named.skills), ("named", "c,web".parse().unwrap()));
    }

    #[test]
    fn an_unknown_field_is_refused_by_name_with_those_there_are() {
        let text = refusal(next(json!({ "agent_id": "a", "agnet": "b" })));
        assert!(text.starts_with("Missing or invalid field: agnet (unknown field `agnet`, expected one of"), "{text}");
        assert!(text.contains("`milestone`"), "{text}");
    }

    #[test]
    fn issue_numbers_are_whole_also_as_text() {
        let claim = |number: Value| {
            let value = json!({ "agent_id": "a", "repo": "a/b", "issue_number": number });
            read::<ClaimFields>(fields(value))?.parse(None).map(|request| request.issue.number.get())
        };
        assert_eq!(claim(json!(7)).unwrap(), 7);
        assert_eq!(claim(json!("7")).unwrap(), 7);
        for wrong in [json!(0), json!(-1), json!(1.5), json!("x"), json!(true), json!(1_u64 << 53), json!(null)] {
            assert!(refusal(claim(wrong.clone())).starts_with("Missing or invalid field: issue_number"), "{wrong}");
        }
    }

    #[test]
    fn an_unknown_status_is_named_with_those_there_are() {
        let id = "0190a5d2-7e1c-7000-8000-000000000001";
        let value = json!({ "claim_id": id, "agent_id": "a", "status": "finished" });
        assert!(refusal(update(value)).starts_with("Invalid claim status: finished (expected one of claimed, "));
        let filter = read::<ClaimFilterFields>(fields(json!({ "status": "x" }))).unwrap().parse();
        assert!(refusal(filter).starts_with("Invalid claim status: x"));
        let value = json!({ "claim_id": "12", "agent_id": "a", "status": "closed" });
        assert!(refusal(update(value)).starts_with("Missing or invalid field: claim_id"));
    }

    #[test]
    fn only_addresses_of_web_pages_are_kept_with_a_claim() {
        let with = |pr_url: &str| {
            let id = "0190a5d2-7e1c-7000-8000-000000000001";
            update(json!({ "claim_id": id, "agent_id": "a", "status": "pr_submitted", "pr_url": pr_url }))
        };
        assert_eq!(with(" https://github.com/a/b/pull/1 ").unwrap().pr_url.unwrap(), "https://github.com/a/b/pull/1");
        assert_eq!(with("").unwrap().pr_url, None);
        for wrong in ["javascript:alert(1)", "github.com/a", "https://a b", "https://a\nb"] {
            assert!(refusal(with(wrong)).starts_with("Missing or invalid field: pr_url"), "{wrong}");
        }
    }

    #[test]
    fn free_texts_are_bounded() {
        let with = |length: usize| next(json!({ "agent_id": "a", "label": "x".repeat(length) }));
        assert!(with(TEXT_BYTES_MAX).is_ok());
        assert!(refusal(with(TEXT_BYTES_MAX + 1)).starts_with("Missing or invalid field: label"));
    }

    #[test]
    fn flags_and_counts_may_come_as_text() {
        let include = |value| read::<RepoListFields>(fields(value)).map(|fields| fields.include_counts());
        assert!(include(json!({})).unwrap());
        assert!(!include(json!({ "include_counts": "false" })).unwrap());
        assert!(!include(json!({ "include_counts": false })).unwrap());
        assert!(refusal(include(json!({ "include_counts": "maybe" }))).contains("include_counts"));
        let limit = |value: Value| {
            read::<IssueFilterFields>(fields(json!({ "repo": "a/b", "limit": value })))?.parse().map(|(_, limit)| limit)
        };
        assert_eq!(limit(json!("5")).unwrap(), Some(5));
        assert_eq!(limit(json!(null)).unwrap(), None);
        assert!(refusal(limit(json!(0))).contains("limit"));
    }

    #[test]
    fn a_body_is_an_object_or_nothing() {
        assert_eq!(fields_from_json(b" \n").unwrap(), Fields::new());
        assert_eq!(fields_from_json(br#"{"a":1}"#).unwrap()["a"], 1);
        for wrong in [&b"{"[..], b"[]", b"7", b"null", b"\xff"] {
            let text = fields_from_json(wrong).unwrap_err().to_string();
            assert!(text.starts_with("Invalid JSON payload ("), "{text}");
        }
    }
}
