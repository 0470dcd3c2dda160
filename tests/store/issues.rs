//! Issues as a sync writes them.

use issuecommand::domain::{ClaimStatus, Issue};
use issuecommand::store::{Change, IssueApplied, IssueFilter};

use crate::bed::{Bed, WHOLE_WAY, at, closed, first_free, granted, issue, issue_ref, repo};

fn everything() -> IssueFilter {
    IssueFilter { repo: repo(), label: None, milestone: None }
}

async fn numbers(bed: &Bed, filter: IssueFilter) -> Vec<u64> {
    bed.store.issue_list(filter).await.unwrap().iter().map(|issue| issue.number.get()).collect()
}

pub async fn a_batch_counts_what_is_new_and_what_changed(bed: Bed) {
    let applied = bed.sync(vec![issue(1), issue(2), closed(3)]).await;
    assert_eq!(applied, IssueApplied { newly_opened: 2, updated: 0, claims_closed: 0 });
    let renamed = Issue { title: "Other".into(), ..issue(1) };
    let reopened = Issue { updated_at: at(9), ..issue(3) };
    let applied = bed.sync(vec![renamed, issue(2), reopened]).await;
    assert_eq!(applied, IssueApplied { newly_opened: 1, updated: 1, claims_closed: 0 });
}

pub async fn what_was_finished_before_it_was_known_is_told_as_finished(bed: Bed) {
    let closed_elsewhere = crate::imports::record(1, "a1", 2, "closed", 1);
    assert_eq!(crate::imports::words(&bed, vec![closed_elsewhere]).await, ["taken"]);
    bed.seen.take();
    bed.sync(vec![issue(1), issue(2)]).await;
    let changes = bed.seen.take();
    assert!(
        matches!(&changes[..], [Change::IssueOpen(_), Change::IssueOpen(_), Change::IssueFinished(it)] if *it == issue_ref(2)),
        "{changes:?}"
    );
    bed.sync(vec![Issue { title: "Other".into(), ..issue(2) }]).await;
    assert!(matches!(&bed.seen.take()[..], [Change::IssueOpen(_)]), "it is known to be");
}

pub async fn what_did_not_change_is_not_announced(bed: Bed) {
    let bed = bed.with_issues([1, 2]).await;
    let relabelled = Issue { labels: vec!["bug".into(), "p0".into()], ..issue(2) };
    bed.sync(vec![issue(1), relabelled.clone()]).await;
    let changes = bed.seen.take();
    assert!(
        matches!(&changes[..], [Change::IssueOpen(facts)] if **facts == relabelled.facts(|text| text.into())),
        "{changes:?}"
    );
    bed.sync(vec![closed(1)]).await;
    let changes = bed.seen.take();
    assert!(matches!(&changes[..], [Change::IssueGone(gone)] if *gone == issue_ref(1)), "{changes:?}");
    bed.sync(vec![closed(1)]).await;
    assert!(bed.seen.take().is_empty());
}

pub async fn a_changed_body_is_kept(bed: Bed) {
    let bed = bed.with_issues([1]).await;
    let rewritten = Issue { body: "Other".into(), updated_at: at(3), ..issue(1) };
    bed.sync(vec![rewritten.clone()]).await;
    assert_eq!(bed.store.issue_get(issue_ref(1)).await.unwrap(), Some(rewritten));
}

pub async fn an_issue_closed_on_github_closes_its_claim(bed: Bed) {
    let bed = bed.with_issues([1, 2]).await;
    let claim = bed.granted("a1", 1).await;
    bed.seen.take();
    let applied = bed.sync(vec![closed(1), issue(2)]).await;
    assert_eq!(applied, IssueApplied { newly_opened: 0, updated: 0, claims_closed: 1 });
    let ended = bed.store.claim_get(claim.claim_id).await.unwrap().unwrap();
    assert_eq!(ended.status(), ClaimStatus::Closed);
    assert_eq!(ended.status_history().last().unwrap().note.as_deref(), Some("issue closed on GitHub"));
    let changes = bed.seen.take();
    match &changes[..] {
        [Change::ClaimSet(set), Change::Event(event), Change::IssueGone(gone)] => {
            assert_eq!(**set, ended);
            assert_eq!(event.draft.kind.as_str(), "claim.updated");
            assert_eq!(event.draft.details["status"], "closed");
            assert_eq!(*gone, issue_ref(1));
        }
        other => panic!("{other:?}"),
    }
}

pub async fn closing_on_github_clears_the_finished_mark(bed: Bed) {
    let bed = bed.with_issues([1]).await;
    let claim = bed.granted("a1", 1).await;
    bed.walk(&claim, &WHOLE_WAY).await;
    bed.sync(vec![closed(1)]).await;
    bed.sync(vec![Issue { updated_at: at(9), ..issue(1) }]).await;
    assert!(bed.store.snapshot_load().await.unwrap().finished.is_empty());
    let got = granted(bed.store.claim_insert(first_free("a2", [1])).await.unwrap());
    assert_eq!(got.claim.issue_ref(), issue_ref(1));
}

pub async fn a_removed_issue_keeps_its_claim(bed: Bed) {
    let bed = bed.with_issues([1, 2]).await;
    let claim = bed.granted("a1", 1).await;
    bed.seen.take();
    bed.store.issue_remove(issue_ref(1)).await.unwrap();
    bed.store.issue_remove(issue_ref(9)).await.unwrap();
    let changes = bed.seen.take();
    assert!(matches!(&changes[..], [Change::IssueGone(gone)] if *gone == issue_ref(1)), "{changes:?}");
    assert_eq!(bed.store.issue_get(issue_ref(1)).await.unwrap(), None);
    assert_eq!(bed.store.claim_get(claim.claim_id).await.unwrap(), Some(claim));
    assert_eq!(numbers(&bed, everything()).await, [2]);
}

pub async fn lists_hold_open_unclaimed_issues_by_number(bed: Bed) {
    let bed = bed.with_issues([30, 4, 12, 7]).await;
    bed.sync(vec![closed(4)]).await;
    let claim = bed.granted("a1", 12).await;
    assert_eq!(numbers(&bed, everything()).await, [7, 30]);
    bed.walk(&claim, &[ClaimStatus::Released]).await;
    assert_eq!(bed.store.issue_list(everything()).await.unwrap(), [issue(7), issue(12), issue(30)]);
    let elsewhere = IssueFilter { repo: "acme/large".parse().unwrap(), ..everything() };
    assert!(numbers(&bed, elsewhere).await.is_empty());
}

pub async fn labels_and_milestones_are_compared_trimmed_and_without_case(bed: Bed) {
    let labelled = Issue { labels: vec!["Good First Issue".into()], ..issue(1) };
    let planned = Issue { milestone: Some("V1.0 ".into()), ..labelled.clone() };
    bed.sync(vec![labelled, Issue { number: issue(2).number, ..planned }, issue(3)]).await;
    let label = Some(" good first ISSUE ".into());
    assert_eq!(numbers(&bed, IssueFilter { label: label.clone(), ..everything() }).await, [1, 2]);
    let milestone = Some("v1.0".into());
    assert_eq!(numbers(&bed, IssueFilter { label, milestone, ..everything() }).await, [2]);
    assert!(numbers(&bed, IssueFilter { label: Some("good".into()), ..everything() }).await.is_empty());
}

pub async fn every_field_of_an_issue_is_kept(bed: Bed) {
    let full = Issue {
        title: "\"Quoted\" ✓\n".into(),
        body: "x".repeat(100_000),
        labels: vec!["a\"b".into(), "ü".into()],
        assignees: vec!["ann".into(), "bob".into()],
        milestone: Some("v1".into()),
        created_at: at(1),
        updated_at: at(2),
        author: "ghost".into(),
        author_association: "NONE".into(),
        comment_count: u32::MAX,
        reaction_count: 3,
        open_blocker_count: None,
        ..issue((1 << 53) - 1)
    };
    bed.sync(vec![full.clone()]).await;
    assert_eq!(bed.store.issue_get(full.issue_ref()).await.unwrap(), Some(full.clone()));
    assert_eq!(bed.store.snapshot_load().await.unwrap().issues, [full.facts(|text| text.into())]);
}

/// GitHub's JSON may hold one; PostgreSQL keeps none in a text, and puts another sign in its place.
pub async fn a_text_with_a_nul_is_written_and_written_again_changes_nothing(bed: Bed) {
    let odd = || issuecommand::domain::Issue { title: "a\0b".into(), body: "c\0d".into(), ..issue(1) };
    assert_eq!(bed.sync(vec![odd()]).await.newly_opened, 1);
    assert_eq!(bed.sync(vec![odd()]).await.updated, 0);
    let kept = bed.store.issue_get(issue_ref(1)).await.unwrap().unwrap();
    assert!(kept.title.starts_with('a') && kept.title.ends_with('b'), "{}", kept.title);
    granted(bed.claim("a1", 1).await);
}
