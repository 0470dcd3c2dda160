//! Environments of repositories, entered for real: nix, devcontainer, direnv, and a command of one's own.

use std::collections::BTreeMap;
use std::process::Stdio;

use issuecommand::dispatch::container::{ContainerError, ContainerRuntime, Exec, Limits};
use issuecommand::dispatch::environment::{Prepared, prepare};
use tokio::io::AsyncWriteExt;

use super::containers::{Bed, spec};
use super::image::podman_with_agents;

/// A flake that needs nothing from anywhere: its shell is made by the image's own.
pub const FLAKE: &str = r#"{
  outputs = { self }: {
    devShells.x86_64-linux.default = derivation {
      name = "shell"; system = "x86_64-linux";
      builder = "/bin/bash"; args = [ "-c" "echo made > $out" ];
      GREETING = "from the flake"; stdenv = ./stdenv; outputs = [ "out" ];
    };
  };
}"#;
/// No caches and no registry: tests fetch nothing.
const NIX_CONFIG: &str = "substituters =\nflake-registry = /etc/nix/none.json";

/// A container with these files in a git repository at the work tree.
async fn repository(test: &str, files: &[(&str, &str)]) -> Option<Bed> {
    let mut spec = spec(test);
    spec.limits = Limits { cpus: 2.0, memory_bytes: 1 << 30, pids: 512 };
    spec.env = BTreeMap::from([("NIX_CONFIG".into(), NIX_CONFIG.into()), ("GIVEN".into(), "here".into())]);
    let bed = Bed::of(podman_with_agents()?, spec).await;
    for (path, text) in files {
        let exec =
            Exec::script(r#"mkdir -p "$(dirname "$1")" && cat > "$1""#, &[path]).with_input().within("/workspace");
        let mut child = bed.podman.command(&bed.id, &exec).stdin(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(text.as_bytes()).await.unwrap();
        assert!(child.wait().await.unwrap().success());
    }
    bed.printed("cd /workspace && git init --quiet && git add --all").await;
    Some(bed)
}

async fn prepared(bed: &Bed, setting: &str) -> (Result<Prepared, ContainerError>, Vec<String>) {
    let mut told = Vec::new();
    let done = prepare(&bed.podman, &bed.id, setting, &mut |line| told.push(line)).await;
    (done, told)
}

/// What a shell script prints within the environment.
async fn within(bed: &Bed, prepared: &Prepared, script: &str) -> String {
    let env = prepared.env.iter().map(|(name, value)| format!("{name}={value}"));
    let argv = ["env".to_owned()].into_iter().chain(env).chain(prepared.command.clone());
    let argv = argv.chain(["sh", "-c", script].map(str::to_owned)).collect();
    let exec = Exec { argv, ..Exec::default() }.within("/workspace");
    let output = bed.podman.command(&bed.id, &exec).stdin(Stdio::null()).output().await.unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[tokio::test]
async fn a_flake_is_entered_by_nix_and_nothing_is_written_into_the_work_tree() {
    let files = [("flake.nix", FLAKE), ("stdenv/setup", "# nothing to set up\n"), ("README.md", "x\n")];
    let Some(bed) = repository("flake", &files).await else { return };
    let (done, told) = prepared(&bed, "auto").await;
    let done = done.unwrap_or_else(|error| panic!("{error}\n{told:#?}"));
    assert_eq!(within(&bed, &done, "echo $GREETING").await, "from the flake");
    assert_eq!(bed.printed("cd /workspace && git status --porcelain | grep -v '^A '; true").await, "");
}

#[tokio::test]
async fn a_flake_that_is_broken_is_an_error_with_its_reason() {
    let Some(bed) = repository("broken", &[("flake.nix", "{ outputs = nonsense: ")]).await else { return };
    let (done, _) = prepared(&bed, "auto").await;
    let error = done.unwrap_err().to_string();
    assert!(error.contains("enter the repository's environment"), "{error}");
    let (done, _) = prepared(&bed, "none").await;
    assert_eq!(done.unwrap(), Prepared::default());
}

#[tokio::test]
async fn a_devcontainers_commands_run_once_and_its_variables_are_seen() {
    let file = r#"{
        // as people write it
        "image": "debian:bookworm",
        "containerEnv": { "MODE": "test" },
        "remoteEnv": { "BOTH": "${containerEnv:GIVEN}-${containerWorkspaceFolder}" },
        "onCreateCommand": ["sh", "-c", "echo first; echo $MODE > made"],
        "postCreateCommand": "echo second; echo again >> made",
    }"#;
    let Some(bed) = repository("devcontainer", &[(".devcontainer/devcontainer.json", file)]).await else { return };
    let (done, told) = prepared(&bed, "auto").await;
    assert_eq!(within(&bed, &done.unwrap(), "echo $BOTH $MODE").await, "here-/workspace test");
    assert_eq!(bed.printed("cat /workspace/made").await, "test\nagain");
    let told: Vec<_> = told.iter().filter(|line| !line.contains(" of .devcontainer")).collect();
    assert_eq!(told, ["first", "second"]);
    let (again, told) = prepared(&bed, "auto").await;
    assert_eq!(within(&bed, &again.unwrap(), "echo $BOTH $MODE").await, "here-/workspace test");
    assert_eq!((told, bed.printed("cat /workspace/made").await.as_str()), (Vec::new(), "test\nagain"));
}

#[tokio::test]
async fn a_devcontainers_command_that_fails_is_told_and_ends_the_rest() {
    let file = r#"{ "onCreateCommand": "echo no >&2; exit 3", "postCreateCommand": "touch made" }"#;
    let Some(bed) = repository("devfails", &[(".devcontainer.json", file)]).await else { return };
    let (done, told) = prepared(&bed, "devcontainer").await;
    assert_eq!(done.unwrap(), Prepared::default());
    assert!(told.contains(&"no".to_owned()) && told.iter().any(|line| line.contains("code 3")), "{told:?}");
    assert_eq!(bed.printed("ls /workspace").await, "");
}

#[tokio::test]
async fn an_envrc_is_entered_by_direnv() {
    let Some(bed) = repository("direnv", &[(".envrc", "export GREETING='from direnv'\n")]).await else { return };
    let (done, _) = prepared(&bed, "auto").await;
    assert_eq!(within(&bed, &done.unwrap(), "echo $GREETING").await, "from direnv");
}

#[tokio::test]
async fn a_command_of_ones_own_is_taken_as_a_shell_reads_it() {
    let Some(bed) = repository("own", &[]).await else { return };
    let (done, _) = prepared(&bed, "env GREETING='two  words'").await;
    assert_eq!(within(&bed, &done.unwrap(), r#"echo "$GREETING""#).await, "two  words");
    let (done, _) = prepared(&bed, "no-such-program --").await;
    let error = done.unwrap_err().to_string();
    assert!(error.contains("no-such-program"), "{error}");
}
