//! What a recorded decision says of the policies that made it, and servers that record none.

use std::sync::Arc;

use issuecommand::claims::{NextOutcome, Recorded};
use issuecommand::domain::ManualClock;
use serde_json::json;

use crate::replays::{World, config, policies, then_and_now};

fn clock() -> Arc<ManualClock> {
    Arc::new(ManualClock::at("2026-11-01T00:00:00Z".parse().unwrap()))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_decision_names_the_ranker_of_the_repository_and_the_agent_and_replays_by_all_of_them() {
    let bugs = |weight: u64| json!({ "rules": [{ "field": "label", "op": "is", "value": "bug", "weight": weight }] });
    let config = config(&bugs(1), Some(&bugs(2)));
    let issue = |number: u64| {
        let repo = format!("acme/r{}", number % 2);
        json!({ "repo": repo, "number": number, "title": "A bug", "labels": ["bug"], "created_at": "2026-01-01T00:00:00Z" })
    };
    let (dir, backlog) = (tempfile::tempdir().unwrap(), (1..=4).map(issue).collect::<Vec<_>>());
    let world = World::open(dir.path(), &config, &backlog, clock()).await;
    let (mut told, mut ranked) = (Vec::new(), Vec::new());
    for (agent, repo) in
        [("agent-0", Some("acme/r0")), ("agent-0", Some("acme/r1")), ("agent-1", None), ("agent-1", None)]
    {
        world.ask(agent, repo).await;
    }
    world.ask("agent-2", Some("acme/r1")).await;
    let (mut decisions, set) = (world.decisions().await, policies(&config));
    decisions.reverse();
    for decision in &decisions {
        let chosen = decision.chosen.as_deref().map(|chosen| chosen.split('#').next().unwrap().parse().unwrap());
        let repo = chosen.or(decision.asked_for.repo.clone()).unwrap();
        let ranking = set.ranking_of(&set.view_of(&decision.agent_id));
        assert_eq!(decision.ranker, *ranking.stamp_for(Some(&repo)), "{decision:#?}");
        told.push((repo.to_string(), decision.ranker.settings_digest.clone()));
        if let Ok((then, now)) = then_and_now(decision, &set) {
            assert_eq!(Recorded::of(decision).unwrap().ranker, *ranking.stamp());
            ranked.push(then == now);
        }
    }
    assert_eq!(ranked, [true; 4], "there was nothing for the last one");
    let repos: Vec<_> = told.iter().map(|(repo, _)| repo.as_str()).collect();
    assert_eq!(repos, ["acme/r0", "acme/r1", "acme/r1", "acme/r0", "acme/r1"]);
    let digest = |row: usize| &told[row].1;
    assert!(digest(0) != digest(1) && digest(1) != digest(2), "three rankers: {told:?}");
    assert_eq!((digest(0), digest(1)), (digest(3), digest(4)));
    world.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_keeps_no_decisions_records_none_and_still_says_why() {
    let mut config = config(&json!({}), None);
    config.store.decision_max_entries = 0;
    let issue = json!({ "repo": "acme/r1", "number": 1, "title": "A bug", "labels": ["p0"], "created_at": "2026-01-01T00:00:00Z" });
    let dir = tempfile::tempdir().unwrap();
    let world = World::open(dir.path(), &config, &[issue], clock()).await;
    let outcome = world.ask("a", None).await;
    let NextOutcome::Granted { claim, why, .. } = outcome else { panic!("the issue is free: {outcome:?}") };
    assert_eq!(claim.decision_id, None);
    assert!(why.as_deref().is_some_and(|why| why.contains("p0")), "{why:?}");
    assert!(matches!(world.ask("b", None).await, NextOutcome::Nothing(_)));
    assert_eq!(world.decisions().await, []);
    world.close().await;
}
