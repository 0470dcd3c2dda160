//! Claims per second through the store port, on a disk: one, 32 and 256 agents at once, on SQLite and on PostgreSQL,
//! beside what the disk and a bare INSERT give. And how long a commit takes to be known to another server.
//!
//! Each measured iteration is one granted claim, made durable. Run with
//! `cargo bench --bench store`; databases are made in the working directory's `target`, because
//! the system's temporary directory may be memory. PostgreSQL is the machine's own; without it its rows are left out.

#![allow(clippy::unwrap_used, clippy::print_stdout, missing_docs)]

#[path = "../tests/postgres/mod.rs"]
#[allow(dead_code, reason = "tests use the rest of it")]
mod postgres;

use std::io::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::time::{Duration, Instant};

use chrono::TimeDelta;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use hdrhistogram::Histogram;
use issuecommand::config::{Secret, StoreConfig};
use issuecommand::domain::{Issue, IssueNumber, IssueRef, IssueState, RepoName, from_unix_ms};
use issuecommand::store::{Change, ClaimWish, CommitObserver, InsertOutcome, IssueBatch, SqlStore, Store, Wanted};
use tokio::runtime::Runtime;

const CLAIMER_COUNTS: [u64; 3] = [1, 32, 256];
/// Length of the short list that an agent offers; the first ones are usually free.
const SHORT_LIST_COUNT: u64 = 20;
/// The size of a large public repository's backlog.
const SNAPSHOT_ISSUE_COUNT: u64 = 31_100;

static WAITS: LazyLock<Waits> = LazyLock::new(Waits::new);

#[derive(Debug)]
struct Unwatched;

impl CommitObserver for Unwatched {
    fn committed(&self, _: Vec<Change>) {}
}

fn open(directory: &tempfile::TempDir) -> Arc<SqlStore> {
    let config = StoreConfig { path: directory.path().join("claims.db"), ..StoreConfig::default() };
    Arc::new(SqlStore::open(&config, Arc::new(Unwatched)).unwrap())
}

/// One server of a database.
fn server_of(url: &str, observer: Arc<dyn CommitObserver>) -> Arc<SqlStore> {
    let config = StoreConfig { url: Secret::new(url), ..StoreConfig::default() };
    Arc::new(SqlStore::open(&config, observer).unwrap())
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

async fn sync(store: &SqlStore, numbers: std::ops::RangeInclusive<u64>) {
    let batch = IssueBatch { repo: repo(), issues: numbers.map(issue).collect(), cursor: None, now: from_unix_ms(0) };
    store.issue_apply(batch).await.unwrap();
}

/// How long single answers took, in microseconds, over all that was measured of one kind.
struct Waits(Mutex<Histogram<u64>>);

impl Waits {
    fn new() -> Self {
        Self(Mutex::new(Histogram::new(3).unwrap()))
    }

    /// Notes the answers of one agent.
    fn add(&self, waits: &Histogram<u64>) {
        self.0.lock().unwrap().add(waits).unwrap();
    }

    /// Prints them, and forgets them. What criterion tells is the time of all divided by their number.
    fn tell(&self, name: &str) {
        let waits = &mut *self.0.lock().unwrap();
        let at = |quantile| waits.value_at_quantile(quantile) as f64 / 1_000.0;
        if !waits.is_empty() {
            let (half, most, nearly_all, longest) = (at(0.5), at(0.9), at(0.99), at(1.0));
            println!(
                "{name}: an answer took p50 {half:.2} ms, p90 {most:.2}, p99 {nearly_all:.2}, at most {longest:.2}"
            );
        }
        waits.reset();
    }
}

/// Grants `count` claims to `claimers` agents at once, who share out the servers; the time from the first wish to the
/// last answer.
async fn grant(
    servers: &[Arc<SqlStore>],
    claimers: u64,
    count: u64,
    wanted: fn(u64) -> Wanted,
    waits: &'static Waits,
) -> Duration {
    let next = Arc::new(AtomicU64::new(1));
    let begun = Instant::now();
    let agents: Vec<_> = (0..claimers)
        .map(|n| {
            let (store, next) = (Arc::clone(&servers[n as usize % servers.len()]), Arc::clone(&next));
            tokio::spawn(async move {
                let agent: issuecommand::domain::AgentId = format!("agent-{n}").parse().unwrap();
                let mut took = Histogram::new(3).unwrap();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number > count {
                        waits.add(&took);
                        return;
                    }
                    let asked = Instant::now();
                    let outcome = store.claim_insert(wish_for(agent.as_str(), wanted(number), number)).await.unwrap();
                    took.record(asked.elapsed().as_micros() as u64).unwrap();
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

fn wish_for(agent: &str, wanted: Wanted, at_ms: u64) -> ClaimWish {
    ClaimWish {
        agent: agent.parse().unwrap(),
        wanted,
        request_id: None,
        lease: TimeDelta::hours(2),
        decision: None,
        now: from_unix_ms(at_ms),
    }
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
                    runtime.block_on(grant(&[store], claimers, count, wanted, &WAITS))
                });
            });
            WAITS.tell(&format!("SQLite, {name}, {claimers} claimers"));
        }
    }
    group.finish();
}

/// Claims by name on PostgreSQL, of one server and of three, beside a bare INSERT of a row like a claim's.
fn claims_on_postgres(criterion: &mut Criterion) {
    let Some(machine) = postgres::Postgres::start_in(env!("CARGO_TARGET_TMPDIR").as_ref()) else { return };
    let runtime = Runtime::new().unwrap();
    let mut group = criterion.benchmark_group("claims on PostgreSQL");
    group.throughput(Throughput::Elements(1)).sample_size(10).measurement_time(Duration::from_secs(3));
    for (name, server_count) in [("one server", 1), ("three servers", 3)] {
        for claimers in CLAIMER_COUNTS {
            group.bench_function(format!("{name}/{claimers}"), |bencher| {
                bencher.iter_custom(|count| {
                    let url = machine.database();
                    let servers: Vec<_> = (0..server_count).map(|_| server_of(&url, Arc::new(Unwatched))).collect();
                    runtime.block_on(sync(&servers[0], 1..=count));
                    runtime.block_on(grant(&servers, claimers, count, exactly, &WAITS))
                });
            });
            WAITS.tell(&format!("PostgreSQL, {name}, {claimers} claimers"));
        }
    }
    for claimers in CLAIMER_COUNTS {
        group.bench_function(format!("bare INSERT/{claimers}"), |bencher| {
            bencher.iter_custom(|count| insert_bare(&machine.database(), claimers, count));
        });
    }
    group.finish();
}

/// One INSERT for each claim, committed by itself, from a connection for each claimer. Never fewer than would be worth
/// the threads.
fn insert_bare(url: &str, claimers: u64, asked_for: u64) -> Duration {
    const COUNT_MIN: u64 = 4_000;
    let count = asked_for.max(COUNT_MIN);
    let connect = || ::postgres::Client::connect(url, ::postgres::NoTls).unwrap();
    connect().batch_execute("CREATE TABLE bare (number BIGINT PRIMARY KEY, record TEXT NOT NULL)").unwrap();
    let next = AtomicU64::new(1);
    let ready = std::sync::Barrier::new(claimers as usize + 1);
    std::thread::scope(|scope| {
        for _ in 0..claimers {
            scope.spawn(|| {
                let mut client = connect();
                let insert = client.prepare("INSERT INTO bare VALUES ($1, $2) ON CONFLICT DO NOTHING").unwrap();
                ready.wait();
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number > count {
                        return;
                    }
                    let record = "x".repeat(600);
                    assert_eq!(client.execute(&insert, &[&(number as i64), &record]).unwrap(), 1);
                }
            });
        }
        ready.wait();
        let begun = Instant::now();
        while next.load(Ordering::Relaxed) < count + claimers {
            std::thread::sleep(Duration::from_micros(200));
        }
        begun.elapsed().mul_f64(asked_for as f64 / count as f64)
    })
}

/// From when one server is asked until another is told: now and then it is told before the first has answered.
fn fan_out(criterion: &mut Criterion) {
    #[derive(Debug)]
    struct Told(std::sync::mpsc::Sender<Instant>);

    impl CommitObserver for Told {
        fn committed(&self, _: Vec<Change>) {
            let _ = self.0.send(Instant::now());
        }
    }

    let Some(machine) = postgres::Postgres::start_in(env!("CARGO_TARGET_TMPDIR").as_ref()) else { return };
    let runtime = Runtime::new().unwrap();
    criterion.bench_function("fan-out to another server", |bencher| {
        bencher.iter_custom(|count| {
            let (sender, told) = std::sync::mpsc::channel();
            let url = machine.database();
            let (one, _other) = (server_of(&url, Arc::new(Unwatched)), server_of(&url, Arc::new(Told(sender))));
            runtime.block_on(sync(&one, 1..=count));
            told.recv().unwrap();
            let claim = |number| {
                let wish = wish_for("a", exactly(number), number);
                let asked = Instant::now();
                runtime.block_on(one.claim_insert(wish)).unwrap();
                told.recv().unwrap().saturating_duration_since(asked)
            };
            (1..=count).map(claim).sum()
        });
    });
}

/// What the disk gives: a small write and its sync, one after the other.
fn disk(criterion: &mut Criterion) {
    let mut file = tempfile::tempfile_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
    criterion.bench_function("fsync of the disk", |bencher| {
        bencher.iter(|| {
            file.write_all(&[0; 4096]).unwrap();
            file.sync_data().unwrap();
        });
    });
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

criterion_group!(benches, disk, claims, claims_on_postgres, fan_out, snapshot);
criterion_main!(benches);
