//! Events, and what the observer sees.

use std::sync::Arc;

use issuecommand::domain::{Actor, ClaimStatus, EventDraft, EventKind, EventSeq};
use issuecommand::store::Change;
use serde_json::json;

use crate::bed::{Bed, agent, at, closed, first_free, issue_ref};

pub async fn events_are_numbered_in_the_order_of_changes(bed: Bed) {
    let bed = bed.with_issues([1, 2]).await;
    let first = bed.granted("a1", 1).await;
    let second = bed.granted("a2", 2).await;
    bed.step(&first, ClaimStatus::InProgress, Actor::Owner, 1).await;
    bed.step(&second, ClaimStatus::Released, Actor::Owner, 2).await;
    let events = bed.events().await;
    let numbers: Vec<_> = events.iter().map(|event| event.event_id.0).collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
    let last = &events[3].draft;
    assert_eq!(last.kind, EventKind::ClaimReleased);
    assert_eq!(last.claim_id, Some(second.claim_id));
    assert_eq!(last.agent_id, Some(agent("a2")));
    assert_eq!(last.issue_number, Some(issue_ref(2).number));
    assert_eq!(last.timestamp, at(2));
    assert_eq!(last.details["epoch"], 1);
}

pub async fn the_observer_sees_exactly_what_was_committed(bed: Bed) {
    let bed = bed.with_issues(1..=50).await;
    let agents = (0..25).map(|n| {
        let store = Arc::clone(&bed.store);
        tokio::spawn(async move {
            for _ in 0..2 {
                store.claim_insert(first_free(&format!("a{n}"), 1..=50)).await.unwrap();
            }
        })
    });
    for agent in agents.collect::<Vec<_>>() {
        agent.await.unwrap();
    }
    bed.sync(vec![closed(1), closed(2)]).await;
    let committed = bed.events().await;
    assert_eq!(committed.len(), 52);
    assert_eq!(bed.seen.events(), committed);
    // A claim is shown before the event that tells of it.
    let changes = bed.seen.take();
    for pair in changes.windows(2) {
        if let Change::Event(event) = &pair[1] {
            assert!(matches!(&pair[0], Change::ClaimSet(claim) if Some(claim.claim_id) == event.draft.claim_id));
        }
    }
}

pub async fn a_write_is_observed_before_it_is_answered(bed: Bed) {
    let bed = bed.with_issues(1..=32).await;
    let claims = (1..=32).map(|number| {
        let bed = &bed;
        async move {
            let claim = bed.granted("a1", number).await;
            let seen = bed.seen.events();
            assert!(seen.iter().any(|event| event.draft.claim_id == Some(claim.claim_id)));
        }
    });
    futures_util::future::join_all(claims).await;
}

pub async fn a_page_of_events_is_bounded(bed: Bed) {
    let bed = bed.with_issues(1..=5).await;
    for number in 1..=5 {
        bed.granted("a1", number).await;
    }
    let page = bed.store.event_list_after(EventSeq(1), 2).await.unwrap();
    assert_eq!(page.iter().map(|event| event.event_id.0).collect::<Vec<_>>(), [2, 3]);
    assert!(bed.store.event_list_after(EventSeq(5), 10).await.unwrap().is_empty());
    assert!(bed.store.event_list_after(EventSeq(u64::MAX), 10).await.unwrap().is_empty());
}

pub async fn events_of_their_own_are_appended(bed: Bed) {
    let draft = |n: u64| EventDraft::new(EventKind::PolicyReloaded, at(n), json!({ "n": n }));
    bed.store.event_append(vec![draft(1), draft(2)]).await.unwrap();
    let events = bed.events().await;
    assert_eq!(events.iter().map(|event| event.draft.clone()).collect::<Vec<_>>(), [draft(1), draft(2)]);
    assert_eq!(bed.seen.events(), events);
    assert_eq!(bed.store.snapshot_load().await.unwrap().last_event, EventSeq(2));
}
