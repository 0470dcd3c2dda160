//! Repositories and sync cursors.

use issuecommand::domain::{Issue, IssueNumber, IssueState, Repo};
use issuecommand::store::{Change, IssueBatch, ListName, RepoMark, SyncCursor};

use crate::bed::{Bed, Keep, at, issue, issue_ref, repo};

pub async fn repositories_are_kept_and_differences_announced(bed: Bed) {
    let small = Repo::named(repo());
    let large = Repo { topics: vec!["agents".into()], ..Repo::named("acme/large".parse().unwrap()) };
    bed.store.repo_apply(vec![small.clone(), large.clone()]).await.unwrap();
    assert_eq!(bed.seen.take().len(), 2);
    let archived = Repo { archived: true, ..small };
    bed.store.repo_apply(vec![archived.clone(), large.clone()]).await.unwrap();
    let changes = bed.seen.take();
    assert!(matches!(&changes[..], [Change::RepoSet(repo)] if **repo == archived), "{changes:?}");
    assert_eq!(bed.store.snapshot_load().await.unwrap().repos, [large, archived]);
}

pub async fn a_removed_repository_takes_its_issues_along(bed: Bed) {
    let bed = bed.with_issues([1, 2]).await;
    let other: issuecommand::domain::RepoName = "acme/large".parse().unwrap();
    let stays = Issue { repo: other.clone(), ..issue(1) };
    let cursor = Some(SyncCursor { etag: Some("x".into()), updated_at: None });
    let batch = IssueBatch { repo: repo(), issues: vec![stays.clone()], cursor, now: at(0) };
    bed.store.issue_apply(batch).await.unwrap();
    bed.store.repo_apply(vec![Repo::named(repo()), Repo::named(other)]).await.unwrap();
    let claim = bed.granted("a1", 1).await;
    bed.seen.take();

    bed.store.repo_remove(repo()).await.unwrap();
    let changes = bed.seen.take();
    match &changes[..] {
        [Change::IssueGone(one), Change::IssueGone(two), Change::RepoGone(gone)] => {
            assert_eq!((one, two, gone), (&issue_ref(1), &issue_ref(2), &repo()));
        }
        other => panic!("{other:?}"),
    }
    let left = bed.store.snapshot_load().await.unwrap();
    assert_eq!(left.issues.iter().map(|facts| facts.issue.clone()).collect::<Vec<_>>(), [stays.issue_ref()]);
    assert_eq!(left.repos.len(), 1);
    assert_eq!(left.claims, [claim]);
    assert!(bed.store.cursor_list().await.unwrap().is_empty());
    assert_eq!(bed.store.issue_get(issue_ref(1)).await.unwrap(), None);
}

pub async fn cursors_are_kept_with_their_batch(bed: Bed) {
    let write = async |bed: &Bed, cursor: Option<SyncCursor>| {
        let batch = IssueBatch { repo: repo(), issues: vec![issue(1)], cursor, now: at(0) };
        bed.store.issue_apply(batch).await.unwrap();
    };
    write(&bed, None).await;
    assert!(bed.store.cursor_list().await.unwrap().is_empty());
    let cursor = SyncCursor { etag: Some("W/\"abc\"".into()), updated_at: Some(at(4)) };
    write(&bed, Some(cursor.clone())).await;
    write(&bed, None).await;
    let bed = bed.reopen(Keep::default()).await;
    assert_eq!(bed.store.cursor_list().await.unwrap(), [(repo(), cursor)]);
    write(&bed, Some(SyncCursor::default())).await;
    assert_eq!(bed.store.cursor_list().await.unwrap(), [(repo(), SyncCursor::default())]);
}

pub async fn cursors_of_lists_and_marks_are_kept_and_go_with_their_repository(bed: Bed) {
    let other: issuecommand::domain::RepoName = "acme/large".parse().unwrap();
    let cursor = SyncCursor { etag: Some("W/\"abc\"".into()), updated_at: Some(at(4)) };
    let lists = [ListName::Changes, ListName::Pulls(repo()), ListName::Pulls(other.clone())];
    assert_eq!(bed.store.list_cursor_get(ListName::Changes).await.unwrap(), SyncCursor::default());
    let reached = lists.iter().map(|list| (list.clone(), cursor.clone())).collect();
    bed.store.list_cursor_set(reached).await.unwrap();
    let newer = SyncCursor { etag: None, updated_at: Some(at(5)) };
    bed.store.list_cursor_set(vec![(ListName::Changes, newer.clone())]).await.unwrap();
    let mark = RepoMark { followed: true, reconciled_at: Some(at(3)) };
    bed.store.repo_mark_set(vec![(other.clone(), mark), (repo(), mark)]).await.unwrap();
    let bare = RepoMark::default();
    bed.store.repo_mark_set(vec![(other.clone(), bare)]).await.unwrap();

    let bed = bed.reopen(Keep::default()).await;
    assert_eq!(bed.store.list_cursor_get(ListName::Changes).await.unwrap(), newer);
    assert_eq!(bed.store.list_cursor_get(ListName::Pulls(repo())).await.unwrap(), cursor);
    assert_eq!(bed.store.repo_mark_list().await.unwrap(), [(other.clone(), bare), (repo(), mark)]);

    bed.store.repo_remove(repo()).await.unwrap();
    assert_eq!(bed.store.list_cursor_get(ListName::Pulls(repo())).await.unwrap(), SyncCursor::default());
    assert_eq!(bed.store.list_cursor_get(ListName::Pulls(other.clone())).await.unwrap(), cursor);
    assert_eq!(bed.store.repo_mark_list().await.unwrap(), [(other, bare)]);
}

pub async fn open_numbers_are_those_of_open_issues_claimed_or_not(bed: Bed) {
    let bed = bed.with_issues([1, 2, 3]).await;
    bed.granted("a1", 2).await;
    let closed = Issue { state: IssueState::Closed, ..issue(3) };
    let batch = IssueBatch { repo: repo(), issues: vec![closed], cursor: None, now: at(0) };
    bed.store.issue_apply(batch).await.unwrap();
    let numbers = bed.store.issue_number_list(repo()).await.unwrap();
    assert_eq!(numbers.into_iter().map(IssueNumber::get).collect::<Vec<_>>(), [1, 2]);
}
