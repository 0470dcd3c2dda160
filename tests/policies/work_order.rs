//! What a ranker may export besides: when review feedback comes.

use issuecommand::domain::unix_ms;
use issuecommand::policy::{PolicyError, WorkChoice};

use crate::stage::{config, follow_ups, later, load, misbehaving, request, rows, shortlist};
use crate::workshop::{OTHER_WORK_ORDER, PLAIN, WITHOUT_WORK_ORDER};

/// The error of `choose-work` once the guest misbehaves so. Proves, too, that the call after it is served.
fn error(what: &str) -> PolicyError {
    let set = misbehaving("choose-work", what);
    let error = set.ranker.choose_work(&request(), &follow_ups(3), later()).unwrap_err();
    let before = later() - chrono::TimeDelta::days(1);
    let choice = set.ranker.choose_work(&request(), &follow_ups(2), before).unwrap();
    assert_eq!((choice.before_issues, choice.after_issues), (vec![0], vec![1]));
    error
}

#[test]
fn a_ranker_says_what_of_the_feedback_comes_before_issues_and_what_after() {
    let set = load(&config(&PLAIN)).unwrap();
    assert!(set.ranker.orders_work());
    let choice = set.ranker.choose_work(&request(), &follow_ups(4), later()).unwrap();
    let expected = WorkChoice { before_issues: vec![0], after_issues: vec![3, 2, 1], skipped: Vec::new() };
    assert_eq!(choice, expected);
}

#[test]
fn the_built_in_rules_say_it_by_their_table() {
    let turns = [
        ("first", WorkChoice::feedback_first(2)),
        ("urgent_first", WorkChoice { after_issues: vec![0, 1], ..WorkChoice::default() }),
        ("last", WorkChoice { after_issues: vec![0, 1], ..WorkChoice::default() }),
    ];
    for (turn, expected) in turns {
        let mut config = config(&PLAIN);
        config.ranker.source = "builtin:rules".into();
        config.ranker.settings.insert("follow_ups".into(), turn.into());
        let set = load(&config).unwrap();
        assert_eq!(set.ranker.choose_work(&request(), &follow_ups(2), later()).unwrap(), expected, "{turn}");
    }
    let mut config = config(&PLAIN);
    config.ranker.source = "builtin:rules".into();
    config.ranker.settings.insert("follow_ups".into(), "sometimes".into());
    let text = load(&config).unwrap_err().to_string();
    assert!(text.contains("follow_ups: unknown variant `sometimes`, expected one of `first`"), "{text}");
}

#[test]
fn a_ranker_sees_every_fact_of_the_feedback_and_who_asks() {
    let set = misbehaving("choose-work", "tell");
    let choice = set.ranker.choose_work(&request(), &follow_ups(2), later()).unwrap();
    let at = unix_ms(later()) - 3_600_000;
    let told =
        |number, own, pushed| format!("acme/app#{number}|review_comment|ann|{own}|{at}|{pushed}|a11[\"acme/app\"]");
    assert_eq!(choice.skipped, [(0, told(1, true, true)), (1, told(2, false, false))]);
    assert!(choice.before_issues.is_empty() && choice.after_issues.is_empty(), "skipping wins: {choice:?}");
}

#[test]
fn a_ranker_built_without_it_works_and_leaves_feedback_first() {
    let set = load(&config(&WITHOUT_WORK_ORDER)).unwrap();
    assert!(!set.ranker.orders_work());
    assert_eq!(set.ranker.score(rows(3), later()).unwrap()[2].value, 2.0);
    assert_eq!(set.ranker.choose(&request(), &shortlist(2), later()).unwrap().order, [1, 0]);
    let choice = set.ranker.choose_work(&request(), &follow_ups(3), later()).unwrap();
    assert_eq!(choice, WorkChoice::feedback_first(3));
}

#[test]
fn an_export_without_its_function_is_refused_by_name() {
    let text = load(&config(&OTHER_WORK_ORDER)).unwrap_err().to_string();
    assert!(text.contains("does not fit issuecommand:policy@0.1.0") && text.contains("`choose-work`"), "{text}");
}

#[test]
fn a_fault_is_told_in_words_and_bounded_like_one_of_choose() {
    for (what, words) in [
        (
            "loop",
            "`choose-work` took longer than 100 ms and was stopped: do less in one call, or raise [policies] choose_ms_max",
        ),
        ("trap", "`choose-work` failed in the policy: "),
        ("panic", "the issue tracker is full of bees"),
        ("refuse", "`choose-work` was refused by the policy: I will not rank on a Sunday"),
        ("unknown_row", "`choose-work` gave a bad answer: order names row 3, but there are 3 rows, from 0"),
        ("twice", "order names row 0 twice"),
        ("unknown_row_after", "after-issues names row 3, but there are 3 rows, from 0"),
        ("twice_after", "after-issues names row 0 twice"),
        ("skip_unknown", "skipped names row 3"),
        ("skip_twice", "skipped names row 0 twice"),
        ("skip_huge", "`choose-work` sent more than"),
    ] {
        let text = error(what).to_string();
        assert!(text.contains(words), "{what}: {text:?} does not say {words:?}");
    }
}

#[test]
fn a_long_reason_is_cut_to_one_line() {
    let choice =
        misbehaving("choose-work", "skip_long").ranker.choose_work(&request(), &follow_ups(2), later()).unwrap();
    let (row, reason) = &choice.skipped[0];
    assert!(*row == 0 && reason.starts_with("long long") && reason.len() < 310, "{reason:?}");
    assert_eq!((choice.before_issues, choice.after_issues), (vec![], vec![1]));
}
