//! Access tokens: kept by their hash, ended once.

use issuecommand::domain::{AccessScope, AccessToken, TokenId, TokenSecret};
use issuecommand::store::{Change, KeptToken, TokenInsertOutcome, TokenRevokeOutcome};

use crate::bed::{Bed, Keep, agent, at};

fn kept(minute: u64) -> KeptToken {
    let token = AccessToken {
        token_id: TokenId::fresh(),
        agent_id: Some(agent("a1")),
        scope: AccessScope::Claim,
        label: Some("laptop".into()),
        created_at: at(minute),
        expires_at: Some(at(minute + 60)),
        revoked_at: None,
    };
    KeptToken { token, hash: TokenSecret::fresh().hash() }
}

pub async fn a_token_is_kept_with_everything_but_itself(bed: Bed) {
    let bare = |kept: KeptToken| KeptToken {
        token: AccessToken { agent_id: None, label: None, expires_at: None, ..kept.token },
        ..kept
    };
    let all = [kept(0), bare(kept(1))];
    for kept in &all {
        assert_eq!(bed.store.token_insert(kept.clone(), at(2)).await.unwrap(), TokenInsertOutcome::Inserted);
    }
    let announced = bed.seen.take();
    assert!(matches!(&announced[0], Change::TokenSet(kept) if **kept == all[0]), "{announced:?}");
    let bed = bed.reopen(Keep::default()).await;
    assert_eq!(bed.store.token_list().await.unwrap(), all);
}

pub async fn a_token_is_revoked_once_and_the_observer_hears_it_first(bed: Bed) {
    let kept = kept(0);
    let id = kept.token.token_id;
    bed.store.token_insert(kept.clone(), at(0)).await.unwrap();
    bed.seen.take();
    let revoked = AccessToken { revoked_at: Some(at(5)), ..kept.token.clone() };
    assert_eq!(bed.store.token_revoke(id, at(5)).await.unwrap(), TokenRevokeOutcome::Revoked(revoked.clone()));
    let announced = bed.seen.take();
    assert!(matches!(&announced[..], [Change::TokenSet(kept)] if kept.token == revoked), "{announced:?}");
    assert_eq!(bed.store.token_revoke(id, at(9)).await.unwrap(), TokenRevokeOutcome::AlreadyRevoked(revoked.clone()));
    assert_eq!(bed.store.token_revoke(TokenId::fresh(), at(9)).await.unwrap(), TokenRevokeOutcome::NotFound);
    assert!(bed.seen.take().is_empty(), "what changes nothing is not announced");
    let bed = bed.reopen(Keep::default()).await;
    assert_eq!(bed.store.token_list().await.unwrap()[0].token, revoked);
}
