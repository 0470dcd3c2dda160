//! Runs of the dispatcher: one an issue, written over what was read and nothing else, counted by day.

use chrono::TimeDelta;
use issuecommand::domain::{
    Actor, ClaimStatus, Companion, Event, EventKind, Phase, PhaseMark, Run, RunId, RunPriority, RunStatus, RunStep,
    RunUsage, RunWish, RunWord, Step,
};
use issuecommand::store::{AdvanceOutcome, ClaimChange, RunFilter, RunInserted, RunSaved};
use serde_json::json;

use crate::bed::{Bed, Keep, LEASE, agent, at, change, issue_ref};

/// So many runs that ended are kept where a case says nothing else.
const KEEP: usize = 100;

pub fn run(number: u64) -> Run {
    let wish = RunWish {
        issue: issue_ref(number),
        url: format!("https://github.com/acme/small/issues/{number}"),
        title: format!("Issue {number}"),
        body: "Please".into(),
        priority: RunPriority::High,
        requested_by: "label".into(),
    };
    Run::queued(wish, at(0))
}

impl Bed {
    pub async fn queued(&self, number: u64) -> Run {
        let run = run(number);
        assert_eq!(self.store.run_insert(run.clone(), KEEP).await.unwrap(), RunInserted::Inserted);
        run
    }

    /// Takes steps, each written.
    async fn taken(&self, mut run: Run, steps: impl IntoIterator<Item = RunStep>) -> Run {
        for step in steps {
            run.advance(step, at(1)).unwrap();
            run = self.saved(run, 1).await;
        }
        run
    }

    async fn saved(&self, mut run: Run, minute: u64) -> Run {
        let before = run.version;
        let RunSaved::Saved(version) = self.store.run_save(run.clone(), at(minute)).await.unwrap() else {
            panic!("nobody else wrote it");
        };
        assert_eq!(version, before + 1);
        run.version = version;
        run
    }

    pub async fn ended(&self, number: u64) -> Run {
        let run = self.queued(number).await;
        self.taken(run, [fail()]).await
    }

    async fn run(&self, run_id: RunId) -> Run {
        self.store.run_get(run_id).await.unwrap().expect("it is kept")
    }

    async fn listed(&self, filter: RunFilter, limit: usize) -> Vec<u64> {
        let runs = self.store.run_list(filter, limit).await.unwrap();
        runs.iter().map(|run| run.issue_number.get()).collect()
    }

    fn of_runs(&self) -> Vec<Event> {
        let events = self.seen.events();
        events.into_iter().filter(|event| event.draft.run_id.is_some()).collect()
    }
}

fn fail() -> RunStep {
    RunStep::Fail { why: "the tests fail".into() }
}

fn complete(number: u64) -> [RunStep; 3] {
    [RunStep::Begin, RunStep::Work, RunStep::Complete { pr_url: pull(number) }]
}

fn pull(number: u64) -> String {
    format!("https://github.com/acme/small/pull/{number}")
}

fn all() -> RunFilter {
    RunFilter { with_ended: true, ..RunFilter::default() }
}

fn used(input_tokens: u64, output_tokens: u64, cost_usd: f64) -> RunUsage {
    RunUsage { input_tokens, output_tokens, cost_usd }
}

pub async fn an_issue_has_one_run_at_a_time_and_another_once_that_ended(bed: Bed) {
    let first = bed.queued(1).await;
    let second = run(1);
    let refused = bed.store.run_insert(second.clone(), KEEP).await.unwrap();
    assert_eq!(refused, RunInserted::ActiveAlready(first.run_id));
    assert_eq!(bed.store.run_get(second.run_id).await.unwrap(), None);
    bed.queued(2).await;
    let kinds: Vec<_> = bed.of_runs().iter().map(|event| event.draft.kind.as_str()).collect();
    assert_eq!(kinds, ["run.queued", "run.queued"], "a refused run is announced by nobody");

    bed.taken(first.clone(), [fail()]).await;
    assert_eq!(bed.store.run_insert(second.clone(), KEEP).await.unwrap(), RunInserted::Inserted);
    assert_eq!(bed.store.run_latest(issue_ref(1)).await.unwrap(), Some(second));
    assert_eq!(bed.store.run_latest(issue_ref(3)).await.unwrap(), None);
}

pub async fn racing_runs_of_an_issue_are_one(bed: Bed) {
    let runs: Vec<Run> = (0..16).map(|_| run(1)).collect();
    let racing = runs.into_iter().map(|run| {
        let store = bed.store.clone();
        tokio::spawn(async move { store.run_insert(run, KEEP).await.unwrap() })
    });
    let mut inserted = 0;
    for outcome in racing.collect::<Vec<_>>() {
        inserted += usize::from(outcome.await.unwrap() == RunInserted::Inserted);
    }
    assert_eq!((inserted, bed.listed(RunFilter::default(), 0).await), (1, vec![1]));
}

pub async fn who_writes_an_older_state_of_a_run_writes_nothing(bed: Bed) {
    let read = bed.queued(1).await;
    let newer = bed.taken(read.clone(), [RunStep::Begin]).await;
    let mut older = read;
    older.advance(fail(), at(2)).unwrap();
    older.usage = used(1000, 1000, 1.0);
    assert_eq!(bed.store.run_save(older, at(2)).await.unwrap(), RunSaved::Superseded);
    assert_eq!(bed.run(newer.run_id).await, newer);
    assert_eq!(bed.of_runs().len(), 2, "nothing is announced of what was not written");
    assert_eq!(bed.store.run_usage_on(at(2), None).await.unwrap(), RunUsage::default());
    assert_eq!(bed.store.run_save(run(2), at(2)).await.unwrap(), RunSaved::Superseded, "it was never queued");
}

pub async fn a_changed_status_of_a_run_makes_one_event_and_nothing_else_does(bed: Bed) {
    let mut run = bed.queued(1).await;
    run.advance(RunStep::Begin, at(1)).unwrap();
    run = bed.saved(run, 1).await;
    for (phase, mark) in [(Phase::Claim, PhaseMark::Doing), (Phase::Claim, PhaseMark::Done)] {
        run.mark(phase, mark, at(2));
        run = bed.saved(run, 2).await;
    }
    let run = bed.taken(run, [RunStep::Work, fail()]).await;
    let events = bed.of_runs();
    let kinds: Vec<_> = events.iter().map(|event| event.draft.kind.as_str()).collect();
    assert_eq!(kinds, ["run.queued", "run.dispatched", "run.running", "run.failed"]);
    let last = &events.last().unwrap().draft;
    assert_eq!((last.run_id, last.issue_number), (Some(run.run_id), Some(run.issue_number)));
    let details = json!({ "status": "failed", "attempt": 1, "priority": "high", "reason": "the tests fail" });
    assert_eq!(last.details, details);
}

pub async fn a_run_is_there_with_all_it_holds_after_reopening(bed: Bed) {
    let queued = bed.queued(1).await;
    let mut run = bed.taken(queued, complete(9)).await;
    run.mark(Phase::Push, PhaseMark::Undone, at(3));
    (run.branch, run.head_sha, run.comment) = (Some("agent/1-e1".into()), Some("a".repeat(40)), Some(77));
    (run.session, run.pinned, run.summary) = (Some(json!({ "offset": 3 })), Some(-2), Some("done".into()));
    let run = bed.saved(run, 3).await;
    bed.store.dispatch_pause(Some("a holiday".into()), "ann".into(), at(4)).await.unwrap();
    let bed = bed.reopen(Keep::default()).await;
    assert_eq!(bed.run(run.run_id).await, run);
    assert_eq!(bed.store.dispatch_paused().await.unwrap().as_deref(), Some("a holiday"));
    assert_eq!(bed.store.run_insert(self::run(1), KEEP).await.unwrap(), RunInserted::Inserted);
}

pub async fn runs_are_listed_oldest_first_and_those_that_ended_only_if_asked_for(bed: Bed) {
    for number in [1, 2, 3] {
        bed.ended(number).await;
    }
    bed.queued(4).await;
    bed.queued(5).await;
    assert_eq!(bed.listed(RunFilter::default(), 0).await, [4, 5], "the limit is of those that ended");
    assert_eq!(bed.listed(all(), 2).await, [2, 3, 4, 5]);
    let elsewhere = RunFilter { repo: Some("acme/large".parse().unwrap()), ..all() };
    assert_eq!(bed.listed(elsewhere.clone(), 9).await, Vec::<u64>::new());
    let mut there = run(6);
    there.repo = "acme/large".parse().unwrap();
    assert_eq!(bed.store.run_insert(there.clone(), KEEP).await.unwrap(), RunInserted::Inserted);
    bed.taken(there, [fail()]).await;
    bed.ended(7).await;
    assert_eq!(bed.listed(elsewhere, 1).await, [6], "the limit is of those in that repository");
    let begun = RunFilter { without_queued: true, ..RunFilter::default() };
    assert_eq!(bed.listed(begun.clone(), 0).await, Vec::<u64>::new());
    let waits = bed.queued(8).await;
    bed.taken(waits, [RunStep::Begin]).await;
    assert_eq!(bed.listed(begun, 0).await, [8]);
}

pub async fn a_run_is_found_by_its_pull_request_and_by_the_end_of_its_id(bed: Bed) {
    let parent = bed.queued(1).await;
    let parent = bed.taken(parent, complete(9)).await;
    assert_eq!(bed.store.run_of_pull(pull(9)).await.unwrap().map(|run| run.run_id), Some(parent.run_id));
    let follow_up = Run::follow_up(&parent, Vec::new(), "Please split this.".into(), at(5));
    assert_eq!(bed.store.run_insert(follow_up.clone(), KEEP).await.unwrap(), RunInserted::Inserted);
    let found = bed.store.run_of_pull(pull(9)).await.unwrap().unwrap();
    assert_eq!((found.run_id, found.parent, found.round), (follow_up.run_id, Some(parent.run_id), 1), "the newest");
    assert_eq!(bed.store.run_of_pull(pull(8)).await.unwrap(), None);
    for known in [&parent, &follow_up] {
        assert_eq!(bed.store.run_by_short_id(known.run_id.short()).await.unwrap(), Some(known.run_id));
    }
    assert_eq!(bed.store.run_by_short_id("zzzz".into()).await.unwrap(), None);
}

pub async fn what_runs_used_counts_once_on_its_day_and_in_its_repository(bed: Bed) {
    let tomorrow = 24 * 60;
    let mut run = bed.queued(1).await;
    for (minute, usage) in [(1, used(100, 10, 0.5)), (2, used(150, 20, 0.75)), (tomorrow, used(151, 20, 1.0))] {
        run.usage = usage;
        run = bed.saved(run, minute).await;
    }
    run = bed.saved(run, tomorrow).await;
    assert_eq!(bed.store.run_usage_on(at(3), None).await.unwrap(), used(150, 20, 0.75));
    assert_eq!(bed.store.run_usage_on(at(tomorrow), None).await.unwrap(), used(1, 0, 0.25));
    let in_repo = |name: &str| bed.store.run_usage_on(at(3), Some(name.parse().unwrap()));
    assert_eq!(in_repo("acme/small").await.unwrap(), used(150, 20, 0.75));
    assert_eq!(in_repo("acme/large").await.unwrap(), RunUsage::default());

    bed.taken(run, [fail()]).await;
    bed.ended(1).await;
    assert_eq!(bed.store.run_insert(self::run(2), 0).await.unwrap(), RunInserted::Inserted);
    assert_eq!(bed.listed(all(), 9).await, [1, 2], "the record is gone");
    assert_eq!(bed.store.run_usage_on(at(3), None).await.unwrap(), used(150, 20, 0.75), "what it used is not");
}

pub async fn the_newest_runs_that_ended_are_kept_and_every_active_one(bed: Bed) {
    let waits = bed.queued(1).await;
    for number in [2, 2, 2, 2] {
        bed.ended(number).await;
    }
    assert_eq!(bed.store.run_insert(run(5), 2).await.unwrap(), RunInserted::Inserted);
    assert_eq!(bed.listed(all(), 9).await, [1, 2, 2, 5]);
    bed.run(waits.run_id).await;
}

pub async fn the_newest_run_of_an_issue_stays_however_many_others_ended_since(bed: Bed) {
    let first = bed.ended(1).await;
    let opened = bed.queued(2).await;
    let opened = bed.taken(opened, complete(9)).await;
    for number in [1, 3, 4] {
        bed.ended(number).await;
    }
    assert_eq!(bed.store.run_insert(run(5), 1).await.unwrap(), RunInserted::Inserted);
    assert_eq!(bed.listed(all(), 9).await, [2, 1, 3, 4, 5]);
    assert_eq!(bed.store.run_get(first.run_id).await.unwrap(), None);
    assert_ne!(bed.store.run_latest(issue_ref(1)).await.unwrap(), None, "it is known that it was worked on");
    let of_pull = bed.store.run_of_pull(pull(9)).await.unwrap();
    assert_eq!(of_pull.map(|run| run.run_id), Some(opened.run_id), "whose the open pull request is");
}

pub async fn dispatch_is_paused_and_resumed_with_who_said_so(bed: Bed) {
    let pause = |why: Option<&str>| bed.store.dispatch_pause(why.map(str::to_owned), "ann".into(), at(1));
    assert_eq!(bed.store.dispatch_paused().await.unwrap(), None);
    pause(None).await.unwrap();
    assert!(bed.seen.events().is_empty(), "what goes on cannot be resumed");
    pause(Some("first")).await.unwrap();
    pause(Some("second")).await.unwrap();
    assert_eq!(bed.store.dispatch_paused().await.unwrap().as_deref(), Some("second"));
    pause(None).await.unwrap();
    assert_eq!(bed.store.dispatch_paused().await.unwrap(), None);
    let told: Vec<_> = bed.seen.events().into_iter().map(|event| (event.draft.kind, event.draft.details)).collect();
    let paused = |why: &str| (EventKind::DispatchPaused, json!({ "by": "ann", "reason": why }));
    let resumed = (EventKind::DispatchResumed, json!({ "by": "ann" }));
    assert_eq!(told, [paused("first"), paused("second"), resumed]);
}

pub async fn a_reissued_claim_is_its_agents_still_and_what_was_sent_before_is_too_late(bed: Bed) {
    let bed = bed.with_issues([1]).await;
    let claim = bed.granted("dispatch", 1).await;
    let reissue = |who: &str, minute: u64| {
        let why = "run 7, attempt 2".to_owned();
        bed.store.claim_reissue(claim.claim_id, agent(who), why, TimeDelta::minutes(30), at(minute))
    };
    assert_eq!(reissue("another", 1).await.unwrap(), None);
    let again = reissue("dispatch", 2).await.unwrap().unwrap();
    assert_eq!((again.claim_id, again.agent_id.as_str()), (claim.claim_id, "dispatch"));
    assert_eq!((again.lease.epoch, again.lease.expires_at), (claim.lease.epoch + 1, at(32)));
    let event = bed.seen.events().pop().unwrap().draft;
    assert_eq!((event.kind, &event.details["note"]), (EventKind::ClaimUpdated, &json!("run 7, attempt 2")));

    let step = Step { pr_url: Some(pull(9)), ..Step::to(ClaimStatus::PrSubmitted, Actor::Owner) };
    let late = ClaimChange { epoch: Some(claim.lease.epoch), ..change(&claim, step, 3) };
    assert!(matches!(bed.store.claim_advance(late).await.unwrap(), AdvanceOutcome::Superseded(_)));
    bed.step(&again, ClaimStatus::Released, Actor::Owner, 4).await;
    assert_eq!(reissue("dispatch", 5).await.unwrap(), None, "it ended");
    assert_eq!(bed.granted("dispatch", 1).await.lease.epoch, again.lease.epoch + 1, "no epoch is given twice");
    assert!(LEASE > TimeDelta::minutes(30), "or the lease above says nothing");
}

pub async fn a_run_that_is_queued_again_is_active_until_it_ends(bed: Bed) {
    let run = bed.queued(1).await;
    let run = bed.taken(run, [RunStep::Begin, RunStep::Work]).await;
    assert_eq!(bed.listed(RunFilter::default(), 0).await, [1]);
    let requeued = RunStep::Requeue { why: "the network".into(), not_before: Some(at(9)), failed: true };
    let run = bed.taken(run, [requeued]).await;
    let kept = bed.run(run.run_id).await;
    assert_eq!((kept.status(), kept.failures, kept.not_before), (RunStatus::Queued, 1, Some(at(9))));
    bed.taken(run, complete(9)).await;
    assert_eq!(bed.listed(RunFilter::default(), 0).await, Vec::<u64>::new());
}

pub async fn a_run_does_not_begin_while_another_works_on_one_of_its_issues(bed: Bed) {
    let (mut first, second) = (bed.queued(1).await, bed.queued(2).await);
    first.with_issues = vec![Companion { issue_number: issue_ref(2).number, hold: None }];
    let first = bed.saved(first, 1).await;
    let second = bed.taken(second, [RunStep::Begin]).await;
    let mut begun = first.clone();
    begun.advance(RunStep::Begin, at(2)).unwrap();
    assert_eq!(bed.store.run_save(begun.clone(), at(2)).await.unwrap(), RunSaved::Superseded);
    assert_eq!(bed.run(first.run_id).await, first, "nothing was written");
    bed.taken(second, [fail()]).await;
    assert_eq!(bed.store.run_save(begun, at(2)).await.unwrap(), RunSaved::Saved(first.version + 1));
}

pub async fn a_word_to_a_run_is_there_until_it_is_forgotten_and_an_event_tells_of_it(bed: Bed) {
    let run = bed.queued(1).await;
    let run = bed.taken(run, [RunStep::Begin]).await;
    let words = [
        RunWord::Answer { asked_at: at(1), text: "blue; ' \"".into(), by: "ann".into() },
        RunWord::MakeWay { critical: run.run_id, attempt: 1, told_at: at(2) },
        RunWord::Cancel { by: "bob".into() },
    ];
    for word in words.clone() {
        bed.store.run_word_insert(run.clone(), word, at(2)).await.unwrap();
    }
    let bed = bed.reopen(Keep::default()).await;
    let told = bed.store.run_word_list().await.unwrap();
    let listed: Vec<_> = told.iter().map(|told| (told.run_id, told.word.clone())).collect();
    assert_eq!(listed, words.map(|word| (run.run_id, word)));
    bed.store.run_word_remove(told[1].word_id).await.unwrap();
    bed.store.run_word_remove(told[1].word_id).await.unwrap();
    assert_eq!(bed.store.run_word_list().await.unwrap(), [told[0].clone(), told[2].clone()]);
    let events = bed.events().await;
    let told: Vec<_> = events.iter().filter(|event| event.draft.kind == EventKind::RunTold).collect();
    let details: Vec<_> = told.iter().map(|event| event.draft.details.clone()).collect();
    // What somebody answers is for the agent, not for who reads events.
    let expected = [
        json!({ "word": "answer", "by": "ann" }),
        json!({ "word": "make_way", "for": run.run_id.short() }),
        json!({ "word": "cancel", "by": "bob" }),
    ];
    assert_eq!(details, expected);
    assert!(told.iter().all(|event| event.draft.run_id == Some(run.run_id)));
}
