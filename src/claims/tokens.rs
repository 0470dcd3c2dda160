//! The access tokens that are known, found by what clients send.

use std::collections::HashMap;

use crate::domain::{AccessToken, TokenHash, TokenId};
use crate::store::KeptToken;

/// Every token that is kept.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    by_id: HashMap<TokenId, KeptToken>,
    by_hash: HashMap<TokenHash, TokenId>,
}

impl Tokens {
    pub(super) fn load(kept: Vec<KeptToken>) -> Self {
        let mut tokens = Self::default();
        kept.into_iter().for_each(|kept| tokens.set(kept));
        tokens
    }

    /// Takes note of a token that was made or revoked.
    pub(super) fn set(&mut self, kept: KeptToken) {
        self.by_hash.insert(kept.hash.clone(), kept.token.token_id);
        self.by_id.insert(kept.token.token_id, kept);
    }

    /// The token that a client sent.
    pub(super) fn find(&self, sent: &str) -> Option<&AccessToken> {
        self.get(*self.by_hash.get(&TokenHash::of(sent))?)
    }

    /// The token of this identity.
    pub(super) fn get(&self, token_id: TokenId) -> Option<&AccessToken> {
        self.by_id.get(&token_id).map(|kept| &kept.token)
    }

    /// The token of this identity, and what is kept of its text.
    pub(super) fn kept(&self, token_id: TokenId) -> Option<&KeptToken> {
        self.by_id.get(&token_id)
    }
}
