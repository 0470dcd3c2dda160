//! The history of claims: paged, filtered, without repeats.

use issuecommand::domain::{Actor, Claim, ClaimId, ClaimStatus, Issue};
use issuecommand::store::{ClaimHistoryFilter, PastClaims};

use crate::bed::{Bed, agent, issue};

async fn end(bed: &Bed, who: &str, number: u64, minute: u64) -> Claim {
    let claim = bed.granted(who, number).await;
    crate::bed::moved(bed.step(&claim, ClaimStatus::Released, Actor::Owner, minute).await)
}

async fn pages(bed: &Bed, filter: ClaimHistoryFilter, limit: usize) -> Vec<ClaimId> {
    let (mut ids, mut after) = (Vec::new(), None);
    loop {
        let PastClaims { claims, next } = bed.store.claim_history(filter.clone(), after, limit).await.unwrap();
        assert!(claims.len() <= limit && (next.is_none() || claims.len() == limit));
        ids.extend(claims.iter().map(|claim| claim.claim_id));
        after = next;
        if after.is_none() {
            return ids;
        }
    }
}

pub async fn past_claims_come_newest_end_first_on_pages_of_any_size(bed: Bed) {
    let bed = bed.with_issues(1..=9).await;
    let mut ended = Vec::new();
    // Three of them end at the same moment: the identity decides between them.
    for (number, minute) in [(1, 9), (2, 3), (3, 5), (4, 5), (5, 5), (6, 1)] {
        ended.push(end(&bed, "a1", number, minute).await);
    }
    bed.granted("a1", 7).await;
    ended.sort_by_key(|claim| (claim.last_updated(), claim.claim_id.to_string()));
    let expected: Vec<_> = ended.iter().rev().map(|claim| claim.claim_id).collect();
    for limit in [1, 2, 3, 5, 6, 7, 200] {
        assert_eq!(pages(&bed, ClaimHistoryFilter::default(), limit).await, expected, "pages of {limit}");
    }
}

pub async fn a_page_goes_on_where_the_last_one_ended_whatever_ends_meanwhile(bed: Bed) {
    let bed = bed.with_issues(1..=9).await;
    let first = end(&bed, "a1", 1, 1).await;
    let second = end(&bed, "a1", 2, 2).await;
    let page = bed.store.claim_history(ClaimHistoryFilter::default(), None, 1).await.unwrap();
    assert_eq!(page.claims, [second]);
    end(&bed, "a1", 3, 3).await;
    let page = bed.store.claim_history(ClaimHistoryFilter::default(), page.next, 1).await.unwrap();
    assert_eq!((page.claims, page.next), (vec![first], None));
}

pub async fn the_history_of_one_agent_or_repository_holds_no_other(bed: Bed) {
    let bed = bed.with_issues(1..=4).await;
    let other = Issue { repo: "acme/other".parse().unwrap(), ..issue(1) };
    let batch = issuecommand::store::IssueBatch {
        repo: other.repo.clone(),
        issues: vec![other.clone()],
        cursor: None,
        now: crate::bed::at(0),
    };
    bed.store.issue_apply(batch).await.unwrap();
    let a = end(&bed, "a1", 1, 1).await.claim_id;
    let b = end(&bed, "b2", 2, 2).await.claim_id;
    let wish = issuecommand::store::ClaimWish {
        wanted: issuecommand::store::Wanted::Exactly(other.issue_ref()),
        ..crate::bed::exactly("a1", 1)
    };
    let elsewhere = crate::bed::granted(bed.store.claim_insert(wish).await.unwrap()).claim;
    bed.step(&elsewhere, ClaimStatus::Released, Actor::Owner, 3).await;
    let c = elsewhere.claim_id;
    let of = |who: Option<&str>, repo: Option<&str>| ClaimHistoryFilter {
        agent: who.map(agent),
        repo: repo.map(|repo| repo.parse().unwrap()),
    };
    for limit in [1, 9] {
        assert_eq!(pages(&bed, of(Some("a1"), None), limit).await, [c, a]);
        assert_eq!(pages(&bed, of(None, Some("acme/small")), limit).await, [b, a]);
        assert_eq!(pages(&bed, of(Some("a1"), Some("acme/small")), limit).await, [a]);
        assert!(pages(&bed, of(Some("nobody"), None), limit).await.is_empty());
    }
}

pub async fn a_past_claim_is_found_by_its_agent_and_the_end_of_its_id(bed: Bed) {
    let bed = bed.with_issues([1, 2]).await;
    let ended = end(&bed, "a1", 1, 1).await;
    let active = bed.granted("a1", 2).await;
    let find = async |who: &str, short: String| bed.store.claim_past_by_short_id(agent(who), short).await.unwrap();
    assert_eq!(find("a1", ended.claim_id.short().to_uppercase()).await, Some(ended.claim_id));
    assert_eq!(find("b2", ended.claim_id.short()).await, None, "it is another's");
    assert_eq!(find("a1", active.claim_id.short()).await, None, "it has not ended");
    assert_eq!(find("a1", "%".repeat(8)).await, None);
}
