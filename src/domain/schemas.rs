//! The JSON schemas of names and numbers, for descriptions of the API. They describe the canonical forms;
//! the parsers take more (blanks around, any case).

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use super::{AgentId, ClaimId, DecisionId, EventSeq, IssueNumber, RepoName, RequestId, RunId, TokenId, WorkItemId};

/// Letters, digits and signs, with blanks only in between; at most 128 of them.
const SHORT_NAME: &str = "^[!-~]([ -~]{0,126}[!-~])?$";
/// A name that is no path: `.` and `..` alone are none.
const REPO: &str = r"^[A-Za-z0-9_-]{1,64}/\.{0,2}[A-Za-z0-9_-][A-Za-z0-9_.-]{0,97}$";

/// A UUID as this server writes it.
const UUID: &str = "^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$";

macro_rules! schema {
    ($($name:ident: $schema:tt)+) => {
        $(impl JsonSchema for $name {
            fn inline_schema() -> bool {
                true
            }

            fn schema_name() -> Cow<'static, str> {
                stringify!($name).into()
            }

            fn json_schema(_: &mut SchemaGenerator) -> Schema {
                json_schema!($schema)
            }
        })+
    };
}

schema! {
    RepoName: { "type": "string", "pattern": REPO }
    AgentId: { "type": "string", "pattern": SHORT_NAME }
    RequestId: { "type": "string", "pattern": SHORT_NAME }
    ClaimId: { "type": "string", "format": "uuid", "pattern": UUID }
    DecisionId: { "type": "string", "format": "uuid", "pattern": UUID }
    WorkItemId: { "type": "string", "format": "uuid", "pattern": UUID }
    RunId: { "type": "string", "format": "uuid", "pattern": UUID }
    TokenId: { "type": "string", "format": "uuid", "pattern": UUID }
    IssueNumber: { "type": "integer", "minimum": 1, "maximum": 9_007_199_254_740_991_u64 }
    EventSeq: { "type": "string", "pattern": "^[0-9]+$" }
}
