//! What agents need to be let in elsewhere: fetched anew for each run, kept in memory only.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use async_trait::async_trait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::time::timeout;
use tracing::warn;

use crate::config::{Secret, SecretsConfig};

/// Longest time for one secret, in seconds: 1Password may ask a person to unlock it.
const ANSWER_SECONDS_MAX: u64 = 60;
/// Largest secret, in bytes: a file of keys.
const SECRET_BYTES_MAX: usize = 64 << 10;
/// Most characters of a complaint that are shown.
const WHY_CHARS_MAX: usize = 300;

/// The port: one place that keeps secrets.
#[async_trait]
pub trait SecretsProvider: Send + Sync + fmt::Debug {
    /// The bytes behind a reference.
    ///
    /// # Errors
    /// Why there are none, for people: never anything of a secret.
    async fn read(&self, reference: &str) -> Result<Vec<u8>, String>;
}

/// Why a secret could not be had. Names where it should be, never what it is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("could not get {variable} of [secrets.variables] from {reference}: {why}")]
pub struct SecretsError {
    /// The agent's variable.
    pub variable: String,
    /// Where its value should be.
    pub reference: String,
    /// Why it is not to be had.
    pub why: String,
}

/// Fetches every variable that `config` names. Relative paths start at `folder`.
///
/// # Errors
/// [`SecretsError`] for the first variable that is not to be had; no run should begin without it.
pub async fn resolve(config: &SecretsConfig, folder: &Path) -> Result<BTreeMap<String, Secret>, SecretsError> {
    let mut secrets = BTreeMap::new();
    for (variable, reference) in &config.variables {
        let failed = |why: String| SecretsError { variable: variable.clone(), reference: reference.clone(), why };
        if !is_name(variable) {
            return Err(failed("a variable's name is made of letters, digits and '_', no digit first".into()));
        }
        let (provider, reference) = place_of(reference, config, folder).map_err(failed)?;
        let bytes = provider.read(&reference).await.map_err(failed)?;
        secrets.insert(variable.clone(), secret_of(bytes).map_err(failed)?);
    }
    Ok(secrets)
}

fn is_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    text.bytes().all(fits) && text.bytes().next().is_some_and(|first| !first.is_ascii_digit())
}

/// A value as the agent sees it: text without its line end.
fn secret_of(bytes: Vec<u8>) -> Result<Secret, String> {
    let text = String::from_utf8(bytes).map_err(|_| "it is no text")?;
    let text = text.trim_end_matches(['\r', '\n']);
    match text {
        "" => Err("it is empty".into()),
        _ if text.contains('\0') => Err("it holds a zero byte, which no variable can".into()),
        _ => Ok(Secret::new(text)),
    }
}

/// Who keeps what `reference` names, and under which name there.
fn place_of(
    reference: &str,
    config: &SecretsConfig,
    folder: &Path,
) -> Result<(Box<dyn SecretsProvider>, String), String> {
    let schemes = [("env:", "env"), ("file:", "file"), ("command:", "command")];
    let (kind, name) = match schemes.iter().find_map(|(head, kind)| Some((*kind, reference.strip_prefix(head)?))) {
        Some(found) => found,
        None if reference.starts_with("op://") => ("op", reference),
        None => (config.provider.as_str(), reference),
    };
    if name.trim().is_empty() {
        return Err("the reference is empty".into());
    }
    let provider: Box<dyn SecretsProvider> = match kind {
        "op" => {
            let name = OnePassword::address(name, &config.vault)?;
            return Ok((Box::new(OnePassword::default()), name));
        }
        "env" => Box::new(Environment),
        "file" => Box::new(Files { folder: folder.to_owned() }),
        "command" => Box::new(Program { command: config.command.clone() }),
        other => return Err(format!("secrets.provider is {other:?}, not one of op, env, file and command")),
    };
    Ok((provider, name.to_owned()))
}

/// 1Password's command line, `op`, signed in as this machine is.
#[derive(Debug)]
pub struct OnePassword {
    /// The program.
    pub program: PathBuf,
}

impl Default for OnePassword {
    fn default() -> Self {
        Self { program: "op".into() }
    }
}

impl OnePassword {
    /// The whole address of a field: names without a vault are in `vault`.
    fn address(name: &str, vault: &str) -> Result<String, String> {
        if name.starts_with("op://") {
            return Ok(name.to_owned());
        }
        if vault.is_empty() {
            return Err("it names no vault: set secrets.vault, or write op://vault/item/field".into());
        }
        Ok(format!("op://{vault}/{name}"))
    }
}

#[async_trait]
impl SecretsProvider for OnePassword {
    async fn read(&self, reference: &str) -> Result<Vec<u8>, String> {
        let mut command = Command::new(&self.program);
        command.args(["read", "-n", reference]);
        printed(command, "op", ShowsWhy::Yes).await
    }
}

/// Variables of this process.
#[derive(Debug)]
pub struct Environment;

#[async_trait]
impl SecretsProvider for Environment {
    async fn read(&self, name: &str) -> Result<Vec<u8>, String> {
        let value = std::env::var_os(name).ok_or("the server's environment has no such variable")?;
        Ok(value.into_encoded_bytes())
    }
}

/// Files of this machine.
#[derive(Debug)]
pub struct Files {
    /// Where relative paths start.
    pub folder: PathBuf,
}

#[async_trait]
impl SecretsProvider for Files {
    async fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        let path = self.folder.join(path);
        let file = tokio::fs::File::open(&path).await.map_err(|error| error.to_string())?;
        let found = file.metadata().await.map_err(|error| error.to_string())?;
        if !found.is_file() {
            return Err("it is no file".into());
        }
        if is_open_to_others(&found) {
            warn!("others on this machine may read the secret in {}: chmod 600 it", path.display());
        }
        bounded(file).await
    }
}

#[cfg(unix)]
fn is_open_to_others(found: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::PermissionsExt;
    found.permissions().mode() & 0o077 != 0
}

#[cfg(not(unix))]
fn is_open_to_others(_: &std::fs::Metadata) -> bool {
    false
}

/// A command of the team's own, which is given the reference as its last argument.
#[derive(Debug)]
pub struct Program {
    /// The program and its first arguments.
    pub command: Vec<String>,
}

#[async_trait]
impl SecretsProvider for Program {
    async fn read(&self, reference: &str) -> Result<Vec<u8>, String> {
        let (program, arguments) = self.command.split_first().ok_or("secrets.command is not set")?;
        let mut command = Command::new(program);
        command.args(arguments).arg(reference);
        printed(command, program, ShowsWhy::No).await
    }
}

/// Whether what a program complains may be shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum ShowsWhy {
    /// It is known to hold no secret.
    Yes,
    /// It may hold anything.
    No,
}

/// What a program prints, if it ends well.
async fn printed(mut command: Command, name: &str, shows_why: ShowsWhy) -> Result<Vec<u8>, String> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| format!("{name} cannot be run ({error})"))?;
    let (printed, complained) = (child.stdout.take(), child.stderr.take());
    let ended = async {
        let printed = bounded(printed.ok_or("it has no output")?);
        let complaint = async {
            // Read to its end, so that it never waits for a reader; the first of it is kept.
            let (mut kept, mut rest) = (Vec::new(), tokio::io::sink());
            let Some(mut complained) = complained else { return Ok(kept) };
            let head = (&mut complained).take(SECRET_BYTES_MAX as u64).read_to_end(&mut kept).await;
            let tail = tokio::io::copy(&mut complained, &mut rest).await;
            rest.flush().await.and(head).and(tail).map_err(|error| error.to_string())?;
            Ok::<_, String>(kept)
        };
        let (out, complaint) = tokio::try_join!(printed, complaint)?;
        let status = child.wait().await.map_err(|error| error.to_string())?;
        Ok::<_, String>((out, complaint, status))
    };
    let ended = timeout(Duration::from_secs(ANSWER_SECONDS_MAX), ended).await;
    let (out, complaint, status) =
        ended.map_err(|_| format!("{name} did not answer within {ANSWER_SECONDS_MAX} s"))??;
    if status.success() {
        return Ok(out);
    }
    let complaint = String::from_utf8_lossy(&complaint);
    let last = complaint.lines().map(str::trim).rfind(|line| !line.is_empty() && shows_why == ShowsWhy::Yes);
    let why: String = last.unwrap_or_default().chars().filter(|c| !c.is_control()).take(WHY_CHARS_MAX).collect();
    let sep = if why.is_empty() { "" } else { ": " };
    Err(format!("{name} ended with {status}{sep}{why}"))
}

async fn bounded(from: impl tokio::io::AsyncRead + Unpin) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let read = from.take(SECRET_BYTES_MAX as u64 + 1).read_to_end(&mut bytes).await;
    read.map_err(|error| error.to_string())?;
    if bytes.len() > SECRET_BYTES_MAX {
        return Err(format!("it is larger than {SECRET_BYTES_MAX} bytes"));
    }
    Ok(bytes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn config(provider: &str, variable: &str, reference: &str) -> SecretsConfig {
        SecretsConfig {
            provider: provider.into(),
            variables: BTreeMap::from([(variable.to_owned(), reference.to_owned())]),
            ..SecretsConfig::default()
        }
    }

    async fn value(config: &SecretsConfig, folder: &Path) -> Result<String, String> {
        let secrets = resolve(config, folder).await.map_err(|error| error.to_string())?;
        Ok(secrets.into_values().next().unwrap().expose().to_owned())
    }

    #[tokio::test]
    async fn a_file_is_found_beside_the_configuration_and_loses_its_line_end() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("key"), "two\nlines\r\n").unwrap();
        assert_eq!(value(&config("file", "KEY", "key"), folder.path()).await.unwrap(), "two\nlines");
        assert_eq!(value(&config("op", "KEY", "file:key"), folder.path()).await.unwrap(), "two\nlines");
        let missing = value(&config("file", "KEY", "other"), folder.path()).await.unwrap_err();
        assert!(missing.starts_with("could not get KEY of [secrets.variables] from other: "), "{missing}");
    }

    #[tokio::test]
    async fn a_variable_of_the_server_is_read_by_name() {
        let path = std::env::var("PATH").unwrap();
        assert_eq!(value(&config("op", "KEY", "env:PATH"), Path::new("/")).await.unwrap(), path);
        let missing = value(&config("env", "KEY", "NO_SUCH_VARIABLE"), Path::new("/")).await.unwrap_err();
        assert!(missing.contains("no such variable"), "{missing}");
    }

    #[tokio::test]
    async fn a_command_is_given_the_reference_last_and_its_complaints_are_not_shown() {
        let with = |script: &str| SecretsConfig {
            command: ["sh", "-c", script, "sh", "--field"].map(str::to_owned).into(),
            ..config("command", "KEY", "a b")
        };
        assert_eq!(value(&with(r#"printf '%s=%s' "$1" "$2""#), Path::new("/")).await.unwrap(), "--field=a b");
        let error = value(&with("echo s3cret; echo s3cret >&2; exit 3"), Path::new("/")).await.unwrap_err();
        assert!(error.contains("exit status: 3") && !error.contains("s3cret"), "{error}");
        let none = value(&config("command", "KEY", "x"), Path::new("/")).await.unwrap_err();
        assert!(none.contains("secrets.command is not set"), "{none}");
    }

    #[tokio::test]
    async fn what_no_variable_can_hold_is_refused_unseen() {
        let folder = tempfile::tempdir().unwrap();
        for (bytes, why) in [(&b"\n"[..], "empty"), (b"s3\0cret", "zero byte"), (b"s3\xffcret", "no text")] {
            fs::write(folder.path().join("key"), bytes).unwrap();
            let error = value(&config("file", "KEY", "key"), folder.path()).await.unwrap_err();
            assert!(error.contains(why) && !error.contains("s3"), "{error}");
        }
        fs::write(folder.path().join("key"), "x".repeat(SECRET_BYTES_MAX + 1)).unwrap();
        assert!(value(&config("file", "KEY", "key"), folder.path()).await.unwrap_err().contains("larger than"));
        for name in ["", "1KEY", "MY-KEY", "A=B", "KEY\n"] {
            let error = value(&config("env", name, "PATH"), folder.path()).await.unwrap_err();
            assert!(error.contains("letters, digits"), "{error}");
        }
    }

    #[test]
    fn names_without_a_vault_are_in_the_configured_one() {
        assert_eq!(OnePassword::address("item/field", "agents").unwrap(), "op://agents/item/field");
        assert_eq!(OnePassword::address("op://v/item/field", "agents").unwrap(), "op://v/item/field");
        assert!(OnePassword::address("item/field", "").unwrap_err().contains("secrets.vault"));
    }

    #[tokio::test]
    async fn an_unknown_provider_and_an_empty_reference_name_the_setting() {
        let unknown = value(&config("vault", "KEY", "x"), Path::new("/")).await.unwrap_err();
        assert!(unknown.contains("secrets.provider is \"vault\""), "{unknown}");
        assert!(value(&config("op", "KEY", "env:"), Path::new("/")).await.unwrap_err().contains("empty"));
    }

    /// A program named `op` in `folder` which reads from a vault with one field.
    fn one_password(folder: &Path) -> Option<OnePassword> {
        let standin = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/agents-kit/op-standin");
        if !standin.exists() {
            eprintln!("skipped: there is no stand-in for 1Password's command line beside the repository");
            return None;
        }
        let (vault, program) = (folder.join("vault.json"), folder.join("op"));
        fs::write(&vault, r#"{"agents/anthropic/credential":"s3cret"}"#).unwrap();
        let script = format!("#!/bin/sh\nFAKE_OP_VAULT={} exec {} \"$@\"\n", vault.display(), standin.display());
        fs::write(&program, script).unwrap();
        fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
        Some(OnePassword { program })
    }

    #[tokio::test]
    async fn one_password_hands_a_field_out_or_says_that_there_is_none() {
        let folder = tempfile::tempdir().unwrap();
        let Some(op) = one_password(folder.path()) else { return };
        assert_eq!(op.read("op://agents/anthropic/credential").await.unwrap(), b"s3cret");
        let error = op.read("op://agents/openai/credential").await.unwrap_err();
        assert!(error.contains("could not find item"), "{error}");
        let absent = OnePassword { program: folder.path().join("nothing") };
        assert!(absent.read("op://a/b/c").await.unwrap_err().contains("op cannot be run"));
    }
}
