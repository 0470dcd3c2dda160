//! Several servers of one PostgreSQL database, as those behind a load balancer. Skipped, and said so, where the machine
//! has no PostgreSQL.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::harness::{Home, PATIENCE, Server, issue};
use super::postgres::Postgres;

/// A folder with a configuration, whose server uses the common database.
struct Place {
    home: Home,
    url: String,
}

impl Place {
    fn serve(&self) -> Server {
        self.home.serve_with(&[("DATABASE_URL", &self.url)])
    }

    /// What a command says that is run here.
    fn told(&self, arguments: &[&str]) -> String {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_issuecommand"));
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("DATABASE_URL", &self.url);
        let output =
            command.env("HOME", self.home.root()).current_dir(self.home.root()).args(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

/// Three places of one database with ten issues.
async fn places() -> Option<[Place; 3]> {
    let url = tokio::task::spawn_blocking(|| Postgres::of_this_process().map(|server| server.database()));
    let url = url.await.unwrap()?;
    let backlog: Vec<Value> = (1..=10).map(|number| issue("acme/small", number, &["bug"])).collect();
    Some([(); 3].map(|()| Place { home: Home::new(&backlog, ""), url: url.clone() }))
}

async fn knows_the_backlog(server: &Server) {
    server.wait_until("/api/health", |body| body["health"]["open_issues"] == 10).await;
}

fn roles(health: &Value) -> usize {
    health["health"]["roles"].as_array().unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_one_server_gives_out_every_server_knows() {
    let Some(places) = places().await else { return };
    let servers = places.each_ref().map(Place::serve);
    for server in &servers {
        knows_the_backlog(server).await;
    }
    let (status, got) = servers[0].next("ann").await;
    assert_eq!(status, 200, "{got}");
    let number = got["claim"]["issue_number"].as_u64().unwrap();
    // The next one, asked elsewhere at once, is another issue.
    let (_, other) = servers[1].next("bob").await;
    assert_ne!(other["claim"]["issue_number"].as_u64().unwrap(), number);
    // A rival hears who has it, and the owner is known everywhere.
    let wish = json!({ "agent_id": "cid", "repo": "acme/small", "issue_number": number });
    let (status, refused) = servers[2].send("POST", "/api/claims", wish).await;
    assert_eq!((status, refused["owner_agent_id"].as_str()), (409, Some("ann")), "{refused}");
    let claim = format!("/api/claims/{}", got["claim"]["claim_id"].as_str().unwrap());
    let done = json!({ "agent_id": "ann", "status": "in_progress" });
    assert_eq!(servers[2].send("PATCH", &claim, done).await.0, 200);
    for server in &servers {
        let is_at_work = |body: &Value| body["claims"].to_string().contains("in_progress");
        server.wait_until("/api/claims", is_at_work).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_of_one_server_says_that_others_keep_their_own_policies() {
    let Some(places) = places().await else { return };
    let first = places[0].serve();
    let page = async || first.client.get(format!("{}/policies", first.url)).send().await.unwrap().text().await.unwrap();
    assert!(!page().await.contains("of this database beside this one"), "it is alone");
    let _second = places[1].serve();
    let both = page().await;
    assert!(both.contains("1 other server of this database beside this one"), "{both}");
    assert!(both.contains("edits the issuecommand.toml of this server only"), "{both}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_roles_of_a_server_that_is_killed_go_to_another() {
    let Some(places) = places().await else { return };
    let first = places[0].serve();
    knows_the_backlog(&first).await;
    let second = places[1].serve();
    knows_the_backlog(&second).await;
    assert_eq!(roles(&first.get("/api/health").await), 3);
    assert_eq!(roles(&second.get("/api/health").await), 0, "one at a time");
    first.kill();
    second.wait_until("/api/health", |health| roles(health) == 3).await;
    // One that ends in peace leaves them at once.
    let third = places[2].serve();
    let begun = Instant::now();
    assert!(second.stop());
    third.wait_until("/api/health", |health| roles(health) == 3).await;
    assert!(begun.elapsed() < Duration::from_secs(14), "it did not have to wait for a lease to end");
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_find_the_server_of_their_folder_and_else_the_database() {
    let Some(places) = places().await else { return };
    let server = places[0].serve();
    knows_the_backlog(&server).await;
    let (_, got) = server.next("ann").await;
    let number = got["claim"]["issue_number"].as_u64().unwrap();
    // No server runs in this folder: the command goes to the database itself, and the server elsewhere hears of it.
    places[1].told(&["reassign", &format!("acme/small#{number}"), "--to", "bob"]);
    server.wait_until("/api/claims?agent_id=bob", |body| body["claims"].as_array().unwrap().len() == 1).await;
    // Here one does.
    places[0].told(&["release", &format!("acme/small#{number}"), "--note", "stuck"]);
    server.wait_until("/api/claims", |body| body["claims"].as_array().unwrap().is_empty()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_its_database_a_server_is_not_ready_and_with_it_again_it_is() {
    let started = tokio::task::spawn_blocking(|| Postgres::start().map(|own| (own.database(), own)));
    let Some((url, own)) = started.await.unwrap() else { return };
    let place = Place { home: Home::new(&[issue("acme/small", 1, &[])], ""), url };
    let server = place.serve();
    let ready = async || {
        let answer = reqwest::get(format!("{}/readyz", server.url)).await.unwrap();
        (answer.status().as_u16(), answer.text().await.unwrap())
    };
    let until = async |status: u16| {
        let deadline = Instant::now() + PATIENCE;
        while ready().await.0 != status {
            assert!(Instant::now() < deadline, "{:?} {}", ready().await, server.get("/api/health").await);
            // A page rings for nobody.
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    until(200).await;
    server.wait_for_backlog(1).await;
    let own = tokio::task::spawn_blocking(move || {
        own.crash();
        own
    });
    let own = own.await.unwrap();
    until(503).await;
    assert_eq!(ready().await.1, "the store does not answer\n");
    assert_eq!(reqwest::get(format!("{}/livez", server.url)).await.unwrap().status(), 200);
    let (status, answer) = server.next("ann").await;
    assert!(status >= 500 && answer.to_string().contains("store"), "{status} {answer}");
    let recovered = tokio::task::spawn_blocking(move || {
        own.recover();
        own
    });
    let _own = recovered.await.unwrap();
    until(200).await;
}
