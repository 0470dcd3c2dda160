//! Decisions: kept with the issues as they were, in their order, and no longer than wanted.

use issuecommand::domain::{Actor, ClaimStatus, Decision, Empty, Issue};
use issuecommand::store::{ClaimWish, DecisionFilter};

use crate::bed::{Bed, Keep, agent, at, decision, decision_on, exactly, first_free, granted, issue, issue_ref, repo};

/// The texts of the issues that a decision comes back with.
fn bodies(decision: &Decision) -> Vec<Option<String>> {
    let body = |row: &issuecommand::domain::DecisionRow| {
        row.seen.as_ref()?.snapshot.as_ref().map(|snapshot| snapshot.body.clone())
    };
    decision.considered.iter().map(body).collect()
}

async fn granted_by(bed: &Bed, decision: &Decision, number: u64) -> issuecommand::domain::Claim {
    let wish = ClaimWish { decision: Some(decision.clone()), ..exactly("a1", number) };
    granted(bed.store.claim_insert(wish).await.unwrap()).claim
}

async fn again(bed: &Bed, decision: &Decision) -> Decision {
    bed.store.decision_get(decision.decision_id).await.unwrap().expect("the decision is kept")
}

pub async fn a_decision_comes_back_with_the_issues_as_they_were(bed: Bed) {
    let bed = bed.with_issues([1, 2]).await;
    let before = decision_on("a1", &[issue(1), issue(2)]);
    granted_by(&bed, &before, 1).await;
    let changed = Issue { title: "another".into(), body: "new".into(), updated_at: at(9), ..issue(2) };
    bed.sync(vec![changed.clone()]).await;
    let after = decision_on("a2", std::slice::from_ref(&changed));
    granted(
        bed.store.claim_insert(ClaimWish { decision: Some(after.clone()), ..first_free("a2", [2]) }).await.unwrap(),
    );

    let (before, after) = (again(&bed, &before).await, again(&bed, &after).await);
    let title = |decision: &Decision, row: usize| {
        decision.considered[row].seen.as_ref().unwrap().snapshot.as_ref().unwrap().facts.title.to_string()
    };
    assert_eq!((title(&before, 1), title(&after, 0)), (issue(2).title, "another".into()));
    assert_eq!(bodies(&before), [Some(issue(1).body), Some(issue(2).body)]);
    assert_eq!(bodies(&after), [Some("new".into())]);
    let facts = &before.considered[1].seen.as_ref().unwrap().snapshot.as_ref().unwrap().facts;
    assert_eq!(**facts, issue(2).facts(|text| text.into()), "every fact");
    bed.store.issue_remove(issue_ref(2)).await.unwrap();
    assert_eq!(again(&bed, &before).await, before, "whatever becomes of the issue");
}

pub async fn a_state_of_an_issue_is_kept_as_long_as_decisions_refer_to_it(bed: Bed) {
    let bed = bed.with_issues([1, 2]).await.reopen(Keep { decisions: 3, ..Keep::default() }).await;
    let only_first = decision_on("a1", &[issue(1), issue(2)]);
    let claim = granted_by(&bed, &only_first, 1).await;
    // Far beyond the time for which a state is kept that nobody refers to any more.
    let mut last = None;
    for minute in 1..=700 {
        let decision = decision_on("a1", &[issue(2)]);
        bed.store.decision_insert(Decision { decided_at: at(minute), ..decision.clone() }).await.unwrap();
        last = Some(decision);
    }
    let last = again(&bed, &last.unwrap()).await;
    assert_eq!(bodies(&last), [Some(issue(2).body)], "written again and again, so never lost");
    let first = again(&bed, &only_first).await;
    assert_eq!(bodies(&first), [None, Some(issue(2).body)], "of a live claim the decision stays, not the issue");
    bed.step(&claim, ClaimStatus::Released, Actor::Owner, 701).await;
}

pub async fn a_state_that_an_undone_write_kept_is_kept_by_the_next(bed: Bed) {
    let bed = bed.with_issues([1, 2]).await;
    let taken = decision("a0");
    granted_by(&bed, &taken, 2).await;
    // The id is taken, so the write fails after the claim was written, and with it whatever it kept.
    let failing = Decision { decision_id: taken.decision_id, ..decision_on("a1", &[issue(1)]) };
    let wish = ClaimWish { decision: Some(failing), ..exactly("a1", 1) };
    assert!(bed.store.claim_insert(wish).await.is_err());
    let second = decision_on("a1", &[issue(1)]);
    granted_by(&bed, &second, 1).await;
    assert_eq!(bodies(&again(&bed, &second).await), [Some(issue(1).body)]);
}

pub async fn a_decision_of_a_live_claim_stays_however_old(bed: Bed) {
    let bed = bed.with_issues([1]).await.reopen(Keep { decisions: 2, ..Keep::default() }).await;
    let live = decision("a1");
    let claim = granted_by(&bed, &live, 1).await;
    for _ in 0..10 {
        bed.store.decision_insert(decision("a2")).await.unwrap();
    }
    again(&bed, &live).await;
    bed.step(&claim, ClaimStatus::Released, Actor::Owner, 1).await;
    for _ in 0..10 {
        bed.store.decision_insert(decision("a2")).await.unwrap();
    }
    assert_eq!(bed.store.decision_get(live.decision_id).await.unwrap(), None);
    assert_eq!(bed.store.decision_list(DecisionFilter::default(), 99).await.unwrap().len(), 2);
}

pub async fn that_there_was_nothing_is_a_decision_too(bed: Bed) {
    let nothing = Empty { open: 3, claimed: 3, ..Empty::default() };
    let decision = Decision { nothing: Some(nothing.clone()), considered: Vec::new(), ..decision("a1") };
    bed.store.decision_insert(decision.clone()).await.unwrap();
    let kept = again(&bed, &decision).await;
    assert_eq!((kept.nothing, kept.chosen), (Some(nothing), None));
}

pub async fn decisions_are_listed_newest_first_and_filtered(bed: Bed) {
    let bed = bed.with_issues([1, 2, 3]).await;
    let mut made = Vec::new();
    for (who, number) in [("a1", 1), ("a2", 2), ("a1", 3)] {
        let decision = decision_on(who, &[issue(number), issue(3)]);
        let wish = ClaimWish { decision: Some(decision.clone()), ..exactly(who, number) };
        granted(bed.store.claim_insert(wish).await.unwrap());
        made.push(decision.decision_id);
    }
    let empty = decision("a2");
    bed.store.decision_insert(Decision { considered: Vec::new(), ..empty.clone() }).await.unwrap();
    made.push(empty.decision_id);
    let listed = async |filter: DecisionFilter, limit: usize| -> Vec<usize> {
        let decisions = bed.store.decision_list(filter, limit).await.unwrap();
        let place = |decision: &Decision| made.iter().position(|id| *id == decision.decision_id).unwrap();
        decisions.iter().map(place).collect()
    };
    let all = DecisionFilter::default();
    assert_eq!(listed(all.clone(), 99).await, [3, 2, 1, 0]);
    assert_eq!(listed(all.clone(), 2).await, [3, 2]);
    assert_eq!(listed(DecisionFilter { agent: Some(agent("a2")), ..all.clone() }, 99).await, [3, 1]);
    assert_eq!(listed(DecisionFilter { repo: Some(repo()), ..all.clone() }, 99).await, [2, 1, 0]);
    assert_eq!(listed(DecisionFilter { chosen: Some(issue_ref(3)), ..all.clone() }, 99).await, [2]);
    assert_eq!(listed(DecisionFilter { considered: Some(issue_ref(3)), ..all.clone() }, 99).await, [2, 1, 0]);
    assert_eq!(listed(DecisionFilter { considered: Some(issue_ref(3)), ..all }, 1).await, [2]);
}

pub async fn decisions_and_their_issues_are_there_after_reopening(bed: Bed) {
    let bed = bed.with_issues([1, 2]).await;
    let before = decision_on("a1", &[issue(1), issue(2)]);
    granted_by(&bed, &before, 1).await;
    let kept = again(&bed, &before).await;
    let bed = bed.reopen(Keep::default()).await;
    assert_eq!(again(&bed, &before).await, kept);
}
