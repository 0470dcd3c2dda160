//! The token that GitHub's command line keeps: `gh auth token`.

use std::io::Read;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use http::Uri;

use crate::config::Secret;

/// Longest time for `gh` to answer, in seconds: it reads a file or a key ring, no network.
const ANSWER_SECONDS_MAX: u64 = 5;
/// Largest answer taken for a token, in bytes.
const TOKEN_BYTES_MAX: u64 = 1024;
/// Pause between two looks whether it has ended, in milliseconds.
const LOOK_MS: u64 = 10;

/// The token that `gh` keeps for the host of `api_url`. Blocks for at most five seconds.
///
/// # Errors
/// Why there is none, for people; never anything that `gh` printed.
pub(super) fn token(api_url: &str) -> Result<Secret, String> {
    let host = host_of(api_url).ok_or("github.api_url names no host")?;
    ask(Command::new("gh"), &host)
}

/// The host by which `gh` knows an API: `github.com` for `https://api.github.com`, the server's own name
/// for GitHub Enterprise.
fn host_of(api_url: &str) -> Option<String> {
    let uri: Uri = api_url.trim().parse().ok()?;
    let host = uri.host()?.to_ascii_lowercase();
    Some(host.strip_prefix("api.").map_or(host.clone(), str::to_owned))
}

/// Asks `gh`, which `command` runs, for the token of `host`.
fn ask(mut command: Command, host: &str) -> Result<Secret, String> {
    command.args(["auth", "token", "--hostname", host]);
    // A closed standard input: it never waits for a person.
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|error| format!("gh cannot be run ({})", error.kind()))?;
    let deadline = Instant::now() + Duration::from_secs(ANSWER_SECONDS_MAX);
    let status = loop {
        match child.try_wait() {
            Ok(Some(status)) => break status,
            Ok(None) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(LOOK_MS)),
            _ => {
                let _ = child.kill();
                let _ = child.wait();
                return Err(format!("gh did not answer within {ANSWER_SECONDS_MAX} s"));
            }
        }
    };
    if !status.success() {
        return Err(format!("gh knows none for {host}; `gh auth login --hostname {host}` gets one"));
    }
    let mut text = String::new();
    let printed = child.stdout.take().ok_or("it has no output")?;
    printed.take(TOKEN_BYTES_MAX).read_to_string(&mut text).map_err(|_| "gh printed no text")?;
    let token = text.trim();
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err("gh printed no token".into());
    }
    Ok(Secret::new(token))
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn gh_is_asked_for_the_host_of_the_api() {
        for (api_url, host) in [
            ("https://api.github.com", "github.com"),
            ("https://GitHub.example.org/api/v3", "github.example.org"),
            ("https://api.acme.ghe.com", "acme.ghe.com"),
        ] {
            assert_eq!(host_of(api_url).as_deref(), Some(host));
        }
        assert_eq!(host_of("/api/v3"), None);
    }

    /// A shell that stands for `gh`: `$*` is what `gh` would be asked.
    fn gh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script, "gh"]);
        command
    }

    #[test]
    fn the_token_that_gh_prints_is_taken_without_its_line_end() {
        let script = r#"[ "$*" = "auth token --hostname github.com" ] && echo gho_x"#;
        assert_eq!(ask(gh(script), "github.com").unwrap().expose(), "gho_x");
        let other = ask(gh(script), "other.example").unwrap_err();
        assert!(other.contains("gh auth login --hostname other.example"), "{other}");
    }

    #[test]
    fn what_is_no_token_is_not_taken_and_not_shown() {
        for script in ["true", "echo 'no oauth token s3cret'", "echo s3cret >&2; exit 1", "printf '\\377s3cret'"] {
            let why = ask(gh(script), "github.com").unwrap_err();
            assert!(!why.contains("s3cret"), "{why}");
        }
        assert!(ask(Command::new("/nowhere/gh"), "github.com").unwrap_err().contains("cannot be run"));
    }
}
