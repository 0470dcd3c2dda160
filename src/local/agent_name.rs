//! A name for an agent that was given none: its client's name and the first number that nobody has.
//!
//! `claude-code.1` is whoever asks first, `claude-code.2` who asks while the first is still there. The
//! number is held by a lock that the system takes back when the process ends, however it ends: so the names
//! of two clients at once differ, a client that comes back finds its claims under its old name, and the
//! name survives the server.

use std::fs::File;

use serde_json::Value;
use uuid::Uuid;

use super::Place;
use crate::domain::AgentId;

/// Longest part of a client's name that goes into its agents', in bytes.
const CLIENT_BYTES_MAX: usize = 40;
/// Most clients of one name at once that get a number.
const NUMBER_MAX: usize = 1000;
/// The client's name when it gives none.
const NAMELESS: &str = "agent";

/// A name, and the lock that keeps others from taking it.
#[derive(Debug)]
pub(super) struct AgentName {
    pub(super) agent: AgentId,
    _held: Option<File>,
}

impl AgentName {
    /// The name that the user gave.
    pub(super) fn given(agent: AgentId) -> Self {
        Self { agent, _held: None }
    }

    /// A name for the client that sent `first`, its first line.
    pub(super) fn for_client(place: &Place, first: &[u8]) -> Self {
        let client = client_name(first);
        for number in 1..=NUMBER_MAX {
            let name = format!("{client}.{number}");
            // Where no lock can be had a random name is still distinct.
            let Ok(file) = place.agent_lock(&name) else { break };
            if file.try_lock().is_ok() {
                return Self { agent: parsed(&name), _held: Some(file) };
            }
        }
        let random = Uuid::new_v4().simple().to_string();
        Self { agent: parsed(&format!("{client}.{}", &random[..12])), _held: None }
    }
}

fn parsed(name: &str) -> AgentId {
    name.parse().expect("a few letters, digits and dots are a name")
}

/// How the client calls itself: in `initialize`, or with every request where there is no such greeting.
fn client_name(first: &[u8]) -> String {
    let message: Value = serde_json::from_slice(first).unwrap_or_default();
    let params = &message["params"];
    let named = [&params["clientInfo"], &params["_meta"]["io.modelcontextprotocol/clientInfo"]];
    let name = named.iter().find_map(|info| info["name"].as_str()).unwrap_or_default();
    let mut kept = String::new();
    for letter in name.chars().take(CLIENT_BYTES_MAX) {
        match letter {
            'a'..='z' | 'A'..='Z' | '0'..='9' | '_' => kept.push(letter.to_ascii_lowercase()),
            _ if !kept.is_empty() && !kept.ends_with('-') => kept.push('-'),
            _ => {}
        }
    }
    let kept = kept.trim_end_matches('-');
    if kept.is_empty() { NAMELESS.to_owned() } else { kept.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_is_called_what_it_calls_itself_in_either_era() {
        let initialize = br#"{"method":"initialize","params":{"clientInfo":{"name":"Visual Studio Code (Insiders)"}}}"#;
        assert_eq!(client_name(initialize), "visual-studio-code-insiders");
        let inline = br#"{"method":"tools/list","params":{"_meta":{"io.modelcontextprotocol/clientInfo":{"name":"codex-mcp-client"}}}}"#;
        assert_eq!(client_name(inline), "codex-mcp-client");
        assert_eq!(client_name(b"not json"), "agent");
        assert_eq!(client_name(br#"{"params":{"clientInfo":{"name":"../.."}}}"#), "agent");
    }
}
