//! Recorded decisions, asked again of the same policy with the same settings: byte for byte the same answer,
//! whatever happened since, a restart included.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use issuecommand::claims::{ClaimManager, Index, NextOutcome, NextRequest, NotReplayable, Parts, Recorded};
use issuecommand::config::{Config, ConfigSource, LiveConfig, PoliciesConfig, load};
use issuecommand::domain::{Clock, Decision, Issue, IssueSnapshot, ManualClock};
use issuecommand::github::FileSource;
use issuecommand::policy::{PolicyHost, PolicySet};
use issuecommand::store::{DecisionFilter, IssueBatch, SqlStore, Store};
use proptest::prelude::*;
use proptest::test_runner::{Config as Runs, TestRunner};
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// Longest wait for what must happen.
const DEADLINE: Duration = Duration::from_secs(30);

/// A server's inside over a folder that outlives it.
pub struct World {
    manager: Arc<ClaimManager>,
    store: Arc<SqlStore>,
    clock: Arc<ManualClock>,
    tracker: TaskTracker,
    _ends_with_it: DropGuard,
}

fn host() -> PolicyHost {
    PolicyHost::new(Some(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("components"))).unwrap()
}

/// The built-in ranker; with others for acme/r1, and there for agent-1, where `others` says what those are told.
pub fn config(settings: &Value, others: Option<&Value>) -> Config {
    let mut config = Config::default();
    config.policies.ranker.settings = settings.as_object().unwrap().clone();
    if let Some(others) = others {
        let ranker = |settings: Value| json!({ "settings": settings });
        let mut own = others.clone();
        own["aging"] = json!({ "points_per_day": 0.7, "max_points": 70 });
        config.agent_groups = serde_json::from_value(json!({ "ones": ["agent-1"] })).unwrap();
        config.policies.overrides = serde_json::from_value(json!([
            { "repos": ["acme/r1"], "groups": ["ones"], "ranker": ranker(own) },
            { "repos": ["acme/r1"], "ranker": ranker(others.clone()) },
        ]))
        .unwrap();
    }
    // A busy machine must not decide what is recorded.
    config.policies.choose_ms_max = 1_000;
    config.policies.call_ms_max = 10_000;
    config
}

impl World {
    pub async fn open(dir: &Path, config: &Config, backlog: &[Value], clock: Arc<ManualClock>) -> Self {
        std::fs::write(dir.join("issuecommand.toml"), "").unwrap();
        let file = Some(dir.join("issuecommand.toml"));
        let mut loaded = load(&ConfigSource { file, env: BTreeMap::new(), dotenv: None }).unwrap();
        loaded.config = config.clone();
        loaded.config.store.path = dir.join("claims.db");
        let index = Index::empty();
        let store = Arc::new(SqlStore::open(&loaded.config.store, Arc::clone(&index) as _).unwrap());
        let lines: String = backlog.iter().map(|issue| format!("{issue}\n")).collect();
        let parts = Parts {
            store: Arc::clone(&store) as Arc<dyn Store>,
            source: Arc::new(FileSource::from_text(&lines).unwrap()),
            index,
            host: host(),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            config: LiveConfig::new(&loaded),
            base_dir: dir.to_path_buf(),
        };
        let (manager, background) = ClaimManager::open(parts).await.unwrap();
        let (shutdown, tracker) = (CancellationToken::new(), TaskTracker::new());
        background.start(&tracker, &shutdown);
        let world = Self { manager, store, clock, tracker, _ends_with_it: shutdown.drop_guard() };
        assert_eq!(world.manager.health().policies.rejected, None);
        world.wait_until(|world| world.manager.health().last_github_sync_at.is_some()).await;
        world
    }

    async fn wait_until(&self, holds: impl Fn(&Self) -> bool) {
        let begun = Instant::now();
        while !holds(self) {
            assert!(begun.elapsed() < DEADLINE, "{:?}", self.manager.health());
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// Ends it, as far as the store is concerned: the next may open it.
    pub async fn close(self) {
        let Self { manager, store, tracker, _ends_with_it, .. } = self;
        drop((manager, _ends_with_it));
        tracker.close();
        tracker.wait().await;
        store.close();
    }

    pub async fn ask(&self, agent: &str, repo: Option<&str>) -> NextOutcome {
        let request = NextRequest {
            agent: agent.parse().unwrap(),
            repo: repo.map(|repo| repo.parse().unwrap()),
            label: None,
            milestone: None,
            request_id: None,
            skills: serde_json::from_value(json!(["rust"])).unwrap(),
        };
        self.manager.next_issue(request).await.unwrap()
    }

    /// GitHub tells of another title and another label.
    async fn edit(&self, number: u64, issue: &Issue) {
        let mut labels = issue.labels.clone();
        labels.push("edited".into());
        let updated_at = issue.updated_at.max(self.clock.now());
        let edited = Issue { title: format!("{number} anew"), body: "new".into(), labels, updated_at, ..issue.clone() };
        let (repo, now) = (edited.repo.clone(), self.clock.now());
        self.store.issue_apply(IssueBatch { repo, issues: vec![edited], cursor: None, now }).await.unwrap();
    }

    /// Every recorded decision, whole.
    pub async fn decisions(&self) -> Vec<Decision> {
        let mut decisions = Vec::new();
        for listed in self.store.decision_list(DecisionFilter::default(), 1000).await.unwrap() {
            decisions.push(self.store.decision_get(listed.decision_id).await.unwrap().unwrap());
        }
        decisions
    }
}

pub fn policies(config: &Config) -> PolicySet {
    let policies: PoliciesConfig = config.effective_policies();
    host().load(&policies, Path::new(".")).unwrap()
}

/// What the policy said then, and what it says now, as bytes.
pub fn then_and_now(decision: &Decision, set: &PolicySet) -> Result<(Vec<u8>, Vec<u8>), NotReplayable> {
    let recorded = Recorded::of(decision)?;
    let now = recorded.asked_of(set.ranking_of(&set.view_of(&decision.agent_id))).unwrap();
    Ok((serde_json::to_vec(&recorded.answers()).unwrap(), serde_json::to_vec(&now).unwrap()))
}

#[derive(Debug, Clone)]
enum Happens {
    Asks(u8, Option<u8>),
    Edits(usize),
    Waits(i64),
    Restarts,
}

fn happens() -> impl Strategy<Value = Happens> {
    prop_oneof![
        6 => (0u8..4, prop::option::weighted(0.3, 0u8..3)).prop_map(|(agent, repo)| Happens::Asks(agent, repo)),
        2 => any::<prop::sample::Index>().prop_map(|index| Happens::Edits(index.index(1 << 16))),
        2 => (1i64..5_000).prop_map(Happens::Waits),
        1 => Just(Happens::Restarts),
    ]
}

fn backlog() -> impl Strategy<Value = Vec<Value>> {
    let labels = prop::sample::subsequence(vec!["p0", "P1", "bug", "docs", "wontfix", "épic", "a \"b\""], 0..4);
    let rest = (0u64..20, 0u64..9, prop::bool::weighted(0.2), 1u64..28, prop::option::of(Just("v1")));
    let issue = (0u8..3, labels, rest).prop_map(|(repo, labels, (comments, reactions, assigned, day, milestone))| {
        json!({
            "repo": format!("acme/r{repo}"), "labels": labels, "comments": comments, "reactions": reactions,
            "assignees": if assigned { vec!["ann"] } else { Vec::new() }, "milestone": milestone,
            "created_at": format!("2026-01-{day:02}T00:00:00Z"), "updated_at": format!("2026-02-{day:02}T00:00:00Z"),
        })
    });
    prop::collection::vec(issue, 1..60).prop_map(|mut issues| {
        for (number, issue) in (1..).zip(&mut issues) {
            issue["number"] = json!(number);
            issue["title"] = json!(format!("Issue {number}"));
            issue["body"] = json!(format!("Text of {number}"));
        }
        issues
    })
}

/// Settings of the built-in table, with weights that are no round numbers.
fn settings() -> impl Strategy<Value = Value> {
    let caps = (prop::option::of(1u32..4), prop::option::of(1u32..4));
    (-1e3..1e3f64, -10.0..10.0f64, 0.001..0.9f64, any::<bool>(), caps).prop_map(
        |(bug, each, aging, skips, (of_agent, of_repo))| {
            let mut settings = json!({
                "rules": [
                    { "field": "label", "op": "is", "value": "bug", "weight": bug },
                    { "field": "comments", "op": "each", "weight": each, "max_points": 33.3 },
                    { "field": "title", "op": "contains", "value": "anew", "weight": 0.1 },
                ],
                "aging": { "points_per_day": aging, "max_points": 500.5 },
            });
            if skips {
                settings["skip"] = json!([{ "field": "label", "op": "is", "value": "wontfix" }]);
            }
            for (name, cap) in [("max_claims_per_agent", of_agent), ("max_claims_per_repo", of_repo)] {
                if let Some(cap) = cap {
                    settings[name] = cap.into();
                }
            }
            settings
        },
    )
}

#[test]
fn a_recorded_decision_asked_again_gives_the_same_answer_byte_for_byte() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let tally = std::cell::Cell::new([0_usize; 3]);
    let strategy = (settings(), prop::option::of(settings()), backlog(), prop::collection::vec(happens(), 1..30));
    TestRunner::new(Runs { cases: 12, failure_persistence: None, ..Runs::default() })
        .run(&strategy, |(settings, others, backlog, story)| {
            let config = config(&settings, others.as_ref());
            let (decisions, set) = runtime.block_on(told(&config, &backlog, story));
            for decision in &decisions {
                let rows = decision.considered.iter().filter_map(|row| row.seen.as_ref());
                let [nothing, scored, all] = tally.get();
                let scored_here = rows.clone().filter(|seen| seen.scored_at.is_some()).count();
                tally.set([
                    nothing + usize::from(decision.nothing.is_some()),
                    scored + scored_here,
                    all + rows.count(),
                ]);
                match then_and_now(decision, &set) {
                    Ok((then, now)) => {
                        prop_assert_eq!(String::from_utf8(then), String::from_utf8(now), "{:#?}", decision);
                    }
                    // Only where the policy had nothing to choose from.
                    Err(why) => prop_assert!(decision.pages.is_empty() && decision.nothing.is_some(), "{}", why),
                }
            }
            Ok(())
        })
        .unwrap();
    let [nothing, scored, all] = tally.get();
    eprintln!("{nothing} answers without an issue, {scored} of {all} rows scored by the facts they had");
    assert!(nothing > 0 && scored * 2 > all, "the stories tell of too little: {:?}", tally.get());
}

/// Lets a story happen, and tells of every decision in it.
async fn told(config: &Config, backlog: &[Value], story: Vec<Happens>) -> (Vec<Decision>, PolicySet) {
    let dir = tempfile::tempdir().unwrap();
    let clock = Arc::new(ManualClock::at("2026-11-01T00:00:00Z".parse().unwrap()));
    let mut world = World::open(dir.path(), config, backlog, Arc::clone(&clock)).await;
    for happens in story {
        match happens {
            Happens::Asks(agent, repo) => {
                // A repository without an issue is not known, and asking for it is refused.
                let repo = repo.map(|repo| format!("acme/r{repo}"));
                let repo = repo.filter(|repo| backlog.iter().any(|issue| issue["repo"] == **repo));
                world.ask(&format!("agent-{agent}"), repo.as_deref()).await;
            }
            Happens::Edits(index) => {
                let chosen = &backlog[index % backlog.len()];
                let issue = format!("{}#{}", chosen["repo"].as_str().unwrap(), chosen["number"]).parse().unwrap();
                let Some(issue) = world.store.issue_get(issue).await.unwrap() else { continue };
                world.edit(issue.number.get(), &issue).await;
            }
            Happens::Waits(minutes) => clock.advance(TimeDelta::minutes(minutes)),
            Happens::Restarts => {
                world.close().await;
                world = World::open(dir.path(), config, backlog, Arc::clone(&clock)).await;
            }
        }
    }
    let decisions = world.decisions().await;
    world.close().await;
    (decisions, policies(config))
}

/// One decision in which every kind of fact has a say.
async fn decision_by_many_facts() -> (Decision, PolicySet) {
    let settings = json!({
        "rules": [
            { "field": "label", "op": "is", "value": "bug", "weight": 7 },
            { "field": "comments", "op": "each", "weight": 0.3, "max_points": 9 },
            { "field": "author", "op": "is", "value": "ann", "weight": 2 },
        ],
        "aging": { "points_per_day": 0.01, "max_points": 100 },
        "max_claims_per_repo": 1,
    });
    let issue = |repo: &str, number: u64, labels: &[&str]| {
        json!({ "repo": repo, "number": number, "title": format!("Issue {number}"), "labels": labels, "comments": number,
            "author": "ann", "created_at": "2026-01-01T00:00:00Z" })
    };
    let backlog = [
        issue("acme/r1", 1, &["bug"]),
        issue("acme/r1", 2, &["p0"]),
        issue("acme/r2", 3, &[]),
        issue("acme/r2", 4, &[]),
    ];
    let (dir, config) = (tempfile::tempdir().unwrap(), config(&settings, None));
    let clock = Arc::new(ManualClock::at("2026-11-01T00:00:00Z".parse().unwrap()));
    let world = World::open(dir.path(), &config, &backlog, clock).await;
    world.ask("a", None).await;
    world.ask("b", None).await;
    let decision = world.decisions().await.remove(0);
    world.close().await;
    assert_eq!((decision.chosen.as_deref(), decision.considered.len()), (Some("acme/r2#4"), 3), "{decision:#?}");
    (decision, policies(&config))
}

/// What the test above would say if something were not recorded.
#[tokio::test(flavor = "multi_thread")]
async fn a_record_that_lacks_one_thing_the_policy_saw_does_not_replay() {
    let (decision, set) = decision_by_many_facts().await;
    let is_same = |decision: &Decision| then_and_now(decision, &set).map(|(then, now)| then == now);
    assert_eq!(is_same(&decision), Ok(true));
    let facts = |change: fn(&mut issuecommand::domain::IssueFacts)| {
        let mut changed = decision.clone();
        for seen in changed.considered.iter_mut().filter_map(|row| row.seen.as_mut()) {
            let snapshot = seen.snapshot.take().unwrap();
            let mut facts = (*snapshot.facts).clone();
            change(&mut facts);
            seen.snapshot = Some(Arc::new(IssueSnapshot { facts: Arc::new(facts), body: String::new() }));
        }
        changed
    };
    let record = |change: fn(&mut Decision)| {
        let mut changed = decision.clone();
        change(&mut changed);
        changed
    };
    let seen = |change: fn(&mut issuecommand::domain::RowSeen)| {
        let mut changed = decision.clone();
        changed.considered.iter_mut().filter_map(|row| row.seen.as_mut()).for_each(change);
        changed
    };
    let lacking = [
        ("labels", facts(|facts| facts.labels = Box::default())),
        ("comments", facts(|facts| facts.comment_count = 0)),
        ("author", facts(|facts| facts.author = "".into())),
        ("age", facts(|facts| facts.created_at = facts.updated_at + TimeDelta::days(30))),
        ("time", record(|decision| decision.decided_at += TimeDelta::days(30))),
        ("score", record(|decision| decision.considered[0].score += 1e-9)),
        ("reasons", record(|decision| decision.considered[0].reasons.clear())),
        ("claims in the repository", seen(|seen| seen.repo_claim_count = 0)),
        ("when it was scored", seen(|seen| seen.scored_at = seen.scored_at.map(|at| at + TimeDelta::days(30)))),
    ];
    for (what, changed) in lacking {
        assert_eq!(is_same(&changed), Ok(false), "without {what} the answer is the same");
    }
    let forgotten = seen(|seen| seen.snapshot = None);
    assert!(matches!(is_same(&forgotten), Err(NotReplayable::Forgotten { .. })));
    let lost_row = record(|decision| drop(decision.considered.pop()));
    assert_eq!(is_same(&lost_row), Err(NotReplayable::NotRecorded));
}
