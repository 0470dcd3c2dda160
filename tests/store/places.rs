//! Where issues go, and what it is learnt from.

use std::sync::Arc;

use issuecommand::domain::{IssueNumber, IssueState};
use issuecommand::store::{Change, IssuePlace, OwnersFile, PastPull, PlaceSource};

use crate::bed::{Bed, Keep, at, issue, issue_ref, repo};

fn place(number: u64, minute: u64, areas: &[&str]) -> IssuePlace {
    let shared = |texts: &[&str]| texts.iter().map(|text| Arc::from(*text)).collect();
    IssuePlace {
        issue: issue_ref(number),
        issue_updated_at: at(minute),
        areas: shared(areas),
        reviewers: shared(&["ann"]),
    }
}

fn placed(changes: &[Change]) -> Vec<IssuePlace> {
    let place = |change: &Change| match change {
        Change::IssuePlaced(place) => Some((**place).clone()),
        _ => None,
    };
    changes.iter().filter_map(place).collect()
}

fn pull(number: u64, minute: u64, files: Option<&[&str]>) -> PastPull {
    PastPull {
        number: IssueNumber::new(number).unwrap(),
        merged_at: at(minute),
        title: format!("Pull {number}"),
        labels: vec!["GUI".into()],
        closes: vec![IssueNumber::new(1).unwrap()],
        files: files.map(|files| files.iter().map(|file| (*file).to_owned()).collect()),
    }
}

pub async fn where_an_issue_goes_is_kept_and_told_again_to_who_may_have_forgotten(bed: Bed) {
    let bed = bed.with_issues([1, 2]).await;
    let updated = bed.store.issue_get(issue_ref(1)).await.unwrap().unwrap().updated_at;
    let one = IssuePlace { issue_updated_at: updated, ..place(1, 0, &["src/qt/", "word:gui"]) };
    bed.store.issue_place_set(vec![one.clone(), place(9, 0, &["x/"])]).await.unwrap();
    assert_eq!(placed(&bed.seen.take()), std::slice::from_ref(&one), "nobody knows an issue 9");
    bed.store.issue_place_set(vec![one.clone()]).await.unwrap();
    assert_eq!(placed(&bed.seen.take()), std::slice::from_ref(&one), "the board forgets what was closed in between");
    let bed = bed.reopen(Keep::default()).await;
    let snapshot = bed.store.snapshot_load().await.unwrap();
    assert_eq!((&snapshot.issues[0].areas, &snapshot.issues[0].reviewers), (&one.areas, &one.reviewers));
    assert!(snapshot.issues[1].areas.is_empty());
    assert_eq!(snapshot.unplaced, [issue_ref(2)]);
}

pub async fn an_issue_that_changed_since_is_to_be_looked_at_again(bed: Bed) {
    let bed = bed.with_issues([1]).await;
    bed.store.issue_place_set(vec![place(1, 0, &["src/"])]).await.unwrap();
    let changed = issuecommand::domain::Issue { updated_at: at(5), title: "Another".into(), ..issue(1) };
    bed.sync(vec![changed]).await;
    let snapshot = bed.store.snapshot_load().await.unwrap();
    assert_eq!(snapshot.unplaced, [issue_ref(1)]);
    assert_eq!(snapshot.issues[0].areas.len(), 1, "until then it goes where it went");
    bed.store.issue_remove(issue_ref(1)).await.unwrap();
    bed.sync(vec![issue(1)]).await;
    assert!(bed.store.snapshot_load().await.unwrap().issues[0].areas.is_empty(), "a forgotten issue's place is gone");
}

pub async fn what_is_learnt_of_a_repository_is_kept_and_goes_with_it(bed: Bed) {
    let owners = OwnersFile { path: "CODEOWNERS".into(), etag: Some("\"e\"".into()), text: "* @ann".into() };
    let source = PlaceSource { owners: Some(owners), read_at: at(3), ..PlaceSource::unread(repo()) };
    bed.store.place_source_set(source.clone(), vec![pull(50, 2, None), pull(51, 1, None)]).await.unwrap();
    bed.store.place_source_set(source.clone(), vec![pull(50, 2, Some(&["src/a.c"]))]).await.unwrap();
    // A list that shows it again does not know its files.
    bed.store.place_source_set(source.clone(), vec![pull(50, 2, None)]).await.unwrap();
    let closed = issuecommand::domain::Issue { state: IssueState::Closed, ..issue(1) };
    bed.sync(vec![closed.clone()]).await;
    assert_eq!(bed.store.place_source_list().await.unwrap(), std::slice::from_ref(&source));
    assert_eq!(bed.store.place_source_get(repo()).await.unwrap(), Some(source));
    let past = bed.store.past_work(repo()).await.unwrap();
    assert_eq!(past.pulls, [pull(51, 1, None), pull(50, 2, Some(&["src/a.c"]))], "oldest first");
    assert_eq!(past.issues, [closed]);
    bed.store.repo_remove(repo()).await.unwrap();
    assert_eq!(bed.store.past_work(repo()).await.unwrap(), Default::default());
    assert_eq!(bed.store.place_source_list().await.unwrap(), []);
}

pub async fn issues_are_read_with_their_texts_and_unknown_ones_are_left_out(bed: Bed) {
    let bed = bed.with_issues([1, 2]).await;
    let read = bed.store.issue_list_of(vec![issue_ref(2), issue_ref(7), issue_ref(1)]).await.unwrap();
    assert_eq!(read, [issue(2), issue(1)]);
}
