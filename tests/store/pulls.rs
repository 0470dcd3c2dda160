//! Pull requests, deliveries, and claims that follow what GitHub says.

use issuecommand::domain::{ClaimStatus, IssueNumber, Merged, PullRequest, PullState};
use issuecommand::store::ClaimFollow;

use crate::bed::{Bed, Keep, at, issue_ref, repo};

const PAGE: &str = "https://github.com/acme/small/pull/50";

fn pull(minute: u64) -> PullRequest {
    PullRequest {
        repo: repo(),
        number: IssueNumber::new(50).unwrap(),
        url: PAGE.into(),
        title: "Fix it".into(),
        body: "Fixes #7".into(),
        state: PullState::Open,
        merged: Merged::No,
        merged_at: None,
        draft: false,
        labels: Vec::new(),
        awaits: Vec::new(),
        head_branch: "fix".into(),
        head_sha: "abc".into(),
        author: "ann".into(),
        trusted: true,
        from_here: true,
        opened_at: at(0),
        updated_at: at(minute),
    }
}

fn follow(claim: &issuecommand::domain::Claim, to: ClaimStatus) -> ClaimFollow {
    ClaimFollow { claim_id: claim.claim_id, to, pr_url: PAGE.into(), note: "GitHub says so".into(), now: at(9) }
}

pub async fn an_older_description_changes_nothing(bed: Bed) {
    for (minute, is_news) in [(5, true), (4, false), (6, true), (6, true)] {
        assert_eq!(bed.store.pull_apply(pull(minute)).await.unwrap(), is_news, "that of minute {minute}");
    }
    assert_eq!(bed.store.pull_get(issue_ref(50)).await.unwrap(), Some(pull(6)));
    assert_eq!(bed.store.pull_get(issue_ref(51)).await.unwrap(), None);
}

pub async fn what_a_description_does_not_say_stays_as_known(bed: Bed) {
    let ended = PullRequest { state: PullState::Closed, merged: Merged::Yes, ..pull(5) };
    bed.store.pull_apply(ended.clone()).await.unwrap();
    bed.store.pull_apply(PullRequest { merged: Merged::Unknown, updated_at: at(6), ..ended }).await.unwrap();
    assert_eq!(bed.store.pull_get(issue_ref(50)).await.unwrap().unwrap().merged, Merged::Yes);
    // Reopened: what was said of its end is no longer so.
    bed.store.pull_apply(PullRequest { merged: Merged::Unknown, ..pull(7) }).await.unwrap();
    assert_eq!(bed.store.pull_get(issue_ref(50)).await.unwrap().unwrap().merged, Merged::Unknown);
}

pub async fn a_delivery_is_remembered_over_a_restart(bed: Bed) {
    assert!(!bed.store.delivery_seen("d-1".into()).await.unwrap());
    bed.store.delivery_record("d-1".into()).await.unwrap();
    bed.store.delivery_record("d-1".into()).await.unwrap();
    let bed = bed.reopen(Keep { deliveries: 2, ..Keep::default() }).await;
    assert!(bed.store.delivery_seen("d-1".into()).await.unwrap());
    for id in 2..=9 {
        bed.store.delivery_record(format!("d-{id}")).await.unwrap();
    }
    assert!(!bed.store.delivery_seen("d-1".into()).await.unwrap(), "only so many are remembered");
    assert!(bed.store.delivery_seen("d-9".into()).await.unwrap());
}

pub async fn a_claim_follows_its_pull_request_step_by_step(bed: Bed) {
    let bed = bed.with_issues([7]).await;
    let claim = bed.granted("a1", 7).await;
    let after = bed.store.claim_follow(follow(&claim, ClaimStatus::PrMerged)).await.unwrap().unwrap();
    assert_eq!((after.status(), after.pr_url()), (ClaimStatus::PrMerged, Some(PAGE)));
    let way: Vec<_> = after.status_history().iter().map(|entry| entry.status).collect();
    let expected = [ClaimStatus::Claimed, ClaimStatus::InProgress, ClaimStatus::PrSubmitted, ClaimStatus::PrMerged];
    assert_eq!(way, expected);
    assert_eq!(after.lease, claim.lease, "what others do renews nothing");
    assert_eq!(bed.event_kinds().await, ["claim.created", "claim.updated", "claim.updated", "claim.updated"]);
}

pub async fn a_claim_that_stands_further_stays_there(bed: Bed) {
    let bed = bed.with_issues([7]).await;
    let claim = bed.granted("a1", 7).await;
    let merged = bed.store.claim_follow(follow(&claim, ClaimStatus::PrMerged)).await.unwrap().unwrap();
    let again = bed.store.claim_follow(follow(&claim, ClaimStatus::PrSubmitted)).await.unwrap().unwrap();
    assert_eq!(again, merged);
    assert_eq!(bed.event_kinds().await.len(), 4, "nothing new is told");
}

pub async fn a_claim_is_released_with_its_pull_request(bed: Bed) {
    let bed = bed.with_issues([7]).await;
    let claim = bed.granted("a1", 7).await;
    let after = bed.store.claim_follow(follow(&claim, ClaimStatus::Released)).await.unwrap().unwrap();
    assert_eq!(after.status(), ClaimStatus::Released);
    assert_eq!(bed.store.claim_follow(follow(&claim, ClaimStatus::PrMerged)).await.unwrap(), None);
    bed.granted("a2", 7).await;
}
