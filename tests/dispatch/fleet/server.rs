//! The program as a server that runs, and what it answers.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus};
use std::time::Instant;

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::{HOOK_SECRET, REPO};
use crate::patience::{LOOK_EVERY, PATIENCE, until};

/// A server that runs.
#[derive(Debug)]
pub struct Server {
    child: Child,
    url: String,
    log: PathBuf,
}

impl Server {
    /// Starts a command that serves, and waits until it listens or is dead. Its log has `before` bytes already.
    pub(super) async fn started(mut command: Command, log: PathBuf, before: u64) -> Self {
        let mut server = Self { child: command.spawn().unwrap(), url: String::new(), log };
        let deadline = Instant::now() + PATIENCE;
        while server.url.is_empty() && server.child.try_wait().unwrap().is_none() {
            assert!(Instant::now() < deadline, "the server does not say where it listens");
            server.url = server.address(before).unwrap_or_default();
            // A log file rings for nobody.
            tokio::time::sleep(LOOK_EVERY).await;
        }
        server
    }

    fn address(&self, from: u64) -> Option<String> {
        let log = fs::read_to_string(&self.log).ok()?;
        let (_, address) = log[usize::try_from(from).ok()?..].split_once("listening on http://")?;
        Some(format!("http://{}", address.split_whitespace().next()?.trim_end_matches('/')))
    }

    /// Where it listens.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// A call of its API; answers what it said, whatever that is.
    pub async fn call(&self, method: &str, path: &str, body: Value) -> Value {
        let request = reqwest::Client::new().request(method.parse().unwrap(), format!("{}{path}", self.url));
        let request = if body.is_null() { request } else { request.json(&body) };
        request.send().await.unwrap().json().await.unwrap()
    }

    /// The newest run on an issue, if there is one.
    pub async fn run_on(&self, number: u64) -> Option<Value> {
        let runs = self.call("GET", "/api/dispatch/runs?ended=true&limit=1000", Value::Null).await;
        let is_of = |run: &&Value| run["issue_number"] == number;
        runs["runs"].as_array().unwrap_or_else(|| panic!("{runs}")).iter().rfind(is_of).cloned()
    }

    /// Waits until the newest run on an issue has a status.
    pub async fn until_run_is(&self, number: u64, statuses: &[&str]) -> Value {
        let is_there = async || {
            let run = self.run_on(number).await?;
            statuses.iter().any(|status| run["status"] == *status).then_some(run)
        };
        until(&format!("{statuses:?} of the run on {number}"), is_there).await
    }

    /// The issues in the queue, in its order.
    pub async fn queue(&self) -> Vec<u64> {
        let queue = self.call("GET", "/api/dispatch/queue", Value::Null).await;
        let rows = queue["queue"].as_array().unwrap_or_else(|| panic!("{queue}"));
        let number = |row: &Value| row["issue"].as_str()?.rsplit_once('#')?.1.parse().ok();
        rows.iter().map(|row| number(row).unwrap()).collect()
    }

    /// Tells it what GitHub would: somebody asked for changes on a pull request who is this to the repository.
    pub async fn review(&self, id: u64, association: &str, pull: &Value, words: &str) -> Value {
        let body = json!({
            "action": "submitted", "repository": { "full_name": REPO }, "pull_request": pull,
            "review": { "id": id, "user": { "login": "bob", "type": "User" }, "body": words, "state": "changes_requested",
                "author_association": association, "commit_id": pull["head"]["sha"],
                "submitted_at": "2036-11-01T00:05:00Z" },
        });
        let body = body.to_string();
        let mut mac = Hmac::<Sha256>::new_from_slice(HOOK_SECRET.as_bytes()).unwrap();
        mac.update(body.as_bytes());
        let request = reqwest::Client::new()
            .post(format!("{}/api/webhooks/github", self.url))
            .header("content-type", "application/json")
            .header("x-github-event", "pull_request_review")
            .header("x-github-delivery", format!("delivery-{id}"))
            .header("x-hub-signature-256", format!("sha256={}", hex::encode(mac.finalize().into_bytes())));
        request.body(body).send().await.unwrap().json().await.unwrap()
    }

    /// Waits until it died by itself, as one does that a test told to.
    pub async fn until_dead(&mut self) -> ExitStatus {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "it did not die");
            // A deadline that a wait for a child has not.
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Suspends it, or lets it go on: `STOP` or `CONT`.
    pub fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &id]).status().unwrap().success());
    }

    /// Ends it as `kill -9` does.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end, and waits until it has.
    pub async fn stop(mut self) {
        self.signal("TERM");
        assert!(self.until_dead().await.success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
