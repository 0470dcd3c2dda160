//! What policies cost: loading them, scoring ahead, and choosing while an agent waits; and what a ranker
//! through the Rust SDK costs beside the same ranker without WebAssembly.
//!
//! Loading is in time by the clock, for compiling uses every processor. The rest runs on one thread and is in that
//! thread's processor time.

#![allow(clippy::unwrap_used)]

#[path = "measure/cpu_time.rs"]
mod cpu_time;
/// The same, natively.
#[path = "../tests/guests/weights/src/lib.rs"]
#[allow(dead_code)]
mod weights;
/// The guest of the comparison, as it is built for tests/policies.
#[path = "../tests/policies/workshop.rs"]
#[allow(dead_code)]
mod workshop;

use std::collections::HashMap;
use std::hint::black_box;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use self::cpu_time::CpuTime;
use chrono::TimeDelta;
use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use issuecommand::config::{ConfigWatch, PoliciesConfig};
use issuecommand::domain::{Issue, IssueFacts, IssueNumber, IssueState, Timestamp, from_unix_ms, unix_ms};
use issuecommand::policy::{
    BLOCK_ROW_COUNT_MAX, ChooseRequest, IssueBlock, IssueRows, PolicyHost, PolicySet, Shortlisted,
};
use issuecommand_policy::Ranker;
use issuecommand_policy::testing;
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

/// The same in blocks, as the server shows them to policies: columns once made are kept.
fn backlog(count: u64) -> IssueRows {
    let facts = facts(count);
    IssueRows::of_blocks(
        facts.chunks(BLOCK_ROW_COUNT_MAX as usize).map(|rows| IssueBlock::kept(rows.to_vec())).collect(),
    )
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

/// The guest of the comparison as the ranker, with the weights that the table has too.
fn weights_config(dir: &Path) -> PoliciesConfig {
    let file = dir.join("weights.wasm");
    std::fs::write(&file, workshop::component(&workshop::WEIGHTS)).unwrap();
    let mut config = config(false);
    config.ranker.source = file.display().to_string();
    config.ranker.settings = WEIGHTS.into_iter().map(|(label, weight)| (label.to_owned(), weight.into())).collect();
    config
}

const WEIGHTS: [(&str, f64); 6] = [
    ("bug", 10.0),
    ("security", 40.0),
    ("priority: high", 25.0),
    ("priority: low", -10.0),
    ("good first issue", 2.0),
    ("docs", -3.0),
];

fn loading(criterion: &mut Criterion) {
    let cache = tempfile::tempdir().unwrap();
    let cached = PolicyHost::new(Some(cache.path().join("policies"))).unwrap();
    load(&cached, true);
    let mut group = criterion.benchmark_group("load three policies");
    group.bench_function("compiled before", |bencher| bencher.iter(|| load(&cached, true)));
    let weights = weights_config(cache.path());
    cached.load(&weights, Path::new("/")).unwrap();
    group.bench_function("compiled before, the ranker of few lines", |bencher| {
        bencher.iter(|| cached.load(&weights, Path::new("/")).unwrap());
    });
    group.bench_function("compiled before, by a server that starts", |bencher| {
        bencher.iter_custom(|rounds| {
            let start = |_| {
                let host = PolicyHost::new(Some(cache.path().join("policies"))).unwrap();
                let begun = Instant::now();
                load(&host, true);
                begun.elapsed()
            };
            (0..rounds).map(start).sum()
        });
    });
    group.sample_size(10);
    group.bench_function("compiled anew", |bencher| {
        bencher.iter_custom(|rounds| {
            let start = |_| {
                let host = PolicyHost::new(None).unwrap();
                let begun = Instant::now();
                load(&host, true);
                begun.elapsed()
            };
            (0..rounds).map(start).sum()
        });
    });
    group.finish();
}

/// From the moment a component is replaced to the moment its scores of 100,000 issues are there: the watch,
/// reading, checking, compiling, the trial, and scoring. What the server does besides is swapping a pointer.
fn changing(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().unwrap();
    let host = PolicyHost::new(Some(dir.path().join("policies"))).unwrap();
    let config = weights_config(dir.path());
    let file = Path::new(&config.ranker.source).to_owned();
    let component = std::fs::read(&file).unwrap();
    let rows = backlog(100_000);
    host.load(&config, Path::new("/")).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let watch = ConfigWatch::start(vec![file.clone()]).unwrap();
    let mut turn = 0u32;
    let mut group = criterion.benchmark_group("a component is replaced");
    group.sample_size(10);
    group.bench_function("until it ranks 100000", |bencher| {
        bencher.iter_custom(|rounds| {
            (0..rounds)
                .map(|_| {
                    turn += 1;
                    let mut changes = watch.changes();
                    let part = dir.path().join("part");
                    std::fs::write(&part, another(&component, turn)).unwrap();
                    let begun = Instant::now();
                    std::fs::rename(&part, &file).unwrap();
                    runtime.block_on(changes.next()).unwrap();
                    let set = host.load(&config, Path::new("/")).unwrap();
                    black_box(set.ranker.score(&rows, now()).unwrap());
                    begun.elapsed()
                })
                .sum::<Duration>()
        });
    });
    group.finish();
}

/// The same component with other bytes: a custom section that says which it is.
fn another(component: &[u8], turn: u32) -> Vec<u8> {
    let mut other = component.to_vec();
    // Section 0, its size, the length of its name, its name, its content.
    other.extend([0, 6, 1, b't']);
    other.extend(turn.to_le_bytes());
    other
}

/// The ranker of few lines through the SDK as a component, and beside it the same code on the same facts
/// without WebAssembly: once with its facts made ready as a host does, once with them ready.
fn beside_native(criterion: &mut Criterion<CpuTime>) {
    let dir = tempfile::tempdir().unwrap();
    let set = PolicyHost::new(None).unwrap().load(&weights_config(dir.path()), Path::new("/")).unwrap();
    let native = weights::Weights::new(WEIGHTS.map(|(label, weight)| (label.to_owned(), weight)).into()).unwrap();
    let (rows, new_rows) = (backlog(100_000), IssueRows::from(facts(100_000)));
    let mut group = criterion.benchmark_group("score 100000 by a ranker of few lines");
    group.throughput(Throughput::Elements(100_000));
    group.bench_function("component", |bencher| bencher.iter(|| set.ranker.score(black_box(&rows), now()).unwrap()));
    group.bench_function("component, of issues that no policy saw before", |bencher| {
        bencher.iter(|| set.ranker.score(black_box(&new_rows), now()).unwrap());
    });
    let ready = testing::candidates(rows.iter().map(|row| by_hand(row)));
    let at = issuecommand_policy::Instant::from_ms(unix_ms(now()));
    group.bench_function("native, from columns", |bencher| {
        bencher.iter(|| testing::score(&native, black_box(&ready), at));
    });
    let weights: HashMap<&str, f64> = WEIGHTS.into();
    group.bench_function("native, from records", |bencher| {
        bencher.iter(|| black_box(&rows).iter().map(|row| plain_score(row, &weights)).collect::<Vec<_>>());
    });
    group.finish();
}

fn by_hand(facts: &IssueFacts) -> testing::CandidateFacts {
    let row = testing::candidate()
        .comments(facts.comment_count)
        .reactions(facts.reaction_count)
        .opened_at(issuecommand_policy::Instant::from_ms(unix_ms(facts.created_at)));
    facts.labels.iter().fold(row, |row, label| row.label(label))
}

/// What somebody would write who had the records at hand: a look-up for each label.
fn plain_score(row: &IssueFacts, weights: &HashMap<&str, f64>) -> (f64, Timestamp) {
    let labels: f64 = row.labels.iter().filter_map(|label| weights.get(label.to_lowercase().as_str())).sum();
    let weeks = (now() - row.created_at).num_days() / 7;
    let score = labels + f64::from(row.comment_count.min(20)) * 0.5 + f64::from(row.reaction_count) + weeks as f64;
    (score, row.created_at + TimeDelta::days(7 * (weeks + 1)))
}

fn scoring(criterion: &mut Criterion<CpuTime>) {
    let host = PolicyHost::new(None).unwrap();
    let mut expressions = config(false);
    let when = "labels.exists(l, l.startsWith('area/')) && comments < 5";
    let serde_json::Value::Object(table) = json!({ "rules": [{ "when": when, "weight": 1 }] }) else { unreachable!() };
    expressions.ranker.settings = table;
    for (name, config) in [
        ("score by default", config(false)),
        ("score by ten rules", config(true)),
        ("score by an expression", expressions),
    ] {
        let set = host.load(&config, Path::new("/")).unwrap();
        let mut group = criterion.benchmark_group(name);
        for count in [10, 1_000, 10_000, 100_000] {
            let (rows, new_rows) = (backlog(count), IssueRows::from(facts(count)));
            group.throughput(Throughput::Elements(count));
            group.bench_function(BenchmarkId::from_parameter(count), |bencher| {
                bencher.iter(|| set.ranker.score(black_box(&rows), now()).unwrap());
            });
            group.bench_function(BenchmarkId::new("issues that no policy saw before", count), |bencher| {
                bencher.iter(|| set.ranker.score(black_box(&new_rows), now()).unwrap());
            });
        }
        group.finish();
    }
}

fn at_the_door(criterion: &mut Criterion<CpuTime>) {
    let set = load(&PolicyHost::new(None).unwrap(), true);
    let request = ChooseRequest::of("agent-1".parse().unwrap());
    let changed = facts(10);
    // As many as the server asks about.
    let rows: Vec<Shortlisted> = facts(32)
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
    criterion.bench_function("choose from 32", |bencher| {
        bencher.iter(|| set.ranker.choose(&request, black_box(&rows), now()).unwrap());
    });
    criterion.bench_function("score 10 changed and choose from 32", |bencher| {
        bencher.iter(|| {
            black_box(set.ranker.score(black_box(&changed), now()).unwrap());
            set.ranker.choose(&request, black_box(&rows), now()).unwrap()
        });
    });
    criterion.bench_function("explain 32", |bencher| {
        bencher.iter(|| set.ranker.explain(black_box(&rows), now()).unwrap());
    });
}

criterion_group!(by_the_clock, loading, changing);
criterion_group!(
    name = of_one_thread;
    config = Criterion::default().with_measurement(CpuTime);
    targets = scoring, beside_native, at_the_door
);
criterion_main!(by_the_clock, of_one_thread);
