//! Follow-ups from elsewhere.

use issuecommand::domain::{FollowUp, FollowUpRecord, FollowUpStatus};
use issuecommand::store::{
    Change, FollowUpFilter, FollowUpImport, FollowUpImportOutcome, FollowUpInserted, Settlement, Settles,
};
use serde_json::{Value, json};

use crate::bed::{Bed, Keep, agent, at, issue_ref};
use crate::follow_ups::{item, made, take, taken};

/// A record of the first edition, on pull request 50, of feedback `id`.
fn record(id: u64, status: &str, minute: u64) -> Value {
    let mut record = json!({
        "work_item_id": format!("7a1b7c5e-1f7f-4a65-9f0e-{id:012}"), "repo": "acme/small", "pr_number": 50,
        "pr_url": "https://github.com/acme/small/pull/50", "pr_title": "Fix it", "source_event_type": "pr_comment",
        "source_event_id": format!("issue_comment:{id}"), "summary": "Please", "actionable_comments": ["Please"],
        "status": status, "created_at": at(minute), "last_updated": at(minute),
        "status_history": [{ "status": status, "timestamp": at(minute) }],
    });
    if matches!(status, "claimed" | "in_progress") {
        record["claimed_by_agent_id"] = json!("a1");
        record["claimed_at"] = json!(at(minute));
    }
    record
}

fn restored(record: Value) -> FollowUp {
    serde_json::from_value::<FollowUpRecord>(record).unwrap().restore(at(1000)).unwrap()
}

async fn import(bed: &Bed, records: Vec<Value>, dry_run: bool) -> Vec<FollowUpImportOutcome> {
    let wish = FollowUpImport { items: records.into_iter().map(restored).collect(), dry_run, now: at(1000) };
    bed.store.follow_up_import(wish).await.unwrap()
}

async fn active(bed: &Bed) -> Vec<FollowUp> {
    bed.store.follow_up_list(FollowUpFilter::default()).await.unwrap()
}

use FollowUpImportOutcome::{AlreadyHere, FeedbackKnown, NoRoom, Passed, Taken};

pub async fn follow_ups_from_elsewhere_are_work_here_and_twice_is_once(bed: Bed) {
    let records = || vec![record(1, "done", 1), record(2, "queued", 2), record(3, "in_progress", 3)];
    assert_eq!(import(&bed, records(), false).await, [Taken, Taken, Taken]);
    let told = bed.seen.take();
    let set = |change: &Change| matches!(change, Change::FollowUpSet(item) if !item.status().is_terminal());
    assert_eq!(told.iter().filter(|change| set(change)).count(), 2, "what is past happened elsewhere: {told:?}");
    assert_eq!(bed.event_kinds().await, ["followup.created", "followup.created"]);
    let before = active(&bed).await;
    assert_eq!(before, [restored(record(2, "queued", 2)), restored(record(3, "in_progress", 3))]);
    assert_eq!(bed.store.follow_up_history(9).await.unwrap(), [restored(record(1, "done", 1))]);

    let status = |status| AlreadyHere(status);
    let here = [status(FollowUpStatus::Done), status(FollowUpStatus::Queued), status(FollowUpStatus::InProgress)];
    assert_eq!(import(&bed, records(), false).await, here);
    assert_eq!((active(&bed).await, bed.event_kinds().await.len()), (before.clone(), 2));

    let ids = before.iter().map(|item| item.work_item_id).collect();
    let got = taken(bed.store.follow_up_take(take("b2", ids, 1001)).await.unwrap());
    assert_eq!(got.source_event_id, "issue_comment:2", "the other one is worked on");
}

pub async fn feedback_of_an_imported_follow_up_makes_no_second_one(bed: Bed) {
    import(&bed, vec![record(1, "queued", 1), record(2, "dismissed", 2)], false).await;
    for id in [1, 2] {
        let again = bed.store.follow_up_insert(item(id, 1001)).await.unwrap();
        let expected = restored(record(id, "queued", 1)).work_item_id;
        assert!(matches!(again, FollowUpInserted::Known(known) if known == expected), "{id}: {again:?}");
    }
}

pub async fn a_follow_up_that_is_here_is_never_touched_by_an_import(bed: Bed) {
    let here = made(&bed, item(1, 0)).await;
    // Another server made its own of the same feedback.
    assert_eq!(import(&bed, vec![record(1, "done", 1)], false).await, [FeedbackKnown(here.work_item_id)]);
    // Not even under the identity of the follow-up itself.
    let mut forged = record(2, "in_progress", 1);
    forged["work_item_id"] = json!(here.work_item_id);
    assert_eq!(import(&bed, vec![forged], false).await, [AlreadyHere(FollowUpStatus::Queued)]);
    assert_eq!(active(&bed).await, [here]);
}

pub async fn a_trial_import_of_follow_ups_answers_the_same_and_changes_nothing(bed: Bed) {
    let here = made(&bed, item(1, 0)).await;
    bed.seen.take();
    let records = || vec![record(1, "queued", 1), record(2, "done", 1), record(3, "queued", 1), record(3, "queued", 1)];
    let expected = [FeedbackKnown(here.work_item_id), Taken, Taken, AlreadyHere(FollowUpStatus::Queued)];
    assert_eq!(import(&bed, records(), true).await, expected);
    assert!(bed.seen.take().is_empty());
    assert_eq!(active(&bed).await, [here]);
    assert!(matches!(bed.store.follow_up_insert(item(2, 2)).await.unwrap(), FollowUpInserted::Created(_)));
    assert_eq!(bed.event_kinds().await, ["followup.created"; 2], "the trial told nothing");
}

pub async fn an_import_makes_nothing_here_give_way(bed: Bed) {
    let bed = bed.reopen(Keep { follow_ups: 2, ..Keep::default() }).await;
    let here = made(&bed, item(1, 0)).await;
    let records = vec![record(2, "queued", 1), record(3, "queued", 1)];
    assert_eq!(import(&bed, records, false).await, [Taken, NoRoom]);
    assert!(active(&bed).await.contains(&here));
    let past = || (4..=7).map(|id| record(id, "done", id)).collect::<Vec<_>>();
    assert_eq!(import(&bed, past(), false).await, [Taken, Taken, Taken, Taken]);
    let kept = bed.store.follow_up_history(9).await.unwrap();
    assert_eq!(kept.len(), 2);
    let again = import(&bed, past(), false).await;
    let done = || AlreadyHere(FollowUpStatus::Done);
    assert_eq!(again, [Passed, Passed, done(), done()], "what was trimmed does not come back");
    assert_eq!(import(&bed, vec![record(8, "done", 1)], false).await, [Passed], "there is no room for it");
    assert_eq!(bed.store.follow_up_history(9).await.unwrap(), kept);
}

pub async fn what_ended_is_listed_newest_end_first_and_taken_elsewhere_as_it_was(bed: Bed) {
    for (id, minute) in [(1, 5), (2, 6), (3, 7)] {
        made(&bed, item(id, minute)).await;
        let settles = Settles::All { to: FollowUpStatus::Done, note: "merged" };
        bed.store.follow_up_settle(Settlement { pull: issue_ref(50), settles, now: at(minute + 1) }).await.unwrap();
    }
    let waiting = made(&bed, item(4, 9)).await;
    taken(bed.store.follow_up_take(take("a1", vec![waiting.work_item_id], 10)).await.unwrap());
    let past = bed.store.follow_up_history(2).await.unwrap();
    let sources: Vec<_> = past.iter().map(|item| item.source_event_id.as_str()).collect();
    assert_eq!(sources, ["issue_comment:3", "issue_comment:2"]);

    let other = Bed::open(crate::bed::Sqlite::fresh()).await;
    let all = bed.store.follow_up_history(9).await.unwrap().into_iter().chain(active(&bed).await);
    let records: Vec<Value> = all.map(|item| json!(item)).collect();
    assert_eq!(import(&other, records, false).await, [Taken, Taken, Taken, Taken]);
    assert_eq!(other.store.follow_up_history(9).await.unwrap(), bed.store.follow_up_history(9).await.unwrap());
    assert_eq!(active(&other).await, active(&bed).await);
    assert_eq!(active(&other).await[0].holder(), Some(&agent("a1")));
}
