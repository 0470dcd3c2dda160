//! Grants.

use issuecommand::domain::{Actor, ClaimStatus, LEASE_EPOCH_FIRST};
use issuecommand::store::{ClaimFilter, ClaimWish, InsertOutcome};

use crate::bed::{
    Bed, LEASE, WHOLE_WAY, agent, already, at, closed, decision, exactly, first_free, granted, issue, issue_ref, named,
    repo,
};

pub async fn a_free_issue_is_granted_with_its_text(bed: Bed) {
    let bed = bed.with_issues([7]).await;
    let got = granted(bed.claim("a1", 7).await);
    assert_eq!(got.issue, Some(issue(7)));
    assert_eq!(got.claim.agent_id, agent("a1"));
    assert_eq!(got.claim.issue_ref(), issue_ref(7));
    assert_eq!(got.claim.status(), ClaimStatus::Claimed);
    assert_eq!(got.claim.lease.epoch, LEASE_EPOCH_FIRST);
    assert_eq!(got.claim.lease.expires_at, at(0) + LEASE);
    assert_eq!(bed.store.claim_get(got.claim.claim_id).await.unwrap(), Some(got.claim));
}

pub async fn the_same_agent_has_the_issue_already(bed: Bed) {
    let bed = bed.with_issues([7]).await;
    let first = bed.granted("a1", 7).await;
    let again = already(bed.claim("a1", 7).await);
    assert_eq!(again.claim, first);
    assert_eq!(again.issue, Some(issue(7)));
    assert_eq!(bed.event_kinds().await, ["claim.created"]);
}

pub async fn second_agent_learns_who_holds_the_issue(bed: Bed) {
    let bed = bed.with_issues([7]).await;
    let first = bed.granted("a1", 7).await;
    match bed.claim("a2", 7).await {
        InsertOutcome::HeldBy(claim) => assert_eq!(*claim, first),
        other => panic!("{other:?}"),
    }
    assert_eq!(bed.event_kinds().await, ["claim.created"]);
}

pub async fn an_unknown_or_closed_issue_is_not_open(bed: Bed) {
    bed.sync(vec![closed(8)]).await;
    for number in [8, 9] {
        let outcome = bed.claim("a1", number).await;
        assert!(matches!(outcome, InsertOutcome::NotOpen), "{number}: {outcome:?}");
    }
    assert!(bed.events().await.is_empty());
}

pub async fn a_claim_on_a_forgotten_issue_still_tells_its_holder(bed: Bed) {
    let bed = bed.with_issues([7]).await;
    let claim = bed.granted("a1", 7).await;
    bed.store.issue_remove(issue_ref(7)).await.unwrap();
    let again = already(bed.claim("a1", 7).await);
    assert_eq!((again.claim, again.issue), (claim, None));
    assert!(matches!(bed.claim("a2", 7).await, InsertOutcome::HeldBy(_)));
}

pub async fn the_first_free_candidate_is_taken_in_order(bed: Bed) {
    let bed = bed.with_issues(1..=5).await;
    for (who, expected) in [("a1", 4), ("a2", 2), ("a3", 5)] {
        let got = granted(bed.store.claim_insert(first_free(who, [4, 2, 5])).await.unwrap());
        assert_eq!(got.claim.issue_ref(), issue_ref(expected));
        assert_eq!(got.issue, Some(issue(expected)));
    }
    let none = bed.store.claim_insert(first_free("a4", [4, 2, 5])).await.unwrap();
    assert!(matches!(none, InsertOutcome::NoneFree), "{none:?}");
    let none = bed.store.claim_insert(first_free("a4", [])).await.unwrap();
    assert!(matches!(none, InsertOutcome::NoneFree), "{none:?}");
}

pub async fn held_closed_and_unknown_candidates_are_passed_by(bed: Bed) {
    let bed = bed.with_issues([1, 2, 4]).await;
    bed.sync(vec![closed(3)]).await;
    bed.granted("a1", 1).await;
    bed.granted("a2", 2).await;
    let got = granted(bed.store.claim_insert(first_free("a1", [1, 2, 3, 99, 4])).await.unwrap());
    assert_eq!(got.claim.issue_ref(), issue_ref(4));
}

pub async fn a_finished_candidate_is_passed_by_but_can_be_claimed_by_name(bed: Bed) {
    let bed = bed.with_issues([1, 2]).await;
    let claim = bed.granted("a1", 1).await;
    bed.walk(&claim, &WHOLE_WAY).await;
    let got = granted(bed.store.claim_insert(first_free("a1", [1, 2])).await.unwrap());
    assert_eq!(got.claim.issue_ref(), issue_ref(2));
    let again = bed.granted("a2", 1).await;
    assert_ne!(again.claim_id, claim.claim_id);
    assert!(bed.store.snapshot_load().await.unwrap().finished.is_empty());
}

pub async fn the_same_request_gets_the_same_claim(bed: Bed) {
    let bed = bed.with_issues(1..=3).await;
    let first = granted(bed.store.claim_insert(named(first_free("a1", [1, 2]), "r1")).await.unwrap());
    let retry = already(bed.store.claim_insert(named(first_free("a1", [2, 3]), "r1")).await.unwrap());
    assert_eq!(retry.claim, first.claim);
    assert_eq!(retry.issue, Some(issue(1)));
    let other = granted(bed.store.claim_insert(named(first_free("a1", [1, 2]), "r2")).await.unwrap());
    assert_eq!(other.claim.issue_ref(), issue_ref(2));
}

pub async fn a_request_is_remembered_after_its_claim_ended(bed: Bed) {
    let bed = bed.with_issues([1]).await;
    let claim = granted(bed.store.claim_insert(named(exactly("a1", 1), "r1")).await.unwrap()).claim;
    bed.step(&claim, ClaimStatus::Released, Actor::Owner, 1).await;
    let retry = already(bed.store.claim_insert(named(exactly("a1", 1), "r1")).await.unwrap());
    assert_eq!(retry.claim.claim_id, claim.claim_id);
    assert_eq!(retry.claim.status(), ClaimStatus::Released);
    assert!(bed.store.claim_list(ClaimFilter::default()).await.unwrap().is_empty());
}

pub async fn request_ids_of_two_agents_are_two_requests(bed: Bed) {
    let bed = bed.with_issues([1, 2]).await;
    let one = granted(bed.store.claim_insert(named(first_free("a1", [1, 2]), "r1")).await.unwrap());
    let two = granted(bed.store.claim_insert(named(first_free("a2", [1, 2]), "r1")).await.unwrap());
    assert_ne!(one.claim.issue_ref(), two.claim.issue_ref());
}

pub async fn epochs_grow_with_every_grant(bed: Bed) {
    let bed = bed.with_issues([1, 2]).await;
    for (round, who) in ["a1", "a2", "a1"].into_iter().enumerate() {
        let claim = bed.granted(who, 1).await;
        assert_eq!(claim.lease.epoch, LEASE_EPOCH_FIRST + round as u64);
        bed.claim("rival", 1).await;
        bed.step(&claim, ClaimStatus::Released, Actor::Owner, 1).await;
    }
    assert_eq!(bed.granted("a1", 2).await.lease.epoch, LEASE_EPOCH_FIRST);
}

pub async fn the_decision_is_stored_with_its_claim(bed: Bed) {
    let bed = bed.with_issues([1, 2]).await;
    bed.granted("a1", 1).await;
    let decision = decision("a2");
    let wish = ClaimWish { decision: Some(decision.clone()), ..first_free("a2", [1, 2]) };
    let got = granted(bed.store.claim_insert(wish).await.unwrap());
    assert_eq!(got.claim.decision_id, Some(decision.decision_id));
    let stored = bed.store.decision_get(decision.decision_id).await.unwrap().unwrap();
    assert_eq!(stored.chosen.as_deref(), Some("acme/small#2"));
    assert_eq!(stored.considered, decision.considered);
}

pub async fn no_decision_is_stored_without_a_claim(bed: Bed) {
    let bed = bed.with_issues([1]).await;
    bed.granted("a1", 1).await;
    let decision = decision("a2");
    let wish = ClaimWish { decision: Some(decision.clone()), ..first_free("a2", [1]) };
    assert!(matches!(bed.store.claim_insert(wish).await.unwrap(), InsertOutcome::NoneFree));
    assert_eq!(bed.store.decision_get(decision.decision_id).await.unwrap(), None);
}

pub async fn lists_are_filtered_and_oldest_first(bed: Bed) {
    let bed = bed.with_issues(1..=4).await;
    for (who, number, minute) in [("a1", 1, 9), ("a2", 2, 3), ("a1", 3, 6), ("a1", 4, 1)] {
        granted(bed.store.claim_insert(ClaimWish { now: at(minute), ..exactly(who, number) }).await.unwrap());
    }
    let numbers = async |filter: ClaimFilter| -> Vec<u64> {
        bed.store.claim_list(filter).await.unwrap().iter().map(|claim| claim.issue_number.get()).collect()
    };
    let all = ClaimFilter::default();
    assert_eq!(numbers(all.clone()).await, [4, 2, 3, 1]);
    let of_a1 = ClaimFilter { agent: Some(agent("a1")), ..all.clone() };
    assert_eq!(numbers(of_a1.clone()).await, [4, 3, 1]);
    assert_eq!(numbers(ClaimFilter { repo: Some(repo()), ..all.clone() }).await, [4, 2, 3, 1]);
    let elsewhere = Some("acme/large".parse().unwrap());
    assert!(numbers(ClaimFilter { repo: elsewhere.clone(), ..all.clone() }).await.is_empty());
    assert!(numbers(ClaimFilter { repo: elsewhere, ..of_a1.clone() }).await.is_empty());

    let third = bed.store.claim_list(of_a1.clone()).await.unwrap().remove(1);
    bed.step(&third, ClaimStatus::InProgress, Actor::Owner, 10).await;
    let at_work = ClaimFilter { status: Some(ClaimStatus::InProgress), ..all.clone() };
    assert_eq!(numbers(at_work).await, [3]);
    bed.step(&third, ClaimStatus::Released, Actor::Owner, 11).await;
    assert_eq!(numbers(all).await, [4, 2, 1]);
}

/// A decision id that is taken makes the grant fail after its claim is written: all of it must go, and
/// nothing of what is committed with it.
pub async fn a_failing_write_does_not_fail_its_batch(bed: Bed) {
    let bed = bed.with_issues(1..=40).await;
    let taken = decision("a0");
    granted(bed.store.claim_insert(ClaimWish { decision: Some(taken.clone()), ..exactly("a0", 40) }).await.unwrap());
    bed.seen.take();
    let wishes = (1..=32u64).map(|number| {
        let decision = number.is_multiple_of(4).then(|| taken.clone());
        bed.store.claim_insert(ClaimWish { decision, ..exactly("a1", number) })
    });
    let outcomes = futures_util::future::join_all(wishes).await;
    for (number, outcome) in (1..=32u64).zip(outcomes) {
        assert_eq!(outcome.is_err(), number.is_multiple_of(4), "{number}: {outcome:?}");
    }
    let held = bed.store.claim_list(ClaimFilter { agent: Some(agent("a1")), ..ClaimFilter::default() }).await.unwrap();
    assert_eq!(held.len(), 24);
    assert_eq!(bed.seen.events().len(), 24);
    assert_eq!(bed.granted("a2", 4).await.lease.epoch, LEASE_EPOCH_FIRST);
}
