//! The scripts by themselves, with programs of this machine that are slower than they should be.

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use super::*;

/// A folder of programs that come before those of this machine.
fn slow_setsid(folder: &Path) -> PathBuf {
    let programs = folder.join("programs");
    fs::create_dir(&programs).unwrap();
    let found = Command::new("sh").args(["-c", "command -v setsid"]).output().unwrap();
    let real = String::from_utf8(found.stdout).unwrap();
    let slow = programs.join("setsid");
    fs::write(&slow, format!("#!/bin/sh\nsleep 0.5\nexec {} \"$@\"\n", real.trim())).unwrap();
    fs::set_permissions(&slow, fs::Permissions::from_mode(0o700)).unwrap();
    programs
}

fn run_script(script: &str, arguments: &[&str], path: &str, input: &[u8]) -> Output {
    let mut command = Command::new("sh");
    command.args(["-c", script, "sh"]).args(arguments).env("PATH", path);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    // The script may have ended without reading.
    let _ = child.stdin.take().unwrap().write_all(input);
    child.wait_with_output().unwrap()
}

#[test]
fn a_program_that_was_started_can_be_told_something_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = format!("{}:{}", slow_setsid(folder.path()).display(), std::env::var("PATH").unwrap());
    let base = folder.path().join("agent").display().to_string();
    let started = run_script(START, &[&base, "pipe", "", "head", "-n", "1"], &path, b"\n");
    assert!(started.status.success(), "{started:?}");
    let looked = run_script(LOOK, &[&base], &path, b"");
    assert!(String::from_utf8_lossy(&looked.stdout).ends_with("runs\n"), "{looked:?}");
    let said = run_script(SAY, &[&base, "3", "turn"], &path, b"hi\n");
    assert!(said.status.success(), "{said:?}");
    let printed = || fs::read_to_string(format!("{base}.out")).unwrap();
    let is_over = (0..500).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        printed().contains(END_MARK)
    });
    assert!(is_over && printed().starts_with("hi\n"), "{}", printed());
}

#[test]
fn a_program_that_is_over_at_once_is_not_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = std::env::var("PATH").unwrap();
    let base = folder.path().join("agent").display().to_string();
    let started = run_script(START, &[&base, "/dev/null", "", "true"], &path, b"\n");
    assert!(started.status.success(), "{started:?}");
}
