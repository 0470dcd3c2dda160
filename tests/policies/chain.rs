//! Rankers of several stages, and what happens when one of them fails.

use issuecommand::config::{OverrideConfig, PoliciesConfig, PolicyConfig, RankerConfig, StageConfig, StageRole};
use issuecommand::domain::unix_ms;
use issuecommand::policy::{Choice, ChooseRequest, IssueRows, PolicySet, Scored, Troubles};
use serde_json::{Map, Value, json};

use crate::stage::{LATER_MS, config, fault, file_of, later, load, request, rows, shortlist};
use crate::workshop::PLAIN;

pub fn settings(value: Value) -> Map<String, Value> {
    let Value::Object(settings) = value else { unreachable!() };
    settings
}

/// The built-in ranker with this table.
pub fn rules(table: Value) -> PolicyConfig {
    PolicyConfig { settings: settings(table), ..PolicyConfig::builtin("rules") }
}

/// The test's own guest, which scores by comments and turns lists round, misbehaving so at work.
pub fn guest(at: &str, what: &str) -> PolicyConfig {
    PolicyConfig {
        source: file_of(&PLAIN).display().to_string(),
        sha256: None,
        signed_by: None,
        settings: fault(at, what, LATER_MS),
    }
}

pub fn stage(name: &str, role: StageRole, weight: f64, policy: PolicyConfig) -> StageConfig {
    StageConfig { name: name.into(), role, weight, policy }
}

pub fn with_ranker(base: PolicyConfig, stages: Vec<StageConfig>) -> PoliciesConfig {
    PoliciesConfig { ranker: RankerConfig { base, stage: stages }, ..config(&PLAIN) }
}

/// A bug is worth ten points.
pub fn bugs_first() -> PolicyConfig {
    rules(json!({ "rules": [{ "field": "label", "op": "is", "value": "bug", "weight": 10 }] }))
}

fn values(scored: &[Scored]) -> Vec<f64> {
    scored.iter().map(|scored| scored.value).collect()
}

fn skips(scored: &[Scored]) -> Vec<Option<&str>> {
    scored.iter().map(|scored| scored.skip.as_deref()).collect()
}

/// Scores that stand in, to be told from all others.
fn stand_in(rows: &IssueRows) -> Vec<Scored> {
    vec![Scored::stand_in(-1.0); rows.len()]
}

fn choose(set: &PolicySet) -> Choice {
    set.ranker.choose(&request(), &shortlist(6), later()).unwrap()
}

#[test]
fn scores_of_stages_add_up_by_weight_and_so_do_their_reasons() {
    let comments = stage("comments", StageRole::Score, 0.5, guest("", ""));
    let alone = load(&with_ranker(bugs_first(), Vec::new())).unwrap();
    let set = load(&with_ranker(bugs_first(), vec![comments])).unwrap();
    let base = values(&alone.ranker.score(rows(4), later()).unwrap());
    let scored = set.ranker.score(rows(4), later()).unwrap();
    let expected: Vec<f64> = base.iter().zip([0.0, 0.5, 1.0, 1.5]).map(|(base, more)| base + more).collect();
    assert_eq!(values(&scored), expected);
    assert_eq!(scored[0].runs_out_ms(), Some(unix_ms(later() + chrono::TimeDelta::hours(1))), "the soonest end holds");

    let mut list = shortlist(4);
    list.iter_mut().zip(&scored).for_each(|(row, scored)| row.score = scored.value);
    let terms = set.ranker.explain(&list, later()).unwrap();
    assert!(terms[3][0].rule.starts_with("rules: "), "{terms:?}");
    let last = terms[3].last().unwrap();
    // The guest explains with the score that it is shown, which is the whole one.
    assert_eq!((last.rule.as_str(), last.amount), ("comments: acme/app#4", 0.5 * scored[3].value));
    assert!(!alone.ranker.explain(&list, later()).unwrap()[3][0].rule.contains(": "), "alone it needs no name");
}

#[test]
fn a_filter_only_keeps_back_and_says_so_with_its_name() {
    let filter = stage("trust", StageRole::Filter, 1.0, guest("score", "skip_last"));
    let set = load(&with_ranker(bugs_first(), vec![filter])).unwrap();
    let scored = set.ranker.score(rows(3), later()).unwrap();
    let alone = load(&with_ranker(bugs_first(), Vec::new())).unwrap().ranker.score(rows(3), later()).unwrap();
    assert_eq!(values(&scored), values(&alone), "its scores do not count");
    assert_eq!(skips(&scored), [None, None, Some("trust: not this one")]);
    assert_eq!(choose(&set).order, [0, 1, 2, 3, 4, 5], "nor does the order that it gives at the door");

    let filter = stage("trust", StageRole::Filter, 1.0, guest("choose", "skip_last"));
    let choice = choose(&load(&with_ranker(bugs_first(), vec![filter])).unwrap());
    assert_eq!(choice.order, [0, 1, 2, 3, 4]);
    assert_eq!(choice.skipped, [(5, "trust: not this one".to_owned())]);
}

#[test]
fn choosing_stages_go_on_from_the_order_so_far() {
    let turn = |name| stage(name, StageRole::Choose, 1.0, guest("", ""));
    let once = choose(&load(&with_ranker(bugs_first(), vec![turn("one")])).unwrap());
    assert_eq!(once.order, [5, 4, 3, 0, 1, 2]);
    let twice = choose(&load(&with_ranker(bugs_first(), vec![turn("one"), turn("two")])).unwrap());
    assert_eq!(twice.order, [2, 1, 0, 5, 4, 3]);
    let set = load(&with_ranker(bugs_first(), vec![turn("one")])).unwrap();
    assert!(values(&set.ranker.score(rows(3), later()).unwrap()).iter().all(|value| value.abs() < 1e9), "not asked");
    assert_eq!(
        set.ranker.explain(&shortlist(1), later()).unwrap()[0].iter().filter(|it| it.rule.starts_with("one")).count(),
        0
    );
}

#[test]
fn a_score_stage_that_fails_at_work_is_left_out_and_asked_again_within_a_minute() {
    let comments = stage("comments", StageRole::Score, 100.0, guest("score", "panic"));
    let set = load(&with_ranker(bugs_first(), vec![comments])).unwrap();
    let error = set.ranker.score(rows(2), later()).unwrap_err().to_string();
    assert!(error.starts_with("stage comments: ") && error.contains("full of bees"), "no edit may fail: {error}");
    let (scored, faults) = set.ranker.score_at_work(rows(2), later(), &stand_in);
    let alone = load(&with_ranker(bugs_first(), Vec::new())).unwrap().ranker.score(rows(2), later()).unwrap();
    assert_eq!(values(&scored), values(&alone));
    assert_eq!(scored[0].runs_out_ms(), Some(unix_ms(later() + chrono::TimeDelta::minutes(1))));
    assert_eq!((faults.len(), faults[0].stage.as_deref(), faults[0].is_base), (1, Some("comments"), false));
}

#[test]
fn while_a_filter_fails_nothing_passes_even_where_the_base_is_stood_in_for() {
    for (at, what) in [("score", "panic"), ("score", "loop"), ("score", "nan")] {
        let filter = stage("trust", StageRole::Filter, 1.0, guest(at, what));
        let set = load(&with_ranker(guest("score", "trap"), vec![filter])).unwrap();
        let (scored, faults) = set.ranker.score_at_work(rows(2), later(), &stand_in);
        assert_eq!(values(&scored), [-1.0, -1.0], "{what}: the stand-in's");
        let why = "trust: this filter fails, so nothing passes until it answers";
        assert_eq!(skips(&scored), [Some(why), Some(why)], "{what}");
        assert_eq!(faults.iter().map(|fault| fault.is_base).collect::<Vec<_>>(), [true, false], "{what}");
    }
    let filter = stage("trust", StageRole::Filter, 1.0, guest("choose", "panic"));
    let set = load(&with_ranker(bugs_first(), vec![filter])).unwrap();
    for _ in 0..5 {
        let (choice, _) = set.ranker.choose_at_work(&request(), &shortlist(2), later());
        assert_eq!((choice.order.len(), choice.skipped.len()), (0, 2), "also once it is not asked any more");
    }
}

#[test]
fn a_slow_stage_has_what_is_left_of_the_time_and_takes_none_from_the_filters() {
    let stages = vec![
        stage("slow", StageRole::Choose, 1.0, guest("choose", "loop")),
        stage("trust", StageRole::Filter, 1.0, guest("choose", "skip_last")),
    ];
    let set = load(&with_ranker(guest("choose", "loop"), stages)).unwrap();
    let (choice, Troubles { faults, .. }) = set.ranker.choose_at_work(&request(), &shortlist(3), later());
    assert_eq!(choice.order, [0, 1], "the filter was heard");
    let told: Vec<String> = faults.iter().map(|fault| fault.error.to_string()).collect();
    assert_eq!(faults.len(), 2, "{told:?}");
    assert!(told[1].contains("took longer than 1 ms"), "the base had used up the time: {told:?}");
}

#[test]
fn a_stage_that_fails_over_and_over_is_left_alone_for_a_minute() {
    let set = load(&with_ranker(guest("choose", "panic"), Vec::new())).unwrap();
    let failures =
        |at| (0..5).map(|_| set.ranker.choose_at_work(&request(), &shortlist(3), at).1.faults.len()).sum::<usize>();
    assert_eq!(failures(later()), 3);
    assert!(set.ranker.is_troubled());
    assert_eq!(failures(later() + chrono::TimeDelta::minutes(2)), 1, "asked once, and left alone again");
}

#[test]
fn a_filter_that_is_left_alone_closes_its_chain_and_no_other_one() {
    let trust = || stage("trust", StageRole::Filter, 1.0, guest("choose", "panic"));
    let mut config = with_ranker(bugs_first(), vec![trust()]);
    config.overrides = vec![OverrideConfig {
        repos: vec!["other/*".into()],
        ranker: Some(bugs_first().into()),
        ..OverrideConfig::default()
    }];
    let [open, closed] = ["other/web", "acme/app"].map(|name| name.parse().unwrap());
    let set = load(&config).unwrap();
    let fail = |set: &PolicySet, count| {
        (0..count).for_each(|_| drop(set.ranker.choose_at_work(&request(), &shortlist(2), later())))
    };
    fail(&set, 2);
    assert_eq!(set.ranker.closed(Some(&closed), later()), None, "it is asked a third time");
    fail(&set, 1);
    let told = set.ranker.closed(Some(&closed), later() + chrono::TimeDelta::seconds(20)).unwrap();
    assert_eq!(told.why, "trust: this filter fails, so nothing passes until it answers");
    assert_eq!(told.left_ms, 40_000);
    assert_eq!(set.ranker.closed(Some(&open), later()), None);
    assert_eq!(set.ranker.closed(None, later()), None, "some repositories are open");
    assert_eq!(set.ranker.closed(Some(&closed), later() + chrono::TimeDelta::minutes(1)), None, "it is asked again");

    // Where an override holds for everything, the ranker behind it is never asked.
    config.ranker = bugs_first().into();
    config.overrides = vec![OverrideConfig {
        ranker: Some(RankerConfig { base: bugs_first(), stage: vec![trust()] }),
        groups: vec!["all".into()],
        ..OverrideConfig::default()
    }];
    config.agent_groups.0.insert("all".into(), vec!["*".into()]);
    let set = load(&config).unwrap();
    let ranking = set.ranking_of(&set.view_of(&"anyone".parse().unwrap()));
    (0..3).for_each(|_| drop(ranking.choose_at_work(&request(), &shortlist(2), later())));
    assert!(ranking.closed(None, later()).is_some() && set.ranker.closed(None, later()).is_none());

    // Another stage that rests closes nothing.
    let set = load(&with_ranker(guest("choose", "panic"), Vec::new())).unwrap();
    fail(&set, 3);
    assert_eq!(set.ranker.closed(None, later()), None);
}

#[test]
fn a_stage_that_failed_and_is_not_needed_now_troubles_no_call() {
    let stages = vec![
        stage("none", StageRole::Filter, 1.0, rules(json!({ "max_claims_per_agent": 1 }))),
        stage("turn", StageRole::Choose, 1.0, guest("choose", "panic")),
    ];
    let set = load(&with_ranker(bugs_first(), stages)).unwrap();
    let busy =
        ChooseRequest { claim_repos: vec!["acme/app".parse().unwrap()], ..ChooseRequest::of("a".parse().unwrap()) };
    let idle = ChooseRequest { claim_repos: Vec::new(), ..busy.clone() };
    let ask = |request| set.ranker.choose_at_work(request, &shortlist(3), later());
    let (choice, troubles) = ask(&idle);
    assert_eq!((choice.order, troubles.faults.len(), troubles.is_none()), (vec![0, 1, 2], 1, false));
    let (choice, troubles) = ask(&busy);
    assert_eq!((choice.order.len(), choice.skipped.len(), troubles.is_none()), (0, 3, true), "all is kept back");
    assert!(set.ranker.is_troubled(), "nobody has heard that it is well again");
    (0..2).for_each(|_| drop(ask(&idle)));
    let (_, troubles) = ask(&idle);
    assert!(troubles.faults.is_empty() && troubles.is_resting && !troubles.is_none(), "{troubles:?}");
}

#[test]
fn what_fails_behind_the_answers_rests_there_and_is_asked_for_agents_all_the_same() {
    let trust = stage("trust", StageRole::Filter, 1.0, guest("choose", "panic"));
    let set = load(&with_ranker(bugs_first(), vec![trust])).unwrap();
    let try_it = || set.ranker.choose_on_trial(&request(), &shortlist(2), later());
    let faults: Vec<usize> = (0..4).map(|_| try_it().1.len()).collect();
    assert_eq!(faults, [1, 1, 1, 0], "left alone after three");
    assert!(try_it().0.is_none());
    assert_eq!(set.ranker.closed(None, later()), None, "for agents it is asked");
    assert!(!set.ranker.is_troubled());
    assert_eq!(set.ranker.choose_at_work(&request(), &shortlist(2), later()).1.faults.len(), 1);
}

#[test]
fn stages_that_fail_to_say_why_an_issue_is_skipped_say_so_within_the_time_of_one_answer() {
    let stages = || {
        vec![
            stage("slow", StageRole::Score, 1.0, guest("score", "loop")),
            stage("slower", StageRole::Score, 1.0, guest("score", "loop")),
            stage("trust", StageRole::Filter, 1.0, guest("score", "panic")),
        ]
    };
    let set = load(&with_ranker(rules(json!({ "require_approval": true })), stages())).unwrap();
    let skips = || set.ranker.skips(&shortlist(1)[0], later());
    let told = skips();
    assert_eq!(told.len(), 4, "{told:?}");
    assert_eq!(told[0], "rules: waits for a maintainer's approval");
    assert!(told[1].starts_with("slow: not every reason is known: `score` took longer than "), "{told:?}");
    assert!(told[2].starts_with("slower: not every reason is known: `score` took longer than 1 ms"), "{told:?}");
    let raise = "or raise [policies] choose_ms_max";
    assert!(told[1].ends_with(raise) && told[2].ends_with(raise), "the time that somebody waits: {told:?}");
    assert!(told[3].starts_with("trust: "), "{told:?}");
    (0..2).for_each(|_| drop(skips()));
    let rests = "slow: not every reason is known: it failed over and over, and is left alone for a minute";
    assert_eq!(skips()[1], rests);

    let trust = stage("trust", StageRole::Filter, 1.0, guest("score", "panic"));
    let set = load(&with_ranker(bugs_first(), vec![trust])).unwrap();
    let told = set.ranker.skips(&shortlist(1)[0], later());
    assert_eq!(told, ["trust: this filter fails, so nothing passes until it answers"]);
}

#[test]
fn the_digest_of_a_ranker_changes_with_any_of_its_parts_and_names_them() {
    let stamp = |config: &PoliciesConfig| load(config).unwrap().ranker.stamp().clone();
    let alone = with_ranker(bugs_first(), Vec::new());
    let two = |weight, at: &str| {
        with_ranker(bugs_first(), vec![stage("more", StageRole::Score, weight, guest(at, "silent"))])
    };
    let all = [stamp(&alone), stamp(&two(1.0, "")), stamp(&two(2.0, "")), stamp(&two(1.0, "score"))];
    for (place, one) in all.iter().enumerate() {
        assert!(
            all[..place]
                .iter()
                .all(|other| (&other.digest, &other.settings_digest) != (&one.digest, &one.settings_digest))
        );
    }
    assert!(all[1].source.starts_with("builtin:rules + "), "{}", all[1].source);
    assert_eq!(all[1], stamp(&two(1.0, "")), "the same parts have the same digest");
    let parts = load(&two(1.5, "")).unwrap().ranker.parts();
    let told: Vec<_> = parts.iter().map(|part| (part.name.as_str(), &*part.role, part.weight)).collect();
    assert_eq!(told, [("rules", "base", 1.0), ("more", "score", 1.5)]);
}
