//! What a sync costs of GitHub's budget: metered requests and trips an hour, counted.
//!
//! `cargo run --example sync_budget` prints one Markdown table in a few minutes. It syncs with a
//! small server that plays GitHub's rules for lists: pages of 100, newest change first, an ETag for each
//! address, and a 304 that is not metered. `--help` lists what can be set. Hours are played in seconds, so
//! the list of repositories, which the source reads once an hour when it is longer than ten pages, is
//! read once in all: add one request a page and hour.

#![allow(clippy::unwrap_used, clippy::print_stdout)]

use std::collections::BTreeSet;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use clap::Parser;
use http::{HeaderMap, StatusCode, Uri, header};
use issuecommand::config::{GithubConfig, Secret, StoreConfig, SyncConfig};
use issuecommand::domain::{Clock, ManualClock};
use issuecommand::github::{Credentials, GithubSource};
use issuecommand::store::{Change, CommitObserver, SqlStore, Store};
use issuecommand::sync::Sync;
use serde_json::{Value, json};

#[derive(Debug, Parser)]
struct Args {
    /// Sizes: repositories x open issues of each
    #[arg(long, value_delimiter = ',', default_value = "200x500,10000x3")]
    sizes: Vec<String>,
    /// Percent of the repositories that change between two syncs
    #[arg(long, default_value_t = 1)]
    changing_percent: usize,
    /// Hours played of each row
    #[arg(long, default_value_t = 1)]
    hours: u32,
}

/// Rows on one page.
const PAGE_ROW_COUNT: usize = 100;
/// Minutes between two syncs: the default.
const INTERVAL_MINUTES: u64 = 15;

fn main() {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        println!("| repositories x open issues | credentials | first sync | changing a sync | whole readings | metered an hour | trips an hour | s a sync |");
        println!("|---|---|---|---|---|---|---|---|");
        for size in &args.sizes {
            let (repos, issues) = size.split_once('x').expect("REPOSITORIESxISSUES");
            let (repos, issues) = (repos.trim().parse().unwrap(), issues.trim().parse().unwrap());
            for has_changes in [true, false] {
                rows(&args, repos, issues, has_changes).await;
            }
        }
    });
}

async fn rows(args: &Args, repos: usize, issues: usize, has_changes: bool) {
    let stage = Stage::open(repos, issues, has_changes).await;
    let quiet = SyncConfig { interval_minutes: INTERVAL_MINUTES, full_reconcile_hours: 0 };
    let daily = SyncConfig { full_reconcile_hours: 24, ..quiet.clone() };
    let first = stage.syncs(1, 0, &daily).await;
    // The second sync tags what the first one read without a tag.
    stage.syncs(1, 0, &quiet).await;
    let kind = if has_changes { "token" } else { "app, or no list" };
    let changing = (repos * args.changing_percent / 100).max(1);
    // The daily readings come first: those that fall due in hours without any would be made up for later.
    for (count, pace, whole) in [(changing, &daily, "daily"), (changing, &quiet, "never"), (0, &quiet, "never")] {
        let spent = stage.syncs(args.hours * 60 / INTERVAL_MINUTES as u32, count, pace).await;
        let hours = u64::from(args.hours);
        println!(
            "| {repos} x {issues} | {kind} | {} metered | {count} | {whole} | {} | {} | {:.1} |",
            first.metered,
            spent.metered / hours,
            spent.trips / hours,
            spent.seconds_a_sync,
        );
    }
}

/// What was counted.
#[derive(Clone, Copy, Default)]
struct Spent {
    trips: u64,
    metered: u64,
    seconds_a_sync: f64,
}

/// A played GitHub, and a store that is synced with it.
struct Stage {
    github: Arc<Github>,
    clock: Arc<ManualClock>,
    sync: Sync,
    _folder: tempfile::TempDir,
}

#[derive(Debug)]
struct NobodyWatches;

impl CommitObserver for NobodyWatches {
    fn committed(&self, _: Vec<Change>) {}
}

impl Stage {
    async fn open(repos: usize, issues: usize, has_changes: bool) -> Self {
        let clock = Arc::new(ManualClock::at("2026-06-01T00:00:00Z".parse().unwrap()));
        let github = Arc::new(Github::new(repos, issues, has_changes, clock.now()));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api_url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().fallback(answer).with_state(Arc::clone(&github));
        tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        let config = GithubConfig { api_url, requests_per_minute_max: 0, ..GithubConfig::default() };
        let source = GithubSource::new(&config, Credentials::Token(Secret::new("t"))).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let store_config = StoreConfig { path: folder.path().join("budget.db"), ..StoreConfig::default() };
        let store: Arc<dyn Store> = Arc::new(SqlStore::open(&store_config, Arc::new(NobodyWatches)).unwrap());
        let sync = Sync::new(Arc::new(source), store, Arc::clone(&clock) as _);
        Self { github, clock, sync, _folder: folder }
    }

    /// Syncs `count` times, a quarter of an hour apart, with `changing` repositories changed before each.
    async fn syncs(&self, count: u32, changing: usize, pace: &SyncConfig) -> Spent {
        let before = *self.github.spent.lock().unwrap();
        let began = Instant::now();
        for _ in 0..count {
            self.clock.advance(TimeDelta::minutes(INTERVAL_MINUTES.try_into().unwrap()));
            self.github.change(changing, self.clock.now());
            let report = self.sync.run_once(pace, |_| true).await;
            assert!(report.went_through(), "{report:?}");
        }
        let after = *self.github.spent.lock().unwrap();
        Spent {
            trips: after.trips - before.trips,
            metered: after.metered - before.metered,
            seconds_a_sync: began.elapsed().as_secs_f64() / f64::from(count),
        }
    }
}

/// GitHub's rules for lists, over made-up repositories of one account.
struct Github {
    repos: Mutex<Repos>,
    has_changes: bool,
    spent: Mutex<Spent>,
}

struct Repos {
    /// For each repository, when each of its issues last changed.
    changed_at: Vec<Vec<DateTime<Utc>>>,
    /// Every issue of the account, oldest change first.
    order: BTreeSet<(DateTime<Utc>, usize, usize)>,
    next: usize,
}

impl Github {
    fn new(repos: usize, issues: usize, has_changes: bool, now: DateTime<Utc>) -> Self {
        // Each issue changed at a second of its own.
        let at = |place: usize| now - TimeDelta::hours(1) - TimeDelta::seconds(place.try_into().unwrap());
        let changed_at = (0..repos).map(|repo| (0..issues).map(|issue| at(repo * issues + issue)).collect());
        let changed_at: Vec<Vec<_>> = changed_at.collect();
        let order = changed_at.iter().enumerate();
        let order = order.flat_map(|(repo, times)| times.iter().enumerate().map(move |(issue, at)| (*at, repo, issue)));
        let repos = Repos { order: order.collect(), changed_at, next: 0 };
        Self { repos: Mutex::new(repos), has_changes, spent: Mutex::default() }
    }

    /// Changes one issue in each of the next `count` repositories.
    fn change(&self, count: usize, now: DateTime<Utc>) {
        let mut repos = self.repos.lock().unwrap();
        for step in 0..count {
            // A stride that meets every repository, and leaves the pages of the list apart.
            let repo = (repos.next + step * 7_919) % repos.changed_at.len();
            let issue = step % repos.changed_at[repo].len();
            let before = std::mem::replace(&mut repos.changed_at[repo][issue], now);
            repos.order.remove(&(before, repo, issue));
            repos.order.insert((now, repo, issue));
        }
        repos.next += count * 7_919;
    }

    /// The rows of a page, and whether another one follows.
    fn page(&self, path: &str, page: usize) -> Option<(Vec<Value>, bool)> {
        let repos = self.repos.lock().unwrap();
        let skip = (page - 1) * PAGE_ROW_COUNT;
        let cut = |mut rows: Vec<Value>| {
            let more = rows.len() > PAGE_ROW_COUNT;
            rows.truncate(PAGE_ROW_COUNT);
            (rows, more)
        };
        match path {
            // As GitHub's, a row holds when the repository last changed.
            "/user/repos" => Some(cut((skip..repos.changed_at.len().min(skip + PAGE_ROW_COUNT + 1))
                .map(|repo| json!({ "full_name": name(repo), "updated_at": repos.changed_at[repo].iter().max() }))
                .collect())),
            "/issues" if self.has_changes => Some(cut(repos
                .order
                .iter()
                .rev()
                .skip(skip)
                .take(PAGE_ROW_COUNT + 1)
                .map(|(at, repo, issue)| row(*repo, *issue, *at))
                .collect())),
            path => {
                let repo: usize = path.strip_prefix("/repos/acme/r")?.strip_suffix("/issues")?.parse().ok()?;
                let mut times: Vec<_> = repos.changed_at[repo].iter().copied().enumerate().collect();
                times.sort_by_key(|(_, at)| std::cmp::Reverse(*at));
                let times = times.into_iter().skip(skip).take(PAGE_ROW_COUNT + 1);
                Some(cut(times.map(|(issue, at)| row(repo, issue, at)).collect()))
            }
        }
    }
}

fn name(repo: usize) -> String {
    format!("acme/r{repo}")
}

fn row(repo: usize, issue: usize, at: DateTime<Utc>) -> Value {
    let at = at.to_rfc3339_opts(SecondsFormat::Secs, true);
    json!({
        "number": issue + 1, "title": "Something is broken", "state": "open", "user": { "login": "ann" },
        "created_at": "2026-01-01T00:00:00Z", "updated_at": at,
        "repository_url": format!("https://api.example/repos/{}", name(repo)),
    })
}

async fn answer(State(github): State<Arc<Github>>, uri: Uri, headers: HeaderMap) -> Response {
    github.spent.lock().unwrap().trips += 1;
    let query = uri.query().unwrap_or_default();
    let page = query.split('&').find_map(|part| part.strip_prefix("page=")).map_or(1, |page| page.parse().unwrap());
    let Some((rows, more)) = github.page(uri.path(), page) else {
        github.spent.lock().unwrap().metered += 1;
        return StatusCode::NOT_FOUND.into_response();
    };
    let body = Value::from(rows).to_string();
    let mut hasher = DefaultHasher::new();
    (uri.to_string(), &body).hash(&mut hasher);
    let etag = format!("\"{:x}\"", hasher.finish());
    if headers.get(header::IF_NONE_MATCH).is_some_and(|tag| tag == etag.as_str()) {
        return (StatusCode::NOT_MODIFIED, [(header::ETAG, etag)]).into_response();
    }
    github.spent.lock().unwrap().metered += 1;
    let rest: Vec<_> = query.split('&').filter(|part| !part.starts_with("page=")).collect();
    let next = format!("<{}?{}&page={}>; rel=\"next\"", uri.path(), rest.join("&"), page + 1);
    let mut response =
        ([(header::ETAG, etag), (header::CONTENT_TYPE, "application/json".into())], body).into_response();
    if more {
        response.headers_mut().insert(header::LINK, next.parse().unwrap());
    }
    response
}
