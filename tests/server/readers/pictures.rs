//! The pictures in the documents: taken of a real server in a real browser, over the sample backlog.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use crate::browser::Browser;
use crate::documents::{ROOT, pages};
use crate::harness::{Home, Server};

/// Small enough to be fetched with a page without a thought.
const BYTES_MAX: u64 = 150 * 1000;
/// What a file of this kind begins with.
const PNG: &[u8] = b"\x89PNG\r\n\x1a\n";

/// A ranker whose scores are worth a look.
const RULES: &str = r#"[policies.ranker.settings]
tiers = [["p0"], ["p1"]]
rules = [
  { field = "label", op = "is", value = "security", weight = 8 },
  { field = "label", op = "is", value = "bug", weight = 5 },
]
aging = { points_per_day = 0.05, max_points = 10 }
"#;

/// A server at which five agents work, each at another step.
async fn at_work(home: &Home) -> Server {
    let server = home.serve();
    server.wait_for_backlog(18).await;
    let agents = ["ada-1", "ben-1", "claude-1", "codex-1", "opencode-1"];
    for (steps, agent) in agents.iter().enumerate() {
        let (status, body) = server.next(agent).await;
        assert_eq!(status, 200, "{body}");
        let claim = &body["claim"];
        let at = format!("/api/claims/{}", claim["claim_id"].as_str().unwrap());
        let pull = format!("https://github.com/{}/pull/{}", claim["repo"].as_str().unwrap(), 30 + steps);
        let reports = [json!({ "status": "in_progress" }), json!({ "status": "pr_submitted", "pr_url": pull })];
        for mut report in reports.into_iter().take(steps.min(4) / 2) {
            report["agent_id"] = json!(agent);
            let (status, body) = server.send("PATCH", &at, report).await;
            assert_eq!(status, 200, "{body}");
        }
    }
    server
}

fn folder() -> PathBuf {
    Path::new(ROOT).join("docs/pictures")
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes the pictures of the documents anew: cargo test --test server -- --ignored pictures_are_taken"]
async fn pictures_are_taken() {
    let Some(browser) = Browser::open().await else { return };
    let backlog = include_str!("../../../examples/demo/backlog.jsonl");
    let issues: Vec<Value> = backlog.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let home = Home::new(&issues, RULES);
    let server = at_work(&home).await;
    browser.prefer("light").await;
    for (page, height, words) in [("board", 740, "5 claims under way"), ("queue", 900, "demo/payments#6")] {
        browser.resize(1180, height).await;
        browser.go(&format!("{}/{}", server.url, if page == "board" { "" } else { page })).await;
        browser.wait_for_text(words).await;
        fs::create_dir_all(folder()).unwrap();
        fs::copy(browser.picture(page).await, folder().join(format!("{page}.png"))).unwrap();
    }
}

#[test]
fn every_picture_is_small_shown_somewhere_and_told_in_words() {
    let pages = pages();
    for entry in fs::read_dir(folder()).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        assert!(fs::read(entry.path()).unwrap().starts_with(PNG), "{name} is no PNG");
        assert!(entry.metadata().unwrap().len() < BYTES_MAX, "{name} is larger than {BYTES_MAX} bytes");
        let shown = pages.iter().find_map(|page| page.text.split_once(&format!("pictures/{name})")));
        let (before, _) = shown.unwrap_or_else(|| panic!("no page shows {name}"));
        let words = before.rsplit("![").next().unwrap().split("](").next().unwrap();
        assert!(words.len() > 20, "{name} is not told in words: {words:?}");
    }
}
