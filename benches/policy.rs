//! What the built-in policies cost: loading them, scoring ahead, and choosing while an agent waits.

#![allow(clippy::unwrap_used)]

use std::collections::HashMap;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;

use chrono::TimeDelta;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use issuecommand::config::PoliciesConfig;
use issuecommand::domain::{Issue, IssueFacts, IssueNumber, IssueState, Timestamp, from_unix_ms};
use issuecommand::policy::{ChooseRequest, PolicyHost, PolicySet, Shortlisted};
use serde_json::json;

const REPO_COUNT: u64 = 20;
const LABELS: [&str; 12] = [
    "bug",
    "enhancement",
    "docs",
    "good first issue",
    "blocked",
    "security",
    "priority: high",
    "priority: low",
    "area/net",
    "area/ui",
    "needs triage",
    "wontfix",
];

fn now() -> Timestamp {
    from_unix_ms(1_767_225_600_000)
}

fn issue(row: u64) -> Issue {
    let label = |step: u64| LABELS[((row * step + row / 7) % LABELS.len() as u64) as usize].to_string();
    Issue {
        repo: format!("acme/repo-{}", row % REPO_COUNT).parse().unwrap(),
        number: IssueNumber::new(row + 1).unwrap(),
        title: format!("Number {row}: the list is empty after the second refresh"),
        body: String::new(),
        state: IssueState::Open,
        labels: (1..=row % 5).map(label).collect(),
        assignees: if row.is_multiple_of(9) { vec![format!("dev-{}", row % 40)] } else { Vec::new() },
        milestone: row.is_multiple_of(4).then(|| format!("v{}", row % 6)),
        comments: Vec::new(),
        created_at: now() - TimeDelta::minutes(i64::try_from(row % 500_000).unwrap()),
        updated_at: now() - TimeDelta::minutes(i64::try_from(row % 10_000).unwrap()),
        url: String::new(),
        author: format!("user-{}", row % 700),
        author_association: if row.is_multiple_of(3) { "MEMBER".into() } else { "NONE".into() },
        comment_count: u32::try_from(row % 60).unwrap(),
        reaction_count: u32::try_from(row % 13).unwrap(),
        open_blocker_count: None,
    }
}

/// Facts as the server keeps them: texts that repeat are shared.
fn facts(count: u64) -> Vec<Arc<IssueFacts>> {
    let mut texts: HashMap<String, Arc<str>> = HashMap::new();
    let mut share = |text: &str| Arc::clone(texts.entry(text.into()).or_insert_with(|| text.into()));
    (0..count).map(|row| Arc::new(issue(row).facts(&mut share))).collect()
}

/// The built-in policies; with a table of ten rules of the kind that teams write, or without.
fn config(with_table: bool) -> PoliciesConfig {
    let mut config = PoliciesConfig { call_ms_max: 10_000, choose_ms_max: 1_000, ..PoliciesConfig::default() };
    if with_table {
        let table = json!({
            "rules": [
                { "field": "label", "op": "is", "value": "bug", "weight": 10 },
                { "field": "label", "op": "is", "value": "security", "weight": 40 },
                { "field": "label", "op": "is", "value": "priority: high", "weight": 25 },
                { "field": "label", "op": "is", "value": "priority: low", "weight": -10 },
                { "field": "label", "op": "is", "value": "good first issue", "weight": 2 },
                { "field": "label", "op": "is", "value": "docs", "weight": -3 },
                { "field": "comments", "op": "at_least", "value": 5, "weight": 3 },
                { "field": "comments", "op": "at_least", "value": 20, "weight": 5 },
            ],
            "skip": [{ "field": "label", "op": "is", "value": "wontfix" }],
            "aging": { "points_per_day": 0.5, "max_points": 20 },
            "max_claims_per_agent": 3,
        });
        let serde_json::Value::Object(table) = table else { unreachable!("it is written as one") };
        config.ranker.settings = table;
    }
    config
}

fn load(host: &PolicyHost, with_table: bool) -> PolicySet {
    host.load(&config(with_table), Path::new("/")).unwrap()
}

fn loading(criterion: &mut Criterion) {
    let cache = tempfile::tempdir().unwrap();
    let cached = PolicyHost::new(Some(cache.path().join("policies"))).unwrap();
    load(&cached, true);
    let mut group = criterion.benchmark_group("load three policies");
    group.bench_function("compiled before", |bencher| bencher.iter(|| load(&cached, true)));
    group.sample_size(10);
    let anew = PolicyHost::new(None).unwrap();
    group.bench_function("compiled anew", |bencher| bencher.iter(|| load(&anew, true)));
    group.finish();
}

fn scoring(criterion: &mut Criterion) {
    let host = PolicyHost::new(None).unwrap();
    for (name, with_table) in [("score by default", false), ("score by ten rules", true)] {
        let set = load(&host, with_table);
        let mut group = criterion.benchmark_group(name);
        for count in [10, 1_000, 10_000, 100_000] {
            let rows = facts(count);
            group.throughput(Throughput::Elements(count));
            group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
                bencher.iter(|| set.ranker.score(black_box(&rows), now()).unwrap());
            });
        }
        group.finish();
    }
}

fn at_the_door(criterion: &mut Criterion) {
    let set = load(&PolicyHost::new(None).unwrap(), true);
    let request = ChooseRequest::of("agent-1".parse().unwrap());
    let rows: Vec<Shortlisted> = facts(16)
        .into_iter()
        .zip(0u32..)
        .map(|(facts, row)| Shortlisted {
            facts,
            score: 100.0 - f64::from(row),
            repo_claim_count: row % 3,
            repo_review_count: 0,
            reviewer_load: 0,
        })
        .collect();
    criterion.bench_function("choose from 16", |bencher| {
        bencher.iter(|| set.ranker.choose(&request, black_box(&rows), now()).unwrap());
    });
    criterion.bench_function("explain 16", |bencher| {
        bencher.iter(|| set.ranker.explain(black_box(&rows), now()).unwrap());
    });
}

criterion_group!(benches, loading, scoring, at_the_door);
criterion_main!(benches);
