//! Exclusivity under many agents at once, checked against an oracle that knows nothing of the store.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};

use issuecommand::domain::{Actor, Claim, ClaimStatus, EventKind, Step};
use issuecommand::store::{ClaimFilter, InsertOutcome, Store};
use tokio::sync::Barrier;

use crate::bed::{Bed, change, exactly, first_free, granted, moved, named};

const AGENT_COUNT: usize = 64;

/// Runs `work` for every agent, all let loose together, and collects what they bring back.
async fn race<T, W, F>(bed: &Bed, work: W) -> Vec<T>
where
    T: Send + 'static,
    W: Fn(Arc<dyn Store>, String) -> F,
    F: Future<Output = T> + Send + 'static,
{
    let start = Arc::new(Barrier::new(AGENT_COUNT));
    let agents: Vec<_> = (0..AGENT_COUNT)
        .map(|n| {
            let start = Arc::clone(&start);
            let working = work(Arc::clone(&bed.store), format!("a{n}"));
            tokio::spawn(async move {
                start.wait().await;
                working.await
            })
        })
        .collect();
    let mut brought = Vec::new();
    for agent in agents {
        brought.push(agent.await.unwrap());
    }
    brought
}

pub async fn one_issue_has_one_owner_among_many(bed: Bed) {
    let bed = bed.with_issues([1]).await;
    let outcomes = race(&bed, |store, who| async move { store.claim_insert(exactly(&who, 1)).await.unwrap() }).await;
    let mut owners = HashSet::new();
    for outcome in &outcomes {
        match outcome {
            InsertOutcome::Granted(granted) => owners.insert(granted.claim.agent_id.clone()),
            InsertOutcome::HeldBy(claim) => owners.insert(claim.agent_id.clone()),
            other => panic!("{other:?}"),
        };
    }
    let grants = outcomes.iter().filter(|outcome| matches!(outcome, InsertOutcome::Granted(_))).count();
    assert_eq!((grants, owners.len()), (1, 1));
}

pub async fn racing_agents_share_out_every_issue_once(bed: Bed) {
    const ISSUE_COUNT: u64 = 200;
    let bed = bed.with_issues(1..=ISSUE_COUNT).await;
    let claims = race(&bed, |store, who| async move {
        let mut mine = Vec::new();
        loop {
            match store.claim_insert(first_free(&who, 1..=ISSUE_COUNT)).await.unwrap() {
                InsertOutcome::Granted(granted) => mine.push(granted.claim),
                InsertOutcome::NoneFree => return mine,
                other => panic!("{other:?}"),
            }
        }
    })
    .await;
    let claims: Vec<Claim> = claims.into_iter().flatten().collect();
    let issues: HashSet<_> = claims.iter().map(Claim::issue_ref).collect();
    assert_eq!(issues.len(), 200, "every issue has an owner");
    assert_eq!(claims.len(), 200, "no issue has two");
    assert_eq!(bed.store.claim_list(ClaimFilter::default()).await.unwrap().len(), 200);
}

pub async fn concurrent_retries_of_a_request_get_one_claim(bed: Bed) {
    let bed = bed.with_issues(1..=100).await;
    let outcomes =
        race(&bed, |store, _| async move { store.claim_insert(named(first_free("a1", 1..=100), "r1")).await.unwrap() })
            .await;
    let mut ids = HashSet::new();
    let mut grants = 0;
    for outcome in outcomes {
        match outcome {
            InsertOutcome::Granted(granted) => {
                grants += 1;
                ids.insert(granted.claim.claim_id);
            }
            InsertOutcome::Already(granted) => {
                ids.insert(granted.claim.claim_id);
            }
            other => panic!("{other:?}"),
        }
    }
    assert_eq!((grants, ids.len()), (1, 1));
    assert_eq!(bed.store.claim_list(ClaimFilter::default()).await.unwrap().len(), 1);
}

/// Every agent notes what it believes to hold, from the answer to its claim until before it gives it
/// back: two believers at once are two owners.
pub async fn claims_and_releases_interleave_without_two_owners(bed: Bed) {
    let bed = bed.with_issues(1..=8).await;
    let held: Arc<Mutex<HashMap<u64, String>>> = Arc::default();
    let rounds = race(&bed, |store, who| {
        let held = Arc::clone(&held);
        async move {
            let mut epochs = Vec::new();
            for _ in 0..20 {
                let InsertOutcome::Granted(got) = store.claim_insert(first_free(&who, 1..=8)).await.unwrap() else {
                    tokio::task::yield_now().await;
                    continue;
                };
                let number = got.claim.issue_number.get();
                let other = held.lock().unwrap().insert(number, who.clone());
                assert_eq!(other, None, "issue {number} has two owners");
                tokio::task::yield_now().await;
                assert_eq!(held.lock().unwrap().remove(&number), Some(who.clone()));
                let step = Step::to(ClaimStatus::Released, Actor::Owner);
                moved(store.claim_advance(change(&got.claim, step, 1)).await.unwrap());
                epochs.push((number, got.claim.lease.epoch));
            }
            epochs
        }
    })
    .await;
    let epochs: Vec<_> = rounds.into_iter().flatten().collect();
    assert!(epochs.len() >= 8, "only {} grants: nothing raced", epochs.len());
    assert_eq!(epochs.iter().collect::<HashSet<_>>().len(), epochs.len(), "an epoch was given twice");
    let created = bed.events().await.iter().filter(|event| event.draft.kind == EventKind::ClaimCreated).count();
    assert_eq!(created, epochs.len());
}

pub async fn a_caller_that_goes_away_disturbs_nobody(bed: Bed) {
    let bed = bed.with_issues(1..=200).await;
    let callers: Vec<_> = (1..=100)
        .map(|number| {
            let store = Arc::clone(&bed.store);
            tokio::spawn(async move { store.claim_insert(exactly("leaver", number)).await })
        })
        .collect();
    callers.iter().for_each(tokio::task::JoinHandle::abort);
    for number in 101..=200 {
        granted(bed.claim("stayer", number).await);
    }
    for caller in callers {
        let _ = caller.await;
    }
    // Whatever the leavers' calls came to, it is whole: a claim with its event, or neither.
    let claims = bed.store.claim_list(ClaimFilter::default()).await.unwrap();
    let claimed: HashSet<_> = claims.iter().map(|claim| Some(claim.claim_id)).collect();
    let told: HashSet<_> = bed.events().await.iter().map(|event| event.draft.claim_id).collect();
    assert_eq!(claimed, told);
    assert!(claims.len() >= 100);
}
