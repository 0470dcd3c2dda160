//! A policy pushed to a private registry and pulled from it: Debian's docker-registry, run here. Without it these
//! tests say so and do nothing; `.ci/run` fetches it.

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::cosign::{BUNDLE_MEDIA_TYPE, Team};
use crate::desk::{ROOT, command, failed, policy, rules, succeeded};

/// `author:secret`, as `htpasswd -B` writes it.
const HTPASSWD: &str = "author:$2b$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n";
/// `author:secret` as `docker login` keeps it.
const CREDENTIALS: &str = "YXV0aG9yOnNlY3JldA==";
const PATIENCE: Duration = Duration::from_secs(60);

/// A registry of its own for one test.
struct Registry {
    child: Child,
    address: String,
    desk: tempfile::TempDir,
}

impl Registry {
    /// Starts one that asks for a name and a password, if the program is to be had.
    fn start() -> Option<Self> {
        let Some(program) = program() else {
            eprintln!("skipped: there is no docker-registry; `apt-get install docker-registry`, or see .ci/run");
            return None;
        };
        let desk = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
        let path = |name: &str| desk.path().join(name);
        fs::write(path("htpasswd"), HTPASSWD).unwrap();
        let config = format!(
            "version: 0.1\nlog: {{level: error}}\nhttp: {{addr: '{address}'}}\n\
             storage: {{filesystem: {{rootdirectory: '{}'}}}}\nauth: {{htpasswd: {{realm: r, path: '{}'}}}}\n",
            path("store").display(),
            path("htpasswd").display(),
        );
        fs::write(path("config.yml"), config).unwrap();
        let mut command = Command::new(program);
        command.arg("serve").arg(path("config.yml")).stdin(Stdio::null());
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let registry = Self { child, address, desk };
        let deadline = Instant::now() + PATIENCE;
        while TcpStream::connect(&registry.address).is_err() {
            assert!(Instant::now() < deadline, "the registry does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        Some(registry)
    }

    /// Ends it; its folder stays.
    fn close(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    fn folder(&self) -> &Path {
        self.desk.path()
    }

    fn reference(&self) -> String {
        format!("{}/team/rules:1.0.0", self.address)
    }

    /// An author's command, logged in as `docker login` would have it or not at all.
    fn policy(&self, logged_in: bool, arguments: &[&str]) -> Output {
        let docker = self.folder().join(if logged_in { "docker" } else { "docker-without" });
        fs::create_dir_all(&docker).unwrap();
        let auths = format!(r#"{{"auths":{{"{}":{{"auth":"{CREDENTIALS}"}}}}}}"#, self.address);
        fs::write(docker.join("config.json"), if logged_in { auths.as_str() } else { "{}" }).unwrap();
        let mut command = command("issuecommand", self.folder());
        command.env("DOCKER_CONFIG", docker).arg("policy").args(arguments).output().unwrap()
    }

    /// Puts a bundle to what was pushed, as `cosign sign` does with a registry that keeps no list of referrers.
    async fn attach(&self, pushed: &Value, bundle: &str) {
        const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
        const INDEX: &str = "application/vnd.oci.image.index.v1+json";
        let subject = pushed["manifest_digest"].as_str().unwrap();
        let empty = json!({ "mediaType": "application/vnd.oci.empty.v1+json", "size": 2, "digest": digest_of("{}") });
        let layer = json!({ "mediaType": BUNDLE_MEDIA_TYPE, "size": bundle.len(), "digest": digest_of(bundle) });
        let manifest = json!({
            "schemaVersion": 2, "mediaType": MANIFEST, "artifactType": BUNDLE_MEDIA_TYPE, "config": empty,
            "layers": [layer], "subject": { "mediaType": MANIFEST, "size": 332, "digest": subject },
        });
        let manifest = manifest.to_string();
        // The type of the config, as cosign 3.1.1 has it in this list.
        let entry = json!({
            "mediaType": MANIFEST, "artifactType": "application/vnd.oci.empty.v1+json",
            "size": manifest.len(), "digest": digest_of(&manifest),
        });
        let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": [entry] }).to_string();
        for blob in ["{}", bundle] {
            let upload = self.request("POST", "blobs/uploads/", "", "").await;
            let place = upload.headers()["location"].to_str().unwrap().to_owned();
            let place = format!("{place}&digest={}", digest_of(blob).replace(':', "%3A"));
            self.request("PUT", &place, "application/octet-stream", blob).await;
        }
        self.request("PUT", &format!("manifests/{}", digest_of(&manifest)), MANIFEST, &manifest).await;
        self.request("PUT", &format!("manifests/{}", subject.replace(':', "-")), INDEX, &index).await;
    }

    /// Sends one request, which must succeed. `place` is below the name, or a whole address.
    async fn request(&self, method: &str, place: &str, media_type: &str, body: &str) -> reqwest::Response {
        let below = format!("http://{}/v2/team/rules/{place}", self.address);
        let address = if place.starts_with("http") { place } else { &below };
        let request = reqwest::Client::new().request(method.parse().unwrap(), address).body(body.to_owned());
        let request = request.header("Content-Type", media_type).basic_auth("author", Some("secret"));
        request.send().await.unwrap().error_for_status().unwrap()
    }

    fn pushed(&self) -> Value {
        let file = rules(self.folder());
        let output =
            self.policy(true, &["push", &self.reference(), file.to_str().unwrap(), "--insecure-http", "--json"]);
        succeeded(&output);
        serde_json::from_slice(&output.stdout).unwrap()
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.close();
    }
}

fn program() -> Option<PathBuf> {
    let fetched = Path::new(ROOT).join("target/tools/usr/bin/docker-registry");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let installed = std::env::split_paths(&path).map(|folder| folder.join("docker-registry"));
    [fetched].into_iter().chain(installed).find(|file| file.is_file())
}

#[test]
fn a_policy_comes_back_from_a_registry_as_it_was_pushed_and_is_put_in_force_by_its_pin() {
    let Some(registry) = Registry::start() else { return };
    let pushed = registry.pushed();
    let (sha256, reference) = (pushed["sha256"].as_str().unwrap(), registry.reference());
    let output = registry.policy(true, &["pull", &reference, "--insecure-http"]);
    let text = succeeded(&output);
    let file = registry.folder().join("policies").join(sha256).with_extension("wasm");
    assert_eq!(fs::read(&file).unwrap(), fs::read(registry.folder().join("rules.wasm")).unwrap());
    assert!(text.contains(pushed["manifest_digest"].as_str().unwrap()), "{text}");
    // What it prints is what issuecommand.toml needs.
    let lines = text.split_once("issuecommand.toml:").unwrap().1;
    fs::write(registry.folder().join("issuecommand.toml"), lines).unwrap();
    let check = || command("issuecommand", registry.folder()).args(["config", "check"]).output().unwrap();
    let text = said_of(&check());
    assert!(text.contains(&format!("oci://{reference}")) && text.contains(&sha256[..12]), "{text}");
    // A server never asks a registry: what is not there is asked for by name.
    fs::remove_file(&file).unwrap();
    let text = said_of(&check());
    assert!(text.contains(&format!("issuecommand policy pull oci://{reference}")), "{text}");
    fs::write(registry.folder().join("issuecommand.toml"), lines.replace("sha256", "# sha256")).unwrap();
    let text = said_of(&check());
    assert!(text.contains("must be pinned"), "{text}");
}

fn digest_of(text: &str) -> String {
    format!("sha256:{}", hex::encode(Sha256::digest(text)))
}

fn said_of(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[tokio::test]
async fn what_lies_in_the_registry_is_what_the_ecosystems_tools_expect() {
    let Some(registry) = Registry::start() else { return };
    let pushed = registry.pushed();
    let client = reqwest::Client::new();
    let get = async |path: &str| -> Value {
        let request = client.get(format!("http://{}/v2/team/rules/{path}", registry.address));
        let accept = "application/vnd.oci.image.manifest.v1+json";
        let request = request.header("Accept", accept).basic_auth("author", Some("secret"));
        serde_json::from_slice(&request.send().await.unwrap().bytes().await.unwrap()).unwrap()
    };
    let manifest = get("manifests/1.0.0").await;
    assert_eq!(manifest["config"]["mediaType"], "application/vnd.wasm.config.v0+json");
    assert_eq!(manifest["layers"].as_array().unwrap().len(), 1);
    assert_eq!(manifest["layers"][0]["mediaType"], "application/wasm");
    let digest = format!("sha256:{}", pushed["sha256"].as_str().unwrap());
    assert_eq!(manifest["layers"][0]["digest"], digest.as_str());
    let config = get(&format!("blobs/{}", manifest["config"]["digest"].as_str().unwrap())).await;
    assert_eq!((&config["architecture"], &config["os"]), (&Value::from("wasm"), &Value::from("wasip2")));
    assert_eq!(config["layerDigests"], serde_json::json!([digest]));
    assert!(config["component"]["exports"].to_string().contains("issuecommand:policy/ranker@0.1.0"), "{config}");
    assert!(config["component"]["imports"].to_string().contains("issuecommand:policy/candidates@0.1.0"), "{config}");
}

#[test]
fn a_reference_without_a_registry_is_refused_with_an_example() {
    let desk = tempfile::tempdir().unwrap();
    rules(desk.path());
    for reference in ["x", "nonsense:1.0.0", "acme/quick-wins:1.0.0", "oci://acme/quick-wins"] {
        for arguments in [&["push", reference, "rules.wasm"][..], &["pull", reference]] {
            let text = failed(&policy(desk.path(), arguments));
            assert!(text.contains("names no registry") && text.contains("ghcr.io/acme/quick-wins:1.0.0"), "{text}");
        }
    }
}

#[test]
fn a_registry_that_does_not_give_or_take_is_told_with_what_to_do() {
    let Some(registry) = Registry::start() else { return };
    let pushed = registry.pushed();
    let reference = registry.reference();
    let pull = |reference: &str, more: &[&str]| {
        registry.policy(true, &[&["pull", reference, "--insecure-http"], more].concat())
    };
    let text = failed(&registry.policy(false, &["pull", &reference, "--insecure-http"]));
    assert!(text.contains(&format!("docker login {}", registry.address)), "{text}");
    let text = failed(&pull(&reference.replace("1.0.0", "2.0.0"), &[]));
    assert!(text.contains("failed to pull") && text.contains("2.0.0"), "{text}");
    let text = failed(&pull(&reference, &["--sha256", &"00".repeat(32)]));
    assert!(text.contains("is pinned") && text.contains(pushed["sha256"].as_str().unwrap()), "{text}");
    assert!(!registry.folder().join("policies").exists(), "nothing is kept of a refused pull");
    let text = failed(&registry.policy(true, &["pull", &reference]));
    assert!(text.contains("--insecure-http"), "{text}");
    let text = failed(&pull("registry.example.org/team/rules:1", &[]));
    assert!(text.contains("registry on this machine"), "{text}");
    fs::write(registry.folder().join("no.wasm"), "no").unwrap();
    let text = failed(&registry.policy(true, &["push", &reference, "no.wasm", "--insecure-http"]));
    assert!(text.contains("it is text"), "{text}");
}

#[tokio::test]
async fn a_signed_policy_is_pulled_kept_with_its_signature_and_loaded_without_a_network() {
    let Some(mut registry) = Registry::start() else { return };
    let (team, pushed) = (Team::new(), registry.pushed());
    fs::write(registry.folder().join("team.pub"), team.public_key()).unwrap();
    let sha256 = pushed["manifest_digest"].as_str().unwrap().trim_start_matches("sha256:");
    registry.attach(&pushed, &team.sign(sha256)).await;
    let reference = registry.reference();
    let text = succeeded(&registry.policy(true, &["pull", &reference, "--insecure-http", "--key", "team.pub"]));
    assert!(text.contains("signed by the key team.pub ("), "{text}");
    let signatures = registry.folder().join("policies").join(pushed["sha256"].as_str().unwrap());
    let signatures = signatures.with_added_extension("wasm.sigstore.json");
    let verified = fs::read(&signatures).unwrap();
    // What nobody verified takes no place of what somebody did.
    registry.attach(&pushed, &Team::new().sign(sha256)).await;
    let unasked = succeeded(&registry.policy(true, &["pull", &reference, "--insecure-http"]));
    assert!(unasked.contains("the signatures that lay beside it stay"), "{unasked}");
    assert_eq!(fs::read(&signatures).unwrap(), verified);
    // What it prints is what issuecommand.toml needs, and no registry is asked for it.
    let lines = text.split_once("issuecommand.toml:").unwrap().1;
    assert!(lines.contains("signed_by = { key = \"team.pub\" }"), "{lines}");
    fs::write(registry.folder().join("issuecommand.toml"), lines).unwrap();
    let file = registry.folder().join("policies").join(pushed["sha256"].as_str().unwrap()).with_extension("wasm");
    let text = succeeded(&registry.policy(true, &["inspect", file.to_str().unwrap(), "--key", "team.pub"]));
    assert!(text.contains("signed by  the key team.pub ("), "{text}");
    registry.close();
    let check = || command("issuecommand", registry.folder()).args(["config", "check"]).output().unwrap();
    let text = succeeded(&check());
    assert!(text.contains(&format!("oci://{reference}")), "{text}");

    fs::write(&signatures, Team::new().sign(sha256)).unwrap();
    let text = failed(&check());
    assert!(text.contains("its signature was made with another key than team.pub ("), "{text}");
    fs::write(&signatures, team.sign(&"0".repeat(64))).unwrap();
    let text = failed(&check());
    assert!(text.contains(&format!("its signature is of something else (SHA-256 {})", "0".repeat(64))), "{text}");
    fs::remove_file(&signatures).unwrap();
    let text = failed(&check());
    let remedy = format!(
        "run `issuecommand policy pull oci://{reference} --insecure-http --key team.pub` beside issuecommand.toml"
    );
    assert!(text.contains("but there is no ") && text.contains(&remedy), "{text}");
}

#[tokio::test]
async fn what_is_not_signed_by_the_one_who_is_asked_for_is_not_kept() {
    let Some(registry) = Registry::start() else { return };
    let (team, pushed) = (Team::new(), registry.pushed());
    fs::write(registry.folder().join("team.pub"), team.public_key()).unwrap();
    fs::write(registry.folder().join("other.pub"), Team::new().public_key()).unwrap();
    let reference = registry.reference();
    let pull = |more: &[&str]| registry.policy(true, &[&["pull", &reference, "--insecure-http"], more].concat());
    let text = failed(&pull(&["--key", "team.pub"]));
    let digest = pushed["manifest_digest"].as_str().unwrap();
    let named = reference.trim_end_matches(":1.0.0");
    assert!(text.contains("must be signed by the key team.pub, but the registry has no signature of it"), "{text}");
    assert!(text.contains(&format!("`cosign sign --key cosign.key {named}@{digest}`")), "{text}");

    registry.attach(&pushed, &team.sign(digest.trim_start_matches("sha256:"))).await;
    let text = failed(&pull(&["--key", "other.pub"]));
    assert!(text.contains("its signature was made with another key than other.pub ("), "{text}");
    let text = failed(&pull(&["--identity", "me@acme.example", "--issuer", "https://accounts.example.org"]));
    assert!(text.contains("was made with a key, and not by an identity"), "{text}");
    assert!(!registry.folder().join("policies").exists(), "nothing is kept of a refused pull");
    // Who asks for nobody gets it as before, and is told that there is something to ask for.
    let text = succeeded(&pull(&[]));
    assert!(text.contains("signed, by whom was not asked") && !text.contains("signed_by ="), "{text}");
}
