//! Policies that fail at work: each fault is told in words, and the next call is served.

use std::io;
use std::sync::{Arc, Mutex};

use issuecommand::domain::ClaimSignals;
use issuecommand::policy::{LiveClaim, PolicyError, PolicySet};
use tracing::Level;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::prelude::*;

use crate::stage::{claim, later, misbehaving, repo, request, rows, shortlist};

/// The error of `score` once the guest misbehaves so. Proves, too, that a call about the time before
/// the fault is served afterwards.
fn score_error(what: &str) -> PolicyError {
    let set = misbehaving("score", what);
    let error = set.ranker.score(rows(3), later()).unwrap_err();
    assert_serves(&set);
    error
}

fn choose_error(what: &str) -> PolicyError {
    let set = misbehaving("choose", what);
    let error = set.ranker.choose(&request(), &shortlist(3), later()).unwrap_err();
    assert_serves(&set);
    error
}

fn assert_serves(set: &PolicySet) {
    let before = later() - chrono::TimeDelta::days(1);
    assert_eq!(set.ranker.score(rows(3), before).unwrap()[2].value, 2.0);
    assert_eq!(set.ranker.choose(&request(), &shortlist(2), before).unwrap().order, [1, 0]);
}

#[track_caller]
fn assert_says(error: &PolicyError, words: &[&str]) {
    let text = error.to_string();
    for word in words {
        assert!(text.contains(word), "{text:?} does not say {word:?}");
    }
    assert!(text.len() < 1500, "{} bytes", text.len());
    assert!(!text.chars().any(char::is_control), "{text:?}");
}

#[test]
fn an_endless_loop_is_stopped_at_its_deadline() {
    let error = score_error("loop");
    assert!(matches!(error, PolicyError::DeadlineExceeded { ms: 500, .. }), "{error:?}");
    assert_says(&error, &["`score`", "500 ms", "call_ms_max"]);
    let error = choose_error("loop");
    assert!(matches!(error, PolicyError::DeadlineExceeded { ms: 100, .. }), "{error:?}");
    assert_says(&error, &["`choose`", "100 ms", "choose_ms_max"]);
}

#[test]
fn a_panic_is_told_in_its_own_words() {
    let error = score_error("panic");
    assert!(matches!(error, PolicyError::Trapped { .. }), "{error:?}");
    assert_says(&error, &["`score`", "the issue tracker is full of bees", "lib.rs"]);
}

#[test]
fn a_trap_without_a_word_is_told_by_its_kind() {
    assert_says(&score_error("trap"), &["`score`", "unreachable"]);
}

#[test]
fn endless_recursion_is_a_stack_overflow() {
    let error = score_error("recurse");
    assert!(matches!(error, PolicyError::StackOverflow { .. }), "{error:?}");
    assert_says(&error, &["stack", "recurse", "recursion"]);
}

#[test]
fn memory_is_bounded() {
    let error = score_error("allocate");
    assert!(matches!(error, PolicyError::MemoryExceeded { bytes: 16_777_216, .. }), "{error:?}");
    assert_says(&error, &["`score`", "16777216 bytes", "memory_bytes_max"]);
}

#[test]
fn a_policy_that_leaks_is_served_by_fresh_instances() {
    let set = misbehaving("score", "leak");
    for _ in 0..100 {
        set.ranker.score(rows(3), later()).unwrap();
    }
}

#[test]
fn facts_are_pulled_within_a_budget() {
    for what in ["fact_bytes", "fact_calls"] {
        let set = misbehaving("score", what);
        // Titles of 256 bytes, which GitHub allows, so that their bytes count.
        let mut rows = rows(1_000);
        for row in &mut rows {
            Arc::get_mut(row).unwrap().title = "t".repeat(256).into();
        }
        let error = set.ranker.score(&rows, later()).unwrap_err();
        assert!(matches!(error, PolicyError::BudgetExceeded { .. }), "{what}: {error:?}");
        assert_says(&error, &["`score`", "ask once for a column"]);
        assert_serves(&set);
    }
}

#[test]
fn scores_that_cannot_be_compared_are_refused() {
    assert_says(&score_error("nan"), &["score of row 0 is NaN", "finite"]);
    assert_says(&score_error("infinite"), &["score of row 0 is inf", "finite"]);
    assert_says(&score_error("short"), &["values has 2 entries for 3 rows"]);
}

#[test]
fn rows_that_are_not_there_or_named_twice_are_refused() {
    assert_says(&score_error("skip_unknown"), &["skipped names row 3", "3 rows"]);
    assert_says(&score_error("skip_twice"), &["skipped names row 0 twice"]);
    assert_says(&choose_error("unknown_row"), &["order names row 3", "3 rows"]);
    assert_says(&choose_error("twice"), &["order names row 0 twice"]);
}

#[test]
fn a_long_reason_is_cut_to_one_line() {
    let scored = misbehaving("score", "skip_long").ranker.score(rows(1), later()).unwrap();
    let reason = scored[0].skip.clone().unwrap();
    assert!(reason.starts_with("long long") && reason.ends_with('…') && reason.len() < 310, "{reason:?}");
}

#[test]
fn an_answer_without_measure_is_refused() {
    for error in [score_error("skip_huge"), score_error("refuse_huge"), choose_error("skip_huge")] {
        assert!(matches!(error, PolicyError::OutputTooLarge { .. }), "{error:?}");
        assert_says(&error, &["bytes at once"]);
    }
}

#[test]
fn a_refusal_is_told_in_one_line_of_the_policys_own() {
    let error = score_error("refuse");
    assert!(matches!(error, PolicyError::Refused { .. }), "{error:?}");
    assert_says(&error, &["`score`", "I will not rank on a Sunday"]);
}

#[test]
fn explanations_are_complete_and_finite() {
    for (what, words) in [("short", "reasons for 2 rows of 3"), ("nan", "adds NaN to row 0"), ("loop", "100 ms")] {
        let error = misbehaving("explain", what).ranker.explain(&shortlist(3), later()).unwrap_err();
        assert_says(&error, &["`explain`", words]);
    }
}

#[test]
fn a_stale_rule_judges_all_or_none() {
    let claim = claim("a1");
    let live = [LiveClaim { claim: &claim, last_call_at: later(), signals: ClaimSignals::default() }; 2];
    for (what, words) in [("short", "1 verdicts for 2 claims"), ("panic", "bees"), ("loop", "500 ms")] {
        let set = misbehaving("assess", what);
        assert_says(&set.stale_rule.assess(&live, later()).1.unwrap(), &["`assess`", words]);
        assert!(set.stale_rule.assess(&live, later() - chrono::TimeDelta::days(1)).1.is_none());
    }
}

#[test]
fn a_repository_filter_that_fails_says_so() {
    for (what, words) in [("skip_unknown", "row 1"), ("skip_twice", "row 0 twice"), ("panic", "bees")] {
        let set = misbehaving("exclude", what);
        assert_says(&set.repo_filter.exclude(&[repo("acme/trigger")]).unwrap_err(), &["`exclude`", words]);
        assert_eq!(set.repo_filter.exclude(&[repo("acme/other")]).unwrap(), [None]);
    }
}

#[test]
fn the_log_takes_a_few_bounded_lines_of_a_call() {
    let lines = logged(|| {
        misbehaving("score", "log_flood").ranker.score(rows(1), later()).unwrap();
    });
    let own = lines.iter().filter(|line| line.contains("policy: line ")).count();
    assert_eq!(own, 8, "{lines:#?}");
    assert!(lines.iter().any(|line| line.contains("dropped 9992 further log lines")), "{lines:#?}");
    assert_says(&score_error("log_huge"), &["bytes at once"]);
}

#[test]
fn a_policy_cannot_forge_lines_of_the_log() {
    let lines = logged(|| {
        misbehaving("score", "log_controls").ranker.score(rows(1), later()).unwrap();
    });
    let [line] = lines.iter().filter(|line| line.contains("forged")).collect::<Vec<_>>()[..] else {
        panic!("{lines:#?}")
    };
    assert!(line.contains("WARN policy: red [31m forged line xxx") && line.len() < 800, "{line}");
}

/// What is logged by this thread during `act`, without the spans around it: whether those are looked at depended on what
/// other tests did at the same time.
fn logged(act: impl FnOnce()) -> Vec<String> {
    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);
    impl io::Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let page = Page::default();
    let writer = page.clone();
    let events = filter_fn(|metadata| metadata.is_event() && *metadata.level() <= Level::INFO);
    let lines = tracing_subscriber::fmt::layer().with_ansi(false).with_writer(move || writer.clone());
    let subscriber = tracing_subscriber::registry().with(lines.with_filter(events));
    tracing::subscriber::with_default(subscriber, act);
    let bytes = page.0.lock().unwrap();
    String::from_utf8_lossy(&bytes).lines().map(String::from).collect()
}
