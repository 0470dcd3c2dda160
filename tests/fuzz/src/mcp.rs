//! Frames of an MCP client on standard input.

use std::time::Duration;

use issuecommand::config::ToolProfile;
use issuecommand::mcp::{Connection, serve_io};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::time::timeout;

use super::served::SERVED;

/// A connection ends within it once its client has said all.
const PATIENCE: Duration = Duration::from_secs(10);
/// How a client begins, so that what follows is heard.
const GREETING: &str = concat!(
    r#"{"jsonrpc":"2.0","id":0,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"#,
    r#""clientInfo":{"name":"f","version":"1"}}}"#,
    "\n",
    r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#,
    "\n"
);

/// Sends the bytes after a greeting; without one, where they begin with `!`.
///
/// # Panics
/// When the server says something that is no message, or does not end when its client does.
pub fn mcp(data: &[u8]) {
    // Waiting for work is not what is looked for.
    if data.windows(12).any(|part| part == b"wait_seconds") {
        return;
    }
    let (greeting, data) = match data.strip_prefix(b"!") {
        Some(rest) => ("", rest),
        None => (GREETING, data),
    };
    SERVED.runtime.block_on(async {
        let (client, server) = duplex(1 << 16);
        let (reader, writer) = tokio::io::split(server);
        let connection = Connection { agent: None, profile: ToolProfile::Full };
        let serving = tokio::spawn(serve_io(SERVED.api(), connection, reader, writer, SERVED.shutdown.clone()));
        let (mut answers, mut words) = tokio::io::split(client);
        let saying = async {
            // A server that has had enough closes its end.
            let _ = words.write_all(greeting.as_bytes()).await;
            let _ = words.write_all(data).await;
            let _ = words.shutdown().await;
        };
        let mut said = Vec::new();
        let hearing = async { answers.read_to_end(&mut said).await };
        let (heard, ()) =
            timeout(PATIENCE, async { tokio::join!(hearing, saying) }).await.expect("the connection ends");
        heard.unwrap();
        let ended = timeout(PATIENCE, serving).await.expect("the server ends");
        // That the client speaks no MCP is an answer; a panic is not.
        let _ = ended.unwrap();
        for line in said.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            let message: Value = serde_json::from_slice(line).expect("the server speaks JSON");
            assert_eq!(message["jsonrpc"], "2.0", "{message}");
        }
    });
}
