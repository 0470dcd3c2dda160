//! What agents say and hear, whatever the transport: fields in, one [`Answer`] out.
//!
//! [`Api::answer`] is the whole of it. HTTP and MCP only carry fields to it and answers back, so an
//! agent meets the same words through either door. Fields are parsed here, once, into domain types;
//! every failure takes its status, word and hint from one table ([`Failure`]).

mod answer;
mod calls;
mod claims;
mod dispatch;
mod dispatch_requests;
mod explain;
mod explain_requests;
mod fields;
mod follow_ups;
mod identity;
mod issues;
mod limits;
mod operator;
mod operator_requests;
mod policies;
mod requests;
mod resent;
mod schema;
mod webhooks;

pub use answer::{Answer, Failure};
pub use calls::{Api, Call, Caller};
pub use explain_requests::{DECISION_COUNT_DEFAULT, DECISION_COUNT_MAX};
pub use fields::{FieldError, Fields, fields_from_json};
pub use identity::Identity;
pub use limits::{Limited, Principal, RateLimits, Scope};
pub use operator::operate;
pub use schema::published_schema;
pub use webhooks::WebhookCall;
