//! The first line on the socket, and the line that answers it. After both, the connection speaks MCP as
//! over standard input and output.
//!
//! ```text
//! -> {"issuecommand":1,"version":"0.2.0","database":"/home/ada/claims.db","agent":"codex.1","profile":"minimal"}
//! <- {"issuecommand":1,"version":"0.2.0","ok":true,"pid":4711,"url":"http://127.0.0.1:3100"}
//! ```
//!
//! `issuecommand` is the version of this exchange, and the only field either side must find: with another
//! number both say so, in words for the person who has to end the older one. Unknown fields are ignored.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::config::ToolProfile;
use crate::domain::AgentId;

/// The version of the exchange that this build speaks.
pub const GREETING_VERSION: u32 = 1;
/// Longest line of the exchange, in bytes: far more than the longest agent id takes.
pub(super) const GREETING_BYTES_MAX: usize = 4096;

/// What a client of the socket says first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Greeting {
    /// [`GREETING_VERSION`] of the client.
    pub issuecommand: u32,
    /// The client's build, for people.
    pub version: String,
    /// The database that the client's configuration names: two configurations may name one socket.
    pub database: String,
    /// The agent that stands in where a call names none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<AgentId>,
    /// Which tools the agent is shown; the server's own default if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<ToolProfile>,
    /// Only asks who is there: nothing follows the answer.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub probe: bool,
}

/// What the server answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reply {
    /// [`GREETING_VERSION`] of the server.
    pub issuecommand: u32,
    /// The server's build, for people.
    pub version: String,
    /// Whether MCP may follow.
    pub ok: bool,
    /// Why not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The server's process.
    pub pid: u32,
    /// Where it answers HTTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

/// What every version of a line has.
#[derive(Deserialize)]
struct AnyVersion {
    issuecommand: u32,
    #[serde(default)]
    version: String,
    #[serde(default)]
    pid: u32,
}

impl Greeting {
    /// A greeting of this build, for `agent`.
    pub fn new(database: &Path, agent: Option<AgentId>, profile: Option<ToolProfile>) -> Self {
        let database = database.to_string_lossy().into_owned();
        Self { issuecommand: GREETING_VERSION, version: build(), database, agent, profile, probe: false }
    }

    /// Asks only who is there.
    pub fn probe(database: &Path) -> Self {
        Self { probe: true, ..Self::new(database, None, None) }
    }

    /// Reads a greeting to the server of `database`.
    ///
    /// # Errors
    /// Why the client cannot be served, in words for its user.
    pub fn read(line: &[u8], database: &Path) -> Result<Self, String> {
        let theirs: AnyVersion = serde_json::from_slice(line)
            .map_err(|_| "this socket expects a greeting first: connect with `issuecommand mcp`".to_owned())?;
        if theirs.issuecommand != GREETING_VERSION {
            return Err(format!(
                "the server (issuecommand {}, process {}) greets in version {GREETING_VERSION}, this client \
                 (issuecommand {}) in version {}: end the server and use one build for both",
                build(),
                std::process::id(),
                theirs.version,
                theirs.issuecommand
            ));
        }
        let greeting: Self =
            serde_json::from_slice(line).map_err(|error| format!("the greeting cannot be read: {error}"))?;
        let (ours, theirs) = (database.to_string_lossy(), &greeting.database);
        if *theirs != ours {
            return Err(format!(
                "the server on this socket serves {ours}, not {theirs}: give each configuration a server.socket of its own"
            ));
        }
        Ok(greeting)
    }
}

impl Reply {
    /// "Come in."
    pub fn welcome(url: &str) -> Self {
        Self { ok: true, error: None, url: Some(url.to_owned()), ..Self::refusal(String::new()) }
    }

    /// "No, because ..."
    pub fn refusal(why: String) -> Self {
        let (version, pid) = (build(), std::process::id());
        Self { issuecommand: GREETING_VERSION, version, ok: false, error: Some(why), pid, url: None }
    }

    /// Reads an answer that lets the client in.
    ///
    /// # Errors
    /// Why it does not, in words for the user.
    pub fn read(line: &[u8]) -> Result<Self, String> {
        let theirs: AnyVersion = serde_json::from_slice(line)
            .map_err(|_| "what answers on the socket is no issuecommand server".to_owned())?;
        // A server that refuses says why itself; one that does not may still speak another version.
        let reply = serde_json::from_slice::<Self>(line);
        match reply {
            Ok(Self { error: Some(why), ok: false, .. }) => Err(why),
            Ok(reply) if reply.ok && theirs.issuecommand == GREETING_VERSION => Ok(reply),
            _ => Err(format!(
                "the server (issuecommand {}, process {}) greets in version {}, this client (issuecommand {}) in \
                 version {GREETING_VERSION}: end process {} and the next start brings the new one",
                theirs.version,
                theirs.pid,
                theirs.issuecommand,
                build(),
                theirs.pid
            )),
        }
    }
}

fn build() -> String {
    crate::build_info::VERSION.to_owned()
}

/// A line of the exchange, with its end.
pub(super) fn line<T: Serialize>(value: &T) -> Vec<u8> {
    let mut line = serde_json::to_vec(value).expect("texts and numbers have a JSON form");
    line.push(b'\n');
    line
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_greeting_is_small_and_read_as_it_was_written() {
        let greeting = Greeting::new(Path::new("/a.db"), Some("codex.1".parse().unwrap()), Some(ToolProfile::Minimal));
        let text = line(&greeting);
        let expected = format!(
            "{{\"issuecommand\":1,\"version\":\"{}\",\"database\":\"/a.db\",\"agent\":\"codex.1\",\"profile\":\"minimal\"}}\n",
            crate::build_info::VERSION
        );
        assert_eq!(String::from_utf8_lossy(&text), expected);
        assert_eq!(Greeting::read(&text, Path::new("/a.db")).unwrap(), greeting);
    }

    #[test]
    fn a_greeting_of_the_future_is_refused_by_its_number_and_one_with_more_fields_is_not() {
        let read = |line: &str| Greeting::read(line.as_bytes(), Path::new("/a.db"));
        let why = read(r#"{"issuecommand":2,"version":"9.0","who":["codex"]}"#).unwrap_err();
        assert!(why.contains("in version 1") && why.contains("issuecommand 9.0) in version 2"), "{why}");
        assert!(read(r#"{"issuecommand":1,"version":"9.0","database":"/a.db","colour":"blue"}"#).is_ok());
        let why = read(r#"{"jsonrpc":"2.0","id":1,"method":"initialize"}"#).unwrap_err();
        assert!(why.contains("issuecommand mcp"), "{why}");
        let why = read(r#"{"issuecommand":1,"version":"9.0","database":"/a.db","agent":" "}"#).unwrap_err();
        assert!(why.contains("agent id"), "{why}");
        let why = read(r#"{"issuecommand":1,"version":"9.0","database":"/b.db"}"#).unwrap_err();
        assert!(why.contains("serves /a.db, not /b.db"), "{why}");
    }

    #[test]
    fn an_answer_of_another_version_says_which_process_to_end() {
        let why = Reply::read(br#"{"issuecommand":2,"version":"9.0","pid":4711,"ok":true}"#).unwrap_err();
        assert!(why.contains("end process 4711"), "{why}");
        let refusal = Reply::refusal("no room".into());
        assert_eq!(Reply::read(&line(&refusal)).unwrap_err(), "no room");
        let welcome = Reply::welcome("http://127.0.0.1:1");
        assert_eq!(Reply::read(&line(&welcome)).unwrap(), welcome);
        assert!(Reply::read(b"HTTP/1.1 400 Bad Request").unwrap_err().contains("no issuecommand server"));
    }
}
