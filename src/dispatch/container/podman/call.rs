//! Calls of the command line: each with a bound, and an error that says what it was for.

use std::io::ErrorKind;
use std::process::{Output, Stdio};
use std::time::Duration;

use tokio::process::Command;
use tokio::time::timeout;

use super::{ContainerError, Podman};

/// Longest call, in seconds: a machine that starts many containers at once is slow, not dead.
pub const CALL_SECONDS_MAX: u64 = 60;
/// Longest call that may have to fetch an image, in seconds.
pub const PULL_SECONDS_MAX: u64 = 20 * 60;
/// Most of an error that is told to people, in characters.
const WHY_CHARS_MAX: usize = 500;

impl Podman {
    /// The program with what every call begins with.
    pub(super) fn program(&self) -> Command {
        let mut command = Command::new(&self.program);
        // What it starts outlives us and inherits this: no token of ours may be in it.
        command.env_clear().envs(std::env::vars_os().filter(|(name, _)| is_for_podman(&name.to_string_lossy())));
        if let Some(connection) = &self.connection {
            command.args(["--remote", "--connection", connection]);
        }
        command
    }

    /// What a call printed. `what` follows "could not".
    pub(super) async fn call(&self, what: &str, arguments: &[&str]) -> Result<String, ContainerError> {
        self.call_within(what, arguments, CALL_SECONDS_MAX).await
    }

    /// The same, with another bound.
    pub(super) async fn call_within(
        &self,
        what: &str,
        arguments: &[&str],
        seconds: u64,
    ) -> Result<String, ContainerError> {
        let mut command = self.program();
        command.args(arguments);
        let output = self.output_of(what, command, seconds).await?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(self.failed(what, &last_line(&output.stderr)))
    }

    /// All that a command printed, and how it ended.
    pub(super) async fn output_of(
        &self,
        what: &str,
        mut command: Command,
        seconds: u64,
    ) -> Result<Output, ContainerError> {
        let output = command.stdin(Stdio::null()).kill_on_drop(true).output();
        match timeout(Duration::from_secs(seconds), output).await {
            Ok(Ok(output)) => Ok(output),
            Ok(Err(why)) => Err(self.not_spawned(&why)),
            Err(_) => Err(self.failed(what, &format!("it said nothing for {seconds} seconds"))),
        }
    }

    pub(super) fn failed(&self, what: &str, why: &str) -> ContainerError {
        ContainerError::Failed { runtime: self.program.clone(), what: what.to_owned(), why: why.to_owned() }
    }

    pub(super) fn unusable(&self, why: impl Into<String>) -> ContainerError {
        ContainerError::Unusable { runtime: self.program.clone(), why: why.into() }
    }

    fn not_spawned(&self, why: &std::io::Error) -> ContainerError {
        if why.kind() == ErrorKind::NotFound {
            let hint = "there is no such program on the PATH; install podman, or name what you have in \
                        containers.runtime";
            return self.unusable(hint);
        }
        self.unusable(why.to_string())
    }
}

/// The last line that says something, without the word that podman begins errors with; bounded.
pub(super) fn last_line(printed: &[u8]) -> String {
    let text = String::from_utf8_lossy(printed);
    let line = text.lines().map(str::trim).rfind(|line| !line.is_empty()).unwrap_or("it did not say why");
    let line = line.strip_prefix("Error: ").unwrap_or(line);
    line.chars().take(WHY_CHARS_MAX).collect()
}

/// Variables that podman and what it calls need: where things are, and how to reach other machines.
fn is_for_podman(name: &str) -> bool {
    const NAMES: [&str; 14] = [
        "PATH",
        "HOME",
        "USER",
        "LOGNAME",
        "LANG",
        "TMPDIR",
        "TERM",
        "SSH_AUTH_SOCK",
        "REGISTRY_AUTH_FILE",
        "DBUS_SESSION_BUS_ADDRESS",
        "HTTP_PROXY",
        "HTTPS_PROXY",
        "NO_PROXY",
        "ALL_PROXY",
    ];
    const BEGINNINGS: [&str; 6] = ["XDG_", "LC_", "CONTAINER", "PODMAN_", "DOCKER_", "STORAGE_"];
    NAMES.contains(&name.to_uppercase().as_str()) || BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
}
