//! The access tokens that are known, found by what clients send.

use std::collections::HashMap;

use crate::domain::{AccessToken, TokenHash};
use crate::store::KeptToken;

/// Every token that is kept, by its hash.
#[derive(Debug, Default)]
pub(super) struct Tokens(HashMap<TokenHash, AccessToken>);

impl Tokens {
    pub(super) fn load(kept: Vec<KeptToken>) -> Self {
        Self(kept.into_iter().map(|kept| (kept.hash, kept.token)).collect())
    }

    /// Takes note of a token that was made or revoked.
    pub(super) fn set(&mut self, kept: KeptToken) {
        self.0.insert(kept.hash, kept.token);
    }

    /// The token that a client sent.
    pub(super) fn find(&self, sent: &str) -> Option<&AccessToken> {
        self.0.get(&TokenHash::of(sent))
    }
}
