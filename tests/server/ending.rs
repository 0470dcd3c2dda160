//! The end of a server: asked to, it goes at once, whoever is still connected.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::time::Instant;

use super::harness::{Home, PATIENCE, interrupt, issue, wait_for_address};

#[test]
fn a_server_with_a_silent_client_on_its_standard_input_ends_when_asked_to() {
    let home = Home::new(&[issue("acme/small", 1, &[])], "");
    let mut command = home.command();
    // The client's end of standard input stays open until the child is dropped.
    command.arg("--stdio").stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    wait_for_address(&mut child);
    // Once it has answered it waits for the next line, which is the wait that must not keep it.
    let greeting = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"silent","version":"1"}}}"#;
    writeln!(child.stdin.as_ref().unwrap(), "{greeting}").unwrap();
    let mut answer = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut answer).unwrap();
    assert!(answer.contains("issuecommand"), "{answer}");
    interrupt(&child);
    let deadline = Instant::now() + PATIENCE;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        assert!(Instant::now() < deadline, "the server is still there");
        std::thread::yield_now();
    };
    assert!(status.success());
}
