//! Signs of life of claims, and what agents are to be told.

use issuecommand::domain::{Actor, AgentId, ClaimStatus, PullSignal, Step};
use issuecommand::store::{Change, ClaimOverrule, Notice, SignalNews};

use crate::bed::{Bed, Keep, agent, at, change};

fn notices(changes: &[Change]) -> Vec<Notice> {
    let notice = |change: &Change| match change {
        Change::Notice(notice) => Some((**notice).clone()),
        _ => None,
    };
    changes.iter().filter_map(notice).collect()
}

pub async fn signs_of_life_are_kept_for_as_long_as_their_claim_is_active(bed: Bed) {
    let bed = bed.with_issues([1, 2]).await;
    let (one, two) = (bed.granted("a1", 1).await, bed.granted("a1", 2).await);
    let pushed = |minute| SignalNews { pushed_at: Some(at(minute)), ..SignalNews::default() };
    bed.store.claim_signal_note(one.claim_id, pushed(5)).await.unwrap();
    bed.store.claim_signal_note(one.claim_id, pushed(4)).await.unwrap();
    let open = SignalNews { pull: Some(PullSignal::Open), ..SignalNews::default() };
    bed.store.claim_signal_note(one.claim_id, open).await.unwrap();
    bed.store.claim_signal_note(two.claim_id, pushed(1)).await.unwrap();
    bed.step(&two, ClaimStatus::Released, Actor::Owner, 2).await;
    bed.store.claim_signal_note(two.claim_id, pushed(3)).await.unwrap();
    let bed = bed.reopen(Keep::default()).await;
    let kept = bed.store.claim_signal_list().await.unwrap();
    assert_eq!(kept.len(), 1, "{kept:?}");
    let (claim_id, kept) = &kept[0];
    assert_eq!((claim_id, kept.signals.last_push_at), (&one.claim_id, Some(at(5))));
    assert_eq!(kept.signals.pull, PullSignal::Open);
}

pub async fn who_loses_a_claim_to_others_is_told_and_who_gives_it_up_is_not(bed: Bed) {
    let bed = bed.with_issues([1, 2, 3]).await;
    let (swept, given_up, moved) = (bed.granted("a1", 1).await, bed.granted("a1", 2).await, bed.granted("a2", 3).await);
    bed.step(&swept, ClaimStatus::Stale, Actor::Sweep, 5).await;
    let step = Step::to(ClaimStatus::Released, Actor::Sweep).with_note("nothing was heard of a1.");
    bed.store.claim_advance(change(&swept, step, 9)).await.unwrap();
    bed.step(&given_up, ClaimStatus::Released, Actor::Owner, 9).await;
    let wish = ClaimOverrule {
        claim_id: moved.claim_id,
        to: Some(agent("a3")),
        by: "ann".into(),
        note: Some("a2 is gone".into()),
        lease: crate::bed::LEASE,
        now: at(10),
    };
    bed.store.claim_overrule(wish).await.unwrap();
    let told = notices(&bed.seen.take());
    let lines: Vec<(&AgentId, &str)> = told.iter().map(|notice| (&notice.agent_id, notice.told.as_str())).collect();
    let first = "acme/small#1 is no longer yours since 2023-11-14 22:22 UTC: nothing was heard of a1. \
         Stop work on it, or claim it again.";
    assert_eq!(lines[0], (&agent("a1"), first));
    assert!(lines[1].1.contains("an operator gave it to a3 (a2 is gone)"), "{lines:?}");
    assert_eq!((lines.len(), lines[1].0), (2, &agent("a2")));

    let bed = bed.reopen(Keep::default()).await;
    assert_eq!(bed.store.snapshot_load().await.unwrap().notices, told, "a restart forgets nothing");
    bed.store.notice_told(vec![told[0].notice_id]).await.unwrap();
    assert_eq!(bed.store.snapshot_load().await.unwrap().notices, told[1..]);
}
