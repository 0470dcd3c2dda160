//! One call of git, with an environment of its own: nothing of this machine's configuration, no hook, no prompt, and
//! the token in a variable that only git sees.

use std::fs::File;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::time::timeout;

use super::GitError;
use crate::config::Secret;
use crate::github::Remote;

/// Most that is read of what git prints, in bytes: a list of some 200,000 files.
const OUTPUT_BYTES_MAX: u64 = 16 << 20;
/// How much is kept of the end of what git complains, in bytes.
const COMPLAINT_BYTES_MAX: usize = 8 << 10;
/// Most characters of a complaint that are shown.
const WHY_CHARS_MAX: usize = 300;
/// Longest time for a call that stays on this machine, in seconds.
const LOCAL_SECONDS_MAX: u64 = 300;
/// Longest time for a call over the network, in seconds: the first fetch of a large repository.
const NETWORK_SECONDS_MAX: u64 = 1800;

/// Variables that git may see of ours: where programs are, and how this machine reaches others.
const KEPT_VARIABLES: [&str; 13] = [
    "PATH",
    "TMPDIR",
    "http_proxy",
    "https_proxy",
    "HTTPS_PROXY",
    "all_proxy",
    "ALL_PROXY",
    "no_proxy",
    "NO_PROXY",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    "GIT_SSL_CAINFO",
    "CURL_CA_BUNDLE",
];

/// What git is told before it reads a repository's own configuration; redirects are not followed because the token
/// would be.
const SETTINGS: [(&str, &str); 10] = [
    ("core.hooksPath", "/dev/null"),
    ("core.fsmonitor", "false"),
    ("core.attributesFile", "/dev/null"),
    ("fetch.recurseSubmodules", "no"),
    ("push.recurseSubmodules", "no"),
    ("push.gpgSign", "false"),
    ("gc.autoDetach", "false"),
    ("maintenance.autoDetach", "false"),
    ("http.followRedirects", "false"),
    ("credential.helper", ""),
];

/// What git answered.
#[derive(Debug)]
pub(super) struct Said {
    /// Whether it went well.
    pub(super) ok: bool,
    /// What it printed.
    pub(super) out: Vec<u8>,
    /// What it complained, without secrets and control characters.
    pub(super) why: String,
}

impl Said {
    /// What it printed, as text.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.out).into_owned()
    }
}

/// A call of git that was not sent yet.
#[derive(Debug)]
pub(super) struct Call<'c> {
    folder: &'c Path,
    what: String,
    arguments: Vec<String>,
    authorization: Option<&'c Secret>,
    protocols: &'c str,
    seconds_max: u64,
    input: Option<File>,
    output: Option<File>,
}

impl<'c> Call<'c> {
    /// To do `what`, as it follows "could not", in the bare repository `folder`.
    pub(super) fn to(folder: &'c Path, what: impl Into<String>, arguments: &[&str]) -> Self {
        let arguments = arguments.iter().copied().map(str::to_owned).collect();
        let (authorization, input, output) = (None, None, None);
        let (protocols, seconds_max) = ("none", LOCAL_SECONDS_MAX);
        Self { folder, what: what.into(), arguments, authorization, protocols, seconds_max, input, output }
    }

    /// Lets it reach a remote by one of `protocols`, which are separated by colons.
    pub(super) fn reaching(self, remote: &'c Remote, protocols: &'c str) -> Self {
        let authorization = remote.authorization.as_ref();
        Self { authorization, protocols, seconds_max: NETWORK_SECONDS_MAX, ..self }
    }

    /// Lets it read a file, from where that stands.
    pub(super) fn reading(self, input: File) -> Self {
        Self { input: Some(input), ..self }
    }

    /// Lets it print into a file.
    pub(super) fn writing(self, output: File) -> Self {
        Self { output: Some(output), ..self }
    }

    /// Runs it to its end, which must be a good one.
    pub(super) async fn done(self) -> Result<Said, GitError> {
        let what = self.what.clone();
        let said = self.ended().await?;
        if said.ok { Ok(said) } else { Err(GitError::Failed { what, why: said.why }) }
    }

    /// Runs it to its end, whatever that is.
    pub(super) async fn ended(mut self) -> Result<Said, GitError> {
        let unusable = |error: std::io::Error| GitError::Unusable { why: error.to_string() };
        let mut command = self.command();
        let stdio = |file: Option<File>, other: fn() -> Stdio| file.map_or_else(other, Stdio::from);
        command.stdin(stdio(self.input.take(), Stdio::null)).stdout(stdio(self.output.take(), Stdio::piped));
        // Ends with us, but not by the signal that asks us to clean up.
        command.stderr(Stdio::piped()).kill_on_drop(true).process_group(0);
        let mut child = command.spawn().map_err(unusable)?;
        let (printed, complained) = (child.stdout.take(), child.stderr.take());
        let ended = async {
            let out = async {
                let Some(printed) = printed else { return Ok(Vec::new()) };
                let mut out = Vec::new();
                printed.take(OUTPUT_BYTES_MAX + 1).read_to_end(&mut out).await?;
                Ok::<_, std::io::Error>(out)
            };
            let complaint = async {
                match complained {
                    Some(complained) => end_of(complained).await,
                    None => Ok(Vec::new()),
                }
            };
            let (out, complaint) = tokio::try_join!(out, complaint)?;
            // One that prints on would wait for a reader for ever; it is ended when it is dropped.
            if out.len() as u64 > OUTPUT_BYTES_MAX {
                return Ok((None, out, complaint));
            }
            Ok((Some(child.wait().await?), out, complaint))
        };
        let failed = |why: String| GitError::Failed { what: self.what.clone(), why };
        let ended = timeout(Duration::from_secs(self.seconds_max), ended).await;
        let ended = ended.map_err(|_| failed(format!("it took longer than {} s", self.seconds_max)))?;
        let (status, out, complaint) = ended.map_err(unusable)?;
        let status = status.ok_or_else(|| failed(format!("it printed more than {OUTPUT_BYTES_MAX} bytes")))?;
        let why = harmless(&String::from_utf8_lossy(&complaint), self.authorization);
        Ok(Said { ok: status.success(), out, why })
    }

    fn command(&self) -> Command {
        let mut command = Command::new("git");
        command.arg("--git-dir").arg(self.folder).args(&self.arguments).current_dir("/").env_clear();
        for name in KEPT_VARIABLES {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        // Not empty: without one libcurl looks the account's folder up, and reads .netrc there.
        command.env("HOME", "/dev/null").env("LC_ALL", "C");
        command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_ATTR_NOSYSTEM", "1");
        command.env("GIT_TERMINAL_PROMPT", "0").env("GIT_ALLOW_PROTOCOL", self.protocols);
        command.env("GIT_NO_REPLACE_OBJECTS", "1").env("GIT_LITERAL_PATHSPECS", "1");
        let header = self.authorization.map(|value| format!("Authorization: {}", value.expose()));
        let header = header.as_deref().map(|header| ("http.extraHeader", header));
        let settings = SETTINGS.into_iter().chain(header);
        let mut count = 0;
        for (key, value) in settings {
            command.env(format!("GIT_CONFIG_KEY_{count}"), key).env(format!("GIT_CONFIG_VALUE_{count}"), value);
            count += 1;
        }
        command.env("GIT_CONFIG_COUNT", count.to_string());
        command
    }
}

/// The end of what is there to read; all of it is read.
async fn end_of(mut from: impl AsyncRead + Unpin) -> std::io::Result<Vec<u8>> {
    let (mut kept, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        match from.read(&mut piece).await? {
            0 => return Ok(kept),
            count => kept.extend_from_slice(&piece[..count]),
        }
        kept.drain(..kept.len().saturating_sub(COMPLAINT_BYTES_MAX));
    }
}

/// The lines of a complaint that say why, without what must not be shown: a header, names within addresses, and
/// control characters, for some of it is the other side's own words.
fn harmless(complaint: &str, authorization: Option<&Secret>) -> String {
    let mut complaint = complaint.to_owned();
    if let Some(secret) = authorization.filter(|secret| !secret.is_empty()) {
        complaint = complaint.replace(secret.expose(), "(secret)");
        for word in secret.expose().split(' ').filter(|word| word.len() > 8) {
            complaint = complaint.replace(word, "(secret)");
        }
    }
    let lines = || complaint.lines().map(str::trim).filter(|line| !line.is_empty());
    let says_why = |line: &&str| ["fatal:", "error:", "remote:"].iter().any(|head| line.starts_with(head));
    let marked: Vec<_> = lines().filter(says_why).collect();
    let text =
        if marked.is_empty() { lines().next_back().unwrap_or("it did not say why").into() } else { marked.join("; ") };
    without_names(&text).chars().filter(|c| !c.is_control()).take(WHY_CHARS_MAX).collect()
}

/// A text whose addresses name nobody: `https://name:word@host/` becomes `https://host/`.
fn without_names(text: &str) -> String {
    let mut pieces = text.split("://");
    let mut clean = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let end = piece.find(|c: char| c == '/' || c.is_whitespace()).unwrap_or(piece.len());
        let (host, rest) = piece.split_at(end);
        clean.push_str("://");
        clean.push_str(host.rsplit_once('@').map_or(host, |(_, host)| host));
        clean.push_str(rest);
    }
    clean
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_shows_no_secret_no_name_and_no_control_character() {
        let secret = Secret::new("Basic c2VjcmV0LXRva2Vu");
        let complaint = "Cloning\nremote: \x1b[31mno\nfatal: https://x:hunter2@host/a?b=@c said c2VjcmV0LXRva2Vu\n";
        let shown = harmless(complaint, Some(&secret));
        assert_eq!(shown, "remote: [31mno; fatal: https://host/a?b=@c said (secret)");
        assert_eq!(harmless("", None), "it did not say why");
        assert!(harmless(&"x".repeat(10_000), None).len() <= WHY_CHARS_MAX);
    }

    #[tokio::test]
    async fn git_sees_nothing_of_this_machine_and_the_token_only_in_a_variable() {
        let folder = tempfile::tempdir().unwrap();
        let secret = Secret::new("Basic c2VjcmV0LXRva2Vu");
        let remote = Remote { url: String::new(), default_branch: "main".into(), authorization: Some(secret.clone()) };
        let call = Call::to(folder.path(), "try", &["config", "--list"]).reaching(&remote, "https");
        let command = call.command();
        let arguments: Vec<_> = command.as_std().get_args().collect();
        assert!(arguments.iter().all(|argument| !argument.to_string_lossy().contains("c2Vj")), "{arguments:?}");
        let set: Vec<_> = command.as_std().get_envs().filter_map(|(name, value)| Some((name, value?))).collect();
        assert!(set.iter().any(|(_, value)| *value == "Authorization: Basic c2VjcmV0LXRva2Vu"), "{set:?}");
        let said = call.done().await.unwrap().text();
        assert!(said.contains("core.hookspath=/dev/null") && said.contains("http.followredirects=false"), "{said}");
        assert!(!said.contains("user.name"), "{said}");
    }
}
