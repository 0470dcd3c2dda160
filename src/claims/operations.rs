//! What operators do: any claim, access tokens, state in and out. It needs the store and nothing else,
//! so a command does the same to a store that no server has open.

use std::collections::HashSet;
use std::sync::Arc;

use chrono::TimeDelta;
use tracing::info;

use super::ClaimManager;
use crate::config::LiveConfig;
use crate::domain::{
    AccessScope, AccessToken, AgentId, Claim, ClaimId, Clock, FollowUp, IssueRef, RestoredClaim, Timestamp, TokenId,
    TokenSecret,
};
use crate::store::{
    ApprovalOutcome, ApprovalWish, ClaimFilter, ClaimHistoryFilter, ClaimImport, ClaimOverrule, FollowUpFilter,
    FollowUpImport, FollowUpImportOutcome, ImportOutcome, KeptToken, OverruleOutcome, Pin, Store, StoreError,
    TokenInsertOutcome, TokenRevokeOutcome,
};

/// Past claims read at a time for an export.
const HISTORY_PAGE_COUNT: usize = 1_000;

/// An operator's hands.
#[derive(Debug, Clone)]
pub struct Operations {
    store: Arc<dyn Store>,
    clock: Arc<dyn Clock>,
    config: LiveConfig,
}

/// A token to be made.
#[derive(Debug, Clone)]
pub struct TokenWish {
    /// The agent it is to speak for.
    pub agent_id: Option<AgentId>,
    /// How much it may ask.
    pub scope: AccessScope,
    /// A word about it.
    pub label: Option<String>,
    /// How long it is to live; for ever if it does not say.
    pub lives_for: Option<TimeDelta>,
}

/// What became of a token to be made.
#[derive(Debug)]
pub enum TokenMade {
    /// Made: the only time that it is shown.
    Made(TokenSecret, AccessToken),
    /// There are as many as may be.
    TooMany {
        /// How many may be.
        count_max: usize,
    },
}

/// Every claim and every follow-up that is kept.
#[derive(Debug, Clone)]
pub struct Stock {
    /// When it was read.
    pub read_at: Timestamp,
    /// Active claims, oldest first.
    pub active: Vec<Claim>,
    /// Claims that ended, newest end first.
    pub past: Vec<Claim>,
    /// Active follow-ups, most urgent first, then oldest.
    pub follow_ups: Vec<FollowUp>,
    /// Follow-ups that ended, newest end first.
    pub past_follow_ups: Vec<FollowUp>,
}

impl Stock {
    /// Whether there is nothing at all.
    pub fn is_empty(&self) -> bool {
        self.active.is_empty() && self.past.is_empty() && self.follow_ups.is_empty() && self.past_follow_ups.is_empty()
    }
}

impl Operations {
    /// Operations on `store`.
    pub fn new(store: Arc<dyn Store>, clock: Arc<dyn Clock>, config: LiveConfig) -> Self {
        Self { store, clock, config }
    }

    pub(super) fn store(&self) -> &dyn Store {
        &*self.store
    }

    /// The present.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Takes a claim back (`to` is `None`) or gives it to another agent. `by` says who wishes it.
    ///
    /// # Errors
    /// When the store fails; the claim is unchanged then.
    pub async fn overrule(
        &self,
        claim_id: ClaimId,
        to: Option<AgentId>,
        by: String,
        note: Option<String>,
    ) -> Result<OverruleOutcome, StoreError> {
        let wish = ClaimOverrule { claim_id, to, by: by.clone(), note, lease: self.lease(), now: self.clock.now() };
        let outcome = self.store.claim_overrule(wish).await?;
        if let OverruleOutcome::Done(claim) = &outcome {
            let (issue, status, agent) = (claim.issue_ref(), claim.status(), &claim.agent_id);
            info!(claim.id = %claim_id, "overruled by {by}: {issue} is {status}, of {agent}");
        }
        Ok(outcome)
    }

    /// Approves an open issue as it reads now. `by` says who does.
    ///
    /// # Errors
    /// When the store fails; nothing is approved then.
    pub async fn approve(&self, issue: IssueRef, by: String) -> Result<ApprovalOutcome, StoreError> {
        let now = self.clock.now();
        info!("{issue} is approved by {by}");
        let wish = ApprovalWish { issue, by, at: now, label: None, pin: Pin::AsKept(None), now };
        self.store.approval_set(wish).await
    }

    /// Takes an approval back, whoever gave it; whether there was one.
    ///
    /// # Errors
    /// When the store fails; the approval stands then.
    pub async fn withdraw_approval(&self, issue: IssueRef, by: String) -> Result<bool, StoreError> {
        info!("the approval of {issue} is withdrawn by {by}");
        self.store.approval_withdraw(issue, by, self.clock.now()).await
    }

    /// Makes a token and keeps what is known of it.
    ///
    /// # Errors
    /// When the store fails; there is no such token then.
    pub async fn token_create(&self, wish: TokenWish) -> Result<TokenMade, StoreError> {
        let TokenWish { agent_id, scope, label, lives_for } = wish;
        let (now, secret) = (self.clock.now(), TokenSecret::fresh());
        let expires_at = lives_for.map(|time| now + time);
        let token_id = TokenId::fresh();
        let token = AccessToken { token_id, agent_id, scope, label, created_at: now, expires_at, revoked_at: None };
        let kept = KeptToken { token: token.clone(), hash: secret.hash() };
        Ok(match self.store.token_insert(kept, now).await? {
            TokenInsertOutcome::Inserted => {
                info!(token.id = %token_id, "made a token with scope {scope}");
                TokenMade::Made(secret, token)
            }
            TokenInsertOutcome::TooMany { count_max } => TokenMade::TooMany { count_max },
        })
    }

    /// Ends a token: when this returns, it opens nothing any more.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn token_revoke(&self, token_id: TokenId) -> Result<TokenRevokeOutcome, StoreError> {
        let outcome = self.store.token_revoke(token_id, self.clock.now()).await?;
        if let TokenRevokeOutcome::Revoked(_) = &outcome {
            info!(token.id = %token_id, "revoked a token");
        }
        Ok(outcome)
    }

    /// Every token that is kept, ended ones too, oldest first.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn tokens(&self) -> Result<Vec<AccessToken>, StoreError> {
        Ok(self.store.token_list().await?.into_iter().map(|kept| kept.token).collect())
    }

    /// Every active claim and follow-up, and up to `past_count_max` each of those that ended.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn stock(&self, past_count_max: usize) -> Result<Stock, StoreError> {
        let read_at = self.clock.now();
        // What ends between two reads is in both; the later word holds.
        let active = self.store.claim_list(ClaimFilter::default()).await?;
        let past = self.past_claims(past_count_max).await?;
        let ended: HashSet<_> = past.iter().map(|claim| claim.claim_id).collect();
        let active = active.into_iter().filter(|claim| !ended.contains(&claim.claim_id)).collect();
        let follow_ups = self.store.follow_up_list(FollowUpFilter::default()).await?;
        let past_follow_ups = self.store.follow_up_history(past_count_max).await?;
        let ended: HashSet<_> = past_follow_ups.iter().map(|item| item.work_item_id).collect();
        let follow_ups = follow_ups.into_iter().filter(|item| !ended.contains(&item.work_item_id)).collect();
        Ok(Stock { read_at, active, past, follow_ups, past_follow_ups })
    }

    async fn past_claims(&self, past_count_max: usize) -> Result<Vec<Claim>, StoreError> {
        let (mut past, mut after) = (Vec::new(), None);
        while past.len() < past_count_max {
            let count = HISTORY_PAGE_COUNT.min(past_count_max - past.len());
            let page = self.store.claim_history(ClaimHistoryFilter::default(), after, count).await?;
            past.extend(page.claims);
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        Ok(past)
    }

    /// Takes in claims from elsewhere, in their order; one outcome each.
    ///
    /// # Errors
    /// When the store fails; none is taken in then.
    pub async fn import(&self, claims: Vec<RestoredClaim>, dry_run: bool) -> Result<Vec<ImportOutcome>, StoreError> {
        let wish = ClaimImport { claims, lease: self.lease(), dry_run, now: self.clock.now() };
        self.store.claim_import(wish).await
    }

    /// Takes in follow-ups from elsewhere; one outcome each, in their order.
    ///
    /// # Errors
    /// When the store fails; none is taken in then.
    pub async fn import_follow_ups(
        &self,
        items: Vec<FollowUp>,
        dry_run: bool,
    ) -> Result<Vec<FollowUpImportOutcome>, StoreError> {
        self.store.follow_up_import(FollowUpImport { items, dry_run, now: self.clock.now() }).await
    }

    fn lease(&self) -> TimeDelta {
        self.config.current().leases.timeout()
    }
}

impl ClaimManager {
    /// An operator's hands on this server's store.
    pub fn operations(&self) -> Operations {
        Operations::new(Arc::clone(&self.store), Arc::clone(&self.clock), self.config.clone())
    }

    /// The access token that a client sent, live or ended.
    pub fn token(&self, sent: &str) -> Option<AccessToken> {
        self.index.tokens.read().find(sent).cloned()
    }

    /// A token by its identity, live or ended, with what is kept of its text.
    pub fn kept_token(&self, token_id: TokenId) -> Option<KeptToken> {
        self.index.tokens.read().kept(token_id).cloned()
    }

    /// Whether the token still opens anything.
    pub fn is_live(&self, token_id: TokenId) -> bool {
        self.index.tokens.read().get(token_id).is_some_and(|token| token.end_at(self.clock.now()).is_none())
    }

    /// The present, by this server's clock.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }
}
