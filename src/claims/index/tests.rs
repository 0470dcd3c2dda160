//! An index that is filled beside writers of other servers, and one that is brought to what the store holds.

#![allow(clippy::unwrap_used)]

use chrono::TimeDelta;

use super::*;
use crate::domain::{
    Actor, Claim, ClaimStatus, EventSeq, Issue, IssueNumber, IssueRef, IssueState, LEASE_EPOCH_FIRST, Lease, Step,
    from_unix_ms,
};

fn issue(number: u64) -> Issue {
    Issue {
        repo: "acme/small".parse().unwrap(),
        number: IssueNumber::new(number).unwrap(),
        title: format!("Issue {number}"),
        body: String::new(),
        state: IssueState::Open,
        labels: Vec::new(),
        assignees: Vec::new(),
        milestone: None,
        comments: Vec::new(),
        created_at: from_unix_ms(0),
        updated_at: from_unix_ms(0),
        url: String::new(),
        author: "ann".into(),
        author_association: "NONE".into(),
        comment_count: 0,
        reaction_count: 0,
        open_blocker_count: None,
    }
}

fn on(number: u64) -> IssueRef {
    issue(number).issue_ref()
}

fn granted(number: u64, who: &str, epoch: u64) -> Claim {
    let lease = Lease { epoch, expires_at: from_unix_ms(60_000) };
    Claim::grant(&issue(number), &who.parse().unwrap(), lease, None, from_unix_ms(0))
}

fn ended(mut claim: Claim) -> Claim {
    claim.advance(Step::to(ClaimStatus::Released, Actor::Owner), TimeDelta::zero(), from_unix_ms(1)).unwrap();
    claim
}

fn set(claim: &Claim) -> Vec<Change> {
    vec![Change::ClaimSet(Box::new(claim.clone()))]
}

/// What a store holds: these issues, open, and these claims.
fn snapshot(commit_seq: u64, issues: &[u64], claims: &[&Claim]) -> Snapshot {
    Snapshot {
        issues: issues.iter().map(|number| issue(*number).facts(|text| text.into())).collect(),
        claims: claims.iter().map(|claim| (*claim).clone()).collect(),
        granted_count: claims.iter().map(|claim| claim.lease.epoch).sum(),
        commit_seq,
        last_event: EventSeq(commit_seq),
        ..Snapshot::default()
    }
}

/// Who holds an issue, as the board says by the issue.
fn holder(index: &Index, number: u64) -> Option<String> {
    index.board.read().claim_on(&on(number)).map(|claim| claim.agent_id.to_string())
}

#[test]
fn what_the_snapshot_holds_already_is_not_told_again() {
    let (first, second) = (granted(1, "a", LEASE_EPOCH_FIRST), granted(1, "b", LEASE_EPOCH_FIRST + 1));
    let third = granted(2, "c", LEASE_EPOCH_FIRST);
    let index = Index::empty();
    for (seq, claim) in [(5, &first), (6, &ended(first.clone())), (7, &second), (8, &third)] {
        index.committed_as(seq, set(claim));
    }
    // Read when the second claim was there, and the third was not.
    index.fill(snapshot(7, &[1, 2], &[&second]), Vec::new());
    assert_eq!((holder(&index, 1), holder(&index, 2)), (Some("b".into()), Some("c".into())));
    assert_eq!(index.board.read().counts().granted, 3);
}

#[test]
fn an_index_that_is_told_everything_anew_is_as_one_that_begins() {
    let (kept, gone) = (granted(1, "a", LEASE_EPOCH_FIRST), granted(2, "b", LEASE_EPOCH_FIRST));
    let (taken_over, new) = (granted(2, "c", LEASE_EPOCH_FIRST + 1), granted(4, "d", LEASE_EPOCH_FIRST));
    let index = Index::empty();
    index.fill(snapshot(1, &[1, 2, 3], &[&kept, &gone]), Vec::new());
    let now = || snapshot(9, &[1, 2, 4], &[&kept, &taken_over, &new]);
    index.replaced(now(), Vec::new());
    let fresh = Index::empty();
    fresh.fill(now(), Vec::new());
    for number in 1..=4 {
        assert_eq!(holder(&index, number), holder(&fresh, number), "{number}");
        let is_known = |index: &Index| index.board.read().by_issue.contains_key(&on(number));
        assert_eq!(is_known(&index), is_known(&fresh), "{number}");
    }
    let (counts, of_fresh) = (index.board.read().counts(), fresh.board.read().counts());
    assert_eq!((counts.granted, counts.active_claims), (of_fresh.granted, of_fresh.active_claims));
    assert!(!index.board.read().is_holder(&"b".parse().unwrap()), "it holds nothing any more");
}

#[test]
fn what_was_told_anew_before_the_index_was_filled_is_what_fills_it() {
    let (old, new) = (granted(1, "a", LEASE_EPOCH_FIRST), granted(1, "b", LEASE_EPOCH_FIRST + 1));
    let index = Index::empty();
    index.committed_as(3, set(&old));
    index.replaced(snapshot(9, &[1], &[&new]), Vec::new());
    index.committed_as(10, set(&ended(new.clone())));
    // Loaded before that, and older.
    index.fill(snapshot(2, &[1], &[]), Vec::new());
    assert_eq!(holder(&index, 1), None);
    assert_eq!(index.board.read().counts().granted, 2);
}
