//! The tools that a client is shown, chosen when its server is started.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use serde_json::Value;

use super::harness::{Home, issue};

#[test]
fn a_client_on_standard_input_is_shown_the_profile_that_it_asked_for() {
    let home = Home::new(&[issue("acme/small", 1, &[])], "");
    for (profile, count) in [("minimal", 5), ("standard", 15)] {
        let mut command = home.command();
        command.args(["--stdio", "--profile", profile]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::null()).spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        let greeting = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"t","version":"1"}}}"#;
        let greeted = r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#;
        let list = r#"{"jsonrpc":"2.0","id":2,"method":"tools/list"}"#;
        writeln!(stdin, "{greeting}\n{greeted}\n{list}").unwrap();
        let mut answers = BufReader::new(child.stdout.take().unwrap()).lines().map(|line| line.unwrap());
        let listed: Value = answers.find(|line| line.contains(r#""id":2"#)).unwrap().parse().unwrap();
        assert_eq!(listed["result"]["tools"].as_array().unwrap().len(), count, "{profile}");
        drop(stdin);
        assert!(child.wait().unwrap().success(), "it ends with its client");
    }
}
