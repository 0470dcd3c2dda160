//! A replay stands for a server: both give the same issues to the same agents in the same order.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use issuecommand::claims::{ClaimManager, Index, NextOutcome, NextRequest, Parts};
use issuecommand::config::{ConfigSource, LiveConfig, PoliciesConfig, PolicyConfig, load};
use issuecommand::domain::{Decision, Issue, IssueNumber, IssueState, ManualClock, Repo, RepoName, Skills};
use issuecommand::github::FileSource;
use issuecommand::policy::{BodySource, PolicyHost};
use issuecommand::replay::{Contender, DecisionTexts, DecisionsReport, ReplayOptions, replay_decisions};
use issuecommand::store::{DecisionFilter, IssueBatch, SqlStore, Store};
use serde_json::{Value, json};

use crate::invented::{history, host, issue, on, picked, replayed};

const AGENT_COUNT: usize = 12;
/// The day on which all agents ask.
const TODAY: u32 = 60;

fn settings() -> Value {
    json!({
        "tiers": [["p0"], ["p1"]],
        "rules": [
            { "field": "label", "op": "is", "value": "bug", "weight": 5 },
            { "field": "age_days", "op": "each", "weight": 0.5, "max_points": 26 },
        ],
        "skip": [{ "field": "label", "op": "is", "value": "wontfix", "reason": "nobody wants it" }],
        "max_claims_per_repo": 9,
    })
}

/// Issues of every kind, opened on several days.
fn backlog() -> Vec<Value> {
    let labels = [&["bug"][..], &["p1"], &[], &["p0", "bug"], &["wontfix", "p0"], &["docs"], &["P1 ", "bug"]];
    let issue = |n: u32| issue(n.into(), 1 + n * 7 % 20, labels[n as usize % labels.len()]);
    (1..=40).map(issue).collect()
}

/// What a server gives agents that ask one after the other, the last of which get nothing; and every decision.
async fn served(backlog: &[Value]) -> (Vec<String>, Vec<Decision>) {
    let dir = tempfile::tempdir().unwrap();
    let mut loaded = load(&ConfigSource { file: None, env: BTreeMap::new(), dotenv: None }).unwrap();
    loaded.config.store.path = dir.path().join("claims.db");
    let Value::Object(settings) = settings() else { unreachable!() };
    loaded.config.policies.ranker = PolicyConfig { settings, ..PolicyConfig::builtin("rules") }.into();
    let index = Index::empty();
    let store = SqlStore::open(&loaded.config.store, Arc::clone(&index) as _).unwrap();
    let repo: RepoName = "acme/small".parse().unwrap();
    let now = on(TODAY).parse().unwrap();
    store.repo_apply(vec![Repo::named(repo.clone())]).await.unwrap();
    let issues = backlog.iter().map(described).collect();
    store.issue_apply(IssueBatch { repo, issues, cursor: None, now }).await.unwrap();
    let parts = Parts {
        store: Arc::new(store),
        source: Arc::new(FileSource::from_text("").unwrap()),
        index,
        host: PolicyHost::new(Some(PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("components"))).unwrap(),
        clock: Arc::new(ManualClock::at(now)),
        config: LiveConfig::new(&loaded),
        base_dir: dir.path().to_path_buf(),
    };
    let (manager, _background) = ClaimManager::open(parts).await.unwrap();
    let mut granted = Vec::new();
    for agent in 1..=AGENT_COUNT {
        let request = NextRequest {
            agent: format!("agent-{agent}").parse().unwrap(),
            repo: None,
            label: None,
            milestone: None,
            request_id: None,
            skills: Skills::default(),
        };
        if let NextOutcome::Granted { claim, .. } = manager.next_issue(request).await.unwrap() {
            granted.push(claim.issue_number.to_string());
        }
    }
    let mut decisions = Vec::new();
    for decision in manager.decisions(DecisionFilter::default(), 100).await.unwrap() {
        decisions.push(manager.decision(decision.decision_id).await.unwrap().unwrap());
    }
    (granted, decisions)
}

fn described(record: &Value) -> Issue {
    let text = |field: &str| record[field].as_str().unwrap().to_owned();
    Issue {
        repo: text("repo").parse().unwrap(),
        number: IssueNumber::new(record["number"].as_u64().unwrap()).unwrap(),
        title: text("title"),
        body: String::new(),
        state: IssueState::Open,
        labels: serde_json::from_value(record["labels"].clone()).unwrap(),
        assignees: Vec::new(),
        milestone: None,
        comments: Vec::new(),
        created_at: text("created_at").parse().unwrap(),
        updated_at: text("created_at").parse().unwrap(),
        url: String::new(),
        author: text("user"),
        author_association: String::new(),
        comment_count: 0,
        reaction_count: 0,
        open_blocker_count: None,
    }
}

/// The same issue, hidden from the agents until today by a label that is then taken away.
fn hidden_until_today(record: &Value) -> Value {
    let mut record = record.clone();
    if record["labels"].as_array().unwrap().iter().all(|label| label != "wontfix") {
        let event = |event: &str, at: Value| json!({ "event": event, "label": "wontfix", "at": at });
        let opened = record["created_at"].clone();
        record["events"] = json!([event("labeled", opened), event("unlabeled", json!(on(TODAY)))]);
    }
    record
}

#[tokio::test]
async fn a_replay_gives_out_what_a_server_gives_out() {
    let backlog = backlog();
    let (served, _) = served(&backlog).await;
    assert_eq!(served.len(), 9, "the cap of the repository holds the others back: {served:?}");

    let records: Vec<_> = backlog.iter().map(hidden_until_today).collect();
    let options = ReplayOptions { agents: AGENT_COUNT, ..ReplayOptions::default() };
    let outcome = replayed(&history(&records), settings(), &options);
    assert_eq!(picked(&outcome), served);
    let reasons: Vec<_> = outcome.skipped.iter().map(|skipped| skipped.reason.as_str()).collect();
    assert!(reasons.contains(&"nobody wants it"), "{reasons:?}");
}

/// What the built-in ranker, told these settings, makes of decisions.
fn asked_again(decisions: &[Decision], settings: Value) -> DecisionsReport {
    asked_while(decisions, settings, &|_| true)
}

/// The same for as long as `goes_on` says so.
fn asked_while(decisions: &[Decision], settings: Value, goes_on: &dyn Fn(usize) -> bool) -> DecisionsReport {
    let Value::Object(settings) = settings else { unreachable!() };
    let ranker = PolicyConfig { settings, ..PolicyConfig::builtin("rules") };
    let config = PoliciesConfig { ranker: ranker.into(), ..PoliciesConfig::default() };
    let texts = Arc::new(DecisionTexts::default());
    let bodies = Arc::clone(&texts) as Arc<dyn BodySource>;
    let contender = Contender::new("again".into(), config, std::path::Path::new("."), host(bodies)).unwrap();
    replay_decisions(decisions, &[contender], &texts, goes_on).unwrap()
}

#[tokio::test]
async fn recorded_decisions_are_made_again_and_under_another_policy() {
    let (served, decisions) = served(&backlog()).await;
    let same = asked_again(&decisions, settings());
    assert!(same.replayed > served.len() && same.left_out.is_empty(), "nothings are decisions, too: {same:?}");
    let [outcome] = &same.outcomes[..] else { panic!("one policy was asked") };
    assert_eq!((outcome.own, outcome.own_same, outcome.differing), (same.replayed, same.replayed, 0));
    let bound = "chooses here among the issues that decision considered";
    assert!(!same.to_string().contains(bound), "{same}");
    let cut = asked_while(&decisions, settings(), &|done| done < 2);
    assert_eq!((cut.decisions, cut.replayed), (2, 2), "of those before its time was over");

    let mut reversed = settings();
    reversed["tiers"] = json!([["p1"], ["p0"]]);
    let other = asked_again(&decisions, reversed);
    assert_eq!(other.outcomes[0].own, 0);
    assert!(other.outcomes[0].differing > 0 && other.to_string().contains(bound), "{other}");
    let pick = &other.outcomes[0].first[0];
    assert!(pick.other.as_ref().is_some_and(|other| *other != pick.picked), "{pick:?}");

    let mut tampered = decisions;
    tampered.iter_mut().flat_map(|decision| &mut decision.considered).for_each(|row| row.score += 1.0);
    let tampered = asked_again(&tampered, settings());
    assert_eq!(tampered.outcomes[0].own_same, 0, "a record that was changed is noticed");
}
