//! What the store is asked about access tokens.

use serde::{Deserialize, Serialize};

use crate::domain::{AccessToken, TokenHash};

/// A token as it is kept: what is known of it, and what it is found by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptToken {
    /// Everything but the token itself.
    pub token: AccessToken,
    /// What it is found by.
    pub hash: TokenHash,
}

/// What became of a new token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenInsertOutcome {
    /// It is kept.
    Inserted,
    /// There are as many live ones as may be.
    TooMany {
        /// How many may be.
        count_max: usize,
    },
}

/// What became of the wish to revoke a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TokenRevokeOutcome {
    /// It is worth nothing from now on.
    Revoked(AccessToken),
    /// It was revoked before.
    AlreadyRevoked(AccessToken),
    /// No such token is kept.
    NotFound,
}
