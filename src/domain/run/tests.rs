//! A run's rules.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::domain::from_unix_ms;

fn at(second: u64) -> Timestamp {
    from_unix_ms(1_700_000_000_000 + second * 1000)
}

fn run() -> Run {
    let wish = RunWish {
        issue: "acme/small#7".parse().unwrap(),
        url: "https://github.com/acme/small/issues/7".into(),
        title: "Fix it".into(),
        body: String::new(),
        priority: RunPriority::Medium,
        requested_by: "label".into(),
    };
    Run::queued(wish, at(0))
}

fn question() -> RunQuestion {
    let (id, text) = ("q1".into(), "Which?".into());
    RunQuestion { id, text, options: Vec::new(), asked_at: at(3), after_comment: None }
}

fn steps() -> Vec<RunStep> {
    let why = || "why".to_owned();
    vec![
        RunStep::Begin,
        RunStep::Work,
        RunStep::Ask(question()),
        RunStep::Complete { pr_url: "https://x/pull/1".into() },
        RunStep::Fail { why: why() },
        RunStep::Requeue { why: why(), not_before: None, failed: true },
    ]
}

/// Every pair of statuses, written out.
#[test]
fn a_run_goes_where_it_may_and_nowhere_else() {
    use RunStatus::{Completed, Dispatched, Failed, Queued, Running, WaitingHuman};
    let permitted = [
        (Queued, vec![Dispatched, Failed]),
        (Dispatched, vec![Running, Queued, Failed, Completed]),
        (Running, vec![WaitingHuman, Queued, Failed, Completed]),
        (WaitingHuman, vec![Running, Queued, Failed]),
        (Completed, vec![]),
        (Failed, vec![]),
    ];
    for (from, to) in permitted {
        for step in steps() {
            let mut run = Run { status: from, ..run() };
            let before = run.clone();
            let target = step.status();
            let answer = run.advance(step, at(9));
            assert_eq!(answer.is_ok(), to.contains(&target), "{from} to {target}");
            if answer.is_err() {
                assert_eq!(run, before, "{from} to {target}");
            }
        }
    }
}

#[test]
fn only_its_own_failures_count_against_a_run() {
    let mut run = run();
    for (failed, failures) in [(false, 0), (true, 1)] {
        run.advance(RunStep::Begin, at(1)).unwrap();
        let requeue = RunStep::Requeue { why: "later".into(), not_before: Some(at(60)), failed };
        run.advance(requeue, at(2)).unwrap();
        assert_eq!((run.failures, run.not_before), (failures, Some(at(60))));
    }
    assert_eq!(run.attempts, 2);
    run.advance(RunStep::Begin, at(61)).unwrap();
    assert_eq!((run.reason, run.not_before), (None, None));
}

#[test]
fn the_journal_says_where_to_go_on_and_what_to_undo() {
    let mut run = run();
    run.advance(RunStep::Begin, at(1)).unwrap();
    assert_eq!(run.next_phase(), Some(Phase::Claim));
    for phase in [Phase::Claim, Phase::Fetch, Phase::Container] {
        run.mark(phase, PhaseMark::Doing, at(2));
        run.mark(phase, PhaseMark::Done, at(2));
    }
    run.mark(Phase::Workspace, PhaseMark::Doing, at(3));
    assert_eq!(run.next_phase(), Some(Phase::Workspace));
    assert_eq!(run.to_undo(), [Phase::Workspace, Phase::Container, Phase::Fetch, Phase::Claim]);
    run.mark(Phase::Workspace, PhaseMark::Undoing, at(4));
    assert_eq!(run.to_undo()[0], Phase::Workspace, "begun is not done: it is undone again after a crash");
    run.mark(Phase::Workspace, PhaseMark::Undone, at(4));
    run.mark(Phase::Container, PhaseMark::Undone, at(5));
    assert_eq!(run.to_undo(), [Phase::Fetch, Phase::Claim]);
    run.advance(RunStep::Requeue { why: "x".into(), not_before: None, failed: false }, at(6)).unwrap();
    run.advance(RunStep::Begin, at(7)).unwrap();
    assert_eq!((run.to_undo(), run.next_phase()), (vec![], Some(Phase::Claim)), "an attempt has its own journal");
}

#[test]
fn the_journal_keeps_its_newest_entries() {
    let mut run = run();
    for second in 0..300 {
        run.mark(Phase::Claim, PhaseMark::Doing, at(second));
    }
    assert_eq!((run.journal.len(), run.journal[0].at), (JOURNAL_COUNT_MAX, at(100)));
}

#[test]
fn another_attempt_has_another_branch() {
    let run = run();
    assert_ne!(run.branch_under(1), run.branch_under(2));
    assert_eq!(run.branch_under(3), format!("agent/{}-e3", run.run_id.short()));
}

#[test]
fn the_most_urgent_label_counts_and_none_is_medium() {
    let of = |labels: &[&str]| RunPriority::of_labels(labels.iter().copied());
    assert_eq!(of(&["bug"]), RunPriority::Medium);
    assert_eq!(of(&["priority/low", " Priority/Critical "]), RunPriority::Critical);
    assert_eq!(of(&["priority/low"]), RunPriority::Low);
    assert_eq!(of(&["critical", "priority/urgent"]), RunPriority::Medium);
}

#[test]
fn a_follow_up_works_on_the_branch_of_its_parent() {
    let mut parent = run();
    parent.branch = Some("agent/x-e1".into());
    parent.comment = Some(5);
    let item = WorkItemId::fresh();
    let child = Run::follow_up(&parent, vec![item], "please rename".into(), at(9));
    assert_eq!((child.parent, child.branch, child.round), (Some(parent.run_id), parent.branch, 1));
    assert_eq!((child.follow_ups, child.status, child.comment), (vec![item], RunStatus::Queued, Some(5)));
}

#[test]
fn time_in_which_people_were_asked_or_no_server_was_there_is_no_work() {
    let seconds = |run: &Run, now: u64| run.worked(at(now)).as_secs();
    let mut run = run();
    run.advance(RunStep::Begin, at(0)).unwrap();
    run.advance(RunStep::Work, at(2)).unwrap();
    assert_eq!(seconds(&run, 10), 10);
    run.driven_at = Some(at(10));
    run.go_on(at(100));
    assert_eq!((seconds(&run, 100), run.driven_at), (10, Some(at(100))), "the server was down for 90 seconds");

    run.advance(RunStep::Ask(RunQuestion { asked_at: at(110), ..question() }), at(110)).unwrap();
    run.go_on(at(500));
    run.ask_another(RunQuestion { asked_at: at(600), ..question() });
    run.advance(RunStep::Work, at(1000)).unwrap();
    assert_eq!((seconds(&run, 1001), run.driven_at), (21, Some(at(1000))), "the wait counts once, restarts or not");

    run.advance(RunStep::Requeue { why: "again".into(), not_before: None, failed: true }, at(1001)).unwrap();
    run.advance(RunStep::Begin, at(2000)).unwrap();
    run.go_on(at(2001));
    assert_eq!((seconds(&run, 2005), run.waited_ms), (5, 0), "another attempt has a time of its own");
}

#[test]
fn what_earlier_attempts_used_is_known_at_the_beginning_of_the_next() {
    let used = |input_tokens| RunUsage { input_tokens, ..RunUsage::default() };
    let mut run = run();
    run.advance(RunStep::Begin, at(0)).unwrap();
    assert_eq!(run.usage_before, used(0));
    run.usage = used(70);
    run.advance(RunStep::Work, at(1)).unwrap();
    assert_eq!(run.usage_before, used(0), "the session goes on counting from its beginning");
    run.advance(RunStep::Requeue { why: "again".into(), not_before: None, failed: true }, at(2)).unwrap();
    run.advance(RunStep::Begin, at(3)).unwrap();
    assert_eq!(run.usage_before, used(70));
}
