//! Steps of a claim.

use issuecommand::domain::{Actor, Advance, ClaimId, ClaimStatus, Step, TransitionError};
use issuecommand::store::{AdvanceOutcome, Change, ClaimChange, ClaimFilter};

use crate::bed::{Bed, LEASE, WHOLE_WAY, agent, at, change, issue_ref, moved};

pub async fn a_claim_goes_all_the_way(bed: Bed) {
    let bed = bed.with_issues([1]).await;
    let claim = bed.granted("a1", 1).await;
    let done = bed.walk(&claim, &WHOLE_WAY).await;
    assert_eq!(done.status(), ClaimStatus::Closed);
    assert_eq!(done.pr_url(), Some("https://x/pull/1"));
    assert_eq!(done.status_history().len(), 5);
    assert_eq!(bed.store.claim_get(claim.claim_id).await.unwrap().as_ref(), Some(&done));
    assert!(bed.store.claim_list(ClaimFilter::default()).await.unwrap().is_empty());
    let mut kinds = vec!["claim.created"];
    kinds.extend(["claim.updated"; 4]);
    assert_eq!(bed.event_kinds().await, kinds);
    let after = bed.step(&claim, ClaimStatus::InProgress, Actor::Owner, 2).await;
    assert!(matches!(after, AdvanceOutcome::NotFound), "{after:?}");
}

pub async fn a_released_issue_is_free_again(bed: Bed) {
    let bed = bed.with_issues([1]).await;
    let claim = bed.granted("a1", 1).await;
    let step = Step::to(ClaimStatus::Released, Actor::Owner).with_note("too hard");
    moved(bed.store.claim_advance(change(&claim, step, 1)).await.unwrap());
    let events = bed.events().await;
    assert_eq!(events.last().unwrap().draft.kind.as_str(), "claim.released");
    assert_eq!(events.last().unwrap().draft.details["note"], "too hard");
    bed.granted("a2", 1).await;
}

pub async fn only_the_owner_moves_a_claim(bed: Bed) {
    let bed = bed.with_issues([1]).await;
    let claim = bed.granted("a1", 1).await;
    let wish = change(&claim, Step::to(ClaimStatus::Released, Actor::Owner), 1);
    let by_rival = ClaimChange { owner: Some(agent("a2")), ..wish.clone() };
    match bed.store.claim_advance(by_rival).await.unwrap() {
        AdvanceOutcome::NotOwner(holder) => assert_eq!(*holder, claim),
        other => panic!("{other:?}"),
    }
    let unknown = ClaimChange { claim_id: ClaimId::fresh(), ..wish.clone() };
    assert!(matches!(bed.store.claim_advance(unknown).await.unwrap(), AdvanceOutcome::NotFound));
    moved(bed.store.claim_advance(ClaimChange { owner: Some(agent("a1")), ..wish }).await.unwrap());
}

pub async fn a_late_epoch_is_superseded(bed: Bed) {
    let bed = bed.with_issues([1]).await;
    let claim = bed.granted("a1", 1).await;
    let wish = change(&claim, Step::to(ClaimStatus::InProgress, Actor::Owner), 1);
    let late = ClaimChange { epoch: Some(claim.lease.epoch + 1), ..wish.clone() };
    match bed.store.claim_advance(late).await.unwrap() {
        AdvanceOutcome::Superseded(present) => assert_eq!(*present, claim),
        other => panic!("{other:?}"),
    }
    moved(bed.store.claim_advance(ClaimChange { epoch: Some(claim.lease.epoch), ..wish }).await.unwrap());
}

pub async fn a_sweep_does_not_undo_what_the_owner_did_meanwhile(bed: Bed) {
    let bed = bed.with_issues([1]).await;
    let seen_by_sweep = bed.granted("a1", 1).await;
    let renewed = moved(bed.step(&seen_by_sweep, ClaimStatus::Claimed, Actor::Owner, 119).await);
    let last_updated = Some(seen_by_sweep.last_updated());
    let lapse = change(&seen_by_sweep, Step::to(ClaimStatus::Stale, Actor::Sweep), 120);
    match bed.store.claim_advance(ClaimChange { last_updated, ..lapse.clone() }).await.unwrap() {
        AdvanceOutcome::Superseded(present) => assert_eq!(*present, renewed),
        other => panic!("{other:?}"),
    }
    let last_updated = Some(renewed.last_updated());
    let stale = moved(bed.store.claim_advance(ClaimChange { last_updated, ..lapse }).await.unwrap());
    assert_eq!(stale.status(), ClaimStatus::Stale);
}

pub async fn an_owner_mismatch_is_told_before_the_epoch(bed: Bed) {
    let bed = bed.with_issues([1]).await;
    let claim = bed.granted("a1", 1).await;
    let wish = ClaimChange {
        owner: Some(agent("a2")),
        epoch: Some(99),
        last_updated: Some(at(99)),
        ..change(&claim, Step::to(ClaimStatus::Closed, Actor::Owner), 1)
    };
    assert!(matches!(bed.store.claim_advance(wish.clone()).await.unwrap(), AdvanceOutcome::NotOwner(_)));
    let wish = ClaimChange { owner: Some(agent("a1")), ..wish };
    assert!(matches!(bed.store.claim_advance(wish).await.unwrap(), AdvanceOutcome::Superseded(_)));
}

pub async fn a_refused_step_changes_nothing(bed: Bed) {
    let bed = bed.with_issues([1]).await;
    let claim = bed.granted("a1", 1).await;
    bed.seen.take();
    match bed.step(&claim, ClaimStatus::PrMerged, Actor::Owner, 1).await {
        AdvanceOutcome::Refused(present, error) => {
            assert_eq!(*present, claim);
            let (from, to) = (ClaimStatus::Claimed, ClaimStatus::PrMerged);
            assert_eq!(error, TransitionError::NotAllowed { from, to });
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(bed.store.claim_get(claim.claim_id).await.unwrap(), Some(claim));
    assert!(bed.seen.take().is_empty());
}

pub async fn a_heartbeat_renews_the_lease_without_an_event(bed: Bed) {
    let bed = bed.with_issues([1]).await;
    let claim = bed.granted("a1", 1).await;
    bed.seen.take();
    match bed.step(&claim, ClaimStatus::Claimed, Actor::Owner, 30).await {
        AdvanceOutcome::Moved(renewed, Advance::AlreadyThere) => {
            assert_eq!(renewed.lease.expires_at, at(30) + LEASE);
            assert_eq!(bed.store.claim_get(claim.claim_id).await.unwrap(), Some(*renewed));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(bed.event_kinds().await, ["claim.created"]);
    let changes = bed.seen.take();
    assert!(matches!(&changes[..], [Change::ClaimSet(claim)] if claim.lease.expires_at == at(30) + LEASE));
}

pub async fn a_lapsed_claim_blocks_until_it_is_taken_back(bed: Bed) {
    let bed = bed.with_issues([1]).await;
    let claim = bed.granted("a1", 1).await;
    moved(bed.step(&claim, ClaimStatus::Stale, Actor::Sweep, 120).await);
    assert!(matches!(bed.claim("a2", 1).await, issuecommand::store::InsertOutcome::HeldBy(_)));
    moved(bed.step(&claim, ClaimStatus::Released, Actor::Sweep, 130).await);
    bed.granted("a2", 1).await;
    let kinds = bed.event_kinds().await;
    assert_eq!(kinds, ["claim.created", "claim.stale", "claim.auto_released", "claim.created"]);
}

pub async fn a_closed_claim_marks_its_issue_as_finished(bed: Bed) {
    let bed = bed.with_issues([1, 2]).await;
    let claim = bed.granted("a1", 1).await;
    assert!(bed.store.snapshot_load().await.unwrap().finished.is_empty());
    bed.walk(&claim, &WHOLE_WAY).await;
    assert_eq!(bed.store.snapshot_load().await.unwrap().finished, [issue_ref(1)]);
}

pub async fn a_released_claim_leaves_no_finished_mark(bed: Bed) {
    let bed = bed.with_issues([1]).await;
    let first = bed.granted("a1", 1).await;
    bed.walk(&first, &WHOLE_WAY).await;
    let second = bed.granted("a2", 1).await;
    bed.walk(&second, &[ClaimStatus::Released]).await;
    assert!(bed.store.snapshot_load().await.unwrap().finished.is_empty());
}
