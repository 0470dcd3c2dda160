//! Podman as the tests use it, and the image with every agent in it: made once, by the program's own command, on a
//! Debian that is put together here, for there may be no registry of images.

use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The image that tests work in: git, Node.js, nix, direnv, opencode, pi, claude and codex.
pub const AGENT_IMAGE: &str = "localhost/issuecommand-test-agent:latest";
/// What it is made of; nobody without rights is in it.
pub const BASE_IMAGE: &str = "localhost/issuecommand-test-base:latest";

/// What the base holds, so that the build fetches nothing of Debian.
const PACKAGES: &str =
    "ca-certificates,curl,direnv,git,jq,nix-bin,openssh-client,patch,procps,ripgrep,util-linux,xz-utils";
/// Puts this machine's Node.js into the base (Debian's own is too old for some agents), and the certificates that
/// this machine trusts.
const COPY_IN: &str = r#"
set -eu
cp -L "$(command -v node)" "$1/usr/bin/node"
mkdir -p "$1/usr/lib/node_modules"
cp -r "$(npm root --global)/npm" "$1/usr/lib/node_modules/npm"
ln -sf ../lib/node_modules/npm/bin/npm-cli.js "$1/usr/bin/npm"
cp /etc/ssl/certs/ca-certificates.crt "$1/etc/ssl/certs/ca-certificates.crt"
"#;

/// Podman, if it works here, as a program to call: with the settings of ../shared/agents-kit where the caller has
/// none. `None`, after a line that says why, where it does not.
pub fn podman() -> Option<String> {
    static FOUND: OnceLock<Result<String, String>> = OnceLock::new();
    told(FOUND.get_or_init(find_podman))
}

/// The program of [`podman`], and the image with the agents, made if it is not there. `None`, after a line that says
/// why, where that cannot be.
pub fn podman_with_agents() -> Option<String> {
    static FOUND: OnceLock<Result<String, String>> = OnceLock::new();
    told(FOUND.get_or_init(|| {
        let podman = find_podman()?;
        if !exists(&podman, AGENT_IMAGE) {
            make_base(&podman)?;
            make_agents(&podman)?;
        }
        Ok(podman)
    }))
}

/// The same, with the base beside it.
pub fn podman_with_base() -> Option<String> {
    static FOUND: OnceLock<Result<String, String>> = OnceLock::new();
    told(FOUND.get_or_init(|| {
        let podman = find_podman()?;
        make_base(&podman)?;
        Ok(podman)
    }))
}

fn told(found: &Result<String, String>) -> Option<String> {
    found.as_ref().map_err(|why| eprintln!("skipped: {why}")).ok().cloned()
}

/// The settings of podman, where the caller or the machine's makers have some.
pub fn settings() -> Option<PathBuf> {
    let kit = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/agents-kit/containers.conf");
    std::env::var_os("CONTAINERS_CONF").map(PathBuf::from).or_else(|| kit.exists().then_some(kit))
}

/// Writes a program that is podman with these settings.
pub fn podman_with(settings: &Path, program: &Path) -> io::Result<String> {
    fs::write(program, format!("#!/bin/sh\nCONTAINERS_CONF='{}' exec podman \"$@\"\n", settings.display()))?;
    fs::set_permissions(program, fs::Permissions::from_mode(0o755))?;
    Ok(program.display().to_string())
}

fn find_podman() -> Result<String, String> {
    // A name of its own for each process: two test binaries may write it at once.
    let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("podman-{}", std::process::id()));
    let program = match settings() {
        Some(settings) => podman_with(&settings, &program).map_err(|why| why.to_string())?,
        None => "podman".to_owned(),
    };
    run(Command::new(&program).arg("info")).map_err(|why| format!("podman does not work here: {why}"))?;
    Ok(program)
}

fn exists(podman: &str, image: &str) -> bool {
    Command::new(podman).args(["image", "exists", image]).status().is_ok_and(|status| status.success())
}

fn make_base(podman: &str) -> Result<(), String> {
    if exists(podman, BASE_IMAGE) {
        return Ok(());
    }
    let archive = Scratch::file("issuecommand-test-base.tar");
    let hook = Scratch::file("issuecommand-test-base.sh");
    fs::write(&hook.0, COPY_IN).map_err(|why| why.to_string())?;
    let mut make = Command::new("mmdebstrap");
    make.args(["--variant=minbase", &format!("--include={PACKAGES}"), "--dpkgopt=path-exclude=/usr/share/doc/*"]);
    make.arg(format!("--customize-hook=sh {} \"$1\"", hook.0.display())).arg("bookworm").arg(&archive.0);
    run(&mut make).map_err(|why| format!("no Debian can be put together: {why}"))?;
    run(Command::new(podman).arg("import").arg(&archive.0).arg(BASE_IMAGE))
}

fn make_agents(podman: &str) -> Result<(), String> {
    let mut build = Command::new(env!("CARGO_BIN_EXE_issuecommand"));
    build.args(["image", "build", "--agents", "opencode,pi,claude,codex", "--base", BASE_IMAGE]);
    let settings = Scratch::file("issuecommand-image.toml");
    fs::write(&settings.0, format!("[containers]\nruntime = {podman:?}\n")).map_err(|why| why.to_string())?;
    build.arg("--config").arg(&settings.0).args(["--tag", AGENT_IMAGE, "--", "--network=host"]);
    run(&mut build).map_err(|why| format!("the agents cannot be installed: {why}"))
}

fn run(command: &mut Command) -> Result<(), String> {
    let name = command.get_program().display().to_string();
    let output = command.output().map_err(|why| format!("{name}: {why}"))?;
    let printed = String::from_utf8_lossy(&output.stderr);
    let why = printed.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it failed");
    if output.status.success() { Ok(()) } else { Err(format!("{name}: {why}")) }
}

/// A file that is gone with the test.
struct Scratch(PathBuf);

impl Scratch {
    fn file(name: &str) -> Self {
        Self(Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{}-{name}", std::process::id())))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}
