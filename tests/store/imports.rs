//! Claims from elsewhere.

use issuecommand::domain::{Actor, ClaimRecord, ClaimStatus, RestoredClaim};
use issuecommand::store::{ClaimFilter, ClaimImport, ImportOutcome, InsertOutcome};
use serde_json::{Value, json};

use crate::bed::{Bed, Keep, LEASE, WHOLE_WAY, at, first_free, granted, issue, issue_ref};

/// A record of the first edition: it has no lease.
pub fn record(id: u64, who: &str, number: u64, status: &str, minute: u64) -> Value {
    json!({
        "claim_id": format!("6a1b7c5e-1f7f-4a65-9f0e-{id:012}"), "agent_id": who, "repo": "acme/small",
        "issue_number": number, "issue_title": "Fix it", "issue_labels": [], "issue_assignees": [], "status": status,
        "claimed_at": at(minute), "last_updated": at(minute), "status_history": [{ "status": status, "timestamp": at(minute) }],
    })
}

fn restored(record: Value) -> RestoredClaim {
    serde_json::from_value::<ClaimRecord>(record).unwrap().restore(at(1000)).unwrap()
}

fn import(records: Vec<Value>, dry_run: bool) -> ClaimImport {
    ClaimImport { claims: records.into_iter().map(restored).collect(), lease: LEASE, dry_run, now: at(1000) }
}

pub async fn words(bed: &Bed, records: Vec<Value>) -> Vec<&'static str> {
    let outcomes = bed.store.claim_import(import(records, false)).await.unwrap();
    let word = |outcome: &ImportOutcome| match outcome {
        ImportOutcome::Taken => "taken",
        ImportOutcome::AlreadyHere(_) => "here",
        ImportOutcome::HeldBy(_) => "held",
        ImportOutcome::Passed => "passed",
    };
    outcomes.iter().map(word).collect()
}

pub async fn claims_from_elsewhere_are_exclusive_here_and_twice_is_once(bed: Bed) {
    let bed = bed.with_issues(1..=3).await;
    let records = || {
        vec![record(1, "a1", 1, "released", 1), record(2, "a1", 1, "in_progress", 2), record(3, "b2", 2, "stale", 3)]
    };
    assert_eq!(words(&bed, records()).await, ["taken", "taken", "taken"]);
    assert_eq!(bed.event_kinds().await, ["claim.created", "claim.created"], "what is past happened elsewhere");
    let before = bed.store.snapshot_load().await.unwrap();
    assert_eq!(words(&bed, records()).await, ["here", "here", "here"]);
    let after = bed.store.snapshot_load().await.unwrap();
    assert_eq!((after.claims, after.granted_count, after.last_event), (before.claims.clone(), 3, before.last_event));
    assert!(matches!(bed.claim("c3", 1).await, InsertOutcome::HeldBy(claim) if claim.lease.epoch == 2));
    let claim = bed.step(&before.claims[0], ClaimStatus::Released, Actor::Owner, 1001).await;
    crate::bed::moved(claim);
    assert_eq!(bed.granted("c3", 1).await.lease.epoch, 3, "epochs go on from there");
}

pub async fn a_live_claim_of_another_is_never_touched_by_an_import(bed: Bed) {
    let bed = bed.with_issues([1]).await;
    let held = bed.granted("owner", 1).await;
    assert_eq!(words(&bed, vec![record(1, "a1", 1, "in_progress", 1)]).await, ["held"]);
    // Not even under the identity of the claim itself.
    let mut forged = record(1, "thief", 1, "in_progress", 1);
    forged["claim_id"] = json!(held.claim_id);
    assert_eq!(words(&bed, vec![forged.clone()]).await, ["here"]);
    forged["status"] = json!("released");
    forged["status_history"] = json!([]);
    assert_eq!(words(&bed, vec![forged]).await, ["here"]);
    assert_eq!(bed.store.claim_list(ClaimFilter::default()).await.unwrap(), [held]);
}

pub async fn work_that_was_closed_elsewhere_is_not_handed_out_again(bed: Bed) {
    let bed = bed.with_issues([1, 2]).await;
    assert_eq!(words(&bed, vec![record(1, "a1", 1, "closed", 1)]).await, ["taken"]);
    assert_eq!(bed.store.snapshot_load().await.unwrap().finished, [issue_ref(1)]);
    let next = bed.store.claim_insert(first_free("b2", [1, 2])).await.unwrap();
    assert_eq!(granted(next).claim.issue_ref(), issue_ref(2));
}

pub async fn work_that_was_closed_where_a_copy_was_made_of_is_not_handed_out_by_the_copy(bed: Bed) {
    let of_its_own = |id: u64, number: u64, status: &str, epoch: u64| {
        let mut record = record(id, "a1", number, status, id);
        record["lease"] = json!({ "epoch": epoch, "expires_at": at(1000) });
        record
    };
    // Known to the copy are issue 1, which nobody had, and issue 3, which was granted there twice since.
    let bed = bed.with_issues([1, 3]).await.copied().await;
    let base = bed.granted("b2", 3).await;
    bed.walk(&base, &[ClaimStatus::Released]).await;
    bed.walk(&bed.granted("b2", 3).await, &[ClaimStatus::Released]).await;
    let base = base.lease.epoch - 1;
    let records = vec![
        of_its_own(1, 1, "closed", 2),
        of_its_own(2, 1, "released", 1),
        of_its_own(3, 2, "released", 3),
        of_its_own(4, 2, "closed", 4),
        of_its_own(5, 3, "closed", 1),
    ];
    assert_eq!(words(&bed, records).await, ["taken"; 5]);
    bed.sync(vec![issue(2)]).await;
    let bed = bed.reopen(Keep::default()).await;
    let snapshot = bed.store.snapshot_load().await.unwrap();
    assert_eq!(snapshot.finished, [issue_ref(1), issue_ref(2)]);
    assert_eq!(snapshot.granted_count, 2 + 4 + 2);
    let next = granted(bed.store.claim_insert(first_free("c3", [1, 2, 3])).await.unwrap()).claim;
    assert_eq!(next.issue_ref(), issue_ref(3), "the last who had it gave it back");
    assert_eq!(next.lease.epoch, base + 3);
    for (number, granted_before) in [(1, 2), (2, 4)] {
        assert_eq!(bed.granted("c3", number).await.lease.epoch, base + granted_before + 1);
    }
}

pub async fn a_trial_import_answers_the_same_and_changes_nothing(bed: Bed) {
    let bed = bed.with_issues([1, 2]).await;
    bed.granted("owner", 2).await;
    bed.seen.take();
    let records =
        vec![record(1, "a1", 1, "closed", 1), record(2, "a1", 1, "claimed", 2), record(3, "a1", 2, "claimed", 2)];
    let trial = bed.store.claim_import(import(records.clone(), true)).await.unwrap();
    assert!(matches!(&trial[..], [ImportOutcome::Taken, ImportOutcome::Taken, ImportOutcome::HeldBy(_)]), "{trial:?}");
    assert!(bed.seen.take().is_empty());
    assert_eq!(bed.store.claim_list(ClaimFilter::default()).await.unwrap().len(), 1);
    assert_eq!(words(&bed, records).await, ["taken", "taken", "held"]);
}

pub async fn an_export_taken_into_an_empty_store_is_the_same_state(bed: Bed) {
    let bed = bed.with_issues(1..=3).await;
    let done = bed.walk(&bed.granted("a1", 1).await, &WHOLE_WAY).await;
    let active = bed.granted("b2", 2).await;
    let records = vec![json!(done), json!(active)];
    let other = Bed::open(crate::bed::Sqlite::fresh()).await.with_issues(1..=3).await;
    assert_eq!(words(&other, records).await, ["taken", "taken"]);
    assert_eq!(other.store.claim_get(done.claim_id).await.unwrap(), Some(done));
    assert_eq!(other.store.claim_list(ClaimFilter::default()).await.unwrap(), [active]);
}

pub async fn a_history_without_room_passes_over_what_it_would_trim(bed: Bed) {
    let bed = bed.with_issues([1]).await.reopen(Keep { past_claims: 2, ..Keep::default() }).await;
    let records = || (1..=4).map(|n| record(n, "a1", 1, "released", n)).collect::<Vec<_>>();
    assert_eq!(words(&bed, records()).await, ["taken"; 4]);
    let kept = || bed.store.claim_history(Default::default(), None, 9);
    let before = kept().await.unwrap().claims;
    assert_eq!(before.len(), 2);
    assert_eq!(words(&bed, records()).await, ["passed", "passed", "here", "here"]);
    assert_eq!(kept().await.unwrap().claims, before);
}
