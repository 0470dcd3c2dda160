//! A large board, and many people who look at it: what a browser needs to paint it, and what claims cost beside a hundred
//! open dashboards. It measures and prints; `cargo test --release --test server crowd -- --ignored --nocapture`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use hdrhistogram::Histogram;
use serde_json::{Value, json};

use super::browser::Browser;
use super::harness::{Home, Server};

const ISSUE_COUNT: u64 = 20_000;
const CLAIM_COUNT: usize = 2_000;
const WATCHER_COUNT: usize = 100;
/// Claims of one measured phase, each given back.
const MEASURED_COUNT: usize = 2_000;
/// What the pages' script keeps between two looks.
const PAUSE: Duration = Duration::from_secs(1);

fn home() -> Home {
    let issue = |number: u64| {
        let repo = ["acme/small", "acme/large", "acme/old"][(number % 3) as usize];
        json!({
            "repo": repo, "number": number, "title": format!("The thing number {number} does not do what its documentation says"),
            "labels": [format!("area-{}", number % 40), "bug"], "created_at": "2026-01-01T00:00:00Z",
        })
    };
    let issues: Vec<Value> = (1..=ISSUE_COUNT).map(issue).collect();
    Home::new(&issues, "[containers]\nruntime = \"no-such-runtime\"\n")
}

/// Claims `count` issues, for as many agents.
async fn claim_many(server: &Server, count: usize) {
    let requests =
        futures_util::stream::iter((0..count).map(|n| async move { server.next(&format!("agent-{n}")).await }));
    let statuses: Vec<u16> = requests.buffer_unordered(32).map(|(status, _)| status).collect().await;
    assert!(statuses.iter().all(|status| *status == 200));
}

/// Eight agents that claim and give back, over and over; the times of their claims.
async fn load(server: &Server) -> Histogram<u64> {
    let took = parking_lot::Mutex::new(Histogram::<u64>::new(3).unwrap());
    let agents = (0..8).map(|n| {
        let took = &took;
        async move {
            let agent = format!("loader-{n}");
            for _ in 0..MEASURED_COUNT / 8 {
                let asked = Instant::now();
                let (status, got) = server.next(&agent).await;
                assert_eq!(status, 200, "{got}");
                took.lock().record(asked.elapsed().as_micros() as u64).unwrap();
                let at = format!("/api/claims/{}", got["claim"]["claim_id"].as_str().unwrap());
                let (status, body) = server.send("DELETE", &at, json!({ "agent_id": agent })).await;
                assert_eq!(status, 200, "{body}");
            }
        }
    });
    futures_util::future::join_all(agents).await;
    took.into_inner()
}

fn tell(what: &str, took: &Histogram<u64>) {
    let at = |quantile| took.value_at_quantile(quantile) as f64 / 1000.0;
    eprintln!("{what}: p50 {:.2} ms, p99 {:.2} ms, at most {:.2} ms", at(0.5), at(0.99), at(1.0));
}

/// One open dashboard: it reads the stream, and looks again when something happened, at most once a second.
async fn watch(url: String, looks: Arc<AtomicUsize>, bytes: Arc<AtomicUsize>) {
    let client = reqwest::Client::new();
    let mut events = client.get(format!("{url}/sse")).send().await.unwrap().bytes_stream();
    while events.next().await.is_some() {
        let page = client.get(&url).send().await.unwrap().bytes().await.unwrap();
        looks.fetch_add(1, Ordering::Relaxed);
        bytes.store(page.len(), Ordering::Relaxed);
        let quiet = tokio::time::sleep(PAUSE);
        tokio::pin!(quiet);
        // What happens meanwhile is seen by one look.
        while tokio::select! { () = &mut quiet => false, event = events.next() => event.is_some() } {}
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "it measures, and takes a while"]
async fn a_large_board_stays_smooth_and_a_hundred_dashboards_slow_no_claim() {
    let home = home();
    let server = home.serve();
    server.wait_for_backlog(ISSUE_COUNT as usize).await;
    claim_many(&server, CLAIM_COUNT).await;

    tell("claims, nobody looks", &load(&server).await);
    let (looks, bytes) = (Arc::<AtomicUsize>::default(), Arc::<AtomicUsize>::default());
    let watch = |_| tokio::spawn(watch(server.url.clone(), Arc::clone(&looks), Arc::clone(&bytes)));
    let watchers: Vec<_> = (0..WATCHER_COUNT).map(watch).collect();
    tokio::time::sleep(PAUSE).await;
    let (before, begun) = (looks.load(Ordering::Relaxed), Instant::now());
    tell(&format!("claims, {WATCHER_COUNT} dashboards"), &load(&server).await);
    let rate = (looks.load(Ordering::Relaxed) - before) as f64 / begun.elapsed().as_secs_f64();
    eprintln!("{rate:.0} looks a second, {} bytes each", bytes.load(Ordering::Relaxed));
    watchers.iter().for_each(tokio::task::JoinHandle::abort);

    let Some(browser) = Browser::open().await else { return };
    for page in ["/", "/claims", "/queue", "/agents"] {
        browser.go(&format!("{}{page}", server.url)).await;
        browser.wait_for("document.querySelector('#live').className == 'on'").await;
        let paint = "return performance.getEntriesByName('first-contentful-paint')[0]?.startTime";
        let nodes = "return document.querySelectorAll('*').length";
        eprintln!(
            "{page}: first paint after {:.0} ms, {} elements",
            browser.run(paint).await.as_f64().unwrap_or(-1.0),
            browser.run(nodes).await
        );
    }
    browser.go(&server.url).await;
    browser.wait_for("document.querySelector('#live').className == 'on'").await;
    browser
        .run("window.long = []; new PerformanceObserver((list) => list.getEntries().forEach((it) => window.long.push(it.duration))).observe({ type: 'longtask' })")
        .await;
    let mut seen = Histogram::<u64>::new(3).unwrap();
    for n in 0..20 {
        tokio::time::sleep(PAUSE).await;
        let (agent, wanted) = (format!("seen-{n}"), format!("{} claims under way", CLAIM_COUNT + n + 1));
        let (status, _) = server.next(&agent).await;
        assert_eq!(status, 200);
        let granted = Instant::now();
        browser.wait_for_text(&wanted).await;
        seen.record(granted.elapsed().as_micros() as u64).unwrap();
    }
    tell("from a claim's answer until it stands on the board", &seen);
    eprintln!("tasks of the page longer than 50 ms, in ms: {}", browser.run("return window.long").await);
}
