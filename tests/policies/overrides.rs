//! Other rankers and stale rules for some repositories and agents.

use std::sync::Arc;

use chrono::TimeDelta;
use issuecommand::config::{CandidateConfig, CandidateMode, OverrideConfig, PoliciesConfig, PolicyConfig};
use issuecommand::domain::{AgentId, ClaimSignals, IssueFacts};
use issuecommand::policy::{LiveClaim, PolicySet, Verdict, ViewName};
use serde_json::json;

use crate::chain::{bugs_first, guest, rules, settings, with_ranker};
use crate::stage::{claim, issue, later, load, request, shortlist};

/// Overrides: other rankers for a repository, for a group, and for the group in that repository.
fn overridden() -> PoliciesConfig {
    let ten =
        |value: i64| rules(json!({ "rules": [{ "field": "label", "op": "is", "value": "bug", "weight": value }] }));
    let it = |repos: &[&str], groups: &[&str], weight| OverrideConfig {
        repos: repos.iter().map(ToString::to_string).collect(),
        groups: groups.iter().map(ToString::to_string).collect(),
        ranker: Some(ten(weight).into()),
        stale_rule: None,
    };
    let mut config = with_ranker(ten(1), Vec::new());
    config.agent_groups.0.insert("night".into(), vec!["night-*".into()]);
    config.agent_groups.0.insert("owls".into(), vec!["*-owl".into()]);
    config.overrides =
        vec![it(&["acme/app"], &["night"], 3), it(&["acme/*"], &[], 2), it(&[], &["night"], 4), it(&[], &["owls"], 5)];
    config
}

fn in_repo(name: &str) -> Arc<IssueFacts> {
    let mut issue = issue(1, 0);
    issue.repo = name.parse().unwrap();
    Arc::new(issue.facts(|text| text.into()))
}

/// How much a bug is worth to an agent in three repositories.
fn worth(set: &PolicySet, agent: &str) -> [i64; 3] {
    let rows = ["acme/app", "acme/web", "other/web"].map(in_repo);
    let ranking = set.ranking_of(&set.view_of(&agent.parse().unwrap()));
    let scored = ranking.score(&rows[..], later()).unwrap();
    // The last row's repository has no ranker of its own, and by default a bug is worth one there.
    let base = load(&overridden()).unwrap().ranker.score(&rows[..], later()).unwrap()[2].value - 1.0;
    [0, 1, 2].map(|row: usize| (scored[row].value - base).round() as i64)
}

#[test]
fn the_first_override_that_fits_repository_and_agent_holds() {
    let set = load(&overridden()).unwrap();
    assert_eq!(worth(&set, "day-1"), [2, 2, 1]);
    assert_eq!(worth(&set, "night-1"), [3, 2, 4]);
    assert_eq!(worth(&set, "day-owl"), [2, 2, 5]);
    assert_eq!(worth(&set, "night-owl"), [3, 2, 4], "the first list of groups that names one of its own");
    let names: Vec<_> = set.rankings().map(|(name, _)| name.to_string()).collect();
    assert_eq!(names, ["default", "groups night", "groups owls"]);
    let parts = set.ranker.parts_for(Some(&"acme/web".parse().unwrap()));
    assert_eq!((parts.len(), parts[0].repos.as_slice()), (1, &["acme/*".to_owned()][..]));
}

#[test]
fn rankers_that_share_a_short_list_reorder_their_own_rows_within_their_places() {
    let mut config = with_ranker(guest("", ""), Vec::new());
    config.overrides = vec![OverrideConfig {
        repos: vec!["other/*".into()],
        ranker: Some(bugs_first().into()),
        ..OverrideConfig::default()
    }];
    let set = load(&config).unwrap();
    let mut list = shortlist(5);
    for row in [1, 3] {
        list[row].facts = in_repo("other/web");
    }
    let choice = set.ranker.choose(&request(), &list, later()).unwrap();
    // The guest turns its three round, from the second half on: 2 and 4 before 0.
    assert_eq!(choice.order, [4, 1, 2, 3, 0]);
}

#[test]
fn a_stale_rule_of_an_override_judges_its_own_claims() {
    let mut config = with_ranker(bugs_first(), Vec::new());
    let minutes = |minutes: u64| PolicyConfig {
        settings: settings(json!({ "claim_timeout_minutes": minutes, "auto_release_minutes": 0 })),
        ..PolicyConfig::builtin("lease-timeouts")
    };
    config.stale_rule = minutes(10);
    config.agent_groups.0.insert("night".into(), vec!["night-*".into()]);
    config.overrides = vec![OverrideConfig {
        groups: vec!["night".into()],
        stale_rule: Some(minutes(600)),
        ..OverrideConfig::default()
    }];
    let set = load(&config).unwrap();
    let claims = [claim("day"), claim("night-1")];
    let row = |claim| LiveClaim { claim, last_call_at: later(), signals: ClaimSignals::default() };
    let verdicts = set.stale_rule.assess(&[row(&claims[0]), row(&claims[1])], later() + TimeDelta::hours(1)).0;
    assert_eq!(verdicts, [Verdict::Stale, Verdict::Healthy]);
    // One that fails leaves its own claims alone, and nobody else's.
    config.overrides[0].stale_rule = Some(guest("assess", "panic"));
    let set = load(&config).unwrap();
    let (verdicts, fault) = set.stale_rule.assess(&[row(&claims[0]), row(&claims[1])], later() + TimeDelta::hours(1));
    assert_eq!(verdicts, [Verdict::Stale, Verdict::Healthy]);
    assert!(fault.unwrap().to_string().contains("bees"));
}

#[test]
fn a_canary_serves_its_share_and_a_shadow_serves_nobody() {
    let mut config = with_ranker(bugs_first(), Vec::new());
    let on_trial = |mode, share| Some(CandidateConfig { mode, share, ranker: guest("", "").into() });
    let served = |config: &PoliciesConfig| {
        let set = load(config).unwrap();
        let agents = (0..200).map(|n| format!("agent-{n}").parse::<AgentId>().unwrap());
        agents.filter(|agent| set.view_of(agent) == ViewName::candidate()).count()
    };
    config.candidate = on_trial(CandidateMode::Canary, 0.25);
    assert!((30..70).contains(&served(&config)), "{}", served(&config));
    config.candidate = on_trial(CandidateMode::Shadow, 0.25);
    assert_eq!(served(&config), 0);
}
