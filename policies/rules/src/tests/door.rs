//! What is looked at while an agent waits: caps, needs, shares, and when feedback comes.

use issuecommand_policy::Request;
use issuecommand_policy::testing::{
    CandidateFacts, Offered, OfferedWork, candidate, candidates, choose, choose_work, follow_up, follow_ups, request,
};
use serde_json::{Value, json};

use super::rules;

fn offered(settings: Value, claims: &[&str], facts: &[CandidateFacts]) -> Offered {
    choose(&rules(settings), &request("ada", claims), &candidates(facts.iter().cloned()))
}

/// The same for a request of which more is known.
fn offered_to(request: &Request, settings: Value, facts: &[CandidateFacts]) -> Offered {
    choose(&rules(settings), request, &candidates(facts.iter().cloned()))
}

#[test]
fn without_caps_the_short_list_stays_as_it_is() {
    let facts = [candidate().scored(2.0).repo_claims(9), candidate().scored(1.0)];
    let offered = offered(json!({}), &["acme/app", "acme/app"], &facts);
    assert_eq!(offered, Offered { rows: vec![0, 1], skipped: vec![] });
}

#[test]
fn an_agent_at_its_cap_is_told_so_and_below_it_gets_work() {
    let settings = || json!({ "max_claims_per_agent": 3 });
    assert_eq!(offered(settings(), &["a/a", "a/b"], &[candidate()]).rows, [0]);
    let full = offered(settings(), &["a/a", "a/b", "a/a"], &[candidate(), candidate()]);
    assert!(full.rows.is_empty());
    assert_eq!(full.skipped[1], (1, "agent holds 3 of at most 3 claims".into()));
}

#[test]
fn a_repository_at_its_cap_is_passed_over_and_others_are_not() {
    let facts = [candidate().repo_claims(2), candidate().repo("acme/web").repo_claims(1)];
    let offered = offered(json!({ "max_claims_per_repo": 2 }), &[], &facts);
    assert_eq!(offered.rows, [1]);
    assert_eq!(offered.skipped, [(0, "acme/app has 2 of at most 2 claims".into())]);
}

/// What comes before issues and what after, of one row of each kind in the host's order.
fn turns(settings: Value) -> OfferedWork {
    let kinds = ["review_changes_requested", "review_comment", "pr_comment"];
    let rows = follow_ups(kinds.map(|kind| follow_up().kind(kind)));
    choose_work(&rules(settings), &request("a1", &[]), &rows)
}

#[test]
fn feedback_comes_first_unless_the_table_says_otherwise() {
    for settings in [json!({}), json!({ "follow_ups": "first" })] {
        let offered = turns(settings);
        assert_eq!((offered.before_issues, offered.after_issues), (vec![0, 1, 2], vec![]));
        assert_eq!(offered.skipped, []);
    }
}

#[test]
fn only_requested_changes_come_first_when_the_urgent_come_first() {
    let offered = turns(json!({ "follow_ups": "urgent_first" }));
    assert_eq!((offered.before_issues, offered.after_issues), (vec![0], vec![1, 2]));
    assert_eq!(offered.skipped, []);
}

#[test]
fn feedback_that_comes_last_waits_in_its_order() {
    let offered = turns(json!({ "follow_ups": "last" }));
    assert_eq!((offered.before_issues, offered.after_issues), (vec![], vec![0, 1, 2]));
    assert_eq!(offered.skipped, []);
}

#[test]
fn feedback_that_never_comes_says_why() {
    let offered = turns(json!({ "follow_ups": "never" }));
    assert_eq!((offered.before_issues, offered.after_issues), (vec![], vec![]));
    let reason = "follow_ups = \"never\"".to_owned();
    assert_eq!(offered.skipped, [(0, reason.clone()), (1, reason.clone()), (2, reason)]);
}

#[test]
fn an_agent_with_reviews_to_finish_is_told_how_many_and_when_to_ask_again() {
    let settings = || json!({ "max_reviews_per_agent": 2, "review_retry_minutes": 30 });
    let busy = request("ada", &[]).reviews(2);
    let offered = offered_to(&busy, settings(), &[candidate(), candidate().number(2)]);
    let told = "finish review first: 2 of at most 2 pull requests wait; try again in 30 minutes";
    assert_eq!(offered.skipped, [(0, told.to_owned()), (1, told.to_owned())]);
    assert_eq!(busy.retry_after_ms(), Some(30 * 60_000));
    let free = request("ada", &[]).reviews(1);
    assert_eq!(offered_to(&free, settings(), &[candidate()]).rows, [0]);
    assert_eq!(free.retry_after_ms(), None);
}

#[test]
fn reviews_that_wait_in_a_repository_or_for_a_reviewer_hold_back_its_issues_only() {
    let facts = [
        candidate().repo_reviews(3),
        candidate().repo("acme/web").repo_reviews(2).reviewer("kim").reviewer("ann").reviewer_load(4),
        candidate().repo("acme/web").repo_reviews(2).reviewer("bob").reviewer_load(3),
    ];
    let settings = json!({ "max_reviews_per_repo": 3, "max_reviews_per_reviewer": 4 });
    let asking = request("ada", &[]);
    let offered = offered_to(&asking, settings, &facts);
    assert_eq!(offered.rows, [2]);
    let told = |what: &str| format!("finish review first: {what}; try again in 15 minutes");
    assert_eq!(
        offered.skipped,
        [
            (0, told("3 of at most 3 pull requests wait in acme/app")),
            (1, told("4 of at most 4 pull requests wait for kim or ann")),
        ]
    );
    assert_eq!(asking.retry_after_ms(), Some(15 * 60_000));
}

#[test]
fn an_issue_goes_to_agents_that_state_the_skill_it_needs() {
    let settings =
        || json!({ "needs": [{ "label": "lang:*", "skill": "*" }, { "topic": "web", "skill": ["css", "js"] }] });
    let facts = [
        candidate().label("Lang:Rust"),
        candidate().topic("web"),
        candidate().label("lang:rust").label("lang:c"),
        candidate().label("rust"),
    ];
    let rows = |skills: &[&str]| offered_to(&request("ada", &[]).skilled(skills), settings(), &facts).rows;
    assert_eq!(rows(&["rust"]), [0, 3]);
    assert_eq!(rows(&["js"]), [1, 3]);
    assert_eq!(rows(&["rust", "c", "css"]), [0, 1, 2, 3]);
    let offered = offered_to(&request("ada", &[]), settings(), &facts);
    let told = |what: &str| format!("needs the skill {what}; an agent states skills when it asks");
    assert_eq!(offered.skipped[0], (0, told("rust, for label Lang:Rust")));
    assert_eq!(offered.skipped[1], (1, told("css or js, for topic web")));
}

#[test]
fn a_skill_is_one_word_whatever_the_label_or_the_table_says() {
    let settings =
        || json!({ "needs": [{ "label": "lang:*", "skill": "*" }, { "topic": "ml", "skill": "Deep, Learning" }] });
    let facts = [candidate().label("lang: Visual  Basic"), candidate().topic("ml")];
    let rows = |skills: &[&str]| offered_to(&request("ada", &[]).skilled(skills), settings(), &facts).rows;
    assert_eq!(rows(&["visual-basic"]), [0]);
    assert_eq!(rows(&["deep-learning"]), [1]);
    let told = offered_to(&request("ada", &[]), settings(), &facts).skipped;
    assert!(told[0].1.starts_with("needs the skill visual-basic, for label lang: Visual  Basic;"), "{told:?}");
}

#[test]
fn an_issue_goes_to_agents_of_the_group_it_is_for() {
    let settings =
        || json!({ "needs": [{ "repo": "acme/vault*", "group": "trusted" }, { "area": "*.css", "group": "ui" }] });
    let facts = [candidate().repo("acme/vault-2"), candidate().area("src/a.rs").area("web/Site.CSS"), candidate()];
    let offered = offered_to(&request("ada", &[]).grouped(&["trusted"]), settings(), &facts);
    assert_eq!(offered.rows, [0, 2]);
    assert_eq!(offered.skipped, [(1, "is for agents of the group ui, for area web/Site.CSS".to_owned())]);
}

#[test]
fn a_repository_with_more_than_its_share_comes_later_within_its_tier() {
    // Five live claims in two repositories: a share is two and a half.
    let busy = |number| candidate().repo("acme/busy").repo_claims(4).number(number);
    let idle = |number| candidate().repo("acme/idle").repo_claims(1).number(number);
    let facts =
        [busy(1).scored(2.0), busy(2).scored(1.0), idle(3).scored(1.0), busy(4).scored(1.0), idle(5).scored(0.0)];
    assert_eq!(offered(json!({ "fair_share": true }), &[], &facts).rows, [0, 2, 1, 3, 4]);
    assert_eq!(offered(json!({}), &[], &facts).rows, [0, 1, 2, 3, 4]);
    let even = facts.map(|row| row.repo_claims(3));
    assert_eq!(offered(json!({ "fair_share": true }), &[], &even).rows, [0, 1, 2, 3, 4]);
}

#[test]
fn a_share_never_moves_an_issue_across_tiers_whatever_its_rules_take() {
    // A tier is 100 points; rules may take 30 and add 60.
    let settings = json!({ "fair_share": true, "rules": [
        { "field": "label", "op": "is", "value": "x", "weight": -30 },
        { "field": "label", "op": "is", "value": "y", "weight": 60 },
    ]});
    let busy = candidate().repo("acme/busy").repo_claims(9);
    let facts = [busy.clone().scored(70.0), candidate().scored(60.0), busy.scored(-30.0), candidate().scored(-30.0)];
    assert_eq!(offered(settings, &[], &facts).rows, [0, 1, 3, 2]);
}
