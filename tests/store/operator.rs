//! An operator's word on any claim.

use chrono::TimeDelta;
use issuecommand::domain::{Actor, Claim, ClaimStatus, Step};
use issuecommand::store::{AdvanceOutcome, ClaimChange, ClaimOverrule, InsertOutcome, OverruleOutcome};
use serde_json::json;

use crate::bed::{Bed, Keep, agent, at, change, exactly, granted, named};

fn overrule(claim: &Claim, to: Option<&str>) -> ClaimOverrule {
    ClaimOverrule {
        claim_id: claim.claim_id,
        to: to.map(agent),
        by: "api key".into(),
        note: Some("on holiday".into()),
        lease: TimeDelta::minutes(60),
        now: at(10),
    }
}

async fn done(bed: &Bed, wish: ClaimOverrule) -> Claim {
    match bed.store.claim_overrule(wish).await.unwrap() {
        OverruleOutcome::Done(claim) => *claim,
        other => panic!("expected it done, got {other:?}"),
    }
}

pub async fn an_operator_takes_a_claim_back_and_the_event_says_who_and_why(bed: Bed) {
    let bed = bed.with_issues([1]).await;
    let claim = bed.granted("a1", 1).await;
    let ended = done(&bed, overrule(&claim, None)).await;
    assert_eq!(ended.status(), ClaimStatus::Released);
    let event = bed.seen.events().pop().unwrap();
    assert_eq!(event.draft.kind.as_str(), "claim.released");
    let details = json!({ "status": "released", "epoch": 1, "note": "on holiday", "operator": "api key",
        "former_agent_id": "a1" });
    assert_eq!(event.draft.details, details);
    assert!(matches!(bed.store.claim_overrule(overrule(&claim, None)).await.unwrap(), OverruleOutcome::NotFound));
    assert_eq!(bed.granted("a2", 1).await.lease.epoch, 2, "the issue is free again");
}

pub async fn a_reassigned_claim_is_the_new_owners_and_the_former_one_is_fenced_off(bed: Bed) {
    let bed = bed.with_issues([1, 2]).await;
    let claim = granted(bed.store.claim_insert(named(exactly("a1", 1), "r1")).await.unwrap()).claim;
    let moved = done(&bed, overrule(&claim, Some("b2"))).await;
    assert_eq!((moved.agent_id.as_str(), moved.lease.epoch, moved.lease.expires_at), ("b2", 2, at(70)));
    assert_eq!(moved.claim_id, claim.claim_id);
    let event = bed.seen.events().pop().unwrap().draft;
    assert_eq!((event.kind.as_str(), event.agent_id), ("claim.updated", Some(agent("b2"))));
    assert_eq!(event.details["former_agent_id"], "a1");
    assert_eq!(event.details["note"], "reassigned from a1 to b2: on holiday");

    let late =
        ClaimChange { owner: Some(agent("a1")), ..change(&claim, Step::to(ClaimStatus::InProgress, Actor::Owner), 11) };
    let outcome = bed.store.claim_advance(late).await.unwrap();
    assert!(matches!(&outcome, AdvanceOutcome::NotOwner(claim) if claim.agent_id == agent("b2")), "{outcome:?}");
    let by_epoch = ClaimChange { epoch: Some(1), ..change(&claim, Step::to(ClaimStatus::Released, Actor::Sweep), 11) };
    assert!(matches!(bed.store.claim_advance(by_epoch).await.unwrap(), AdvanceOutcome::Superseded(_)));
    assert!(matches!(bed.claim("a1", 1).await, InsertOutcome::HeldBy(held) if held.agent_id == agent("b2")));

    let bed = bed.reopen(Keep::default()).await;
    assert_eq!(bed.store.snapshot_load().await.unwrap().claims, std::slice::from_ref(&moved));
    bed.step(&moved, ClaimStatus::Released, Actor::Owner, 12).await;
    assert_eq!(bed.granted("a1", 1).await.lease.epoch, 3, "no epoch is given twice");
}

pub async fn a_request_id_stays_with_the_agent_that_sent_it(bed: Bed) {
    let bed = bed.with_issues([1, 2, 3]).await;
    let first = granted(bed.store.claim_insert(named(exactly("a1", 1), "r1")).await.unwrap()).claim;
    let own = granted(bed.store.claim_insert(named(exactly("b2", 2), "r1")).await.unwrap()).claim;
    done(&bed, overrule(&first, Some("b2"))).await;
    let retry = bed.store.claim_insert(named(exactly("b2", 3), "r1")).await.unwrap();
    assert!(matches!(retry, InsertOutcome::Already(got) if got.claim.claim_id == own.claim_id));
}

pub async fn a_lapsed_claim_can_be_reassigned_and_is_in_progress_again(bed: Bed) {
    let bed = bed.with_issues([1]).await;
    let claim = bed.granted("a1", 1).await;
    bed.step(&claim, ClaimStatus::Stale, Actor::Sweep, 5).await;
    let moved = done(&bed, overrule(&claim, Some("b2"))).await;
    assert_eq!(moved.status(), ClaimStatus::InProgress);
    let outcome = bed.store.claim_overrule(overrule(&claim, Some("b2"))).await.unwrap();
    assert!(matches!(outcome, OverruleOutcome::AlreadyTheirs(claim) if claim.lease.epoch == 2));
}
