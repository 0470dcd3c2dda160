//! From fields as they came in to values of the domain. Every refusal names its field.

use std::str::FromStr;

use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};

use crate::domain::{AgentId, ClaimStatus, IssueNumber};

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
            Value::Number(number) => number.as_u64(),
            Value::String(text) => text.trim().parse().ok(),
            _ => None,
        };
        number.map(Self).ok_or_else(|| D::Error::custom("expected a whole number"))
    }
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
