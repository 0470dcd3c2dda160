//! A name for an agent, which no two clients of one server go by at once.
//!
//! Without a name of its own an agent is called after its client, with a number: `claude-code.1` is whoever
//! asks first, `claude-code.2` who asks while the first is still there. A name that was given is taken as it
//! is; while another client goes by it, it gets a number too. The name is held by a lock that the system
//! takes back when the process ends, however it ends, and so survives the server.
//!
//! Claims are held under the name, so a client that comes back must get its own, and nobody else must. The
//! file of the lock says who had the number last: a client is known again by the folder it works in and,
//! where several work in one, by the process that started it. Another gets the number only after
//! [`NUMBER_KEPT`]. Two clients of one name in one folder, both restarted, cannot be told apart: the first
//! to come back gets the lower number, and with it the claims.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;
use tracing::debug;
use uuid::Uuid;

use super::Place;
use crate::domain::AgentId;

/// Longest part of a client's name that goes into its agents', in bytes.
const CLIENT_BYTES_MAX: usize = 40;
/// Most clients of one name at once that get a number.
const NUMBER_MAX: usize = 1000;
/// How long a number is kept for the client that had it. Ours: claims of an agent that is gone for so long
/// are an operator's to release.
const NUMBER_KEPT: Duration = Duration::from_secs(30 * 24 * 3600);
/// Largest file of a name that is read, in bytes: a folder's path and two numbers.
const HOLDER_BYTES_MAX: u64 = 16 * 1024;
/// The client's name when it gives none.
const NAMELESS: &str = "agent";

/// A name, and the lock that keeps others from taking it.
#[derive(Debug)]
pub struct AgentName {
    agent: AgentId,
    held: Option<File>,
}

/// By what a client is known again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Holder {
    /// The folder it works in.
    folder: String,
    /// The process that started it, and when that was started, where the system says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parent: Option<(u32, u64)>,
}

/// Which numbers a client may take, the best first.
#[derive(Debug, Clone, Copy)]
enum Claim {
    /// Its own: the same folder, started by the same process.
    Own,
    /// Perhaps its own: the same folder, and the process that started its holder is gone.
    Inherited,
    /// One that nobody had lately.
    Free,
}

impl AgentName {
    /// The name that the user gave; with a number while another client goes by it.
    pub fn given(place: &Place, agent: AgentId) -> Self {
        let _choosing = place.names_lock();
        match place.agent_lock(agent.as_str()).map(|file| (file.try_lock().is_ok(), file)) {
            Ok((true, file)) => Self { agent, held: Some(file) },
            Ok((false, _)) => {
                let name = Self::numbered(place, agent.as_str(), 2);
                let told = format_args!("issuecommand mcp: another client goes by {agent}; this one is {}", name.agent);
                _ = writeln!(anstream::stderr(), "{told}");
                name
            }
            // Where no lock can be had the name is as good as its user's word.
            Err(error) => {
                debug!("the name {agent} is not locked: {error}");
                Self { agent, held: None }
            }
        }
    }

    /// A name for the client that sent `first`, its first line.
    pub(super) fn for_client(place: &Place, first: &[u8]) -> Self {
        let _choosing = place.names_lock();
        Self::numbered(place, &client_name(first), 1)
    }

    /// The agent.
    pub fn agent(&self) -> &AgentId {
        &self.agent
    }

    fn numbered(place: &Place, base: &str, first: usize) -> Self {
        let ours = Holder::this_process();
        for claim in [Claim::Own, Claim::Inherited, Claim::Free] {
            for number in first..=NUMBER_MAX {
                let Some(agent) = parsed(base, &number.to_string()) else { break };
                // Where no lock can be had a random name is still distinct.
                let Ok(mut file) = place.agent_lock(agent.as_str()) else { break };
                let is_new = file.metadata().is_ok_and(|found| found.len() == 0);
                if !ours.may_take(&file, claim) || file.try_lock().is_err() {
                    match claim {
                        // Numbers are taken in order: behind a new one nobody ever was.
                        Claim::Own | Claim::Inherited if is_new => break,
                        _ => continue,
                    }
                }
                if let Err(error) = ours.write(&mut file) {
                    debug!("who goes by {agent} is not noted: {error}");
                }
                return Self { agent, held: Some(file) };
            }
        }
        let random = Uuid::new_v4().simple().to_string();
        let agent = parsed(base, &random[..12]).or_else(|| parsed(NAMELESS, &random));
        Self { agent: agent.expect("a few letters, digits and dots are a name"), held: None }
    }
}

impl Drop for AgentName {
    fn drop(&mut self) {
        // From now on the number is kept for it.
        if let Some(held) = &self.held {
            let _ = held.set_modified(std::time::SystemTime::now());
        }
    }
}

impl Holder {
    fn this_process() -> Self {
        let folder = std::env::current_dir().unwrap_or_default().to_string_lossy().into_owned();
        let parent = std::os::unix::process::parent_id();
        Self { folder, parent: started_at(parent).map(|at| (parent, at)) }
    }

    /// Whether this client may take the number of a file that nobody has locked.
    fn may_take(&self, file: &File, claim: Claim) -> bool {
        let Some(former) = Self::read(file) else { return matches!(claim, Claim::Free) };
        match claim {
            Claim::Own => former == *self,
            Claim::Inherited => former.folder == self.folder && !former.has_parent(),
            Claim::Free => {
                let modified = file.metadata().and_then(|found| found.modified()).ok();
                modified.and_then(|at| at.elapsed().ok()).is_some_and(|since| since > NUMBER_KEPT)
            }
        }
    }

    fn has_parent(&self) -> bool {
        self.parent.is_some_and(|(pid, at)| started_at(pid) == Some(at))
    }

    fn read(mut file: &File) -> Option<Self> {
        let mut text = Vec::new();
        file.rewind().ok()?;
        file.take(HOLDER_BYTES_MAX).read_to_end(&mut text).ok()?;
        serde_json::from_slice(&text).ok()
    }

    fn write(&self, file: &mut File) -> io::Result<()> {
        file.set_len(0)?;
        file.write_all(&serde_json::to_vec(self)?)
    }
}

/// When a process was started, in the system's own ticks: with its number, that is one process for ever.
fn started_at(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may hold anything; field 22 is the 20th behind it (proc(5)).
    stat.rsplit_once(')')?.1.split_whitespace().nth(19)?.parse().ok()
}

/// The agent's name with its number, as short as a name must be.
fn parsed(base: &str, number: &str) -> Option<AgentId> {
    format!("{base}.{number}").parse().ok()
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
#[allow(clippy::unwrap_used)]
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

    fn file_of(holder: &Holder) -> File {
        let mut file = tempfile::tempfile().unwrap();
        holder.write(&mut file).unwrap();
        file
    }

    #[test]
    fn a_number_goes_back_to_its_client_then_to_an_heir_in_its_folder_and_to_others_after_a_month() {
        let ours = Holder::this_process();
        assert!(ours.has_parent() || ours.parent.is_none());
        let gone = Holder { parent: Some((u32::MAX, 1)), ..ours.clone() };
        let elsewhere = Holder { folder: "/elsewhere".into(), ..gone.clone() };
        let may = |holder: &Holder| {
            let file = file_of(holder);
            [Claim::Own, Claim::Inherited, Claim::Free].map(|claim| ours.may_take(&file, claim))
        };
        assert!(may(&ours)[0]);
        assert_eq!(may(&gone), [false, true, false]);
        assert_eq!(may(&elsewhere), [false, false, false]);
        let old = file_of(&elsewhere);
        old.set_modified(std::time::SystemTime::now() - NUMBER_KEPT - Duration::from_secs(60)).unwrap();
        assert!(ours.may_take(&old, Claim::Free));
        assert!(ours.may_take(&tempfile::tempfile().unwrap(), Claim::Free), "nobody had it yet");
    }
}
