//! An edit of issuecommand.toml while agents work: it changes the next answer, or is refused with a
//! reason, and no request fails meanwhile.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use issuecommand::policy::builtin_component;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use super::commands::{complaint, told};
use super::harness::{Home, Server, issue};
use crate::cosign::Team;
use crate::workshop::{PLAIN, WASI, component};

const OLD_FIRST: &str = "";
const LABEL_FIRST: &str = r#"
[policies.ranker.settings]
tiers = [["urgent"]]
"#;

fn backlog() -> Vec<Value> {
    (1..=40).map(|number| issue("acme/small", number, if number > 20 { &["urgent"] } else { &[] })).collect()
}

/// Takes the next issue, gives it back, and answers its number: a look at the head of the order.
async fn head(server: &Server, agent: &str) -> u64 {
    let (status, body) = server.next(agent).await;
    assert_eq!(status, 200, "{body}");
    let path = format!("/api/claims/{}", body["claim"]["claim_id"].as_str().unwrap());
    let (status, answer) = server.send("DELETE", &path, json!({ "agent_id": agent })).await;
    assert_eq!(status, 200, "{answer}");
    body["issue"]["number"].as_u64().unwrap()
}

async fn wait_for_head(server: &Server, expected: u64) {
    let deadline = std::time::Instant::now() + super::harness::PATIENCE;
    while head(server, "watcher").await != expected {
        assert!(std::time::Instant::now() < deadline, "the order never changed");
    }
}

async fn rejection(server: &Server, wanted: &str) -> String {
    let names = |body: &Value| body["health"]["policies"]["rejected"].as_str().is_some_and(|why| why.contains(wanted));
    let body = server.wait_until("/api/health", names).await;
    body["health"]["policies"]["rejected"].as_str().unwrap().to_owned()
}

/// Agents at work in the background, counting what went wrong.
struct Bystanders {
    stop: Arc<AtomicBool>,
    requests: Arc<AtomicUsize>,
    work: Vec<tokio::task::JoinHandle<()>>,
}

impl Bystanders {
    fn start(server: &Arc<Server>) -> Self {
        let (stop, requests) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let work = (0..4).map(|n| {
            let (server, stop, requests) = (Arc::clone(server), Arc::clone(&stop), Arc::clone(&requests));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    head(&server, &format!("bystander-{n}")).await;
                    requests.fetch_add(1, Ordering::Relaxed);
                }
            })
        });
        let work = work.collect();
        Self { stop, requests, work }
    }

    /// Ends their work; a request that failed fails the test here.
    async fn finish(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        for work in self.work {
            work.await.expect("no request of a bystander failed");
        }
        self.requests.load(Ordering::Relaxed)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_a_restart_and_what_was_refused_is_told_of_the_server_that_runs() {
    let home = Home::new(&backlog(), OLD_FIRST);
    let server = home.serve();
    server.wait_for_backlog(40).await;
    home.configure("[mcp]\nprofile = \"full\"\n");
    let waits = |body: &Value| body["health"]["needs_restart"] == json!(["mcp.profile"]);
    let body = server.wait_until("/api/health", waits).await;
    assert_eq!(body["health"]["state"], "ready", "nothing is wrong");
    let said = told(&home, &["health"], &[]);
    assert!(said.contains("edited, and waiting for a restart: mcp.profile"), "{said}");
    home.configure("[mcp]\nprofil = \"full\"\n");
    let refused = |body: &Value| body["health"]["degraded"][0].as_str().is_some();
    let body = server.wait_until("/api/health", refused).await;
    let why = body["health"]["degraded"][0].as_str().unwrap();
    assert!(why.starts_with("configuration: ") && why.contains("mcp.profil") && !why.contains('\n'), "{why}");
    home.configure(OLD_FIRST);
    let is_well =
        |body: &Value| body["health"].get("needs_restart").is_none() && body["health"].get("degraded").is_none();
    server.wait_until("/api/health", is_well).await;
    assert!(server.stop());
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_of_the_ranker_changes_the_next_answer() {
    let home = Home::new(&backlog(), OLD_FIRST);
    let server = Arc::new(home.serve());
    server.wait_for_backlog(40).await;
    wait_for_head(&server, 1).await;
    home.configure(LABEL_FIRST);
    wait_for_head(&server, 21).await;
    home.configure(OLD_FIRST);
    wait_for_head(&server, 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_broken_edit_is_refused_by_name_and_no_request_fails_meanwhile() {
    let home = Home::new(&backlog(), LABEL_FIRST);
    let server = Arc::new(home.serve());
    server.wait_for_backlog(40).await;
    let bystanders = Bystanders::start(&server);
    wait_for_head(&server, 21).await;

    home.configure("[policies.ranker.settings\n");
    let why = rejection(&server, "issuecommand.toml").await;
    assert!(why.contains("issuecommand.toml:13"), "names the line: {why}");

    home.configure("[policies.ranker]\nsauce = \"x.wasm\"\n");
    rejection(&server, "sauce").await;

    home.configure("[policies.ranker.settings]\ntiers = 5\n");
    rejection(&server, "tiers").await;

    let faulty = spawn_blocking(|| component(&PLAIN)).await.unwrap();
    let foreign = spawn_blocking(|| component(&WASI)).await.unwrap();
    std::fs::write(home.path("faulty.wasm"), &faulty).unwrap();
    std::fs::write(home.path("foreign.wasm"), foreign).unwrap();
    std::fs::write(home.path("broken.wasm"), &faulty[..faulty.len() / 2]).unwrap();
    for (component, fault, named) in [
        ("broken", "", "broken.wasm"),
        ("foreign", "", "wasi:clocks/wall-clock"),
        ("faulty", "loop", "took longer than 2000 ms"),
        ("faulty", "allocate", "memory"),
        ("faulty", "panic", "full of bees"),
    ] {
        let settings = format!("[policies.ranker.settings]\nat = \"score\"\ndo = \"{fault}\"\n");
        // Bounds far apart, so that a busy machine does not hit the other one first.
        let bounds = "[policies]\nmemory_bytes_max = 16777216\ncall_ms_max = 2000\n";
        home.configure(&format!("{bounds}[policies.ranker]\nsource = \"{component}.wasm\"\n\n{settings}"));
        let why = rejection(&server, &format!("{component}.wasm")).await;
        let why = if why.contains(named) { why } else { rejection(&server, named).await };
        assert!(why.contains("policies.ranker"), "names the part: {why}");
    }
    wait_for_head(&server, 21).await;

    home.configure(OLD_FIRST);
    let well = |body: &Value| body["health"]["policies"]["rejected"].is_null();
    server.wait_until("/api/health", well).await;
    wait_for_head(&server, 1).await;
    assert!(bystanders.finish().await > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_ranker_that_must_be_signed_waits_for_its_signature() {
    let home = Home::new(&backlog(), OLD_FIRST);
    let server = Arc::new(home.serve());
    server.wait_for_backlog(40).await;
    let bystanders = Bystanders::start(&server);
    wait_for_head(&server, 1).await;

    let (team, rules) = (Team::new(), builtin_component("rules").unwrap());
    std::fs::write(home.path("team.pub"), team.public_key()).unwrap();
    std::fs::write(home.path("ours.wasm"), rules).unwrap();
    let signed = "[policies.ranker]\nsource = \"ours.wasm\"\nsigned_by = { key = \"team.pub\" }\n";
    home.configure(&format!("{signed}{LABEL_FIRST}"));
    let why = rejection(&server, "ours.wasm.sigstore.json").await;
    assert!(why.contains("it must be signed by the key team.pub, but there is no "), "{why}");
    assert!(head(&server, "watcher").await <= 20, "what was in force stays so");
    std::fs::write(home.path("ours.wasm.sigstore.json"), team.sign_blob(rules)).unwrap();
    wait_for_head(&server, 21).await;

    // Another component in its place, by whoever can write to the folder.
    std::fs::write(home.path("ours.wasm"), builtin_component("conflict-aware").unwrap()).unwrap();
    rejection(&server, "its signature is of something else").await;
    assert!(head(&server, "watcher").await > 20, "what was in force stays so");
    assert!(bystanders.finish().await > 0);
}

/// Waits until the log holds `line`; all of it.
async fn logged(home: &Home, line: &str) -> String {
    let deadline = std::time::Instant::now() + super::harness::PATIENCE;
    loop {
        let log = std::fs::read_to_string(home.path("server.log")).unwrap_or_default();
        if log.contains(line) {
            return log;
        }
        assert!(std::time::Instant::now() < deadline, "{line:?} is not in the log:\n{log}");
        // The log is a file, and nothing says that it grew.
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_log_says_that_policies_are_in_force_only_where_they_are() {
    let bytes = tokio::task::spawn_blocking(|| component(&PLAIN)).await.unwrap();
    let log = "[log]\nfile = \"server.log\"\n";
    let home = Home::new(&[issue("acme/trigger", 1, &[])], "");
    let server = home.serve();
    server.wait_for_backlog(1).await;
    assert!(server.stop());
    std::fs::write(home.path("faulty.wasm"), bytes).unwrap();
    let faulty = "[policies.repo_filter]\nsource = \"faulty.wasm\"\nsettings = { at = \"exclude\", do = \"panic\" }\n";
    home.configure(&format!("{log}[policies]\ncall_ms_max = 5000\n{faulty}"));
    let server = home.serve();
    let start = logged(&home, "listening on").await;
    assert!(start.contains("the repository filter failed, nothing is admitted"), "{start}");
    assert!(!start.contains("policies in force"), "{start}");
    home.configure(log);
    server.wait_until("/api/health", |body| body["health"]["policies"]["rejected"].is_null()).await;
    logged(&home, "policies in force").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_start_says_what_is_missing_and_what_stands_in_and_the_log_what_decides() {
    let log = "[log]\nfile = \"server.log\"\n";
    let missing = "[policies.ranker]\nsource = \"missing.wasm\"\n";
    let home = Home::new(&backlog(), &format!("{log}{missing}"));
    let server = Arc::new(home.serve());
    let start = logged(&home, "listening on").await;
    let line = "policy refused, the server starts, and the built-in one stands in for it: [policies.ranker] \"missing.wasm\" was not loaded: there is no such file";
    assert!(start.contains(line), "{start}");
    let sets = |body: &Value| body["sets"][0]["ranker"]["source"] == "builtin:rules";
    server.wait_until("/api/policies/history", sets).await;
    // As long as none was accepted, no set was in force that could stay.
    home.configure(&format!("{log}{}", missing.replace("missing", "absent")));
    let line = "policy refused, what the server started with stays, built-in where one was refused then: ";
    let told_so_far = logged(&home, line).await;
    assert_eq!(told_so_far.matches("missing.wasm").count(), 1, "once, though it is looked at again: {told_so_far}");
    for untrue in ["another file already", "last good"] {
        assert!(!told_so_far.contains(untrue), "{untrue}: {told_so_far}");
    }
    let decides = told_so_far.lines().find(|line| line.contains("policies in force")).unwrap();
    for part in ["ranker=builtin:rules digest=", " settings=", "builtin:lease-timeouts ", "builtin:allow-list "] {
        assert!(decides.contains(part), "{part}: {decides}");
    }
    let shown = told(&home, &["policy", "show"], &[]);
    let rule = shown.lines().find(|line| line.starts_with("stale rule")).unwrap();
    assert!(rule.ends_with("{\"auto_release_minutes\":0,\"claim_timeout_minutes\":120}"), "{shown}");

    // From the first accepted set on there is a last good one.
    home.configure(&format!("{log}{LABEL_FIRST}[policies.repo_filter.settings]\nallow = [\"acme/*\"]\n"));
    server.wait_until("/api/health", |body| body["health"]["policies"]["rejected"].is_null()).await;
    let shown = told(&home, &["policy", "show"], &[]);
    let filter = shown.lines().find(|line| line.starts_with("repo filter")).unwrap();
    assert!(filter.ends_with("{\"allow\":[\"acme/*\"]}"), "{shown}");
    home.configure(&format!("{log}{missing}"));
    logged(&home, "policy refused, the last good set stays in force: ").await;
    std::fs::create_dir(home.path("quick-wins")).unwrap();
    std::fs::write(home.path("quick-wins/quick-wins.wasm"), builtin_component("rules").unwrap()).unwrap();
    home.configure(&format!("{log}[policies.ranker]\nsource = \"quick-wins\"\n"));
    let why = rejection(&server, "it is a folder").await;
    assert!(why.ends_with("it is a folder: name the component in it, quick-wins/quick-wins.wasm"), "{why}");
    drop(server);

    home.configure("[policies.repo_filter]\nsource = \"missing.wasm\"\n");
    let refused = complaint(&home, &["serve"], &[]);
    let why = "error: the server does not start, for nothing can stand in for a policy that was refused: [policies.repo_filter] \"missing.wasm\" was not loaded: there is no such file";
    assert!(refused.lines().any(|line| line.starts_with(why)), "{refused}");
}
