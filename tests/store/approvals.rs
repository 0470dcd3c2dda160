//! Approvals, pinned to the text that was approved.

use issuecommand::domain::{ContentDigest, Issue};
use issuecommand::store::{ApprovalKept, ApprovalOutcome, ApprovalWish, Change, LabelDue, Pin};

use crate::bed::{Bed, Keep, at, closed, issue, issue_ref};

fn saying(body: &str, minute: u64) -> Issue {
    Issue { body: body.into(), updated_at: at(minute), ..issue(1) }
}

fn word(by: &str, minute: u64, label: Option<&str>, pin: Pin) -> ApprovalWish {
    ApprovalWish {
        issue: issue_ref(1),
        by: by.into(),
        at: at(minute),
        label: label.map(str::to_owned),
        pin,
        now: at(minute),
    }
}

/// What is announced of approvals: whose, and whether it covers the present text.
fn announced(bed: &Bed) -> Vec<Option<(String, bool)>> {
    let told = |kept: ApprovalKept| (kept.record.by, kept.covers_present);
    let of = |change| if let Change::ApprovalSet(_, kept) = change { Some(kept.map(told)) } else { None };
    bed.seen.take().into_iter().filter_map(of).collect()
}

async fn kept(bed: &Bed) -> Vec<(String, bool)> {
    let kept = bed.store.snapshot_load().await.unwrap().approvals;
    kept.into_iter().map(|(_, kept)| (kept.record.by, kept.covers_present)).collect()
}

pub async fn an_approval_covers_its_text_until_that_is_edited_and_again_when_it_is_put_back(bed: Bed) {
    bed.sync(vec![saying("do this", 1)]).await;
    bed.seen.take();
    let outcome = bed.store.approval_set(word("ann", 2, None, Pin::AsKept(None))).await.unwrap();
    assert!(matches!(outcome, ApprovalOutcome::Kept(ApprovalKept { covers_present: true, .. })), "{outcome:?}");
    assert_eq!(announced(&bed), [Some(("ann".into(), true))]);
    bed.sync(vec![saying("and leak the keys", 3)]).await;
    assert_eq!(announced(&bed), [Some(("ann".into(), false))]);
    let bed = bed.reopen(Keep::default()).await;
    assert_eq!(kept(&bed).await, [("ann".to_owned(), false)]);
    bed.sync(vec![saying("do this", 4)]).await;
    assert_eq!(announced(&bed), [Some(("ann".into(), true))]);
    bed.sync(vec![Issue { title: "Other".into(), ..saying("do this", 5) }]).await;
    assert_eq!(announced(&bed), [Some(("ann".into(), false))], "the title counts");
}

pub async fn the_event_says_who_approved_and_who_took_it_back(bed: Bed) {
    bed.sync(vec![issue(1)]).await;
    bed.store.approval_set(word("ann", 2, Some("agent-ok"), Pin::AsKept(None))).await.unwrap();
    assert!(bed.store.approval_withdraw(issue_ref(1), "lead".into(), at(3)).await.unwrap());
    assert!(!bed.store.approval_withdraw(issue_ref(1), "lead".into(), at(4)).await.unwrap());
    let events: Vec<_> = bed.store.event_list_after(Default::default(), 100).await.unwrap();
    let told: Vec<_> =
        events.iter().map(|event| (event.draft.kind.as_str(), event.draft.details["by"].clone())).collect();
    assert_eq!(told, [("issue.approved", "ann".into()), ("issue.approval_withdrawn", "lead".into())]);
    assert_eq!(kept(&bed).await, []);
}

pub async fn what_was_taken_back_stays_so_whatever_older_word_a_list_tells_again(bed: Bed) {
    let labelled = |minute| Issue { labels: vec!["agent-ok".into()], ..saying("one", minute) };
    bed.sync(vec![labelled(2)]).await;
    bed.store.approval_set(word("ann", 2, Some("agent-ok"), Pin::AsKept(None))).await.unwrap();
    assert!(bed.store.approval_withdraw(issue_ref(1), "lead".into(), at(3)).await.unwrap());
    let outcome = bed.store.approval_set(word("ann", 2, Some("agent-ok"), Pin::AsKept(None))).await.unwrap();
    assert_eq!((outcome, kept(&bed).await), (ApprovalOutcome::Withdrawn, vec![]));
    let bed = bed.reopen(Keep::default()).await;
    assert_eq!(kept(&bed).await, []);
    bed.store.approval_set(word("ann", 4, Some("agent-ok"), Pin::AsKept(None))).await.unwrap();
    assert_eq!(kept(&bed).await, [("ann".to_owned(), true)], "a later word counts");
}

pub async fn a_label_that_was_taken_off_takes_its_word_along(bed: Bed) {
    let labelled = |minute| Issue { labels: vec!["agent-ok".into()], ..saying("one", minute) };
    bed.sync(vec![labelled(2)]).await;
    bed.store.approval_set(word("ann", 2, Some("agent-ok"), Pin::AsKept(None))).await.unwrap();
    bed.sync(vec![saying("one", 3)]).await;
    assert_eq!(kept(&bed).await, []);
    bed.sync(vec![labelled(4)]).await;
    assert_eq!(kept(&bed).await, [], "who put it on again is not known yet");
}

pub async fn a_label_does_not_take_the_place_of_an_operators_word_on_the_present_text(bed: Bed) {
    bed.sync(vec![saying("one", 1)]).await;
    bed.store.approval_set(word("lead", 2, None, Pin::AsKept(None))).await.unwrap();
    bed.store.approval_set(word("some[bot]", 3, Some("agent-ok"), Pin::AsKept(None))).await.unwrap();
    assert_eq!(kept(&bed).await, [("lead".to_owned(), true)]);
}

pub async fn a_later_word_takes_the_place_of_an_earlier_and_the_same_one_is_kept_once(bed: Bed) {
    bed.sync(vec![saying("one", 1)]).await;
    let known = async |wish| matches!(bed.store.approval_set(wish).await.unwrap(), ApprovalOutcome::Known(_));
    let label = Some("agent-ok");
    assert!(!known(word("ann", 10, label, Pin::Unknown)).await);
    assert!(known(word("ann", 10, label, Pin::Unknown)).await);
    assert_eq!(kept(&bed).await, [("ann".to_owned(), false)], "no text passes for one that nobody knows");
    let exactly = Pin::Exactly(ContentDigest::of("Issue 1", "one"));
    assert!(!known(word("ann", 10, label, exactly)).await, "now it is known what was approved");
    assert_eq!(kept(&bed).await, [("ann".to_owned(), true)]);
    assert!(known(word("ann", 10, label, Pin::Exactly(ContentDigest::of("Issue 1", "two")))).await);
    assert!(known(word("bob", 9, label, Pin::AsKept(None))).await, "an older word");
    assert!(!known(word("bob", 11, label, Pin::AsKept(None))).await);
    assert_eq!(kept(&bed).await, [("bob".to_owned(), true)]);
}

pub async fn a_text_that_changed_while_it_was_looked_at_is_not_approved(bed: Bed) {
    bed.sync(vec![saying("one", 1)]).await;
    let seen = word("ann", 1, Some("agent-ok"), Pin::AsKept(Some(at(1))));
    bed.sync(vec![saying("two", 2)]).await;
    assert_eq!(bed.store.approval_set(seen.clone()).await.unwrap(), ApprovalOutcome::Changed);
    assert_eq!(kept(&bed).await, []);
    bed.sync(vec![Issue { updated_at: at(9), ..closed(1) }]).await;
    assert_eq!(bed.store.approval_set(seen).await.unwrap(), ApprovalOutcome::NotOpen);
}

pub async fn an_approval_outlives_a_closing_and_not_the_issue(bed: Bed) {
    bed.sync(vec![saying("one", 1)]).await;
    bed.store.approval_set(word("ann", 2, None, Pin::AsKept(None))).await.unwrap();
    bed.sync(vec![Issue { body: "one".into(), ..closed(1) }]).await;
    assert_eq!(kept(&bed).await, []);
    announced(&bed);
    bed.sync(vec![saying("one", 9)]).await;
    assert_eq!(announced(&bed), [Some(("ann".into(), true))]);
    bed.store.issue_remove(issue_ref(1)).await.unwrap();
    bed.sync(vec![saying("one", 10)]).await;
    assert_eq!(kept(&bed).await, []);
}

pub async fn a_labelled_issue_is_asked_about_again_when_it_changed(bed: Bed) {
    bed.sync(vec![saying("one", 1)]).await;
    let due = async || bed.store.label_due_list(vec![issue_ref(1), issue_ref(7)]).await.unwrap();
    let first = due().await;
    assert_eq!(first, [LabelDue { issue: issue_ref(1), updated_at: at(1), etag: None }]);
    bed.store.label_read(LabelDue { etag: Some("tag".into()), ..first[0].clone() }).await.unwrap();
    assert_eq!(due().await, []);
    bed.sync(vec![saying("one", 2)]).await;
    assert_eq!(due().await, [LabelDue { issue: issue_ref(1), updated_at: at(2), etag: Some("tag".into()) }]);
}
