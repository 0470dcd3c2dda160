//! Commands whose standard output takes nothing: a full disk, or a reader who left.

use std::fs::File;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::commands::told;
use super::harness::Home;
use super::people::{home, started};

/// Runs a command with `stdout`; its exit code, and what it said on standard error.
fn onto(stdout: impl Into<Stdio>, home: &Home, args: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_issuecommand"));
    command.env_clear().env("HOME", home.root()).current_dir(home.root()).args(args);
    let output = command.stdin(Stdio::null()).stdout(stdout).stderr(Stdio::piped()).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// A disk on which nothing more can be written; says so where there is none.
fn full() -> Option<File> {
    let full = File::options().write(true).open("/dev/full");
    full.inspect_err(|error| eprintln!("skipped: there is no /dev/full here ({error})")).ok()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_written_is_an_error_that_says_what_holds_all_the_same() {
    if full().is_none() {
        return;
    }
    let home = home();
    let server = started(&home).await;
    let failed = |args: &[&str]| {
        let (code, err) = onto(full().unwrap(), &home, args);
        assert_eq!(code, Some(1), "{args:?}: {err}");
        let told = err.lines().last().unwrap_or_default().to_owned();
        assert!(told.contains("could not write to standard output: ") && !err.contains("panicked"), "{args:?}: {err}");
        (told, err)
    };
    for args in [
        &["issues"][..],
        &["issues", "--json"],
        &["repos"],
        &["export"],
        &["health"],
        &["config", "check", "--json"],
        &["policy", "show"],
        &["completions", "bash"],
        &["man"],
    ] {
        assert!(failed(args).0.ends_with("; all else went well"), "{args:?}");
    }
    for args in [&["token", "create", "--scope", "read"][..], &["token", "create", "--scope", "read", "--json"]] {
        let (told_of, err) = failed(args);
        let tokens: Value = serde_json::from_str(&told(&home, &["token", "list", "--json"], &[])).unwrap();
        let live = tokens.as_array().unwrap().iter().find(|token| token["live"] == true).unwrap();
        let revoke = format!("token revoke {}", live["token_id"].as_str().unwrap());
        assert!(told_of.contains(&format!("`issuecommand {revoke}`")) && !err.contains("Keep it now"), "{err}");
        told(&home, &revoke.split(' ').collect::<Vec<_>>(), &[]);
    }
    assert!(failed(&["next", "--agent", "q"]).0.contains("acme/webshop#7 is held by q, `issuecommand claims`"));
    let named = ["claim", "acme/pay#1", "--agent", "q", "--json"];
    assert!(failed(&named).0.contains("acme/pay#1 is held by q"));
    assert_eq!(server.get("/api/claims").await["claims"].as_array().unwrap().len(), 2);
    assert!(failed(&["release", "acme/pay#1"]).0.ends_with("; all else went well"));

    // Nothing was to be had, so nothing went well; and neither output takes a word.
    assert!(!failed(&["next", "--agent", "q", "--label", "none", "--json"]).0.contains("went well"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_issuecommand"));
    command.env_clear().current_dir(home.root()).args(["claims"]).stdout(full().unwrap()).stderr(full().unwrap());
    assert_eq!(command.status().unwrap().code(), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_who_has_left_is_no_error() {
    let home = home();
    let server = started(&home).await;
    for args in [
        &["issues", "--json"][..],
        &["completions", "bash"],
        &["man"],
        &["config", "check"],
        &["next", "--agent", "q"],
        &["claims"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let (code, err) = onto(writer, &home, args);
        assert_eq!((code, err.as_str()), (Some(0), ""), "{args:?}");
    }
    assert_eq!(server.get("/api/claims").await["claims"][0]["agent_id"], "q");
    // But nobody has read what is shown once.
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let (code, err) = onto(writer, &home, &["token", "create"]);
    assert!(code == Some(1) && err.contains("is made all the same: `issuecommand token revoke "), "{code:?} {err}");
}
