//! What is to be closed before an issue is worked on.

use issuecommand::domain::{Blocker, Issue, IssueRef};
use issuecommand::store::{Change, DependencyChange, DependencyReading};

use crate::bed::{Bed, Keep, at, closed, issue, issue_ref};

fn saying(number: u64, body: &str, minute: u64) -> Issue {
    Issue { body: body.into(), updated_at: at(minute), ..issue(number) }
}

fn counted(number: u64, open_blocker_count: u32, minute: u64) -> Issue {
    Issue { open_blocker_count: Some(open_blocker_count), updated_at: at(minute), ..issue(number) }
}

fn blocker(text: &str, stated_open: bool) -> Blocker {
    Blocker { issue: text.parse().unwrap(), stated_open }
}

fn reading(number: u64, blockers: Option<Vec<Blocker>>, etag: &str, minute: u64) -> DependencyReading {
    DependencyReading { issue: issue_ref(number), blockers, etag: Some(etag.into()), now: at(minute) }
}

/// What is announced of blockers, and of nothing else.
fn announced(bed: &Bed) -> Vec<(IssueRef, Vec<Blocker>)> {
    let told = |change| if let Change::BlockersSet(issue, blockers) = change { Some((issue, blockers)) } else { None };
    bed.seen.take().into_iter().filter_map(told).collect()
}

async fn kept(bed: &Bed) -> Vec<(IssueRef, Vec<Blocker>)> {
    bed.store.snapshot_load().await.unwrap().blockers
}

async fn due(bed: &Bed) -> Vec<(u64, Option<String>)> {
    let due = bed.store.dependency_due_list(100).await.unwrap();
    due.into_iter().map(|due| (due.issue.number.get(), due.etag)).collect()
}

pub async fn what_a_text_names_is_announced_when_it_changes_and_kept_over_a_restart(bed: Bed) {
    let repo = issue_ref(1).repo;
    bed.sync(vec![saying(1, "Blocked by #2 and x/y#3", 1), saying(2, "", 1)]).await;
    let both = vec![blocker(&format!("{repo}#2"), false), blocker("x/y#3", false)];
    assert_eq!(announced(&bed), [(issue_ref(1), both.clone())]);
    bed.sync(vec![saying(1, "Blocked by x/y#3, and by nothing else. Depends on #2", 2)]).await;
    assert_eq!(announced(&bed), [], "the same two");
    let bed = bed.reopen(Keep::default()).await;
    assert_eq!(kept(&bed).await, [(issue_ref(1), both)]);
    bed.sync(vec![saying(1, "", 3)]).await;
    assert_eq!(announced(&bed), [(issue_ref(1), Vec::new())]);
    assert_eq!(kept(&bed).await, []);
}

pub async fn a_closed_issue_waits_for_nothing_until_it_is_open_again(bed: Bed) {
    bed.sync(vec![saying(1, "Blocked by #2", 1), issue(2)]).await;
    bed.sync(vec![Issue { body: "Blocked by #2".into(), ..closed(1) }]).await;
    assert_eq!(kept(&bed).await, []);
    announced(&bed);
    bed.sync(vec![saying(1, "Blocked by #2", 6)]).await;
    assert_eq!(announced(&bed).len(), 1);
    bed.store.issue_remove(issue_ref(1)).await.unwrap();
    assert_eq!(kept(&bed).await, []);
}

pub async fn githubs_dependencies_are_due_when_it_says_so_longest_waiting_first(bed: Bed) {
    bed.sync(vec![counted(1, 1, 1), counted(2, 2, 1), issue(3)]).await;
    assert_eq!(due(&bed).await, [(1, None), (2, None)]);
    bed.store.dependency_set(reading(1, Some(vec![blocker("x/y#9", true)]), "tag", 5)).await.unwrap();
    assert_eq!(announced(&bed), [(issue_ref(1), vec![blocker("x/y#9", true)])]);
    assert_eq!(due(&bed).await, [(2, None), (1, Some("tag".into()))]);
    bed.store.dependency_set(reading(1, None, "tag", 6)).await.unwrap();
    assert_eq!((announced(&bed), kept(&bed).await.len()), (Vec::new(), 1), "as they were");
    // A word of something else says nothing of dependencies.
    bed.sync(vec![saying(1, "new", 7)]).await;
    assert_eq!(due(&bed).await.len(), 2);
    bed.sync(vec![counted(1, 0, 8)]).await;
    assert_eq!(announced(&bed), [(issue_ref(1), Vec::new())]);
    assert_eq!(due(&bed).await, [(2, None)]);
    bed.sync(vec![closed(2)]).await;
    assert_eq!(due(&bed).await, []);
    bed.store.dependency_set(reading(2, Some(vec![blocker("x/y#9", true)]), "tag", 9)).await.unwrap();
    assert_eq!(kept(&bed).await, [], "a closed issue waits for nothing");
}

pub async fn what_github_said_of_a_blocker_holds_until_that_is_closed_or_forgotten(bed: Bed) {
    let repo = issue_ref(1).repo;
    bed.sync(vec![counted(1, 2, 1), issue(2)]).await;
    let (other, far) = (format!("{repo}#2"), "x/y#9");
    let both = vec![blocker(&other, true), blocker(far, true)];
    bed.store.dependency_set(reading(1, Some(both), "tag", 2)).await.unwrap();
    bed.sync(vec![closed(2)]).await;
    assert_eq!(kept(&bed).await, [(issue_ref(1), vec![blocker(&other, false), blocker(far, true)])]);
    bed.store.repo_remove("x/y".parse().unwrap()).await.unwrap();
    assert_eq!(kept(&bed).await, [(issue_ref(1), vec![blocker(&other, false), blocker(far, false)])]);
}

pub async fn a_dependency_comes_and_goes_by_itself_and_is_read_again(bed: Bed) {
    bed.sync(vec![saying(1, "Depends on x/y#9", 1)]).await;
    announced(&bed);
    let change =
        |added, stated_open| DependencyChange { issue: issue_ref(1), blocker: blocker("x/y#9", stated_open), added };
    bed.store.dependency_change(change(true, true)).await.unwrap();
    assert_eq!(announced(&bed), [(issue_ref(1), vec![blocker("x/y#9", true)])], "one blocker, told twice");
    assert_eq!(due(&bed).await, [(1, None)]);
    bed.store.dependency_change(change(false, true)).await.unwrap();
    assert_eq!(announced(&bed), [(issue_ref(1), vec![blocker("x/y#9", false)])], "the text says it still");
    let unknown = DependencyChange { issue: issue_ref(7), ..change(true, true) };
    bed.store.dependency_change(unknown).await.unwrap();
    assert_eq!(announced(&bed), []);
}
