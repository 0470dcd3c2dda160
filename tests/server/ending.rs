//! The end of a server: asked to, it goes at once, whoever is still connected.

use std::process::Stdio;
use std::time::Instant;

use super::harness::{Home, PATIENCE, interrupt, issue, wait_for_address};

#[test]
fn a_server_with_a_silent_client_on_its_standard_input_ends_when_asked_to() {
    let home = Home::new(&[issue("acme/small", 1, &[])], "");
    let mut command = home.command();
    // The client's end of standard input stays open until the child is dropped.
    command.arg("--stdio").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    wait_for_address(&mut child);
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
