//! An author's desk: folders to work in, and the program at hand.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use issuecommand::policy::builtin_component;

/// The repository.
pub const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Where what takes long to make is kept between runs: tools, compiled policies, cargo's target folder.
pub fn kept(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("authoring").join(name);
    fs::create_dir_all(&folder).unwrap();
    folder
}

/// A command of an author, in `folder`. Cargo must do with the crates that our own build fetched.
pub fn command(program: &str, folder: &Path) -> Command {
    let mut command = Command::new(program);
    let own = Path::new(env!("CARGO_BIN_EXE_issuecommand")).parent().unwrap().to_path_buf();
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths([own].into_iter().chain(std::env::split_paths(&path))).unwrap();
    command.current_dir(folder).env("PATH", path).env("XDG_CACHE_HOME", kept("cache"));
    command.env("CARGO_NET_OFFLINE", "true");
    command
}

/// `issuecommand policy ARGUMENTS` in `folder`.
pub fn policy(folder: &Path, arguments: &[&str]) -> Output {
    command("issuecommand", folder).arg("policy").args(arguments).output().unwrap()
}

/// What a command wrote, both streams; it must have ended well.
#[track_caller]
pub fn succeeded(output: &Output) -> String {
    let text = said(output);
    assert!(output.status.success(), "{text}");
    text
}

/// What a command wrote, both streams; it must have failed.
#[track_caller]
pub fn failed(output: &Output) -> String {
    let text = said(output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    text
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Gives a Rust policy's folder our versions of crates, and a target folder that outlives the test.
pub fn with_our_crates(folder: &Path) {
    fs::copy(Path::new(ROOT).join("Cargo.lock"), folder.join("Cargo.lock")).unwrap();
    symlink(kept("target"), folder.join("target")).unwrap();
}

/// A folder of the examples, copied; links to files stay links, as where the example lies.
pub fn example(name: &str, to: &Path) -> PathBuf {
    let folder = to.join(name);
    copy(&Path::new(ROOT).join("examples/policies").join(name), &folder);
    folder
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).unwrap();
        if path.is_dir() && name != "target" {
            copy(&path, &to.join(name));
        } else if path.is_symlink() && path.is_file() {
            symlink(path.canonicalize().unwrap(), to.join(name)).unwrap();
        } else if path.is_file() {
            fs::copy(&path, to.join(name)).unwrap();
        }
    }
}

/// Whether a build could not be tried for want of a tool or of the network, which is said in a line.
pub fn lacks_tools(output: &Output, language: &str) -> bool {
    let text = said(output);
    let lacks = ["is not installed", "`npm install` failed", "`pip install` failed", "`python3 -m venv` failed"];
    let is_lacking = !output.status.success() && lacks.iter().any(|words| text.contains(words));
    if is_lacking {
        eprintln!("skipped: {language} policies cannot be built here: {}", text.lines().next().unwrap_or_default());
    }
    is_lacking
}

/// A configuration whose bounds on time are those of a machine that is busy with other tests.
pub const PATIENT: &str = "[policies]\ncall_ms_max = 10000\nchoose_ms_max = 2000\n";

/// The same in a file.
pub fn patient(folder: &Path) -> String {
    let file = folder.join("patient.toml");
    fs::write(&file, PATIENT).unwrap();
    file.display().to_string()
}

/// The built-in ranker as a file.
pub fn rules(folder: &Path) -> PathBuf {
    let file = folder.join("rules.wasm");
    fs::write(&file, builtin_component("rules").unwrap()).unwrap();
    file
}
