//! Where a component comes from: the server itself, or a file; and whether it is the one that was meant.

use std::borrow::Cow;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::Path;

use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use super::builtin::{BUILTINS, Builtin, builtin};
use super::check::is_component;
use super::signature::{self, Component};
use crate::config::{PolicyConfig, Signer, in_shell};

/// Largest component that is read, in bytes. A Python guest is about 40 MB.
pub const COMPONENT_BYTES_MAX: u64 = 96 << 20;

/// A component, read and named, but not yet compiled.
pub(super) struct Source {
    pub(super) bytes: Cow<'static, [u8]>,
    /// SHA-256 of the bytes, in hex.
    pub(super) digest: String,
}

/// Reads what `config` names, and checks it against its pin and for its signature. `folder` is what paths are
/// relative to.
///
/// # Errors
/// Says what could not be read, what the file is instead of a component, or which digest it has.
pub(super) fn read(config: &PolicyConfig, file: Option<&Path>, folder: &Path) -> Result<Source, String> {
    let (bytes, digest): (Cow<'static, [u8]>, String) = match file {
        None => {
            let found = built_in(config.builtin_name().unwrap_or_default())?;
            (found.bytes.into(), found.digest().to_owned())
        }
        Some(_) if config.is_pulled() && config.sha256.is_none() => return Err(not_pinned(config)),
        Some(file) if config.is_pulled() && !file.is_file() => return Err(not_pulled(config, file)),
        Some(file) => {
            let bytes = read_file(file)?;
            is_component(&bytes)?;
            let digest = sha256_hex(&bytes);
            (bytes.into(), digest)
        }
    };
    is_pinned(config, &digest)?;
    is_signed(config, file, folder, &bytes, &digest)?;
    Ok(Source { bytes, digest })
}

/// Holds a component's digest to its pin, if it has one.
///
/// # Errors
/// Names both where they differ.
pub(crate) fn is_pinned(config: &PolicyConfig, digest: &str) -> Result<(), String> {
    match config.sha256.as_ref().filter(|pin| !pin.trim().eq_ignore_ascii_case(digest)) {
        None => Ok(()),
        Some(pin) => Err(format!(
            "its SHA-256 is {digest}, but the configuration pins {}: if the change is meant, pin the new one",
            pin.trim()
        )),
    }
}

/// Demands the signature of the one who must have signed a component, if anybody must; it lies beside `file`.
///
/// # Errors
/// Says what is missing or wrong, and what to do.
pub(crate) fn is_signed(
    config: &PolicyConfig,
    file: Option<&Path>,
    folder: &Path,
    bytes: &[u8],
    digest: &str,
) -> Result<(), String> {
    match (&config.signed_by, file) {
        (Some(signer), Some(file)) => {
            let component = Component::new(bytes, digest);
            signature::demand(signer, file, folder, &component, &how_to_sign(config, signer))
        }
        (Some(_), None) => Err("a built-in policy is part of the server, and not signed: no signed_by".into()),
        (None, _) => Ok(()),
    }
}

fn how_to_sign(config: &PolicyConfig, signer: &Signer) -> String {
    let source = &config.source;
    if config.is_pulled() {
        return format!("run `{}` beside issuecommand.toml", config.pull_command());
    }
    let key = if matches!(signer, Signer::Key { .. }) { "--key cosign.key " } else { "" };
    let (bundle, source) = (in_shell(&format!("{source}.sigstore.json")), in_shell(source));
    format!("sign it with `cosign sign-blob {key}--bundle {bundle} {source}`")
}

fn not_pinned(config: &PolicyConfig) -> String {
    format!("a policy from a registry needs `sha256 = \"...\"`: `{}` prints it", config.pull_command())
}

fn not_pulled(config: &PolicyConfig, file: &Path) -> String {
    format!("there is no {}: run `{}` beside issuecommand.toml", file.display(), config.pull_command())
}

fn built_in(name: &str) -> Result<&'static Builtin, String> {
    builtin(name).ok_or_else(|| {
        let names = BUILTINS.map(|builtin| builtin.name).join(", ");
        format!("there is no built-in policy {name:?}; there are {names}")
    })
}

fn read_file(file: &Path) -> Result<Vec<u8>, String> {
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::NotFound => "there is no such file: build or pull it, or name another".to_owned(),
        _ => format!("the file cannot be read: {error}"),
    };
    let opened = File::open(file).map_err(failed)?;
    if opened.metadata().map_err(failed)?.is_dir() {
        return Err(is_folder(file));
    }
    let mut bytes = Vec::new();
    opened.take(COMPONENT_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > COMPONENT_BYTES_MAX {
        return Err(format!("the file is larger than {COMPONENT_BYTES_MAX} bytes"));
    }
    Ok(bytes)
}

/// That a file is a folder, and which of the components in it is meant.
fn is_folder(folder: &Path) -> String {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let mut found: Vec<_> = entries.map(|entry| folder.join(entry.file_name())).collect();
    found.retain(|file| file.extension().is_some_and(|extension| extension == "wasm") && file.is_file());
    found.sort_unstable();
    match found.as_slice() {
        [] => {
            "it is a folder without a component: build the policy in it with `issuecommand policy build`, and name the \
               component that comes of it"
                .to_owned()
        }
        files => {
            let files: Vec<_> = files.iter().map(|file| file.display().to_string()).collect();
            format!("it is a folder: name the component in it, {}", files.join(" or "))
        }
    }
}

/// Settings in their one canonical form: keys sorted, no spaces. This is what the policy is given, and
/// what is digested.
pub(super) fn canonical(settings: &Map<String, Value>) -> String {
    let mut value = Value::Object(settings.clone());
    // A crate elsewhere in the build may have switched serde_json to the order of writing.
    value.sort_all_objects();
    value.to_string()
}

/// SHA-256, in lower-case hex.
pub(super) fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_that_say_the_same_have_one_form() {
        let read = |text: &str| canonical(&serde_json::from_str(text).unwrap());
        assert_eq!(read(r#"{"b": {"y": 1, "x": [2, 1]}, "a": null}"#), r#"{"a":null,"b":{"x":[2,1],"y":1}}"#);
        assert_eq!(read(r#"{"b":1,"a":2}"#), read(r#"{ "a": 2, "b": 1 }"#));
    }

    #[test]
    fn a_digest_is_the_known_one() {
        assert_eq!(sha256_hex(b"abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    }
}
