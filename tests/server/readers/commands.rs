//! Every command in the documents is run, or says why it cannot be.

use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::shell::Shell;
use crate::documents::{Block, Page, Way, pages};
use crate::harness::{Home, Server};
use crate::invented;
use crate::state::first_edition;

/// How long the newcomer's walk may take, the build not counted. The README promises it.
const WALK_MAX: Duration = Duration::from_secs(600);
/// With which GitHub would sign.
const SECRET: &str = "a-secret-for-tests";

/// The page of the newcomer, who begins with nothing.
const FIRST: &str = "README.md";

fn commands_of(page: &Page) -> Vec<Block> {
    page.blocks().into_iter().filter(Block::is_commands).collect()
}

fn is_run(block: &Block) -> bool {
    !matches!(block.way(), Way::NotRun(_))
}

/// The sample backlog under the names that the documents use, a history to replay, a database of the first edition,
/// and a server.
fn world() -> (Home, Server) {
    let backlog = include_str!("../../../examples/demo/backlog.jsonl").replace("demo/", "acme/");
    let issues: Vec<Value> = backlog.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let home = Home::new(&issues, "");
    let past: Vec<Value> =
        (1..=30).map(|n| invented::issue(n.into(), n, &["bug"][..usize::from(n % 3 == 0)])).collect();
    std::fs::write(home.path("history.jsonl"), invented::text_of(&past)).unwrap();
    std::fs::create_dir(home.path("old")).unwrap();
    first_edition(&home.path("old/issuecommand.db"), &[], &[], &[], &[]);
    let server = home.serve_with(&[("GITHUB_WEBHOOK_SECRET", SECRET)]);
    (home, server)
}

/// A member of the team asks for changes on a pull request, as GitHub tells it.
async fn review(server: &Server) {
    let pull = json!({
        "number": 40, "html_url": "https://github.com/acme/webshop/pull/40", "title": "Search ignores no accents",
        "body": "", "state": "open", "merged": false, "draft": false, "user": { "login": "ann", "type": "User" },
        "author_association": "MEMBER", "head": { "ref": "accents", "sha": "a1" }, "base": { "ref": "main" },
        "created_at": "2026-11-01T00:00:00Z", "updated_at": "2026-11-01T00:10:01Z",
    });
    let body = json!({
        "action": "submitted", "pull_request": pull,
        "review": { "id": 7, "user": { "login": "bob", "type": "User" }, "body": "and ligatures?",
            "state": "changes_requested", "submitted_at": "2026-11-01T00:06:00Z", "commit_id": "a1",
            "html_url": "https://github.com/acme/webshop/pull/40", "author_association": "MEMBER" },
        "repository": { "full_name": "acme/webshop", "id": 1, "name": "webshop", "owner": { "login": "acme" } },
    })
    .to_string();
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
    mac.update(body.as_bytes());
    let signature = format!("sha256={}", hex::encode(mac.finalize().into_bytes()));
    let request = server.client.post(format!("{}/api/webhooks/github", server.url)).body(body);
    let request = request.header("X-GitHub-Event", "pull_request_review").header("X-GitHub-Delivery", "delivery-1");
    let response = request.header("X-Hub-Signature-256", signature).send().await.unwrap();
    assert_eq!(response.status(), 202, "{}", response.text().await.unwrap());
}

/// Whether these are here; says so where they are not.
fn has_tools(names: &[&str]) -> bool {
    let missing = names.iter().find(|name| std::process::Command::new(name).arg("--version").output().is_err());
    if let Some(name) = missing {
        eprintln!("skipped: {name} is not installed, so commands of the documents were not run");
    }
    missing.is_none()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_block_of_commands_runs_as_written_or_says_why_not() {
    if !has_tools(&["bash", "curl", "jq"]) {
        return;
    }
    let mut ran = 0;
    for page in pages().iter().filter(|page| page.path != FIRST) {
        let blocks = commands_of(page);
        if !blocks.iter().any(is_run) {
            continue;
        }
        let (home, server) = world();
        // Scores come a moment behind the issues.
        server.wait_for_backlog(18).await;
        let of_one = "/api/explain?repo=acme/webshop&issue_number=8";
        server.wait_until(of_one, |body| body["explanation"]["ready_count"] == 18).await;
        let port = server.url.rsplit(':').next().unwrap().to_owned();
        // A database has one server: a page that starts its own goes on with what this one knows.
        let starts_one =
            |block: &Block| matches!(block.way(), Way::UntilEnded(_)) && block.text.starts_with("issuecommand ");
        let starts_its_own = blocks.iter().any(starts_one);
        let server = Some(server).filter(|_| !starts_its_own);
        let mut shell = Shell::open(home.root(), Some(&port));
        for block in blocks.iter().filter(|block| is_run(block)) {
            if block.way() == Way::WithReview {
                review(server.as_ref().unwrap()).await;
            }
            eprintln!("{}\n{}", block.place, tokio::task::block_in_place(|| shell.run(block)));
            ran += 1;
        }
    }
    assert!(ran > 10, "only {ran} blocks ran");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newcomers_walk_leads_from_nothing_to_the_second_agents_first_issue() {
    if !has_tools(&["bash", "curl", "git"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut shell = Shell::open(folder.path(), None);
    let pages = pages();
    let blocks = commands_of(pages.iter().find(|page| page.path == FIRST).unwrap());
    let begun = Instant::now();
    let mut told = String::new();
    for block in blocks.iter().filter(|block| is_run(block)) {
        told += &tokio::task::block_in_place(|| shell.run(block));
    }
    eprintln!("the README's commands took {:.1} s, without the build", begun.elapsed().as_secs_f64());
    assert!(begun.elapsed() < WALK_MAX, "{:?}", begun.elapsed());
    let second = blocks.iter().any(|block| block.text.contains("claimed by ben-1"));
    assert!(second && told.contains("\"agent_id\":\"cleo-1\""), "{told}");
}
