//! Follow-ups: made once, taken once, settled by what GitHub says.

use issuecommand::domain::{
    ClaimId, Feedback, FeedbackKind, FollowUp, FollowUpRefusal, FollowUpStatus, FollowUpStep, IssueRef, Mover,
    Reservation, WorkItemId,
};
use issuecommand::store::{
    FollowUpChange, FollowUpFilter, FollowUpInserted, FollowUpLink, FollowUpMoved, FollowUpTake, FollowUpTaken,
    InsertOutcome, Settlement, Settles,
};

use crate::bed::{Bed, Keep, agent, at, exactly, granted, issue_ref, named, next_work};

fn feedback(kind: FeedbackKind, id: u64) -> Feedback {
    Feedback {
        kind,
        id,
        pull: issue_ref(50),
        pull_url: "https://github.com/acme/small/pull/50".into(),
        pull_title: "Fix it".into(),
        author: "ann".into(),
        by_bot: false,
        author_association: "MEMBER".into(),
        body: "Use a constant.".into(),
        place: None,
        commit: None,
        created_at: at(0),
    }
}

pub fn item(id: u64, minute: u64) -> FollowUp {
    FollowUp::of(&feedback(FeedbackKind::PrComment, id), at(minute))
}

pub async fn made(bed: &Bed, item: FollowUp) -> FollowUp {
    match bed.store.follow_up_insert(item).await.unwrap() {
        FollowUpInserted::Created(item) => *item,
        known => panic!("expected a new follow-up, got {known:?}"),
    }
}

pub fn take(who: &str, candidates: Vec<WorkItemId>, minute: u64) -> FollowUpTake {
    FollowUpTake { agent: agent(who), candidates, request_id: None, now: at(minute) }
}

#[track_caller]
pub fn taken(outcome: FollowUpTaken) -> FollowUp {
    match outcome {
        FollowUpTaken::Taken(item) => *item,
        other => panic!("expected a follow-up, got {other:?}"),
    }
}

async fn moved(bed: &Bed, item: &FollowUp, to: FollowUpStatus, who: &str, minute: u64) -> FollowUpMoved {
    let step = FollowUpStep { to, by: Mover::Agent(agent(who)), note: None };
    let change = FollowUpChange { work_item_id: item.work_item_id, last_updated: None, step, now: at(minute) };
    bed.store.follow_up_advance(change).await.unwrap()
}

async fn settle(bed: &Bed, settles: Settles, minute: u64) -> usize {
    bed.store.follow_up_settle(Settlement { pull: issue_ref(50), settles, now: at(minute) }).await.unwrap()
}

async fn status(bed: &Bed, item: &FollowUp) -> FollowUpStatus {
    bed.store.follow_up_get(item.work_item_id).await.unwrap().unwrap().status()
}

pub async fn a_piece_of_feedback_makes_one_follow_up(bed: Bed) {
    let first = made(&bed, item(1, 0)).await;
    match bed.store.follow_up_insert(item(1, 5)).await.unwrap() {
        FollowUpInserted::Known(id) => assert_eq!(id, first.work_item_id),
        other => panic!("{other:?}"),
    }
    // The same id of another kind, or in another repository, is another piece.
    made(&bed, FollowUp::of(&feedback(FeedbackKind::ReviewComment, 1), at(0))).await;
    let elsewhere: IssueRef = "acme/other#50".parse().unwrap();
    made(&bed, FollowUp::of(&Feedback { pull: elsewhere, ..feedback(FeedbackKind::PrComment, 1) }, at(0))).await;
    assert_eq!(bed.event_kinds().await, ["followup.created"; 3]);
}

pub async fn the_first_on_offer_is_taken_once(bed: Bed) {
    let (one, two) = (made(&bed, item(1, 0)).await, made(&bed, item(2, 1)).await);
    let both = vec![one.work_item_id, two.work_item_id];
    let first = taken(bed.store.follow_up_take(take("a1", both.clone(), 2)).await.unwrap());
    assert_eq!((first.work_item_id, first.status()), (one.work_item_id, FollowUpStatus::Claimed));
    assert_eq!(first.holder(), Some(&agent("a1")));
    assert_eq!(
        taken(bed.store.follow_up_take(take("a2", both.clone(), 2)).await.unwrap()).work_item_id,
        two.work_item_id
    );
    assert!(matches!(bed.store.follow_up_take(take("a3", both, 2)).await.unwrap(), FollowUpTaken::NoneFree));
    assert_eq!(bed.event_kinds().await[2..], ["followup.claimed", "followup.claimed"]);
}

pub async fn one_kept_for_another_agent_is_passed_by_until_the_grace_is_over(bed: Bed) {
    let reserved = Some(Reservation { agent_id: agent("owner"), until: at(30) });
    let mut kept = item(1, 0);
    kept.reserved = reserved;
    let kept = made(&bed, kept).await;
    let wish = |who, minute| take(who, vec![kept.work_item_id], minute);
    assert!(matches!(bed.store.follow_up_take(wish("other", 29)).await.unwrap(), FollowUpTaken::NoneFree));
    taken(bed.store.follow_up_take(wish("other", 30)).await.unwrap());
}

pub async fn the_same_request_gets_the_same_follow_up(bed: Bed) {
    let (one, two) = (made(&bed, item(1, 0)).await, made(&bed, item(2, 1)).await);
    let both = vec![one.work_item_id, two.work_item_id];
    let wish = FollowUpTake { request_id: Some("r1".parse().unwrap()), ..take("a1", both, 2) };
    let first = taken(bed.store.follow_up_take(wish.clone()).await.unwrap());
    match bed.store.follow_up_take(wish).await.unwrap() {
        FollowUpTaken::Already(again) => assert_eq!(*again, first),
        other => panic!("{other:?}"),
    }
}

pub async fn a_request_that_got_a_claim_gets_no_follow_up(bed: Bed) {
    let bed = bed.with_issues([7]).await;
    granted(bed.store.claim_insert(named(exactly("a1", 7), "r1")).await.unwrap());
    let one = made(&bed, item(1, 0)).await;
    let wish = FollowUpTake { request_id: Some("r1".parse().unwrap()), ..take("a1", vec![one.work_item_id], 2) };
    assert!(matches!(bed.store.follow_up_take(wish).await.unwrap(), FollowUpTaken::RequestGotClaim));
}

pub async fn a_request_for_work_that_got_a_follow_up_gets_no_claim(bed: Bed) {
    let bed = bed.with_issues([1]).await;
    let one = made(&bed, item(1, 0)).await;
    let wish = FollowUpTake { request_id: Some("r1".parse().unwrap()), ..take("a1", vec![one.work_item_id], 1) };
    taken(bed.store.follow_up_take(wish).await.unwrap());
    let work = |request| named(next_work("a1", [1]), request);
    let outcome = bed.store.claim_insert(work("r1")).await.unwrap();
    assert!(matches!(outcome, InsertOutcome::RequestGotFollowUp), "{outcome:?}");
    granted(bed.store.claim_insert(work("r2")).await.unwrap());
}

pub async fn a_sweep_does_not_undo_what_its_agent_did_meanwhile(bed: Bed) {
    let one = made(&bed, item(1, 0)).await;
    moved(&bed, &one, FollowUpStatus::InProgress, "a1", 5).await;
    let step = FollowUpStep { to: FollowUpStatus::Stale, by: Mover::Sweep, note: None };
    let (work_item_id, last_updated) = (one.work_item_id, Some(one.last_updated()));
    let late = FollowUpChange { work_item_id, last_updated, step, now: at(6) };
    assert!(matches!(bed.store.follow_up_advance(late).await.unwrap(), FollowUpMoved::Superseded));
    let refused = moved(&bed, &one, FollowUpStatus::Done, "a2", 7).await;
    assert!(matches!(refused, FollowUpMoved::Refused(_, FollowUpRefusal::HeldBy(_))), "{refused:?}");
    assert_eq!(status(&bed, &one).await, FollowUpStatus::InProgress);
}

pub async fn the_end_of_a_pull_request_settles_all_of_its_follow_ups(bed: Bed) {
    let (one, two) = (made(&bed, item(1, 0)).await, made(&bed, item(2, 1)).await);
    moved(&bed, &one, FollowUpStatus::InProgress, "a1", 2).await;
    let merged = Settles::All { to: FollowUpStatus::Done, note: "merged" };
    assert_eq!(settle(&bed, merged.clone(), 3).await, 2);
    assert_eq!((status(&bed, &one).await, status(&bed, &two).await), (FollowUpStatus::Done, FollowUpStatus::Done));
    assert_eq!(settle(&bed, merged, 4).await, 0);
    assert!(bed.store.follow_up_list(FollowUpFilter::default()).await.unwrap().is_empty());
    assert!(matches!(moved(&bed, &one, FollowUpStatus::Done, "a1", 5).await, FollowUpMoved::NotFound));
}

pub async fn a_push_resolves_what_an_agent_had_and_marks_the_rest(bed: Bed) {
    let (begun, taken, given_up, waiting) = (
        made(&bed, item(1, 0)).await,
        made(&bed, item(2, 1)).await,
        made(&bed, item(3, 1)).await,
        made(&bed, item(4, 1)).await,
    );
    moved(&bed, &begun, FollowUpStatus::InProgress, "a1", 2).await;
    moved(&bed, &taken, FollowUpStatus::Claimed, "a1", 2).await;
    moved(&bed, &given_up, FollowUpStatus::Claimed, "a2", 2).await;
    moved(&bed, &given_up, FollowUpStatus::Stale, "a2", 3).await;
    assert_eq!(settle(&bed, Settles::Pushed { at: at(3), resolve: false }, 3).await, 0);
    assert_eq!(status(&bed, &begun).await, FollowUpStatus::InProgress);
    assert_eq!(settle(&bed, Settles::Pushed { at: at(4), resolve: true }, 4).await, 2);
    assert_eq!(status(&bed, &begun).await, FollowUpStatus::Done);
    assert_eq!(status(&bed, &taken).await, FollowUpStatus::Done);
    for (marked, stands) in [(given_up, FollowUpStatus::Stale), (waiting, FollowUpStatus::Queued)] {
        let marked = bed.store.follow_up_get(marked.work_item_id).await.unwrap().unwrap();
        assert_eq!((marked.status(), marked.pushed_at), (stands, Some(at(4))));
    }
}

pub async fn a_push_answers_nothing_that_came_after_it(bed: Bed) {
    let later = made(&bed, item(1, 10)).await;
    moved(&bed, &later, FollowUpStatus::InProgress, "a1", 11).await;
    assert_eq!(settle(&bed, Settles::Pushed { at: at(9), resolve: true }, 12).await, 0);
    let kept = bed.store.follow_up_get(later.work_item_id).await.unwrap().unwrap();
    assert_eq!((kept.status(), kept.pushed_at), (FollowUpStatus::InProgress, None));
}

pub async fn feedback_that_came_before_its_claim_is_kept_for_the_claims_agent(bed: Bed) {
    let (early, taken_early) = (made(&bed, item(1, 0)).await, made(&bed, item(2, 0)).await);
    moved(&bed, &taken_early, FollowUpStatus::InProgress, "other", 1).await;
    let mut elsewhere = feedback(FeedbackKind::PrComment, 3);
    elsewhere.pull = issue_ref(51);
    let elsewhere = made(&bed, FollowUp::of(&elsewhere, at(0))).await;
    let reserved = Some(Reservation { agent_id: agent("owner"), until: at(60) });
    let link = FollowUpLink { pull: issue_ref(50), claim_id: ClaimId::fresh(), reserved, now: at(5) };
    assert_eq!(bed.store.follow_up_link(link.clone()).await.unwrap(), 2);
    assert_eq!(bed.event_kinds().await[4..], ["followup.updated", "followup.updated"]);
    let kept = bed.store.follow_up_get(early.work_item_id).await.unwrap().unwrap();
    assert_eq!((kept.claim_id, &kept.reserved), (Some(link.claim_id), &link.reserved));
    assert_eq!((kept.status(), kept.last_updated()), (FollowUpStatus::Queued, early.last_updated()), "it did not move");
    let held = bed.store.follow_up_get(taken_early.work_item_id).await.unwrap().unwrap();
    assert_eq!((held.holder(), held.status()), (Some(&agent("other")), FollowUpStatus::InProgress));
    assert_eq!(bed.store.follow_up_get(elsewhere.work_item_id).await.unwrap(), Some(elsewhere));
    let wish = |who| take(who, vec![early.work_item_id], 6);
    assert!(matches!(bed.store.follow_up_take(wish("other")).await.unwrap(), FollowUpTaken::NoneFree));
    taken(bed.store.follow_up_take(wish("owner")).await.unwrap());
    // The first claim stays.
    let other = FollowUpLink { claim_id: ClaimId::fresh(), reserved: None, ..link };
    assert_eq!(bed.store.follow_up_link(other).await.unwrap(), 0);
}

pub async fn they_are_listed_most_urgent_first_and_filtered(bed: Bed) {
    let comment = made(&bed, item(1, 0)).await;
    let line = made(&bed, FollowUp::of(&feedback(FeedbackKind::ReviewComment, 2), at(1))).await;
    let review = made(&bed, FollowUp::of(&feedback(FeedbackKind::ReviewChangesRequested, 3), at(3))).await;
    let older = made(&bed, FollowUp::of(&feedback(FeedbackKind::ReviewChangesRequested, 4), at(2))).await;
    moved(&bed, &line, FollowUpStatus::Claimed, "a1", 4).await;
    let ids = |items: Vec<FollowUp>| items.iter().map(|item| item.work_item_id).collect::<Vec<_>>();
    let list = async |filter| ids(bed.store.follow_up_list(filter).await.unwrap());
    let all = [&older, &review, &line, &comment].map(|item| item.work_item_id);
    assert_eq!(list(FollowUpFilter::default()).await, all);
    let own = FollowUpFilter { agent: Some(agent("a1")), ..FollowUpFilter::default() };
    assert_eq!(list(own).await, [line.work_item_id]);
    let queued = FollowUpFilter { status: Some(FollowUpStatus::Queued), ..FollowUpFilter::default() };
    assert_eq!(list(queued).await.len(), 3);
    let elsewhere = FollowUpFilter { repo: Some("acme/other".parse().unwrap()), ..FollowUpFilter::default() };
    assert!(list(elsewhere).await.is_empty());
}

pub async fn a_request_id_does_not_go_to_another_agent_with_its_follow_up(bed: Bed) {
    let (one, two) = (made(&bed, item(1, 0)).await, made(&bed, item(2, 1)).await);
    let wish = |who, item: &FollowUp| FollowUpTake {
        request_id: Some("r1".parse().unwrap()),
        ..take(who, vec![item.work_item_id], 2)
    };
    taken(bed.store.follow_up_take(wish("a1", &one)).await.unwrap());
    taken(bed.store.follow_up_take(wish("a2", &two)).await.unwrap());
    moved(&bed, &one, FollowUpStatus::Stale, "a1", 3).await;
    let again = moved(&bed, &one, FollowUpStatus::InProgress, "a2", 4).await;
    assert!(matches!(again, FollowUpMoved::Moved(_, true)), "{again:?}");
    assert!(matches!(bed.store.follow_up_take(wish("a1", &one)).await.unwrap(), FollowUpTaken::NoneFree));
}

pub async fn a_request_whose_follow_up_ended_gets_nothing_new(bed: Bed) {
    let (one, two) = (made(&bed, item(1, 0)).await, made(&bed, item(2, 1)).await);
    let both = vec![one.work_item_id, two.work_item_id];
    let wish = FollowUpTake { request_id: Some("r1".parse().unwrap()), ..take("a1", both, 2) };
    taken(bed.store.follow_up_take(wish.clone()).await.unwrap());
    moved(&bed, &one, FollowUpStatus::Done, "a1", 3).await;
    let again = bed.store.follow_up_take(wish).await.unwrap();
    assert!(matches!(&again, FollowUpTaken::RequestUsed(item) if item.work_item_id == one.work_item_id), "{again:?}");
}

pub async fn a_push_does_not_end_what_was_taken_after_it(bed: Bed) {
    let (begun, taken) = (made(&bed, item(1, 0)).await, made(&bed, item(2, 0)).await);
    moved(&bed, &begun, FollowUpStatus::InProgress, "a1", 5).await;
    moved(&bed, &taken, FollowUpStatus::Claimed, "a1", 5).await;
    assert_eq!(settle(&bed, Settles::Pushed { at: at(4), resolve: true }, 6).await, 0);
}

pub async fn as_many_as_may_be_and_none_that_gives_way_refuse_the_next(bed: Bed) {
    let bed = bed.reopen(Keep { follow_ups: 1, ..Keep::default() }).await;
    made(&bed, item(1, 0)).await;
    assert!(matches!(bed.store.follow_up_insert(item(2, 1)).await.unwrap(), FollowUpInserted::Full));
    settle(&bed, Settles::All { to: FollowUpStatus::Done, note: "merged" }, 2).await;
    made(&bed, item(2, 3)).await;
}

pub async fn too_many_make_the_least_urgent_free_ones_give_way(bed: Bed) {
    let bed = bed.reopen(Keep { follow_ups: 3, ..Keep::default() }).await;
    let held = made(&bed, item(1, 5)).await;
    moved(&bed, &held, FollowUpStatus::InProgress, "a1", 6).await;
    let (old, new) = (made(&bed, item(2, 1)).await, made(&bed, item(3, 2)).await);
    let urgent = made(&bed, FollowUp::of(&feedback(FeedbackKind::ReviewChangesRequested, 4), at(7))).await;
    assert_eq!(status(&bed, &held).await, FollowUpStatus::InProgress, "held ones stay");
    assert_eq!(status(&bed, &new).await, FollowUpStatus::Dismissed, "the newest of the least urgent gives way");
    assert_eq!(
        (status(&bed, &old).await, status(&bed, &urgent).await),
        (FollowUpStatus::Queued, FollowUpStatus::Queued)
    );
    assert!(bed.event_kinds().await.contains(&"followup.dismissed"), "and says so");
}

pub async fn feedback_is_remembered_when_its_follow_up_is_trimmed(bed: Bed) {
    let bed = bed.reopen(Keep { follow_ups: 1, ..Keep::default() }).await;
    let mut first = None;
    for id in 1..=20 {
        let one = made(&bed, item(id, id)).await;
        settle(&bed, Settles::All { to: FollowUpStatus::Done, note: "merged" }, id).await;
        first.get_or_insert(one);
    }
    let first = first.unwrap();
    assert_eq!(bed.store.follow_up_get(first.work_item_id).await.unwrap(), None, "its follow-up is trimmed");
    let again = bed.store.follow_up_insert(item(1, 99)).await.unwrap();
    assert!(matches!(again, FollowUpInserted::Known(id) if id == first.work_item_id), "{again:?}");
}

pub async fn racing_agents_share_out_every_follow_up_once(bed: Bed) {
    let mut ids = Vec::new();
    for id in 1..=20 {
        ids.push(made(&bed, item(id, id)).await.work_item_id);
    }
    let mut races = tokio::task::JoinSet::new();
    for racer in 0..40 {
        let (store, ids) = (bed.store.clone(), ids.clone());
        races.spawn(async move { store.follow_up_take(take(&format!("a{racer}"), ids, 60)).await.unwrap() });
    }
    let outcomes = races.join_all().await;
    let mut got: Vec<_> = outcomes
        .into_iter()
        .filter_map(|outcome| match outcome {
            FollowUpTaken::Taken(item) => Some(item.work_item_id),
            _ => None,
        })
        .collect();
    got.sort();
    ids.sort();
    assert_eq!(got, ids);
}
