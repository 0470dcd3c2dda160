//! The fields of operators' calls, and of the history.

use chrono::TimeDelta;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::fields::{self, FieldError, Flag, WholeNumber};
use crate::claims::TokenWish;
use crate::domain::{AccessScope, AgentId, ClaimId, IssueNumber, IssueRef, RepoName, Timestamp, TokenId, from_unix_ms};
use crate::store::{ClaimHistoryFilter, ClaimHistoryPlace};

/// Past claims on a page when nobody says, and at most (the contract's numbers).
const HISTORY_COUNT_DEFAULT: usize = 50;
const HISTORY_COUNT_MAX: usize = 200;
/// Longest life of a token that has an end, in days: ten years.
const TOKEN_DAYS_MAX: u64 = 3650;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ClaimHistoryFields {
    /// Only of this agent.
    agent_id: Option<AgentId>,
    /// Only in this owner/name.
    repo: Option<RepoName>,
    /// 50 unless you say.
    #[schemars(with = "Option<u64>", range(min = 1, max = 200))]
    limit: Option<WholeNumber>,
    /// next_cursor of the page before.
    #[schemars(regex(pattern = "^[0-9a-f]{1,16}\\.[0-9a-f-]{36}$"))]
    cursor: Option<String>,
}

impl ClaimHistoryFields {
    pub(super) fn parse(self) -> Result<(ClaimHistoryFilter, Option<ClaimHistoryPlace>, usize), FieldError> {
        let limit = match self.limit {
            None => HISTORY_COUNT_DEFAULT,
            Some(WholeNumber(limit)) => usize::try_from(limit)
                .ok()
                .filter(|limit| (1..=HISTORY_COUNT_MAX).contains(limit))
                .ok_or_else(|| FieldError::field("limit", format!("expected 1 to {HISTORY_COUNT_MAX}")))?,
        };
        let after = self.cursor.as_deref().map(place).transpose()?;
        Ok((ClaimHistoryFilter { agent: self.agent_id, repo: self.repo }, after, limit))
    }
}

/// The cursor that leads on from `place`: for clients a text without meaning.
pub(super) fn cursor(place: ClaimHistoryPlace) -> String {
    format!("{:x}.{}", place.ended_at.timestamp_millis(), place.claim_id)
}

fn place(cursor: &str) -> Result<ClaimHistoryPlace, FieldError> {
    let read = || {
        let (ended_at, claim_id) = cursor.trim().split_once('.')?;
        let ended_at = from_unix_ms(u64::from_str_radix(ended_at, 16).ok()?);
        Some(ClaimHistoryPlace { ended_at, claim_id: claim_id.parse().ok()? })
    };
    read().ok_or_else(|| FieldError::field("cursor", "it is no next_cursor of this server"))
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OperatorReleaseFields {
    /// Any active claim.
    #[schemars(with = "ClaimId")]
    claim_id: Option<ClaimId>,
    /// Why, for the history.
    note: Option<String>,
}

impl OperatorReleaseFields {
    pub(super) fn parse(self) -> Result<(ClaimId, Option<String>), FieldError> {
        Ok((fields::required("claim_id", self.claim_id)?, fields::text("note", self.note)?))
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct OperatorReassignFields {
    /// Any active claim.
    #[schemars(with = "ClaimId")]
    claim_id: Option<ClaimId>,
    /// The new owner.
    #[schemars(with = "AgentId")]
    agent_id: Option<AgentId>,
    /// Why, for the history.
    note: Option<String>,
}

impl OperatorReassignFields {
    pub(super) fn parse(self) -> Result<(ClaimId, AgentId, Option<String>), FieldError> {
        let claim_id = fields::required("claim_id", self.claim_id)?;
        let agent = fields::required("agent_id", self.agent_id)?;
        Ok((claim_id, agent, fields::text("note", self.note)?))
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ApproveFields {
    /// owner/name
    #[schemars(with = "RepoName")]
    repo: Option<RepoName>,
    #[schemars(with = "IssueNumber")]
    issue_number: Option<WholeNumber>,
    /// Who approves, for the record; else the holder of the credential.
    #[schemars(regex(pattern = "^[!-~]([ -~]{0,126}[!-~])?$"))]
    by: Option<AgentId>,
    /// true: take the approval back, whoever gave it.
    #[schemars(with = "Option<bool>")]
    withdraw: Option<Flag>,
}

/// What is to become of an issue's approval.
pub(super) struct ApproveWish {
    pub(super) issue: IssueRef,
    pub(super) by: Option<AgentId>,
    pub(super) withdraw: bool,
}

impl ApproveFields {
    pub(super) fn parse(self) -> Result<ApproveWish, FieldError> {
        let repo = fields::required("repo", self.repo)?;
        let issue = IssueRef::new(repo, fields::issue_number(self.issue_number)?);
        Ok(ApproveWish { issue, by: self.by, withdraw: self.withdraw.is_some_and(|Flag(flag)| flag) })
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenCreateFields {
    /// The agent it speaks for; without one it may name any.
    agent_id: Option<AgentId>,
    #[schemars(with = "String", extend("enum" = ["read", "claim", "admin"]))]
    scope: Option<String>,
    /// For how long it holds; for ever if left out.
    #[schemars(with = "Option<u64>", range(min = 1, max = 3650))]
    expires_days: Option<WholeNumber>,
    /// A word about it.
    #[schemars(regex(pattern = "^[ -~]{0,200}$"))]
    label: Option<String>,
}

impl TokenCreateFields {
    pub(super) fn parse(self) -> Result<TokenWish, FieldError> {
        let scope = fields::required("scope", self.scope)?;
        let scope = scope.parse::<AccessScope>().map_err(|why| FieldError::field("scope", why))?;
        let lives_for = match self.expires_days {
            None => None,
            Some(WholeNumber(days)) if (1..=TOKEN_DAYS_MAX).contains(&days) => {
                Some(TimeDelta::days(i64::try_from(days).unwrap_or(i64::MAX)))
            }
            Some(_) => return Err(FieldError::field("expires_days", format!("expected 1 to {TOKEN_DAYS_MAX}"))),
        };
        let label = fields::text("label", self.label)?;
        if label.as_ref().is_some_and(|label| label.len() > 200 || label.chars().any(char::is_control)) {
            return Err(FieldError::field("label", "expected one line of at most 200 bytes"));
        }
        Ok(TokenWish { agent_id: self.agent_id, scope, label, lives_for })
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct TokenRevokeFields {
    /// From the list of tokens.
    #[schemars(with = "TokenId")]
    token_id: Option<TokenId>,
}

impl TokenRevokeFields {
    pub(super) fn parse(self) -> Result<TokenId, FieldError> {
        fields::required("token_id", self.token_id)
    }
}

/// An export, whole or in parts.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct ImportFields {
    /// Active claims, as exported.
    #[schemars(with = "Option<Vec<Value>>")]
    pub(super) claims: Option<Vec<Value>>,
    /// Claims that ended, as exported.
    #[schemars(with = "Option<Vec<Value>>")]
    pub(super) history: Option<Vec<Value>>,
    /// Follow-ups, as exported.
    #[schemars(with = "Option<Vec<Value>>")]
    pub(super) followups: Option<Vec<Value>>,
    /// Follow-ups that ended, as exported.
    #[schemars(with = "Option<Vec<Value>>")]
    pub(super) followup_history: Option<Vec<Value>>,
    /// Only say what would happen.
    #[schemars(with = "Option<bool>")]
    pub(super) dry_run: Option<Flag>,
    #[schemars(skip)]
    format: Option<String>,
    #[schemars(skip)]
    version: Option<u64>,
    #[schemars(skip)]
    #[allow(dead_code, reason = "part of an export, and of no use to an import")]
    exported_at: Option<Timestamp>,
}

impl ImportFields {
    /// Refuses what says of itself that it is no export of a known version.
    pub(super) fn check(&self) -> Result<(), FieldError> {
        let format = self.format.as_deref().unwrap_or(crate::state::FORMAT);
        let version = self.version.unwrap_or(crate::state::VERSION);
        crate::state::check_version(format, version).map_err(|why| FieldError::field("version", why))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::fields::read;
    use super::*;

    fn history(value: Value) -> Result<(ClaimHistoryFilter, Option<ClaimHistoryPlace>, usize), FieldError> {
        read::<ClaimHistoryFields>(value.as_object().unwrap().clone())?.parse()
    }

    #[test]
    fn a_cursor_leads_back_to_its_place_and_nothing_else_does() {
        let place = ClaimHistoryPlace { ended_at: from_unix_ms(1_700_000_000_123), claim_id: ClaimId::fresh() };
        assert_eq!(history(json!({ "cursor": cursor(place) })).unwrap().1, Some(place));
        for wrong in ["x", "1", "1.2", ".", "zz.0190a5d2-7e1c-7000-8000-000000000001", "' OR 1=1"] {
            let error = history(json!({ "cursor": wrong })).unwrap_err().to_string();
            assert!(error.starts_with("Missing or invalid field: cursor"), "{error}");
        }
    }

    #[test]
    fn a_page_has_fifty_claims_unless_it_is_told_otherwise_and_two_hundred_at_most() {
        assert_eq!(history(json!({})).unwrap().2, 50);
        assert_eq!(history(json!({ "limit": "200" })).unwrap().2, 200);
        for wrong in [0, 201, u64::MAX] {
            assert!(history(json!({ "limit": wrong })).unwrap_err().to_string().contains("limit (expected 1 to 200)"));
        }
    }

    #[test]
    fn a_token_needs_a_scope_and_has_a_bounded_life() {
        let wish = |value: Value| read::<TokenCreateFields>(value.as_object().unwrap().clone())?.parse();
        let made = wish(json!({ "scope": "claim", "agent_id": "a", "expires_days": 90 })).unwrap();
        assert_eq!((made.scope, made.lives_for), (AccessScope::Claim, Some(TimeDelta::days(90))));
        for (wrong, field) in [
            (json!({}), "scope"),
            (json!({ "scope": "root" }), "scope"),
            (json!({ "scope": "read", "expires_days": 0 }), "expires_days"),
            (json!({ "scope": "read", "expires_days": u64::MAX }), "expires_days"),
            (json!({ "scope": "read", "label": "a\nb" }), "label"),
        ] {
            let error = wish(wrong).unwrap_err().to_string();
            assert!(error.starts_with(&format!("Missing or invalid field: {field}")), "{error}");
        }
    }
}
