//! The order of the queue and who gets a slot.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::domain::{RunStep, RunWish, from_unix_ms};

fn at(second: u64) -> Timestamp {
    from_unix_ms(1_700_000_000_000 + second * 1000)
}

fn run(number: u64, priority: RunPriority) -> Run {
    let wish = RunWish {
        issue: format!("acme/small#{number}").parse().unwrap(),
        url: String::new(),
        title: format!("issue {number}"),
        body: String::new(),
        priority,
        requested_by: BY_LABEL.into(),
    };
    Run::queued(wish, at(number))
}

fn begun(number: u64, priority: RunPriority) -> Run {
    let mut run = run(number, priority);
    run.advance(RunStep::Begin, at(number)).unwrap();
    run
}

fn config(text: &str) -> ContainersConfig {
    toml::from_str(text).unwrap()
}

/// What one server alone does.
fn next(queue: &[Run], active: &[Run], config: &ContainersConfig, preempt: bool, now: Timestamp) -> Next {
    super::next(queue, active, &Beside::default(), config, preempt, now)
}

fn numbers(runs: &[Run]) -> Vec<u64> {
    runs.iter().map(|run| run.issue_number.get()).collect()
}

#[test]
fn the_rankers_order_is_the_queues() {
    let runs: Vec<Run> = (1..=3).map(|number| run(number, RunPriority::Medium)).collect();
    let ranks = [(2, 0), (3, 1), (1, 2)];
    let ranks = ranks.map(|(number, rank)| (format!("acme/small#{number}").parse().unwrap(), rank)).into();
    assert_eq!(numbers(&in_order(runs, &ranks)), [2, 3, 1]);
}

#[test]
fn what_an_operator_placed_comes_first_then_what_a_person_waits_for_then_reviews() {
    let mut runs: Vec<Run> = (1..=4).map(|number| run(number, RunPriority::Medium)).collect();
    runs[3].pinned = Some(-5);
    runs[2].requested_by = "ann".into();
    runs[1].parent = Some(RunId::fresh());
    let ranks = HashMap::from([(runs[0].issue_ref(), 0)]);
    assert_eq!(numbers(&in_order(runs, &ranks)), [4, 3, 2, 1]);
}

#[test]
fn slots_bound_what_begins_in_all_and_by_priority() {
    let now = at(100);
    let config = config("max_concurrent = 2\n[priority.low]\nmax_concurrent = 1");
    let queue = [run(1, RunPriority::Low), run(2, RunPriority::Medium)];
    assert_eq!(next(&queue, &[], &config, true, now), Next::Begin(queue[0].run_id));
    let low = begun(3, RunPriority::Low);
    assert_eq!(next(&queue, std::slice::from_ref(&low), &config, true, now), Next::Begin(queue[1].run_id));
    let both = [low, begun(4, RunPriority::Medium)];
    assert_eq!(next(&queue, &both, &config, true, now), Next::Wait);
}

#[test]
fn a_run_that_waits_for_people_holds_no_slot_and_one_that_waits_its_time_does_not_begin() {
    let config = config("max_concurrent = 1");
    let mut waiting = begun(1, RunPriority::Medium);
    waiting.advance(RunStep::Work, at(1)).unwrap();
    let question = crate::domain::RunQuestion {
        id: String::new(),
        text: "Which?".into(),
        options: Vec::new(),
        asked_at: at(2),
        after_comment: None,
    };
    waiting.advance(RunStep::Ask(question), at(2)).unwrap();
    let mut queue = [run(2, RunPriority::Medium)];
    assert_eq!(next(&queue, std::slice::from_ref(&waiting), &config, true, at(5)), Next::Begin(queue[0].run_id));
    queue[0].not_before = Some(at(60));
    assert_eq!(next(&queue, &[], &config, true, at(59)), Next::Wait);
    assert_eq!(next(&queue, &[], &config, true, at(60)), Next::Begin(queue[0].run_id));
}

#[test]
fn only_a_critical_run_takes_a_slot_and_the_least_urgent_newest_gives_it() {
    let config = config("max_concurrent = 3");
    let active = [begun(1, RunPriority::Low), begun(2, RunPriority::Low), begun(3, RunPriority::High)];
    let high = [run(4, RunPriority::High)];
    assert_eq!(next(&high, &active, &config, true, at(9)), Next::Wait);
    let critical = [run(5, RunPriority::Critical)];
    let expected = Next::Preempt { victim: active[1].run_id, critical: critical[0].run_id };
    assert_eq!(next(&critical, &active, &config, true, at(9)), expected);
    assert_eq!(next(&critical, &active, &config, false, at(9)), Next::Wait, "unless it must not");
    let urgent = [1, 2, 3].map(|number| begun(number, RunPriority::Critical));
    assert_eq!(next(&critical, &urgent, &config, true, at(9)), Next::Wait, "never from one that is as urgent");
}

#[test]
fn a_slot_that_is_given_up_goes_to_the_critical_run_whatever_was_placed_before() {
    let config = config("max_concurrent = 1");
    let mut victim = run(1, RunPriority::Low);
    victim.pinned = Some(0);
    victim.advance(RunStep::Begin, at(1)).unwrap();
    let critical = run(2, RunPriority::Critical);
    let stopped = Next::Preempt { victim: victim.run_id, critical: critical.run_id };
    let queue = in_order(vec![critical.clone()], &Ranks::new());
    assert_eq!(next(&queue, std::slice::from_ref(&victim), &config, true, at(9)), stopped);
    victim.advance(RunStep::Requeue { why: "made way".into(), not_before: None, failed: false }, at(9)).unwrap();
    let mut placed = run(3, RunPriority::Low);
    placed.pinned = Some(1);
    let queue = in_order(vec![victim, placed, critical.clone()], &Ranks::new());
    assert_eq!(numbers(&queue), [2, 3, 1], "a place is used up by who begins");
    assert_eq!(next(&queue, &[], &config, true, at(9)), Next::Begin(critical.run_id));
}

#[test]
fn nobody_is_stopped_for_a_critical_run_that_would_not_get_the_slot() {
    let config = config("max_concurrent = 2\n[priority.critical]\nmax_concurrent = 1");
    let active = [begun(1, RunPriority::Critical), begun(2, RunPriority::Low)];
    let more = [run(3, RunPriority::Critical)];
    assert_eq!(next(&more, &active, &config, true, at(9)), Next::Wait, "critical runs have one slot here");
    let (mut placed, mut behind) = (run(4, RunPriority::Low), run(5, RunPriority::Critical));
    (placed.pinned, behind.pinned) = (Some(0), Some(1));
    let busy = [begun(6, RunPriority::Low), begun(7, RunPriority::Low)];
    assert_eq!(next(&[placed, behind], &busy, &config, true, at(9)), Next::Wait, "an operator put another before it");
}

#[test]
fn a_run_takes_its_slot_before_it_is_written_down_as_begun() {
    let config = config("max_concurrent = 1");
    let just_begun = run(1, RunPriority::Medium);
    let queue = [run(2, RunPriority::Medium)];
    assert_eq!(next(&queue, &[just_begun], &config, true, at(9)), Next::Wait);
}

#[test]
fn no_slots_means_that_nothing_begins_and_nothing_is_stopped() {
    let config = config("max_concurrent = 0");
    let active = [begun(1, RunPriority::Low)];
    assert_eq!(next(&[run(2, RunPriority::Critical)], &active, &config, true, at(9)), Next::Wait);
}

#[test]
fn with_other_servers_a_critical_run_displaces_one_only_where_no_slot_is_free_anywhere() {
    let (none, one) = (config("max_concurrent = 0"), config("max_concurrent = 1"));
    let critical = [run(5, RunPriority::Critical)];
    let here = [begun(1, RunPriority::High)];
    let there = vec![begun(2, RunPriority::Medium), begun(3, RunPriority::Critical)];
    let full = Beside { has_room: false, runs: there.clone() };
    let stopped = |victim: &Run| Next::Preempt { victim: victim.run_id, critical: critical[0].run_id };
    let next = |active: &[Run], beside: &Beside, config: &ContainersConfig| {
        super::next(&critical, active, beside, config, true, at(9))
    };
    assert_eq!(next(&here, &full, &one), stopped(&there[0]), "the least urgent of all servers");
    assert_eq!(next(&[], &full, &none), stopped(&there[0]), "a server without slots stops those of others");
    assert_eq!(next(&here, &full, &none), stopped(&there[0]), "and none of its own, which would free no slot");
    assert_eq!(next(&here, &Beside { has_room: true, runs: there }, &one), Next::Wait, "it begins over there");
    assert_eq!(next(&[], &full, &one), Next::Begin(critical[0].run_id));
}

#[test]
fn an_issue_is_taken_by_who_works_on_it_or_will_along_with_another() {
    let (mut takes_along, works, waits) =
        (run(1, RunPriority::Low), begun(3, RunPriority::Low), run(4, RunPriority::Low));
    takes_along.with_issues =
        vec![crate::domain::Companion { issue_number: run(2, RunPriority::Low).issue_number, hold: None }];
    let expected = [(run(2, RunPriority::Low).issue_ref(), takes_along.run_id), (works.issue_ref(), works.run_id)];
    assert_eq!(taken(&[takes_along, works, waits]), HashMap::from(expected));
}
