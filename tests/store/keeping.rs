//! What is kept over a restart, and what is trimmed.

use std::sync::Arc;

use issuecommand::domain::{Actor, ClaimStatus, EventSeq, LEASE_EPOCH_FIRST, Repo};
use issuecommand::store::{ClaimWish, InsertOutcome};

use crate::bed::{
    Bed, Keep, WHOLE_WAY, agent, already, at, closed, decision, exactly, granted, issue, issue_ref, named, repo,
};

pub async fn everything_is_there_after_reopening(bed: Bed) {
    let bed = bed.with_issues(1..=4).await;
    bed.sync(vec![closed(4)]).await;
    bed.store.repo_apply(vec![Repo::named(repo())]).await.unwrap();
    let decision = decision("a1");
    let wish = ClaimWish { decision: Some(decision.clone()), ..named(exactly("a1", 1), "r1") };
    let held = granted(bed.store.claim_insert(wish).await.unwrap()).claim;
    let finished = bed.granted("a2", 2).await;
    bed.walk(&finished, &WHOLE_WAY).await;
    let events = bed.events().await;
    let before = bed.store.snapshot_load().await.unwrap();

    let bed = bed.reopen(Keep::default()).await;
    let after = bed.store.snapshot_load().await.unwrap();
    assert_eq!(after.claims, std::slice::from_ref(&held));
    assert_eq!(after.finished, [issue_ref(2)]);
    assert_eq!(after.issues.len(), 3);
    assert_eq!(after.issues, before.issues);
    assert_eq!(after.repos, before.repos);
    assert_eq!(after.last_event, events.last().unwrap().event_id);
    assert_eq!(bed.events().await, events);
    assert_eq!(bed.store.issue_get(issue_ref(3)).await.unwrap(), Some(issue(3)));
    assert!(bed.store.decision_get(decision.decision_id).await.unwrap().is_some());
    assert!(matches!(bed.claim("a3", 1).await, InsertOutcome::HeldBy(_)));
    let retry = already(bed.store.claim_insert(named(exactly("a1", 3), "r1")).await.unwrap());
    assert_eq!(retry.claim, held);
}

pub async fn past_claims_are_trimmed_and_their_decisions_by_a_bound_of_their_own(bed: Bed) {
    let bed = bed.with_issues([1]).await.reopen(Keep { past_claims: 3, decisions: 4, ..Keep::default() }).await;
    let mut past = Vec::new();
    for minute in 1..=6 {
        let decision = decision("a1");
        let wish = ClaimWish { decision: Some(decision.clone()), now: at(minute), ..exactly("a1", 1) };
        let claim = granted(bed.store.claim_insert(wish).await.unwrap()).claim;
        bed.step(&claim, ClaimStatus::Released, Actor::Owner, minute).await;
        past.push((claim.claim_id, decision.decision_id));
    }
    for (n, (claim_id, decision_id)) in past.into_iter().enumerate() {
        assert_eq!(bed.store.claim_get(claim_id).await.unwrap().is_some(), n >= 3, "claim {n}");
        assert_eq!(bed.store.decision_get(decision_id).await.unwrap().is_some(), n >= 2, "decision {n}");
    }
}

pub async fn an_epoch_grows_even_when_its_past_is_trimmed(bed: Bed) {
    let bed = bed.with_issues([1, 2]).await.reopen(Keep { past_claims: 0, ..Keep::default() }).await;
    for round in 0..4 {
        let claim = bed.granted("a1", 1).await;
        assert_eq!(claim.lease.epoch, LEASE_EPOCH_FIRST + round);
        bed.step(&claim, ClaimStatus::Released, Actor::Owner, 1).await;
        assert_eq!(bed.store.claim_get(claim.claim_id).await.unwrap(), None);
    }
    bed.store.issue_remove(issue_ref(1)).await.unwrap();
    let bed = bed.with_issues([1]).await.reopen(Keep::default()).await;
    assert_eq!(bed.granted("a2", 1).await.lease.epoch, LEASE_EPOCH_FIRST + 4);
}

pub async fn events_are_trimmed_and_numbers_never_come_back(bed: Bed) {
    let bed = bed.with_issues(1..=20).await.reopen(Keep { events: 4, ..Keep::default() }).await;
    for number in 1..=19 {
        bed.granted("a1", number).await;
    }
    let kept: Vec<_> = bed.events().await.iter().map(|event| event.event_id.0).collect();
    assert_eq!(kept, [16, 17, 18, 19]);
    let bed = bed.reopen(Keep { events: 0, ..Keep::default() }).await;
    assert!(bed.events().await.is_empty());
    assert_eq!(bed.store.snapshot_load().await.unwrap().last_event, EventSeq(19));
    bed.granted("a1", 20).await;
    assert_eq!(bed.seen.events()[0].event_id, EventSeq(20));
}

pub async fn the_last_call_of_an_agent_is_kept_and_never_goes_back(bed: Bed) {
    bed.store.agent_heard(vec![(agent("a1"), at(5)), (agent("a2"), at(1))]).await.unwrap();
    bed.store.agent_heard(vec![(agent("a1"), at(3)), (agent("a2"), at(7))]).await.unwrap();
    let bed = bed.reopen(Keep::default()).await;
    let mut calls = bed.store.snapshot_load().await.unwrap().last_calls;
    calls.sort();
    assert_eq!(calls, [(agent("a1"), at(5)), (agent("a2"), at(7))]);
}

pub async fn the_snapshot_shares_equal_texts(bed: Bed) {
    let bed = bed.with_issues([1, 2]).await;
    let issues = bed.store.snapshot_load().await.unwrap().issues;
    assert!(Arc::ptr_eq(&issues[0].labels[0], &issues[1].labels[0]));
    assert!(Arc::ptr_eq(&issues[0].author, &issues[1].author));
    assert!(Arc::ptr_eq(&issues[0].issue.repo.shared(), &issues[1].issue.repo.shared()));
}
