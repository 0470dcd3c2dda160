//! Access tokens: who may ask, for whom, and how much.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::{AgentId, Timestamp, TokenId};

/// What every token of ours begins with, so that people and scanners of secrets know one when they see it.
const PREFIX: &str = "ic_";

/// How much a caller may ask. Each scope includes those before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AccessScope {
    /// Look at everything, change nothing.
    Read,
    /// Claim, update and release as an agent.
    Claim,
    /// Everything: other agents' claims, tokens, import and export.
    Admin,
}

impl AccessScope {
    /// Every scope, narrowest first.
    pub const ALL: [Self; 3] = [Self::Read, Self::Claim, Self::Admin];

    /// Its word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Claim => "claim",
            Self::Admin => "admin",
        }
    }
}

impl fmt::Display for AccessScope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for AccessScope {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|scope| scope.as_str() == text.trim())
            .ok_or_else(|| format!("{text:?} is no scope: expected read, claim or admin"))
    }
}

/// A token itself: seen once, when it is made, and kept nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenSecret(String);

impl TokenSecret {
    /// A new token of 256 random bits.
    pub fn fresh() -> Self {
        // Three random UUIDs bring 366 bits from the system's generator; their digest keeps 256 of them.
        let mut random = Sha256::new();
        for _ in 0..3 {
            random.update(Uuid::new_v4().as_bytes());
        }
        Self(format!("{PREFIX}{}", hex(&random.finalize())))
    }

    /// The text, for the one place that hands it out.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What is kept of it.
    pub fn hash(&self) -> TokenHash {
        TokenHash::of(&self.0)
    }
}

impl fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

/// The SHA-256 of a token: enough to know it again, not enough to make it. Tokens are found by it, so
/// no comparison ever takes longer for a better guess.
#[derive(Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TokenHash(String);

impl TokenHash {
    /// The hash of what a client sent.
    pub fn of(token: &str) -> Self {
        Self(hex(&Sha256::digest(token.as_bytes())))
    }

    /// A hash as it was kept.
    pub fn kept(text: String) -> Self {
        Self(text)
    }

    /// In hex.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(hash)")
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Whether `text` looks like a token of ours.
pub(crate) fn looks_like_token(text: &str) -> bool {
    text.starts_with(PREFIX)
}

/// What is known of one token: everything but the token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AccessToken {
    /// Its public identity.
    pub token_id: TokenId,
    /// The agent it speaks for; none for scripts, which may name any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent_id: Option<AgentId>,
    /// How much it may ask.
    pub scope: AccessScope,
    /// A word of whoever made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// When it was made.
    pub created_at: Timestamp,
    /// From when on it is worth nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// When it was revoked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<Timestamp>,
}

/// Why a token is worth nothing any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenEnd {
    /// Somebody revoked it.
    #[error("was revoked at {0}")]
    Revoked(Timestamp),
    /// Its time is over.
    #[error("expired at {0}")]
    Expired(Timestamp),
}

impl AccessToken {
    /// Whether, and how, it has ended at `now`: at its time, or past it.
    pub fn end_at(&self, now: Timestamp) -> Option<TokenEnd> {
        if let Some(at) = self.revoked_at {
            return Some(TokenEnd::Revoked(at));
        }
        self.expires_at.filter(|at| now >= *at).map(TokenEnd::Expired)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::domain::from_unix_ms;

    #[test]
    fn tokens_are_long_known_by_their_prefix_and_never_shown() {
        let tokens: HashSet<String> = (0..1000).map(|_| TokenSecret::fresh().expose().to_owned()).collect();
        assert_eq!(tokens.len(), 1000);
        for token in &tokens {
            assert!(looks_like_token(token) && token.len() == 3 + 64, "{token}");
        }
        let token = TokenSecret::fresh();
        assert_eq!(format!("{token:?} {:?}", token.hash()), "(secret) (hash)");
        assert_eq!(token.hash(), TokenHash::of(token.expose()));
        assert!(!token.expose().contains(token.hash().as_str()));
    }

    #[test]
    fn a_hash_is_sha_256() {
        let of_abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(TokenHash::of("abc").as_str(), of_abc);
    }

    #[test]
    fn scopes_include_the_narrower_ones_and_read_as_they_are_written() {
        assert!(AccessScope::Read < AccessScope::Claim && AccessScope::Claim < AccessScope::Admin);
        for scope in AccessScope::ALL {
            assert_eq!(scope.as_str().parse(), Ok(scope));
            assert_eq!(serde_json::to_value(scope).unwrap(), scope.as_str());
        }
        assert!("root".parse::<AccessScope>().unwrap_err().contains("expected read, claim or admin"));
    }

    #[test]
    fn a_token_ends_at_its_time_or_when_it_is_revoked() {
        let at = from_unix_ms;
        let token = AccessToken {
            token_id: TokenId::fresh(),
            agent_id: None,
            scope: AccessScope::Read,
            label: None,
            created_at: at(0),
            expires_at: Some(at(1000)),
            revoked_at: None,
        };
        assert_eq!(token.end_at(at(999)), None);
        assert_eq!(token.end_at(at(1000)), Some(TokenEnd::Expired(at(1000))));
        let revoked = AccessToken { revoked_at: Some(at(5)), ..token };
        assert_eq!(revoked.end_at(at(6)), Some(TokenEnd::Revoked(at(5))));
    }
}
