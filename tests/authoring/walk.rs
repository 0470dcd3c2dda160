//! The walk of docs/policies.md, as it stands there: from an empty folder to a ranker that a running server follows.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::desk::{PATIENT, ROOT, command, failed, kept, lacks_tools, policy, succeeded};
use crate::harness::{Home, issue};

/// From an empty folder to a live ranker: no more than this, first downloads and a busy machine included.
const WALK_MAX: Duration = Duration::from_secs(300);

/// The first block of commands below this heading of the guide.
fn block(heading: &str) -> String {
    let guide = fs::read_to_string(Path::new(ROOT).join("docs/policies.md")).unwrap();
    let section = guide.split(heading).nth(1).unwrap_or_else(|| panic!("docs/policies.md has no {heading:?}"));
    let block = section.split("```sh\n").nth(1).and_then(|rest| rest.split("```").next());
    block.unwrap().to_owned()
}

/// An old issue, and a young bug: without a policy of one's own the old one comes first.
fn backlog() -> [Value; 2] {
    [issue("acme/app", 1, &[]), issue("acme/app", 2, &["bug"])]
}

/// Walks while a server runs; whether it could be walked here.
async fn walks(language: &str) -> bool {
    let home = Home::new(&backlog(), PATIENT);
    let server = home.serve();
    server.wait_for_backlog(2).await;
    let crates = format!("cp {ROOT}/Cargo.lock . && ln -s {} target", kept("target").display());
    let ours = if language == "rust" { crates.as_str() } else { ":" };
    let walk = block("## Write a policy").replace("--lang rust", &format!("--lang {language}"));
    assert!(walk.contains("cd quick-wins\n") && walk.contains(&format!("--lang {language}")), "{walk}");
    let walk = walk.replace("cd quick-wins\n", &format!("cd quick-wins\n{ours}\n"));
    let started = Instant::now();
    let output = command("bash", home.root()).args(["-euo", "pipefail", "-c", &walk]).output().unwrap();
    if lacks_tools(&output, language) {
        return false;
    }
    let text = succeeded(&output);
    assert!(text.contains("3 passed, 0 failed") && text.contains("A server would take it"), "{text}");
    // The server notices by itself. Its own default would give the oldest.
    let is_in_force = |body: &Value| body["health"]["policies"].to_string().contains("quick-wins.wasm");
    server.wait_until("/api/health", is_in_force).await;
    let (status, body) = server.next("agent-1").await;
    assert_eq!((status, &body["issue"]["number"]), (200, &Value::from(2)), "{body}");
    eprintln!("{language}: from an empty folder to a live ranker in {:.1} s", started.elapsed().as_secs_f64());
    assert!(started.elapsed() < WALK_MAX, "{:?}", started.elapsed());
    true
}

#[tokio::test(flavor = "multi_thread")]
async fn the_guides_walk_puts_a_rust_ranker_in_force_while_the_server_runs() {
    assert!(walks("rust").await);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_walk_leads_there_in_javascript() {
    walks("js").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_walk_leads_there_in_python() {
    walks("python").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_walk_leads_there_in_c() {
    walks("c").await;
}

#[test]
fn a_policy_in_c_that_asks_a_system_for_something_is_told_for_what() {
    let desk = tempfile::tempdir().unwrap();
    succeeded(&policy(desk.path(), &["new", "talker", "--lang", "c"]));
    let folder = desk.path().join("talker");
    let source = fs::read_to_string(folder.join("policy.c")).unwrap();
    let talks = source.replace("    (void)refusal;\n", "    (void)refusal;\n    printf(\"%p\\n\", settings.at);\n");
    fs::write(folder.join("policy.c"), format!("#include <stdio.h>\n{talks}")).unwrap();
    let output = policy(&folder, &["build"]);
    if lacks_tools(&output, "C") {
        return;
    }
    let text = failed(&output);
    assert!(text.contains("wasi_snapshot_preview1.fd_write") && text.contains("sdk_log"), "{text}");
    fs::write(folder.join("policy.c"), source.replace("bool policy_take", "bool policy_takes")).unwrap();
    let text = failed(&policy(&folder, &["build"]));
    assert!(text.contains("policy_take"), "{text}");
}
