//! The image, for real: the last stage of the Containerfile around the program of this build, under podman, shut in as its
//! head says. Skipped, and said so, where podman or a Debian to put it on cannot be had.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::deploy::{folder, text};
use super::harness::{PATIENCE, issue};
use super::image::podman;

/// What the program links against, and nothing else: no shell, no package manager.
const PACKAGES: &str = "libc6,libgcc-s1";
/// The base made of them.
const BASE: &str = "localhost/issuecommand-test-glibc:latest";

/// A container, its image and its volume: gone with the test.
struct Container {
    podman: String,
    name: String,
    url: String,
    client: reqwest::Client,
}

impl Drop for Container {
    fn drop(&mut self) {
        for arguments in [
            &["rm", "--force", "--ignore", "--time=0", &self.name][..],
            &["volume", "rm", "--force", &self.name],
            &["rmi", "--force", &self.name],
        ] {
            let _ = Command::new(&self.podman).args(arguments).stdout(Stdio::null()).stderr(Stdio::null()).status();
        }
    }
}

impl Container {
    /// Runs podman, which must do it.
    fn podman(&self, arguments: &[&str]) -> String {
        told(&self.podman, arguments).unwrap_or_else(|why| panic!("{arguments:?}: {why}"))
    }

    /// Waits until `/readyz` says that it is.
    async fn wait(&self) {
        let deadline = Instant::now() + PATIENCE;
        while !matches!(self.client.get(format!("{}/readyz", self.url)).send().await, Ok(answer) if answer.status() == 200)
        {
            assert!(Instant::now() < deadline, "it never was ready: {}", self.podman(&["logs", &self.name]));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    async fn send(&self, method: &str, path: &str, body: Value) -> (u16, Value) {
        let request =
            self.client.request(method.parse().unwrap(), format!("{}{path}", self.url)).bearer_auth("the-key");
        let request = if body.is_null() { request } else { request.json(&body) };
        let answer = request.timeout(PATIENCE).send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap_or_default())
    }

    fn state(&self, of: &str) -> String {
        self.podman(&["inspect", &format!("--format={{{{.{of}}}}}"), &self.name])
    }
}

/// What a program prints, or the last line of why it fails.
fn told(program: &str, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(arguments).output().map_err(|why| format!("{program}: {why}"))?;
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim().to_owned();
    let last = |text: String| text.lines().last().unwrap_or("it failed").to_owned();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(last(text(output.stderr))) }
}

/// The base, made here if it is not there: packages laid out, no script of theirs run.
fn base(podman: &str) -> Result<(), String> {
    if told(podman, &["image", "exists", BASE]).is_ok() {
        return Ok(());
    }
    let scratch = tempfile::tempdir().map_err(|why| why.to_string())?;
    let archive = scratch.path().join("base.tar").display().to_string();
    let include = format!("--include={PACKAGES}");
    told("mmdebstrap", &["--variant=extract", &include, "bookworm", &archive])?;
    told(podman, &["import", &archive, BASE]).map(drop)
}

/// Lays out what the build stage would have made, and the last stage that takes it.
fn lay_out(place: &Path) -> io::Result<()> {
    let containerfile = text("container/Containerfile");
    let (_, last) = containerfile.rsplit_once("FROM ").expect("a last stage");
    let last = last.replace("--from=build ", "");
    fs::write(place.join("Containerfile"), format!("ARG BASE\nFROM {last}"))?;
    let root = place.join("out/tree");
    for folder in ["usr/local/bin", "etc/issuecommand"] {
        fs::create_dir_all(root.join(folder))?;
    }
    fs::create_dir_all(place.join("out/data"))?;
    fs::copy(env!("CARGO_BIN_EXE_issuecommand"), root.join("usr/local/bin/issuecommand"))?;
    fs::copy(folder().join("container/issuecommand.toml"), root.join("etc/issuecommand/issuecommand.toml"))?;
    // Without certificates nothing could be asked of GitHub, and the server would say so and end.
    let certificates = Path::new("/etc/ssl/certs/ca-certificates.crt");
    if certificates.exists() {
        fs::create_dir_all(root.join("etc/ssl/certs"))?;
        fs::copy(certificates, root.join("etc/ssl/certs/ca-certificates.crt"))?;
    }
    fs::create_dir(place.join("secrets"))?;
    fs::write(place.join("secrets/api_key"), "the-key\n")?;
    let backlog: String = (1..=3).map(|number| format!("{}\n", issue("acme/small", number, &[]))).collect();
    fs::write(place.join("backlog.jsonl"), backlog)
}

/// Builds the image and starts it; `None`, after a line that says why, where that cannot be.
fn start(place: &Path) -> Option<Container> {
    let podman = podman()?;
    if let Err(why) = base(&podman) {
        eprintln!("skipped: there is no base for the image here: {why}");
        return None;
    }
    lay_out(place).unwrap();
    let name = format!("issuecommand-test-server-{}", std::process::id());
    let mut made = Container { podman, name: name.clone(), url: String::new(), client: reqwest::Client::new() };
    let (context, tag) = (place.display().to_string(), format!("--tag={name}"));
    let file = place.join("Containerfile").display().to_string();
    made.podman(&["build", "--format=docker", "--build-arg", &format!("BASE={BASE}"), "--file", &file, &tag, &context]);
    // Issues from a file: GitHub is not for tests. All else is as the Containerfile's head has it.
    let config = place.join("issuecommand.toml");
    fs::write(&config, text("container/issuecommand.toml") + "\n[github]\nissues_file = \"/backlog.jsonl\"\n").unwrap();
    let mount = |from: &str, to: &str| format!("--volume={}:{to}:ro", place.join(from).display());
    made.podman(&[
        "run",
        "--detach",
        &format!("--name={name}"),
        "--read-only",
        "--cap-drop=all",
        "--security-opt=no-new-privileges",
        "--user=65532",
        "--publish=127.0.0.1::3100",
        &format!("--volume={name}:/data"),
        &mount("secrets", "/run/secrets"),
        "--env=API_KEY_FILE=/run/secrets/api_key",
        &mount("issuecommand.toml", "/etc/issuecommand/issuecommand.toml"),
        &mount("backlog.jsonl", "/backlog.jsonl"),
        &name,
    ]);
    made.url = format!("http://{}", made.podman(&["port", &name, "3100/tcp"]));
    Some(made)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_image_serves_shut_in_and_comes_back_with_its_state() {
    let scratch = tempfile::tempdir().unwrap();
    let place = scratch.path().to_owned();
    let Some(mut server) = tokio::task::spawn_blocking(move || start(&place)).await.unwrap() else { return };
    server.wait().await;
    assert_eq!(server.state("HostConfig.ReadonlyRootfs"), "true");
    assert_eq!(server.state("EffectiveCaps"), "[]", "it can do what its user can, and no more");
    let (status, body) =
        server.send("POST", "/api/claims", json!({ "agent_id": "a", "repo": "acme/small", "issue_number": 2 })).await;
    assert_eq!(status, 200, "{body}");
    assert_eq!(reqwest::get(format!("{}/api/claims", server.url)).await.unwrap().status(), 401, "the key holds");

    // As a machine that loses power would have it.
    server.podman(&["kill", "--signal=KILL", &server.name]);
    server.podman(&["start", &server.name]);
    server.url = format!("http://{}", server.podman(&["port", &server.name, "3100/tcp"]));
    server.wait().await;
    let (_, body) = server.send("GET", "/api/claims", Value::Null).await;
    assert_eq!(body["claims"][0]["issue_number"], 2, "{body}");
    assert_eq!(body["claims"].as_array().unwrap().len(), 1, "{body}");

    // Nothing is amiss without podman, git or gh: the image has none.
    let (_, body) = server.send("GET", "/api/health", Value::Null).await;
    assert_eq!(body["health"]["state"], "ready", "{body}");
    is_healthy(&server);
    server.podman(&["stop", "--time=20", &server.name]);
    assert_eq!(server.state("State.ExitCode"), "0", "it ends in order when asked to");
    let log = server.podman(&["logs", &server.name]);
    assert!(!log.contains("the-key"), "{log}");
}

/// Asks the image's own health check. Podman's timer for it is systemd's, which is not everywhere: it is run by hand.
fn is_healthy(server: &Container) {
    let has_health = told(&server.podman, &["exec", &server.name, "issuecommand", "help", "health"]);
    if has_health.is_err() {
        return eprintln!("skipped: this build has no `issuecommand health`, which the image's health check runs");
    }
    server.podman(&["healthcheck", "run", &server.name]);
    assert_eq!(server.state("State.Health.Status"), "healthy");
}
