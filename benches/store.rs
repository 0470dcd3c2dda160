//! Claims per second through the store port, on a disk: one, 32 and 256 agents at once.
//!
//! Each measured iteration is one granted claim, made durable. Run with
//! `cargo bench --bench store`; the database is made in the working directory's `target`, because
//! the system's temporary directory may be memory.

#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use issuecommand::config::StoreConfig;
use issuecommand::domain::{Issue, IssueNumber, IssueRef, IssueState, RepoName, from_unix_ms};
use issuecommand::store::{Change, ClaimWish, CommitObserver, InsertOutcome, IssueBatch, SqliteStore, Store, Wanted};
use tokio::runtime::Runtime;

const CLAIMER_COUNTS: [u64; 3] = [1, 32, 256];
/// Length of the short list that an agent offers; the first ones are usually free.
const SHORT_LIST_COUNT: u64 = 20;
/// The size of a large public repository's backlog.
const SNAPSHOT_ISSUE_COUNT: u64 = 31_100;

#[derive(Debug)]
struct Unwatched;

impl CommitObserver for Unwatched {
    fn committed(&self, _: Vec<Change>) {}
}

fn open(directory: &tempfile::TempDir) -> Arc<SqliteStore> {
    let config = StoreConfig { path: directory.path().join("claims.db"), ..StoreConfig::default() };
    Arc::new(SqliteStore::open(&config, Arc::new(Unwatched)).unwrap())
}

fn directory() -> tempfile::TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap()
}

fn repo() -> RepoName {
    "acme/small".parse().unwrap()
}

fn issue(number: u64) -> Issue {
    Issue {
        repo: repo(),
        number: IssueNumber::new(number).unwrap(),
        title: format!("The thing number {number} does not do what its documentation says"),
        body: "A body of the usual length, told in several sentences. ".repeat(20),
        state: IssueState::Open,
        labels: vec![format!("area-{}", number % 40), "bug".into()],
        assignees: Vec::new(),
        milestone: None,
        comments: Vec::new(),
        created_at: from_unix_ms(number),
        updated_at: from_unix_ms(number),
        url: format!("https://github.com/acme/small/issues/{number}"),
        author: format!("author-{}", number % 3000),
        author_association: "NONE".into(),
        comment_count: 3,
        reaction_count: 1,
        open_blocker_count: None,
    }
}

async fn sync(store: &SqliteStore, numbers: std::ops::RangeInclusive<u64>) {
    let batch = IssueBatch { repo: repo(), issues: numbers.map(issue).collect(), cursor: None, now: from_unix_ms(0) };
    store.issue_apply(batch).await.unwrap();
}

/// Grants `count` claims to `claimers` agents at once; the time from the first wish to the last answer.
async fn grant(store: Arc<SqliteStore>, claimers: u64, count: u64, wanted: fn(u64) -> Wanted) -> Duration {
    let next = Arc::new(AtomicU64::new(1));
    let begun = Instant::now();
    let agents: Vec<_> = (0..claimers)
        .map(|n| {
            let (store, next) = (Arc::clone(&store), Arc::clone(&next));
            tokio::spawn(async move {
                let agent: issuecommand::domain::AgentId = format!("agent-{n}").parse().unwrap();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number > count {
                        return;
                    }
                    let wish = ClaimWish {
                        agent: agent.clone(),
                        wanted: wanted(number),
                        request_id: None,
                        lease: TimeDelta::hours(2),
                        decision: None,
                        now: from_unix_ms(number),
                    };
                    let outcome = store.claim_insert(wish).await.unwrap();
                    assert!(matches!(outcome, InsertOutcome::Granted(_)));
                }
            })
        })
        .collect();
    for agent in agents {
        agent.await.unwrap();
    }
    begun.elapsed()
}

fn exactly(number: u64) -> Wanted {
    Wanted::Exactly(IssueRef::new(repo(), IssueNumber::new(number).unwrap()))
}

fn first_free(number: u64) -> Wanted {
    let short_list = number..number + SHORT_LIST_COUNT;
    Wanted::FirstFree(short_list.map(|number| IssueRef::new(repo(), IssueNumber::new(number).unwrap())).collect())
}

fn claims(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let mut group = criterion.benchmark_group("claims");
    group.throughput(Throughput::Elements(1)).sample_size(10).measurement_time(Duration::from_secs(3));
    let kinds = [("exactly", exactly as fn(u64) -> Wanted), ("first_free", first_free)];
    for (name, wanted) in kinds {
        for claimers in CLAIMER_COUNTS {
            group.bench_function(format!("{name}/{claimers}"), |bencher| {
                bencher.iter_custom(|count| {
                    let directory = directory();
                    let store = open(&directory);
                    runtime.block_on(sync(&store, 1..=count + SHORT_LIST_COUNT));
                    runtime.block_on(grant(store, claimers, count, wanted))
                });
            });
        }
    }
    group.finish();
}

fn snapshot(criterion: &mut Criterion) {
    let runtime = Runtime::new().unwrap();
    let directory = directory();
    let store = open(&directory);
    runtime.block_on(sync(&store, 1..=SNAPSHOT_ISSUE_COUNT));
    let mut group = criterion.benchmark_group("snapshot");
    group.throughput(Throughput::Elements(SNAPSHOT_ISSUE_COUNT)).sample_size(20);
    group.bench_function("load", |bencher| {
        bencher.iter(|| {
            let snapshot = runtime.block_on(store.snapshot_load()).unwrap();
            assert_eq!(snapshot.issues.len() as u64, SNAPSHOT_ISSUE_COUNT);
            snapshot
        });
    });
    let mut revision = 0;
    group.bench_function("sync_all_changed", |bencher| {
        bencher.iter_custom(|rounds| {
            let mut spent = Duration::ZERO;
            for _ in 0..rounds {
                revision += 1;
                let changed = |number| Issue { updated_at: from_unix_ms(number + revision), ..issue(number) };
                let issues = (1..=SNAPSHOT_ISSUE_COUNT).map(changed).collect();
                let batch = IssueBatch { repo: repo(), issues, cursor: None, now: from_unix_ms(0) };
                let begun = Instant::now();
                runtime.block_on(store.issue_apply(batch)).unwrap();
                spent += begun.elapsed();
            }
            spent
        });
    });
    group.finish();
}

criterion_group!(benches, claims, snapshot);
criterion_main!(benches);
