//! What `/metrics` tells: of what was asked, and of a disk in trouble.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use serde_json::{Value, json};

use super::harness::{Home, PATIENCE, Server, issue};

/// The value of a series.
fn value(told: &str, series: &str) -> Option<f64> {
    told.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' ')?.parse().ok())
}

async fn told(server: &Server) -> String {
    let answer = reqwest::get(format!("{}/metrics", server.url)).await.unwrap();
    assert_eq!(answer.status(), 200);
    let kind = answer.headers()["content-type"].to_str().unwrap().to_owned();
    assert!(kind.starts_with("application/openmetrics-text"), "{kind}");
    answer.text().await.unwrap()
}

/// Looks until a series has a value.
async fn until(server: &Server, series: &str, wanted: Option<f64>) {
    let begun = std::time::Instant::now();
    loop {
        let told = told(server).await;
        if value(&told, series) == wanted {
            return;
        }
        assert!(begun.elapsed() < PATIENCE, "{series} never was {wanted:?}: {told}");
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_asked_is_counted() {
    let issues: Vec<Value> = (1..=20).map(|number| issue("acme/small", number, &["bug"])).collect();
    let home = Home::new(&issues, "");
    let server = home.serve();
    server.wait_for_backlog(20).await;
    let mut got = 0;
    for nth in 0..25 {
        let (status, body) = server.next(&format!("agent-{nth}")).await;
        assert_eq!(status, if got < 20 { 200 } else { 409 }, "{body}");
        got += u32::from(body["claim"].is_object());
    }
    assert_eq!(got, 20);
    let told = told(&server).await;
    assert!(told.ends_with("# EOF\n"), "{told}");
    let sum_of = |prefix: &str| -> f64 {
        let lines = told.lines().filter(|line| line.starts_with(prefix));
        lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    };
    assert_eq!(sum_of("issuecommand_calls_total{call=\"next\""), 25.0, "{told}");
    for (series, wanted) in [
        ("issuecommand_call_seconds_count{call=\"next\"}", 25.0),
        ("issuecommand_claims_active", 20.0),
        ("issuecommand_claims_granted", 20.0),
        ("issuecommand_agents_active", 20.0),
        ("issuecommand_open_issues", 20.0),
        ("issuecommand_claims{status=\"claimed\"}", 20.0),
        ("issuecommand_claims{status=\"stale\"}", 0.0),
        ("issuecommand_claims_stale", 0.0),
        ("issuecommand_syncs_total{outcome=\"whole\"}", 1.0),
        ("issuecommand_syncs_total{outcome=\"failed\"}", 0.0),
        ("issuecommand_dispatch_attempts_total{outcome=\"completed\"}", 0.0),
        ("issuecommand_state{state=\"ready\"}", 1.0),
        ("issuecommand_state{state=\"degraded\"}", 0.0),
        ("issuecommand_role{role=\"sync\"}", 1.0),
        ("issuecommand_dispatch_runs{status=\"queued\"}", 0.0),
        ("issuecommand_store_failures_total", 0.0),
    ] {
        assert_eq!(value(&told, series), Some(wanted), "{series} of\n{told}");
    }
    let chosen = value(
        &told,
        "issuecommand_policy_call_seconds_count{policy=\"ranker\",function=\"choose\",purpose=\"serving\"}",
    );
    assert!(chosen.is_some_and(|count| count >= 20.0), "{told}");
    assert!(value(&told, "issuecommand_sync_age_seconds").is_some(), "{told}");
    assert!(value(&told, "issuecommand_store_writes_total").is_some_and(|count| count >= 20.0), "{told}");
    assert!(value(&told, "issuecommand_store_commit_seconds_count").is_some_and(|count| count >= 20.0), "{told}");
    assert!(server.stop());
}

/// What one agent asked, and what it heard.
#[derive(Debug, Default)]
struct Tally {
    /// Calls by name and status.
    calls: BTreeMap<(&'static str, u16), u64>,
    granted: u64,
    seconds: f64,
}

impl Tally {
    async fn ask(&mut self, server: &Server, name: &'static str, method: &str, path: &str, body: Value) -> Value {
        let asked = std::time::Instant::now();
        let (status, body) = server.send(method, path, body).await;
        self.seconds += asked.elapsed().as_secs_f64();
        *self.calls.entry((name, status)).or_default() += 1;
        body
    }

    fn add(&mut self, other: Self) {
        other.calls.into_iter().for_each(|(call, count)| *self.calls.entry(call).or_default() += count);
        (self.granted, self.seconds) = (self.granted + other.granted, self.seconds + other.seconds);
    }
}

/// Asks `rounds` times for work and gives it back, as any agent.
async fn work(server: Arc<Server>, agent: String, rounds: usize) -> Tally {
    let mut tally = Tally::default();
    for _ in 0..rounds {
        let got = tally.ask(&server, "next", "POST", "/api/next", json!({ "agent_id": agent })).await;
        let Some(claim) = got["claim"]["claim_id"].as_str() else { continue };
        tally.granted += 1;
        let path = format!("/api/claims/{claim}");
        tally.ask(&server, "update", "PATCH", &path, json!({ "agent_id": agent, "status": "in_progress" })).await;
        tally.ask(&server, "claims", "GET", "/api/claims", Value::Null).await;
        tally.ask(&server, "release", "DELETE", &path, json!({ "agent_id": agent })).await;
    }
    tally
}

#[tokio::test(flavor = "multi_thread")]
async fn under_load_it_counts_what_its_clients_count() {
    // Fewer issues than agents, so that some ask in vain.
    let issues: Vec<Value> = (1..=24).map(|number| issue("acme/small", number, &["bug"])).collect();
    let home = Home::new(&issues, "");
    let server = Arc::new(home.serve());
    server.wait_for_backlog(24).await;
    let agents = (0..32).map(|nth| tokio::spawn(work(Arc::clone(&server), format!("agent-{nth}"), 20)));
    let mut tally = Tally::default();
    for agent in agents.collect::<Vec<_>>() {
        tally.add(agent.await.unwrap());
    }
    let told = told(&server).await;
    let asked: u64 = tally.calls.values().sum();
    assert!(asked >= 1500 && tally.granted >= 100, "{tally:?}");
    for ((call, status), count) in &tally.calls {
        let series = format!("issuecommand_calls_total{{call=\"{call}\",status=\"{status}\"}}");
        assert_eq!(value(&told, &series), Some(*count as f64), "{series}: {tally:?}\n{told}");
    }
    let statuses_of = |name: &str| {
        let lines = told.lines().filter(|line| line.starts_with(&format!("issuecommand_calls_total{{call=\"{name}\"")));
        lines.count()
    };
    for name in ["next", "update", "claims", "release"] {
        let of_name = || tally.calls.iter().filter(|((call, _), _)| *call == name);
        let count = value(&told, &format!("issuecommand_call_seconds_count{{call=\"{name}\"}}"));
        assert_eq!(count, Some(of_name().map(|(_, count)| *count).sum::<u64>() as f64), "{name}: {told}");
        assert_eq!(statuses_of(name), of_name().count(), "no answer but those that were heard: {told}");
    }
    // The server's part of what clients waited is less than the whole.
    let sum = |name: &str| value(&told, &format!("issuecommand_call_seconds_sum{{call=\"{name}\"}}"));
    let spent: f64 = ["next", "update", "claims", "release"].into_iter().filter_map(sum).sum();
    assert!(spent > 0.0 && spent < tally.seconds, "{spent} of {}", tally.seconds);
    assert_eq!(value(&told, "issuecommand_claims_granted"), Some(tally.granted as f64));
    assert_eq!(value(&told, "issuecommand_claims{status=\"claimed\"}"), Some(0.0));
    // A grant, an update and a release are one write each, at least.
    let writes = value(&told, "issuecommand_store_writes_total");
    assert!(writes.is_some_and(|writes| writes >= 3.0 * tally.granted as f64), "{writes:?}");
    assert!(Arc::into_inner(server).unwrap().stop());
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_need_the_key_where_there_is_one() {
    let home = Home::new(&[], "");
    let server = home.serve_with(&[("API_KEY", "the-key")]);
    let ask = |key: &'static str| reqwest::Client::new().get(format!("{}/metrics", server.url)).bearer_auth(key).send();
    assert_eq!(ask("another-key").await.unwrap().status(), 401);
    let told = ask("the-key").await.unwrap().text().await.unwrap();
    let built = issuecommand::build_info::VERSION_AND_BUILD;
    let (version, build) = built.strip_suffix(')').unwrap().split_once(" (").unwrap();
    assert!(build.contains(std::env::consts::ARCH), "{build}");
    let info = format!("issuecommand_build_info{{version=\"{version}\",build=\"{build}\"}} 1");
    assert!(told.contains(&info), "{told}");
    assert_eq!(super::commands::told(&home, &["--version"], &[]), format!("issuecommand {built}\n"));
    assert!(server.stop());
}

/// The library that brings a disk into trouble, if a C compiler for it is here.
fn trouble() -> Option<PathBuf> {
    let (source, library) = ("tests/server/trouble.c", PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("trouble.so"));
    let mut compile = Command::new("cc");
    compile
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["-shared", "-fPIC", "-o"])
        .arg(&library)
        .args([source, "-ldl"]);
    if cfg!(target_os = "linux") && compile.status().is_ok_and(|status| status.success()) {
        return Some(library);
    }
    eprintln!("skipped: no C compiler here makes the library that brings a disk into trouble");
    None
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_disk_and_a_full_one_are_told_and_lose_nothing() {
    let Some(library) = trouble() else { return };
    let issues: Vec<Value> = (1..=9).map(|number| issue("acme/small", number, &[])).collect();
    let home = Home::new(&issues, "");
    let place = home.path("trouble");
    let in_trouble = |word: &str| std::fs::write(&place, word).unwrap();
    let env = [("LD_PRELOAD", library.to_str().unwrap()), ("TROUBLE", place.to_str().unwrap())];
    let server = home.serve_with(&env);
    server.wait_for_backlog(9).await;
    let claim = async |number: u64| {
        let wish = json!({ "agent_id": "a", "repo": "acme/small", "issue_number": number });
        server.send("POST", "/api/claims", wish).await
    };
    assert_eq!(claim(1).await.0, 200);

    in_trouble("slow");
    assert_eq!(claim(2).await.0, 200, "slow is not refused");
    let health = server.wait_until("/api/health", |body| body["health"]["state"] == "degraded").await;
    let why = health["health"]["degraded"][0].as_str().unwrap().to_owned();
    assert!(why.starts_with("store.slow: a write took ") && why.contains("slow"), "{health}");
    until(&server, "issuecommand_degraded{part=\"store.slow\"}", Some(1.0)).await;
    let (ready, _) = probe(&server).await;
    assert_eq!(ready, 200, "it still gives out work");
    in_trouble("none");
    until(&server, "issuecommand_degraded{part=\"store.slow\"}", None).await;

    in_trouble("full");
    let (status, body) = claim(3).await;
    assert!(status >= 500, "nothing is promised that is not on the disk: {status} {body}");
    until(&server, "issuecommand_state{state=\"live\"}", Some(1.0)).await;
    assert_eq!(probe(&server).await.0, 503);
    assert!(value(&told(&server).await, "issuecommand_store_failures_total").is_some_and(|count| count >= 1.0));
    let claims = server.get("/api/claims").await;
    assert_eq!(claims["claims"].as_array().unwrap().len(), 2, "what was refused was not announced: {claims}");
    in_trouble("none");
    until(&server, "issuecommand_state{state=\"ready\"}", Some(1.0)).await;
    assert_eq!(claim(3).await.0, 200);
    server.kill();

    // What was acknowledged is there.
    let server = home.serve();
    let claims =
        server.wait_until("/api/claims", |body| body["claims"].as_array().is_some_and(|all| all.len() == 3)).await;
    assert_eq!(claims["claims"][2]["issue_number"], 3, "{claims}");
    assert!(server.stop());
}

async fn probe(server: &Server) -> (u16, String) {
    let answer = reqwest::get(format!("{}/readyz", server.url)).await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}
