//! The whole server while GitHub misbehaves: work goes on from what is known, GitHub is left in peace when
//! it asks for it, and nothing is closed or released because it could not be reached.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use issuecommand::config::{Config, ConfigSource, load};
use issuecommand::server::{Server, Start};
use serde_json::{Value, json};

use crate::standin::{Standin, TOKEN};

/// Longest wait for what must happen.
const DEADLINE: Duration = Duration::from_secs(60);
/// Open issues of alice/gui.
const ISSUE_COUNT: u64 = 12;

/// A running server over a running stand-in.
struct Site {
    standin: Standin,
    server: Server,
    base: String,
    client: reqwest::Client,
    folder: tempfile::TempDir,
    config: Mutex<Config>,
}

impl Site {
    /// Once the backlog is synced; `None` where there is no stand-in.
    async fn open() -> Option<Self> {
        let standin = tokio::task::spawn_blocking(Standin::start).await.unwrap()?;
        standin.call("POST", "/user/repos", &json!({ "name": "gui" })).await;
        for number in 1..=ISSUE_COUNT {
            let title = json!({ "title": format!("Issue {number}") });
            standin.call("POST", "/repos/alice/gui/issues", &title).await;
        }
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("issuecommand.toml");
        let text = "[server]\nport = 0\n[github]\nread_timeout_seconds = 2\n[rate_limits]\nenabled = false\n";
        std::fs::write(&file, text).unwrap();
        let env: BTreeMap<_, _> = [
            ("GITHUB_API_URL", standin.url().to_owned()),
            ("GITHUB_TOKEN", TOKEN.to_owned()),
            ("SQLITE_PATH", folder.path().join("claims.db").display().to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        let loaded = load(&ConfigSource { file: Some(file), env, dotenv: None }).unwrap();
        let config = Mutex::new(loaded.config.clone());
        let server = Server::start(Start { loaded, source: None, local: None, only: None }).await.unwrap();
        let base = format!("http://{}", server.address());
        let site = Self { standin, server, base, client: reqwest::Client::new(), folder, config };
        site.until(|health| health["last_github_sync_at"].is_string() && health["open_issues"] == ISSUE_COUNT).await;
        Some(site)
    }

    async fn send(&self, method: &str, path: &str, body: &Value) -> (u16, Value) {
        let request = self.client.request(method.parse().unwrap(), format!("{}{path}", self.base));
        let request = if body.is_null() { request } else { request.json(body) };
        let response = request.timeout(DEADLINE).send().await.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    async fn health(&self) -> Value {
        self.send("GET", "/api/health", &Value::Null).await.1["health"].clone()
    }

    async fn until(&self, holds: impl Fn(&Value) -> bool) {
        let begun = Instant::now();
        loop {
            let health = self.health().await;
            if holds(&health) {
                return;
            }
            assert!(begun.elapsed() < DEADLINE, "never came to hold: {health}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn claim(&self, agent: &str, number: u64) -> (u16, Value) {
        let body = json!({ "agent_id": agent, "repo": "alice/gui", "issue_number": number });
        self.send("POST", "/api/claims", &body).await
    }

    async fn next(&self, agent: &str) -> (u16, Value) {
        self.send("POST", "/api/next", &json!({ "agent_id": agent })).await
    }

    /// What must work whatever GitHub does: a claim, `next`, an update and a release, quickly.
    async fn works(&self, round: &str, number: u64) {
        let begun = Instant::now();
        let (status, body) = self.claim(round, number).await;
        assert_eq!(status, 200, "{round}: {body}");
        let (status, next) = self.next(&format!("{round}-next")).await;
        assert_eq!(status, 200, "{round}: {next}");
        let at = format!("/api/claims/{}", next["claim"]["claim_id"].as_str().unwrap());
        let update = json!({ "agent_id": format!("{round}-next"), "status": "in_progress" });
        assert_eq!(self.send("PATCH", &at, &update).await.0, 200, "{round}");
        let release = json!({ "agent_id": format!("{round}-next") });
        assert_eq!(self.send("DELETE", &at, &release).await.0, 200, "{round}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{round}: nobody waits for GitHub");
    }

    async fn claimed(&self) -> Vec<u64> {
        let (_, body) = self.send("GET", "/api/claims", &Value::Null).await;
        let mut numbers: Vec<_> =
            body["claims"].as_array().unwrap().iter().map(|claim| claim["issue_number"].as_u64().unwrap()).collect();
        numbers.sort_unstable();
        numbers
    }

    /// Asks for something that is read from GitHub.
    async fn details(&self, number: u64) -> (u16, Value) {
        self.send("GET", &format!("/api/issues/alice/gui/{number}"), &Value::Null).await
    }

    async fn request_count(&self) -> u64 {
        self.standin.stats().await["requests"].as_u64().unwrap()
    }

    async fn fault(&self, fault: Value) {
        self.standin.fault(&fault).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn claims_next_and_lists_ask_github_nothing() {
    let Some(site) = Site::open().await else { return };
    let milestone = json!({ "title": "v1" });
    let number = site.standin.call("POST", "/repos/alice/gui/milestones", &milestone).await["number"].clone();
    site.standin.call("PATCH", "/repos/alice/gui/issues/7", &json!({ "milestone": number })).await;
    site.until_synced().await;
    site.until_silent().await;
    site.standin.reset_stats().await;
    assert_eq!(site.claim("first", 1).await.0, 200);
    assert_eq!(site.claim("second", 1).await.0, 409, "a rejection costs nothing either");
    // By its title: GitHub's lists want a number, and are not asked.
    let (_, listed) = site.send("GET", "/api/repos/alice/gui/issues?milestone=V1", &Value::Null).await;
    assert_eq!((listed["issues"].as_array().unwrap().len(), listed["issues"][0]["number"].as_u64()), (1, Some(7)));
    let wish = json!({ "agent_id": "third", "milestone": "v1" });
    let begun = Instant::now();
    // The scores of what a sync brought come a moment behind it.
    while site.send("POST", "/api/next", &wish).await.1["issue"]["number"].as_u64() != Some(7) {
        assert!(begun.elapsed() < DEADLINE, "the issue of the milestone is never offered");
    }
    assert_eq!(site.next("fourth").await.0, 200);
    assert_eq!(site.request_count().await, 0);
    site.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn work_goes_on_whatever_github_does() {
    let Some(site) = Site::open().await else { return };
    let every = |mut fault: Value| {
        fault["path"] = json!(".*");
        fault["times"] = json!(1_000);
        fault
    };
    for (number, (round, fault)) in [
        ("bad-gateway", every(json!({ "status": 502 }))),
        ("cut", every(json!({ "reset": true }))),
        ("slow", every(json!({ "delayMs": 1_500, "status": 503 }))),
        ("gone", every(json!({ "status": 404 }))),
        ("limited", every(json!({ "status": 403, "headers": { "retry-after": "30" } }))),
    ]
    .into_iter()
    .enumerate()
    {
        site.standin.reset_stats().await;
        site.fault(fault).await;
        site.works(round, number as u64 + 1).await;
    }
    assert_eq!(site.claimed().await, [1, 2, 3, 4, 5], "nothing was closed or released");
    site.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn details_are_what_is_known_while_github_is_gone() {
    let Some(site) = Site::open().await else { return };
    site.fault(json!({ "path": ".*", "status": 502, "times": 1_000 })).await;
    let (status, body) = site.details(3).await;
    assert_eq!((status, body["issue"]["title"].as_str()), (200, Some("Issue 3")), "{body}");
    site.server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn after_a_refusal_nothing_is_sent_before_the_time_is_over() {
    for (status, headers) in [(403, json!({ "retry-after": "3" })), (429, json!({ "retry-after": "3" }))] {
        let Some(site) = Site::open().await else { return };
        site.fault(json!({ "path": ".*", "status": status, "headers": headers })).await;
        let refused_at = Instant::now();
        site.details(1).await;
        // What was under way beside it may still arrive; from then on there is silence.
        let mut count = site.request_count().await;
        let mut asked = 0;
        while refused_at.elapsed() < Duration::from_millis(2_500) {
            let (answer, body) = site.details(asked % ISSUE_COUNT + 1).await;
            assert_eq!(answer, 200, "{body}");
            site.works(&format!("quiet-{asked}"), asked % ISSUE_COUNT + 1).await;
            site.send("DELETE", &site.first_claim().await, &json!({ "agent_id": format!("quiet-{asked}") })).await;
            let now = site.request_count().await;
            assert_eq!(now, count, "{status}: a request was sent during the pause");
            count = now;
            asked += 1;
        }
        assert!(asked > 0);
        let begun = Instant::now();
        while site.request_count().await == count {
            assert!(begun.elapsed() < DEADLINE, "{status}: nothing is sent although the pause is over");
            site.details(1).await;
        }
        site.server.stop().await;
    }
}

impl Site {
    /// Makes the server sync, as an edit of what takes part does, and waits until it has; answers whether
    /// all went well.
    async fn sync(&self) -> bool {
        // One may have been under way before the edit. The next begins after it, and has ended when
        // another one begins.
        for _ in 0..2 {
            self.sync_begins().await;
        }
        !self.health().await["degraded"].to_string().contains("github: ")
    }

    async fn sync_begins(&self) {
        let count = self.listing_count().await;
        let edited = {
            let mut config = self.config.lock().unwrap();
            let settings = &mut config.policies.repo_filter.settings;
            let is_wide = settings.get("allow") == Some(&json!(["alice/*"]));
            settings.insert("allow".into(), if is_wide { json!(["alice/gui"]) } else { json!(["alice/*"]) });
            config.clone()
        };
        self.server.manager().apply_config(edited, self.folder.path()).await.unwrap();
        let begun = Instant::now();
        while self.listing_count().await <= count {
            assert!(begun.elapsed() < DEADLINE, "no sync began");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// How many syncs began.
    async fn listing_count(&self) -> u64 {
        self.standin.stats().await["byRoute"]["GET /user/repos"].as_u64().unwrap_or(0)
    }

    /// Syncs until all went well.
    async fn until_synced(&self) {
        let begun = Instant::now();
        while !self.sync().await {
            assert!(begun.elapsed() < DEADLINE, "GitHub is well, and no sync went through");
        }
    }

    /// Waits until no sync is under way: nothing was asked for half a second.
    async fn until_silent(&self) {
        let (begun, mut count, mut since) = (Instant::now(), self.request_count().await, Instant::now());
        while since.elapsed() < Duration::from_millis(500) {
            assert!(begun.elapsed() < DEADLINE, "the server never falls silent");
            tokio::time::sleep(Duration::from_millis(20)).await;
            let now = self.request_count().await;
            (count, since) = if now == count { (count, since) } else { (now, Instant::now()) };
        }
    }

    async fn first_claim(&self) -> String {
        let (_, body) = self.send("GET", "/api/claims", &Value::Null).await;
        format!("/api/claims/{}", body["claims"][0]["claim_id"].as_str().unwrap())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sync_that_meets_a_broken_github_closes_nothing_and_the_next_one_makes_up_for_it() {
    let Some(site) = Site::open().await else { return };
    for number in 1..=4 {
        assert_eq!(site.claim("keeper", number).await.0, 200);
    }
    for fault in [
        json!({ "path": "issues", "status": 404, "times": 1_000 }),
        json!({ "path": "issues", "status": 500, "times": 1_000 }),
        json!({ "path": "issues", "status": 200, "body": [], "times": 1_000 }),
        json!({ "path": ".*", "status": 200, "body": {}, "times": 1_000 }),
    ] {
        site.standin.reset_stats().await;
        site.fault(fault.clone()).await;
        site.sync().await;
        assert_eq!(site.claimed().await, [1, 2, 3, 4], "{fault}");
        // Without the fault all is well again, and the next one is noticed by itself.
        site.standin.reset_stats().await;
        site.until_synced().await;
        assert_eq!(site.claimed().await, [1, 2, 3, 4], "{fault}");
    }
    site.standin.reset_stats().await;
    site.standin.call("PATCH", "/repos/alice/gui/issues/2", &json!({ "state": "closed" })).await;
    site.until_synced().await;
    assert_eq!(site.claimed().await, [1, 3, 4]);
    site.server.stop().await;
}
