//! What a well-behaved policy sees and what becomes of its answers.

use chrono::TimeDelta;
use issuecommand::domain::{Actor, ClaimSignals, ClaimStatus, Step, unix_ms};
use issuecommand::policy::{LiveClaim, Verdict};

use crate::stage::{claim, config, later, load, misbehaving, repo, request, rows, shortlist};
use crate::workshop::PLAIN;

#[test]
fn scores_come_back_in_the_order_of_the_rows_and_hold_as_long_as_the_policy_says() {
    let set = load(&config(&PLAIN)).unwrap();
    let scored = set.ranker.score(rows(40_000), later()).unwrap();
    assert_eq!(scored.len(), 40_000);
    for (row, scored) in (0u32..).zip(&scored) {
        assert_eq!(scored.value, f64::from(row));
        assert_eq!(scored.runs_out_ms(), Some(unix_ms(later() + TimeDelta::hours(1))));
        assert_eq!(scored.skip, None);
    }
    assert!(set.ranker.score(Vec::new(), later()).unwrap().is_empty());
}

#[test]
fn a_policy_that_names_no_values_scores_all_alike_and_for_ever() {
    let scored = misbehaving("score", "silent").ranker.score(rows(3), later()).unwrap();
    assert!(scored.iter().all(|scored| scored.value == 0.0 && scored.runs_out_ms().is_none()), "{scored:?}");
    let scored = misbehaving("score", "for_ever").ranker.score(rows(3), later()).unwrap();
    assert!(scored.iter().all(|scored| scored.runs_out_ms().is_none()), "{scored:?}");
}

#[test]
fn a_score_that_has_lapsed_already_holds_for_a_second() {
    let scored = misbehaving("score", "lapsed").ranker.score(rows(2), later()).unwrap();
    assert!(
        scored.iter().all(|scored| scored.runs_out_ms() == Some(unix_ms(later() + TimeDelta::seconds(1)))),
        "{scored:?}"
    );
}

#[test]
fn a_skipped_row_carries_its_reason() {
    let scored = misbehaving("score", "skip_last").ranker.score(rows(3), later()).unwrap();
    let reasons: Vec<_> = scored.iter().map(|scored| scored.skip.as_deref()).collect();
    assert_eq!(reasons, [None, None, Some("not this one")]);
}

#[test]
fn an_order_that_names_some_rows_is_completed_with_the_others() {
    let set = load(&config(&PLAIN)).unwrap();
    let choice = set.ranker.choose(&request(), &shortlist(6), later()).unwrap();
    assert_eq!(choice.order, [5, 4, 3, 0, 1, 2]);
    assert!(choice.skipped.is_empty());
}

#[test]
fn a_row_both_ordered_and_skipped_is_skipped() {
    let choice = misbehaving("choose", "skip_last").ranker.choose(&request(), &shortlist(6), later()).unwrap();
    assert_eq!(choice.order, [4, 3, 0, 1, 2]);
    assert_eq!(choice.skipped, [(5, "not this one".to_string())]);
}

#[test]
fn a_policy_sees_every_fact_of_its_rows() {
    let set = load(&config(&PLAIN)).unwrap();
    let reasons = set.ranker.explain(&shortlist(2), later()).unwrap();
    let (created, updated) = (unix_ms(later() - TimeDelta::days(2)), unix_ms(later() - TimeDelta::days(1)));
    assert_eq!(reasons.len(), 2);
    assert_eq!(reasons[1][0].rule, "acme/app#2");
    assert_eq!(reasons[1][0].amount, 1.0);
    assert_eq!(
        reasons[1][0].text,
        // No agent asks in `explain`: its facts are empty, and the counts of claims are zero.
        format!("Issue 2|bug+p1|||ann|OWNER|1|5|{created}|{updated}|0|[][0, 0]")
    );
}

#[test]
fn a_stale_rule_judges_each_claim() {
    let set = load(&config(&PLAIN)).unwrap();
    let mut submitted = claim("a2");
    for status in [ClaimStatus::InProgress, ClaimStatus::PrSubmitted] {
        let step = Step { pr_url: Some("https://x/pull/1".into()), ..Step::to(status, Actor::Owner) };
        submitted.advance(step, TimeDelta::hours(2), later()).unwrap();
    }
    let (fresh, gone) = (claim("a1"), claim("gone"));
    let days_ago = |days| later() - TimeDelta::days(days);
    let live = [(&fresh, 0), (&fresh, 2), (&submitted, 9), (&gone, 9)];
    let live =
        live.map(|(claim, days)| LiveClaim { claim, last_call_at: days_ago(days), signals: ClaimSignals::default() });
    let verdicts = set.stale_rule.assess(&live, later()).0;
    assert_eq!(verdicts, [Verdict::Healthy, Verdict::Stale, Verdict::Waiting, Verdict::Release]);
    assert!(set.stale_rule.assess(&[], later()).0.is_empty());
}

#[test]
fn a_repository_filter_says_why() {
    let set = load(&config(&PLAIN)).unwrap();
    let mut repos = [repo("acme/a"), repo("acme/b"), repo("acme/c")];
    repos[1].fork = true;
    repos[2].archived = true;
    let excluded = set.repo_filter.exclude(&repos).unwrap();
    assert_eq!(excluded, [None, Some("acme/b is a fork".into()), Some("acme/c is archived".into())]);
    assert!(set.repo_filter.exclude(&[]).unwrap().is_empty());
}

#[test]
fn the_stamp_names_component_and_settings() {
    let mut config = config(&PLAIN);
    let plain = load(&config).unwrap();
    config.ranker.settings.insert("a".into(), 1.into());
    let other = load(&config).unwrap();
    let (plain, other) = (plain.ranker.stamp(), other.ranker.stamp());
    assert_eq!(plain.source, config.ranker.source);
    assert_eq!(plain.digest, other.digest);
    assert_ne!(plain.settings_digest, other.settings_digest);
    // SHA-256 of `{}`.
    assert_eq!(plain.settings_digest, "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a");
}

#[test]
fn a_set_is_called_from_many_threads_at_once() {
    let set = load(&config(&PLAIN)).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..16 {
            scope.spawn(|| {
                for _ in 0..50 {
                    let choice = set.ranker.choose(&request(), &shortlist(4), later()).unwrap();
                    assert_eq!(choice.order, [3, 2, 0, 1]);
                }
            });
        }
    });
}
