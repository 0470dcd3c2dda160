//! The whole server and a pull request that mattered to nobody while it was commented on: once an agent
//! says that it is its own, what was said before is read.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use chrono::{TimeDelta, Utc};
use issuecommand::config::{ConfigSource, load};
use issuecommand::server::{Server, Start};
use serde_json::{Value, json};
use wiremock::matchers::{header, query_param};
use wiremock::{MockServer, ResponseTemplate};

use crate::hand_made::{TOKEN, get, ok, repo_rows, row};

const PULLS: &str = "/repos/acme/small/pulls";
const DEADLINE: Duration = Duration::from_secs(30);

struct Site {
    github: MockServer,
    server: Server,
    client: reqwest::Client,
    _folder: tempfile::TempDir,
}

impl Site {
    /// A server that takes feedback on pull requests of claims only, once it knows issue 1.
    async fn open() -> Self {
        let github = MockServer::start().await;
        get("/user/repos").respond_with(ok(repo_rows(&["acme/small"]))).mount(&github).await;
        get("/repos/acme/small/issues").respond_with(ok(json!([row(1, 1)]))).mount(&github).await;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("issuecommand.toml");
        std::fs::write(&file, "[server]\nport = 0\n[follow_ups]\npulls = \"claimed\"\n").unwrap();
        let env: BTreeMap<_, _> = [
            ("GITHUB_API_URL", github.uri()),
            ("GITHUB_TOKEN", TOKEN.to_owned()),
            ("SQLITE_PATH", folder.path().join("claims.db").display().to_string()),
        ]
        .map(|(name, value)| (name.to_owned(), value))
        .into();
        let loaded = load(&ConfigSource { file: Some(file), env, dotenv: None }).unwrap();
        let server = Server::start(Start { loaded, source: None, local: None, only: None }).await.unwrap();
        let site = Self { github, server, client: reqwest::Client::new(), _folder: folder };
        let begun = Instant::now();
        while site.server.manager().health().open_issues == 0 {
            assert!(begun.elapsed() < DEADLINE, "{:?}", site.server.manager().health());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        site
    }

    async fn send(&self, method: &str, path: &str, body: Value) -> Value {
        let address = format!("http://{}{path}", self.server.address());
        let request = self.client.request(method.parse().unwrap(), address).json(&body);
        request.send().await.unwrap().json().await.unwrap()
    }

    async fn follow_ups(&self) -> Vec<Value> {
        self.send("GET", "/api/followups", json!({})).await["followups"].as_array().unwrap().clone()
    }

    /// How often GitHub was asked for this path.
    async fn asked(&self, path: &str) -> usize {
        let requests = self.github.received_requests().await.unwrap();
        requests.iter().filter(|request| request.url.path() == path).count()
    }

    /// Reads pull requests, from beginning to end.
    async fn read_pulls(&self) {
        // The reading that is under way may have begun before; the one after the next is done when a third begins.
        let (begun, before) = (Instant::now(), self.asked(PULLS).await);
        while self.asked(PULLS).await < before + 3 {
            self.server.manager().wish_sync();
            assert!(begun.elapsed() < DEADLINE, "pull requests are not read");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_said_before_an_agent_named_its_pull_request_is_read_once() {
    let site = Site::open().await;
    let wish = json!({ "agent_id": "owner", "repo": "acme/small", "issue_number": 1 });
    let claim = site.send("POST", "/api/claims", wish).await["claim"].clone();
    let (opened, said) = (Utc::now() + TimeDelta::seconds(1), Utc::now() + TimeDelta::seconds(2));
    let page = "https://github.com/acme/small/pull/7";
    let pull = json!({
        "number": 7, "title": "A pull", "body": "", "state": "open", "merged_at": null, "html_url": page,
        "head": { "ref": "anything", "sha": "abc" }, "user": { "login": "bob" }, "created_at": opened, "updated_at": said,
    });
    let comment = json!({ "id": 5, "user": { "login": "ann", "type": "User" }, "body": "Docs?", "created_at": said });
    let unchanged = get(PULLS).and(header("if-none-match", "\"p\""));
    unchanged.respond_with(ResponseTemplate::new(304)).mount(&site.github).await;
    let list = get(PULLS).and(query_param("state", "all"));
    list.respond_with(ok(json!([pull])).insert_header("etag", "\"p\"")).mount(&site.github).await;
    let nothing = || ResponseTemplate::new(200).set_body_json(json!([]));
    get(&format!("{PULLS}/7/reviews")).respond_with(nothing()).mount(&site.github).await;
    get(&format!("{PULLS}/7/comments")).respond_with(nothing()).mount(&site.github).await;
    get("/repos/acme/small/issues/7/comments").respond_with(ok(json!([comment]))).mount(&site.github).await;
    site.read_pulls().await;
    // Reviews are read for the signs of life of its claim, too.
    let feedback = format!("{PULLS}/7/comments");
    assert_eq!((site.asked(&feedback).await, site.follow_ups().await.len()), (0, 0), "it matters to nobody");

    let path = format!("/api/claims/{}", claim["claim_id"].as_str().unwrap());
    for status in ["in_progress", "pr_submitted"] {
        let step = json!({ "agent_id": "owner", "status": status, "pr_url": page });
        assert_eq!(site.send("PATCH", &path, step).await["ok"], true);
    }
    site.read_pulls().await;
    let items = site.follow_ups().await;
    assert_eq!((items.len(), &items[0]["claim_id"]), (1, &claim["claim_id"]), "{items:?}");
    assert_eq!(items[0]["reserved"]["agent_id"], "owner");
    // Said again with every heartbeat, and still the same pull request.
    site.send("PATCH", &path, json!({ "agent_id": "owner", "status": "pr_submitted", "pr_url": page })).await;
    site.read_pulls().await;
    assert_eq!((site.asked(&feedback).await, site.follow_ups().await.len()), (1, 1), "once is enough");
    site.server.stop().await;
}
