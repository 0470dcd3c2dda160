#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use chrono::TimeDelta;
use serde_json::{Value, json};
use tempfile::TempDir;
use wiremock::matchers::{header_exists, method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use super::*;
use crate::claims::order::Question;
use crate::claims::{Index, Parts, StoredBodies};
use crate::config::{ConfigSource, LiveConfig, load};
use crate::domain::{Actor, ClaimStatus, Clock, IssueRef, ManualClock, Step};
use crate::github::{Credentials, GithubSource, IssueSource};
use crate::policy::{BodySource, PolicyHost, Shortlisted, ViewName};
use crate::store::{ClaimChange, ClaimWish, InsertOutcome, SqlStore, Store, Wanted};
use crate::sync::Sync;

const OWNERS: &str = "/repos/acme/small/contents/.github/CODEOWNERS";

/// A repository on GitHub, and a server that reads it.
struct World {
    github: MockServer,
    placing: Placing,
    sync: Sync,
    store: Arc<SqlStore>,
    clock: Arc<ManualClock>,
    _folder: TempDir,
}

impl World {
    async fn of(issues: Value) -> Self {
        let github = MockServer::start().await;
        on(&github, "/repos/acme/small", json!({ "full_name": "acme/small" })).await;
        on(&github, "/repos/acme/small/issues", issues).await;
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("issuecommand.toml"), "").unwrap();
        let file = Some(folder.path().join("issuecommand.toml"));
        let mut loaded = load(&ConfigSource { file, env: BTreeMap::new(), dotenv: None }).unwrap();
        loaded.config.store.path = folder.path().join("claims.db");
        loaded.config.github.api_url = github.uri();
        loaded.config.github.repositories = vec!["acme/small".into()];
        loaded.config.github.requests_per_minute_max = 0;

        let index = Index::empty();
        let store = Arc::new(SqlStore::open(&loaded.config.store, Arc::clone(&index) as _).unwrap());
        let source: Arc<dyn IssueSource> =
            Arc::new(GithubSource::new(&loaded.config.github, Credentials::None).unwrap());
        let clock = Arc::new(ManualClock::at("2026-11-01T00:00:00Z".parse().unwrap()));
        let parts = Parts {
            store: Arc::clone(&store) as Arc<dyn Store>,
            source: Arc::clone(&source),
            index,
            host: PolicyHost::new(None).unwrap(),
            clock: Arc::clone(&clock) as Arc<dyn Clock>,
            config: LiveConfig::new(&loaded),
            base_dir: folder.path().to_path_buf(),
        };
        let (manager, _background) = ClaimManager::open(parts).await.unwrap();
        let sync = Sync::new(source, Arc::clone(&store) as _, Arc::clone(&clock) as _);
        Self { github, placing: Placing::new(manager), sync, store, clock, _folder: folder }
    }

    /// Syncs, and places what came in.
    async fn round(&mut self) {
        let manager = Arc::clone(&self.placing.manager);
        let report = self.sync.run_once(&manager.config.current().sync, |_| true).await;
        assert!(report.went_through(), "{report:?}");
        tokio::task::spawn_blocking(move || {
            manager.desk.judge_pending();
            manager.desk.work_off();
            manager.status.synced(manager.clock.now());
        })
        .await
        .unwrap();
        self.placing.round().await.unwrap();
        let manager = Arc::clone(&self.placing.manager);
        tokio::task::spawn_blocking(move || manager.desk.work_off()).await.unwrap();
    }

    fn on_offer(&self) -> Vec<Shortlisted> {
        let board = self.placing.manager.index.board.read();
        board.shortlist(&ViewName::main(), &Question::default(), None, 32, |_| false).rows
    }

    fn place_of(&self, number: u64) -> (Vec<String>, Vec<String>) {
        let rows = self.on_offer();
        let facts = &rows.iter().find(|row| row.facts.issue.number.get() == number).unwrap().facts;
        let texts = |texts: &[Arc<str>]| texts.iter().map(ToString::to_string).collect();
        (texts(&facts.areas), texts(&facts.reviewers))
    }

    async fn asked_for(&self, part: &str) -> usize {
        let requests = self.github.received_requests().await.unwrap();
        requests.iter().filter(|request| request.url.path().contains(part)).count()
    }
}

async fn on(github: &MockServer, at: &str, body: Value) {
    let answer = ResponseTemplate::new(200).set_body_json(body).insert_header("etag", "\"v\"");
    let get = || Mock::given(method("GET")).and(path(at));
    let unchanged = ResponseTemplate::new(304);
    get().and(header_exists("if-none-match")).respond_with(unchanged).with_priority(1).mount(github).await;
    get().respond_with(answer).mount(github).await;
}

async fn owners(github: &MockServer, text: &str) {
    on(github, OWNERS, json!({ "encoding": "base64", "content": STANDARD.encode(text) })).await;
}

/// Merged pull requests with their files.
async fn merged(github: &MockServer, pulls: &[(u64, &str, &str)]) {
    let row = |(number, title, _): &(u64, &str, &str)| {
        json!({
            "number": number, "title": title, "state": "closed", "merged_at": "2026-10-01T00:00:00Z",
            "created_at": "2026-10-01T00:00:00Z", "updated_at": "2026-10-01T00:00:00Z",
        })
    };
    on(github, "/repos/acme/small/pulls", pulls.iter().map(row).collect()).await;
    for (number, _, file) in pulls {
        on(github, &format!("/repos/acme/small/pulls/{number}/files"), json!([{ "filename": file }])).await;
    }
}

fn issue(number: u64, title: &str, body: &str) -> Value {
    json!({
        "number": number, "title": title, "body": body, "state": "open", "user": { "login": "ann" }, "labels": [],
        "created_at": "2026-10-01T00:00:00Z", "updated_at": "2026-10-01T00:00:00Z",
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issue_goes_where_its_text_and_past_work_say_and_its_owners_review_it() {
    let mut world =
        World::of(json!([issue(1, "gui: peers table", ""), issue(2, "Slow start", "see `src/init.cpp:12`"),])).await;
    owners(&world.github, "*.cpp @carl\n/src/qt/ @ann @acme/gui\n").await;
    merged(&world.github, &[(50, "gui: one thing", "src/qt/a.cpp"), (51, "gui: another", "src/qt/b.cpp")]).await;
    world.round().await;
    assert_eq!(world.place_of(1), (vec!["src/qt/".into()], vec!["ann".into(), "acme/gui".into()]));
    assert_eq!(world.place_of(2), (vec!["src/init.cpp".into()], vec!["carl".into()]));
    let (files, lists) = (world.asked_for("/files").await, world.asked_for("contents").await);
    assert_eq!((files, lists), (2, 1));

    // Once is enough, until a day is over; then by the tag.
    world.clock.advance(TimeDelta::hours(1));
    world.round().await;
    assert_eq!((world.asked_for("/files").await, world.asked_for("contents").await), (2, 1));
    world.clock.advance(TimeDelta::hours(24));
    world.round().await;
    assert_eq!((world.asked_for("/files").await, world.asked_for("contents").await), (2, 2));
    assert_eq!(world.place_of(1).1, ["ann", "acme/gui"], "an owners file that did not change is still known");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_without_owners_is_asked_in_the_three_places_and_nobody_reviews() {
    let mut world = World::of(json!([issue(1, "Slow", "in src/init.cpp")])).await;
    merged(&world.github, &[]).await;
    world.round().await;
    assert_eq!(world.place_of(1), (vec!["src/init.cpp".into()], vec![]));
    assert_eq!(world.asked_for("contents").await, 3);
    assert_eq!(world.on_offer()[0].reviewer_load, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_least_busy_reviewers_load_grows_with_a_pull_request_and_falls_with_its_end() {
    let mut world =
        World::of(json!([issue(1, "a", "src/a.c"), issue(2, "b", "src/b.c"), issue(3, "c", "lib/c.c")])).await;
    owners(&world.github, "/src/ @ann\n/lib/ @ann @bob\n").await;
    merged(&world.github, &[]).await;
    world.round().await;
    let loads = |world: &World| -> BTreeMap<u64, u32> {
        world.on_offer().iter().map(|row| (row.facts.issue.number.get(), row.reviewer_load)).collect()
    };
    assert_eq!(loads(&world), BTreeMap::from([(1, 0), (2, 0), (3, 0)]));
    let now = world.clock.now();
    let wish = ClaimWish {
        agent: "a1".parse().unwrap(),
        wanted: Wanted::Exactly("acme/small#1".parse().unwrap()),
        request_id: None,
        lease: TimeDelta::minutes(120),
        decision: None,
        now,
    };
    let InsertOutcome::Granted(granted) = world.store.claim_insert(wish).await.unwrap() else { panic!() };
    let step = async |to| {
        let step = Step { pr_url: Some("https://x/pull/1".into()), ..Step::to(to, Actor::Owner) };
        let claim_id = granted.claim.claim_id;
        let lease = TimeDelta::minutes(120);
        let change = ClaimChange { claim_id, owner: None, epoch: None, last_updated: None, step, lease, now };
        world.store.claim_advance(change).await.unwrap();
    };
    step(ClaimStatus::InProgress).await;
    assert_eq!(loads(&world), BTreeMap::from([(2, 0), (3, 0)]), "nobody is asked yet");
    step(ClaimStatus::PrSubmitted).await;
    assert_eq!(loads(&world), BTreeMap::from([(2, 1), (3, 0)]), "bob is free");
    step(ClaimStatus::Released).await;
    assert_eq!(loads(&world), BTreeMap::from([(1, 0), (2, 0), (3, 0)]));
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_read_the_texts_that_the_store_has() {
    let mut world = World::of(json!([issue(1, "a", "what it is about"), issue(2, "b", "")])).await;
    merged(&world.github, &[]).await;
    world.round().await;
    let refs: Vec<IssueRef> = ["acme/small#2", "acme/small#9", "acme/small#1"].map(|name| name.parse().unwrap()).into();
    let bodies = StoredBodies::of(Arc::clone(&world.store));
    assert_eq!(bodies.bodies(&refs), Ok(vec![String::new(), String::new(), "what it is about".into()]));
    let store = Arc::clone(&world.store);
    tokio::task::spawn_blocking(move || store.close()).await.unwrap();
    assert!(bodies.bodies(&refs).is_err(), "a closed store says so");
}
